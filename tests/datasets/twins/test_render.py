"""Profiles, seeing and rendered stamps against GalSim and real point-spread functions."""

from dataclasses import replace

import galsim
import numpy as np
import pytest
import torch

from astrolab.datasets.twins.galaxies.render import (
    BULGE_SCALES,
    BULGE_WEIGHTS,
    Sources,
    render_scene,
    render_stamps,
    seeing_terms,
)

FWHM_PX = (4.5, 3.0)


def make_sources(n, *, seed=0, radius=(0.4, 1.3), spread=0.5):
    rng = np.random.default_rng(seed)
    bulge = rng.random(n)
    disc_px = 10 ** rng.uniform(*radius, n)
    ratio = rng.uniform(0.2, 1.0, n)
    arrays = (
        rng.uniform(-spread, spread, n),
        rng.uniform(-spread, spread, n),
        100 * np.stack([np.stack([bulge, 1 - bulge], 1), np.stack([bulge, 1.5 - bulge], 1)], 1),
        np.stack([0.5 * disc_px, disc_px], 1),
        np.stack([np.maximum(ratio, 0.6), ratio], 1),
        rng.uniform(0, np.pi, n),
    )
    return Sources(torch.arange(n), *(torch.tensor(a, dtype=torch.float32) for a in arrays))


def galsim_stamp(sources, row, *, size, band):
    parts = []
    for number, kind in enumerate((galsim.DeVaucouleurs, galsim.Exponential)):
        ratio = float(sources.axis_ratio[row, number])
        radius = float(sources.radius_px[row, number]) * np.sqrt(ratio)
        part = kind(half_light_radius=radius, flux=float(sources.flux[row, band, number]))
        parts.append(part.shear(q=ratio, beta=float(sources.angle_rad[row]) * galsim.radians))
    whole = galsim.Convolve(galsim.Add(parts), galsim.Moffat(beta=2.5, fwhm=FWHM_PX[band]))
    whole = whole.shift(float(sources.x_px[row]), float(sources.y_px[row]))
    return whole.drawImage(nx=size, ny=size, scale=1.0, dtype=float).array


@pytest.mark.parametrize(("size", "n"), [(64, 12), (127, 3)])
def test_galsim_draws_the_same_galaxies(size, n):
    """Flux within 0.5 %, pixels within 0.5 % of the brightest, from point-like to larger than a stamp."""
    sources = make_sources(n, radius=(0.2, 1.5))
    ours = render_stamps(sources, n_stamps=n, size=size, fwhm_px=torch.tensor([FWHM_PX] * n)).double().numpy()
    for row in range(n):
        for band in range(2):
            truth = galsim_stamp(sources, row, size=size, band=band)
            assert ours[row, band].sum() == pytest.approx(truth.sum(), rel=5e-3)
            assert np.abs(ours[row, band] - truth).max() < 5e-3 * truth.max()


def test_light_is_where_the_galaxy_is():
    n, size = 20, 64
    sources = make_sources(n, radius=(0.1, 0.5), spread=12.0)
    image = render_stamps(sources, n_stamps=n, size=size, fwhm_px=torch.full((n, 2), 3.5)).double()
    pixel = torch.arange(size) - 31.5
    total = image.sum((2, 3))
    np.testing.assert_allclose((image.sum(2) * pixel).sum(-1) / total, sources.x_px[:, None].expand(n, 2), atol=0.15)
    np.testing.assert_allclose((image.sum(3) * pixel).sum(-1) / total, sources.y_px[:, None].expand(n, 2), atol=0.15)


def test_sources_on_one_stamp_add_up_and_empty_stamps_stay_dark():
    sources = make_sources(3)
    fwhm_px = torch.full((3, 2), 3.5)
    apart = render_stamps(sources, n_stamps=3, size=32, fwhm_px=fwhm_px)
    together = Sources(torch.tensor([1, 1, 1]), *list(vars(sources).values())[1:])
    stacked = render_stamps(together, n_stamps=3, size=32, fwhm_px=fwhm_px)
    # a source that is faint beside its neighbours is drawn a little less far out
    torch.testing.assert_close(stacked[1], apart.sum(0), rtol=0, atol=1e-3 * float(apart.max()))
    torch.testing.assert_close(stacked[1].sum((1, 2)), apart.sum((0, 2, 3)), rtol=5e-3, atol=0)
    assert not stacked[[0, 2]].any()
    assert not render_stamps(sources.take(slice(0, 0)), n_stamps=3, size=32, fwhm_px=fwhm_px).any()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_gpu_draws_what_the_cpu_draws():
    sources, fwhm_px = make_sources(50), torch.full((50, 2), 3.5)
    cpu = render_stamps(sources, n_stamps=50, size=64, fwhm_px=fwhm_px)
    gpu = render_stamps(
        Sources(*(one.cuda() for one in vars(sources).values())), n_stamps=50, size=64, fwhm_px=fwhm_px.cuda()
    ).cpu()
    torch.testing.assert_close(gpu, cpu, rtol=1e-2, atol=1e-2 * float(cpu.max()) / 100)


@pytest.mark.parametrize("n_bands", [1, 2])
def test_a_galaxy_alone_stays_alone_when_its_neighbours_are_drawn(n_bands):
    options = {"n_stamps": 4, "size": 32, "fwhm_px": torch.full((4, n_bands), 3.5)}
    central, neighbours = (in_bands(make_sources(4, seed=seed, spread=10.0), n_bands) for seed in (1, 2))
    alone, blended = render_scene(central, neighbours=neighbours, **options)
    torch.testing.assert_close(alone, render_stamps(central, **options), rtol=0, atol=0)
    light = (blended - alone).sum((2, 3)) / render_stamps(neighbours, **options).sum((2, 3))
    torch.testing.assert_close(light, torch.ones_like(light), rtol=0.03, atol=0)


def in_bands(sources, n_bands):
    return replace(sources, flux=sources.flux[:, :n_bands])


def test_the_bulge_is_a_de_vaucouleurs_profile():
    truth = galsim.DeVaucouleurs(half_light_radius=1.0, gsparams=galsim.GSParams(kvalue_accuracy=1e-7))
    k = np.geomspace(1e-2, 60.0, 60)
    ours = (1 + np.outer(k, BULGE_SCALES) ** 2) ** -1.5 @ np.array(BULGE_WEIGHTS)
    np.testing.assert_allclose(ours, [truth.kValue(one, 0).real for one in k], atol=2e-3)
    assert sum(BULGE_WEIGHTS) == pytest.approx(1.0, abs=1e-7)


@pytest.mark.parametrize("beta", [2.0, 2.5, 4.0])
def test_the_seeing_is_a_moffat_profile(beta):
    sigma, weight = map(np.array, seeing_terms(beta))
    truth = galsim.Moffat(beta=beta, fwhm=1.0)
    k = np.linspace(0.2, 10.0, 40)
    ours = np.exp(-0.5 * np.outer(k, sigma) ** 2) @ weight
    np.testing.assert_allclose(ours, [truth.kValue(one, 0).real for one in k], atol=4e-3)
    assert weight.sum() == pytest.approx(1.0)


def test_the_seeing_is_that_of_stars_on_hsc_coadds(shared_data):
    """Encircled light of the published COSMOS point-spread functions, against Moffat 2.5 of their own width."""
    sigma, weight = map(np.array, seeing_terms(2.5))
    for psf in np.load(shared_data / "hsc_grizy_scenes" / "hsc_cosmos_35.npz")["psfs"][:4]:
        psf = psf / psf.sum()
        y, x = np.indices(psf.shape)
        radius = np.hypot(x - (psf * x).sum(), y - (psf * y).sum())
        half = np.interp(0.5, np.cumsum(psf.ravel()[np.argsort(radius, axis=None)]), np.sort(radius, axis=None))
        grid = np.linspace(0.05, 3.0, 600)
        ours = 1 - np.exp(-0.5 * (grid[:, None] / sigma) ** 2) @ weight
        fwhm = half / np.interp(0.5, ours, grid)
        for factor in (1.5, 2.5, 4.0):
            expected = np.interp(factor * half / fwhm, grid, ours)
            assert psf[radius < factor * half].sum() == pytest.approx(expected, abs=0.05)
