import astropy.units as u
import numpy as np
import pytest
from speclite.filters import load_filters

from astrolab.datasets.twins.photometry import ab_magnitudes, colour_grid
from astrolab.datasets.twins.seds import galaxy_sed, igm_transmission

BANDS = ("hsc2017-g", "hsc2017-r2", "hsc2017-i2", "hsc2017-z", "hsc2017-y")


def test_a_flat_spectrum_has_the_same_ab_magnitude_in_every_band():
    wave = np.linspace(3000, 12_000, 4000)
    flux = 3631e-23 * 2.99792458e18 / wave**2  # 3631 Jy
    np.testing.assert_allclose(ab_magnitudes(wave, flux=flux, bands=BANDS), 0.0, atol=2e-3)


@pytest.mark.parametrize("name", ["El", "Sbc", "Scd", "Im", "SB3"])
def test_oracle_photometry_of_observed_spectra(shared_data, name):
    """CWW and Kinney spectra: speclite's own integration, and by hand through independently published curves."""
    folder = shared_data / "seds_filters"
    wave, flux = np.loadtxt(folder / "SED" / f"{name}_B2004a.sed", unpack=True)
    wave, flux = (wave * 1.5)[wave > 1000], (flux * 1e-15)[wave > 1000]
    ours = ab_magnitudes(wave, flux=flux, bands=BANDS)
    table = load_filters(*BANDS).get_ab_magnitudes(flux * u.Unit("erg/(s cm2 AA)"), wave * u.AA)
    np.testing.assert_allclose(ours, [table[band][0] for band in BANDS], atol=2e-3)
    for letter, magnitude in zip("griz", ours, strict=False):
        curve_wave, curve = np.loadtxt(folder / "FILTER" / f"hsc_{letter}.res", unpack=True)
        seen = np.interp(curve_wave, wave, flux)
        photons = np.trapezoid(seen * curve * curve_wave, curve_wave)
        flat = np.trapezoid(2.99792458e18 * curve / curve_wave, curve_wave)
        by_hand = -2.5 * np.log10(photons / flat) - 48.6
        assert magnitude == pytest.approx(by_hand, abs=0.08)  # other measurements of the same filters


def test_the_grid_is_the_photometry_of_redshifted_spectra():
    grid = colour_grid(BANDS)
    rest = np.exp(np.arange(np.log(550.0), np.log(12_500.0), 4e-4))
    for z, youth, dust_av in ((0.333, 0.1, 0.2), (1.234, 0.55, 0.9), (2.9, 0.95, 0.1)):
        sed = galaxy_sed(rest, youth=youth, dust_av=dust_av)
        observed = sed / (1 + z) * igm_transmission(rest * (1 + z), z=z)
        blue = ab_magnitudes(rest, flux=sed, bands=("bessell-B",))
        direct = ab_magnitudes(rest * (1 + z), flux=observed, bands=BANDS) - blue
        one = [np.array([value]) for value in (z, youth, dust_av)]
        np.testing.assert_allclose(grid(z=one[0], youth=one[1], dust_av=one[2])[0], direct, atol=0.03)
