import numpy as np
import pandas as pd
import pytest

from astrolab.errors import ConfigError, PredictionError
from astrolab.exploring.adapter_path import AdapterPath


@pytest.fixture
def along():
    """Predictions that move linearly from far too large to right, on two surveys."""
    random = np.random.default_rng(0)
    tables = []
    for survey, n in (("twin-transferz", 80), ("twin-galaxiesml", 120)):
        truth = random.uniform(0.2, 1.8, n)
        for scale in (1.0, 0.0, 0.5):
            pred = truth + (1 - scale) * 0.1 * (1 + truth)
            columns = {"survey": survey, "object_id": np.arange(n), "label": "z", "truth": truth, "pred": pred}
            tables.append(pd.DataFrame(columns | {"scale": scale, "simulated": True}).sample(frac=1, random_state=n))
    return pd.concat(tables, ignore_index=True)


def test_predictions_between_two_scales_lie_on_the_line_between(along):
    path = AdapterPath.of(along)
    assert path.scales.tolist() == [0.0, 0.5, 1.0] and path.simulated
    galaxies = path.surveys["twin-galaxiesml"]
    for scale in (0.0, 0.3, 0.5, 0.9, 1.0):
        expected = galaxies.truth + (1 - scale) * 0.1 * (1 + galaxies.truth)
        np.testing.assert_allclose(path.predictions_at(scale, survey="twin-galaxiesml"), expected)


def test_scores_of_both_surveys_move_at_once(along):
    scores = AdapterPath.of(along).scores_at(0.75).set_index(["survey", "metric"])
    for survey in ("twin-transferz", "twin-galaxiesml"):
        assert scores.loc[(survey, "bias"), "value"] == pytest.approx(0.025)
        assert scores.loc[(survey, "bias"), "base"] == pytest.approx(0.1)
        assert scores.loc[(survey, "bias"), "adapted"] == pytest.approx(0.0, abs=1e-12)
        assert scores.loc[(survey, "scatter"), "value"] == pytest.approx(0.0, abs=1e-12)


def test_a_path_may_go_beyond_the_adapted_network(along):
    beyond = along[along["scale"] == 1.0].assign(
        scale=1.5, pred=lambda table: table["truth"] - 0.05 * (1 + table["truth"])
    )
    scores = AdapterPath.of(pd.concat([along, beyond])).scores_at(1.5).set_index(["survey", "metric"])
    row = scores.loc[("twin-transferz", "bias")]
    np.testing.assert_allclose([row["value"], row["base"], row["adapted"]], [-0.05, 0.1, 0.0], atol=1e-12)


def test_other_labels_are_scored_whole_with_their_own_metrics(along):
    path = AdapterPath.of(along.assign(label="feh"), z_range=(3.0, 4.0))
    scores = path.scores_at(0.0).set_index(["survey", "metric"])["value"]
    truth = path.surveys["twin-transferz"].truth
    assert scores["twin-transferz", "mae"] == pytest.approx(np.mean(0.1 * (1 + truth)))
    assert path.label == "feh" and set(path.scores["metric"]) == {"rmse", "mae", "r2"}


def test_a_scale_beyond_the_path_is_refused(along):
    with pytest.raises(ConfigError, match=r"0\.0 to 1\.0"):
        AdapterPath.of(along).predictions_at(1.2, survey="twin-galaxiesml")


def test_tables_that_are_no_path_are_refused(along):
    with pytest.raises(PredictionError, match="scale"):
        AdapterPath.of(along.drop(columns="scale"))
    with pytest.raises(PredictionError, match="1 scale"):
        AdapterPath.of(along[along["scale"] == 0])
    with pytest.raises(PredictionError, match="exactly once"):
        AdapterPath.of(along.drop(index=7))
    with pytest.raises(PredictionError, match="exactly once"):
        AdapterPath.of(pd.concat([along, along.assign(seed=1)]))
    with pytest.raises(PredictionError, match="no galaxy with truth"):
        AdapterPath.of(along, z_range=(3.0, 4.0))
