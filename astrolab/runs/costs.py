"""What the fits of a ledger cost: one row an arm, averaged over training seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from astrolab.runs.ledger import Ledger

COUNTS = ("n_train", "n_trainable", "n_trials", "n_seen")
TIMES = ("time_s", "search_time_s")
_CONDITIONS = ("direction", "fraction")


def summarise_costs(ledger: Ledger) -> pd.DataFrame:
    """Return what each arm cost, in the mean over its training seeds; base models too.

    Parameters
    ----------
    ledger : Ledger
        From :func:`astrolab.load_ledger`. Of fits that several runs of an experiment repeat, the newest counts; fits in
        different directions, or on different fractions of the fine-tuning set, are kept apart.

    Returns
    -------
    DataFrame
        ``study``, ``experiment``, ``direction`` and ``fraction`` (each only where any of the fits has one), ``arm``,
        ``n_seeds``, ``n_train`` (galaxies), ``n_trainable`` (parameters), ``n_trials`` (learning rates), ``n_seen``
        (galaxies, one counted once an epoch), ``time_s`` (of the fit that was kept), ``search_time_s`` (of all
        trials) and ``peak_memory_MB``.

    Raises
    ------
    RunError
        If no run has scores.
    """
    fits = ledger.newest().fits
    fits = fits.assign(
        direction=fits["p.direction"] if "p.direction" in fits else None,
        peak_memory_MB=fits["peak_memory_bytes"] / 1e6,
    )
    several = [name for name in _CONDITIONS if name in fits and fits[name].notna().any()]
    by = ["study", "experiment", *several, "arm"]
    grouped = fits.groupby(by, sort=False, dropna=False)
    # Beside a run without fits these columns hold numbers as objects.
    means = grouped[[*COUNTS, *TIMES, "peak_memory_MB"]].mean().astype(float)
    means.insert(0, "n_seeds", grouped["seed"].nunique())
    return means.reset_index()
