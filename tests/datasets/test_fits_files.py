import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from astrolab.datasets import fits_files
from astrolab.datasets.fits_files import fits_columns, fits_pixels, has_table
from astrolab.datasets.rows import MappedRows
from astrolab.errors import CorruptFileError, SchemaError


@pytest.fixture
def open_fits(tmp_path):
    """A file of an image and two tables, open."""
    tables = [fits.BinTableHDU(Table({"id": [2**53 + 1, 3], "name": ["a", "b"]}), name="FIRST")]
    tables.append(fits.BinTableHDU(Table({"z": [0.1, 0.2]}), name="SECOND"))
    fits.HDUList([fits.PrimaryHDU(np.zeros((2, 2))), *tables]).writeto(tmp_path / "survey.fits")
    with fits.open(tmp_path / "survey.fits") as hdus:
        yield hdus


def test_the_first_table_or_the_one_that_is_named(open_fits, tmp_path):
    columns = fits_columns(open_fits, path=tmp_path / "survey.fits")
    assert columns["id"][:].tolist() == [2**53 + 1, 3] and columns["name"][:].tolist() == ["a", "b"]
    for wanted in ("SECOND", "2"):
        values = fits_columns(open_fits, path=tmp_path / "survey.fits", wanted=wanted)["z"][:]
        assert values.dtype == np.dtype("=f8") and values.tolist() == [0.1, 0.2]


def test_a_table_that_is_not_there(open_fits, tmp_path):
    with pytest.raises(SchemaError, match="FIRST"):
        fits_columns(open_fits, path=tmp_path / "survey.fits", wanted="THIRD")
    images = fits.HDUList([fits.PrimaryHDU(np.zeros((2, 2)))])
    assert has_table(open_fits) and not has_table(images)
    with pytest.raises(SchemaError, match="1 HDUs without one"):
        fits_columns(images, path=tmp_path / "image.fits")


def pixels_of(path, *, n_dims=4, number=0):
    with fits_files.open_fits(path) as hdus:
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
