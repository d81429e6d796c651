"""Some galaxies of a test set: which they are, how they score, and in which order to look at them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from astrolab.exploring.columns import slice_columns
from astrolab.exploring.deviations import is_redshift
from astrolab.metrics import REQUIREMENTS, find_metric, score
from astrolab.metrics.grouping import Z_RANGE, ZRange, within

REDSHIFT_METRICS = ("bias", "scatter", "outlier_rate", "catastrophic_rate")
OTHER_METRICS = ("rmse", "mae", "r2", "pearson_r2")
SPREADS = ("scatter", "scatter_std", "biweight_scatter", "r2", "pearson_r2")  # of one galaxy there is none
RESAMPLED_FROM = 10  # galaxies; below, resamples repeat so few values that their spread says nothing
RESAMPLED_UP_TO = 20_000  # galaxies; beyond, a bootstrap takes longer than a reader waits, and intervals are tiny
N_RESAMPLES = 100


def inside_slices(galaxies: pd.DataFrame, *, ranges: Mapping[str, tuple[float, float]]) -> np.ndarray:
    """Mark the galaxies that lie inside all of some ranges."""
    inside = np.ones(len(galaxies), dtype=bool)
    for name, (low, high) in ranges.items():
        values = galaxies[name].to_numpy(float)
        known = values[np.isfinite(values)]
        if known.size and (known.min() < low or known.max() > high):
            inside &= (values >= low) & (values <= high)
    return inside


def score_galaxies(
    galaxies: pd.DataFrame,
    *,
    rows: np.ndarray | None = None,
    metrics: Sequence[str] | None = None,
    z_range: ZRange = Z_RANGE,
    seed: int = 0,
) -> pd.DataFrame:
    """Score galaxies of one model, all of them or a selection."""
    redshift = is_redshift(str(galaxies["label"].iloc[0]))
    metrics = list(metrics or (REDSHIFT_METRICS if redshift else OTHER_METRICS))
    found = [find_metric(name) for name in metrics]
    about = pd.DataFrame(
        {
            "metric": metrics,
            "label": [one.label if one.unit == "1" else f"{one.label} ({one.unit})" for one in found],
            "limit": [REQUIREMENTS[name].limit if name in REQUIREMENTS else np.nan for name in metrics],
        }
    )
    scored = galaxies if rows is None else galaxies.iloc[np.arange(len(galaxies))[rows]]
    scored = within(scored, z_range=z_range if redshift else None)
    possible = metrics if len(scored) > 1 else [name for name in metrics if len(scored) and name not in SPREADS]
    about = about.assign(value=np.nan, low=np.nan, high=np.nan, n=len(scored))
    if not possible:
        return about
    n_bootstrap = N_RESAMPLES if len(scored) <= RESAMPLED_UP_TO else 0
    scores = score(scored, metrics=possible, by=(), z_range=None, n_bootstrap=n_bootstrap, seed=seed)
    numbers = scores.set_index("metric")[["value", "low", "high"]].reindex(metrics)
    if len(scored) < RESAMPLED_FROM:
        numbers.loc[[not one.is_fraction for one in found], ["low", "high"]] = np.nan
    return about.assign(**{name: numbers[name].to_numpy() for name in numbers})


def brightest_outliers_first(galaxies: pd.DataFrame, *, n: int | None = None) -> np.ndarray:
    """Put galaxies in the order in which they are worth a look."""
    if galaxies.empty:
        return np.zeros(0, dtype=int)
    is_outlier = galaxies["is_outlier"].to_numpy(bool)
    farthest = -np.abs(galaxies["deviation"].to_numpy(float))
    magnitude = next((column.name for column in slice_columns(galaxies) if column.kind == "magnitude"), None)
    bright = galaxies[magnitude].to_numpy(float) if magnitude else farthest
    return np.lexsort((farthest, np.where(is_outlier, bright, farthest), ~is_outlier))[:n]
