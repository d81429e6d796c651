"""Which objects an epoch holds, in which order, and how they are cut into batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from astrolab.errors import ConfigError
from astrolab.trainers.config import Sampler


def epoch_rows(sampler: Sampler, *, n: int, keys: np.ndarray | None, epoch: int, seed: int) -> np.ndarray:
    """Give the row numbers of one epoch (from 1), in their order; it depends on the keys, the epoch and the seed alone.

    `uniform`: every object once. `staged`: a curriculum of stages of equal size, those of the largest key first.
    `balanced`: as many draws as there are objects, as many from each group as from any other. `chunked`: every object
    once, in an order that reads whole chunks of neighbouring rows, for files larger than memory.
    """
    return _ORDERS[sampler.name](sampler, n=n, keys=keys, epoch=epoch, rng=np.random.default_rng((seed, epoch)))


def _uniform(sampler: Sampler, *, n: int, keys: np.ndarray | None, epoch: int, rng: np.random.Generator) -> np.ndarray:
    return rng.permutation(n)


def _staged(sampler: Sampler, *, n: int, keys: np.ndarray | None, epoch: int, rng: np.random.Generator) -> np.ndarray:
    ends = np.cumsum(sampler.epochs)
    stage = min(int(np.searchsorted(ends, epoch)), len(ends) - 1)
    easiest_first = np.argsort(-keys, kind="stable")
    cuts = np.linspace(0, n, len(ends) + 1).round().astype(int)
    inside = easiest_first[0 if sampler.cumulative else cuts[stage] : cuts[stage + 1]]
    return rng.permutation(np.sort(inside))


def _balanced(sampler: Sampler, *, n: int, keys: np.ndarray | None, epoch: int, rng: np.random.Generator) -> np.ndarray:
    groups = [np.flatnonzero(keys == value) for value in np.unique(keys)]
    shares = np.diff(np.linspace(0, n, len(groups) + 1).round().astype(int))
    drawn = [_draw(group, n=share, rng=rng) for group, share in zip(groups, shares, strict=True)]
    return rng.permutation(np.concatenate(drawn))


def _draw(group: np.ndarray, *, n: int, rng: np.random.Generator) -> np.ndarray:
    """Every member as often as any other, but for one: whole passes, then a part of one."""
    passes = [rng.permutation(group) for _ in range(-(-n // len(group)))]
    return np.concatenate(passes)[:n]


def _chunked(sampler: Sampler, *, n: int, keys: np.ndarray | None, epoch: int, rng: np.random.Generator) -> np.ndarray:
    starts = rng.permutation(np.arange(0, n, sampler.chunk))
    chunks = [start + rng.permutation(min(sampler.chunk, n - start)) for start in starts]
    return np.concatenate(chunks)


_ORDERS: Mapping[str, Callable[..., np.ndarray]] = {
    "uniform": _uniform,
    "staged": _staged,
    "balanced": _balanced,
    "chunked": _chunked,
}


def training_batches(rows: np.ndarray, *, batch_size: int, n_processes: int = 1) -> list[np.ndarray]:
    """Cut an epoch into batches.

    The last is as small as what is left over; where it would hold a single object for some process, it is joined to the
    one before it, because BatchNorm has no spread to divide by.
    """
    batches = batches_in_order(rows, batch_size=batch_size)
    if len(batches) > 1 and len(batches[-1]) < min(2 * n_processes, batch_size):
        batches[-2:] = [np.concatenate(batches[-2:])]
    return batches


def batches_in_order(rows: np.ndarray, *, batch_size: int) -> list[np.ndarray]:
    """Cut row numbers into batches, the last one as small as what is left over."""
    return np.split(rows, range(batch_size, len(rows), batch_size))


def require_keys(sampler: Sampler, *, values: np.ndarray | None, survey: str) -> np.ndarray | None:
    """Give the keys that a sampler chooses by, refusing those by which it cannot."""
    if sampler.column is None:
        return None
    is_number = values.dtype.kind in "fiu"
    if sampler.name == "staged" and not (is_number and np.isfinite(values).all()):
        raise ConfigError(
            f"Objects of {survey} were to be learned in stages by {sampler.column!r}.",
            received="text" if not is_number else f"{int((~np.isfinite(values)).sum()):,} values that are not finite",
            remedy="Name a column of numbers, the largest for the objects to begin with.",
        )
    return values
