"""Predictions on the way from the base network to the adapted one, computed at some scales and interpolated between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from astrolab.errors import ConfigError, PredictionError
from astrolab.exploring.deviations import is_redshift
from astrolab.exploring.selection import OTHER_METRICS, REDSHIFT_METRICS
from astrolab.metrics import find_metric
from astrolab.metrics.grouping import Z_RANGE, ZRange, require_scorable


@dataclass(frozen=True, eq=False)
class PathOfSurvey:
    """One test set along the path."""

    object_id: np.ndarray
    truth: np.ndarray
    preds: np.ndarray
    scored: np.ndarray


@dataclass(frozen=True, eq=False)
class AdapterPath:
    """The same galaxies at every scale of an adapter, 0 being the base network and 1 the adapted one."""

    scales: np.ndarray
    surveys: Mapping[str, PathOfSurvey]
    scores: pd.DataFrame
    label: str
    simulated: bool

    @classmethod
    def of(
        cls, predictions: pd.DataFrame, *, metrics: Sequence[str] | None = None, z_range: ZRange = Z_RANGE
    ) -> AdapterPath:
        """Arrange predictions with a column ``scale`` galaxy by galaxy, and score them at every scale."""
        require_scorable(predictions, columns=["survey", "object_id", "label", "scale"])
        label = str(predictions["label"].iloc[0])
        redshift = is_redshift(label)
        metrics = metrics or (REDSHIFT_METRICS if redshift else OTHER_METRICS)[:3]
        z_range = z_range if redshift else None
        scales = np.sort(predictions["scale"].unique())
        if len(scales) < 2:
            raise PredictionError(
                "The path between a base network and its adapted one was to be explored.",
                received=f"predictions at {len(scales)} scale",
                remedy="Predict at several scales of the adapter, such as 0, 0.25, 0.5, 0.75 and 1.",
            )
        surveys = {
            str(name): _arrange(rows, scales=scales, name=str(name), z_range=z_range)
            for name, rows in predictions.groupby("survey", sort=False)
        }
        found = [find_metric(metric) for metric in metrics]
        rows = [
            {"scale": scale, "survey": name, "metric": metric.id, "value": _score(metric, path, k)}
            for name, path in surveys.items()
            for metric in found
            for k, scale in enumerate(scales)
        ]
        simulated = "simulated" in predictions and bool(predictions["simulated"].any())
        return cls(scales, surveys, pd.DataFrame(rows), label, simulated)

    def predictions_at(self, scale: float, *, survey: str) -> np.ndarray:
        """Give the predictions at a scale, linearly between the two nearest scales that were computed."""
        self._require_inside(scale)
        preds = self.surveys[survey].preds
        upper = int(np.clip(np.searchsorted(self.scales, scale), 1, len(self.scales) - 1))
        step = (scale - self.scales[upper - 1]) / (self.scales[upper] - self.scales[upper - 1])
        return (1.0 - step) * preds[upper - 1] + step * preds[upper]

    def scores_at(self, scale: float) -> pd.DataFrame:
        """Give the scores of every survey at a scale, linearly between the two nearest scales that were computed."""
        self._require_inside(scale)
        rows = []
        for (survey, metric), curve in self.scores.groupby(["survey", "metric"], sort=False):
            values = curve["value"].to_numpy()
            value = self._at(scale, values)
            ends = {"base": self._at(0.0, values), "adapted": self._at(1.0, values)}
            rows.append({"survey": survey, "metric": metric, "value": value} | ends)
        return pd.DataFrame(rows)

    def _at(self, scale: float, values: np.ndarray) -> float:
        return float(np.interp(scale, self.scales, values, left=np.nan, right=np.nan))

    def _require_inside(self, scale: float) -> None:
        if not self.scales[0] <= scale <= self.scales[-1]:
            raise ConfigError(
                "Predictions at a scale of an adapter were asked for.",
                received=f"scale {scale}",
                available=f"{self.scales[0]} to {self.scales[-1]}",
                remedy="Choose a scale on the path, or predict at more scales.",
            )


def _arrange(rows: pd.DataFrame, *, scales: np.ndarray, name: str, z_range: ZRange) -> PathOfSurvey:
    first = rows[rows["scale"] == scales[0]]
    ids = pd.Index(first["object_id"])
    preds = np.full((len(scales), len(ids)), np.nan)
    place = ids.get_indexer(rows["object_id"]) if ids.is_unique else np.full(len(rows), -1)
    if (place >= 0).all() and len(rows) == preds.size:
        preds[np.searchsorted(scales, rows["scale"].to_numpy()), place] = rows["pred"].to_numpy(float)
    if not np.isfinite(preds).all():
        raise PredictionError(
            f"Galaxies of {name!r} were to be followed along the scale of an adapter.",
            received="galaxies that are not there exactly once at every scale",
            remedy="Predict the same test set at every scale, with one seed.",
        )
    truth = first["truth"].to_numpy(float)
    low, high = z_range or (-np.inf, np.inf)
    scored = (truth > low) & (truth <= high)
    if not scored.any():
        raise PredictionError(
            f"Galaxies of {name!r} were to be scored.",
            received=f"no galaxy with truth in {z_range}",
            remedy="Widen z_range, or pass z_range=None to score all galaxies.",
        )
    return PathOfSurvey(first["object_id"].to_numpy(), truth, preds, scored)


def _score(metric, path: PathOfSurvey, k: int) -> float:
    return metric(truth=path.truth[path.scored], pred=path.preds[k, path.scored])
