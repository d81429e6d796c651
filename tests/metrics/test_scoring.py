import numpy as np
import pandas as pd
import pytest
from astropy.stats import mad_std

from astrolab.errors import ConfigError, PredictionError, UnknownNameError
from astrolab.metrics import score, score_slices


@pytest.fixture
def predictions():
    rng = np.random.default_rng(0)
    tables = []
    for survey, n in (("near", 400), ("far", 300)):
        truth = rng.uniform(0.1, 2.0, n)
        for arm, width in (("lora", 0.02), ("full", 0.05)):
            pred = truth + (1 + truth) * rng.normal(0, width, n)
            columns = {"survey": survey, "arm": arm, "object_id": np.arange(n), "truth": truth, "pred": pred}
            tables.append(pd.DataFrame(columns | {"i_mag": 20 + truth, "simulated": survey == "far"}))
    return pd.concat(tables, ignore_index=True)


def test_scores_every_arm_and_survey_within_the_range(predictions):
    scores = score(predictions, metrics=["scatter", "bias"], n_bootstrap=50)
    assert list(scores) == ["arm", "survey", "metric", "value", "low", "high", "n", "simulated"]
    assert len(scores) == 2 * 2 * 2
    chosen = predictions.query("arm == 'lora' and survey == 'far' and truth > 0.3 and truth <= 1.5")
    row = scores.query("arm == 'lora' and survey == 'far' and metric == 'scatter'").iloc[0]
    assert row["n"] == len(chosen) and row["simulated"]
    assert row["value"] == pytest.approx(mad_std((chosen["pred"] - chosen["truth"]) / (1 + chosen["truth"])), rel=3e-6)
    assert (scores["low"] <= scores["value"]).all() and (scores["value"] <= scores["high"]).all()


def test_the_same_seed_gives_the_same_intervals_whatever_else_is_scored(predictions):
    everything = score(predictions, metrics=["bias"], n_bootstrap=30, seed=4)
    one = score(predictions.query("arm == 'full' and survey == 'near'"), metrics=["bias"], n_bootstrap=30, seed=4)
    same = everything.query("arm == 'full' and survey == 'near'").reset_index(drop=True)
    pd.testing.assert_frame_equal(one, same)
    assert score(predictions, metrics=["bias"], n_bootstrap=30, seed=5)["low"].ne(everything["low"]).any()


def test_nothing_is_pooled_unless_asked(predictions):
    assert len(score(predictions, metrics=["bias"], n_bootstrap=0)) == 4
    pooled = score(predictions, metrics=["bias"], by=(), n_bootstrap=0, z_range=None)
    assert pooled["n"].tolist() == [1400]
    assert pooled[["low", "high"]].isna().all(axis=None)


def test_a_missing_prediction_is_an_error_even_outside_the_range(predictions):
    predictions.loc[predictions["truth"].idxmax(), "pred"] = np.nan
    with pytest.raises(PredictionError, match="1 of 1,400"):
        score(predictions)


def test_unknown_metrics_are_refused(predictions):
    with pytest.raises(UnknownNameError, match="outlier_rate"):
        score(predictions, metrics=["outliers"])


def test_slices_score_the_galaxies_between_their_edges(predictions):
    slices = score_slices(predictions, column="i_mag", edges=[20, 21, 22], metrics=["bias"], n_bootstrap=0)
    row = slices.query("arm == 'lora' and survey == 'near' and slice_low == 21").iloc[0]
    chosen = predictions.query("arm == 'lora' and survey == 'near' and i_mag > 21 and i_mag <= 22 and truth <= 1.5")
    assert row["n"] == len(chosen)
    assert row["slice_median"] == pytest.approx(chosen["i_mag"].median())
    assert row["value"] == pytest.approx(((chosen["pred"] - chosen["truth"]) / (1 + chosen["truth"])).median())


def test_slices_of_the_truth_are_not_cut_by_the_range(predictions):
    edges = predictions["truth"].quantile([0, 0.5, 1]).tolist()
    slices = score_slices(predictions, column="truth", edges=edges, metrics=["bias"], n_bootstrap=0)
    assert slices.query("arm == 'lora'")["n"].sum() == 700


def test_slices_with_few_galaxies_are_left_out(predictions):
    edges = [0, 1.99, 2]
    slices = score_slices(predictions, column="truth", edges=edges, metrics=["bias"], n_bootstrap=0)
    assert set(slices["slice_low"]) == {0}
    with pytest.raises(PredictionError, match="no slice"):
        score_slices(predictions, column="truth", edges=[5, 6], metrics=["bias"])


def test_edges_must_ascend(predictions):
    with pytest.raises(ConfigError, match="edges"):
        score_slices(predictions, column="truth", edges=[1, 0])
