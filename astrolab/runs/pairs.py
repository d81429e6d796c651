"""Every pair of arms on the same galaxies, experiment by experiment of a ledger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from astrolab.exploring.gathering import recorded_z_range
from astrolab.metrics.comparing import compare_models
from astrolab.metrics.grouping import ZRange
from astrolab.metrics.pairing import keep_common_seeds

if TYPE_CHECKING:
    from astrolab.runs.ledger import Ledger

COLUMNS = (
    *("study", "experiment", "direction", "survey", "label", "metric", "a", "b", "value_a", "value_b", "difference"),
    *("low", "high", "p_value", "a_better_frac", "better", "n", "n_seeds", "seed_std", "n_comparisons", "simulated"),
    *("level", "correction"),
)
_BY = list(COLUMNS[:3])
_WHOLE = "not fraction < 1 and not scale < 1 and not scale > 1"  # NaN, where a study has none, is not below 1


def compare_arms(
    ledger: Ledger,
    *,
    arms: Sequence[str] | None = None,
    z_range: ZRange | Literal["recorded"] = "recorded",
    **settings: Any,
) -> pd.DataFrame:
    """Compare every pair of arms of each experiment, and of each direction in it, on the same galaxies.

    Arms are compared at the whole fine-tuning set, on the seeds that all of them have.

    Parameters
    ----------
    ledger : Ledger
        From :func:`astrolab.load_ledger`; runs that a newer one repeats are left out.
    arms : sequence of str, optional
        By default all.
    z_range : (float, float), None or "recorded", optional
        True redshifts that are compared; recorded: those in which the runs of each experiment were scored.
    **settings
        As for :func:`astrolab.compare_models`: ``metrics``, ``level``, ``seeds`` and so on.

    Returns
    -------
    DataFrame
        :data:`COLUMNS`: ``study``, ``experiment``, ``direction`` (NaN where a study has none) and those of
        :func:`astrolab.compare_models`. Without a row where no experiment has two arms to compare;
        :func:`describe_pairs` says why.

    Raises
    ------
    RunError
        If no run has scores.
    """
    tables = []
    for told, names, part in _candidates(ledger, arms=arms):
        if len(names) > 1 and len(part.table):
            scored = recorded_z_range(part) if z_range == "recorded" else z_range
            tables.append(compare_models(part.predictions(), z_range=scored, **settings).assign(**told))
    compared = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(COLUMNS))
    return compared[[*_BY, *(name for name in compared if name not in _BY)]]


def describe_pairs(ledger: Ledger, *, arms: Sequence[str] | None = None) -> pd.DataFrame:
    """Say of each experiment, and of each direction in it, which arms :func:`compare_arms` compares, or why none.

    Parameters
    ----------
    ledger, arms
        As for :func:`compare_arms`.

    Returns
    -------
    DataFrame
        ``study``, ``experiment``, ``direction`` and ``compared``: in words.

    Raises
    ------
    RunError
        If no run has scores.
    """
    rows = []
    for told, names, part in _candidates(ledger, arms=arms):
        if len(names) < 2:
            words = f"nothing: {names[0]} alone" if names else "nothing: none of the arms that were asked for"
        elif part.table.empty:
            words = f"nothing: {', '.join(names)} have no training seed in common"
        else:
            words = f"every pair of {', '.join(names)}; training seeds: {part.table['seed'].nunique()}"
        rows.append(told | {"compared": words})
    return pd.DataFrame(rows)


def _candidates(ledger: Ledger, *, arms: Sequence[str] | None) -> Iterator[tuple[dict[str, Any], list[str], Ledger]]:
    """Of each experiment and direction its name, its arms, and what these have on the seeds that all of them share."""
    newest = ledger.newest()
    whole = newest.where(_WHOLE, **({} if arms is None else {"arm": list(arms)}))
    for told in newest.table[_BY].drop_duplicates().to_dict("records"):
        part = whole.where(**told)
        names = list(part.table["arm"].unique())
        seeds = keep_common_seeds(part.table)["seed"].unique() if names else []
        yield told, names, part.where(seed=list(seeds))
