"""Spectra of galaxies, from old and red to young and blue, as one continuous family, and their AB magnitudes.

A mixture of three stellar populations, sums of black bodies with breaks, plus emission lines, behind a screen of dust.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.interpolate import RegularGridInterpolator

PLANCK_ANG_K = 1.438776877e8  # hc/k_B (Å K)
# rest wavelength (Å), strength relative to Hα in metal-rich (quiet) and metal-poor (starburst) gas before dust;
# Hβ and Hγ by case B recombination (Osterbrock & Ferland 2006), the others after the sequences of Kewley et al. (2006)
LINES = (
    (1215.7, 0.3, 0.8),
    (2798.0, 0.02, 0.02),
    (3728.5, 0.55, 0.95),
    (3869.0, 0.02, 0.15),
    (4340.5, 0.163, 0.163),
    (4861.3, 0.35, 0.35),
    (4958.9, 0.04, 0.45),
    (5006.8, 0.12, 1.35),
    (6562.8, 1.0, 1.0),
    (6583.5, 0.40, 0.07),
    (6724.0, 0.35, 0.20),
    (9069.0, 0.05, 0.12),
    (9531.0, 0.12, 0.30),
)
H_ALPHA_WIDTH_ANG = 420.0  # equivalent width of Hα over the young stars alone
LINE_SIGMA_LN = 6e-4  # 180 km/s
LN_STEP = 4e-4  # of the logarithmic wavelength grid: 120 km/s, finer than the lines are wide
Z_STRIDE = 12  # redshifts are this many steps of the grid apart
Z_MAX = 4.6
REST_BAND = "bessell-B"
Rows = tuple[tuple[float, ...], ...]
Spectrum = Callable[[np.ndarray], np.ndarray]


def galaxy_sed(wave_ang: np.ndarray, *, youth: np.ndarray | float, dust_av: np.ndarray | float = 0.0) -> np.ndarray:
    """Rest-frame spectrum by `youth`, from 0 (an old elliptical) by 0.4 (an Sbc) to 1 (a starburst): (..., n_wave)."""
    wave_ang = np.asarray(wave_ang, dtype=float)
    youth = np.asarray(youth, dtype=float)[..., None]
    young = 0.80 * np.clip(youth, 0, 1) ** 1.8
    middle = (1.0 - young) * 0.75 * np.sin(0.5 * np.pi * np.clip(youth, 0, 1)) ** 1.2
    old = 1.0 - young - middle
    young_sed = _young(wave_ang)
    stars = old * _old(wave_ang) + middle * _middle(wave_ang) + young * young_sed
    lines = young * np.interp(6562.8, wave_ang, young_sed) * _lines(wave_ang, metal_poor=youth**2)
    return (stars + lines) * calzetti_transmission(wave_ang, av=np.asarray(dust_av, dtype=float)[..., None])


def calzetti_transmission(wave_ang: np.ndarray, *, av: np.ndarray | float) -> np.ndarray:
    """Fraction of light left by starburst dust, R_V = 4.05 (Calzetti et al. 2000, ApJ 533, 682, eq. 4)."""
    inverse_um = 1e4 / np.asarray(wave_ang, dtype=float)
    blue = 2.659 * (-2.156 + 1.509 * inverse_um - 0.198 * inverse_um**2 + 0.011 * inverse_um**3) + 4.05
    red = 2.659 * (-1.857 + 1.040 * inverse_um) + 4.05
    edge = 1.0 / 0.12
    slope = 2.659 * (1.509 - 2 * 0.198 * edge + 3 * 0.011 * edge**2)
    at_edge = 2.659 * (-2.156 + 1.509 * edge - 0.198 * edge**2 + 0.011 * edge**3) + 4.05
    far = at_edge + slope * (inverse_um - edge)
    curve = np.where(inverse_um > edge, far, np.where(inverse_um > 1.0 / 0.63, blue, red))
    return 10.0 ** (-0.4 * np.asarray(av) * np.clip(curve, 0.0, None) / 4.05)


def igm_transmission(wave_ang: np.ndarray, *, z: float) -> np.ndarray:
    """Fraction of light that intergalactic hydrogen lets through (Madau 1995, ApJ 441, 18, eq. 15, footnote 3)."""
    wave_ang = np.asarray(wave_ang, dtype=float)
    depth = np.zeros_like(wave_ang)
    for line, strength in ((1215.67, 0.0036), (1025.72, 1.7e-3), (972.54, 1.2e-3), (949.74, 9.3e-4)):
        depth += np.where(wave_ang < line * (1.0 + z), strength * (wave_ang / line) ** 3.46, 0.0)
    xc, xe = wave_ang / 911.75, 1.0 + z
    continuum = (
        0.25 * xc**3 * (xe**0.46 - xc**0.46)
        + 9.4 * xc**1.5 * (xe**0.18 - xc**0.18)
        - 0.7 * xc**3 * (xc**-1.32 - xe**-1.32)
        - 0.023 * (xe**1.68 - xc**1.68)
    )
    depth += np.where(xc < xe, np.clip(continuum, 0.0, None), 0.0)
    return np.exp(-depth)


def _planck(wave_ang: np.ndarray, temperature_k: float) -> np.ndarray:
    with np.errstate(over="ignore"):
        return wave_ang**-5.0 / np.expm1(PLANCK_ANG_K / (wave_ang * temperature_k))


def _starlight(wave: np.ndarray, *, mixture: Rows, breaks: Rows, dips: Rows = ()) -> np.ndarray:
    """Black bodies (K, weight at 5500 Å), smooth steps (Å, width, what is left below) and dips (Å, σ, depth)."""
    stars = sum(w * _planck(wave, t) / _planck(np.array([5500.0]), t) for t, w in mixture)
    for at, width, left in breaks:
        stars = stars * (left + (1.0 - left) * 0.5 * (1.0 + np.tanh((wave - at) / width)))
    for at, sigma, depth in dips:
        stars = stars * (1.0 - depth * np.exp(-0.5 * ((wave - at) / sigma) ** 2))
    return stars


def _relative_to_4400_ang(spectrum: Spectrum) -> Spectrum:
    return lambda wave_ang: spectrum(wave_ang) / spectrum(np.array([4400.0]))


@_relative_to_4400_ang
def _old(wave: np.ndarray) -> np.ndarray:
    """Giants and dwarfs of several Gyr: the 4000 Å break, Mg and TiO bands, hardly any ultraviolet."""
    breaks = ((4000.0, 90.0, 0.62), (3250.0, 350.0, 0.62), (2750.0, 120.0, 0.5))
    dips = ((4304.0, 40.0, 0.08), (5175.0, 60.0, 0.08), (7150.0, 90.0, 0.03))
    upturn = 0.012 * (wave / 2000.0) ** -1.5 * (wave > 912.0)
    return _starlight(wave, mixture=((5800.0, 0.5), (4300.0, 0.5)), breaks=breaks, dips=dips) + upturn * (wave < 4000.0)


@_relative_to_4400_ang
def _middle(wave: np.ndarray) -> np.ndarray:
    """A and F stars of about 1 Gyr with their giants: the Balmer break."""
    mixture, breaks = ((9000.0, 0.55), (6200.0, 0.25), (4200.0, 0.20)), ((3750.0, 130.0, 0.55), (1650.0, 180.0, 0.10))
    return _starlight(wave, mixture=mixture, breaks=breaks) * (wave > 912.0)


@_relative_to_4400_ang
def _young(wave: np.ndarray) -> np.ndarray:
    """O and B stars with a few red supergiants: the blue slope, the Lyman break."""
    mixture, breaks = ((26000.0, 0.72), (10000.0, 0.16), (4000.0, 0.12)), ((3700.0, 100.0, 0.85), (912.0, 4.0, 0.03))
    return _starlight(wave, mixture=mixture, breaks=breaks)


def _lines(wave_ang: np.ndarray, *, metal_poor: np.ndarray) -> np.ndarray:
    """Emission lines per unit of the young continuum at Hα: (..., n_wave)."""
    total = np.zeros(np.broadcast_shapes(metal_poor.shape, wave_ang.shape))
    for line, rich, poor in LINES:
        area = np.sqrt(2 * np.pi) * LINE_SIGMA_LN * line
        shape = np.exp(-0.5 * (np.log(wave_ang / line) / LINE_SIGMA_LN) ** 2) / area
        total += (rich + (poor - rich) * metal_poor) * shape
    return H_ALPHA_WIDTH_ANG * total


def filter_weights(wave_ang: np.ndarray, *, bands: tuple[str, ...]) -> np.ndarray:
    """Weights that turn f_ν into its mean through each filter, by photons (Bessell & Murphy 2012, PASP 124, 140)."""
    from speclite.filters import load_filters

    curves = [(np.asarray(one.wavelength), np.asarray(one.response)) for one in load_filters(*bands)]
    weights = np.stack([np.interp(wave_ang, *one, left=0.0, right=0.0) for one in curves], axis=1)
    return weights / weights.sum(axis=0)


@dataclass(frozen=True, eq=False)
class ColourGrid:
    """Apparent minus absolute magnitude of the SED family, without the distance: the k-corrected colours."""

    z: np.ndarray
    youth: np.ndarray
    dust_av: np.ndarray
    offset: np.ndarray

    def __call__(self, *, z: np.ndarray, youth: np.ndarray, dust_av: np.ndarray) -> np.ndarray:
        """m_band - M_B - distance modulus of galaxies: (n, band), mag."""
        axes = (np.log1p(self.z), self.youth, self.dust_av)
        interpolate = RegularGridInterpolator(axes, self.offset)
        return interpolate(np.stack(np.broadcast_arrays(np.log1p(z), youth, dust_av), axis=-1))


@lru_cache(maxsize=4)
def colour_grid(bands: tuple[str, ...]) -> ColourGrid:
    """Colours of the SED family through filters at every redshift."""
    youth, dust_av = np.linspace(0.0, 1.0, 17), np.linspace(0.0, 2.4, 9)
    rest = np.exp(np.arange(np.log(480.0), np.log(12_500.0), LN_STEP))
    sed = galaxy_sed(rest, youth=youth[:, None], dust_av=dust_av[None, :])
    flux_nu = (sed * rest**2).reshape(-1, len(rest))
    absolute = -2.5 * np.log10(flux_nu @ filter_weights(rest, bands=(REST_BAND,)))
    steps = np.arange(0, int(np.log1p(Z_MAX) / LN_STEP) + Z_STRIDE, Z_STRIDE)
    weights = filter_weights(rest, bands=bands)
    used = np.flatnonzero(weights.any(axis=1))
    used = slice(used[0], used[-1] + 1)
    offset = np.empty((len(steps), flux_nu.shape[0], len(bands)))
    for row, step in enumerate(steps):
        z = np.expm1(step * LN_STEP)
        seen = flux_nu[:, used.start - step : used.stop - step]
        mean = seen @ (weights[used] * igm_transmission(rest[used], z=z)[:, None])
        offset[row] = -2.5 * np.log10((1.0 + z) * mean) - absolute
    shape = (len(steps), len(youth), len(dust_av), len(bands))
    return ColourGrid(np.expm1(steps * LN_STEP), youth, dust_av, offset.reshape(shape))
