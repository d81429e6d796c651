"""Stars whose lines follow curves of growth, by spectrographs of known resolution and noise, in published files."""

import io
import tarfile
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from astropy.io import fits
from scipy.integrate import quad
from scipy.special import voigt_profile
from scipy.stats import ks_2samp

import astrolab as al
from astrolab.datasets.manifest import load_manifest
from astrolab.datasets.twins import simulate_survey
from astrolab.datasets.twins.stars import StarTwinKnobs, files, observing, population, spectra
from astrolab.errors import ConfigError

KNOBS = {name: StarTwinKnobs(**load_manifest(f"twin-{name}").twin.knobs) for name in ("lamost", "desi")}
SUN = (5772.0, 4.44, 0.0, 0.0)
# passband and the two sidebands (air Å) of Trager et al. (1998)
LICK = {
    "Hb": ((4847.875, 4876.625), (4827.875, 4847.875), (4876.625, 4891.625)),
    "Mgb": ((5160.125, 5192.625), (5117.7, 5142.7), (5191.375, 5206.375)),
    "Fe5270": ((5245.65, 5285.65), (5233.15, 5248.15), (5285.65, 5318.15)),
    "Fe5335": ((5312.125, 5352.125), (5304.625, 5317.375), (5353.375, 5363.375)),
}


def star(*labels):
    return spectra.spectrum(torch.tensor([labels]))[0].double().numpy()


def index(flux, wave_air, name):
    """Equivalent width (Å) below the line through the means of both sidebands."""
    inside, *sides = (np.linspace(*edges, 400) for edges in LICK[name])
    level = [np.interp(side, wave_air, flux).mean() for side in sides]
    slope = (level[1] - level[0]) / (sides[1].mean() - sides[0].mean())
    below = 1 - np.interp(inside, wave_air, flux) / (level[0] + slope * (inside - sides[0].mean()))
    return below.mean() * (inside[-1] - inside[0])


def to_air(wave):
    s2 = (1e4 / wave) ** 2
    return wave / (1 + 8.34254e-5 + 2.406147e-2 / (130 - s2) + 1.5998e-4 / (38.9 - s2))


def index_of(name, *labels):
    return index(star(*labels), to_air(spectra.GRID), name)


# ---- lines -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damping", [1e-3, 0.03])
@pytest.mark.parametrize("log_depth", [-2.0, 0.5, 1.8, 4.0, 6.0])
def test_the_curve_of_growth_is_the_integral_over_a_voigt_profile(log_depth, damping):
    def absorbed(u):
        return -np.expm1(-(10**log_depth) * np.sqrt(np.pi) * voigt_profile(u, np.sqrt(0.5), damping))

    edges = np.concatenate([[0.0], np.geomspace(1.0, 1e6, 25)])
    width = 2 * sum(quad(absorbed, low, high)[0] for low, high in pairwise(edges))
    ours = spectra.curve_of_growth(torch.tensor([[log_depth]]), log_damping=torch.tensor([[np.log10(damping)]]).float())
    assert 10 ** ours.item() == pytest.approx(width, rel=0.03)


@pytest.mark.parametrize("labels", [SUN, (4500.0, 2.0, 0.3, 0.0), (6200.0, 4.0, -1.5, 0.3)])
@pytest.mark.parametrize("air_ang", [5405.8, 6750.2, 5183.6, 8542.1])
def test_a_line_alone_has_the_width_of_its_curve_of_growth(monkeypatch, air_ang, labels):
    """The Sun's are those of the table: 0.27, 0.075, 1.585 and 3.67 Å."""
    number = np.abs(to_air(spectra.line_list()[0]) - air_ang).argmin()
    tiles = []
    for pixels, lines, profiles, series in spectra._tiles():
        alone = torch.zeros_like(profiles)
        for row in torch.cat([lines == number, lines == number]).nonzero().flatten().tolist():
            alone[row] = profiles[row]
        tiles.append((pixels, lines, alone, torch.zeros_like(series)))
    monkeypatch.setattr(spectra, "_tiles", lambda: tiles)
    stars = torch.tensor([labels])
    absorbed = 1 - (spectra.spectrum(stars) / spectra.continuum(stars))[0].double().numpy()
    width = spectra.strengths(stars)[0][0, number].item()
    assert np.trapezoid(absorbed, spectra.GRID) == pytest.approx(width, rel=0.06)
    if labels == SUN:
        assert width == pytest.approx(spectra.line_list()[2][number], rel=0.01)


def test_labels_can_be_read_off_the_lines():
    iron = [index_of("Fe5270", 4800.0, 2.5, feh, 0.0) for feh in (-2.5, -1.5, -0.5, 0.3)]
    assert (np.diff(iron) > 0.3).all()
    rich, poor = (4800.0, 2.5, -0.5, 0.3), (4800.0, 2.5, -0.5, 0.0)
    more_magnesium = index_of("Mgb", *rich) / index_of("Mgb", *poor)
    more_iron = index_of("Fe5335", *rich) / index_of("Fe5335", *poor)
    assert more_magnesium > 1.15 and more_iron < 1.08, "α/Fe is in Mg b, at the same iron"
    assert index_of("Mgb", 4700.0, 4.6, 0.0, 0.0) > 1.4 * index_of("Mgb", 4700.0, 2.5, 0.0, 0.0), "pressure"
    balmer = [index_of("Hb", teff, 4.2, 0.0, 0.0) for teff in (5000.0, 6000.0, 7000.0, 8500.0)]
    assert (np.diff(balmer) > 0.5).all()


def test_indices_agree_with_real_stars(shared_data):
    """F, G and K stars of MILES: the median difference of groups, and the scatter of single stars."""
    labels = pd.read_csv(
        shared_data / "stars_miles/MILES_params.db", sep=r"\s+", comment="#", names=["id", "teff", "logg", "feh"],
        dtype={"id": str}, usecols=range(4),
    ).set_index("id")  # fmt: skip
    labels = labels[labels["teff"].between(4400, 7000) & labels["logg"].between(0, 6) & labels["feh"].between(-3, 1)]
    rows = []
    with tarfile.open(shared_data / "stars_miles/miles_third_fits.tar.gz") as archive:
        for member in archive:
            number = member.name[-10:-6]
            if number not in labels.index or not member.isfile():
                continue
            with fits.open(io.BytesIO(archive.extractfile(member).read())) as hdus:
                flux, header = hdus[0].data.ravel().astype(float), hdus[0].header
            wave = header["CRVAL1"] + header["CDELT1"] * np.arange(len(flux))
            teff, log_g, feh = labels.loc[number]
            real = [index(flux, wave, name) for name in LICK]
            twin = [index_of(name, teff, log_g, feh, float(np.clip(-0.35 * feh, 0.0, 0.35))) for name in LICK]
            rows.append([teff, feh, *real, *twin])
    teff, feh, *values = np.array(rows).T
    assert len(teff) > 150
    iron = (values[2] + values[3]) / 2, (values[6] + values[7]) / 2
    for real, twin, scatter in ((values[0], values[4], 0.6), (values[1], values[5], 0.9), (*iron, 0.4)):
        for group in (feh > -0.5, feh < -0.9, teff < 5000, teff > 5600):
            assert abs(np.median(twin[group] - real[group])) < scatter
        assert np.std(twin - real) < 1.5 * scatter
        assert np.corrcoef(twin, real)[0, 1] > 0.85


# ---- spectrographs -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("survey", ["lamost", "desi"])
def test_a_narrow_line_is_as_wide_as_the_resolution_says(survey):
    knobs = KNOBS[survey]
    for arm, grid, (blue, red) in zip(
        observing.arms_of(survey, resolution=knobs.resolution), observing.GRIDS[survey], knobs.resolution, strict=True
    ):
        for place in (0.1, 0.5, 0.9):
            wave = grid[0] + place * (grid[-1] - grid[0])
            velocity = np.log(spectra.GRID / wave) * spectra.C_KMS
            line = np.exp(-0.5 * (velocity / spectra.SIGMA_KMS) ** 2)  # what the fine grid makes of a narrow one
            seen = arm.see(spectra.floats(line)[None])[0].double().numpy()
            mean = (seen * grid).sum() / seen.sum()
            sigma = np.sqrt((seen * (grid - mean) ** 2).sum() / seen.sum())
            assert wave / sigma / 2.3548 == pytest.approx(blue + place * (red - blue), rel=0.02)
            assert np.trapezoid(seen, grid) == pytest.approx(np.trapezoid(line, spectra.GRID), rel=2e-3)


def test_a_velocity_moves_lines_and_changes_nothing_else():
    line = np.exp(-0.5 * (np.log(spectra.GRID / 6000.0) * spectra.C_KMS / 25.0) ** 2)
    rv = np.array([-412.3, 0.0, 7.7, 433.1])
    moved = observing.moved_by(spectra.floats(line).expand(4, -1), rv=rv).double().numpy()
    total, velocity = moved.sum(axis=1), np.log(spectra.GRID / 6000.0) * spectra.C_KMS
    centre = (moved * velocity).sum(axis=1) / total
    sigma = np.sqrt((moved * (velocity - centre[:, None]) ** 2).sum(axis=1) / total)
    np.testing.assert_allclose(centre, np.log1p(rv / spectra.C_KMS) * spectra.C_KMS, atol=0.1)
    np.testing.assert_allclose(sigma, 25.0, rtol=5e-3)
    np.testing.assert_allclose(total, total[1], rtol=1e-4)


def test_noise_is_what_the_inverse_variance_says_and_masks_hide_what_is_bad():
    knobs = KNOBS["desi"].model_copy(update={"throughput_error": 0.0, "telluric_frac": 0.0, "sky_residual": 0.0})
    stars = population.draw_survey(knobs, n=40, seed=3)
    first, second = (observing.observe(stars, knobs=knobs, key=(seed,)) for seed in (1, 2))
    for arm in range(3):
        good = (first[f"ivar{arm}"] > 0) & (second[f"ivar{arm}"] > 0)
        assert (good == ((first[f"mask{arm}"] == 0) & (second[f"mask{arm}"] == 0))).all()
        assert 1 - good.mean() == pytest.approx(2 * knobs.bad_pixel_frac, rel=0.3)
        pull = (first[f"flux{arm}"] - second[f"flux{arm}"])[good]
        pull *= 1 / np.sqrt(1 / first[f"ivar{arm}"][good] + 1 / second[f"ivar{arm}"][good])
        assert np.std(pull) == pytest.approx(1.0, abs=0.01)
    np.testing.assert_allclose(first["snr_g"], stars["snr"], rtol=0.05)


# ---- populations -------------------------------------------------------------------------------------------------


def test_giants_have_the_labels_of_apogee(shared_data):
    """Marginal distributions, and the joint ones on grids: total variation, of which 0.05 is the counts' own noise."""
    table = pd.read_csv(shared_data / "apogee_lamost_labels/apogee_dr12_labels.csv.gz")
    real = table[["TEFF", "LOGG", "FE_H", "PARAM_ALPHA_M"]].to_numpy()
    twin = population.draw_giants(40_000, rng=np.random.default_rng(1))
    for column in range(4):
        assert ks_2samp(real[:, column], twin[:, column]).statistic < 0.03
    grids = {
        (2, 3): ((-1.5, 0.5), (-0.08, 0.4)),
        (0, 1): ((3700, 5500), (0.0, 4.0)),
        (0, 2): ((3700, 5500), (-1.5, 0.5)),
    }
    for pair, edges in grids.items():
        one, other = (np.histogram2d(*a[:, pair].T, bins=16, range=edges)[0] / len(a) for a in (real, twin))
        assert 0.5 * np.abs(one - other).sum() < 0.12
    assert twin[:, 1].max() <= 3.95
    alpha = twin[np.abs(twin[:, 2] + 0.35) < 0.1, 3]
    low, valley, high = (np.mean(np.abs(alpha - at) < 0.02) for at in (0.07, 0.145, 0.21))
    assert low > 1.3 * valley < high, "two sequences at one [Fe/H]"


def test_surveys_see_other_stars_with_other_label_noise():
    lamost, desi = (population.draw_survey(knobs, n=4000, seed=0) for knobs in KNOBS.values())
    assert np.mean(desi["true_feh"] < -1) > 3 * np.mean(lamost["true_feh"] < -1)
    assert -3.01 < desi["true_feh"].min() < -2.6
    assert 8500 < lamost["true_teff"].max() <= 9000 and lamost["true_teff"].min() >= 4000
    assert np.median(desi["snr"]) < 0.8 * np.median(lamost["snr"])
    for stars, knobs in ((lamost, KNOBS["lamost"]), (desi, KNOBS["desi"])):
        known = stars["feh"] != population.MISSING
        assert 1 - known.mean() == pytest.approx(knobs.label_missing_frac, rel=0.4)
        assert (stars["alpha_fe"] == population.MISSING).sum() > (~known).sum()
        assert (stars["rv"] != population.MISSING).all(), "all can be brought to rest"
        error = (stars["feh"] - stars["true_feh"])[known & (stars["snr"] > 60)]
        assert np.std(error) == pytest.approx(knobs.label_sigma[2], rel=0.1)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"halo_frac": 0.8}, "giant_frac, halo_frac: together"),
        ({"teff_range": [6000, 5000]}, "teff_range: low < high"),
        ({"resolution": [[1800, 1800], [1800, 1800]]}, "resolution: 1 pairs"),
        ({"resolution": [[1800, 7000]]}, "less than or equal to 6500"),
        ({"snr": 3}, "did you mean 'snr_median'|unknown name 'snr'"),
    ],
)
def test_knobs_that_cannot_be_are_refused(change, problem):
    with pytest.raises(ConfigError, match=problem):
        StarTwinKnobs(**{"layout": "lamost"} | change)


# ---- files -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    home = tmp_path_factory.mktemp("stars")
    for name in KNOBS:
        simulate_survey(load_manifest(f"twin-{name}"), n=60, seed=4, directory=home / name)
    return home


def test_the_same_seed_gives_the_same_bytes_on_any_number_of_cores(folder, tmp_path):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        again = simulate_survey(load_manifest("twin-desi"), n=60, seed=4, directory=tmp_path)
    finally:
        torch.set_num_threads(before)
    for path in again:
        assert path.read_bytes() == next((folder / "desi").glob(f"*/{path.name}")).read_bytes()


def test_lamost_files_are_as_published(folder):
    with fits.open(next((folder / "lamost").glob("*/lamost_train.fits"))) as hdus:
        coadd, catalogue = hdus[1], hdus["CATALOGUE"].data
        assert coadd.name == "COADD" and coadd.columns.names == ["FLUX", "IVAR", "WAVELENGTH", "ANDMASK", "ORMASK"]
        assert coadd.data["FLUX"].shape == (48, 3860) and len(catalogue) == 48
        np.testing.assert_allclose(np.diff(np.log10(coadd.data["WAVELENGTH"][5])), 1e-4, atol=5e-7)  # single precision
        assert {"obsid", "snrg", "class", "subclass", "z", "gaia_source_id", "feh_err", "alpha_m"} <= set(
            catalogue.names
        )
        assert (coadd.data["IVAR"][coadd.data["ANDMASK"] > 0] == 0).all()
        assert hdus[0].header["SIMULATE"] and '"layout":"lamost"' in hdus[0].header["SIMKNOBS"]


def test_desi_files_are_as_published(folder):
    with fits.open(next((folder / "desi").glob("*/desi_train.fits"))) as hdus:
        for arm, low, n in (("B", 3600.0, 2751), ("R", 5760.0, 2326), ("Z", 7520.0, 2881)):
            np.testing.assert_allclose(hdus[f"{arm}_WAVELENGTH"].data, low + 0.8 * np.arange(n))
            assert hdus[f"{arm}_FLUX"].shape == hdus[f"{arm}_IVAR"].shape == hdus[f"{arm}_MASK"].shape == (42, n)
        ids = [hdus[name].data["TARGETID"] for name in ("FIBERMAP", "SCORES", "RVTAB")]
        assert (ids[0] == ids[1]).all() and (ids[0] == ids[2]).all()
        assert {"VRAD", "FEH_ERR", "ALPHAFE", "SN_B", "RVS_WARN", "SUCCESS", "PRIMARY"} <= set(hdus["RVTAB"].data.names)


def test_the_real_readers_read_the_twins_and_find_what_they_share(folder):
    lamost, desi = (al.load_survey(f"twin-{name}", n=60, seed=4, directory=folder / name) for name in KNOBS)
    assert (lamost.inputs["spectrum"].shape, desi.inputs["spectrum"].shape) == ((60, 3860), (60, 7781))
    assert lamost.objects == "stars" and lamost.provenance.simulated
    shared, in_lamost, in_desi = np.intersect1d(lamost.ids, desi.ids, return_indices=True)
    assert len(shared) == 8
    for name in ("true_feh", "true_teff", "true_rv"):
        np.testing.assert_array_equal(lamost.catalogue[name][:][in_lamost], desi.catalogue[name][:][in_desi])
    known = ~np.isnan(lamost.labels["feh"].to_numpy())
    assert (np.abs(lamost.labels["feh"] - lamost.catalogue["true_feh"][:])[known] < 1).all()


def test_one_star_in_both_layouts_of_lamost_is_read_alike(folder, tmp_path):
    """Single files as LAMOST gives them: a table of one row, and the older matrix."""
    with fits.open(next((folder / "lamost").glob("*/lamost_test.fits"))) as hdus:
        row = hdus["COADD"].data[:1]
        new, old = tmp_path / "new.fits", tmp_path / "old.fits"
        fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU(row, name="COADD")]).writeto(new)
        matrix = fits.PrimaryHDU(np.stack([row[name][0].astype("f4") for name in row.names]))
        matrix.header.update({"COEFF0": 3.5682, "COEFF1": 1e-4})
        matrix.writeto(old)
    lamost = load_manifest("twin-lamost")
    read = []
    for path in (new, old):
        entry = lamost.files[0].model_copy(update={"path": path.name, "split": None})
        one = lamost.with_changes(files=(entry,), labels=(), id=None, sky=None, columns={}, twin=None, folder=tmp_path)
        read.append(al.load_survey(one))
    for name in ("spectrum", "spectrum.ivar"):
        np.testing.assert_array_equal(*(survey.inputs[name][:] for survey in read))


def test_only_settings_and_code_of_the_stars_change_their_folder(monkeypatch):
    seen, before = [], files.settings_digest(KNOBS["desi"])
    assert before == files.settings_digest(KNOBS["desi"].model_copy(deep=True))
    assert before != files.settings_digest(KNOBS["desi"].model_copy(update={"snr_median": 26.0}))
    monkeypatch.setattr(files, "source_digest", lambda paths: seen.extend(paths) or "other")
    assert files.settings_digest(KNOBS["desi"]) != before
    assert {path.parent.name for path in seen} == {"stars"}
