import galsim
import numpy as np
import pytest
import torch

from astrolab.datasets.twins.measurement import measure_fluxes, measure_shapes


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
