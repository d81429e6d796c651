"""Whole surveys in memory: the same twice, alike where twins share galaxies, and with the noise of real coadds."""

import threading

import numpy as np
import pytest
import torch

from astrolab.datasets.manifest import load_manifest
from astrolab.datasets.twins.galaxies import HscTwinKnobs, twin_knobs
from astrolab.datasets.twins.galaxies.simulation import (
    map_on_cores,
    n_common,
    on_one_thread,
    simulate_arrays,
    sky_noise,
)

BRIGHT, FAINT = (twin_knobs(load_manifest(f"twin-{name}"), image_size=48) for name in ("galaxiesml", "transferz"))


@pytest.fixture(scope="module")
def twins():
    return {
        "bright": simulate_arrays(BRIGHT, n=120, seed=5, morphology=True),
        "faint": simulate_arrays(FAINT, n=100, seed=5),
    }


def test_the_same_seed_gives_the_same_survey(twins):
    images, columns = simulate_arrays(BRIGHT, n=120, seed=5, morphology=True)
    assert torch.equal(images, twins["bright"][0])
    for name, column in columns.items():
        np.testing.assert_array_equal(column, twins["bright"][1][name])
    assert not torch.equal(images, simulate_arrays(BRIGHT, n=120, seed=6)[0])


def test_twins_share_galaxies_with_the_same_pixels_and_other_labels(twins):
    ids = [twins[name][1]["object_id"] for name in ("bright", "faint")]
    _, in_bright, in_faint = np.intersect1d(*ids, return_indices=True)
    assert len(in_bright) == n_common(BRIGHT, n=120) == n_common(FAINT, n=100) == 8
    (bright_images, bright), (faint_images, faint) = twins["bright"], twins["faint"]
    assert torch.equal(bright_images[in_bright.tolist()], faint_images[in_faint.tolist()])
    for name in ("ra", "dec", "true_redshift", "i_cmodel_mag"):
        np.testing.assert_array_equal(bright[name][in_bright], faint[name][in_faint])
    assert (bright["specz_redshift"][in_bright] != faint["lp_zPDF_CLASSIC"][in_faint]).all()


def test_the_published_overlap_at_the_published_size():
    assert n_common(BRIGHT, n=286_401) == n_common(FAINT, n=100_442) == 557


def test_measured_magnitudes_scatter_about_the_truth_by_their_errors(twins):
    _, columns = twins["bright"]
    true = columns["specz_mag_i"]
    pull = (columns["i_cmodel_mag"] - true) / columns["i_cmodel_magsigma"]
    assert np.std(pull) == pytest.approx(1.0, abs=0.35)
    assert np.isfinite([columns[f"{band}_cmodel_mag"] for band in "grizy"]).all()


def test_pixels_hold_the_flux_of_the_catalogue(twins):
    """Bright galaxies: aperture flux within 10 px against the cmodel magnitude."""
    images, columns = twins["bright"]
    pixel = torch.arange(48) - 23.5
    aperture = torch.hypot(pixel[:, None], pixel[None, :]) < 10
    flux = (images[:, 2] * aperture).sum((1, 2)).numpy()
    chosen = (columns["i_cmodel_mag"] < 20.5) & (columns["i_half_light_radius"] < 4.5)
    ratio = flux / 10 ** (-0.4 * (columns["i_cmodel_mag"] - 27.0))
    assert chosen.sum() > 5
    assert np.median(ratio[chosen]) == pytest.approx(0.93, abs=0.08)


def test_sky_noise_is_the_depth():
    """A star at the limit has 5σ under optimal weighting: σ = flux / (5 √n_eff), n_eff = 1 / Σ psf²."""
    import galsim

    fwhm_px = torch.tensor([BRIGHT.seeing_arcsec]) / BRIGHT.pixel_scale_arcsec
    sigma = sky_noise(BRIGHT, fwhm_px=fwhm_px)[0].numpy()
    for band in (0, 2, 4):
        star = galsim.Moffat(beta=2.5, fwhm=float(fwhm_px[0, band]))
        star = star.drawImage(nx=301, ny=301, scale=0.2, method="sb", dtype=float).array
        n_eff = 1 / (star**2).sum() / 0.2**2
        limit = 10 ** (-0.4 * (BRIGHT.depth_mag[band] - 27.0))
        assert limit / sigma[band] / np.sqrt(n_eff) == pytest.approx(5.0, rel=0.02)


def test_the_deep_twin_has_the_noise_of_the_real_cosmos_coadds(shared_data):
    """Sky noise per pixel against the pipeline's variance planes of real ultra-deep pixels."""
    variance = np.load(shared_data / "hsc_grizy_scenes" / "hsc_cosmos_35.npz")["variance"]
    real = np.sqrt(np.median(variance, axis=(1, 2)))
    fwhm_px = torch.tensor([FAINT.seeing_arcsec]) / FAINT.pixel_scale_arcsec
    np.testing.assert_allclose(sky_noise(FAINT, fwhm_px=fwhm_px)[0].numpy(), real, rtol=0.35)


def test_other_filters_and_pixels():
    """SDSS: five bands with u among them, i not the third, pixels too coarse for the seeing of COSMOS."""
    knobs = HscTwinKnobs(
        layout="galaxiesml",
        selection="flux_limited",
        bands=tuple(f"sdss2010-{letter}" for letter in "ugriz"),
        i_limit_mag=20.0,
        depth_mag=(22.3, 23.3, 23.1, 22.3, 20.8),
        seeing_arcsec=(1.53, 1.44, 1.32, 1.26, 1.29),
        pixel_scale_arcsec=0.396,
        image_size=24,
    )
    images, columns = simulate_arrays(knobs, n=300, seed=0)
    assert images.shape == (300, 5, 24, 24) and knobs.band_names[0] == "sdss-u"
    own = columns["object_id"] % 2 == 0
    assert np.median(columns["i_cmodel_mag"] - columns["specz_mag_i"]) == pytest.approx(0, abs=0.05)
    assert np.quantile(columns["specz_mag_i"][own], 0.99) < 21
    assert 0.3 < np.median(columns["g_cmodel_mag"] - columns["r_cmodel_mag"]) < 1.5


def test_morphology_is_optional(twins):
    assert "i_half_light_radius" in twins["bright"][1] and "i_half_light_radius" not in twins["faint"][1]


def test_pieces_run_on_single_threads_and_the_caller_keeps_its_own():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        seen = map_on_cores(lambda item: (item, torch.get_num_threads()), items=range(6), device=torch.device("cpu"))
        assert seen == [(item, 1) for item in range(6)]
        assert torch.get_num_threads() == 3
        later = []
        thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        assert later == [3]
    finally:
        torch.set_num_threads(before)


def test_results_do_not_depend_on_the_number_of_cores():
    knobs = FAINT.with_changes(image_size=32)
    before, surveys = torch.get_num_threads(), []
    try:
        for n_threads in (1, 3):
            torch.set_num_threads(n_threads)
            surveys.append(simulate_arrays(knobs, n=150, seed=1)[0])
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*surveys)


def test_one_galaxy_is_not_shared_between_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with on_one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
