"""Files of every format are read as they are, whatever inputs they hold; wrong ones are refused in plain words."""

import os
from multiprocessing.reduction import ForkingPickler

import astropy.units as u
import h5py
import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.table import Table

from astrolab.datasets.formats import fits_columns, fits_pixels, open_fits, open_h5, read_contents
from astrolab.datasets.manifest import Format, parse_manifest
from astrolab.datasets.reading import TableRows, read_file
from astrolab.datasets.rows import ChannelRows, ColumnRows, MappedRows, Rows, StackedRows, missing_key, require_file
from astrolab.errors import CorruptFileError, DataNotFoundError, SchemaError


@pytest.mark.parametrize("options", [{}, {"chunks": (2, 5, 64, 64), "compression": "gzip"}], ids=["flat", "gzip"])
def test_the_published_schema_is_read(tmp_path, write_published, images_manifest, options):
    columns = write_published(tmp_path / "train.hdf5", options=options)
    survey = read_file(tmp_path / "train.hdf5", manifest=images_manifest())
    np.testing.assert_array_equal(survey.inputs["image"][[4, 1]], columns["image"][[4, 1]])
    np.testing.assert_array_equal(survey.labels["z"], columns["specz_redshift"][:, 0])
    np.testing.assert_array_equal(survey.ids, columns["object_id"])
    assert survey.ids.dtype == np.int64
    np.testing.assert_array_equal(survey.sky_deg, np.stack([columns["ra"], columns["dec"]], axis=1))
    assert list(survey.catalogue["specz_name"][:2]) == ["VVDS-0", "VVDS-1"]
    assert survey.catalogue["specz_flag_homogeneous"].dtype == bool
    assert "image" not in survey.catalogue
    assert set(survey.published_split) == {"train"}
    assert survey.provenance.files == ("train.hdf5",) and survey.specs["image"].scale_arcsec == 0.168


def test_no_pixel_is_read_before_it_is_asked_for(tmp_path, write_published, images_manifest, monkeypatch):
    """A file of 30 GB, as sparse as the file system makes it: opening it must neither map nor read its images."""
    n, shape = 366_000, (5, 64, 64)
    path = tmp_path / "train.hdf5"
    write_published(path, n=n, image=None, size=1)
    layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    layout.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    with h5py.File(path, "a") as file:
        space = h5py.h5s.create_simple((n, *shape))
        h5py.h5d.create(file.id, b"image", h5py.h5t.IEEE_F32LE, space, layout)
    assert path.stat().st_size > 29.9e9
    assert path.stat().st_blocks * 512 < 0.2e9
    mapped = []
    monkeypatch.setattr(np, "memmap", lambda *a, memmap=np.memmap, **k: mapped.append(k["shape"]) or memmap(*a, **k))
    survey = read_file(path, manifest=images_manifest()).take(np.arange(n)[::-3])
    assert (n, *shape) not in mapped
    assert survey.inputs["image"][[0, -1]].shape == (2, *shape)
    assert mapped.count((n, *shape)) == 1


def test_labels_of_either_shape_and_either_name(tmp_path, write_published, images_manifest):
    z = np.linspace(0.1, 2, 6)
    for name, column in [("specz_redshift", z), ("specz_redshift", z[:, None]), ("lp_zPDF_CLASSIC", z)]:
        write_published(tmp_path / "train.hdf5", **{"specz_redshift": None, name: column})
        survey = read_file(tmp_path / "train.hdf5", manifest=images_manifest())
        np.testing.assert_array_equal(survey.labels["z"], z)


def test_larger_images_are_cut_to_their_centre(tmp_path, write_published, images_manifest):
    columns = write_published(tmp_path / "train.hdf5", size=127)
    manifest = images_manifest(sizes=[127])
    assert read_file(tmp_path / "train.hdf5", manifest=manifest).inputs["image"].shape == (6, 5, 127, 127)
    cut = read_file(tmp_path / "train.hdf5", manifest=manifest, image_size=64).inputs["image"]
    np.testing.assert_array_equal(cut[:], columns["image"][..., 31:95, 31:95])


def test_a_survey_without_ids_gets_ids_of_its_own(tmp_path, write_published, images_manifest):
    write_published(tmp_path / "train.hdf5", object_id=None, ra=None, dec=None)
    survey = read_file(tmp_path / "train.hdf5", manifest=images_manifest(id=None, sky=None))
    assert survey.ids[3] == "tiny:train.hdf5:3"
    assert survey.provenance.id_scheme == "tiny" and survey.sky_deg is None


@pytest.mark.parametrize(
    ("replacements", "words"),
    [
        ({"image": None}, "'image' was asked for"),
        ({"specz_redshift": None}, "'specz_redshift' was asked for"),
        ({"object_id": None}, "'object_id' was asked for"),
        ({"g_cmodel_mag": None}, "'g_cmodel_mag' was asked for"),
        ({"image": np.zeros((6, 4, 64, 64), "f4")}, "the first of 5 channels"),
        ({"image": np.zeros((6, 64, 64, 5), "f4")}, "the first of 5 channels"),
        ({"image": np.zeros((6, 64, 64), "f4")}, "has the axes band y x"),
        ({"specz_redshift": np.zeros((6, 2))}, r"received : an array of shape \(6, 2\)"),
        ({"specz_redshift": np.zeros(5)}, r"received : an array of shape \(5,\)"),
        ({"specz_redshift": np.full(6, np.inf)}, "6 of 6 rows with inf"),
        ({"specz_redshift": np.array([b"0.5"] * 6)}, "must be numbers"),
        ({"object_id": np.arange(5)}, "one value an object"),
        ({"object_id": np.arange(6) + 0.5}, "a float cannot hold"),
        ({"ra": np.zeros(5)}, "one value an object"),
        ({"image": np.zeros((6, 5, 32, 32), "f4")}, "at most 32"),
    ],
)
def test_wrong_contents_are_refused(tmp_path, write_published, images_manifest, replacements, words):
    write_published(tmp_path / "train.hdf5", **replacements)
    with pytest.raises(SchemaError, match=words) as caught:
        read_file(tmp_path / "train.hdf5", manifest=images_manifest())
    assert caught.value.remedy and caught.value.received


def test_an_empty_survey_is_refused(tmp_path, write_published, images_manifest):
    write_published(tmp_path / "train.hdf5", n=0)
    with pytest.raises(SchemaError, match="no rows"):
        read_file(tmp_path / "train.hdf5", manifest=images_manifest())


def test_bands_that_the_file_names_must_be_those_of_the_manifest(tmp_path, write_published, images_manifest):
    path = tmp_path / "train.hdf5"
    for bands, fits_manifest in [(list("grizy"), True), (list("rgizy"), False)]:
        write_published(path)
        with h5py.File(path, "a") as file:
            file["image"].attrs["bands"] = bands
        if fits_manifest:
            read_file(path, manifest=images_manifest())
        else:
            with pytest.raises(SchemaError, match="in the same order"):
                read_file(path, manifest=images_manifest())


def test_a_file_of_another_size_than_declared_is_refused(tmp_path, write_published, images_manifest):
    write_published(tmp_path / "train.hdf5", size=72)
    manifest = images_manifest(files=[{"path": "train.hdf5", "size": 64}])
    with pytest.raises(SchemaError, match="72 × 72"):
        read_file(tmp_path / "train.hdf5", manifest=manifest)


@pytest.mark.parametrize("suffix", ["hdf5", "npz", "fits"])
def test_files_that_are_not_what_they_claim(tmp_path, images_manifest, suffix):
    path = tmp_path / "train.dat"
    manifest = images_manifest(files=["train.dat"], format={"format": suffix})
    with pytest.raises(DataNotFoundError):
        read_file(path, manifest=manifest)
    path.write_bytes(b"<html>not a file of pixels</html>" * 20)
    with pytest.raises(CorruptFileError, match=r"train\.dat"):
        read_file(path, manifest=manifest)
    path.write_bytes(b"")
    with pytest.raises(CorruptFileError):
        read_file(path, manifest=manifest)


def test_cutouts_in_npz_and_fits(tmp_path, images_manifest):
    stamps = np.random.default_rng(0).normal(size=(3, 5, 20, 16)).astype(np.float32)
    z = np.array([0.1, 0.2, 0.3])
    np.savez(tmp_path / "train.npz", image=stamps, specz_redshift=z, filters=list("grizy"))
    fits.writeto(tmp_path / "scene.fits", stamps[0].astype(">f8"))
    bare = {"id": None, "sky": None, "magnitudes": None}
    manifest = images_manifest(files=["train.npz"], format={"format": "npz"}, sizes=[16], **bare)
    survey = read_file(tmp_path / "train.npz", manifest=manifest)
    np.testing.assert_array_equal(survey.inputs["image"][:], stamps[:, :, 2:18])
    np.testing.assert_array_equal(survey.labels["z"], z)
    image = {"key": "PRIMARY", "channels": ["g", "r", "i", "z", "y"]}
    bare |= {"label": None, "format": {"format": "fits"}, "files": [{"path": "scene.fits"}]}
    manifest = images_manifest(image=image, **bare)
    scene = read_file(tmp_path / "scene.fits", manifest=manifest)
    assert isinstance(scene.inputs["image"], MappedRows) and scene.inputs["image"].shape == (1, 5, 20, 16)
    np.testing.assert_array_equal(scene.inputs["image"][0:1][0], stamps[0])
    with pytest.raises(SchemaError, match="available: PRIMARY"):
        read_file(tmp_path / "scene.fits", manifest=images_manifest(image=image | {"key": "SCI"}, **bare))


def write_fits(path, *, stamps, table=None):
    """One HDU (n, y, x) a band, and a table of labels."""
    hdus = [fits.PrimaryHDU(), *(fits.ImageHDU(stamps[:, k], name=f"BAND_{band}") for k, band in enumerate("gri"))]
    hdus += [fits.BinTableHDU(Table(table), name="LABELS")] if table else []
    fits.HDUList(hdus).writeto(path)


def test_a_fits_survey_with_an_hdu_a_band_and_a_table_of_labels(tmp_path, images_manifest):
    stamps = np.random.default_rng(0).normal(size=(4, 3, 12, 12)).astype(np.float32)
    ids, z = 2**53 + 1 + np.arange(4), np.array([0.1, 0.2, 0.3, 0.4])
    write_fits(tmp_path / "train.fits", stamps=stamps, table={"object_id": ids, "z": z, "ra": 150 + z, "dec": z})
    parts = {
        "image": {"key": ["BAND_G", "BAND_R", "BAND_I"], "channels": ["g", "r", "i"]},
        "label": [{"name": "z", "column": "z"}],
        "files": [{"path": "train.fits"}],
        "magnitudes": None,
    }
    survey = read_file(tmp_path / "train.fits", manifest=images_manifest(**parts, format={"format": "fits"}))
    np.testing.assert_array_equal(survey.inputs["image"][[2, 0]], stamps[[2, 0]])
    assert survey.ids.tolist() == ids.tolist() and survey.ids.dtype == np.int64
    np.testing.assert_array_equal(survey.labels["z"], z)
    np.testing.assert_array_equal(survey.sky_deg[:, 0], 150 + z)
    named = images_manifest(**parts, format={"format": "fits", "table": "OTHERS"})
    with pytest.raises(SchemaError, match="LABELS"):
        read_file(tmp_path / "train.fits", manifest=named)


def test_bands_in_a_dataset_each_stay_on_disk(tmp_path, images_manifest):
    stamps = np.random.default_rng(0).normal(size=(4, 2, 12, 10)).astype(np.float32)
    with h5py.File(tmp_path / "train.h5", "w") as file:
        file["flux_g"], file["flux_r"], file["z"] = stamps[:, 0], stamps[:, 1], np.arange(4.0)
    parts = {
        "label": [{"name": "z", "column": "z"}],
        "files": ["train.h5"],
        "id": None,
        "sky": None,
        "magnitudes": None,
    }
    image = {"key": ["flux_g", "flux_r"], "channels": ["g", "r"]}
    survey = read_file(tmp_path / "train.h5", manifest=images_manifest(image=image, **parts))
    assert isinstance(survey.inputs["image"], ChannelRows) and "flux_g" not in survey.catalogue
    np.testing.assert_array_equal(survey.inputs["image"][1:3], stamps[1:3])
    with h5py.File(tmp_path / "train.h5", "a") as file:
        del file["flux_r"]
        file["flux_r"] = stamps[:, 1, :5]
    with pytest.raises(SchemaError, match="One array a channel"):
        read_file(tmp_path / "train.h5", manifest=images_manifest(image=image, **parts))


def test_real_decals_cutouts(shared_data, images_manifest):
    """Native DECaLS cut-outs of two sizes: the brighter centre is a galaxy in every band."""
    folder = shared_data / "legacysurvey_grz_native"
    names = ["zoobot_example_b_dr5_grz.fits", "astroclip_test_image_dr9_grz.fits"]
    manifest = images_manifest(
        files=[{"path": name} for name in names],
        image={"key": "PRIMARY", "channels": ["decam-g", "decam-r", "decam-z"], "scale_arcsec": 0.262},
        format={"format": "fits"},
        **dict.fromkeys(["label", "id", "sky", "magnitudes"]),
    )
    for name in names:
        image = read_file(folder / name, manifest=manifest, image_size=160).inputs["image"][:]
        assert image.shape == (1, 3, 160, 160)
        assert (image[0, :, 78:82, 78:82].mean(axis=(1, 2)) > 10 * np.median(image[0], axis=(1, 2))).all()


TABLE = pd.DataFrame(
    {
        "id": [2**53 + 1, 2**60 + 1, 7],
        "redshift": [0.1, 0.2, 0.3],
        "mag_g": [20.5, -99.9, 21.5],
        "mag_r": [20.25, 21.0, 99.0],
        "field": ["D2", "D3", "W1"],
    }
)
MAGNITUDES = [[20.5, 20.25], [np.nan, 21.0], [21.5, np.nan]]


def write_table(path, *, kind):
    if kind == "csv":
        TABLE.to_csv(path, index=False)
    elif kind == "parquet":
        TABLE.to_parquet(path)
    elif kind == "fits":
        Table.from_pandas(TABLE).write(path, format="fits")
    else:
        with h5py.File(path, "w") as file:
            for name in TABLE:
                file[f"photometry/{name}"] = TABLE[name].to_numpy(dtype="S" if name == "field" else None)


@pytest.mark.parametrize("kind", ["csv", "parquet", "fits", "hdf5"])
def test_every_format_gives_the_same_galaxies(tmp_path, catalogue_manifest, kind):
    write_table(tmp_path / "galaxies.dat", kind=kind)
    layout = {"format": kind} | ({"table": "photometry"} if kind == "hdf5" else {})
    manifest = catalogue_manifest(path="galaxies.dat", layout=layout, id={"column": "id", "scheme": "x"})
    survey = read_file(tmp_path / "galaxies.dat", manifest=manifest)
    assert survey.ids.dtype == np.int64
    np.testing.assert_array_equal(survey.ids, TABLE["id"])
    np.testing.assert_array_equal(survey.labels["z"], TABLE["redshift"])
    np.testing.assert_array_equal(survey.inputs["magnitudes"][:], np.array(MAGNITUDES, dtype=np.float32))
    assert list(survey.column("field")) == ["D2", "D3", "W1"]
    assert survey.specs["magnitudes"].channels == ("g", "r") and survey.published_split is None


def test_the_catalogue_can_be_renamed(tmp_path, catalogue_manifest):
    write_table(tmp_path / "galaxies.csv", kind="csv")
    manifest = catalogue_manifest(columns={"patch": "field"})
    assert list(read_file(tmp_path / "galaxies.csv", manifest=manifest).catalogue) == ["patch"]
    with pytest.raises(SchemaError, match="'plate' was asked for"):
        read_file(tmp_path / "galaxies.csv", manifest=catalogue_manifest(columns={"patch": "plate"}))


def test_odd_headers_are_replaced_or_refused(tmp_path, catalogue_manifest):
    path = tmp_path / "galaxies.csv"
    path.write_text("#F:REDSHIFT;F:MAG_G;F:MAG_R\n0.1,20,21\n0.2,19,20\n")
    names = {"names": ["redshift", "mag_g", "mag_r"], "skip_rows": 1}
    survey = read_file(path, manifest=catalogue_manifest(layout=names))
    np.testing.assert_array_equal(survey.inputs["magnitudes"][:], [[20, 21], [19, 20]])
    with pytest.raises(CorruptFileError, match="names and skip_rows"):
        read_file(path, manifest=catalogue_manifest(layout=names | {"names": ["redshift", "mag_g"]}))


def test_blanks_comments_and_text_ids(tmp_path, catalogue_manifest):
    path = tmp_path / "galaxies.csv"
    path.write_text("# made by hand\nname redshift   mag_g mag_r\n007   0.1 20 21\n8 0.2   19 20\n")
    layout = {"delimiter": "whitespace", "comment": "#"}
    survey = read_file(path, manifest=catalogue_manifest(layout=layout, id={"column": "name", "scheme": "x"}))
    assert list(survey.ids) == ["007", "8"]


def test_an_id_column_with_gaps_is_refused(tmp_path, catalogue_manifest):
    ids = {"column": "id", "scheme": "x"}
    with_gap = TABLE.astype({"id": "Int64"})
    with_gap.loc[1, "id"] = pd.NA
    with_gap.to_csv(tmp_path / "galaxies.csv", index=False)
    with_gap.to_parquet(tmp_path / "galaxies.parquet")
    for kind in ("csv", "parquet"):
        manifest = catalogue_manifest(path=f"galaxies.{kind}", layout={"format": kind}, id=ids)
        with pytest.raises(SchemaError, match="without gaps"):
            read_file(tmp_path / f"galaxies.{kind}", manifest=manifest)


def test_text_where_numbers_must_be_is_refused(tmp_path, catalogue_manifest):
    path = tmp_path / "galaxies.csv"
    path.write_text("redshift,mag_g,mag_r\n0.1,twenty,21\n")
    with pytest.raises(SchemaError, match=r"'mag_g' in galaxies.*must be numbers"):
        read_file(path, manifest=catalogue_manifest())


@pytest.mark.parametrize("kind", ["csv", "parquet", "fits", "hdf5"])
def test_catalogues_that_are_not_what_they_claim(tmp_path, catalogue_manifest, kind):
    path = tmp_path / "galaxies.dat"
    manifest = catalogue_manifest(path="galaxies.dat", layout={"format": kind})
    with pytest.raises(DataNotFoundError):
        read_file(path, manifest=manifest)
    path.write_bytes(b"")
    with pytest.raises(CorruptFileError):
        read_file(path, manifest=manifest)
    path.write_bytes(b"\xff\xfe\x00garbage,\n\x80\x81" * 100)
    with pytest.raises(CorruptFileError):
        read_file(path, manifest=manifest)


def test_a_catalogue_without_rows_is_refused(tmp_path, catalogue_manifest):
    (tmp_path / "galaxies.csv").write_text("redshift,mag_g,mag_r\n")
    with pytest.raises(SchemaError, match="no rows"):
        read_file(tmp_path / "galaxies.csv", manifest=catalogue_manifest())


def test_real_deep_photometry(shared_data, catalogue_manifest):
    path = shared_data / "photoz_deep_ugrizy" / "combined_catalog_DEEP23.fits"
    manifest = catalogue_manifest(
        path=path.name,
        layout={"format": "fits"},
        magnitudes={"channels": list("ugrizy"), "columns": list("ugrizy"), "missing": [-99.0, 99.0]},
    )
    survey = read_file(path, manifest=manifest)
    assert len(survey) == 14_172
    assert set(survey.catalogue["source"][:]) == {"DEEP2/3"}
    magnitudes = survey.inputs["magnitudes"][:]
    assert 10 < np.nanmin(magnitudes) and np.nanmax(magnitudes) < 40


def test_simulated_rail_catalogue(shared_data, catalogue_manifest):
    path = shared_data / "photoz_dc2_rail" / "test_dc2_training_9816.hdf5"
    manifest = catalogue_manifest(
        path=path.name,
        layout={"format": "hdf5", "table": "photometry"},
        id={"column": "id", "scheme": "dc2"},
        magnitudes={"channels": list("ugrizy"), "columns": [f"mag_{b}_lsst" for b in "ugrizy"], "missing": [99.0]},
    )
    survey = read_file(path, manifest=manifest)
    assert len(survey) == 10_225 and survey.ids.dtype == np.int64
    magnitudes = survey.inputs["magnitudes"][:]
    assert np.isnan(magnitudes).any(axis=0)[0] and np.nanmax(magnitudes) < 40


@pytest.mark.parametrize(("unit", "of"), [("nJy", u.nJy), ("uJy", u.uJy), ("nanomaggy", 3631e-9 * u.Jy)])
def test_fluxes_become_the_magnitudes_that_astropy_gives(unit, of):
    flux = np.array([0.3, 1.0, 12_345.6])
    found = TableRows([flux], unit=unit)[:][:, 0]
    np.testing.assert_allclose(found, (flux * of).to_value(u.ABmag), atol=2e-4)


def test_a_flux_that_is_not_positive_has_no_magnitude():
    assert list(np.isnan(TableRows([np.array([-1.0, 0.0, 1.0])], unit="nJy")[:][:, 0])) == [True, True, False]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, ">f4", np.int64])
def test_sentinels_become_nan_in_any_type(dtype):
    column = np.array([-99.9, 20, 99, -99.9]).astype(dtype)
    found = TableRows([column, np.full(4, np.nan)], missing=[float(column[0]), -99.9, 99.0])[:]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(found), [[True, True], [False, True], [True, True], [True, True]])


def test_infinity_is_missing_too():
    assert np.isnan(TableRows([np.array([np.inf, -np.inf, np.nan])])[:]).all()


@pytest.fixture
def tables(tmp_path):
    """A file of an image and two tables, open."""
    hdus = [fits.BinTableHDU(Table({"id": [2**53 + 1, 3], "name": ["a", "b"]}), name="FIRST")]
    hdus.append(fits.BinTableHDU(Table({"z": [0.1, 0.2]}), name="SECOND"))
    fits.HDUList([fits.PrimaryHDU(np.zeros((2, 2))), *hdus]).writeto(tmp_path / "survey.fits")
    with fits.open(tmp_path / "survey.fits") as hdus:
        yield hdus


def test_the_first_table_or_the_one_that_is_named(tables, tmp_path):
    columns = fits_columns(tables, path=tmp_path / "survey.fits")
    assert columns["id"][:].tolist() == [2**53 + 1, 3] and columns["name"][:].tolist() == ["a", "b"]
    for wanted in ("SECOND", "2"):
        values = fits_columns(tables, path=tmp_path / "survey.fits", wanted=wanted)["z"][:]
        assert values.dtype == np.dtype("=f8") and values.tolist() == [0.1, 0.2]


def test_a_table_that_is_not_there(tables, tmp_path):
    with pytest.raises(SchemaError, match="FIRST"):
        fits_columns(tables, path=tmp_path / "survey.fits", wanted="THIRD")
    images = fits.HDUList([fits.PrimaryHDU(np.zeros((2, 2)))])
    with pytest.raises(SchemaError, match="1 HDUs without one"):
        fits_columns(images, path=tmp_path / "image.fits")


def pixels_of(path, *, n_dims=4, number=0):
    with open_fits(path) as hdus:
        return fits_pixels(hdus[number], path=path, n_dims=n_dims)


@pytest.mark.parametrize("dtype", [">u1", ">i2", ">i4", ">i8", ">f4", ">f8"])
def test_plain_pixels_stay_on_disk(tmp_path, dtype):
    stamps = np.arange(2 * 3 * 5 * 4).reshape(2, 3, 5, 4).astype(dtype)
    fits.writeto(tmp_path / "survey.fits", stamps)
    rows = pixels_of(tmp_path / "survey.fits")
    assert isinstance(rows, MappedRows) and rows[[1]].dtype.isnative
    np.testing.assert_array_equal(rows[[1, 0]], stamps[[1, 0]])
    fits.writeto(tmp_path / "scene.fits", stamps[1])
    np.testing.assert_array_equal(pixels_of(tmp_path / "scene.fits")[:], stamps[1:])


def test_pixels_that_are_packed_or_scaled_are_read(tmp_path):
    stamps = np.arange(2 * 5 * 40).reshape(2, 5, 40).astype("f4")
    fits.writeto(tmp_path / "survey.fits.gz", stamps)
    fits.writeto(tmp_path / "unsigned.fits", stamps.astype("u2"))  # BZERO = 32768
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(stamps.astype("i4"))]).writeto(tmp_path / "packed.fits")
    for name, number in [("survey.fits.gz", 0), ("unsigned.fits", 0), ("packed.fits", 1)]:
        rows = pixels_of(tmp_path / name, n_dims=3, number=number)
        assert isinstance(rows, np.ndarray)
        np.testing.assert_array_equal(rows[[1, 0]], stamps[[1, 0]])


def test_pixels_that_are_not_there(tmp_path):
    fits.writeto(tmp_path / "survey.fits", np.zeros((9, 5, 8, 8), "f4"))
    content = (tmp_path / "survey.fits").read_bytes()
    (tmp_path / "cut.fits").write_bytes(content[: 2880 * 2])
    with pytest.raises(CorruptFileError, match="cut short"):
        pixels_of(tmp_path / "cut.fits")
    fits.PrimaryHDU().writeto(tmp_path / "empty.fits")
    with pytest.raises(SchemaError, match="without pixels"):
        pixels_of(tmp_path / "empty.fits")


VALUES = np.random.default_rng(0).normal(size=(23, 5, 7, 7)).astype("float32")
ORDERS = [slice(None), slice(3, 20, 4), [5, 5, 22, 0, -1], np.arange(23) % 3 == 0, np.zeros(0, int)]


def h5_rows(path, *, key):
    return read_contents(path, layout=Format(format="hdf5"), arrays={key: 4})[1][key].rows


@pytest.fixture(params=["contiguous", "chunked", "compressed", "userblock"])
def file(request, tmp_path):
    path = tmp_path / "rows.hdf5"
    options = {
        "chunked": {"chunks": (4, 5, 7, 7)},
        "compressed": {"chunks": (6, 1, 7, 7), "compression": "gzip"},
    }.get(request.param, {})
    with h5py.File(path, "w", userblock_size=512 if request.param == "userblock" else 0) as f:
        f.create_dataset("image", data=VALUES, **options)
        f["name"] = np.array([[b"M31"], [b"M33"], [b"NGC 5"]], dtype="S8")
        f["text"] = ["α", "β", "γ"]
    return path


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_every_layout_reads_the_rows_asked(file, order):
    rows = h5_rows(file, key="image")
    assert isinstance(rows, Rows)
    assert rows.shape == VALUES.shape and rows.dtype == VALUES.dtype
    np.testing.assert_array_equal(rows[order], VALUES[order])


def test_a_pickle_holds_no_file_and_reads_the_same(file):
    rows = h5_rows(file, key="image")
    rows[:1]
    sent = ForkingPickler.dumps(rows)
    assert len(sent) < 1000
    np.testing.assert_array_equal(ForkingPickler.loads(sent)[[7, 2]], VALUES[[7, 2]])


def test_a_forked_process_opens_its_own_file(file):
    rows = h5_rows(file, key="text")
    rows[:1]
    before = rows._source
    rows._process = os.getpid() + 1
    assert [text.decode() for text in rows[[1]]] == ["β"]
    assert rows._source is not before


def test_contiguous_rows_are_memory_mapped_and_chunks_are_read_once(tmp_path, monkeypatch):
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as f:
        f["flat"] = VALUES
        f.create_dataset("chunked", data=VALUES, chunks=(5, 5, 7, 7))
    assert isinstance(h5_rows(path, key="flat")._mapped, MappedRows)
    slabs = []
    read = h5py.Dataset.__getitem__
    monkeypatch.setattr(h5py.Dataset, "__getitem__", lambda self, index: slabs.append(index) or read(self, index))
    h5_rows(path, key="chunked")[[22, 3, 1, 21, 3]]
    assert slabs == [slice(1, 4), slice(21, 23)]


def test_text_columns_are_decoded_and_flattened(file):
    assert list(ColumnRows(h5_rows(file, key="name"))[[2, 0]]) == ["NGC 5", "M31"]
    assert list(ColumnRows(h5_rows(file, key="text"))[:]) == ["α", "β", "γ"]


def test_integers_never_pass_through_float(tmp_path):
    ids = np.array([2**53 + 1, 2**62 + 3, -(2**61) - 1])
    with h5py.File(tmp_path / "a.hdf5", "w") as f:
        f["id"] = ids[:, None]
    column = ColumnRows(h5_rows(tmp_path / "a.hdf5", key="id"))
    stacked = StackedRows([column, column])
    assert stacked[:].dtype == np.int64
    np.testing.assert_array_equal(stacked[:], np.tile(ids, 2))


def test_bad_files_say_what_they_are(tmp_path):
    whole = tmp_path / "whole.hdf5"
    with h5py.File(whole, "w") as f:
        f["image"] = VALUES
    content = whole.read_bytes()
    cases = {"cut short": content[: len(content) // 2], "not HDF5": b"<html>503</html>" * 9, "empty file": b""}
    for words, wrong in cases.items():
        path = tmp_path / "wrong.hdf5"
        path.write_bytes(wrong)
        with pytest.raises(CorruptFileError, match=words):
            open_h5(path)
    with pytest.raises(DataNotFoundError):
        open_h5(tmp_path / "nowhere.hdf5")
    with pytest.raises(SchemaError, match="available: image"):
        h5_rows(whole, key="pixels")


def test_a_damaged_chunk_is_a_corrupt_file(tmp_path):
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as f:
        f.create_dataset("image", data=VALUES, chunks=(23, 5, 7, 7), compression="gzip")
        begin = f["image"].id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[begin : begin + 400] = bytes(400)
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match="damaged"):
        h5_rows(path, key="image")[:3]


def test_a_file_is_given_back_or_said_to_be_missing(tmp_path):
    (tmp_path / "a.csv").write_text("z")
    assert require_file(str(tmp_path / "a.csv")) == tmp_path / "a.csv"
    for name in ("b.csv", "."):
        with pytest.raises(DataNotFoundError, match="no file at"):
            require_file(tmp_path / name)


def test_a_missing_key_is_named_beside_those_that_are_there(tmp_path):
    error = missing_key(tmp_path / "a.hdf5", key="z", keys=["image", "redshift"])
    assert "'z'" in error.asked and "a.hdf5" in error.asked and error.available == "image, redshift"
    assert missing_key("a.hdf5", key="z", keys=[]).available == "nothing"


@pytest.fixture
def mixed(tmp_path):
    """A file with images, magnitudes and spectra of the same stars, several labels and numbers of votes."""
    random = np.random.default_rng(0)
    arrays = {
        "stamp": random.normal(size=(6, 2, 8, 8)).astype(np.float32),
        "flux": random.normal(size=(6, 30)).astype(np.float32),
        "ivar": np.full((6, 30), 4.0),
        "wave": np.linspace(4000, 7000, 30),
    }
    columns = {"m_g": random.normal(20, 1, 6), "m_r": random.normal(20, 1, 6), "votes": [3.0, 4, np.nan, 6, 7, 8]}
    columns |= {"feh": [-1.0, np.nan, 0.1, -9.0, -2, -1.5], "smooth": [0.1, 0.2, 0.3, 0.4, np.nan, 0.6]}
    table = {
        **{"name": "stars", "title": "Stars", "version": "1", "objects": "stars"},
        "label": [
            {"name": "feh", "column": "feh", "missing": [-9.0]},
            {"name": "smooth", "column": "smooth", "weight": "votes", "possible": [0, 1]},
        ],
        "input": {
            "image": {"key": "stamp", "channels": ["red", "blue"], "scale_arcsec": 0.4, "unit": "counts"},
            "magnitudes": {"channels": ["g", "r"], "columns": ["m_g", "m_r"]},
            "spectrum": {"key": "flux", "grid": "wave", "unit": "relative flux", "companions": {"ivar": "ivar"}},
        },
    }

    def write(kind):
        if kind == "hdf5":
            with h5py.File(tmp_path / "stars", "w") as file:
                for name, values in (arrays | columns).items():
                    file[name] = values
        elif kind == "npz":
            with (tmp_path / "stars").open("wb") as file:
                np.savez(file, **arrays, **columns)
        else:
            hdus = [fits.ImageHDU(arrays[name], name=name.upper()) for name in ("stamp", "ivar", "wave")]
            hdus.append(fits.BinTableHDU(Table(columns | {"flux": arrays["flux"]})))  # spectra may be a column too
            fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(tmp_path / "stars")
        whole = table | {"format": {"format": kind}, "files": [{"path": "stars"}]}
        return read_file(tmp_path / "stars", manifest=parse_manifest(whole, where="stars"))

    return write, arrays, columns


@pytest.mark.parametrize("kind", ["hdf5", "npz", "fits"])
def test_one_file_may_hold_every_kind_of_input_and_several_labels(mixed, kind):
    write, arrays, columns = mixed
    survey = write(kind)
    assert list(survey.specs) == ["image", "magnitudes", "spectrum"] and survey.objects == "stars"
    for name, key in {"image": "stamp", "spectrum": "flux", "spectrum.ivar": "ivar"}.items():
        np.testing.assert_array_equal(survey.inputs[name][[3, 1]], arrays[key][[3, 1]])
    assert survey.specs["spectrum"].grid == tuple(arrays["wave"]) and survey.specs["spectrum"].axes == ("pixel",)
    assert survey.specs["magnitudes"].unit == "AB mag" and survey.specs["image"].channels == ("red", "blue")
    np.testing.assert_array_equal(survey.labels["feh"], [-1.0, np.nan, 0.1, np.nan, -2, -1.5])
    np.testing.assert_array_equal(survey.labels["smooth"], columns["smooth"])
    np.testing.assert_array_equal(survey.weights["smooth"], [3, 4, 1, 6, 7, 8])
    assert list(survey.weights) == ["smooth"] and survey.task.label_names == ("feh", "smooth")
    assert survey.task.quantity("feh").unit == "dex" and survey.task.quantity("smooth").possible == (0, 1)
    assert not {"flux", "wave", "ivar", "stamp"} & set(survey.catalogue)


def test_arrays_that_do_not_belong_together_are_refused(mixed):
    write, arrays, columns = mixed
    for change, words in [
        ({"wave": np.arange(29.0)}, "grid of 29 values"),
        ({"ivar": np.zeros((6, 29))}, "shaped as the spectrum"),
        ({"flux": np.zeros((5, 30)), "ivar": np.zeros((5, 30))}, "length 5"),
    ]:
        whole = dict(arrays)
        arrays |= change
        with pytest.raises(SchemaError, match=words):
            write("hdf5")
        arrays |= whole
    columns["votes"] = [-1.0] * 6
    with pytest.raises(SchemaError, match="weights are not negative"):
        write("hdf5")
