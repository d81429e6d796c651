"""A small table of predictions of two models with known errors, and the survey that holds the galaxies."""

import numpy as np
import pandas as pd
import pytest

from astrolab.datasets.survey import Provenance, Survey
from astrolab.tasks import QUANTITIES, InputSpec, make_task

BIG_ID = 2**55 + 1  # no float64 holds it
BANDS = ("hsc-g", "hsc-r", "hsc-i")


@pytest.fixture
def predictions():
    """Three galaxies, one of them wrong altogether in the model ``tl``; a magnitude is kept."""
    columns = {"survey": "twin-galaxiesml", "object_id": BIG_ID + np.arange(3), "truth.z": [0.5, 1.0, 1.0]}
    kept = {"simulated": True, "seed": 0, "i_cmodel_mag": [21.0, 20.0, 19.0]}
    tl = pd.DataFrame(columns | {"pred.z": [0.5, 1.2, 2.6], "arm": "tl"} | kept)
    lora = pd.DataFrame(columns | {"pred.z": [0.8, 1.2, 1.1], "arm": "lora"} | kept)
    return pd.concat([tl, lora], ignore_index=True)


@pytest.fixture
def survey():
    """A survey that holds these galaxies, in another order, and one more."""
    random = np.random.default_rng(0)
    return Survey(
        name="twin-galaxiesml",
        inputs={
            "image": random.normal(size=(4, 3, 16, 16)).astype(np.float32),
            "magnitudes": np.array([[21, 20, 19], [23, 22, 21], [0, 0, 0], [22, 21, 20]], dtype=np.float32),
        },
        specs={
            "image": InputSpec(("band", "y", "x"), BANDS, scale_arcsec=0.168),
            "magnitudes": InputSpec(("band",), BANDS, "AB mag"),
        },
        labels=pd.DataFrame({"z": [1.0, 0.5, 3.0, 1.0]}),
        ids=BIG_ID + np.array([2, 0, 3, 1]),
        catalogue={
            "i_half_light_radius": np.array([4.0, 2.0, 9.0, 3.0]),
            "g_half_light_radius": np.zeros(4),
            "i_petro_rad": np.ones(4),
        },
        sky_deg=np.array([[150.2, 2.2], [150.0, 2.0], [150.3, 2.3], [150.1, 2.1]]),
        provenance=Provenance(survey="twin-galaxiesml", title="twin", simulated=True),
        task=make_task([QUANTITIES["z"]]),
    )


@pytest.fixture
def votes():
    """Two labels in [0, 1], the second of them unknown for every other object; no outlier cut, no scored range."""
    random = np.random.default_rng(1)
    truth = random.uniform(size=(40, 2))
    pred = truth + 0.05 * random.normal(size=(40, 2))
    pred[3] += 0.9
    truth[::2, 1] = np.nan
    columns = {"survey": "zoo", "arm": "full", "seed": 0, "object_id": np.arange(40)}
    labels = {
        f"{kind}.{name}": v[:, k] for kind, v in (("truth", truth), ("pred", pred)) for k, name in enumerate("ab")
    }
    return pd.DataFrame(columns | labels | {"petro_rad": random.uniform(1, 9, 40)})


@pytest.fixture
def reconstructed():
    """Errors of a network without labels; the sixth spectrum is odd."""
    error = np.random.default_rng(2).gamma(3.0, 0.1, 30)
    error[5] = 9.0
    columns = {"survey": "spectra", "arm": "scratch", "seed": 0, "object_id": np.arange(30), "error.spectrum": error}
    return pd.DataFrame(columns | {"g_mag": np.linspace(14, 18, 30)})
