"""Small tables of predictions and scores, and small surveys, as the studies make them."""

import matplotlib
import numpy as np
import pytest
from drawn import predict, survey_of
from matplotlib import pyplot

from astrolab.metrics import Resampling, score
from astrolab.predictions import concat_predictions
from astrolab.tasks import Quantity, find_quantity, make_task

matplotlib.use("Agg")
THREE = make_task(
    [find_quantity("feh"), find_quantity("alpha_fe"), Quantity("teff", "effective temperature", "K", outlier=200.0)]
)


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
                residuals = width * rng.normal(0, 1, truth.size)
                names = {"survey": survey, "arm": arm, "strategy": arm, "seed": seed, "fit": f"{arm}-{seed}"}
                tables.append(predict(truth, residuals=residuals, **names))
    return concat_predictions(tables)


@pytest.fixture(scope="session")
def scores(predictions):
    return score(predictions, resampling=Resampling(n=20))


@pytest.fixture(scope="session")
def stars():
    """Predictions of three labels of real stars, the second of them unknown for every other one."""
    rng = np.random.default_rng(0)
    truths = {"feh": rng.normal(-0.6, 0.5, 80), "alpha_fe": rng.normal(0.1, 0.1, 80), "teff": rng.normal(5e3, 500, 80)}
    truths["alpha_fe"][::2] = np.nan
    table = predict(truths["feh"], residuals=0.1, label="feh", survey="desi").assign(simulated=False)
    for label, truth in truths.items():
        noise = 0.05 * np.nanstd(truth) * rng.normal(size=80)
        table = table.assign(**{f"truth.{label}": truth, f"pred.{label}": np.nan_to_num(truth) + noise})
    table.attrs["task"] = THREE.to_dict()
    return table


@pytest.fixture(scope="session")
def two_surveys():
    """Two small surveys with images; every tenth magnitude is missing, and they differ by 0.6 mag in g - i."""
    random = np.random.default_rng(0)
    surveys = []
    for name, colour in (("twin-galaxiesml", 1.0), ("twin-transferz", 0.4)):
        magnitudes = random.normal(22, 1, 90)[:, None] + np.array([colour, colour / 2, 0])
        magnitudes[3::10] = np.nan
        inputs = {"image": random.normal(1, 1, (90, 3, 16, 16)), "magnitudes": magnitudes}
        label, sizes = random.uniform(0.1, 2, 90), {"size": random.uniform(1, 5, 90)}
        surveys.append(survey_of(name, inputs=inputs, bands=("hsc-g", "hsc-r", "hsc-i"), label=label, catalogue=sizes))
    return surveys
