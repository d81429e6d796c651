import pytest

from astrolab.datasets.missing import missing_key, require_file
from astrolab.errors import DataNotFoundError


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
