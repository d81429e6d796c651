import numpy as np
import pytest
from astropy.cosmology import Planck18

from astrolab.datasets.twins.knobs import HscTwinKnobs
from astrolab.datasets.twins.population import counts_per_arcmin2, draw_galaxies
from astrolab.datasets.twins.structure import draw_neighbours, draw_shapes, kpc_per_arcsec, make_shapes

KNOBS = HscTwinKnobs("galaxiesml", "spectroscopic")


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
