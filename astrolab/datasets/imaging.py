"""How sharp and how deep a survey's images are, measured on its own galaxies; images on pixels of another size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from astrolab.datasets.rows import CroppedRows, LazyRows, Rows
from astrolab.datasets.survey import Survey
from astrolab.errors import SchemaError, unknown_name

SIGMA_PER_MAD = 1.482602218505602  # of a Gaussian: 1 / Φ⁻¹(3/4)
CORE_PX, BODY_PX, WHOLE_PX = 3, 11, 21
BRIGHT_SN = 50.0
COMPACT_FRAC = 0.05
N_COMPACT_MIN = 8


def sky_sigma(stamps: np.ndarray) -> np.ndarray:
    """Return the noise of each band, from differences of neighbouring pixels, which a smooth galaxy hardly changes."""
    difference = np.abs(np.diff(stamps, axis=-1))
    return SIGMA_PER_MAD * np.median(difference, axis=(-2, -1)) / np.sqrt(2.0)


def _images(survey: Survey) -> list[str]:
    found = [name for name, spec in survey.specs.items() if len(spec.axes) == 3]
    if not found:
        raise unknown_name(f"input of {survey.name!r}", name="image", names=survey.specs)
    return found


def measure_imaging(survey: Survey, *, n_max: int = 1000) -> pd.DataFrame:
    """Measure seeing, noise, zero point and depth of a survey in every band, beside what it states of itself.

    The point-spread function is a Moffat profile (Moffat 1969, A&A 3, 455) fitted to the median of the most compact
    bright galaxies, so that its width is an upper limit: no galaxy is quite a point. The zero point is the one that
    makes the fluxes of these galaxies agree with their catalogue magnitudes. The depth is the magnitude of a point
    source five times as bright as the noise under the best weighting, the profile itself: noise per pixel times the
    square root of the profile's noise-equivalent area, ``π α² (2β - 1) / (β - 1)²``.

    At most `n_max` galaxies are looked at, spread evenly over the survey.

    Returns
    -------
    DataFrame
        One row a band: ``survey``, ``band``, ``sky_sigma`` (unit of the pixels), ``zero_point_mag``, ``fwhm_arcsec``,
        ``depth_mag`` (5σ, point source), ``stated_fwhm_arcsec``, ``stated_depth_mag`` (of a twin: what it was simulated
        with), ``n_compact``, ``simulated``. NaN where fewer than eight compact galaxies are bright enough, or where the
        survey lacks what it takes: pixel scale, magnitudes.

    """
    name = _images(survey)[0]
    spec = survey.specs[name]
    rows = np.unique(np.linspace(0, len(survey) - 1, min(n_max, len(survey))).round().astype(int))
    part = survey.take(rows)
    stamps, magnitudes = np.asarray(part.inputs[name][:], dtype=float), {}
    for key, other in part.specs.items():
        if other.axes == ("band",) and "mag" in other.unit:
            magnitudes |= dict(zip(other.channels, np.asarray(part.inputs[key][:]).T, strict=True))
    quarter = max(1, stamps.shape[-2] // 4)  # above and below there is least of the galaxy
    rim = np.concatenate([stamps[..., :quarter, :], stamps[..., -quarter:, :]], axis=-2)
    sky, measured = np.median(sky_sigma(rim), axis=0), []
    for number, band in enumerate(spec.channels):
        mags = magnitudes.get(band, np.full(len(part), np.nan))
        found = _measure_band(stamps[:, number], sky=sky[number], mags=mags, scale=spec.scale_arcsec or np.nan)
        measured.append({"band": band, **found})
    nothing, knobs = [np.nan] * len(spec.channels), survey.provenance.knobs
    stated = {"stated_fwhm_arcsec": knobs.get("seeing_arcsec", nothing)}
    stated |= {"stated_depth_mag": knobs.get("depth_mag", nothing)}
    table = pd.DataFrame(measured).assign(**stated, simulated=survey.provenance.simulated)
    table.insert(0, "survey", survey.name)
    return table


def _measure_band(stamps: np.ndarray, *, sky: float, mags: np.ndarray, scale: float) -> dict[str, float]:
    compact = _most_compact(stamps, sky=sky)
    found = {"sky_sigma": sky, "zero_point_mag": np.nan, "fwhm_arcsec": np.nan, "depth_mag": np.nan}
    if len(compact) >= N_COMPACT_MIN:
        flux = _middle(stamps[compact], WHOLE_PX).sum(axis=(-2, -1))
        zero_point = np.nanmedian(mags[compact] + 2.5 * np.log10(flux)) if np.isfinite(mags[compact]).any() else np.nan
        fwhm_px, noise_area_px = fit_moffat(np.median(stamps[compact] / flux[:, None, None], axis=0))
        depth = zero_point - 2.5 * np.log10(5 * sky * np.sqrt(noise_area_px))
        found |= {"zero_point_mag": zero_point, "fwhm_arcsec": fwhm_px * scale, "depth_mag": depth}
    return {**found, "n_compact": len(compact)}


def _most_compact(stamps: np.ndarray, *, sky: float) -> np.ndarray:
    """Numbers of the galaxies with most of their light in the middle, among the bright ones."""
    core, body = (_middle(stamps, side).sum(axis=(-2, -1)) for side in (CORE_PX, BODY_PX))
    bright = np.flatnonzero(body > BRIGHT_SN * sky * BODY_PX)
    n = max(N_COMPACT_MIN, round(COMPACT_FRAC * len(bright)))
    return bright[np.argsort(-core[bright] / body[bright])[:n]]


def _middle(stamps: np.ndarray, side: int) -> np.ndarray:
    """A square in the middle of each stamp; the whole stamp, where that is smaller."""
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


class ResampledRows(LazyRows):
    """Images on pixels `ratio` times as wide; a pixel that lies across a border gives each side its share."""

    def __init__(self, rows: Rows, *, ratio: float):
        self.rows, self.ratio, self.dtype = rows, ratio, np.result_type(rows.dtype, np.float32)
        self._shares = [_shares(n, ratio=ratio) for n in rows.shape[-2:]]
        self.shape = (*rows.shape[:-2], *map(len, self._shares))

    def _read(self, numbers: np.ndarray) -> np.ndarray:
        rows, columns = self._shares
        return (rows @ np.asarray(self.rows[numbers]) @ columns.T).astype(self.dtype)


def _shares(n: int, *, ratio: float) -> np.ndarray:
    """Which share of each of `n` pixels falls into each wider one (n_wide, n)."""
    n_wide = int(n / ratio + 1e-9)
    start = int((n - n_wide * ratio) / 2)  # a whole old pixel, so that a whole ratio sums blocks
    edges = start + ratio * np.arange(n_wide + 1)
    low, high = np.maximum.outer(edges[:-1], np.arange(n)), np.minimum.outer(edges[1:], np.arange(n) + 1.0)
    return np.clip(high - low, 0.0, None)


def resample(survey: Survey, *, scale_arcsec: float, size: int | None = None) -> Survey:
    """Bring the images of a survey to another pixel scale (arcsec), so that surveys of different cameras can be joined.

    Flux is conserved: what a pixel holds is divided by area between the new pixels that it lies in; where the new
    pixels are a whole number of times as wide, they are sums of blocks. Neighbouring pixels may share noise afterwards,
    and the point-spread function stays as it is. `size` is the side of the images (new px), cut from the centre; by
    default as many whole pixels as there are. What was done is recorded, and shown beside every result.

    Returns
    -------
    Survey
        With the images resampled when they are read, and without companions of them. A SchemaError says where it does
        not know their pixel scale, or they are smaller than `size`.
    """
    inputs, specs, declared = dict(survey.inputs), dict(survey.specs), list(survey.provenance.declared)
    for name in _images(survey):
        spec = specs[name]
        if spec.scale_arcsec is None or not scale_arcsec > 0:
            asked = f"The {name} of {survey.name!r} was to be resampled to {scale_arcsec} arcsec a pixel."
            remedy = "State scale_arcsec of the images in the manifest, and ask for a positive one."
            raise SchemaError(asked, received=f"pixels of {spec.scale_arcsec or 'unknown'} arcsec", remedy=remedy)
        if not np.isclose(spec.scale_arcsec, scale_arcsec):
            declared.append(f"{name}: resampled from {spec.scale_arcsec:g} to {scale_arcsec:g} arcsec a pixel")
            inputs[name] = ResampledRows(inputs[name], ratio=scale_arcsec / spec.scale_arcsec)
            for companion in spec.companions:
                del inputs[f"{name}.{companion}"]
            specs[name] = replace(spec, scale_arcsec=float(scale_arcsec), companions=())
        for key in (name, *(f"{name}.{companion}" for companion in specs[name].companions)):
            if size not in (None, inputs[key].shape[-1]):
                inputs[key] = CroppedRows(inputs[key], size=size)
    provenance = replace(survey.provenance, declared=tuple(declared))
    return replace(survey, inputs=inputs, specs=specs, provenance=provenance)
