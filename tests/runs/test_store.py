from dataclasses import replace

import pytest

from astrolab.models.adapt import adapt
from astrolab.models.registry import make_model
from astrolab.runs.store import stored_fit


@pytest.fixture
def place(case, setup):
    def find(network=case.mlp, **changes):
        given = {name: setup[name] for name in ("sample", "scaling", "config")} | {"code": "abc"} | changes
        return stored_fit(adapt(network, strategy="full"), **given)

    return find


def test_the_same_fit_has_one_place_and_anything_else_another(place, case, setup, runs_here):
    assert place() == place()
    assert place().parent == runs_here / "store"
    other_sample = type(setup["sample"])(case.train.take(range(40)), case.validation, case.validation)
    halved = {"magnitudes": case.train.inputs["magnitudes"] / 2}
    read_otherwise = replace(case.train, inputs=halved)  # the same files and ids, read by another manifest
    others = [
        place(network=make_model("redshift_mlp", n_bands=3, seed=1, hidden=(8, 8))),
        place(config=setup["config"].with_changes(epochs=4)),
        place(config=setup["config"].with_changes(seed=1)),
        place(code="abd"),
        place(sample=other_sample),
        place(sample=replace(setup["sample"], train=read_otherwise)),
    ]
    assert len({place(), *others}) == 7
