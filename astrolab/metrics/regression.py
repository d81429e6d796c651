"""Metrics of any real-valued label: errors in its own unit, and the two quantities called R squared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from astrolab.metrics.metric import Metric, Sample, register


def _moments(sample: Sample) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Variance of truth, of prediction, and their covariance."""
    # About the overall means, or the differences of moments would cancel digits away.
    truth, pred = sample.truth - sample.truth.mean(), sample.pred - sample.pred.mean()
    mean_truth, mean_pred = sample.mean(truth), sample.mean(pred)
    return (
        sample.mean(truth**2) - mean_truth**2,
        sample.mean(pred**2) - mean_pred**2,
        sample.mean(truth * pred) - mean_truth * mean_pred,
    )


def _r2(sample: Sample) -> np.ndarray:
    variance, _, _ = _moments(sample)
    return 1 - sample.mean((sample.pred - sample.truth) ** 2) / variance


def _pearson_r2(sample: Sample) -> np.ndarray:
    variance_truth, variance_pred, covariance = _moments(sample)
    return covariance**2 / (variance_truth * variance_pred)


def _rmse(sample: Sample) -> np.ndarray:
    return np.sqrt(sample.mean((sample.pred - sample.truth) ** 2))


def _mae(sample: Sample) -> np.ndarray:
    return sample.mean(np.abs(sample.pred - sample.truth))


_PLAIN, _SQUARED = {"unit": "that of the label"}, {"sign": "higher", "unit": "1"}
_DETERMINATION = "coefficient of determination; Draper & Smith 1998, Applied Regression Analysis"
_CORRELATION = "squared correlation; Pearson 1895, Proc. R. Soc. 58, 240"
_R2 = r"1 - \sum (\hat y - y)^2 / \sum (y - \langle y \rangle)^2"
_PEARSON_R2 = r"\mathrm{cov}(y, \hat y)^2 / (\mathrm{var}(y)\,\mathrm{var}(\hat y))"
for _metric in (
    Metric("rmse", "rms error", r"\sqrt{\langle (\hat y - y)^2 \rangle}", "root mean square", _rmse, **_PLAIN),
    Metric("mae", "mean absolute error", r"\langle |\hat y - y| \rangle", "mean absolute error", _mae, **_PLAIN),
    Metric("r2", "$R^2$", _R2, _DETERMINATION, _r2, **_SQUARED),
    Metric("pearson_r2", "$r^2$", _PEARSON_R2, _CORRELATION, _pearson_r2, **_SQUARED),
):
    register(replace(_metric, on_resamples=True))
