"""The bridge between spectroscopic surveys, each step against something independent."""

import copy
import json
from dataclasses import asdict, replace

import astropy.units as u
import numpy as np
import pandas as pd
import pytest
from astropy.nddata import VarianceUncertainty
from specutils import Spectrum
from specutils.manipulation import FluxConservingResampler
from specutils.utils.wcs_utils import air_to_vac

import astrolab as al
from astrolab.datasets import spectra
from astrolab.datasets.manifest import parse_manifest
from astrolab.datasets.reading import read_file
from astrolab.datasets.survey import Provenance, Survey
from astrolab.errors import AstrolabWarning, ConfigError, SchemaError, UnknownNameError
from astrolab.models.network import TrainingRecord
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
    spec = {"medium": "vacuum", "grid": () if wave_companion is not None else np.ravel(wave), "unit": "nJy"} | spec
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
    flux, variance, grid = random.uniform(1, 2, len(wave)), random.uniform(0.5, 2, len(wave)), al.Bridge().grid
    given = Spectrum(flux=flux * u.Jy, spectral_axis=wave * u.AA, uncertainty=VarianceUncertainty(variance))
    theirs, ours = FluxConservingResampler()(given, grid * u.AA), spectra.Resampling(wave, grid_ang=grid)
    np.testing.assert_allclose(ours.apply(flux[None])[0], theirs.flux.value, rtol=1e-4)
    np.testing.assert_allclose(1 / ours.variance([variance[None]])[0], theirs.uncertainty.array, rtol=1e-3)


@pytest.mark.parametrize("settings", [{}, {"resolution": 1800.0}, {"resolution": 1800.0, "flux_conserving": False}])
def test_inverse_variance_is_that_of_many_realisations(settings):
    random, n = np.random.default_rng(1), 2000
    wave = DESI[500:1000]
    sigma = random.uniform(0.5, 2, len(wave))
    noisy = make_stars(100 + sigma * random.normal(size=(n, len(wave))), wave=wave, ivar=sigma**-2, resolution=[3000.0])
    flux, ivar = bridged(noisy, **BARE | {"log_start": 3.604, "n_pixels": 300} | settings)
    ratio = flux.std(axis=0) * np.sqrt(ivar[0])
    assert ratio.mean() == pytest.approx(1, abs=5e-3) and ratio.std() < 1.3 / np.sqrt(2 * n)


# ---- all of them ---------------------------------------------------------------------------------------------------


def lined_stars(*, wave=DESI, to_air=False):
    """Stars at four velocities, with Gaussian lines on a curved continuum: the survey, and depth and σ at each line."""
    lines, velocity = {4200.0: 0.6, 4667.0: 0.2, 5270.0: 0.4, 5450.0: 0.8}, np.array([-250.0, 0.0, 80.0, 300.0])
    rest = spectra.to_rest(spectra.to_vacuum(wave) if to_air else wave, velocity_kms=velocity[:, None])
    continuum = 3 + (rest - 4800) / 1000 - ((rest - 4800) / 900) ** 2 / 3
    sigma = 5000 / 3000 / np.sqrt(8 * np.log(2))
    flux = continuum * (1 - sum(depth * gaussian(rest, centre, sigma) for centre, depth in lines.items()))
    own = {"resolution": [3000.0], "velocity": "rv", "catalogue": {"rv": velocity}, "ivar": 100 / continuum**2}
    return make_stars(flux, wave=wave, medium="air" if to_air else "vacuum", **own), lines, sigma


@pytest.mark.parametrize("to_air", [True, False])
def test_equivalent_widths_and_places_of_lines_through_the_whole_bridge(to_air):
    stars, lines, sigma = lined_stars(to_air=to_air)
    flux, ivar = bridged(stars, resolution=1800.0)
    grid = al.Bridge().grid
    for centre, depth in lines.items():
        near = np.abs(grid - centre) < 25
        wave, missing = grid[near], 1 - flux[:, near].astype(float)
        area = np.trapezoid(missing, wave, axis=1)
        np.testing.assert_allclose(area, depth * sigma * np.sqrt(2 * np.pi), rtol=1e-3)
        np.testing.assert_allclose((missing * wave).sum(1) / missing.sum(1), centre, atol=0.03)
        width = np.sqrt((missing * (wave - centre) ** 2).sum(1) / missing.sum(1))
        wanted = np.hypot(sigma, centre / np.sqrt(8 * np.log(2)) * np.sqrt(1800.0**-2 - 3000.0**-2))
        np.testing.assert_allclose(width, np.sqrt(wanted**2 + (0.8**2 + np.diff(grid)[0] ** 2) / 12), rtol=0.03)
    assert (flux.dtype, ivar.dtype, flux.shape) == (np.float32, np.float32, (4, 1462))
    assert np.median(ivar) == pytest.approx(100 * 3.3, rel=0.3)  # of a flux of 1, smoothed over some three pixels


def test_a_bridged_survey_says_how_and_is_not_bridged_twice():
    stars, _, _ = lined_stars()
    bridge = al.Bridge(resolution=al.common_resolution([stars, make_stars(DESI, resolution=[1500.0])]))
    found = al.bridge_spectra(stars, bridge=bridge)
    spec = found.specs["spectrum"]
    settings = json.loads(json.dumps(spec.bridge))
    assert al.Bridge(**settings) == bridge and al.bridge_spectra(found, bridge=settings) is found
    np.testing.assert_allclose(spec.grid, 10 ** (3.602 + 1e-4 * np.arange(1462)))
    assert (spec.medium, spec.velocity, spec.companions, spec.resolution[7]) == ("vacuum", "", ("ivar",), 1500.0)
    assert found.provenance.declared == (
        "spectrum: bridged (vacuum, rest frame, polynomial continuum, R 1500 to 1500)",
    )
    record = TrainingRecord.of(found, inputs=["spectrum"])
    assert TrainingRecord.from_dict(json.loads(json.dumps(asdict(record)))) == record
    record.require_same(found)
    with pytest.raises(SchemaError, match=r"astrolab.bridge_spectra\(survey, bridge=network.trained_on"):
        record.require_same(stars)
    with pytest.raises(SchemaError, match="Load the survey again"):
        al.bridge_spectra(found, bridge=al.Bridge())
    with pytest.raises(ConfigError, match="3 values for 1,462 pixels"):
        al.Bridge(resolution=[1, 2, 3])
    rows = copy.deepcopy(found).take([2, 0]).inputs["spectrum"][:]
    np.testing.assert_array_equal(rows, found.inputs["spectrum"][[2, 0]])


def test_each_step_can_be_left_out():
    stars, _, _ = lined_stars(to_air=True)
    grid = al.Bridge().grid
    near = np.abs(grid - 5450) < 20

    def place_of_line(**settings):
        missing = 1 - bridged(stars, **settings)[0][3, near]
        return (grid[near] * missing).sum() / missing.sum()

    assert place_of_line() == pytest.approx(5450, abs=0.1)
    assert place_of_line(rest_frame=False) == pytest.approx(5450 * (1 + 300 / 299792), abs=0.1)
    assert place_of_line(vacuum=False) == pytest.approx(5450 - 1.51, abs=0.1)
    sharp, blurred = (bridged(stars, resolution=resolution)[0][1].min() for resolution in (None, 1500.0))
    assert sharp < blurred - 0.1
    raw = bridged(stars, continuum=None)[0]
    np.testing.assert_allclose(
        raw / np.median(raw, axis=1, keepdims=True), bridged(stars, continuum="median")[0], rtol=1e-5
    )


def test_the_continuum_depends_little_on_the_noise():
    stars, _, _ = lined_stars()
    flux, clean = np.asarray(stars.inputs["spectrum"]), bridged(stars, resolution=1800.0)[0]
    random = np.random.default_rng(0)
    noisy = make_stars(np.repeat(flux, 25, axis=0) * random.normal(1, 0.1, (100, len(DESI))), resolution=[3000.0])
    at_rest = make_stars(flux, resolution=[3000.0])
    ratio = bridged(noisy, resolution=1800.0)[0].mean(axis=0) / bridged(at_rest, resolution=1800.0)[0].mean(axis=0)
    assert abs(ratio.mean() - 1) < 5e-3 and clean.max() < 1.01  # S/N 10 a pixel


def test_masks_and_errors_of_what_is_not_known():
    flux, ivar = np.ones((6, len(DESI))), np.ones((6, len(DESI)))
    flux[0, 900:903], ivar[1, 900] = np.nan, 0
    ivar[2], flux[3] = 0, np.nan
    columns = {"rv": np.array([0.0, 10, 20, 30, -9999, np.nan]), "CLASS": np.array(["STAR", "QSO "] * 3, dtype=object)}
    stars = make_stars(flux, ivar=ivar, velocity="rv", catalogue=columns)
    with pytest.warns(AstrolabWarning) as said:
        found = al.bridge_spectra(stars, bridge=al.Bridge(continuum=None))
    for words in [
        "2 of 6 stars without a radial velocity in 'rv', left out",
        "2 of 6 stars with less than 10% of good pixels from 3999 to 5599 Å, left out",
        "2 of 6 stars with NaN or infinite flux, which is masked",
        "3 of 6 stars that are no stars: CLASS QSO",
    ]:
        assert words in str(said[0].message)
    assert found.ids.tolist() == [0, 1] and np.allclose(found.inputs["spectrum"], 1)
    assert ((found.inputs["spectrum.ivar"] == 0).sum(axis=1) > [1, 0]).all()
    bad = found.specs["spectrum"].grid[int(np.flatnonzero(found.inputs["spectrum.ivar"][0] == 0)[1])]
    assert bad == pytest.approx(DESI[901], abs=1.5)
    some = make_stars(flux[:2, :1800], wave=DESI[:1800], ivar=ivar[:2, :1800])
    with pytest.warns(AstrolabWarning, match=r"\d+ of 1,462 pixels are measured in no spectrum"):
        assert np.isfinite(al.bridge_spectra(some, bridge=al.Bridge()).inputs["spectrum"]).all()


@pytest.mark.parametrize(
    ("changes", "settings", "words"),
    [
        ({"medium": ""}, {}, "unknown medium(.|\n)*vacuum=False"),
        ({"wave": DESI / 10}, {}, "360 to 580 Å, which does not overlap 3999 to 5599 Å"),
        ({"wave": DESI[::-1]}, {}, "do not ascend"),
        ({"wave": ()}, {}, "without wavelengths"),
        ({}, {"resolution": 1800}, "unknown resolution(.|\n)*resolution=None"),
        ({"resolution": [1500.0]}, {"resolution": 1800}, "R 1500 at(.|\n)*common_resolution"),
        ({"ivar": np.zeros(len(DESI))}, {}, "2 of 2 stars with less than 10% of good pixels"),
        ({"velocity": "rv", "catalogue": {"rv": [np.nan, -9999.0]}}, {}, "2 of 2 stars without a radial velocity"),
    ],
)
def test_what_cannot_be_bridged_is_refused(changes, settings, words):
    changes = {"catalogue": {}, **changes}
    changes["catalogue"] = {name: np.array(values) for name, values in changes["catalogue"].items()}
    with pytest.raises(SchemaError, match=words):
        bridged(make_stars(np.ones((2, len(DESI))), **changes), **settings)
    with pytest.raises(UnknownNameError, match="spectrum"):
        al.bridge_spectra(replace(make_stars(np.ones((2, 9))), inputs={}, specs={}), bridge=al.Bridge())


def test_spectra_on_grids_of_their_own():
    stars, _, _ = lined_stars()
    shifted = np.stack([DESI + shift for shift in (0.0, 0.3, 0.3, 0.55)])
    flux = np.asarray(lined_stars(wave=shifted)[0].inputs["spectrum"])
    own = {"resolution": [3000.0], "velocity": "rv", "catalogue": dict(stars.catalogue)}
    found = bridged(make_stars(flux, wave_companion=shifted, **own), resolution=1800.0)[0]
    np.testing.assert_allclose(found, bridged(stars, resolution=1800.0)[0], atol=0.02)  # of pixels cut anew


def test_real_galaxies_in_a_coadd_are_named(shared_data):
    path = shared_data / "spectra_desi_sdss" / "coadd-4-80613-thru20210324.fits"
    join = {"path": path.name.replace("coadd", "redrock"), "format": "fits", "table": "REDSHIFTS", "by": "TARGETID"}
    spectrum = {"key": "flux", "grid": "wave", "companions": {"ivar": "ivar"}, "medium": "vacuum"}
    table = {"name": "desi", "title": "DESI", "version": "1", "format": {"format": "desi"}, "join": [join]}
    table |= {"input": {"spectrum": spectrum | {"resolution": [[3600, 2000], [9824, 5500]]}}}
    survey = read_file(path, manifest=parse_manifest(table | {"files": [{"path": path.name}]}, where="desi"))
    with pytest.warns(AstrolabWarning, match="1 of 1 galaxies that are no stars: SPECTYPE GALAXY"):
        flux = al.bridge_spectra(survey, bridge=al.Bridge(resolution=1800.0)).inputs["spectrum"]
    assert np.isfinite(flux).all() and np.median(flux) == pytest.approx(1, abs=0.1)
