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


for _metric in (
    Metric(
        "rmse",
        "rms error",
        r"\sqrt{\langle (\hat y - y)^2 \rangle}",
        "root mean square",
        lambda s: np.sqrt(s.mean((s.pred - s.truth) ** 2)),
        unit="that of the label",
    ),
    Metric(
        "mae",
        "mean absolute error",
        r"\langle |\hat y - y| \rangle",
        "mean absolute error",
        lambda s: s.mean(np.abs(s.pred - s.truth)),
        unit="that of the label",
    ),
    Metric(
        "r2",
        "$R^2$",
        r"1 - \sum (\hat y - y)^2 / \sum (y - \langle y \rangle)^2",
        "coefficient of determination; Draper & Smith 1998, Applied Regression Analysis",
        _r2,
        sign="higher",
        unit="1",
    ),
    Metric(
        "pearson_r2",
        "$r^2$",
        r"\mathrm{cov}(y, \hat y)^2 / (\mathrm{var}(y)\,\mathrm{var}(\hat y))",
        "squared correlation; Pearson 1895, Proc. R. Soc. 58, 240",
        _pearson_r2,
        sign="higher",
        unit="1",
    ),
):
    register(replace(_metric, on_resamples=True))
