import time

import numpy as np
import pytest
from astropy.cosmology import Planck18
from photometry import ab_magnitudes

from astrolab.datasets.twins.galaxies import HscTwinKnobs
from astrolab.datasets.twins.galaxies.one_galaxy import GalaxySettings, observing, simulate_galaxy
from astrolab.datasets.twins.galaxies.population import TYPES
from astrolab.datasets.twins.galaxies.spectra import galaxy_sed, igm_transmission
from astrolab.errors import ConfigError

KNOBS = HscTwinKnobs(layout="galaxiesml")
SETTINGS = {"z": 0.5, "kind": "late spiral", "i_mag": 19.0, "size_arcsec": 0.5, "inclination_deg": 0.0}


def at(**changes):
    return simulate_galaxy(KNOBS, settings=GalaxySettings(**(SETTINGS | changes)))


def test_magnitudes_are_those_of_its_redshifted_spectrum():
    galaxy, kind = at(), TYPES[2]
    luminosity = np.array([galaxy.abs_mag])
    rest = np.exp(np.arange(np.log(550.0), np.log(12_500.0), 4e-4))
    sed = galaxy_sed(rest, youth=kind.typical_youth(luminosity), dust_av=kind.typical_dust(luminosity))[0]
    seen = sed * igm_transmission(rest * 1.5, z=0.5)
    apparent = ab_magnitudes(rest * 1.5, flux=seen, bands=KNOBS.bands)
    np.testing.assert_allclose(galaxy.mag - galaxy.mag[2], apparent - apparent[2], atol=0.01)
    assert galaxy.mag[2] == pytest.approx(19.0, abs=1e-3)
    assert galaxy.bands == ("hsc-g", "hsc-r", "hsc-i", "hsc-z", "hsc-y")


def test_farther_away_the_same_magnitude_means_more_luminous():
    """Between z = 0.1 and 0.2 the k-correction in i is small beside the distance."""
    near, far = at(z=0.1), at(z=0.2)
    modulus = (Planck18.distmod(0.2) - Planck18.distmod(0.1)).value
    assert near.abs_mag - far.abs_mag == pytest.approx(modulus, abs=0.25)


def test_the_stamp_holds_the_flux_of_its_magnitudes():
    galaxy = at(size_arcsec=0.3)
    flux = galaxy.noiseless.sum(axis=(1, 2))
    np.testing.assert_allclose(27.0 - 2.5 * np.log10(flux), galaxy.mag, atol=0.03)


def test_a_tiny_galaxy_has_the_width_of_the_seeing():
    """Pixels across half the peak, compared with the FWHM; the pixel itself widens it a little."""
    for seeing in (0.6, 1.0):
        profile = at(size_arcsec=0.02, seeing_arcsec=seeing).noiseless[2, 31:33].mean(axis=0)
        fine = np.linspace(0, 63, 6301)
        above = np.interp(fine, np.arange(64), profile) > 0.5 * profile.max()
        assert above.sum() * 0.01 * 0.168 == pytest.approx(seeing, rel=0.15)


def test_inclination_flattens_a_disc_along_its_position_angle():
    """Axis ratio of the isophote at 0.3 of the peak, of a disc much larger than the seeing."""

    def reach(profile: np.ndarray) -> float:
        fine = np.linspace(0, 63, 6301)
        return float((np.interp(fine, np.arange(64), profile) > 0.3 * profile.max()).sum())

    edge_on = np.hypot(0.18, np.sqrt(1 - 0.18**2) * np.cos(np.radians(70)))
    for angle, ratio in ((0.0, 1.0), (70.0, edge_on)):
        disc = at(inclination_deg=angle, size_arcsec=5.0, angle_deg=0.0, kind="starburst").noiseless[2]
        across, along = disc[:, 31:33].mean(axis=1), disc[31:33].mean(axis=0)
        assert reach(across) / reach(along) == pytest.approx(ratio, abs=0.07)


def test_a_deeper_survey_has_less_noise_by_the_magnitudes():
    sigma = [np.std(one.image[2] - one.noiseless[2]) for one in (at(i_mag=28.0), at(i_mag=28.0, depth_mag=27.2))]
    assert sigma[0] / sigma[1] == pytest.approx(10**0.4, rel=1e-3)
    errors = at(i_mag=24.0).measured_mag_error
    assert errors[4] > errors[2] > 0, "y is shallower than i"


def test_other_bands_keep_their_relation_to_i():
    knobs = observing(KNOBS, settings=GalaxySettings(seeing_arcsec=1.16, depth_mag=25.2))
    np.testing.assert_allclose(np.array(knobs.seeing_arcsec) / KNOBS.seeing_arcsec, 2.0)
    np.testing.assert_allclose(np.array(knobs.depth_mag) - KNOBS.depth_mag, -1.0)


def test_the_same_seed_gives_the_same_noise():
    np.testing.assert_array_equal(at().image, at().image)
    assert not np.array_equal(at().image, at(seed=1).image)


def test_inputs_are_what_networks_read():
    galaxy = at()
    assert galaxy.inputs["image"].shape == (5, 64, 64) and galaxy.inputs["magnitudes"].shape == (5,)


def test_settings_beyond_physics_are_refused():
    with pytest.raises(ConfigError, match="'late spiral'"):
        GalaxySettings(kind="late spiralle")
    for wrong in ({"z": -0.1}, {"inclination_deg": 91.0}, {"size_arcsec": 0.0}, {"i_mag": float("nan")}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            GalaxySettings(**wrong)
    with pytest.raises(ConfigError, match=r"z: .*; inclination_deg: "):
        GalaxySettings(z=9.0, inclination_deg=91.0)
    with pytest.raises(ConfigError, match="seeing_arcsec"):
        at(seeing_arcsec=0.2)


def test_a_move_of_a_knob_takes_a_fraction_of_a_second():
    at()
    start = time.perf_counter()
    at(z=0.6)
    assert time.perf_counter() - start < 0.5  # about 0.01 on an idle core
