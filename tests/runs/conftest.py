"""A folder of runs of each test's own, and a small catalogue with a network to train on it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import pytest


@pytest.fixture(autouse=True)
def runs_here(tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROLAB_RUNS_DIR", str(tmp_path / "runs"))
    return tmp_path / "runs"


@dataclass(frozen=True)
class Case:
    """A catalogue of three magnitudes that say the redshift, and what learns it."""

    n: int = 120

    @cached_property
    def survey(self):
        from astrolab.datasets.survey import Provenance, Survey
        from astrolab.tasks import QUANTITIES, InputSpec, make_task

        rng = np.random.default_rng(0)
        z = rng.uniform(0.4, 1.4, self.n)
        magnitudes = 20 + z[:, None] * np.array([2.0, 1.0, 0.5]) + rng.normal(0, 0.05, (self.n, 3))
        return Survey(
            name="mine",
            inputs={"magnitudes": magnitudes.astype(np.float32)},
            specs={"magnitudes": InputSpec(("band",), ("g", "r", "i"), "AB mag")},
            labels=pd.DataFrame({"z": z}),
            ids=np.arange(self.n),
            provenance=Provenance(survey="mine", title="Mine", simulated=True, digest="of mine"),
            task=make_task([QUANTITIES["z"]]),
        )

    @cached_property
    def parts(self):
        import astrolab as al

        return al.split(self.survey)

    @cached_property
    def scaling(self):
        import astrolab as al

        return al.fit_scaling(self.parts.train)

    @cached_property
    def config(self):
        import astrolab as al

        return al.TrainConfig(epochs=3, batch_size=16, learning_rate=1e-2)

    def network(self, *, seed=0, **options):
        import astrolab as al

        return al.make_model("mlp", survey=self.survey, seed=seed, **{"hidden": (8, 8)} | options)

    def arguments(self, **changes):
        """Arguments of `Run.fit` beside the network and how it is adapted."""
        setup = {"arm": "full", "seed": 0, "sample": self.parts, "scaling": self.scaling, "config": self.config}
        return setup | changes


@pytest.fixture(scope="session")
def case():
    return Case()


@pytest.fixture
def setup(case):
    return case.arguments()
