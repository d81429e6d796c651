"""Which printed numbers belong beside a run: those of a model that was moved the same way between the same surveys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import pandas as pd

from astrolab.published import list_published, load_published

Direction = Literal["forward", "reverse", "elsewhere"]
_LABELS = {"transferz": "TransferZ", "galaxiesml": "GalaxiesML"}
_MOVES: dict[tuple[str, ...], Direction] = {
    ("transferz", "galaxiesml"): "forward",
    ("galaxiesml", "transferz"): "reverse",
}


def find_direction(parameters: Mapping[str, Any] | pd.Series, *, prefix: str = "") -> Direction:
    """Say which of the paper's two ways a model was moved, however the parameters of its run spell it.

    >>> find_direction({"pretrain_survey": "twin-transferz", "finetune_survey": "twin-galaxiesml"})
    'forward'
    >>> find_direction({"pretrain_survey": "galaxiesml", "finetune_survey": "transferz"})
    'reverse'
    """
    return _MOVES.get(_move(parameters, prefix=prefix), "elsewhere")


def load_counterpart(study: str, *, parameters: Mapping[str, Any]) -> pd.DataFrame:
    """Return what the paper printed of models that were moved as those of a run.

    Parameters
    ----------
    study : str
        Name of a study.
    parameters : mapping
        Parameters of the run, from :func:`astrolab.read_parameters`.

    Returns
    -------
    DataFrame
        As from :func:`astrolab.load_published`; without a row, but with its columns, where the surveys are others, or
        nothing was printed of this direction. :func:`describe_counterpart` says which.

    Raises
    ------
    UnknownNameError
        If no numbers of the study were published.
    """
    published = load_published(study)
    direction = find_direction(parameters)
    if direction not in set(published["direction"]):
        return published.iloc[:0]
    return published[published["direction"].isin([direction, "both"])].reset_index(drop=True)


def describe_counterpart(study: str, *, parameters: Mapping[str, Any]) -> str:
    """Say in words what the paper printed of models that were moved as those of a run, or that it printed nothing.

    Parameters
    ----------
    study, parameters
        As for :func:`load_counterpart`; a study of which no numbers were published is no mistake here.

    Returns
    -------
    str

    Examples
    --------
    >>> moved = {"pretrain_survey": "twin-galaxiesml", "finetune_survey": "twin-transferz"}
    >>> describe_counterpart("data_fractions", parameters=moved)
    'nothing: of this study the paper printed TransferZ → GalaxiesML only, not GalaxiesML → TransferZ'
    >>> describe_counterpart("lora_vs_transfer", parameters=moved)
    'what the paper printed of GalaxiesML → TransferZ, measured on other data'
    """
    if study not in list_published():
        return "nothing: of this study the paper printed no numbers"
    moved, printed = _in_words(_move(parameters)), set(load_published(study)["direction"])
    if find_direction(parameters) in printed:
        return f"what the paper printed of {moved}, measured on other data"
    ways = " and ".join(_in_words(move) for move, direction in _MOVES.items() if direction in printed)
    return f"nothing: of this study the paper printed {ways} only, not {moved}"


def _move(parameters: Mapping[str, Any] | pd.Series, *, prefix: str = "") -> tuple[str, ...]:
    """The real surveys that a model was moved from and to."""
    names = ["pretrain_survey", "finetune_survey"]
    if parameters.get(f"{prefix}direction") == "reverse":
        names.reverse()
    return tuple(str(parameters.get(f"{prefix}{name}")).removeprefix("twin-") for name in names)


def _in_words(move: tuple[str, ...]) -> str:
    return " → ".join(_LABELS.get(name, name) for name in move)
