r"""Metrics of photometric redshifts, on :math:`\Delta z = (\hat z - z) / (1 + z)`.

Variants that differ in centring, factor or cut have different names. The definitions marked *Tanaka 2018* are those
of PASJ 70, S9 (arXiv:1704.05988); Seenivasan et al. 2025 (arXiv:2601.00146) report ``bias``, ``scatter`` and
``catastrophic_rate``.
"""

from __future__ import annotations

import numpy as np

from astrolab.metrics.bootstrap import Resampled
from astrolab.metrics.metric import Metric, register

MAD_TO_SIGMA = 1.4826  # standard deviation of a Gaussian whose median absolute deviation is 1
LOSS_WIDTH = 0.15
OUTLIER_CUT = 0.15
CATASTROPHIC_CUT = 1.0
_LOCATION_TUNING, _SCATTER_TUNING = 6.0, 9.0  # Beers, Flynn & Gebhardt 1990
_TANAKA = "Tanaka et al. 2018, PASJ 70, S9"
_BEERS = "Beers, Flynn & Gebhardt 1990, AJ 100, 32; Tanaka et al. 2018, PASJ 70, S9"


def redshift_deviation(*, truth: np.ndarray, pred: np.ndarray) -> np.ndarray:
    """Return the redshift errors in units of 1 + z.

    >>> redshift_deviation(truth=np.array([1.0]), pred=np.array([1.2])).round(3).tolist()
    [0.1]
    """
    return (pred - truth) / (1 + truth)


def bias(*, truth: np.ndarray, pred: np.ndarray) -> float:
    """Return the median redshift error in units of 1 + z (Tanaka et al. 2018)."""
    return float(np.median(redshift_deviation(truth=truth, pred=pred)))


def bias_mean(*, truth: np.ndarray, pred: np.ndarray) -> float:
    """Return the mean redshift error in units of 1 + z (Pasquet et al. 2019)."""
    return float(np.mean(redshift_deviation(truth=truth, pred=pred)))


def scatter(*, truth: np.ndarray, pred: np.ndarray) -> float:
    """Return the width of the error distribution about its median, as a Gaussian sigma (Tanaka et al. 2018)."""
    dz = redshift_deviation(truth=truth, pred=pred)
    return float(MAD_TO_SIGMA * np.median(np.abs(dz - np.median(dz))))


def scatter_uncentred(*, truth: np.ndarray, pred: np.ndarray) -> float:
    """Return the width of the error distribution about zero, so that bias counts too (Ilbert et al. 2009)."""
    return float(MAD_TO_SIGMA * np.median(np.abs(redshift_deviation(truth=truth, pred=pred))))


def scatter_std(*, truth: np.ndarray, pred: np.ndarray) -> float:
    """Return the standard deviation of the redshift errors, outliers included."""
    return float(np.std(redshift_deviation(truth=truth, pred=pred)))


def catastrophic_rate(*, truth: np.ndarray, pred: np.ndarray) -> float:
    """Return the fraction of galaxies whose redshift is wrong by more than 1, whatever 1 + z."""
    return float(np.mean(np.abs(pred - truth) > CATASTROPHIC_CUT))


def outlier_rate(*, truth: np.ndarray, pred: np.ndarray) -> float:
    """Return the fraction of galaxies wrong by more than 0.15 (1 + z) (Tanaka et al. 2018)."""
    return float(np.mean(np.abs(redshift_deviation(truth=truth, pred=pred)) > OUTLIER_CUT))


def _loss_of_each(dz: np.ndarray) -> np.ndarray:
    return 1 - 1 / (1 + (dz / LOSS_WIDTH) ** 2)


def loss(*, truth: np.ndarray, pred: np.ndarray) -> float:
    """Return the mean loss of a point estimate, which no outlier raises above 1 (Tanaka et al. 2018)."""
    return float(np.mean(_loss_of_each(redshift_deviation(truth=truth, pred=pred))))


def _biweight(dz: np.ndarray, *, median: np.ndarray, mad: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, ...]:
    """Biweight location and scale of each resample; ``counts`` has shape (n_resamples, n)."""
    offset = dz - median[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        u2 = (offset / (_LOCATION_TUNING * mad[:, None])) ** 2
        weight = np.where(u2 < 1, (1 - u2) ** 2, 0.0) * counts
        location = median + (offset * weight).sum(axis=1) / weight.sum(axis=1)
        u2 = (offset / (_SCATTER_TUNING * mad[:, None])) ** 2
        inside = (u2 < 1) * counts
        above = (inside * offset**2 * (1 - u2) ** 4).sum(axis=1)
        below = (inside * (1 - u2) * (1 - 5 * u2)).sum(axis=1)
        scale = np.sqrt(counts.sum(axis=1) * above) / np.abs(below)
    return np.where(mad > 0, location, median), np.where(mad > 0, scale, 0.0)


def _biweight_once(*, truth: np.ndarray, pred: np.ndarray) -> tuple[float, float]:
    dz = redshift_deviation(truth=truth, pred=pred)
    median = np.median(dz, keepdims=True)
    mad = np.median(np.abs(dz - median), keepdims=True)
    location, scale = _biweight(dz, median=median, mad=mad, counts=np.ones((1, len(dz))))
    return float(location[0]), float(scale[0])


def biweight_bias(*, truth: np.ndarray, pred: np.ndarray) -> float:
    """Return the biweight location of the redshift errors (tuning constant 6; Beers et al. 1990)."""
    return _biweight_once(truth=truth, pred=pred)[0]


def biweight_scatter(*, truth: np.ndarray, pred: np.ndarray) -> float:
    """Return the biweight scale of the redshift errors (tuning constant 9; Beers et al. 1990)."""
    return _biweight_once(truth=truth, pred=pred)[1]


def rmse_dz(*, truth: np.ndarray, pred: np.ndarray) -> float:
    """Return the root mean square redshift error in units of 1 + z."""
    return float(np.sqrt(np.mean(redshift_deviation(truth=truth, pred=pred) ** 2)))


def _resampled_distance(resampled: Resampled, *, centred: bool) -> np.ndarray:
    ordered = resampled.ordered_dz
    centre = ordered.median if centred else np.zeros_like(ordered.median)
    return MAD_TO_SIGMA * ordered.median_distance(centre)


def _resampled_std(resampled: Resampled) -> np.ndarray:
    # About the overall mean, or the difference of the two moments would cancel digits away.
    offset = resampled.dz - resampled.dz.mean()
    return np.sqrt(np.maximum(resampled.mean(offset**2) - resampled.mean(offset) ** 2, 0.0))


def _resampled_biweight(resampled: Resampled) -> tuple[np.ndarray, ...]:
    ordered = resampled.ordered_dz
    mad = ordered.median_distance(ordered.median)
    return _biweight(resampled.dz, median=ordered.median, mad=mad, counts=resampled.draws.weights)


register(
    Metric(
        id="bias",
        label="bias",
        formula=r"\mathrm{median}(\Delta z)",
        reference=_TANAKA,
        sign="zero",
        unit="1",
        function=bias,
        resampled=lambda r: r.ordered_dz.median,
    )
)
register(
    Metric(
        id="bias_mean",
        label="mean bias",
        formula=r"\langle \Delta z \rangle",
        reference="Pasquet et al. 2019, A&A 621, A26",
        sign="zero",
        unit="1",
        function=bias_mean,
        resampled=lambda r: r.mean(r.dz),
    )
)
register(
    Metric(
        id="scatter",
        label="scatter",
        formula=r"1.4826\,\mathrm{median}(|\Delta z - \mathrm{median}(\Delta z)|)",
        reference=_TANAKA,
        sign="lower",
        unit="1",
        function=scatter,
        resampled=lambda r: _resampled_distance(r, centred=True),
    )
)
register(
    Metric(
        id="scatter_uncentred",
        label="scatter about zero",
        formula=r"1.4826\,\mathrm{median}(|\Delta z|)",
        reference="Ilbert et al. 2009, ApJ 690, 1236",
        sign="lower",
        unit="1",
        function=scatter_uncentred,
        resampled=lambda r: _resampled_distance(r, centred=False),
    )
)
register(
    Metric(
        id="scatter_std",
        label="standard deviation",
        formula=r"\sqrt{\langle (\Delta z - \langle \Delta z \rangle)^2 \rangle}",
        reference="standard deviation, 1/n",
        sign="lower",
        unit="1",
        function=scatter_std,
        resampled=_resampled_std,
    )
)
register(
    Metric(
        id="catastrophic_rate",
        label="catastrophic rate",
        formula=r"\langle |\hat z - z| > 1 \rangle",
        reference="Seenivasan et al. 2025, arXiv:2601.00146 (not divided by 1 + z)",
        sign="lower",
        unit="1",
        function=catastrophic_rate,
        resampled=lambda r: r.mean(np.abs(r.pred - r.truth) > CATASTROPHIC_CUT),
        is_fraction=True,
    )
)
register(
    Metric(
        id="outlier_rate",
        label="outlier rate",
        formula=r"\langle |\Delta z| > 0.15 \rangle",
        reference=_TANAKA,
        sign="lower",
        unit="1",
        function=outlier_rate,
        resampled=lambda r: r.mean(np.abs(r.dz) > OUTLIER_CUT),
        is_fraction=True,
    )
)
register(
    Metric(
        id="loss",
        label="loss",
        formula=r"\langle 1 - 1/(1 + (\Delta z/0.15)^2) \rangle",
        reference=_TANAKA,
        sign="lower",
        unit="1",
        function=loss,
        resampled=lambda r: r.mean(_loss_of_each(r.dz)),
    )
)
register(
    Metric(
        id="biweight_bias",
        label="biweight bias",
        formula=r"M + \frac{\sum_{|u|<1} (\Delta z - M)(1-u^2)^2}{\sum_{|u|<1} (1-u^2)^2},"
        r"\; u = \frac{\Delta z - M}{6\,\mathrm{MAD}},\; M = \mathrm{median}(\Delta z)",
        reference=_BEERS,
        sign="zero",
        unit="1",
        function=biweight_bias,
        resampled=lambda r: _resampled_biweight(r)[0],
    )
)
register(
    Metric(
        id="biweight_scatter",
        label="biweight scatter",
        formula=r"\frac{\sqrt{n \sum_{|u|<1} (\Delta z - M)^2 (1-u^2)^4}}{|\sum_{|u|<1} (1-u^2)(1-5u^2)|},"
        r"\; u = \frac{\Delta z - M}{9\,\mathrm{MAD}},\; M = \mathrm{median}(\Delta z)",
        reference=_BEERS,
        sign="lower",
        unit="1",
        function=biweight_scatter,
        resampled=lambda r: _resampled_biweight(r)[1],
    )
)
register(
    Metric(
        id="rmse_dz",
        label="rms error",
        formula=r"\sqrt{\langle \Delta z^2 \rangle}",
        reference="root mean square",
        sign="lower",
        unit="1",
        function=rmse_dz,
        resampled=lambda r: np.sqrt(r.mean(r.dz**2)),
    )
)
