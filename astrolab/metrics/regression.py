"""Metrics of any real-valued label: errors in its own unit, and the two quantities called R squared."""

from __future__ import annotations

import numpy as np

from astrolab.metrics.bootstrap import Resampled
from astrolab.metrics.metric import Metric, register


def rmse(*, truth: np.ndarray, pred: np.ndarray) -> float:
    """Return the root mean square error, in the unit of the label."""
    return float(np.sqrt(np.mean((pred - truth) ** 2)))


def mae(*, truth: np.ndarray, pred: np.ndarray) -> float:
    """Return the mean absolute error, in the unit of the label."""
    return float(np.mean(np.abs(pred - truth)))


def r2(*, truth: np.ndarray, pred: np.ndarray) -> float:
    """Return the coefficient of determination: 1 is perfect, 0 is predicting the mean, negative is worse than that."""
    return float(1 - np.sum((pred - truth) ** 2) / np.sum((truth - np.mean(truth)) ** 2))


def pearson_r2(*, truth: np.ndarray, pred: np.ndarray) -> float:
    """Return the squared correlation of prediction and truth, blind to offset and slope."""
    return float(np.corrcoef(truth, pred)[0, 1] ** 2)


def _moments(resampled: Resampled) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Variance of truth, of prediction, and their covariance, of each resample."""
    # About the overall means, or the differences of moments would cancel digits away.
    truth = resampled.truth - resampled.truth.mean()
    pred = resampled.pred - resampled.pred.mean()
    mean_truth, mean_pred = resampled.mean(truth), resampled.mean(pred)
    return (
        resampled.mean(truth**2) - mean_truth**2,
        resampled.mean(pred**2) - mean_pred**2,
        resampled.mean(truth * pred) - mean_truth * mean_pred,
    )


def _resampled_r2(resampled: Resampled) -> np.ndarray:
    return 1 - resampled.mean((resampled.pred - resampled.truth) ** 2) / _moments(resampled)[0]


def _resampled_pearson_r2(resampled: Resampled) -> np.ndarray:
    variance_truth, variance_pred, covariance = _moments(resampled)
    return covariance**2 / (variance_truth * variance_pred)


register(
    Metric(
        id="rmse",
        label="rms error",
        formula=r"\sqrt{\langle (\hat z - z)^2 \rangle}",
        reference="root mean square",
        sign="lower",
        unit="that of the label",
        function=rmse,
        resampled=lambda r: np.sqrt(r.mean((r.pred - r.truth) ** 2)),
    )
)
register(
    Metric(
        id="mae",
        label="mean absolute error",
        formula=r"\langle |\hat z - z| \rangle",
        reference="mean absolute error",
        sign="lower",
        unit="that of the label",
        function=mae,
        resampled=lambda r: r.mean(np.abs(r.pred - r.truth)),
    )
)
register(
    Metric(
        id="r2",
        label="$R^2$",
        formula=r"1 - \sum (\hat z - z)^2 / \sum (z - \langle z \rangle)^2",
        reference="coefficient of determination; Draper & Smith 1998, Applied Regression Analysis",
        sign="higher",
        unit="1",
        function=r2,
        resampled=_resampled_r2,
    )
)
register(
    Metric(
        id="pearson_r2",
        label="$r^2$",
        formula=r"\mathrm{cov}(z, \hat z)^2 / (\mathrm{var}(z)\,\mathrm{var}(\hat z))",
        reference="squared correlation; Pearson 1895, Proc. R. Soc. 58, 240",
        sign="higher",
        unit="1",
        function=pearson_r2,
        resampled=_resampled_pearson_r2,
    )
)
