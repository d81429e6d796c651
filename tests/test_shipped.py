import pytest

from astrolab import shipped
from astrolab.errors import DataNotFoundError, UnknownNameError


def test_a_checkout_has_its_folders_beside_the_package():
    assert (shipped.shipped_folder("data_manifests") / "galaxiesml.toml").is_file()


def test_a_wheel_has_them_inside(tmp_path, monkeypatch):
    package = tmp_path / "astrolab"
    (package / "_shipped" / "notebooks").mkdir(parents=True)
    monkeypatch.setattr(shipped, "_PACKAGE", package)
    assert shipped.shipped_folder("notebooks") == package / "_shipped" / "notebooks"
    with pytest.raises(DataNotFoundError, match="Install astrolab again"):
        shipped.shipped_folder("data_manifests")


def test_an_unknown_folder():
    with pytest.raises(UnknownNameError, match="notebooks"):
        shipped.shipped_folder("notebook")
