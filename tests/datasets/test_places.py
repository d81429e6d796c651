from pathlib import Path

import pytest

from astrolab.datasets.places import data_dir, inside, registry_dir
from astrolab.errors import ManifestError


def test_the_data_folder_is_what_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("ASTROLAB_DATA_DIR", str(tmp_path))
    assert data_dir() == tmp_path and registry_dir() == tmp_path / "manifests"
    monkeypatch.setenv("ASTROLAB_DATA_DIR", "~/sky")
    assert data_dir() == Path.home() / "sky"
    monkeypatch.setenv("ASTROLAB_DATA_DIR", "")
    assert data_dir().name == "astrolab" and data_dir().is_absolute()


def test_links_may_lead_around_inside_but_not_out(tmp_path):
    folder = tmp_path / "survey"
    folder.mkdir()
    (folder / "a").write_text("")
    (folder / "near").symlink_to(folder / "a")
    (tmp_path / "b").write_text("")
    (folder / "far").symlink_to(tmp_path / "b")
    (folder / "up").symlink_to(tmp_path)
    assert inside(folder, path="near") == folder / "near"
    for path in ("far", "up/b"):
        with pytest.raises(ManifestError, match="outside"):
            inside(folder, path=path)
