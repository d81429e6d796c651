"""How sharp and how deep a survey's images are, measured on its own galaxies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from astrolab.datasets.survey import Survey
from astrolab.errors import unknown_name

SIGMA_PER_MAD = 1.482602218505602  # of a Gaussian: 1 / Φ⁻¹(3/4)
CORE_PX, BODY_PX, WHOLE_PX = 3, 11, 21
BRIGHT_SN = 50.0
COMPACT_FRAC = 0.05
N_COMPACT_MIN = 8


def sky_sigma(stamps: np.ndarray) -> np.ndarray:
    """Return the noise of each band, from differences of neighbouring pixels, which a smooth galaxy hardly changes."""
    difference = np.abs(np.diff(stamps, axis=-1))
    return SIGMA_PER_MAD * np.median(difference, axis=(-2, -1)) / np.sqrt(2.0)


def measure_imaging(survey: Survey, *, n_max: int = 1000) -> pd.DataFrame:
    """Measure seeing, noise, zero point and depth of a survey in every band, beside what it states of itself.

    The point-spread function is a Moffat profile (Moffat 1969, A&A 3, 455) fitted to the median of the most compact
    bright galaxies, so that its width is an upper limit: no galaxy is quite a point. The zero point is the one that
    makes the fluxes of these galaxies agree with their catalogue magnitudes. The depth is the magnitude of a point
    source five times as bright as the noise under the best weighting, the profile itself: noise per pixel times the
    square root of the profile's noise-equivalent area, ``π α² (2β - 1) / (β - 1)²``.

    Parameters
    ----------
    survey : Survey
        With images.
    n_max : int
        At most so many galaxies are looked at, spread evenly over the survey.

    Returns
    -------
    DataFrame
        One row a band: ``survey``, ``band``, ``sky_sigma`` (unit of the pixels), ``zero_point_mag``, ``fwhm_arcsec``,
        ``depth_mag`` (5σ, point source), ``stated_fwhm_arcsec``, ``stated_depth_mag`` (of a twin: what it was simulated
        with), ``n_compact``, ``simulated``. NaN where fewer than eight compact galaxies are bright enough, or where the
        survey lacks what it takes: pixel scale, magnitudes.

    Raises
    ------
    UnknownNameError
        If the survey has no images.
    """
    if "image" not in survey.inputs:
        raise unknown_name(f"input of {survey.name!r}", name="image", names=survey.inputs)
    rows = np.unique(np.linspace(0, len(survey) - 1, min(n_max, len(survey))).round().astype(int))
    part = survey.take(rows)
    stamps = np.asarray(part.inputs["image"][:], dtype=float)
    magnitudes = np.asarray(part.inputs["magnitudes"][:]) if "magnitudes" in part.inputs else None
    sky = np.median(sky_sigma(_rim(stamps)), axis=0)
    scale = survey.provenance.pixel_scale_arcsec or np.nan
    measured = []
    for number, band in enumerate(survey.bands):
        mags = magnitudes[:, number] if magnitudes is not None else np.full(len(part), np.nan)
        measured.append({"band": band, **_measure_band(stamps[:, number], sky=sky[number], mags=mags, scale=scale)})
    knobs = survey.provenance.knobs
    stated = {f"stated_{name}": _stated(knobs, key, n_bands=len(survey.bands)) for name, key in _STATED.items()}
    table = pd.DataFrame(measured).assign(**stated, simulated=survey.provenance.simulated)
    table.insert(0, "survey", survey.name)
    return table


_STATED = {"fwhm_arcsec": "seeing_arcsec", "depth_mag": "depth_mag"}


def _stated(knobs: dict, key: str, *, n_bands: int) -> Sequence[float]:
    return knobs.get(key, [np.nan] * n_bands)


def _measure_band(stamps: np.ndarray, *, sky: float, mags: np.ndarray, scale: float) -> dict[str, float]:
    compact = _most_compact(stamps, sky=sky)
    found = {"sky_sigma": sky, "zero_point_mag": np.nan, "fwhm_arcsec": np.nan, "depth_mag": np.nan}
    if len(compact) >= N_COMPACT_MIN:
        flux = _in_box(stamps[compact], WHOLE_PX)
        zero_point = np.nanmedian(mags[compact] + 2.5 * np.log10(flux)) if np.isfinite(mags[compact]).any() else np.nan
        fwhm_px, noise_area_px = fit_moffat(np.median(stamps[compact] / flux[:, None, None], axis=0))
        depth = zero_point - 2.5 * np.log10(5 * sky * np.sqrt(noise_area_px))
        found |= {"zero_point_mag": zero_point, "fwhm_arcsec": fwhm_px * scale, "depth_mag": depth}
    return {**found, "n_compact": len(compact)}


def _most_compact(stamps: np.ndarray, *, sky: float) -> np.ndarray:
    """Numbers of the galaxies with most of their light in the middle, among the bright ones."""
    core, body = _in_box(stamps, CORE_PX), _in_box(stamps, BODY_PX)
    bright = np.flatnonzero(body > BRIGHT_SN * sky * BODY_PX)
    n = max(N_COMPACT_MIN, round(COMPACT_FRAC * len(bright)))
    return bright[np.argsort(-core[bright] / body[bright])[:n]]


def _rim(stamps: np.ndarray) -> np.ndarray:
    """Upper and lower quarter of each stamp, where there is least of the galaxy."""
    quarter = max(1, stamps.shape[-2] // 4)
    return np.concatenate([stamps[..., :quarter, :], stamps[..., -quarter:, :]], axis=-2)


def _in_box(stamps: np.ndarray, side: int) -> np.ndarray:
    """Sum a square in the middle of each stamp; the whole stamp, where that is smaller."""
    return _middle(stamps, side).sum(axis=(-2, -1))


def _middle(stamps: np.ndarray, side: int) -> np.ndarray:
    size = stamps.shape[-1]
    start = max(0, (size - side + 1) // 2)
    middle = slice(start, start + min(side, size))
    return stamps[..., middle, middle]


def fit_moffat(stamp: np.ndarray) -> tuple[float, float]:
    """Fit a round Moffat profile to the middle of a stamp."""
    from scipy.optimize import curve_fit

    middle = _middle(stamp, WHOLE_PX)
    y_px, x_px = np.indices(middle.shape, dtype=float)
    centre = (middle.shape[0] - 1) / 2

    def profile(_: np.ndarray, peak: float, x0: float, y0: float, alpha: float, beta: float) -> np.ndarray:
        return (peak * (1 + ((x_px - x0) ** 2 + (y_px - y0) ** 2) / alpha**2) ** -beta).ravel()

    start = [middle.max(), centre, centre, 3.0, 3.0]
    bounds = ([0, 0, 0, 0.5, 1.2], [np.inf, 2 * centre, 2 * centre, 20.0, 20.0])
    values = curve_fit(profile, x_px.ravel(), middle.ravel(), p0=start, bounds=bounds)[0]
    alpha, beta = values[3], values[4]
    area = np.pi * alpha**2 * (2 * beta - 1) / (beta - 1) ** 2
    return float(2 * alpha * np.sqrt(2 ** (1 / beta) - 1)), float(area)
