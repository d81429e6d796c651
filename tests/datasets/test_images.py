"""Published image files are read as they are; wrong ones are refused in plain words."""

import h5py
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from astrolab.datasets.images import BandRows, read_images
from astrolab.datasets.rows import MappedRows
from astrolab.errors import CorruptFileError, DataNotFoundError, SchemaError


@pytest.mark.parametrize("options", [{}, {"chunks": (2, 5, 64, 64), "compression": "gzip"}], ids=["flat", "gzip"])
def test_the_published_schema_is_read(tmp_path, write_published, images_manifest, options):
    columns = write_published(tmp_path / "train.hdf5", options=options)
    survey = read_images(tmp_path / "train.hdf5", manifest=images_manifest())
    np.testing.assert_array_equal(survey.inputs["image"][[4, 1]], columns["image"][[4, 1]])
    np.testing.assert_array_equal(survey.labels["z"], columns["specz_redshift"][:, 0])
    np.testing.assert_array_equal(survey.ids, columns["object_id"])
    assert survey.ids.dtype == np.int64
    np.testing.assert_array_equal(survey.sky_deg, np.stack([columns["ra"], columns["dec"]], axis=1))
    assert list(survey.catalogue["specz_name"][:2]) == ["VVDS-0", "VVDS-1"]
    assert survey.catalogue["specz_flag_homogeneous"].dtype == bool
    assert "image" not in survey.catalogue
    assert set(survey.published_split) == {"train"}
    assert survey.provenance.files == ("train.hdf5",) and survey.provenance.pixel_scale_arcsec == 0.168


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
    survey = read_images(path, manifest=images_manifest()).take(np.arange(n)[::-3])
    assert (n, *shape) not in mapped
    assert survey.inputs["image"][[0, -1]].shape == (2, *shape)
    assert mapped.count((n, *shape)) == 1


def test_labels_of_either_shape_and_either_name(tmp_path, write_published, images_manifest):
    z = np.linspace(0.1, 2, 6)
    for name, column in [("specz_redshift", z), ("specz_redshift", z[:, None]), ("lp_zPDF_CLASSIC", z)]:
        write_published(tmp_path / "train.hdf5", **{"specz_redshift": None, name: column})
        survey = read_images(tmp_path / "train.hdf5", manifest=images_manifest())
        np.testing.assert_array_equal(survey.labels["z"], z)


def test_larger_images_are_cut_to_their_centre(tmp_path, write_published, images_manifest):
    columns = write_published(tmp_path / "train.hdf5", size=127)
    manifest = images_manifest(sizes=[127])
    assert read_images(tmp_path / "train.hdf5", manifest=manifest).inputs["image"].shape == (6, 5, 127, 127)
    cut = read_images(tmp_path / "train.hdf5", manifest=manifest, image_size=64).inputs["image"]
    np.testing.assert_array_equal(cut[:], columns["image"][..., 31:95, 31:95])


def test_a_survey_without_ids_gets_ids_of_its_own(tmp_path, write_published, images_manifest):
    write_published(tmp_path / "train.hdf5", object_id=None, ra=None, dec=None)
    survey = read_images(tmp_path / "train.hdf5", manifest=images_manifest(id=None, sky=None))
    assert survey.ids[3] == "tiny:train.hdf5:3"
    assert survey.provenance.id_scheme == "tiny" and survey.sky_deg is None


@pytest.mark.parametrize(
    ("replacements", "words"),
    [
        ({"image": None}, "'image' was asked for"),
        ({"specz_redshift": None}, "'specz_redshift' was asked for"),
        ({"object_id": None}, "'object_id' was asked for"),
        ({"g_cmodel_mag": None}, "'g_cmodel_mag' was asked for"),
        ({"image": np.zeros((6, 4, 64, 64), "f4")}, "second of 5 bands"),
        ({"image": np.zeros((6, 64, 64, 5), "f4")}, "second of 5 bands"),
        ({"image": np.zeros((6, 64, 64), "f4")}, "must have 4 axes"),
        ({"specz_redshift": np.zeros((6, 2))}, r"received : an array of shape \(6, 2\)"),
        ({"specz_redshift": np.zeros(5)}, r"received : an array of shape \(5,\)"),
        ({"specz_redshift": np.full(6, np.nan)}, "6 of 6 rows with NaN"),
        ({"specz_redshift": np.array([b"0.5"] * 6)}, "must be numbers"),
        ({"object_id": np.arange(5)}, "one value a galaxy"),
        ({"object_id": np.arange(6.0) + 2**53}, "a float cannot hold"),
        ({"ra": np.zeros(5)}, "one value a galaxy"),
        ({"image": np.zeros((6, 5, 32, 32), "f4")}, "at most 32"),
    ],
)
def test_wrong_contents_are_refused(tmp_path, write_published, images_manifest, replacements, words):
    write_published(tmp_path / "train.hdf5", **replacements)
    with pytest.raises(SchemaError, match=words) as caught:
        read_images(tmp_path / "train.hdf5", manifest=images_manifest())
    assert caught.value.remedy and caught.value.received


def test_an_empty_survey_is_refused(tmp_path, write_published, images_manifest):
    write_published(tmp_path / "train.hdf5", n=0)
    with pytest.raises(SchemaError, match="no rows"):
        read_images(tmp_path / "train.hdf5", manifest=images_manifest())


def test_bands_that_the_file_names_must_be_those_of_the_manifest(tmp_path, write_published, images_manifest):
    path = tmp_path / "train.hdf5"
    for bands, fits_manifest in [(list("grizy"), True), (list("rgizy"), False)]:
        write_published(path)
        with h5py.File(path, "a") as file:
            file["image"].attrs["bands"] = bands
        if fits_manifest:
            read_images(path, manifest=images_manifest())
        else:
            with pytest.raises(SchemaError, match="in the same order"):
                read_images(path, manifest=images_manifest())


def test_a_file_of_another_size_than_declared_is_refused(tmp_path, write_published, images_manifest):
    write_published(tmp_path / "train.hdf5", size=72)
    manifest = images_manifest(files=[{"path": "train.hdf5", "size": 64}])
    with pytest.raises(SchemaError, match="72 × 72"):
        read_images(tmp_path / "train.hdf5", manifest=manifest)


@pytest.mark.parametrize("suffix", ["hdf5", "npz", "fits"])
def test_files_that_are_not_what_they_claim(tmp_path, images_manifest, suffix):
    path = tmp_path / "train.dat"
    manifest = images_manifest(files=["train.dat"], format={"format": suffix})
    with pytest.raises(DataNotFoundError):
        read_images(path, manifest=manifest)
    path.write_bytes(b"<html>not a file of pixels</html>" * 20)
    with pytest.raises(CorruptFileError, match=r"train\.dat"):
        read_images(path, manifest=manifest)
    path.write_bytes(b"")
    with pytest.raises(CorruptFileError):
        read_images(path, manifest=manifest)


def test_cutouts_in_npz_and_fits(tmp_path, images_manifest):
    stamps = np.random.default_rng(0).normal(size=(3, 5, 20, 16)).astype(np.float32)
    z = np.array([0.1, 0.2, 0.3])
    np.savez(tmp_path / "train.npz", image=stamps, specz_redshift=z, filters=list("grizy"))
    fits.writeto(tmp_path / "scene.fits", stamps[0].astype(">f8"))
    bare = {"id": None, "sky": None, "magnitudes": None}
    manifest = images_manifest(files=["train.npz"], format={"format": "npz"}, sizes=[16], **bare)
    survey = read_images(tmp_path / "train.npz", manifest=manifest)
    np.testing.assert_array_equal(survey.inputs["image"][:], stamps[:, :, 2:18])
    np.testing.assert_array_equal(survey.labels["z"], z)
    image = {"key": "PRIMARY", "bands": ["g", "r", "i", "z", "y"]}
    bare |= {"label": None, "format": {"format": "fits"}, "files": [{"path": "scene.fits"}]}
    manifest = images_manifest(image=image, **bare)
    scene = read_images(tmp_path / "scene.fits", manifest=manifest)
    assert isinstance(scene.inputs["image"], MappedRows) and scene.inputs["image"].shape == (1, 5, 20, 16)
    np.testing.assert_array_equal(scene.inputs["image"][0:1][0], stamps[0])
    with pytest.raises(SchemaError, match="available: PRIMARY"):
        read_images(tmp_path / "scene.fits", manifest=images_manifest(image=image | {"key": "SCI"}, **bare))


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
        "image": {"key": ["BAND_G", "BAND_R", "BAND_I"], "bands": ["g", "r", "i"]},
        "label": {"name": "z", "column": "z"},
        "files": [{"path": "train.fits"}],
        "magnitudes": None,
    }
    survey = read_images(tmp_path / "train.fits", manifest=images_manifest(**parts, format={"format": "fits"}))
    np.testing.assert_array_equal(survey.inputs["image"][[2, 0]], stamps[[2, 0]])
    assert survey.ids.tolist() == ids.tolist() and survey.ids.dtype == np.int64
    np.testing.assert_array_equal(survey.labels["z"], z)
    np.testing.assert_array_equal(survey.sky_deg[:, 0], 150 + z)
    named = images_manifest(**parts, format={"format": "fits", "table": "OTHERS"})
    with pytest.raises(SchemaError, match="LABELS"):
        read_images(tmp_path / "train.fits", manifest=named)


def test_bands_in_a_dataset_each_stay_on_disk(tmp_path, images_manifest):
    stamps = np.random.default_rng(0).normal(size=(4, 2, 12, 10)).astype(np.float32)
    with h5py.File(tmp_path / "train.h5", "w") as file:
        file["flux_g"], file["flux_r"], file["z"] = stamps[:, 0], stamps[:, 1], np.arange(4.0)
    parts = {"label": {"name": "z", "column": "z"}, "files": ["train.h5"], "id": None, "sky": None, "magnitudes": None}
    image = {"key": ["flux_g", "flux_r"], "bands": ["g", "r"]}
    survey = read_images(tmp_path / "train.h5", manifest=images_manifest(image=image, **parts))
    assert isinstance(survey.inputs["image"], BandRows) and "flux_g" not in survey.catalogue
    np.testing.assert_array_equal(survey.inputs["image"][1:3], stamps[1:3])
    with h5py.File(tmp_path / "train.h5", "a") as file:
        del file["flux_r"]
        file["flux_r"] = stamps[:, 1, :5]
    with pytest.raises(SchemaError, match="one array"):
        read_images(tmp_path / "train.h5", manifest=images_manifest(image=image, **parts))


def test_real_decals_cutouts(shared_data, images_manifest):
    """Native DECaLS cut-outs of two sizes: the brighter centre is a galaxy in every band."""
    folder = shared_data / "legacysurvey_grz_native"
    names = ["zoobot_example_b_dr5_grz.fits", "astroclip_test_image_dr9_grz.fits"]
    manifest = images_manifest(
        files=[{"path": name} for name in names],
        image={"key": "PRIMARY", "bands": ["decam-g", "decam-r", "decam-z"], "pixel_scale_arcsec": 0.262},
        format={"format": "fits"},
        **dict.fromkeys(["label", "id", "sky", "magnitudes"]),
    )
    for name in names:
        image = read_images(folder / name, manifest=manifest, image_size=160).inputs["image"][:]
        assert image.shape == (1, 3, 160, 160)
        assert (image[0, :, 78:82, 78:82].mean(axis=(1, 2)) > 10 * np.median(image[0], axis=(1, 2))).all()
