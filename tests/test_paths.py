"""Where only the output layer moves, predictions are a straight line in the scale."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from astrolab.errors import ConfigError, ModelError
from astrolab.models.adapt import adapt
from astrolab.models.registry import make_model
from astrolab.paths import predict_path
from astrolab.predictions import predict


class FakeSurvey(SimpleNamespace):
    def __len__(self):
        return len(self.ids)


def make_survey(name, *, n=15, seed=0):
    rng = np.random.default_rng(seed)
    return FakeSurvey(
        name=name,
        inputs={"magnitudes": rng.normal(size=(n, 5)).astype(np.float32)},
        labels=pd.DataFrame({"z": rng.uniform(0.3, 1.5, n)}),
        ids=np.arange(n),
        catalogue={"i_mag": rng.uniform(18, 25, n)},
        provenance=SimpleNamespace(simulated=True),
    )


SCALING = SimpleNamespace(apply=lambda inputs: inputs, require_fits=lambda survey: None)


@pytest.fixture(scope="module")
def networks():
    base = make_model("redshift_mlp", n_bands=5, seed=0, hidden=(8, 8))
    output = next(name for name, module in base.named_modules() if module is base.classifier[-1])
    adapted = adapt(base, strategy="layers", layers=[output])
    with torch.no_grad():
        adapted.network.classifier[-1].weight.add_(torch.linspace(-1, 1, base.classifier[-1].in_features))
    return base, adapted


def test_predictions_move_along_a_straight_line(networks):
    base, adapted = networks
    surveys = [make_survey("old"), make_survey("new", seed=1, n=9)]
    scales = [0, 0.25, 1, 1.5]
    table = predict_path(base, adapted=adapted, scales=scales, surveys=surveys, scaling=SCALING, keep=["i_mag"])
    assert len(table) == 4 * (15 + 9) and table["scale"].dtype == float and "i_mag" in table
    for survey in surveys:
        ends = [predict(end, survey=survey, scaling=SCALING)["pred"].to_numpy() for end in (base, adapted)]
        rows = table[table["survey"] == survey.name]
        for scale in scales:
            found = rows.loc[rows["scale"] == scale, "pred"]
            np.testing.assert_allclose(found, ends[0] + scale * (ends[1] - ends[0]), atol=1e-5)


def test_paths_that_are_none_are_refused(networks):
    base, adapted = networks
    where = {"scaling": SCALING, "surveys": [make_survey("old")]}
    for scales in ([], [0, 0.5, 0.5]):
        with pytest.raises(ConfigError, match="different numbers"):
            predict_path(base, adapted=adapted, scales=scales, **where)
    with pytest.raises(ConfigError, match="0 surveys"):
        predict_path(base, adapted=adapted, scales=[0, 1], scaling=SCALING, surveys=[])
    with pytest.raises(ModelError, match="residual"):
        predict_path(base, adapted=adapt(base, strategy="residual"), scales=[0, 1], **where)
