"""Comparisons of models with known truth, and how often their intervals hold it."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import scipy.integrate
import scipy.stats

from astrolab.errors import ConfigError, PredictionError, UnknownNameError
from astrolab.metrics import compare_models, paired_difference

N_SURVEYS, N_UNCORRECTED = 120, 60


def _predictions(*, n=400, seed=0, models=(("lora", 0.0, 0.02), ("full", 0.0, 0.04)), seeds=(0,), own=0.1, bend=0.0):
    """Errors of known offset and width; the same galaxies are hard for every model."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0.3, 1.5, n)
    difficulty = rng.normal(0, 1, n)
    tables = []
    for arm, offset, width in models:
        for network in seeds:
            noise = np.sqrt(1 - own) * difficulty + np.sqrt(own) * rng.normal(0, 1, n)
            dz = offset + bend * rng.normal() + width * noise
            columns = {"survey": "s", "arm": arm, "seed": network, "object_id": np.arange(n), "truth": truth}
            tables.append(pd.DataFrame(columns | {"pred": truth + (1 + truth) * dz}))
    return pd.concat(tables, ignore_index=True).assign(simulated=True)


def test_negative_means_that_a_is_better():
    result = paired_difference(_predictions(), a="lora", b="full", metrics=["scatter", "bias", "r2"], n_bootstrap=200)
    scatter = result.set_index("metric").loc["scatter"]
    assert scatter["difference"] == pytest.approx(scatter["value_a"] - scatter["value_b"])
    assert scatter["difference"] < scatter["high"] < 0
    assert scatter["better"] == "lora" and scatter["a_better_frac"] == 1
    r2 = result.set_index("metric").loc["r2"]
    assert r2["value_a"] > r2["value_b"] and r2["difference"] < 0 and r2["better"] == "lora"


def test_bias_is_compared_by_its_size():
    predictions = _predictions(models=(("lora", -0.05, 0.01), ("full", 0.02, 0.01)))
    row = paired_difference(predictions, a="lora", b="full", metrics=["bias"], n_bootstrap=100).iloc[0]
    assert row["value_a"] < 0 and row["difference"] == pytest.approx(0.03, abs=0.005) and row["better"] == "full"


def test_pairing_sees_what_separate_intervals_cannot():
    predictions = _predictions(models=(("lora", 0, 0.050), ("full", 0, 0.052)), n=800, own=0.01)
    settings = {"metrics": ["scatter_std"], "n_bootstrap": 300, "level": 0.95}
    row = paired_difference(predictions, a="lora", b="full", **settings).iloc[0]
    assert row["better"] == "lora"
    assert row["high"] - row["low"] < 0.002  # separate intervals are each about 0.005 wide


def test_order_of_rows_does_not_matter():
    predictions = _predictions()
    shuffled = predictions.sample(frac=1, random_state=0)
    settings = {"a": "lora", "b": "full", "metrics": ["scatter"], "n_bootstrap": 50}
    pd.testing.assert_frame_equal(paired_difference(predictions, **settings), paired_difference(shuffled, **settings))


def test_the_same_model_twice_is_undecided():
    predictions = pd.concat([_predictions().query("arm == 'lora'").assign(arm=arm) for arm in ("x", "y")])
    row = paired_difference(predictions, a="x", b="y", metrics=["scatter"], n_bootstrap=50).iloc[0]
    assert row["better"] == "undecided" and row["difference"] == 0 and row["p_value"] == 1


def test_two_models_without_an_outlier_are_not_called_equal():
    row = paired_difference(_predictions(), a="lora", b="full", metrics=["catastrophic_rate"], n_bootstrap=50).iloc[0]
    assert row["better"] == "undecided" and row["low"] < 0 < row["high"]


def test_every_pair_or_every_one_against_a_reference():
    models = [(name, 0.0, 0.02 + 0.01 * i) for i, name in enumerate("abcd")]
    predictions = _predictions(models=models)
    everything = compare_models(predictions, metrics=["scatter"], n_bootstrap=200)
    assert list(zip(everything["a"], everything["b"], strict=True)) == list(combinations("abcd", 2))
    against = compare_models(predictions, reference="b", metrics=["scatter"], n_bootstrap=200)
    assert list(zip(against["a"], against["b"], strict=True)) == [("a", "b"), ("c", "b"), ("d", "b")]
    both = everything.merge(against, on=["a", "b"], suffixes=("", "_few"))
    assert (both["high_few"] - both["low_few"] < both["high"] - both["low"]).all()
    chosen = compare_models(predictions, models=["d", "a"], metrics=["scatter"], n_bootstrap=200)
    assert chosen[["a", "b", "better"]].to_numpy().tolist() == [["d", "a", "a"]]


def test_seeds_are_averaged_over_the_same_galaxies():
    predictions = _predictions(seeds=(0, 1, 2), own=0.5)
    row = compare_models(predictions, metrics=["scatter"], n_bootstrap=50).iloc[0]
    single = paired_difference(predictions, a="lora", b="full", metrics=["scatter"], n_bootstrap=50)
    assert len(single) == 3 and (single["n_seeds"] == 1).all() and single["seed_std"].isna().all()
    assert row["n_seeds"] == 3 and row["simulated"]
    assert row["difference"] == pytest.approx(single["difference"].mean())
    assert row["seed_std"] == pytest.approx(single["difference"].std())


def test_biases_of_opposite_sign_do_not_cancel():
    predictions = _predictions(models=(("x", 0.05, 0.01), ("y", 0.0, 0.01)), seeds=(0, 1))
    flip = (predictions["arm"] == "x") & (predictions["seed"] == 1)
    predictions.loc[flip, "pred"] = 2 * predictions["truth"] - predictions["pred"]
    row = compare_models(predictions, metrics=["bias"], n_bootstrap=100).iloc[0]
    assert abs(row["value_a"]) < 0.01 and row["difference"] > 0.04 and row["better"] == "y"


def test_the_adjusted_p_value_agrees_with_the_interval():
    predictions = _predictions(models=[(name, 0.0, 0.03 + 0.001 * i) for i, name in enumerate("abcde")], own=0.05)
    rows = compare_models(predictions, metrics=["scatter_std"], n_bootstrap=1000, level=0.95)
    decided = rows["better"] != "undecided"
    assert 0 < decided.sum() < len(rows)
    assert (rows.loc[decided, "p_value"] <= 0.051).all() and (rows.loc[~decided, "p_value"] >= 0.049).all()
    alone = compare_models(predictions, metrics=["scatter_std"], n_bootstrap=1000, correction="none")
    assert (alone["p_value"] <= rows["p_value"]).all()


def _mean_loss(width):
    """Expected loss of Gaussian errors, by quadrature."""
    density = scipy.stats.norm(scale=width).pdf
    return scipy.integrate.quad(lambda dz: (1 - 1 / (1 + (dz / 0.15) ** 2)) * density(dz), -10 * width, 10 * width)[0]


@pytest.fixture(scope="module")
def coverage():
    """How often all intervals of 15 pairs hold the true differences at once, at 95 %, by metric and correction."""
    models = [(name, 0.03 + 0.002 * i, 0.05) for i, name in enumerate("abcdef")]
    offsets = {name: offset for name, offset, _ in models}
    held = {}
    for survey in range(N_SURVEYS):
        predictions = _predictions(n=150, seed=survey, models=models, own=0.4)
        for correction in ("max_t", "none") if survey < N_UNCORRECTED else ("max_t",):
            settings = {"metrics": ["bias", "scatter"], "n_bootstrap": 200, "correction": correction}
            rows = compare_models(predictions, seed=survey, **settings)
            true = np.where(rows["metric"] == "bias", rows["a"].map(offsets) - rows["b"].map(offsets), 0.0)
            holds = (rows["low"] <= true) & (true <= rows["high"])
            for metric, together in holds.groupby(rows["metric"]).all().items():
                held.setdefault((metric, correction), []).append(together)
    return {key: np.mean(values) for key, values in held.items()}


@pytest.mark.parametrize("metric", ["bias", "scatter"])
def test_simultaneous_intervals_all_hold_as_often_as_they_say(coverage, metric):
    assert coverage[metric, "max_t"] > 0.95 - 3 * np.sqrt(0.95 * 0.05 / N_SURVEYS)
    assert coverage[metric, "none"] < 0.95 - 5 * np.sqrt(0.95 * 0.05 / N_UNCORRECTED)


def _biases(*, n_se, seed=0, own=0.1, n=200, seeds=(0,)):
    """Models of these biases, in standard errors of a mean; the same galaxies are hard for all."""
    models = [(name, size * 0.05 / np.sqrt(n), 0.05) for name, size in zip("abcd", n_se, strict=False)]
    return _predictions(n=n, seed=seed, models=models, own=own, seeds=seeds)


@pytest.mark.parametrize(
    ("n_se", "seeds"), [((-0.75, 0.75), (0,)), ((-0.7, 0.7, -1.2, 8), (0,)), ((-0.75, 0.75), (0, 1))]
)
def test_biases_of_opposite_and_uncertain_sign_are_not_told_apart_too_often(n_se, seeds):
    """Errors that models share move one bias towards zero and the other away from it."""
    n_surveys, held, size = 120, 0, dict(zip("abcd", np.abs(n_se) * 0.05 / np.sqrt(200), strict=False))
    for survey in range(n_surveys):
        predictions = _biases(n_se=n_se, seed=survey, seeds=seeds)
        rows = compare_models(predictions, metrics=["bias_mean"], n_bootstrap=200, seed=survey)
        true = rows["a"].map(size) - rows["b"].map(size)
        held += ((rows["low"] <= true) & (true <= rows["high"])).all()
    assert held / n_surveys > 0.95 - 2 * np.sqrt(0.95 * 0.05 / n_surveys)


def test_biases_of_certain_sign_have_the_interval_of_a_paired_mean_and_others_that_of_the_worse_sign():
    normal = scipy.stats.norm.ppf(0.975)
    error = 0.05 / np.sqrt(200)
    for n_se, reach in (
        ((9, 12), normal * np.sqrt(2 * 0.1)),
        ((-9, 12), normal * np.sqrt(2 * 1.9)),
        ((0, 12), normal * np.sqrt(2 * 1.9)),
    ):
        rows = [
            compare_models(_biases(n_se=n_se, seed=seed), metrics=["bias_mean"], n_bootstrap=1000).iloc[0]
            for seed in range(4)
        ]
        widths = [row["high"] - row["low"] for row in rows]
        assert np.mean(widths) == pytest.approx(2 * reach * error, rel=0.1), n_se


def test_intervals_of_a_mean_and_of_a_fraction_hold_as_often_as_they_say():
    models = (("a", 0.0, 0.20), ("b", 0.0, 0.26))
    true = {"loss": _mean_loss(0.20) - _mean_loss(0.26)}
    beyond = {width: 2 * scipy.stats.norm.sf(0.15 / width) for width in (0.20, 0.26)}
    true["outlier_rate"] = beyond[0.20] - beyond[0.26]
    held = []
    for survey in range(250):
        predictions = _predictions(n=200, seed=survey, models=models, own=0.5)
        rows = compare_models(predictions, metrics=list(true), n_bootstrap=200, seed=survey)
        target = rows["metric"].map(true)
        held.append(((rows["low"] <= target) & (target <= rows["high"])).to_numpy())
    np.testing.assert_allclose(np.mean(held, axis=0), 0.95, atol=3 * np.sqrt(0.95 * 0.05 / 250))


def test_intervals_about_other_training_seeds_hold_and_those_about_the_networks_at_hand_do_not():
    held = {"fixed": 0, "sampled": 0}
    for study in range(100):
        models = (("a", 0.10, 0.05), ("b", 0.15, 0.05))
        predictions = _predictions(n=200, seed=study, models=models, seeds=(0, 1, 2, 3), bend=0.02)
        for seeds in held:
            row = compare_models(predictions, metrics=["bias_mean"], n_bootstrap=200, seed=study, seeds=seeds).iloc[0]
            held[seeds] += row["low"] <= -0.05 <= row["high"]
    error = np.sqrt(0.95 * 0.05 / 100)
    assert held["sampled"] / 100 > 0.95 - 3 * error
    assert held["fixed"] / 100 < 0.95 - 5 * error


def test_intervals_of_a_family_about_other_training_seeds_hold_together():
    """Of three seeds one cannot see how six pairs hang together: by their covariance, 18 % of families failed."""
    n_studies, held = 120, 0
    models = [(name, 0.10 + 0.05 * i, 0.02) for i, name in enumerate("abcd")]
    for study in range(n_studies):
        predictions = _predictions(n=100, seed=study, models=models, seeds=(0, 1, 2), bend=0.02)
        rows = compare_models(predictions, metrics=["bias_mean"], n_bootstrap=400, seed=study, seeds="sampled")
        true = 0.05 * (rows["a"].map("abcd".index) - rows["b"].map("abcd".index))
        held += ((rows["low"] <= true) & (true <= rows["high"])).all()
    assert held / n_studies > 0.95 - 2 * np.sqrt(0.95 * 0.05 / n_studies)


def test_mistakes_are_refused():
    predictions = _predictions()
    with pytest.raises(ConfigError, match="'lora'"):
        compare_models(predictions, models=["lora"])
    with pytest.raises(ConfigError, match="max_t"):
        compare_models(predictions, correction="bonferroni")
    with pytest.raises(UnknownNameError, match="bias"):
        compare_models(predictions, metrics=["biass"])
    with pytest.raises(PredictionError, match="lora, full"):
        compare_models(predictions, reference="combo")
    with pytest.raises(PredictionError, match="arm"):
        compare_models(predictions.drop(columns="arm"), models=["lora", "full"])
