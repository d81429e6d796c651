"""Ratios against Fieller's closed form and the delta method, and how often their intervals hold the true ratio."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from astrolab.errors import ConfigError
from astrolab.metrics import compare_ratio, find_metric
from astrolab.metrics.pairing import Panel
from astrolab.metrics.ratios import Ratio, ratio_intervals
from astrolab.metrics.resamples import resample_models


def _predictions(*, seed=0, n=300, models=(("tl", 0.04, 0.06), ("lora", 0.02, 0.03), ("combo", 0.02, 0.02)), own=0.5):
    rng = np.random.default_rng(seed)
    truth, difficulty = rng.uniform(0.3, 1.5, n), rng.normal(0, 1, n)
    tables = []
    for arm, offset, width in models:
        dz = offset + width * (np.sqrt(1 - own) * difficulty + np.sqrt(own) * rng.normal(0, 1, n))
        columns = {"survey": "s", "arm": arm, "object_id": np.arange(n), "truth": truth}
        tables.append(pd.DataFrame(columns | {"pred": truth + (1 + truth) * dz}))
    return pd.concat(tables, ignore_index=True)


def test_a_ratio_is_of_sizes():
    predictions = _predictions(models=(("tl", -0.05, 0.01), ("lora", 0.02, 0.01)), n=1000)
    row = compare_ratio(predictions, pairs=[("tl", "lora")], metrics=["bias"], n_bootstrap=200).iloc[0]
    assert row["value_a"] < 0 < row["value_b"]
    assert row["ratio"] == pytest.approx(2.5, rel=0.1) and 2 < row["low"] < row["ratio"] < row["high"] < 3
    swapped = compare_ratio(predictions, pairs=[("lora", "tl")], metrics=["bias"], n_bootstrap=200).iloc[0]
    assert swapped["ratio"] == pytest.approx(1 / row["ratio"])
    assert (swapped["low"], swapped["high"]) == pytest.approx((1 / row["high"], 1 / row["low"]), rel=1e-6)


def test_means_have_fiellers_interval():
    rng = np.random.default_rng(1)
    n = 500
    dz = np.array([rng.normal(0.09, 0.2, n), rng.normal(0.06, 0.2, n)])
    panel = Panel({}, ("a", "b"), 1, [(np.zeros(n), one) for one in dz], simulated=False)
    (family,) = resample_models(panel, metrics=[find_metric("bias_mean")], n_bootstrap=8000, seed=0)
    (low, high) = ratio_intervals([Ratio(family, "a", "b")], level=0.95)[0]
    # Fieller 1954: every c for which the mean of a - c b is not told apart from zero.
    candidates = np.linspace(0.5, 9, 1501)
    t = [scipy.stats.ttest_1samp(dz[0] - c * dz[1], 0).pvalue for c in candidates]
    inside = candidates[np.array(t) > 0.05]
    assert (low, high) == pytest.approx((inside.min(), inside.max()), rel=0.08)


def test_no_number_of_times_is_too_many_where_the_denominator_may_be_zero():
    predictions = _predictions(models=(("tl", 0.05, 0.03), ("lora", 0.0, 0.03)))
    row = compare_ratio(predictions, pairs=[("tl", "lora")], metrics=["bias"], n_bootstrap=200).iloc[0]
    assert row["high"] == np.inf and row["low"] > 1
    nothing = _predictions(models=(("tl", 0.0, 0.03), ("lora", 0.0, 0.03)))
    row = compare_ratio(nothing, pairs=[("tl", "lora")], metrics=["bias"], n_bootstrap=200).iloc[0]
    assert (row["low"], row["high"]) == (0, np.inf)


def test_two_models_without_an_outlier_have_no_ratio():
    row = compare_ratio(_predictions(), pairs=[("tl", "lora")], metrics=["catastrophic_rate"], n_bootstrap=50).iloc[0]
    assert np.isnan(row["ratio"]) and (row["low"], row["high"]) == (0, np.inf)


def test_the_same_model_twice_is_exactly_once_as_bad():
    predictions = _predictions()
    twin = pd.concat([predictions, predictions.query("arm == 'tl'").assign(arm="again")])
    row = compare_ratio(twin, pairs=[("tl", "again")], metrics=["scatter"], n_bootstrap=50).iloc[0]
    assert (row["low"], row["ratio"], row["high"]) == pytest.approx((1, 1, 1), abs=1e-6)


def test_intervals_of_a_family_of_ratios_all_hold_as_often_as_they_say():
    pairs = [("tl", "lora"), ("tl", "combo"), ("lora", "combo")]
    true = {"bias": [2, 2, 1], "scatter": [2, 3, 1.5]}
    n_surveys, held = 100, {"bias": 0, "scatter": 0}
    for survey in range(n_surveys):
        rows = compare_ratio(_predictions(seed=survey), pairs=pairs, metrics=list(true), n_bootstrap=250, seed=survey)
        for metric, of_metric in rows.groupby("metric"):
            held[metric] += of_metric["low"].le(true[metric]).all() and of_metric["high"].ge(true[metric]).all()
    error = np.sqrt(0.95 * 0.05 / n_surveys)
    assert min(held.values()) / n_surveys > 0.95 - 3 * error
    assert held["scatter"] / n_surveys < 1


@pytest.mark.parametrize("n_se", [(-0.9, 0.9), (-2.2, 2.2), (6, -1.5)])
def test_ratios_of_biases_of_opposite_and_uncertain_sign_hold_as_often_as_they_say(n_se):
    """Errors that models share move one bias towards zero and the other away from it."""
    n_surveys, held, error = 150, 0, 0.05 / np.sqrt(300)
    models = [(name, size * error, 0.05) for name, size in zip(("tl", "lora"), n_se, strict=True)]
    for survey in range(n_surveys):
        predictions = _predictions(seed=survey, models=models, own=0.1)
        row = compare_ratio(predictions, pairs=[("tl", "lora")], metrics=["bias_mean"], n_bootstrap=200).iloc[0]
        held += row["low"] <= abs(n_se[0] / n_se[1]) <= row["high"]
    assert held / n_surveys > 0.95 - 2 * np.sqrt(0.95 * 0.05 / n_surveys)


def test_ratios_of_several_surveys_share_the_probability_of_error():
    """Independent surveys: each interval holds at the fourth root of the level (Šidák 1967)."""
    ratios = []
    for survey in range(4):
        dz = np.random.default_rng(survey).normal([[0.06], [0.05]], 0.02, (2, 400))
        panel = Panel({}, ("a", "b"), 1, [(np.zeros(400), one) for one in dz], simulated=False)
        families = resample_models(panel, metrics=[find_metric("bias_mean")], n_bootstrap=20_000, seed=0)
        ratios.append(Ratio(families[0], "a", "b"))
    together = ratio_intervals(ratios, level=0.95)
    each = ratio_intervals(ratios, level=0.95 ** (1 / 4), correction="none")
    np.testing.assert_allclose(together, each, rtol=2e-3)
    assert (together[:, 1] > ratio_intervals(ratios, level=0.95, correction="none")[:, 1]).all()


def test_mistakes_are_refused():
    with pytest.raises(ConfigError, match="r2"):
        compare_ratio(_predictions(), pairs=[("tl", "lora")], metrics=["r2"])
    with pytest.raises(ConfigError, match="no pair"):
        compare_ratio(_predictions(), pairs=[])
    with pytest.raises(ConfigError, match="bonferroni"):
        compare_ratio(_predictions(), pairs=[("tl", "lora")], correction="bonferroni")
