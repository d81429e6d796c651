"""Spectra as LAMOST, DESI and MILES store them, as SpecCLIP packs them, and a folder of them beside a table."""

import pickle
import shutil
import tarfile
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.table import Table

from astrolab.datasets.loading import load_survey
from astrolab.datasets.manifest import parse_manifest
from astrolab.datasets.reading import read_file
from astrolab.errors import AstrolabWarning, DataNotFoundError, SchemaError

MANIFESTS = Path(__file__).parent / "manifests"
COEFF0, N = 3.5682, 60
WAVE = 10 ** (COEFF0 + 1e-4 * np.arange(N))
OWN_WAVES = {"grid": None, "axes": ["pixel"], "companions": {"ivar": "ivar", "wave": "wave"}}


def manifest(path, *, layout, **changes):
    spectrum = {"key": "flux", "grid": "wave", "companions": {"ivar": "ivar"}, "medium": "vacuum"}
    spectrum |= changes.pop("spectrum", {})
    table = {"name": "stars", "title": "Stars", "version": "1", "objects": "stars", "files": [{"path": path}]}
    table |= {"input": {"spectrum": {k: v for k, v in spectrum.items() if v is not None}}, "format": {"format": layout}}
    return parse_manifest(table | changes, where="stars")


def pixels(n=N, *, seed=0):
    random = np.random.default_rng(seed)
    flux, ivar = random.normal(100, 1, n).astype(">f4"), random.uniform(1, 2, n).astype(">f4")
    flux[3], ivar[4], mask = np.nan, -1.0, np.zeros(n)
    mask[5] = 64
    return flux, ivar, mask


def write_lamost(path, *, layout, n=N, obsid=701001, start=COEFF0):
    flux, ivar, mask = pixels(n, seed=obsid)
    wave = 10 ** (start + 1e-4 * np.arange(n))
    matrix = np.array([flux, ivar, wave, mask, mask], dtype=">f4")
    names = ("FLUX", "IVAR", "WAVELENGTH", "ANDMASK", "ORMASK")
    columns = [fits.Column(name, f"{n}E", array=row[None]) for name, row in zip(names, matrix, strict=True)]
    table = fits.BinTableHDU.from_columns(columns, name="COADD")
    hdus = [fits.PrimaryHDU(matrix)] if layout == "old" else [fits.PrimaryHDU(), table]
    said = {"OBSID": obsid, "RA": 10.5, "CLASS": "STAR", "SNRG": 43.2, "COEFF0": start, "COEFF1": 1e-4, "HELIO": True}
    hdus[0].header.update(said)
    fits.HDUList(hdus).writeto(path)
    return flux


@pytest.mark.parametrize("name", ["old.fits", "new.fits", "new.fits.gz"])
def test_one_lamost_spectrum_with_its_header(tmp_path, name):
    flux = write_lamost(tmp_path / name, layout=name[:3])
    survey = read_file(tmp_path / name, manifest=manifest(name, layout="lamost", id={"column": "OBSID", "scheme": "l"}))
    read, ivar = (np.asarray(survey.inputs[key][:])[0] for key in ("spectrum", "spectrum.ivar"))
    np.testing.assert_array_equal(read, np.nan_to_num(flux))
    np.testing.assert_array_equal(np.flatnonzero(ivar == 0), [3, 4, 5])  # no number, no weight, a mask
    np.testing.assert_allclose(survey.specs["spectrum"].grid, WAVE, rtol=1e-12)  # not as float32 rounds it
    assert survey.ids.tolist() == [701001] and survey.column("CLASS")[0] == "STAR" and survey.column("SNRG")[0] == 43.2
    assert "NAXIS1" not in survey.catalogue


def write_many(path, *, n=40, wave=WAVE):
    random = np.random.default_rng(0)
    arrays = {
        "FLUX": random.normal(100, 1, (n, N)),
        "IVAR": np.ones((n, N)),
        "WAVELENGTH": np.broadcast_to(wave, (n, N)),
    }
    kinds = dict.fromkeys(arrays, f"{N}E") | {"ANDMASK": f"{N}J"}
    arrays["ANDMASK"] = random.integers(0, 2, (n, N))
    coadd = [fits.Column(name, kinds[name], array=values) for name, values in arrays.items()]
    labels = {"obsid": 10**15 + np.arange(n), "feh": np.where(np.arange(n) == 1, -9999, -0.5), "class": ["STAR"] * n}
    catalogue = fits.BinTableHDU(Table(labels), name="CATALOGUE")
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(coadd, name="COADD"), catalogue]).writeto(path)
    return arrays


def test_many_lamost_spectra_stay_on_disk(tmp_path):
    arrays = write_many(tmp_path / "many.fits")
    label = [{"name": "feh", "column": "feh", "missing": [-9999.0]}]
    survey = read_file(tmp_path / "many.fits", manifest=manifest("many.fits", layout="lamost", label=label))
    assert len(pickle.dumps(survey.inputs["spectrum"])) < 2000 < arrays["FLUX"].nbytes
    np.testing.assert_array_equal(survey.inputs["spectrum"][[7, 2]], np.float32(arrays["FLUX"][[7, 2]]))
    np.testing.assert_array_equal(survey.inputs["spectrum.ivar"][:], arrays["ANDMASK"] == 0)
    assert np.isnan(survey.labels["feh"][1]) and survey.column("obsid")[3] == 10**15 + 3
    np.testing.assert_allclose(survey.specs["spectrum"].grid, WAVE, rtol=1e-6)


def test_spectra_that_share_no_grid_say_so_and_bring_their_own(tmp_path):
    waves = WAVE * (1 + 1e-3 * np.arange(40)[:, None])
    write_many(tmp_path / "many.fits", wave=waves)
    with pytest.raises(SchemaError, match="wave = "):
        read_file(tmp_path / "many.fits", manifest=manifest("many.fits", layout="lamost"))
    survey = read_file(tmp_path / "many.fits", manifest=manifest("many.fits", layout="lamost", spectrum=OWN_WAVES))
    np.testing.assert_allclose(survey.inputs["spectrum.wave"][[5]], waves[[5]], rtol=1e-6)
    assert survey.specs["spectrum"].grid == ()


def write_desi(path, *, shift=0.0):
    arms = {"B": (3600.0, 40), "R": (3624.0, 30), "Z": (3652.0, 20)}  # B and R share 10 pixels, R ends where Z begins
    table = fits.BinTableHDU(Table({"TARGETID": [39627, 39628], "OBJTYPE": ["TGT", "SKY"]}), name="FIBERMAP")
    hdus, arrays = [fits.PrimaryHDU(), table], {}
    for arm, (start, n) in arms.items():
        random = np.random.default_rng(n)
        mask = np.zeros((2, n), dtype="i4")
        mask[0, 1] = 1
        arrays[arm] = random.normal(5, 1, (2, n)), random.uniform(1, 4, (2, n)), mask
        wave = start + 0.8 * np.arange(n) + shift * (arm == "R")
        parts = {"WAVELENGTH": wave} | dict(zip(("FLUX", "IVAR", "MASK"), arrays[arm], strict=True))
        hdus += [fits.ImageHDU(values, name=f"{arm}_{key}") for key, values in parts.items()]
    hdus.append(fits.BinTableHDU(Table({"VRAD": [20.0, -9.0], "RR_SPECTYPE": ["STAR", "GALAXY"]}), name="RVTAB"))
    fits.HDUList(hdus).writeto(path)
    return arrays


def test_the_arms_of_desi_are_joined_by_inverse_variance(tmp_path):
    arrays = write_desi(tmp_path / "coadd.fits")
    survey = read_file(tmp_path / "coadd.fits", manifest=manifest("coadd.fits", layout="desi"))
    flux, ivar = (np.asarray(survey.inputs[key][:]) for key in ("spectrum", "spectrum.ivar"))
    np.testing.assert_allclose(survey.specs["spectrum"].grid, 3600 + 0.8 * np.arange(85))
    (b, b_ivar, _), (r, r_ivar, _) = arrays["B"], arrays["R"]
    assert flux[1, 29] == np.float32(b[1, 29]) and flux[1, 45] == np.float32(r[1, 15]) and ivar[0, 1] == 0
    weights = [b_ivar[1, 35], r_ivar[1, 5]]
    assert flux[1, 35] == pytest.approx(np.average([b[1, 35], r[1, 5]], weights=weights), rel=1e-6)
    assert ivar[1, 35] == pytest.approx(sum(weights), rel=1e-6)
    assert flux[0, 31] == pytest.approx(b[0, 31], rel=1e-6) and ivar[0, 31] == np.float32(b_ivar[0, 31])  # R is masked
    assert survey.column("VRAD").tolist() == [20.0, -9.0] and survey.column("OBJTYPE").tolist() == ["TGT", "SKY"]


def test_files_that_are_not_laid_out_as_said(tmp_path):
    write_desi(tmp_path / "coadd.fits", shift=0.3)
    write_lamost(tmp_path / "lamost.fits", layout="new")
    fits.PrimaryHDU(np.ones((2, 30))).writeto(tmp_path / "plain.fits")
    for name, layout, words in [
        ("coadd.fits", "desi", "one linear grid"),
        ("lamost.fits", "desi", "B_WAVELENGTH"),
        ("coadd.fits", "lamost", "FLUX"),
        ("plain.fits", "lamost", "HDU1|'1'"),
        ("plain.fits", "fits1d", "CRVAL1"),
    ]:
        with pytest.raises(SchemaError, match=words):
            read_file(tmp_path / name, manifest=manifest(name, layout=layout))
    write_desi(tmp_path / "short.fits")
    with fits.open(tmp_path / "short.fits", mode="update") as hdus:
        hdus["R_IVAR"].data = hdus["R_IVAR"].data[:1]
    with pytest.raises(SchemaError, match=r"shapes \[\(2, 30\), \(1, 30\)\]"):
        read_file(tmp_path / "short.fits", manifest=manifest("short.fits", layout="desi"))
    with pytest.raises(SchemaError, match="ormask"):
        wrong = manifest("lamost.fits", layout="lamost", spectrum={"companions": {"ivar": "ormask"}})
        read_file(tmp_path / "lamost.fits", manifest=wrong)


def test_an_array_of_one_value_a_pixel_as_specclip_packs_it(tmp_path):
    with h5py.File(tmp_path / "pack.h5", "w") as file:
        file["train/spectra"], file["train/ivar"] = (
            np.random.default_rng(0).normal(size=(6, 30, 1)),
            np.ones((6, 30, 1)),
        )
    spectrum = {"key": "train/spectra", "grid": WAVE[:30].tolist(), "companions": {"ivar": "train/ivar"}}
    survey = read_file(tmp_path / "pack.h5", manifest=manifest("pack.h5", layout="hdf5", spectrum=spectrum))
    assert survey.inputs["spectrum"].shape == survey.inputs["spectrum.ivar"][:].shape == (6, 30)


# ---- a folder beside a table, a table beside the files -------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    """Three LAMOST spectra of different lengths, and a table that knows a fourth."""
    (tmp_path / "spectra").mkdir()
    for fibre, n in [(1, N), (2, N - 8), (3, N)]:
        write_lamost(tmp_path / "spectra" / f"B6202_sp{fibre:03d}.fits", layout="old", n=n, obsid=700 + fibre)
    table = {
        "star": ["0022", "0001", "0003", "22"],
        "plan": ["B6202"] * 4,
        "fibre": [2, 1, 3, 4],
        "feh": [-1.0, -2, 0, 0],
    }
    pd.DataFrame(table).to_csv(tmp_path / "stars.csv", index=False)
    pd.DataFrame({"id": ["0003", "0022", "0005"], "rv": [7.5, -3.0, 0.0]}).to_csv(tmp_path / "rv.csv", index=False)
    return tmp_path


def of_folder(*, files="spectra/{plan}_sp{fibre:03d}.fits", spectrum=OWN_WAVES, **changes):
    spectrum = {"files": files, "file_format": "lamost", "velocity": "rv"} | spectrum
    sections = {"label": [{"name": "feh", "column": "feh"}], "id": {"column": "star", "scheme": "own"}}
    sections["join"] = [{"path": "rv.csv", "format": "csv", "by": "star", "on": "id"}]
    return manifest("stars.csv", layout="csv", spectrum=spectrum, **sections | changes)


def test_a_folder_of_spectra_beside_a_table_and_one_more_table(folder):
    with pytest.warns(AstrolabWarning, match="1 have none: B6202_sp004"):
        survey = read_file(folder / "stars.csv", manifest=of_folder())
    assert survey.ids.tolist() == ["0022", "0001", "0003"] and survey.labels["feh"].tolist() == [-1, -2, 0]
    assert survey.column("OBSID").tolist() == [702, 701, 703]
    np.testing.assert_array_equal(survey.column("rv"), [-3.0, np.nan, 7.5])
    ivar, wave = (np.asarray(survey.inputs[f"spectrum.{key}"][:]) for key in ("ivar", "wave"))
    assert (ivar[0, -8:] == 0).all() and (ivar[1, -8:] > 0).all()
    np.testing.assert_allclose(wave, np.tile(WAVE, (3, 1)), rtol=1e-9)  # beyond its end a spectrum's grid goes on
    before = survey.digest
    (folder / "rv.csv").write_text("id,rv\n0022,5\n")
    with pytest.warns(AstrolabWarning):
        assert read_file(folder / "stars.csv", manifest=of_folder()).digest != before


@pytest.mark.filterwarnings("ignore::astrolab.errors.AstrolabWarning")
def test_a_folder_that_does_not_fit_its_table(folder):
    grid = {"grid": "wave", "companions": {"ivar": "ivar"}}
    twice = {"id": ["0022", "0022"], "primary": [True, False], "rv": [1.0, 2.0]}
    pd.DataFrame(twice).to_csv(folder / "twice.csv", index=False)
    pd.DataFrame({"id": ["x"]}).to_csv(folder / "other.csv", index=False)
    join = {"path": "twice.csv", "format": "csv", "by": "star", "on": "id"}
    for changes, error, words in [
        ({"files": "spectra/{star}.fits"}, DataNotFoundError, "none: 0022.fits"),
        ({"files": "spectra/{name}.fits"}, SchemaError, "name"),
        ({"spectrum": grid}, SchemaError, "different wavelengths"),
        ({"join": [join]}, SchemaError, "only = "),
        ({"join": [join | {"path": "other.csv"}]}, SchemaError, "none; id is x"),
    ]:
        with pytest.raises(error, match=words):
            read_file(folder / "stars.csv", manifest=of_folder(**changes))
    survey = read_file(folder / "stars.csv", manifest=of_folder(join=[join | {"only": "primary"}]))
    assert survey.column("rv")[0] == 1.0


# ---- real files ----------------------------------------------------------------------------------------------------


def test_real_lamost_spectra(shared_data, tmp_path):
    paths = sorted((shared_data / "stars_lamost").glob("*.fits.gz"))
    for path in paths:
        shutil.copy(path, tmp_path)
        survey = read_file(path, manifest=manifest(path.name, layout="lamost"))
        assert survey.specs["spectrum"].grid[0] == pytest.approx(3699.99, abs=0.01)
    pd.DataFrame({"file": [path.name for path in paths]}).to_csv(tmp_path / "stars.csv", index=False)
    survey = read_file(tmp_path / "stars.csv", manifest=of_folder(files="{file}", label=[], id=None, join=[]))
    assert survey.inputs["spectrum"].shape == (8, 3909) and sorted(set(survey.column("CLASS"))) == ["STAR", "Unknown"]
    beyond = np.asarray(survey.inputs["spectrum.ivar"][:])[:, 3892:]
    assert (beyond.max(axis=1) == 0).tolist() == [False] * 6 + [True] * 2  # these two are shorter
    assert survey.column("SNRG").max() == 47.71 and survey.column("Z").min() == -9999


def test_a_real_desi_coadd_and_its_redshifts(shared_data):
    name = "4-80613-thru20210324.fits"
    join = [{"path": f"redrock-{name}", "format": "fits", "table": "REDSHIFTS", "by": "TARGETID"}]
    wanted = manifest(f"coadd-{name}", layout="desi", join=join, id={"column": "TARGETID", "scheme": "desi"})
    survey = read_file(shared_data / "spectra_desi_sdss" / f"coadd-{name}", manifest=wanted)
    assert survey.inputs["spectrum"].shape == (1, 7781) and survey.specs["spectrum"].grid[-1] == pytest.approx(9824)
    assert survey.column("SPECTYPE").tolist() == ["GALAXY"] and survey.column("Z")[0] == pytest.approx(0.36874355)
    assert survey.ids.dtype == np.int64 and survey.column("MEDIAN_COADD_SNR_R")[0] > 0


def test_the_real_miles_library(shared_data, tmp_path):
    source = shared_data / "stars_miles"
    with tarfile.open(source / "miles_third_fits.tar.gz") as tar:
        tar.extractall(tmp_path, filter="data")
    shutil.copy(source / "MILES_params.db", tmp_path)
    with pytest.warns(AstrolabWarning, match="1 have none: MILES_res2.50_star_m0970V.fits"):
        survey = load_survey(MANIFESTS / "miles.toml", directory=tmp_path)
    assert len(survey) == 328 and "0022" in survey.ids and survey.labels["feh"].notna().sum() == 312
    spec = survey.specs["spectrum"]
    assert (spec.grid[0], round(spec.grid[-1], 1)) == (3540.5, 7409.6)
    np.testing.assert_allclose(np.array(spec.grid) / spec.resolution, 2.5)  # FWHM in Å
    chosen = load_survey(MANIFESTS / "miles.toml", directory=tmp_path, where="teff > 4000 and logg < 50")
    assert chosen.column("logg").max() < 6
