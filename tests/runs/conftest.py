"""A store and run folders of each test's own, and the small surveys and networks of the trainers' tests."""

import importlib.util
from pathlib import Path

import pytest

from astrolab.datasets.splits import Splits

_SPEC = importlib.util.spec_from_file_location("small_fits", Path(__file__).parents[1] / "trainers" / "conftest.py")
small_fits = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(small_fits)


@pytest.fixture(autouse=True)
def runs_here(tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROLAB_RUNS_DIR", str(tmp_path / "runs"))
    return tmp_path / "runs"


@pytest.fixture(scope="session")
def case():
    return small_fits.Case()


@pytest.fixture
def setup(case):
    """Arguments of `Run.fit` beside the network: magnitudes, a few epochs."""
    sample = Splits(case.train, case.validation, case.validation)
    config = case.config.with_changes(epochs=3)
    return {"arm": "full", "seed": 0, "sample": sample, "scaling": case.magnitude_scaling, "config": config}
