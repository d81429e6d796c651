"""What values of a parameter make sense, by its name: parameters of one name mean the same in every notebook."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from astrolab.errors import ParameterError

Rule = tuple[Callable[[Any], bool], str]


def _from(smallest: int) -> Rule:
    return lambda value: value >= smallest, f"a whole number from {smallest}"


def _one_of(*choices: str) -> Rule:
    return lambda value: value in choices, " or ".join(map(repr, choices))


def _between(low: float, high: float) -> Rule:
    return lambda value: low < value < high, f"a number between {low:g} and {high:g}"


def _are_several(values: Sequence[Any]) -> bool:
    return 0 < len(values) == len(set(values))


def _are_seeds(values: Sequence[int]) -> bool:
    return _are_several(values) and min(values) >= 0


RULES: Mapping[str, Rule] = {
    "seeds": (_are_seeds, "one or more different whole numbers from 0"),
    "data_seed": _from(0),
    "direction": _one_of("forward", "reverse"),
    "on_leak": _one_of("drop", "stop"),
    "validation": _one_of("fixed", "as_published"),
    "z_range": (lambda ends: len(ends) == 2 and ends[0] < ends[1], "two numbers, the smaller first"),
    **dict.fromkeys(("strategies", "adapters", "scales", "compared_metrics"), (_are_several, "one or more, each once")),
    "ranks": (lambda ranks: all(rank >= 1 for rank in ranks), "whole numbers from 1"),
    "plateau_tolerance": _between(0, 1),
    "budget_tolerance": _between(0, 1),
    "level": _between(0, 1),
    "base_learning_rate": _between(0, float("inf")),
    "budget_rank": _from(1),
    "n_galaxies": _from(1),
    "n_scales": _from(2),
    "n_trials": _from(1),
    "epochs": _from(1),
    "base_epochs": _from(1),
    "n_slices": _from(1),
    "n_pretrain": _from(0),
    "n_finetune": _from(0),
    "image_size": _from(0),
}


def require_sensible(name: str, *, value: Any, words: str) -> None:
    """Refuse a value that no study could run with, before anything is read or trained: of its declared type already."""
    holds, sensible = RULES.get(name, (lambda _: True, ""))
    if not holds(value):
        raise ParameterError(
            f"Parameter {name!r} was set ({words}).",
            received=repr(value),
            available=sensible,
            remedy=f"Give {name} such a value.",
        )
