"""Predictions of two models on a survey with pictures, and a kernel's answer to whether somebody is watching."""

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot

from astrolab.datasets.survey import Provenance, Survey

matplotlib.use("Agg")
N = 40


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    pyplot.close("all")


@pytest.fixture
def survey():
    random = np.random.default_rng(0)
    return Survey(
        name="twin-galaxiesml",
        inputs={
            "image": random.normal(size=(N, 3, 12, 12)).astype(np.float32),
            "magnitudes": random.uniform(18, 24, size=(N, 3)).astype(np.float32),
        },
        labels=pd.DataFrame({"z": np.linspace(0.2, 1.6, N)}),
        ids=2**55 + 1 + np.arange(N),
        bands=("hsc-g", "hsc-r", "hsc-i"),
        catalogue={"i_half_light_radius": random.uniform(2, 9, N)},
        sky_deg=np.stack([150 + 0.01 * np.arange(N), 2 + 0.01 * np.arange(N)], axis=1),
        published_split=None,
        provenance=Provenance(survey="twin-galaxiesml", title="twin", simulated=True, pixel_scale_arcsec=0.168),
    )


@pytest.fixture
def predictions(survey):
    z = survey.labels["z"].to_numpy()
    tables = []
    for arm, width in (("tl", 0.12), ("lora", 0.03)):
        for seed in (0, 1):
            dz = width * np.random.default_rng([seed, len(arm)]).normal(size=N)
            columns = {
                "survey": survey.name,
                "object_id": survey.ids,
                "label": "z",
                "truth": z,
                "pred": z + (1 + z) * dz,
            }
            tables.append(pd.DataFrame(columns | {"simulated": True, "arm": arm, "seed": seed}))
    small = [tables[0].iloc[:10].assign(survey="twin-transferz", object_id=np.arange(10))]
    return pd.concat([*tables, *small], ignore_index=True)


@pytest.fixture
def path_predictions():
    random = np.random.default_rng(0)
    tables = []
    for name in ("twin-transferz", "twin-galaxiesml"):
        truth = random.uniform(0.2, 1.8, 60)
        for scale in (0.0, 0.5, 1.0):
            pred = truth + (1 - scale) * 0.1 * (1 + truth)
            columns = {"survey": name, "object_id": np.arange(60), "label": "z", "truth": truth, "pred": pred}
            tables.append(pd.DataFrame(columns | {"scale": scale, "simulated": True}))
    return pd.concat(tables, ignore_index=True)
