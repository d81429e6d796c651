"""Labels, ids and places as the knobs say; fluxes, sizes and shapes against closed forms on GalSim's stamps."""

import galsim
import numpy as np
import pytest
import torch
from astropy.coordinates import SkyCoord

from astrolab.datasets.twins.galaxies import HscTwinKnobs
from astrolab.datasets.twins.galaxies.catalogue import base_columns, measure_fluxes, measure_shapes
from astrolab.datasets.twins.galaxies.population import draw_galaxies, draw_shapes

BRIGHT = HscTwinKnobs(layout="galaxiesml")
FAINT = HscTwinKnobs(layout="transferz", label_sigma=0.03, label_outlier_frac=0.1)


def columns_of(knobs, *, n=3000, key=(0, 1, 2), is_common=False):
    rng = np.random.default_rng(key)
    galaxies = draw_galaxies(knobs, n=n, rng=rng)
    shapes = draw_shapes(galaxies, knobs=knobs, rng=rng)
    return base_columns(galaxies, shapes=shapes, knobs=knobs, key=key, is_common=is_common, rng=rng)


def test_labels_have_the_noise_that_the_knobs_say():
    bright, faint = columns_of(BRIGHT), columns_of(FAINT)
    z = bright["true_redshift"]
    pull = (bright["specz_redshift"] - z) / (1 + z) / 2e-4
    assert np.std(pull) == pytest.approx(1.0, abs=0.1)
    z = faint["true_redshift"]
    dz = (faint["lp_zPDF_CLASSIC"] - z) / (1 + z)
    assert 1.4826 * np.median(np.abs(dz - np.median(dz))) == pytest.approx(0.03, abs=0.006)
    assert np.mean(np.abs(dz) > 0.15) == pytest.approx(0.1, abs=0.025)


def test_ids_are_whole_unique_and_beyond_what_a_float_can_hold():
    ids = np.concatenate(
        [columns_of(FAINT, key=(0, 1, block), is_common=common)["object_id"] for block in (0, 1) for common in (0, 1)]
    )
    assert ids.dtype == np.int64
    assert ids.min() > 2**53
    assert len(np.unique(ids)) == len(ids)
    assert not np.isin(columns_of(FAINT, key=(1, 1, 0))["object_id"], ids).any()


def test_no_two_galaxies_are_so_near_that_they_look_like_one():
    """At random, about fifty pairs of these were within an arcsecond: leaks that are none."""
    own = [columns_of(FAINT, n=1024, key=(0, 1, block)) for block in range(20)]
    shared = [columns_of(FAINT, n=64, key=(557, 0, block), is_common=True) for block in range(3)]
    ra, dec = (np.concatenate([part[name] for part in own + shared]) for name in ("ra", "dec"))
    sky = SkyCoord(ra, dec, unit="deg")
    assert sky.match_to_catalog_sky(sky, nthneighbor=2)[1].arcsec.min() > 1.49
    counts, _, _ = np.histogram2d(ra, dec, bins=8)
    chi2 = ((counts - counts.mean()) ** 2 / counts.mean()).sum()
    assert 63 * 0.5 < chi2 < 63 * 1.6, "as uneven as galaxies thrown at random"


def test_names_are_bytes_and_positions_are_in_the_survey():
    bright, faint = columns_of(BRIGHT, n=50), columns_of(FAINT, n=50)
    assert bright["specz_name"].dtype.kind == bright["coord"].dtype.kind == "S"
    assert "specz_redshift" not in faint
    assert ((faint["ra"] > 149.4) & (faint["ra"] < 150.9)).all()
    assert not ((bright["ra"] > 149.4) & (bright["ra"] < 150.9)).any()


def stamp(profile, *, size=65):
    return torch.tensor(profile.drawImage(nx=size, ny=size, scale=1.0, dtype=float).array).float()[None, None]


def test_fluxes_scatter_by_their_errors():
    galaxy = stamp(galsim.Gaussian(sigma=2.5, flux=30.0))
    central = galaxy.expand(2000, 1, -1, -1)
    noise = 0.5 * torch.randn(central.shape, generator=torch.Generator().manual_seed(1))
    ratio, error = measure_fluxes(central, noise=noise, variance=torch.full_like(noise, 0.25))
    assert float(error[0]) * 30 == pytest.approx(0.5 * np.sqrt(4 * np.pi) * 2.5, rel=0.02)  # King (1983): 4π σ² pixels
    assert float(((ratio - 1) / error).std()) == pytest.approx(1.0, rel=0.05)
    assert (ratio > 0).all()


def test_sizes_of_a_gaussian_are_the_closed_forms():
    sigma = 6.0
    shapes = measure_shapes(stamp(galsim.Gaussian(sigma=sigma, flux=1e4)), sky_sigma=torch.tensor([[1e-6]]))
    width = np.hypot(sigma, np.sqrt(1 / 12))
    assert float(shapes["half_light_radius"]) == pytest.approx(1.1774 * width, rel=0.02)
    assert float(shapes["major_axis"]) == pytest.approx(width, rel=0.01)
    assert float(shapes["ellipticity"]) == pytest.approx(0.0, abs=1e-3)
    assert float(shapes["sersic_index"]) == pytest.approx(0.5, abs=0.15)
    radius = np.linspace(0.5, 5, 5000)
    above = np.exp(-(radius**2) / 2) * radius**2 / 2 > 0.2 * (1 - np.exp(-(radius**2) / 2))
    assert float(shapes["petro_rad"]) == pytest.approx(radius[above].max() * width, rel=0.03)


def test_shape_and_angle_of_a_sheared_profile():
    profile = galsim.Gaussian(sigma=5.0, flux=1e4).shear(q=0.5, beta=30 * galsim.degrees)
    shapes = measure_shapes(stamp(profile), sky_sigma=torch.tensor([[1e-6]]))
    assert float(shapes["ellipticity"]) == pytest.approx(0.5, abs=0.02)
    assert float(shapes["pos_angle"]) == pytest.approx(30.0, abs=0.5)
    assert float(shapes["minor_axis"] / shapes["major_axis"]) == pytest.approx(0.5, abs=0.02)


def test_a_brighter_sky_hides_the_outskirts():
    galaxy = stamp(galsim.Exponential(half_light_radius=5.0, flux=1e3)).expand(1, 2, -1, -1)
    area = measure_shapes(galaxy, sky_sigma=torch.tensor([[0.01, 0.1]]))["isophotal_area"][0]
    assert area[0] > 1.5 * area[1] > 0
