"""Small surveys and networks: a galaxy's brightness tells its redshift."""

import numpy as np
import pandas as pd
import pytest

from astrolab.datasets.scaling import fit_scaling
from astrolab.datasets.survey import Provenance, Survey
from astrolab.models.adapt import adapt
from astrolab.models.registry import make_model
from astrolab.trainers.config import TrainConfig

BANDS = ("hsc-g", "hsc-r", "hsc-i")


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
        labels=pd.DataFrame({"z": z}),
        ids=np.arange(n) + 1_000 * seed,
        bands=BANDS,
        catalogue={},
        sky_deg=None,
        published_split=None,
        provenance=Provenance(survey=name, title=name, simulated=True, digest=f"{name}-{seed}"),
    )


class Case:
    """A survey to train on, one to validate with, and the ways the tests call fit on them."""

    def __init__(self, size=8):
        self.train = draw_survey(45, seed=1, size=size)
        self.validation = draw_survey(20, seed=2, size=size)
        self.image_scaling = fit_scaling(self.train, input_name="image", method="asinh")
        self.magnitude_scaling = fit_scaling(self.train, input_name="magnitudes", method="standard")
        self.cnn = make_model("redshift_cnn", n_bands=3, seed=0, width=4, hidden=(8, 4))
        self.mlp = make_model("redshift_mlp", n_bands=3, seed=0, hidden=(8, 8))
        self.config = TrainConfig(epochs=4, batch_size=16, learning_rate=1.0e-2, device="cpu", precision="float32")

    def arguments(self, network, **changes):
        scaling = self.image_scaling if network.input_name == "image" else self.magnitude_scaling
        given = {"train": self.train, "validation": self.validation, "scaling": scaling, "progress": False}
        return given | {"config": self.config} | changes

    def adapted(self, strategy="full", **settings):
        return adapt(self.cnn, strategy=strategy, **settings)


@pytest.fixture(scope="session")
def case():
    return Case()


@pytest.fixture(scope="session")
def larger_case():
    """With images of 32 pixels: at 16 and below, oneDNN's bfloat16 gradient of the last stage is not reproducible."""
    return Case(size=32)
