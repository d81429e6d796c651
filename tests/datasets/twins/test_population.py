"""Spectra, colours, populations and shapes against published values, astropy and speclite."""

import astropy.units as u
import numpy as np
import pandas as pd
import pytest
from astropy.cosmology import Planck18
from photometry import ab_magnitudes
from sklearn.neighbors import KNeighborsRegressor
from speclite.filters import load_filters

from astrolab.datasets.manifest import load_manifest
from astrolab.datasets.twins.galaxies import HscTwinKnobs, twin_knobs
from astrolab.datasets.twins.galaxies.population import (
    counts_per_arcmin2,
    distance_modulus,
    draw_galaxies,
    draw_neighbours,
    draw_shapes,
    kpc_per_arcsec,
    make_shapes,
)
from astrolab.datasets.twins.galaxies.spectra import calzetti_transmission, colour_grid, galaxy_sed, igm_transmission

BANDS = ("hsc2017-g", "hsc2017-r2", "hsc2017-i2", "hsc2017-z", "hsc2017-y")
MEGACAM = ("cfht_megacam-g", "cfht_megacam-r", "cfht_megacam-i", "cfht_megacam-z", "hsc2017-y")
KNOBS = HscTwinKnobs(layout="galaxiesml")
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


@pytest.fixture(scope="module")
def bright():
    return draw_galaxies(twin_knobs(load_manifest("twin-galaxiesml")), n=20_000, rng=np.random.default_rng(1))


@pytest.fixture(scope="module")
def faint():
    return draw_galaxies(twin_knobs(load_manifest("twin-transferz")), n=20_000, rng=np.random.default_rng(1))


def test_distances_are_astropys():
    z = np.array([0.01, 0.3, 1.7, 4.2])
    np.testing.assert_allclose(distance_modulus(z), Planck18.distmod(z).value, atol=2e-3)


def test_table_1_of_the_paper(bright, faint):
    """90th percentiles of z and i, Seenivasan et al. (2025), Table 1: 1.2 and 22; 1.8 and 25."""
    assert np.percentile(bright.z, 90) == pytest.approx(1.2, abs=0.1)
    assert np.percentile(bright.mag[:, 2], 90) == pytest.approx(22, abs=0.8)
    assert np.percentile(faint.z, 90) == pytest.approx(1.8, abs=0.1)
    assert np.percentile(faint.mag[:, 2], 90) == pytest.approx(25, abs=0.2)
    assert bright.z.min() > 0.01
    assert bright.z.max() < 4


def test_number_counts_are_the_observed_ones():
    """LSST Science Book (2009), eq. 3.7: 46 × 10^(0.31 (i - 25)) galaxies per square arcminute."""
    i_mag = np.array([22.0, 23.0, 24.0, 25.0])
    ours = counts_per_arcmin2(HscTwinKnobs(layout="transferz"), i_mag=i_mag)
    np.testing.assert_allclose(ours, 46 * 10 ** (0.31 * (i_mag - 25)), rtol=0.2)


def test_redshifts_have_the_structure_of_the_published_survey(bright, shared_data):
    path = shared_data / "galaxiesml_published" / "LSTM_MDNz_GalaxiesML_pred_z.dat"
    published = pd.read_csv(path, sep=r"\s+")["spect_z_test"]
    edges = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.5, 2.0, 4.0]
    ours, theirs = (np.histogram(z, edges)[0] / len(z) for z in (bright.z, published))
    np.testing.assert_allclose(ours, theirs, atol=0.03)


def test_colour_redshift_tracks_are_those_of_deep2(shared_data):
    """Median colours to r = 24.1 through the filters of the catalogue (CFHT MegaCam), in bins of redshift."""
    from astropy.table import Table

    path = shared_data / "photoz_deep_ugrizy" / "combined_catalog_DEEP23.fits"
    table = Table.read(path)
    magnitudes = np.stack([np.asarray(table[band], dtype=float) for band in "griz"], axis=1)
    z = np.asarray(table["redshift"], dtype=float)
    good = (np.abs(magnitudes - 22) < 8).all(axis=1) & (magnitudes[:, 1] < 24.1)
    knobs = HscTwinKnobs(layout="transferz", i_limit_mag=24.0, bands=MEGACAM)
    ours = draw_galaxies(knobs, n=30_000, rng=np.random.default_rng(2))
    for low in (0.2, 0.4, 0.6, 0.8, 1.0, 1.2):
        theirs = -np.diff(magnitudes[good & (z > low) & (z < low + 0.2)], axis=1)
        inside = (ours.z > low) & (ours.z < low + 0.2) & (ours.mag[:, 1] < 24.1)
        difference = np.median(-np.diff(ours.mag[inside, :4], axis=1), axis=0) - np.median(theirs, axis=0)
        assert (np.abs(difference) < [0.2, 0.15, 0.25]).all(), (low, difference)


def test_nearest_neighbours_find_redshifts_and_worse_for_the_faint_survey(bright, faint):
    """Photometry alone, with the errors of the surveys' depths and, for the faint one, of its labels."""
    scatter = []
    for galaxies, name in ((bright, "twin-galaxiesml"), (faint, "twin-transferz")):
        knobs, rng = twin_knobs(load_manifest(name)), np.random.default_rng(3)
        error = np.hypot(0.01, 0.2 * 10 ** (0.4 * (galaxies.mag - np.array(knobs.depth_mag))))
        magnitudes = galaxies.mag + error * rng.normal(size=error.shape)
        features = np.column_stack([0.3 * magnitudes[:, 2], -np.diff(magnitudes, axis=1)])
        label = galaxies.z + knobs.label_sigma * (1 + galaxies.z) * rng.normal(size=len(galaxies))
        neighbours = KNeighborsRegressor(10, weights="distance").fit(features[:15_000], label[:15_000])
        dz = (neighbours.predict(features[15_000:]) - label[15_000:]) / (1 + label[15_000:])
        scatter.append(1.4826 * np.median(np.abs(dz - np.median(dz))))
    assert 0.01 < scatter[0] < 0.03
    assert scatter[1] > 1.7 * scatter[0]
    assert scatter[1] < 0.07


def test_dust_and_type_mix_are_knobs():
    def median_colour(**change):
        knobs = HscTwinKnobs(layout="transferz", i_limit_mag=23.0, **change)
        return np.median(np.diff(draw_galaxies(knobs, n=2000, rng=np.random.default_rng(0)).mag[:, :2]))

    plain = median_colour()
    assert median_colour(dust_scale=3.0) < plain - 0.1
    assert median_colour(type_mix=(1.0, 0.0, 0.0, 0.0)) < plain - 0.3


def test_angular_sizes_are_astropys():
    z = np.array([0.05, 0.5, 2.0])
    np.testing.assert_allclose(kpc_per_arcsec(z), 1 / Planck18.arcsec_per_kpc_proper(z).value, rtol=2e-3)


def test_bulge_and_disc_add_up_and_bulges_are_redder():
    galaxies = draw_galaxies(KNOBS, n=2000, rng=np.random.default_rng(0))
    shapes = draw_shapes(galaxies, knobs=KNOBS, rng=np.random.default_rng(1))
    np.testing.assert_allclose(-2.5 * np.log10(shapes.flux.sum(-1)) + 27.0, galaxies.mag, atol=1e-9)
    np.testing.assert_allclose((shapes.flux[..., 0] / shapes.flux.sum(-1))[:, 2], shapes.bulge_frac, atol=1e-9)
    blue_to_red = shapes.flux[:, 0] / shapes.flux[:, 2]
    spiral = galaxies.kind == 1
    assert np.median(blue_to_red[spiral, 0]) < np.median(blue_to_red[spiral, 1])
    assert (shapes.axis_ratio > 0.15).all()
    assert (shapes.axis_ratio <= 1.0).all()


def test_a_disc_seen_face_on_is_round_and_one_seen_edge_on_as_thin_as_it_is():
    galaxies = draw_galaxies(KNOBS, n=2, rng=np.random.default_rng(0))
    galaxies.kind[:] = 2
    shapes = make_shapes(
        galaxies,
        knobs=KNOBS,
        bulge_frac=np.array([0.1, 0.1]),
        size_px=np.array([4.0, 4.0]),
        cosine=np.array([1.0, 0.0]),
        place_px=np.array([[0.1, 0.2], [0.3, 0.4]]),
        angle_rad=np.zeros(2),
    )
    np.testing.assert_allclose(shapes.axis_ratio[:, 1], [1.0, 0.18])  # intrinsic thickness of a late disc
    np.testing.assert_allclose(shapes.radius_px, [[1.4, 4.0]] * 2)
    assert shapes.y_px.tolist() == [0.3, 0.4]


def test_neighbours_have_the_density_of_the_counts():
    n_stamps = 400
    stamp, shapes = draw_neighbours(KNOBS, n_stamps=n_stamps, rng=np.random.default_rng(2))
    inside = (np.abs(shapes.x_px) < 32) & (np.abs(shapes.y_px) < 32)
    arcmin2 = (64 * 0.168 / 60) ** 2
    expected = counts_per_arcmin2(KNOBS, i_mag=np.array([KNOBS.neighbour_limit_mag]))[0] * arcmin2
    assert inside.sum() / n_stamps == pytest.approx(expected, rel=0.2)
    assert stamp.max() < n_stamps
