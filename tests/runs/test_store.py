import shutil
from pathlib import Path

import pytest

import astrolab
from astrolab.models.adapt import adapt
from astrolab.models.registry import make_model
from astrolab.runs.store import code_digest, stored_fit


@pytest.fixture
def place(case, setup):
    def find(network=case.mlp, **changes):
        given = {name: setup[name] for name in ("sample", "scaling", "config")} | changes
        return stored_fit(adapt(network, strategy="full"), **given)

    return find


def test_the_same_fit_has_one_place_and_anything_else_another(place, case, setup, runs_here):
    assert place() == place()
    assert place().parent == runs_here / "store"
    other_sample = type(setup["sample"])(case.train.take(range(40)), case.validation, case.validation)
    others = [
        place(network=make_model("redshift_mlp", n_bands=3, seed=1, hidden=(8, 8))),
        place(config=setup["config"].with_changes(epochs=4)),
        place(config=setup["config"].with_changes(seed=1)),
        place(sample=other_sample),
    ]
    assert len({place(), *others}) == 5


def test_code_that_trains_otherwise_is_another_place(tmp_path):
    package = tmp_path / "astrolab"
    shutil.copytree(Path(astrolab.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    before = code_digest(package)
    assert before == code_digest(Path(astrolab.__file__).parent)
    code_digest.cache_clear()
    (package / "plots" / "style.py").write_text("")
    assert code_digest(package) == before, "figures have no say in weights"
    code_digest.cache_clear()
    losses = package / "trainers" / "losses.py"
    losses.write_text(losses.read_text() + "\n")
    assert code_digest(package) != before
