import numpy as np
import pytest

from astrolab.datasets.twins.photometry import ab_magnitudes
from astrolab.datasets.twins.seds import calzetti_transmission, galaxy_sed, igm_transmission

BANDS = ("hsc2017-g", "hsc2017-r2", "hsc2017-i2", "hsc2017-z", "hsc2017-y")
WAVE = np.exp(np.arange(np.log(550.0), np.log(12_500.0), 4e-4))


def mean_between(sed, low, high):
    return sed[..., (low < WAVE) & (high > WAVE)].mean(-1)


def test_the_4000_angstrom_break_weakens_from_old_to_young():
    sed = galaxy_sed(WAVE, youth=np.array([0.0, 0.3, 0.6, 1.0])) * WAVE**2
    d4000 = mean_between(sed, 4050, 4250) / mean_between(sed, 3750, 3950)
    assert (np.diff(d4000) < 0).all()
    assert d4000[0] == pytest.approx(2.0, abs=0.25)  # ellipticals and starbursts: Bruzual 1983, ApJ 273, 105
    assert d4000[-1] == pytest.approx(1.0, abs=0.15)


def test_young_galaxies_have_blue_ultraviolet_and_strong_lines():
    old, young = galaxy_sed(WAVE, youth=np.array([0.0, 1.0]))
    slope = np.polyfit(np.log(WAVE[(WAVE > 1300) & (WAVE < 2600)]), np.log(young[(WAVE > 1300) & (WAVE < 2600)]), 1)[0]
    assert -2.4 < slope < -1.5  # Meurer et al. (1999, ApJ 521, 64): starbursts from -2.2 without dust to 0
    window = (WAVE > 6450) & (WAVE < 6680)
    continuum = np.interp(WAVE, [6400.0, 6800.0], np.interp([6400.0, 6800.0], WAVE, young))
    width = np.trapezoid((young / continuum - 1)[window], WAVE[window])
    assert 100 < width < 500
    assert np.abs(old / np.interp(WAVE, WAVE[::40], old[::40]) - 1)[window].max() < 0.05


@pytest.mark.parametrize(("wave", "k"), [(1500.0, 10.33), (3000.0, 6.926), (5500.0, 4.05), (8000.0, 2.569)])
def test_dust_follows_calzettis_curve(wave, k):
    """k(λ) worked out by hand from eq. 4 of Calzetti et al. (2000)."""
    assert calzetti_transmission(np.array([wave]), av=1.0)[0] == pytest.approx(10 ** (-0.4 * k / 4.05), rel=0.01)


def test_hydrogen_between_the_galaxies():
    """Madau (1995), Fig. 3: at z = 3.5 about 40-50 % is absorbed between Lyα and Lyβ, nothing redward of Lyα."""
    forest = igm_transmission(np.array([1150.0 * 4.5]), z=3.5)[0]
    assert 0.45 < forest < 0.65
    assert igm_transmission(np.array([1300.0 * 4.5]), z=3.5)[0] == 1.0
    assert igm_transmission(np.array([850.0 * 4.5]), z=3.5)[0] < 0.15


@pytest.mark.parametrize(("name", "youth", "tolerance"), [("Sbc", 0.25, 0.08), ("Scd", 0.40, 0.08), ("Im", 0.55, 0.13)])
def test_the_family_has_the_colours_of_observed_galaxies(shared_data, name, youth, tolerance):
    """Against Coleman, Wu & Weedman (1980) spectra, root mean square over grizy colours at z = 0.1 to 1.2."""
    wave, flux = np.loadtxt(shared_data / "seds_filters" / "SED" / f"{name}_B2004a.sed", unpack=True)
    wave, flux = wave[wave > 200], flux[wave > 200]
    differences = []
    for z in (0.1, 0.3, 0.5, 0.8, 1.2):
        theirs = ab_magnitudes(wave * (1 + z), flux=flux, bands=BANDS)
        ours = ab_magnitudes(WAVE * (1 + z), flux=galaxy_sed(WAVE, youth=youth), bands=BANDS)
        differences.append(np.diff(ours) - np.diff(theirs))
    assert np.sqrt(np.mean(np.square(differences))) < tolerance
