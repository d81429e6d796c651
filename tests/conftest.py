"""Fixtures every test may use."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of small real data sets; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("ASTROLAB_SHARED", REPOSITORY.parent / "shared")) / "data"
    if not folder.is_dir():
        pytest.skip("the shared real data sets are not on this machine (set ASTROLAB_SHARED)")
    return folder


@pytest.fixture
def data_folder(tmp_path, monkeypatch) -> Path:
    """A data folder of this test alone."""
    monkeypatch.setenv("ASTROLAB_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture(autouse=True)
def _own_data_dir(tmp_path_factory, monkeypatch):
    """No test reads or writes the user's own data folder."""
    if "ASTROLAB_DATA_DIR" not in os.environ or not os.environ["ASTROLAB_DATA_DIR"].startswith(
        str(tmp_path_factory.getbasetemp())
    ):
        monkeypatch.setenv("ASTROLAB_DATA_DIR", str(tmp_path_factory.getbasetemp() / "astrolab-data"))
