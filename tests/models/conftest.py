"""Small networks of the real structure, users' own ones, and a few real optimiser steps."""

import copy
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
from toy_networks import Autoencoder, TwoInputs

from astrolab.datasets.survey import Provenance, Survey
from astrolab.models.adapt import adapt, set_train_mode
from astrolab.models.network import TrainingRecord, seeded
from astrolab.models.registry import MODELS, make_model
from astrolab.tasks import InputSpec, find_quantity, make_task

SMALL = {
    "cnn": {"hidden": (16, 8), "width": 8},
    "mlp": {"inputs": ["magnitudes"], "hidden": (16, 16, 16, 8), "batchnorm": True, "dropout": 0.2},
    "spectrum_mlp": {"inputs": ["spectrum"], "hidden": (16, 12, 8)},
    "spectrum_transformer": {"width": 8, "depth": 2, "heads": 2, "section": 6, "stride": 3},
}
SPECS = {
    "image": InputSpec(("band", "y", "x"), channels="grizy", unit="nJy", scale_arcsec=0.168),
    "magnitudes": InputSpec(("band",), channels="grizy"),
    "spectrum": InputSpec(("pixel",), grid=np.linspace(4000, 7000, 20), companions=("ivar",)),
}
SHAPES = {"image": (5, 16, 16), "magnitudes": (5,), "spectrum": (20,), "spectrum.ivar": (20,)}


def draw_inputs(shapes, *, n, seed=0):
    """Draw inputs whose channels have means of their own."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn((n, *shape), generator=generator)
        + torch.arange(float(shape[0])).reshape(1, -1, *[1] * (len(shape) - 1))
        for name, shape in shapes.items()
    }


def survey_of(*, labels=("z",), inputs=tuple(SPECS), n=6):
    """Make a survey in memory; the same numbers every time."""
    rng = np.random.default_rng(0)
    wanted = [name for name in SHAPES if name.partition(".")[0] in inputs]
    return Survey(
        name="toy",
        inputs={name: rng.normal(size=(n, *SHAPES[name])).astype("f4") for name in wanted},
        specs={name: SPECS[name] for name in inputs},
        labels=pd.DataFrame({label: rng.uniform(0.3, 1.5, n) for label in labels}, index=range(n)),
        ids=np.arange(n),
        provenance=Provenance("toy", "Toy survey", declared=("image: lsst-g as subaru-g",)),
        task=make_task([find_quantity(label) for label in labels]),
    )


@cache
def trained(name):
    network = make_model(name, survey=survey_of(), seed=3, **SMALL[name])
    network.trained_on = TrainingRecord.of(survey_of(), inputs=network.inputs)
    return take_steps(adapt(network, strategy="full")).network


@pytest.fixture(scope="session")
def make_survey():
    return survey_of


@pytest.fixture(scope="session")
def small_network():
    """Make a small network by name; BatchNorm statistics and all weights away from their initial values."""
    return lambda name: copy.deepcopy(trained(name))


@pytest.fixture(scope="session")
def inputs():
    """Make every input of twelve objects."""
    return lambda shift=0.0: {name: values + shift for name, values in draw_inputs(SHAPES, n=12).items()}


@pytest.fixture(scope="session")
def moved():
    """Train an adapted network for three steps on shifted inputs; gives it back in evaluation mode."""
    return take_steps


@pytest.fixture
def own_networks(monkeypatch):
    """Users' networks, registered for one test."""
    for network in (TwoInputs, Autoencoder):
        monkeypatch.setitem(MODELS, network.name, network)
    return TwoInputs, Autoencoder


def take_steps(adapted):
    set_train_mode(adapted)
    parameters = [p for p in adapted.network.parameters() if p.requires_grad]
    if parameters:
        optimizer = torch.optim.Adam(parameters, lr=1e-2, weight_decay=1e-4)
        adapted.plan.assert_holds(adapted.network, optimizer=optimizer)
        with seeded(1):
            for step in range(3):
                values = draw_inputs(SHAPES, n=8, seed=step)
                shifted = {name: 2 + values[name] for name in adapted.network.inputs}
                optimizer.zero_grad()
                (adapted.network(shifted) - 1).square().mean().backward()
                optimizer.step()
    adapted.network.eval()
    return adapted
