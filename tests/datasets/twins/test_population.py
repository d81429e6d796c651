import numpy as np
import pandas as pd
import pytest
from astrolab.datasets.manifests import load_manifest
from astropy.cosmology import Planck18
from sklearn.neighbors import KNeighborsRegressor

from astrolab.datasets.twins import twin_knobs
from astrolab.datasets.twins.knobs import HscTwinKnobs
from astrolab.datasets.twins.population import counts_per_arcmin2, distance_modulus, draw_galaxies

MEGACAM = ("cfht_megacam-g", "cfht_megacam-r", "cfht_megacam-i", "cfht_megacam-z", "hsc2017-y")


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
    ours = counts_per_arcmin2(HscTwinKnobs("transferz", "flux_limited"), i_mag=i_mag)
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
    knobs = HscTwinKnobs("transferz", "flux_limited", i_limit_mag=24.0, bands=MEGACAM)
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
        knobs = HscTwinKnobs("transferz", "flux_limited", i_limit_mag=23.0, **change)
        return np.median(np.diff(draw_galaxies(knobs, n=2000, rng=np.random.default_rng(0)).mag[:, :2]))

    plain = median_colour()
    assert median_colour(dust_scale=3.0) < plain - 0.1
    assert median_colour(type_mix=(1.0, 0.0, 0.0, 0.0)) < plain - 0.3
