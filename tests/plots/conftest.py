"""Small tables of predictions and scores, as the studies make them."""

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot

from astrolab.datasets.survey import Provenance, Survey
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


@pytest.fixture(scope="session")
def two_surveys():
    """Two small surveys with images; every tenth magnitude is missing, and they differ by 0.6 mag in g - i."""
    random = np.random.default_rng(0)
    surveys = []
    for name, colour in (("twin-galaxiesml", 1.0), ("twin-transferz", 0.4)):
        magnitudes = random.normal(22, 1, 90)[:, None] + np.array([colour, colour / 2, 0])
        magnitudes[3::10] = np.nan
        surveys.append(
            Survey(
                name=name,
                inputs={"image": random.normal(1, 1, (90, 3, 16, 16)), "magnitudes": magnitudes},
                labels=pd.DataFrame({"z": random.uniform(0.1, 2, 90)}),
                ids=np.arange(90),
                bands=("hsc-g", "hsc-r", "hsc-i"),
                catalogue={"size": random.uniform(1, 5, 90)},
                sky_deg=None,
                published_split=None,
                provenance=Provenance(survey=name, title=name, simulated=True),
            )
        )
    return surveys
