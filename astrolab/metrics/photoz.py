"""Metrics on the residual δ of a quantity, as photometric redshifts are judged by them; and what LSST asks of these.

Variants that differ in centring, factor or cut have different names. The definitions marked *Tanaka 2018* are those
of PASJ 70, S9 (arXiv:1704.05988); Seenivasan et al. 2025 (arXiv:2601.00146) report ``bias``, ``scatter`` and
``catastrophic_rate``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from astrolab.errors import ConfigError
from astrolab.metrics.metric import Metric, Sample, register

MAD_TO_SIGMA = 1.4826  # standard deviation of a Gaussian whose median absolute deviation is 1
CATASTROPHIC_CUT = 1.0
_LOCATION_TUNING, _SCATTER_TUNING = 6.0, 9.0  # Beers, Flynn & Gebhardt 1990
_N_SIGMA, _N_CLIPS = 3.0, 5
_TANAKA = "Tanaka et al. 2018, PASJ 70, S9"
_PASQUET = "Pasquet et al. 2019, A&A 621, A26"
_BEERS = "Beers, Flynn & Gebhardt 1990, AJ 100, 32; Tanaka et al. 2018, PASJ 70, S9"


def _cut(sample: Sample) -> float:
    if sample.quantity.outlier is None:
        asked, cut = f"Outliers of {sample.quantity.words} were to be counted.", "a quantity without an outlier cut"
        remedy = "Give the label an `outlier` in the manifest, or leave out the metrics outlier_rate and loss."
        raise ConfigError(asked, received=cut, remedy=remedy)
    return sample.quantity.outlier


def _catastrophic_rate(sample: Sample) -> np.ndarray:
    if sample.quantity.error != "per_one_plus":
        asked, cut = f"Catastrophic errors of {sample.quantity.words} were to be counted.", CATASTROPHIC_CUT
        received = f"a quantity that is not a redshift: a cut of {cut:g} says nothing of it"
        raise ConfigError(asked, received=received, remedy="Leave out the metric catastrophic_rate.")
    return sample.mean(np.abs(sample.pred - sample.truth) > CATASTROPHIC_CUT)


def _loss(sample: Sample) -> np.ndarray:
    return sample.mean(1 - 1 / (1 + (sample.residual / _cut(sample)) ** 2))


def _scatter(sample: Sample, *, about: np.ndarray | float) -> np.ndarray:
    return MAD_TO_SIGMA * sample.median_distance(about)


def _std(sample: Sample) -> np.ndarray:
    # About the overall mean, or the difference of the two moments would cancel digits away.
    offset = sample.residual - sample.residual.mean()
    return np.sqrt(np.maximum(sample.mean(offset**2) - sample.mean(offset) ** 2, 0.0))


def _sigma_clipped(sample: Sample) -> np.ndarray:
    low, high = -np.inf, np.inf
    for _ in range(_N_CLIPS):
        median, std = sample.within(low=low, high=high)
        low, high = np.maximum(low, median - _N_SIGMA * std), np.minimum(high, median + _N_SIGMA * std)
    return sample.within(low=low, high=high)[1]


def _biweight(sample: Sample, *, tuning: float) -> tuple[np.ndarray, ...]:
    """Median M of δ, its distance from the median in units of `tuning` MADs, and 1 where that is below 1."""
    median = np.asarray(sample.median)
    mad = np.asarray(sample.median_distance(sample.median))
    offset = sample.residual - median[..., None]
    u2 = (offset / (tuning * np.where(mad > 0, mad, 1.0)[..., None])) ** 2
    return median, mad, offset, u2, u2 < 1


def _biweight_location(sample: Sample) -> np.ndarray:
    median, mad, offset, u2, inside = _biweight(sample, tuning=_LOCATION_TUNING)
    weight = np.where(inside, (1 - u2) ** 2, 0.0)
    return np.where(mad > 0, median + sample.mean(offset * weight) / sample.mean(weight), median)


def _biweight_scale(sample: Sample) -> np.ndarray:
    _, mad, offset, u2, inside = _biweight(sample, tuning=_SCATTER_TUNING)
    above = sample.mean(inside * offset**2 * (1 - u2) ** 4)
    below = sample.mean(inside * (1 - u2) * (1 - 5 * u2))
    return np.where(mad > 0, np.sqrt(above) / np.abs(below), 0.0)


_CUT = f"{_TANAKA}; c is the outlier cut of the quantity"
_ILBERT = "Ilbert et al. 2009, ApJ 690, 1236"
_ZHAO = "Zhao et al. 2026, arXiv:2602.15021, with the defaults of astropy.stats.sigma_clip"
_SEENIVASAN = "Seenivasan et al. 2025, arXiv:2601.00146; of redshifts only, not divided by 1 + z"
_MAD = r"1.4826\,\mathrm{median}(|\delta - \mathrm{median}(\delta)|)"
_MAD_ZERO = r"1.4826\,\mathrm{median}(|\delta|)"
_STD = r"\sqrt{\langle (\delta - \langle \delta \rangle)^2 \rangle}"
_CLIPPED = r"\mathrm{std}(\delta : |\delta - \mathrm{median}(\delta)| \le 3\,\mathrm{std}(\delta)),\; 5\ \mathrm{times}"
_RMS = r"\sqrt{\langle \delta^2 \rangle}"
_CATASTROPHIC, _OUTLIER = r"\langle |\hat y - y| > 1 \rangle", r"\langle |\delta| > c \rangle"
_LOSS = r"\langle 1 - 1/(1 + (\delta/c)^2) \rangle"
_LOCATION = (
    r"M + \frac{\sum_{|u|<1} (\delta - M)(1-u^2)^2}{\sum_{|u|<1} (1-u^2)^2},"
    r"\; u = \frac{\delta - M}{6\,\mathrm{MAD}},\; M = \mathrm{median}(\delta)"
)
_SCALE = (
    r"\frac{\sqrt{n \sum_{|u|<1} (\delta - M)^2 (1-u^2)^4}}{|\sum_{|u|<1} (1-u^2)(1-5u^2)|},"
    r"\; u = \frac{\delta - M}{9\,\mathrm{MAD}},\; M = \mathrm{median}(\delta)"
)
_RATE = {"unit": "1", "is_fraction": True}
for _metric in (
    Metric("bias", "bias", r"\mathrm{median}(\delta)", _TANAKA, lambda s: s.median, sign="zero"),
    Metric("bias_mean", "mean bias", r"\langle \delta \rangle", _PASQUET, lambda s: s.mean(s.residual), sign="zero"),
    Metric("scatter", "scatter", _MAD, _TANAKA, lambda s: _scatter(s, about=s.median)),
    Metric("scatter_uncentred", "scatter about zero", _MAD_ZERO, _ILBERT, lambda s: _scatter(s, about=0.0)),
    Metric("scatter_std", "standard deviation", _STD, "standard deviation, 1/n", _std),
    Metric("sigma_clipped", "3σ-clipped deviation", _CLIPPED, _ZHAO, _sigma_clipped),
    Metric("catastrophic_rate", "catastrophic rate", _CATASTROPHIC, _SEENIVASAN, _catastrophic_rate, **_RATE),
    Metric("outlier_rate", "outlier rate", _OUTLIER, _CUT, lambda s: s.mean(np.abs(s.residual) > _cut(s)), **_RATE),
    Metric("loss", "loss", _LOSS, _CUT, _loss, unit="1"),
    Metric("biweight_bias", "biweight bias", _LOCATION, _BEERS, _biweight_location, sign="zero"),
    Metric("biweight_scatter", "biweight scatter", _SCALE, _BEERS, _biweight_scale),
    Metric("rmse_dz", "rms residual", _RMS, "root mean square", lambda s: np.sqrt(s.mean(s.residual**2))),
):
    register(replace(_metric, on_resamples=True))


@dataclass(frozen=True)
class Requirement:
    """The largest value of a metric of one label that a survey's science allows."""

    survey: str
    label: str
    metric: str
    limit: float
    reference: str
    note: str = ""


_LSST = (
    "LSST Science Requirements Document (LPM-17); Graham et al. 2018, AJ 155, 1; used by Seenivasan et al. 2025, "
    "arXiv:2601.00146"
)
_MISPRINT = "Tables 2 and 3 of arXiv:2601.00146 print 0.03, a misprint: the text and the figures use 0.003."
REQUIREMENTS = (
    Requirement("LSST", "z", "bias", 0.003, _LSST, note=_MISPRINT),
    Requirement("LSST", "z", "scatter", 0.02, _LSST),
)


def find_requirement(metric: str, *, label: str) -> Requirement | None:
    """Return what is asked of a metric of a label, if anything is."""
    return next((one for one in REQUIREMENTS if (one.metric, one.label) == (metric, label)), None)
