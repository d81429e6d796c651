import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from astrolab.datasets.fits_tables import fits_columns, has_table
from astrolab.errors import SchemaError


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
