"""Small surveys and networks: a galaxy's brightness tells its redshift."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from toy_networks import Autoencoder, TwoInputs

from astrolab.datasets.scaling import fit_scaling
from astrolab.datasets.survey import Provenance, Survey
from astrolab.models.adapt import adapt
from astrolab.models.registry import MODELS, make_model
from astrolab.tasks import InputSpec, find_quantity, make_task
from astrolab.trainers.config import TrainConfig

BANDS = ("hsc-g", "hsc-r", "hsc-i")
SPECS = {"image": InputSpec(("band", "y", "x"), BANDS, unit="nJy"), "magnitudes": InputSpec(("band",), BANDS)}


def draw_survey(n, *, seed, name="mock", size=8):
    rng = np.random.default_rng(seed)
    z = rng.uniform(0.1, 1.5, n)
    flux = np.stack([10 * np.exp(-z), 10 / (1 + z), 5 + z], axis=1)
    return Survey(
        name=name,
        inputs={
            "image": (flux[:, :, None, None] + rng.normal(size=(n, 3, size, size))).astype(np.float32),
            "magnitudes": (-2.5 * np.log10(flux) + 0.01 * rng.normal(size=flux.shape)).astype(np.float32),
        },
        specs=SPECS,
        labels=pd.DataFrame({"z": z}),
        ids=np.arange(n) + 1_000 * seed,
        catalogue={
            "confidence": rng.uniform(size=n),
            "member": np.where(np.arange(n) < 9, "few", "many").astype(object),
        },
        provenance=Provenance(survey=name, title=name, simulated=True, digest=f"{name}-{seed}"),
        task=make_task([find_quantity("z")]),
    )


def with_labels(survey, weights=None, **labels):
    """Give a survey other labels, by name."""
    table = pd.DataFrame(labels, index=range(len(survey)))
    return replace(survey, labels=table, weights=weights, task=make_task([find_quantity(name) for name in table]))


MODELS |= {network.name: network for network in (TwoInputs, Autoencoder)}


class Case:
    """A survey to train on, one to validate with, and the ways the tests call fit on them."""

    def __init__(self, size=8):
        self.train = draw_survey(45, seed=1, size=size)
        self.validation = draw_survey(20, seed=2, size=size)
        self.scaling = fit_scaling(self.train)
        self.cnn = make_model("cnn", survey=self.train, seed=0, width=4, hidden=(8, 4))
        self.mlp = make_model("mlp", survey=self.train, seed=0, hidden=(8, 8), batchnorm=False)
        self.two = make_model("two_inputs", survey=self.train, seed=0)
        self.autoencoder = make_model("autoencoder", survey=with_labels(self.train), seed=0)
        self.config = TrainConfig(epochs=4, batch_size=16, learning_rate=1.0e-2, device="cpu", precision="float32")
        self.masked = self.config.with_changes(objective={"name": "masked_reconstruction"})

    def arguments(self, **changes):
        given = {"train": self.train, "validation": self.validation, "scaling": self.scaling, "progress": False}
        return given | {"config": self.config} | changes

    with_labels = staticmethod(with_labels)

    def adapted(self, strategy="full", **settings):
        return adapt(self.cnn, strategy=strategy, **settings)


@pytest.fixture(scope="session")
def case():
    return Case()


@pytest.fixture(scope="session")
def larger_case():
    """With images of 32 pixels: at 16 and below, oneDNN's bfloat16 gradient of the last stage is not reproducible."""
    return Case(size=32)
