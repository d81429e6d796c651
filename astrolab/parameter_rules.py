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


def _are_seeds(values: Sequence[int]) -> bool:
    return 0 < len(values) == len(set(values)) and min(values) >= 0


RULES: Mapping[str, Rule] = {
    "seeds": (_are_seeds, "one or more different whole numbers from 0"),
    "data_seed": _from(0),
    "direction": _one_of("forward", "reverse"),
    "on_leak": _one_of("drop", "stop"),
    "validation": _one_of("fixed", "as_published"),
    "z_range": (lambda ends: len(ends) == 2 and ends[0] < ends[1], "two numbers, the smaller first"),
    "n_trials": _from(1),
    "epochs": _from(1),
    "base_epochs": _from(1),
    "n_slices": _from(1),
    "n_pretrain": _from(0),
    "n_finetune": _from(0),
    "image_size": _from(0),
}


def require_sensible(name: str, *, value: Any, words: str) -> None:
    """Refuse a value that no study could run with, before anything is read or trained.

    Parameters
    ----------
    name : str
        Of a parameter; one without a rule may be anything of its type.
    value : object
        Of its declared type already.
    words : str
        What it is, for the message.

    Raises
    ------
    ParameterError
    """
    holds, sensible = RULES.get(name, (lambda _: True, ""))
    if not holds(value):
        raise ParameterError(
            f"Parameter {name!r} was set ({words}).",
            received=repr(value),
            available=sensible,
            remedy=f"Give {name} such a value.",
        )
