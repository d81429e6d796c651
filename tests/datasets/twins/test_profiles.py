import galsim
import numpy as np
import pytest

from astrolab.datasets.twins.profiles import BULGE_SCALES, BULGE_WEIGHTS, seeing_terms, sersic_growth


@pytest.mark.parametrize("index", [1.0, 2.5, 4.0])
def test_growth_is_galsims(index):
    profile = galsim.Sersic(n=index, half_light_radius=1.0, gsparams=galsim.GSParams(maximum_fft_size=16384))
    for radius in (0.7, 2.0, 3.5):
        assert sersic_growth(radius, index=index) == pytest.approx(profile.calculateIntegratedFlux(radius), abs=2e-3)


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
