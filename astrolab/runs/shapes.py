"""What ``run.json`` must look like before anything is read from it: a damaged record is named, and stops no other."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from types import UnionType
from typing import Any

_NUMBER = int | float
_QUOTED = 40  # characters of what is wrong


def _is_time(value: Any) -> bool:
    try:
        return bool(datetime.fromisoformat(value))
    except (TypeError, ValueError):
        return False


def _is_table(value: Any) -> bool:
    """Columns of equal length, ``epoch`` among them."""
    columns = list(value.values()) if isinstance(value, dict) and "epoch" in value else [None]
    are_numbers = all(isinstance(c, list) and all(isinstance(v, _NUMBER | None) for v in c) for c in columns)
    return are_numbers and len({len(column) for column in columns}) == 1


# The shape of a value is its type, a test, a list of what its entries are, or its keys (`...`: of any other key).
_TRIAL = {
    **{name: _NUMBER for name in ("learning_rate", "n_epochs", "n_seen", "time_s")},
    "validation_loss": _NUMBER | None,
    "stopped": str,
}
_FIT = {
    **{name: str for name in ("arm", "trained_on", "train_digest", "stopped")},
    **{name: int for name in ("seed", "n_train", "n_trainable", "n_epochs", "best_epoch", "n_seen")},
    **{name: _NUMBER for name in ("time_s", "peak_memory_bytes")},
    **{name: bool for name in ("simulated", "reused")},
    "condition": {...: str | int | float | bool},
    "circumstances": {...: str | int | float | bool | dict | None},
    "strategy": {"name": str},
    "config": {"learning_rate": _NUMBER},
    "trials": [_TRIAL],
    "history": _is_table,
}
RECORD_SHAPE = {
    **{name: str for name in ("study", "digest", "status")},
    "started": _is_time,
    "time_s": _NUMBER,
    "parameters": dict,
    "circumstances": {"versions": {...: str}},
    "surveys": {...: {"repr": str, "digest": str, "n": int, "simulated": bool}},
    "fits": {...: _FIT},
}


def misfits(value: Any, *, shape: Any, name: str = "it") -> Iterator[str]:
    """Say what in some JSON values is not of a shape, e.g. ``study is 7``."""
    if isinstance(shape, Mapping) and isinstance(value, dict):
        yield from (f"{name} lacks {key}" for key in shape if key is not ... and key not in value)
        for key, inside in value.items():
            place = key if name == "it" else f"{name} {key}"
            yield from misfits(inside, shape=shape.get(key, shape.get(..., object)), name=place)
    elif isinstance(shape, list) and isinstance(value, list):
        for number, inside in enumerate(value):
            yield from misfits(inside, shape=shape[0], name=f"{name} {number}")
    elif not _is(value, shape):
        yield f"{name} is {json.dumps(value)[:_QUOTED]}"


def _is(value: Any, shape: Any) -> bool:
    if isinstance(shape, type | UnionType):
        return isinstance(value, shape)
    return not isinstance(shape, Mapping | list) and shape(value)
