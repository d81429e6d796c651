"""Predictions of two models on a survey with pictures, and a kernel's answer to whether somebody is watching."""

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot

from astrolab.datasets.survey import Provenance, Survey
from astrolab.tasks import QUANTITIES, InputSpec, make_task

matplotlib.use("Agg")
N = 40
BANDS = ("hsc-g", "hsc-r", "hsc-i")


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
        specs={"image": InputSpec(("band", "y", "x"), BANDS), "magnitudes": InputSpec(("band",), BANDS, "AB mag")},
        labels=pd.DataFrame({"z": np.linspace(0.2, 1.6, N)}),
        ids=2**55 + 1 + np.arange(N),
        catalogue={"i_half_light_radius": random.uniform(2, 9, N)},
        sky_deg=np.stack([150 + 0.01 * np.arange(N), 2 + 0.01 * np.arange(N)], axis=1),
        provenance=Provenance(survey="twin-galaxiesml", title="twin", simulated=True),
        task=make_task([QUANTITIES["z"]]),
    )


@pytest.fixture
def predictions(survey):
    z = survey.labels["z"].to_numpy()
    tables = []
    for arm, width in (("tl", 0.12), ("lora", 0.03)):
        for seed in (0, 1):
            dz = width * np.random.default_rng([seed, len(arm)]).normal(size=N)
            columns = {"survey": survey.name, "object_id": survey.ids, "truth.z": z, "pred.z": z + (1 + z) * dz}
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
            columns = {"survey": name, "object_id": np.arange(60), "truth.z": truth, "pred.z": pred}
            tables.append(pd.DataFrame(columns | {"scale": scale, "simulated": True}))
    return pd.concat(tables, ignore_index=True)


@pytest.fixture
def votes():
    """Two labels, the second unknown for every other object."""
    truth = np.random.default_rng(1).uniform(size=(N, 2))
    pred = truth + 0.05 * np.random.default_rng(2).normal(size=(N, 2))
    truth[::2, 1] = np.nan
    columns = {"survey": "zoo", "arm": "full", "seed": 0, "object_id": np.arange(N)}
    for number, label in enumerate(("bar", "edge")):
        columns |= {f"truth.{label}": truth[:, number], f"pred.{label}": pred[:, number]}
    return pd.DataFrame(columns)


@pytest.fixture
def spectra():
    """Spectra without labels, on a grid, and the errors with which a network reconstructs them."""
    flux, grid = np.random.default_rng(3).normal(1, 0.1, (N, 50)).astype(np.float32), np.linspace(4000, 7000, 50)
    survey = Survey(
        name="stars",
        inputs={"spectrum": flux},
        specs={"spectrum": InputSpec(("pixel",), unit="relative flux", grid=grid)},
        labels=pd.DataFrame(index=range(N)),
        ids=np.arange(N),
        provenance=Provenance(survey="stars", title="stars"),
        objects="stars",
    )
    error = np.random.default_rng(4).gamma(3.0, 0.1, N)
    columns = {"survey": "stars", "arm": "scratch", "seed": 0, "object_id": np.arange(N), "error.spectrum": error}
    return survey, pd.DataFrame(columns | {"snr_mag": np.linspace(14, 18, N)})
