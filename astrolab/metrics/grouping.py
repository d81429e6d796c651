"""Which rows of a predictions table are scored together, and which tables cannot be scored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from astrolab.errors import PredictionError

DEFAULT_METRICS = ("bias", "scatter", "catastrophic_rate", "outlier_rate", "loss")
Z_RANGE = (0.3, 1.5)
GROUPS = ("direction", "arm", "fraction", "scale", "seed", "survey", "label")
CONDITIONS = ("fraction", "scale")  # what is turned while the arm stays the same

ZRange = tuple[float, float] | None


def groups_of(predictions: pd.DataFrame) -> list[str]:
    """Return the columns that tell models, surveys and labels apart in this table."""
    return [name for name in GROUPS if name in predictions]


def require_scorable(predictions: pd.DataFrame, *, columns: Sequence[str]) -> None:
    """Refuse a table that lacks columns, or whose truths and predictions are not all numbers."""
    missing = [name for name in ("truth", "pred", *columns) if name not in predictions]
    if missing:
        raise PredictionError(
            "Predictions were to be scored.",
            received=f"a table without {', '.join(missing)}",
            available=", ".join(map(str, predictions.columns)),
            remedy="Pass the table that `predict` returned, and group by columns it has.",
        )
    for name in ("truth", "pred"):
        bad = ~np.isfinite(predictions[name].to_numpy(float))
        if bad.any():
            raise PredictionError(
                "Predictions were to be scored.",
                received=f"{bad.sum():,} of {len(bad):,} rows where {name} is NaN or infinite",
                remedy="Find out why; a galaxy without a prediction is not scored as if it were not there.",
            )


def within(predictions: pd.DataFrame, *, z_range: ZRange) -> pd.DataFrame:
    """Return the galaxies whose true redshift lies in ``(low, high]``."""
    if z_range is None:
        return predictions
    low, high = z_range
    return predictions[predictions["truth"].gt(low) & predictions["truth"].le(high)]


def iterate_groups(predictions: pd.DataFrame, *, by: list[str], z_range: ZRange) -> Iterator[tuple[dict, pd.DataFrame]]:
    """Give the galaxies of each group, in the order in which groups first appear."""
    grouped = predictions.groupby(by, sort=False, dropna=False, observed=True) if by else [((), predictions)]
    for values, group in grouped:
        key = dict(zip(by, values, strict=True))
        galaxies = within(group, z_range=z_range)
        if galaxies.empty:
            name = ", ".join(f"{column}={value}" for column, value in key.items()) or "the table"
            raise PredictionError(
                "Predictions were to be scored.",
                received=f"no galaxy with truth in {z_range} among the {len(group):,} of {name}",
                remedy="Widen z_range, or pass z_range=None to score all galaxies.",
            )
        yield key, galaxies
