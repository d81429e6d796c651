"""AB magnitudes of whole spectra, by the filter weights that the twins' grid of colours is made with."""

import numpy as np
from speclite.filters import load_filters

from astrolab.datasets.twins.galaxies.spectra import LN_STEP, filter_weights


def ab_magnitudes(wave_ang, *, flux, bands):
    """AB magnitudes of observed spectra (erg/s/cm²/Å)."""
    edges = [np.log(one.wavelength[[0, -1]]) for one in load_filters(*bands)]
    wave = np.exp(np.arange(np.min(edges), np.max(edges), LN_STEP))
    flux_nu = np.asarray(flux) * np.asarray(wave_ang) ** 2 / 2.99792458e18
    flat = flux_nu.reshape(-1, flux_nu.shape[-1])
    resampled = np.stack([np.interp(wave, wave_ang, one) for one in flat])
    mean = (resampled @ filter_weights(wave, bands=bands)).reshape(*flux_nu.shape[:-1], len(bands))
    return -2.5 * np.log10(mean) - 48.6
