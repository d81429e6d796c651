"""Synthetic AB photometry through real filter curves, and the colours of the whole family at every redshift."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.interpolate import RegularGridInterpolator

from astrolab.datasets.twins.seds import galaxy_sed, igm_transmission

LIGHT_ANG_PER_S = 2.99792458e18
LN_STEP = 4e-4  # of the logarithmic wavelength grid: 120 km/s, finer than the lines are wide
Z_STRIDE = 12  # redshifts are this many steps of the grid apart
Z_MAX = 4.6
REST_BAND = "bessell-B"


def ab_magnitudes(wave_ang: np.ndarray, *, flux: np.ndarray, bands: tuple[str, ...]) -> np.ndarray:
    """AB magnitudes of observed spectra through real filters."""
    from speclite.filters import load_filters

    edges = [np.log(one.wavelength[[0, -1]]) for one in load_filters(*bands)]
    wave = np.exp(np.arange(np.min(edges), np.max(edges), LN_STEP))
    flux_nu = np.asarray(flux) * np.asarray(wave_ang) ** 2 / LIGHT_ANG_PER_S
    flat = flux_nu.reshape(-1, flux_nu.shape[-1])
    resampled = np.stack([np.interp(wave, wave_ang, one) for one in flat])
    mean = (resampled @ filter_weights(wave, bands=bands)).reshape(*flux_nu.shape[:-1], len(bands))
    return -2.5 * np.log10(mean) - 48.6


def filter_weights(wave_ang: np.ndarray, *, bands: tuple[str, ...]) -> np.ndarray:
    """Weights that turn f_ν on a logarithmic wavelength grid into its mean through each filter."""
    from speclite.filters import load_filters

    curves = [
        np.interp(wave_ang, np.asarray(one.wavelength), np.asarray(one.response), left=0.0, right=0.0)
        for one in load_filters(*bands)
    ]
    weights = np.stack(curves, axis=1)
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
