"""Comparisons of models with known truth, and how often their intervals hold it."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import scipy.integrate
import scipy.stats

from astrolab.errors import ConfigError, PredictionError, UnknownNameError
from astrolab.metrics import (
    Panel,
    Ratio,
    Resampling,
    Sample,
    compare_models,
    describe_comparison,
    estimate_plateau,
    find_metric,
    iterate_panels,
    measure_forgetting,
    pareto_front,
    ratio_intervals,
    resample_models,
    score,
)
from astrolab.metrics.comparing import find_plateau
from astrolab.predictions import keep_common_seeds
from astrolab.tasks import QUANTITIES, REDSHIFT, Quantity, Task

N_SURVEYS, N_UNCORRECTED = 120, 60


def _how(n, **settings):
    return Resampling(**{"n": n, "level": 0.95} | settings)


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
            columns = {"survey": "s", "arm": arm, "seed": network, "object_id": np.arange(n), "truth.z": truth}
            tables.append(pd.DataFrame(columns | {"pred.z": truth + (1 + truth) * dz}))
    return pd.concat(tables, ignore_index=True).assign(simulated=True)


def test_negative_means_that_a_is_better():
    result = compare_models(_predictions(), metrics=["scatter", "bias", "r2"], resampling=_how(200, level=0.68))
    scatter = result.set_index("metric").loc["scatter"]
    assert scatter["difference"] == pytest.approx(scatter["value_a"] - scatter["value_b"])
    assert scatter["difference"] < scatter["high"] < 0
    assert scatter["better"] == "lora" and scatter["a_better_frac"] == 1
    r2 = result.set_index("metric").loc["r2"]
    assert r2["value_a"] > r2["value_b"] and r2["difference"] < 0 and r2["better"] == "lora"


def test_bias_is_compared_by_its_size():
    predictions = _predictions(models=(("lora", -0.05, 0.01), ("full", 0.02, 0.01)))
    row = compare_models(predictions, metrics=["bias"], resampling=_how(100, level=0.68)).iloc[0]
    assert row["value_a"] < 0 and row["difference"] == pytest.approx(0.03, abs=0.005) and row["better"] == "full"


def test_pairing_sees_what_separate_intervals_cannot():
    predictions = _predictions(models=(("lora", 0, 0.050), ("full", 0, 0.052)), n=800, own=0.01)
    row = compare_models(predictions, metrics=["scatter_std"], resampling=_how(300)).iloc[0]
    assert row["better"] == "lora"
    assert row["high"] - row["low"] < 0.002  # separate intervals are each about 0.005 wide


def test_order_of_rows_does_not_matter():
    predictions = _predictions()
    shuffled = predictions.sample(frac=1, random_state=0)
    settings = {"models": ["lora", "full"], "metrics": ["scatter"], "resampling": _how(50)}
    pd.testing.assert_frame_equal(compare_models(predictions, **settings), compare_models(shuffled, **settings))


def test_the_same_model_twice_is_undecided():
    predictions = pd.concat([_predictions().query("arm == 'lora'").assign(arm=arm) for arm in ("x", "y")])
    row = compare_models(predictions, metrics=["scatter"], resampling=_how(50)).iloc[0]
    assert row["better"] == "undecided" and row["difference"] == 0 and row["p_value"] == 1


def test_two_models_without_an_outlier_are_not_called_equal():
    row = compare_models(_predictions(), metrics=["catastrophic_rate"], resampling=_how(50, level=0.68)).iloc[0]
    assert row["better"] == "undecided" and row["low"] < 0 < row["high"]


def test_every_pair_or_every_one_against_a_reference():
    models = [(name, 0.0, 0.02 + 0.01 * i) for i, name in enumerate("abcd")]
    predictions = _predictions(models=models)
    everything = compare_models(predictions, metrics=["scatter"], resampling=_how(200))
    assert list(zip(everything["a"], everything["b"], strict=True)) == list(combinations("abcd", 2))
    against = compare_models(predictions, reference="b", metrics=["scatter"], resampling=_how(200))
    assert list(zip(against["a"], against["b"], strict=True)) == [("a", "b"), ("c", "b"), ("d", "b")]
    both = everything.merge(against, on=["a", "b"], suffixes=("", "_few"))
    assert (both["high_few"] - both["low_few"] < both["high"] - both["low"]).all()
    chosen = compare_models(predictions, models=["d", "a"], metrics=["scatter"], resampling=_how(200))
    assert chosen[["a", "b", "better"]].to_numpy().tolist() == [["d", "a", "a"]]


def test_seeds_are_averaged_over_the_same_galaxies():
    predictions = _predictions(seeds=(0, 1, 2), own=0.5)
    row = compare_models(predictions, metrics=["scatter"], resampling=_how(50)).iloc[0]
    single = compare_models(predictions, metrics=["scatter"], by=["survey", "seed"], resampling=_how(50))
    assert len(single) == 3 and (single["n_seeds"] == 1).all() and single["seed_std"].isna().all()
    assert row["n_seeds"] == 3 and row["simulated"]
    assert row["difference"] == pytest.approx(single["difference"].mean())
    assert row["seed_std"] == pytest.approx(single["difference"].std())


def test_biases_of_opposite_sign_do_not_cancel():
    predictions = _predictions(models=(("x", 0.05, 0.01), ("y", 0.0, 0.01)), seeds=(0, 1))
    flip = (predictions["arm"] == "x") & (predictions["seed"] == 1)
    predictions.loc[flip, "pred.z"] = 2 * predictions["truth.z"] - predictions["pred.z"]
    row = compare_models(predictions, metrics=["bias"], resampling=_how(100)).iloc[0]
    assert abs(row["value_a"]) < 0.01 and row["difference"] > 0.04 and row["better"] == "y"


def test_the_adjusted_p_value_agrees_with_the_interval():
    predictions = _predictions(models=[(name, 0.0, 0.03 + 0.001 * i) for i, name in enumerate("abcde")], own=0.05)
    rows = compare_models(predictions, metrics=["scatter_std"], resampling=_how(1000))
    decided = rows["better"] != "undecided"
    assert 0 < decided.sum() < len(rows)
    assert (rows.loc[decided, "p_value"] <= 0.051).all() and (rows.loc[~decided, "p_value"] >= 0.049).all()
    alone = compare_models(predictions, metrics=["scatter_std"], resampling=_how(1000, correction="none"))
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
            resampling = _how(200, seed=survey, correction=correction)
            rows = compare_models(predictions, metrics=["bias", "scatter"], resampling=resampling)
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
        rows = compare_models(predictions, metrics=["bias_mean"], resampling=_how(200, seed=survey))
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
            compare_models(_biases(n_se=n_se, seed=seed), metrics=["bias_mean"], resampling=_how(1000)).iloc[0]
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
        rows = compare_models(predictions, metrics=list(true), resampling=_how(200, seed=survey))
        target = rows["metric"].map(true)
        held.append(((rows["low"] <= target) & (target <= rows["high"])).to_numpy())
    np.testing.assert_allclose(np.mean(held, axis=0), 0.95, atol=3 * np.sqrt(0.95 * 0.05 / 250))


def test_intervals_about_other_training_seeds_hold_and_those_about_the_networks_at_hand_do_not():
    held = {"fixed": 0, "sampled": 0}
    for study in range(100):
        models = (("a", 0.10, 0.05), ("b", 0.15, 0.05))
        predictions = _predictions(n=200, seed=study, models=models, seeds=(0, 1, 2, 3), bend=0.02)
        for seeds in held:
            row = compare_models(
                predictions, metrics=["bias_mean"], resampling=_how(200, seed=study, seeds=seeds)
            ).iloc[0]
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
        rows = compare_models(predictions, metrics=["bias_mean"], resampling=_how(400, seed=study, seeds="sampled"))
        true = 0.05 * (rows["a"].map("abcd".index) - rows["b"].map("abcd".index))
        held += ((rows["low"] <= true) & (true <= rows["high"])).all()
    assert held / n_studies > 0.95 - 2 * np.sqrt(0.95 * 0.05 / n_studies)


def test_where_only_the_signs_decide_the_better_model_is_undecided():
    """The same errors for both, of which one is a little nearer to zero: with the other sign it were the farther."""
    rng = np.random.default_rng(1)
    n, truth, noise = 400, rng.uniform(0.3, 1.5, 400), rng.normal(0, 0.1, 400)
    noise -= noise.mean()
    for offsets, better in (((0.004, 0.003), "undecided"), ((0.104, 0.103), "full")):
        tables = [
            pd.DataFrame(
                {"object_id": np.arange(n), "truth.z": truth, "pred.z": truth + (1 + truth) * (offset + noise)}
            )
            for offset in offsets
        ]
        predictions = pd.concat([table.assign(arm=arm) for table, arm in zip(tables, ("lora", "full"), strict=True)])
        row = compare_models(predictions, metrics=["bias_mean"], resampling=_how(500)).iloc[0]
        assert row["difference"] == pytest.approx(0.001) and row["better"] == better


def test_mistakes_are_refused():
    predictions = _predictions()
    with pytest.raises(ConfigError, match="'lora'"):
        compare_models(predictions, models=["lora"])
    with pytest.raises(UnknownNameError, match="bias"):
        compare_models(predictions, metrics=["biass"])
    with pytest.raises(PredictionError, match="lora, full"):
        compare_models(predictions, reference="combo")
    with pytest.raises(PredictionError, match="arm"):
        compare_models(predictions.drop(columns="arm"), models=["lora", "full"])


# --- ratios -----------------------------------------------------------------------------------------------------------


THREE = (("tl", 0.04, 0.06), ("lora", 0.02, 0.03), ("combo", 0.02, 0.02))


def _ratio_predictions(*, seed=0, n=300, models=THREE, own=0.5):
    return _predictions(n=n, seed=seed, models=models, own=own)


def test_a_ratio_is_of_sizes():
    predictions = _ratio_predictions(models=(("tl", -0.05, 0.01), ("lora", 0.02, 0.01)), n=1000)
    row = compare_models(predictions, metrics=["bias", "r2"], resampling=_how(200)).iloc[0]
    assert row["value_a"] < 0 < row["value_b"]
    assert row["ratio"] == pytest.approx(2.5, rel=0.1) and 2 < row["ratio_low"] < row["ratio"] < row["ratio_high"] < 3
    swapped = compare_models(predictions, models=["lora", "tl"], metrics=["bias", "r2"], resampling=_how(200))
    assert swapped["ratio"][0] == pytest.approx(1 / row["ratio"])
    ends = (1 / row["ratio_high"], 1 / row["ratio_low"])
    assert (swapped["ratio_low"][0], swapped["ratio_high"][0]) == pytest.approx(ends, rel=1e-6)
    assert swapped.loc[1, ["ratio", "ratio_low", "ratio_high"]].isna().all(), "larger is better: no zero to count from"


def _ratio_of(dz, *, n, seed=0):
    samples = [Sample(np.zeros(dz.shape[1]), one, QUANTITIES["z"]) for one in dz]
    panel = Panel({}, ("a", "b"), 1, samples, simulated=False)
    (family,) = resample_models(panel, metrics=[find_metric("bias_mean")], resampling=_how(n, seed=seed))
    return Ratio(family, "a", "b")


def test_means_have_fiellers_interval():
    rng = np.random.default_rng(1)
    dz = np.array([rng.normal(0.09, 0.2, 500), rng.normal(0.06, 0.2, 500)])
    ((low, high),) = ratio_intervals([_ratio_of(dz, n=8000)], resampling=_how(8000))
    # Fieller 1954: every c for which the mean of a - c b may be zero.
    candidates = np.linspace(0.5, 9, 1501)
    t = [scipy.stats.ttest_1samp(dz[0] - c * dz[1], 0).pvalue for c in candidates]
    inside = candidates[np.array(t) > 0.05]
    assert (low, high) == pytest.approx((inside.min(), inside.max()), rel=0.08)


def test_no_number_of_times_is_too_many_where_the_denominator_may_be_zero():
    predictions = _ratio_predictions(models=(("tl", 0.05, 0.03), ("lora", 0.0, 0.03)))
    row = compare_models(predictions, metrics=["bias"], resampling=_how(200)).iloc[0]
    assert row["ratio_high"] == np.inf and row["ratio_low"] > 1
    nothing = _ratio_predictions(models=(("tl", 0.0, 0.03), ("lora", 0.0, 0.03)))
    row = compare_models(nothing, metrics=["bias"], resampling=_how(200)).iloc[0]
    assert (row["ratio_low"], row["ratio_high"]) == (0, np.inf)


def test_two_models_without_an_outlier_have_no_ratio():
    row = compare_models(_ratio_predictions(), metrics=["catastrophic_rate"], resampling=_how(50)).iloc[0]
    assert np.isnan(row["ratio"]) and (row["ratio_low"], row["ratio_high"]) == (0, np.inf)


def test_the_same_model_twice_is_exactly_once_as_bad():
    predictions = _ratio_predictions()
    twin = pd.concat([predictions, predictions.query("arm == 'tl'").assign(arm="again")])
    row = compare_models(twin, models=["tl", "again"], metrics=["scatter"], resampling=_how(50)).iloc[0]
    assert tuple(row[["ratio_low", "ratio", "ratio_high"]]) == pytest.approx((1, 1, 1), abs=1e-6)


def test_intervals_of_a_family_of_ratios_all_hold_as_often_as_they_say():
    true = {"bias": [2, 2, 1], "scatter": [2, 3, 1.5]}
    n_surveys, held = 100, {"bias": 0, "scatter": 0}
    for survey in range(n_surveys):
        predictions = _ratio_predictions(seed=survey)
        rows = compare_models(predictions, metrics=list(true), resampling=_how(250, seed=survey))
        for metric, of_metric in rows.groupby("metric"):
            low, high = of_metric["ratio_low"], of_metric["ratio_high"]
            held[metric] += low.le(true[metric]).all() and high.ge(true[metric]).all()
    error = np.sqrt(0.95 * 0.05 / n_surveys)
    assert min(held.values()) / n_surveys > 0.95 - 3 * error
    assert held["scatter"] / n_surveys < 1


@pytest.mark.parametrize("n_se", [(-0.9, 0.9), (-2.2, 2.2), (6, -1.5)])
def test_ratios_of_biases_of_opposite_and_uncertain_sign_hold_as_often_as_they_say(n_se):
    """Errors that models share move one bias towards zero and the other away from it."""
    n_surveys, held, error = 150, 0, 0.05 / np.sqrt(300)
    models = [(name, size * error, 0.05) for name, size in zip(("tl", "lora"), n_se, strict=True)]
    for survey in range(n_surveys):
        predictions = _ratio_predictions(seed=survey, models=models, own=0.1)
        row = compare_models(predictions, metrics=["bias_mean"], resampling=_how(200)).iloc[0]
        held += row["ratio_low"] <= abs(n_se[0] / n_se[1]) <= row["ratio_high"]
    assert held / n_surveys > 0.95 - 2 * np.sqrt(0.95 * 0.05 / n_surveys)


def test_ratios_of_several_surveys_share_the_probability_of_error():
    """Independent surveys: each interval holds at the fourth root of the level (Šidák 1967)."""
    drawn = [np.random.default_rng(survey).normal([[0.06], [0.05]], 0.02, (2, 400)) for survey in range(4)]
    ratios = [_ratio_of(dz, n=20_000) for dz in drawn]
    together = ratio_intervals(ratios, resampling=_how(20_000))
    each = ratio_intervals(ratios, resampling=_how(20_000, level=0.95 ** (1 / 4), correction="none"))
    np.testing.assert_allclose(together, each, rtol=2e-3)
    assert (together[:, 1] > ratio_intervals(ratios, resampling=_how(20_000, correction="none"))[:, 1]).all()


# --- the same objects -------------------------------------------------------------------------------------------------


def _panel_predictions(*, arms=("lora", "full"), seeds=(0, 1), surveys=("near", "far"), n=30):
    rng = np.random.default_rng(0)
    tables = []
    for survey in surveys:
        truth = rng.uniform(0.1, 2.0, n)
        for arm in arms:
            for seed in seeds:
                columns = {"survey": survey, "arm": arm, "seed": seed, "object_id": 100 + np.arange(n)}
                tables.append(pd.DataFrame(columns | {"truth.z": truth, "pred.z": truth + rng.normal(0, 0.1, n)}))
    return pd.concat(tables, ignore_index=True).assign(simulated=True)


PANELS = {"models": ("lora", "full"), "task": REDSHIFT.with_scored(z=None)}


def test_a_panel_holds_every_model_and_seed_with_objects_in_the_order_of_their_ids():
    predictions = _panel_predictions()
    panels = list(iterate_panels(predictions.sample(frac=1, random_state=0), **PANELS))
    assert {panel.key["survey"] for panel in panels} == {"near", "far"}
    panel = next(panel for panel in panels if panel.key == {"survey": "far", "label": "z"})
    assert (panel.models, panel.n_seeds, len(panel), panel.simulated) == (("lora", "full"), 2, 30, True)
    expected = predictions.query("survey == 'far' and arm == 'full' and seed == 1")
    np.testing.assert_array_equal(panel.samples[3].pred, expected["pred.z"])


def test_only_objects_in_the_range_that_is_scored():
    predictions = _panel_predictions(surveys=("near",))
    (panel,) = iterate_panels(predictions, models=("lora", "full"))
    of_one = predictions.query("arm == 'lora' and seed == 0")
    assert len(panel) == of_one["truth.z"].between(0.3, 1.5, inclusive="right").sum() < 30


def test_a_seed_among_the_groups_makes_a_panel_of_its_own():
    panels = list(iterate_panels(_panel_predictions(), by=["survey", "seed"], **PANELS))
    assert len(panels) == 4 and all(panel.n_seeds == 1 for panel in panels)


def test_each_label_has_a_panel_of_the_objects_whose_truth_is_known():
    predictions = _panel_predictions(surveys=("near",))
    predictions["pred.a"], predictions["pred.b"] = predictions["pred.z"], 0.0
    predictions["truth.a"] = predictions["truth.z"].where(predictions["object_id"] < 110)
    predictions["truth.b"] = np.nan
    task = Task("three", (QUANTITIES["z"], Quantity("a"), Quantity("b")))
    sizes = {
        panel.key["label"]: len(panel) for panel in iterate_panels(predictions, models=("lora", "full"), task=task)
    }
    assert sizes == {"z": sizes["z"], "a": 10}
    rows = compare_models(predictions, metrics=["rmse"], task=task, resampling=_how(20))
    assert rows["label"].tolist() == ["z", "a"] and rows["n"].tolist() == list(sizes.values())


def test_models_that_were_not_applied_to_the_same_objects_are_refused():
    predictions = _panel_predictions()
    with pytest.raises(PredictionError, match="same objects"):
        list(iterate_panels(predictions.drop(index=0), **PANELS))
    with pytest.raises(PredictionError, match="1 rows that repeat"):
        list(iterate_panels(pd.concat([predictions, predictions.head(1)]), **PANELS))
    with pytest.raises(PredictionError, match="not one for each"):
        list(iterate_panels(pd.concat([predictions, predictions.head(1).assign(run="again")]), **PANELS))
    with pytest.raises(PredictionError, match="lora, full"):
        list(iterate_panels(predictions, **PANELS | {"models": ("lora", "combo")}))
    with pytest.raises(PredictionError, match="only some of them"):
        extra = predictions.query("arm == 'lora' and survey == 'near'").assign(survey="other")
        list(iterate_panels(pd.concat([predictions, extra]), **PANELS))


def test_other_truths_for_the_same_objects_are_refused():
    predictions = _panel_predictions()
    predictions.loc[predictions["arm"] == "full", "truth.z"] += 1e-3
    with pytest.raises(PredictionError, match="other true values"):
        list(iterate_panels(predictions, **PANELS))


def test_different_seeds_are_refused_and_the_common_ones_can_be_kept():
    predictions = _panel_predictions(seeds=(0, 1, 2)).query("not (arm == 'full' and seed == 1)")
    with pytest.raises(PredictionError, match=r"full: \[0, 2\]"):
        list(iterate_panels(predictions, **PANELS))
    assert {panel.n_seeds for panel in iterate_panels(keep_common_seeds(predictions), **PANELS)} == {2}


# --- gains and losses -------------------------------------------------------------------------------------------------


WIDTHS = {"new": {"zero_shot": 0.1, "lora": 0.04, "full": 0.03}, "old": {"zero_shot": 0.05, "lora": 0.06, "full": 0.1}}


def _moved(*, n=300, noise=0.0, seeds=(0,)):
    rng = np.random.default_rng(0)
    tables = []
    for survey, widths in WIDTHS.items():
        truth, shape = rng.uniform(0.3, 1.5, n), rng.normal(size=n)
        for arm, width in widths.items():
            for seed in seeds:
                dz = width * (shape + noise * rng.normal(size=n))
                columns = {"object_id": np.arange(n), "truth.z": truth, "pred.z": truth + (1 + truth) * dz}
                tables.append(pd.DataFrame(columns).assign(survey=survey, arm=arm, seed=seed, simulated=True))
    return pd.concat(tables, ignore_index=True)


def _forgetting(predictions, **settings):
    default = {"pretrain": "old", "finetune": "new", "metrics": ["scatter"]}
    return measure_forgetting(predictions, **default | settings).set_index("arm")


def test_gain_and_forgetting_are_differences_to_the_model_that_was_not_moved():
    predictions = _moved()
    table = _forgetting(predictions, resampling=Resampling(n=100))
    scatter = score(predictions, metrics=["scatter"], resampling=Resampling(n=0)).set_index(["survey", "arm"])["value"]
    for arm in ("lora", "full"):
        row = table.loc[arm]
        assert row["gain"] == pytest.approx(scatter["new", "zero_shot"] - scatter["new", arm])
        assert row["forgetting"] == pytest.approx(scatter["old", arm] - scatter["old", "zero_shot"])
        assert row["on_finetune"] == pytest.approx(scatter["new", arm])
        assert 0 < row["gain_low"] < row["gain"] < row["gain_high"]
        assert row["on_pretrain"] == pytest.approx(scatter["old", arm])
        assert row["on_pretrain_low"] < row["on_pretrain"] < row["on_pretrain_high"]
    base = table.loc["zero_shot"]
    assert table.index[0] == "zero_shot" and (base["gain"], base["forgetting"]) == (0, 0)
    assert (base["forgetting_low"], base["forgetting_high"]) == (0, 0)


def test_the_intervals_are_paired():
    """Errors of one shape: a difference is a fixed share of the reference's scatter, in every resample."""
    row = _forgetting(_moved()).loc["full"]
    share = (row["forgetting_high"] - row["forgetting_low"]) / row["forgetting"]
    alone = score(_moved().query("arm == 'zero_shot' and survey == 'old'"), metrics=["scatter"]).iloc[0]
    assert share == pytest.approx((alone["high"] - alone["low"]) / alone["value"], rel=0.15)


def test_seeds_are_averaged_and_their_spread_widens_the_intervals():
    predictions = _moved(noise=0.5, seeds=(0, 1, 2))
    fixed, sampled = (
        _forgetting(predictions, resampling=Resampling(n=300, seeds=how)).loc["lora"] for how in ("fixed", "auto")
    )
    assert sampled["n_seeds"] == 3 and sampled["gain"] == fixed["gain"]
    assert sampled["gain_high"] - sampled["gain_low"] > fixed["gain_high"] - fixed["gain_low"]


def test_where_larger_is_better_a_gain_is_still_positive():
    row = _forgetting(_moved(), metrics=["r2"], resampling=Resampling(n=20))
    assert row.loc["full", "gain"] > 0 and row.loc["full", "forgetting"] > 0


def test_an_arm_of_little_scatter_has_forgotten_where_its_bias_is_large():
    """0.1 of bias on the old survey, as seen on real catalogues: its centred scatter alone would call it the best."""
    predictions = _moved()
    is_moved = (predictions["arm"] == "full") & (predictions["survey"] == "old")
    residual = (predictions["pred.z"] - predictions["truth.z"]) / (1 + predictions["truth.z"])
    biased = predictions["truth.z"] + (1 + predictions["truth.z"]) * (0.1 + 0.1 * residual)
    predictions["pred.z"] = predictions["pred.z"].mask(is_moved, biased)
    table = measure_forgetting(predictions, pretrain="old", finetune="new", resampling=Resampling(n=100))
    full = table[table["arm"] == "full"].set_index("metric")
    assert list(full.index) == list(REDSHIFT.metrics)
    assert full.loc["scatter", "forgetting_high"] < 0 < full.loc["bias", "forgetting_low"]
    assert full.loc["bias", "on_pretrain"] == pytest.approx(0.1, abs=0.01)


def test_biases_of_uncertain_sign_may_be_of_opposite_sign():
    """Errors that models share then move one towards zero and the other away from it: by two errors of one of them."""
    rng = np.random.default_rng(1)
    n, truth, noise = 400, rng.uniform(0.3, 1.5, 400), rng.normal(0, 0.1, 400)
    noise -= noise.mean()
    columns = {"object_id": np.arange(n), "truth.z": truth, "seed": 0, "simulated": True}
    predictions = pd.concat(
        pd.DataFrame(columns | {"pred.z": truth + (1 + truth) * (offset + noise)}).assign(survey=survey, arm=arm)
        for survey in ("new", "old")
        for arm, offset in (("zero_shot", 0.004), ("lora", 0.003))
    )
    settings = {"pretrain": "old", "finetune": "new", "metrics": ["bias_mean"], "resampling": _how(1000)}
    row = measure_forgetting(predictions, **settings).set_index("arm").loc["lora"]
    assert row["gain"] == pytest.approx(0.001)
    assert row["gain_high"] - row["gain_low"] == pytest.approx(2 * 1.96 * 2 * 0.1 / np.sqrt(n), rel=0.1)


def test_surveys_and_references_that_are_not_there_are_named():
    with pytest.raises(PredictionError, match="no predictions for older"):
        measure_forgetting(_moved(), pretrain="older", finetune="new")
    only_old = _moved().query("survey == 'old'").assign(split="more")
    with pytest.raises(PredictionError, match="on one of the two only"):
        measure_forgetting(pd.concat([_moved().assign(split="test"), only_old]), pretrain="old", finetune="new")
    with pytest.raises(PredictionError, match="base"):
        measure_forgetting(_moved(), pretrain="old", finetune="new", reference="base")


# --- plateaus ---------------------------------------------------------------------------------------------------------


FRACTIONS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)


def _curve(width, *, fractions=FRACTIONS, n=300, noise=0.0, seeds=(0,), arm="lora"):
    """Errors of one shape, `width(fraction)` wide: the scatter follows the width, whatever the galaxies."""
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.3, 1.5, n)
    shape = rng.normal(size=n)
    tables = []
    for fraction in fractions:
        for seed in seeds:
            dz = width(fraction) * (shape + noise * rng.normal(size=n))
            columns = {"object_id": np.arange(n), "truth.z": truth, "pred.z": truth + (1 + truth) * dz}
            tables.append(pd.DataFrame(columns).assign(fraction=fraction, seed=seed))
    return pd.concat(tables, ignore_index=True).assign(arm=arm, survey="s", simulated=True)


def ramp(fraction):
    """Falls in a straight line to half its width at 0.5, and stays there."""
    return 0.1 - 0.1 * min(fraction, 0.5)


def saturating(fraction):
    return 0.02 + 0.08 * np.exp(-fraction / 0.2)


def test_a_ramp_flattens_where_nine_tenths_of_it_are_done():
    row = estimate_plateau(_curve(ramp), resampling=Resampling(n=100)).iloc[0]
    assert row["plateau"] == pytest.approx(0.45) and row["straight"] == pytest.approx(0.9)
    assert (row["low"], row["high"]) == (pytest.approx(0.45), pytest.approx(0.45))  # in every resample: it is paired
    assert row["gains_frac"] == 1 and row["gain_low"] <= row["gain"] <= row["gain_high"]
    assert row["n"] == 300 and row["n_seeds"] == 1 and row["simulated"]
    later = estimate_plateau(_curve(ramp), tolerance=0.02, resampling=Resampling(n=10)).iloc[0]
    assert later["plateau"] == pytest.approx(0.49)


def test_an_exponential_flattens_where_its_formula_says():
    fractions = tuple(np.linspace(0, 1, 41))
    row = estimate_plateau(_curve(saturating, fractions=fractions, n=60), resampling=Resampling(n=20)).iloc[0]
    expected = -0.2 * np.log(1 - 0.9 * (1 - np.exp(-5)))
    assert row["plateau"] == pytest.approx(expected, abs=1e-3)  # what linear interpolation leaves


def test_the_interval_holds_the_truth_and_shrinks_with_more_galaxies():
    few, many = (
        estimate_plateau(_curve(ramp, n=n, noise=0.4, seeds=(0, 1, 2)), resampling=Resampling(seeds="fixed")).iloc[0]
        for n in (150, 2400)
    )
    assert 0 < many["high"] - many["low"] < 0.6 * (few["high"] - few["low"])
    assert many["low"] - 0.1 < 0.45 < many["high"] + 0.1
    assert many["n_seeds"] == 3


def test_networks_of_other_seeds_may_flatten_elsewhere():
    predictions = _curve(ramp, noise=0.4, seeds=(0, 1, 2))
    at_hand, sampled = (
        estimate_plateau(predictions, resampling=Resampling(seeds=how)).iloc[0] for how in ("fixed", "auto")
    )
    assert sampled["gain_high"] - sampled["gain_low"] > at_hand["gain_high"] - at_hand["gain_low"]


def test_a_curve_without_gain_says_so():
    worse = estimate_plateau(_curve(lambda fraction: 0.05 + 0.02 * fraction), resampling=Resampling(n=50)).iloc[0]
    assert np.isnan(worse["plateau"]) and np.isnan(worse["low"]) and worse["gains_frac"] == 0 and worse["gain"] < 0
    flat = estimate_plateau(_curve(lambda fraction: 0.05, noise=0.5), resampling=Resampling(n=200)).iloc[0]
    assert 0.02 < flat["gains_frac"] < 0.98


def test_what_falls_back_has_not_flattened():
    curves = np.array([[1.0, 1.0], [0.05, 0.5], [0.6, 0.5], [0.0, 1.2]])
    places = np.array([0.0, 0.2, 0.6, 1.0])
    reached = find_plateau(curves, places=places, tolerance=0.1)
    assert reached[0] == pytest.approx(0.6 + 0.4 * (0.6 - 0.1) / 0.6) and np.isnan(reached[1])


def test_each_arm_has_its_own_curve_and_fractions():
    arms = [
        _curve(ramp),
        _curve(ramp, arm="scratch", fractions=[f for f in FRACTIONS if f]),
    ]
    table = estimate_plateau(pd.concat(arms), resampling=Resampling(n=10)).set_index("arm")
    assert table["plateau"].to_dict() == {"lora": pytest.approx(0.45), "scratch": pytest.approx(0.46)}


def test_a_larger_score_may_be_the_better_one():
    row = estimate_plateau(_curve(ramp), metric="r2", resampling=Resampling(n=20)).iloc[0]
    assert row["gain"] > 0 and 0 < row["plateau"] < 0.5


def test_too_few_fractions_and_bad_tolerances_are_refused():
    with pytest.raises(PredictionError, match="three fractions"):
        estimate_plateau(_curve(ramp, fractions=(0.0, 1.0)))
    with pytest.raises(ConfigError, match=r"tolerance=1\.0"):
        estimate_plateau(_curve(ramp), tolerance=1.0)


def test_a_comparison_is_said_in_a_sentence():
    row = {
        "survey": "mine",
        "label": "z",
        "metric": "scatter",
        "a": "lora",
        "b": "tl",
        "value_a": 0.03,
        "value_b": 0.04,
    }
    row |= {"difference": -0.01, "low": -0.012, "high": -0.008, "better": "lora", "n": 500, "n_seeds": 3, "level": 0.95}
    (sentence,) = describe_comparison(pd.DataFrame([row]))
    assert sentence == (
        "mine: lora is better than tl: scatter 0.0300 against 0.0400, "
        "difference −0.0100 (−0.0120 to −0.0080, 95 %), n = 500, 3 seeds."
    )
    of_two = describe_comparison(pd.DataFrame([row, row | {"label": "feh", "better": ""}]))
    assert of_two[0].startswith("mine, z: lora is better") and of_two[1].startswith("mine, feh: undecided")


# --- fronts -----------------------------------------------------------------------------------------------------------


def test_on_a_quarter_circle_all_are_on_the_front_and_nothing_outside_is():
    angles = np.linspace(0, np.pi / 2, 9)
    circle = 1 - np.stack([np.cos(angles), np.sin(angles)], axis=1)
    outside = circle + 0.2
    table = pd.DataFrame(np.concatenate([circle, outside]), columns=["a", "b"], index=range(10, 28))
    front = pareto_front(table, columns=["a", "b"])
    assert front.tolist() == [True] * 9 + [False] * 9 and front.index.tolist() == list(range(10, 28))


def test_random_points_agree_with_the_definition_one_by_one():
    table = pd.DataFrame(np.random.default_rng(0).integers(0, 6, size=(60, 3)), columns=["a", "b", "c"])
    rows = table.to_numpy().tolist()
    expected = [
        not any(all(q <= p for q, p in zip(other, row, strict=True)) and other != row for other in rows) for row in rows
    ]
    assert pareto_front(table, columns=["a", "b", "c"]).tolist() == expected
    assert 0 < sum(expected) < 60


def test_one_column_has_its_smallest_value_only():
    table = pd.DataFrame({"a": [2.0, 1.0, 1.0]})
    assert pareto_front(table, columns=["a"]).tolist() == [False, True, True]


def test_what_has_no_number_is_refused():
    table = pd.DataFrame({"a": [1.0, np.nan]})
    with pytest.raises(PredictionError, match="rows without a"):
        pareto_front(table, columns=["a"])
