"""Small tables of predictions and scores, as the studies make them."""

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot

from astrolab.metrics import score

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    pyplot.close("all")


@pytest.fixture(scope="session")
def predictions():
    rng = np.random.default_rng(0)
    tables = []
    for survey in ("twin-transferz", "twin-galaxiesml"):
        truth = rng.uniform(0.05, 2.0, 150)
        for arm, width in (("zero_shot", 0.08), ("lora", 0.02), ("mine", 0.04)):
            for seed in (0, 1):
                dz = width * rng.normal(0, 1, truth.size)
                columns = {"survey": survey, "arm": arm, "seed": seed, "object_id": np.arange(truth.size)}
                tables.append(pd.DataFrame(columns | {"truth": truth, "pred": truth + (1 + truth) * dz}))
    return pd.concat(tables, ignore_index=True).assign(label="z", simulated=True)


@pytest.fixture(scope="session")
def scores(predictions):
    return score(predictions, n_bootstrap=20)
