"""Two models on the same galaxies, and what changed between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from astrolab.errors import PredictionError
from astrolab.exploring.choices import Choices
from astrolab.exploring.deviations import with_deviations

VERDICTS = ("nearer", "about the same", "farther")
_OF_THE_TEST_SET = ("survey", "label")
_NAMED = ("run", "arm", "fraction", "seed")


def other_models(choices: Choices, *, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give the models that a first one can be compared with: all others on the same test set, in any run."""
    models = (dict(zip(choices.options, key, strict=True)) for key in choices.rows)
    others = [model for model in models if model != values and all(model[k] == values[k] for k in _OF_THE_TEST_SET)]
    return sorted(others, key=lambda other: _how_other(values, other))


def _how_other(values: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[int, bool]:
    changed = difference(values, other=other)
    return len(changed), naming_column(values) not in changed


def difference(values: Mapping[str, Any], *, other: Mapping[str, Any]) -> dict[str, Any]:
    """Give what another model has, where the first has something else."""
    return {name: value for name, value in other.items() if value != values[name]}


def naming_column(values: Mapping[str, Any]) -> str:
    """Give the column that models go by: their arm, or their run where there are no arms."""
    return "arm" if "arm" in values else "run"


def short_name(values: Mapping[str, Any], *, other: Mapping[str, Any]) -> str:
    """Give the name of another model, as seen from a first one.

    >>> first = {"arm": "tl", "seed": 0}
    >>> short_name(first, other={"arm": "lora", "seed": 0}), short_name(first, other={"arm": "lora", "seed": 1})
    ('lora', 'arm=lora, seed=1')
    """
    changed = difference(values, other=other)
    if list(changed) == [naming_column(values)]:
        return str(*changed.values())
    return ", ".join(f"{name}={value}" for name, value in changed.items())


def match_models(galaxies: pd.DataFrame, *, others: pd.DataFrame, at_least: float = 0.02) -> pd.DataFrame:
    """Put another model's predictions beside those of a first one, galaxy by galaxy."""
    ids = pd.Index(others["object_id"])
    if not (ids.is_unique and galaxies["object_id"].is_unique):
        raise _not_the_same(galaxies, others, "object ids that occur twice")
    place = ids.get_indexer(galaxies["object_id"])
    if (place < 0).any() or len(ids) != len(place):
        n_common = int((place >= 0).sum())
        raise _not_the_same(galaxies, others, f"{len(place):,} and {len(ids):,} galaxies, {n_common:,} in common")
    truths = (galaxies["truth"].to_numpy(float), others["truth"].to_numpy(float)[place])
    n_moved = int((~np.isclose(*truths, rtol=1e-5, equal_nan=True)).sum())  # a table may have gone through float32
    if n_moved:
        raise _not_the_same(galaxies, others, f"another true value for {n_moved:,} of {len(place):,} ids")
    ours = galaxies if "deviation" in galaxies else with_deviations(galaxies)
    theirs = with_deviations(others.iloc[place])
    change = theirs["deviation"].abs().to_numpy() - ours["deviation"].abs().to_numpy()
    number = 1 + (change >= at_least).astype(int) - (change <= -at_least)
    return ours.assign(
        pred_other=theirs["pred"].to_numpy(),
        deviation_other=theirs["deviation"].to_numpy(),
        change=change,
        verdict=pd.Categorical.from_codes(number, categories=list(VERDICTS)),
    )


def _not_the_same(galaxies: pd.DataFrame, others: pd.DataFrame, received: str) -> PredictionError:
    names = [", ".join(str(table[name].iloc[0]) for name in _NAMED if name in table) for table in (galaxies, others)]
    return PredictionError(
        f"{names[0] or 'A model'} and {names[1] or 'another'} were to be compared galaxy by galaxy.",
        received=received,
        remedy="Compare models that predicted the same galaxies, such as those of one run.",
    )
