"""Two models on the same galaxies, and what changed between them."""

from __future__ import annotations

import pandas as pd

from astrolab.errors import PredictionError
from astrolab.exploring.deviations import with_deviations

VERDICTS = ("nearer", "about the same", "farther")


def match_models(galaxies: pd.DataFrame, *, others: pd.DataFrame, at_least: float = 0.02) -> pd.DataFrame:
    """Put another model's predictions beside those of a first one, galaxy by galaxy.

    Parameters
    ----------
    galaxies, others : DataFrame
        Galaxies of one model each, on the same test set: columns ``object_id, label, truth, pred``.
    at_least : float
        Smallest change of abs(deviation) that counts (in units of 1 + z for a redshift).

    Returns
    -------
    DataFrame
        `galaxies` in their order, with ``pred_other``, ``deviation_other``, ``change`` = abs(deviation_other) -
        abs(deviation), and ``verdict``: whether the *other* model is ``"nearer"`` to the truth, ``"about the same"``
        or ``"farther"``.

    Raises
    ------
    PredictionError
        If the two were not applied to the same galaxies.
    """
    ids = pd.Index(others["object_id"])
    if not (ids.is_unique and galaxies["object_id"].is_unique):
        raise _not_the_same(galaxies, others, "object ids that occur twice")
    place = ids.get_indexer(galaxies["object_id"])
    if (place < 0).any() or len(ids) != len(place):
        n_common = int((place >= 0).sum())
        raise _not_the_same(galaxies, others, f"{len(place):,} and {len(ids):,} galaxies, {n_common:,} in common")
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
    names = [str(table["arm"].iloc[0]) if "arm" in table else "a model" for table in (galaxies, others)]
    return PredictionError(
        f"{names[0]} and {names[1]} were to be compared galaxy by galaxy.",
        received=received,
        remedy="Compare models of one run, on one test set and with one seed.",
    )
