"""The bridge between spectroscopic surveys, each step against something independent."""

import json

import astropy.units as u
import numpy as np
import pandas as pd
import pytest
from specutils import Spectrum
from specutils.manipulation import FluxConservingResampler
from specutils.utils.wcs_utils import air_to_vac

import astrolab as al
from astrolab.datasets import spectra
from astrolab.datasets.survey import Provenance, Survey
from astrolab.errors import AstrolabWarning, ConfigError, SchemaError
from astrolab.tasks import InputSpec, make_task

DESI = 3600 + 0.8 * np.arange(2751)
LOG = 10 ** (3.5682 + 1e-4 * np.arange(2000))
BARE = {"rest_frame": False, "continuum": None}


def gaussian(wave, centre, sigma):
    return np.exp(-0.5 * ((wave - centre) / sigma) ** 2)


def make_stars(flux, *, wave=DESI, ivar=None, wave_companion=None, catalogue=None, **spec):
    inputs = {"spectrum": np.atleast_2d(flux).astype(np.float32)}
    inputs |= {} if ivar is None else {"spectrum.ivar": np.broadcast_to(ivar, inputs["spectrum"].shape)}
    inputs |= {} if wave_companion is None else {"spectrum.wave": wave_companion}
    n = len(inputs["spectrum"])
    spec = {"medium": "vacuum", "grid": () if wave_companion is not None else wave, "unit": "nJy"} | spec
    return Survey(
        name="stars",
        inputs=inputs,
        specs={"spectrum": InputSpec(("pixel",), companions=[name[9:] for name in list(inputs)[1:]], **spec)},
        labels=pd.DataFrame(index=range(n)),
        ids=np.arange(n),
        provenance=Provenance(survey="stars", title="Stars"),
        task=make_task([]),
        objects="stars",
        catalogue=catalogue or {},
    )


def bridged(survey, **settings):
    found = al.bridge_spectra(survey, bridge=al.Bridge(**settings))
    return found.inputs["spectrum"], found.inputs["spectrum.ivar"]


def equivalent_width(wave, flux):
    return np.trapezoid(1 - flux, wave)


# ---- each step ---------------------------------------------------------------------------------------------------


def test_air_becomes_vacuum_as_in_specutils():
    wave = np.linspace(3500, 9800, 200)
    for method in ("Morton2000", "Ciddor1996"):
        ours, theirs = spectra.to_vacuum(wave), air_to_vac(wave * u.AA, method=method, scheme="iteration").value
        assert np.abs(ours / theirs - 1).max() * 3e5 < 0.02  # km/s
    assert spectra.to_vacuum(np.array(5889.951)) == pytest.approx(5891.583, abs=1e-3)  # Na D2, NIST


def test_the_rest_frame_is_that_of_special_relativity():
    velocity = np.array([-300.0, 0.0, 500.0])
    rest = spectra.to_rest(np.array([5000.0, 5500.0]), velocity_kms=velocity[:, None])
    theirs = (velocity * u.km / u.s).to_value(u.AA, u.doppler_relativistic(5000 * u.AA))
    np.testing.assert_allclose(rest[:, 0] * theirs, 5000.0**2, rtol=1e-12)


@pytest.mark.parametrize("resolution", [4000.0, 2500.0, 1850.0])
def test_a_line_becomes_as_wide_as_the_lower_resolution_says(resolution):
    centre, target = 5000.0, 1800.0
    own, wanted = (centre / r / np.sqrt(8 * np.log(2)) for r in (resolution, target))
    weights = spectra.blur_weights(DESI, resolution=np.full(len(DESI), resolution), target=np.full(len(DESI), target))
    line = spectra.degrade(gaussian(DESI, centre, own)[None], weights=weights)[0]
    width = np.sqrt((line * (DESI - centre) ** 2).sum() / line.sum())
    assert width == pytest.approx(wanted, rel=2e-3)  # in quadrature; a kernel below one pixel too
    assert line.sum() == pytest.approx(gaussian(DESI, centre, own).sum(), rel=1e-3)


@pytest.mark.parametrize("wave", [DESI, LOG])
def test_resampling_and_its_variance_are_those_of_specutils(wave):
    random = np.random.default_rng(0)
    flux, grid = random.uniform(1, 2, len(wave)), al.Bridge().grid
    variance = random.uniform(0.5, 2, len(wave))
    resampling = spectra.Resampling(wave, grid_ang=grid)
    from astropy.nddata import VarianceUncertainty

    theirs = FluxConservingResampler()(
        Spectrum(flux=flux * u.Jy, spectral_axis=wave * u.AA, uncertainty=VarianceUncertainty(variance)), grid * u.AA
    )
    inner = slice(2, -2)  # its edges are those of its bins
    np.testing.assert_allclose(resampling.apply(flux[None])[0][inner], theirs.flux.value[inner], rtol=1e-3)
    ours = resampling.variance([variance[None]])[0]
    print(np.abs(ours / theirs.uncertainty.array - 1).max(), theirs.uncertainty)


def test_inverse_variance_is_that_of_many_realisations():
    random = np.random.default_rng(1)
    sigma = random.uniform(0.5, 2, len(DESI))
    noisy = make_stars(100 + sigma * random.normal(size=(3000, len(DESI))), ivar=sigma**-2, resolution=[3000.0])
    for settings in ({}, {"resolution": 1800.0}, {"resolution": 1800.0, "flux_conserving": False}):
        flux, ivar = bridged(noisy, **BARE | settings)
        ratio = flux.std(axis=0) * np.sqrt(ivar[0])
        print(settings, ratio.mean(), ratio.std(), 1 / np.sqrt(2 * 3000))
        assert ratio.mean() == pytest.approx(1, abs=5e-3) and ratio.std() < 1.2 / np.sqrt(2 * 3000)


def test_equivalent_width_through_the_whole_bridge():
    lines = [(4200.0, 0.6), (4667.0, 0.2), (5270.0, 0.4), (5450.0, 0.8)]
    velocity = np.array([-250.0, 0.0, 80.0, 300.0])
    rest = spectra.to_rest(DESI, velocity_kms=velocity[:, None])
    slope = 3 + (rest - 4800) / 1000 - ((rest - 4800) / 900) ** 2 / 3
    sigma = 5000 / 3000 / 2.3548
    flux = slope * (1 - sum(depth * gaussian(rest, centre, sigma) for centre, depth in lines))
    stars = make_stars(flux, ivar=1.0, resolution=[3000.0], velocity="rv", catalogue={"rv": velocity})
    out = bridged(stars, resolution=1800.0)[0]
    grid = al.Bridge().grid
    for centre, depth in lines:
        near = np.abs(grid - centre) < 25
        for k, one in enumerate(out):
            print(
                centre,
                velocity[k],
                equivalent_width(grid[near], one[near]) / (depth * sigma * np.sqrt(2 * np.pi)) - 1,
                (one[near][0] - 1),
                np.sum((1 - one[near]) * grid[near]) / np.sum(1 - one[near]) - centre,
            )
