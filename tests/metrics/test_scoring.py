"""Scores of wide predictions tables, with labels that are unknown, several labels at once, and as tables to read."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from astropy.stats import mad_std

from astrolab.errors import AstrolabWarning, ConfigError, PredictionError, UnknownNameError
from astrolab.metrics import (
    Resampling,
    describe_spread,
    format_scores,
    is_best,
    score,
    score_slices,
    summarise_seeds,
    tabulate_scores,
)
from astrolab.metrics.scoring import choose_quantities, iterate_groups
from astrolab.predictions import task_of
from astrolab.tasks import REDSHIFT, Quantity, Task, find_quantity, make_task

NONE, FEW = Resampling(n=0), Resampling(n=50)


@pytest.fixture
def predictions():
    rng = np.random.default_rng(0)
    tables = []
    for survey, n in (("near", 400), ("far", 300)):
        truth = rng.uniform(0.1, 2.0, n)
        for arm, width in (("lora", 0.02), ("full", 0.05)):
            pred = truth + (1 + truth) * rng.normal(0, width, n)
            columns = {"survey": survey, "arm": arm, "object_id": np.arange(n), "truth.z": truth, "pred.z": pred}
            tables.append(pd.DataFrame(columns | {"i_mag": 20 + truth, "simulated": survey == "far"}))
    return pd.concat(tables, ignore_index=True)


def test_scores_every_arm_and_survey_within_the_range(predictions):
    scores = score(predictions, metrics=["scatter", "bias"], resampling=FEW)
    assert list(scores) == ["arm", "survey", "label", "metric", "value", "low", "high", "n", "simulated"]
    assert len(scores) == 2 * 2 * 2
    chosen = predictions.query("arm == 'lora' and survey == 'far' and `truth.z` > 0.3 and `truth.z` <= 1.5")
    row = scores.query("arm == 'lora' and survey == 'far' and metric == 'scatter'").iloc[0]
    assert row["n"] == len(chosen) and row["simulated"] and row["label"] == "z"
    dz = (chosen["pred.z"] - chosen["truth.z"]) / (1 + chosen["truth.z"])
    assert row["value"] == pytest.approx(mad_std(dz), rel=3e-6)
    assert (scores["low"] <= scores["value"]).all() and (scores["value"] <= scores["high"]).all()


def test_metrics_and_range_are_those_of_the_task(predictions):
    assert tuple(score(predictions, by=["survey", "arm"], resampling=NONE)["metric"].unique()) == REDSHIFT.metrics
    nearby = score(predictions, metrics=["bias"], task=REDSHIFT.with_scored(z=(0.1, 0.3)), resampling=NONE)
    within = predictions["truth.z"].gt(0.1) & predictions["truth.z"].le(0.3)
    assert nearby["n"].sum() == within.sum()
    everything = score(predictions, metrics=["bias"], task=REDSHIFT.with_scored(z=None), resampling=NONE)
    assert everything["n"].sum() == len(predictions)


@pytest.mark.parametrize(("label", "low", "high"), [("feh", -3, 0.5), ("smooth-or-featured_smooth", 0, 1)])
def test_labels_that_are_no_redshifts_are_scored_whole(label, low, high):
    truth = np.random.default_rng(0).uniform(low, high, 2000)
    table = pd.DataFrame({"arm": "lora", "object_id": range(2000), f"truth.{label}": truth, f"pred.{label}": truth})
    assert set(score(table, resampling=NONE)["n"]) == {2000}


def test_the_same_seed_gives_the_same_intervals_whatever_else_is_scored(predictions):
    settings = {"metrics": ["bias"], "resampling": Resampling(n=30, seed=4)}
    everything = score(predictions, **settings)
    one = score(predictions.query("arm == 'full' and survey == 'near'"), **settings)
    same = everything.query("arm == 'full' and survey == 'near'").reset_index(drop=True)
    pd.testing.assert_frame_equal(one, same)
    other = score(predictions, metrics=["bias"], resampling=Resampling(n=30, seed=5))
    assert other["low"].ne(everything["low"]).any()


def test_nothing_is_pooled_unless_asked(predictions):
    table = predictions.assign(fraction=np.where(predictions["object_id"] % 2, 0.1, 1.0), split="test", strategy="x")
    assert len(score(table, metrics=["bias"], resampling=NONE)) == 8
    whole = REDSHIFT.with_scored(z=None)
    pooled = score(predictions, metrics=["bias"], by=(), task=whole, resampling=NONE)
    assert pooled["n"].tolist() == [700], "objects, not rows"
    assert pooled[["low", "high"]].isna().all(axis=None)


def test_arms_pooled_on_purpose_are_not_independent_objects(predictions):
    """The same predictions twice: twice the rows, the same interval."""
    one = predictions.query("arm == 'full' and survey == 'near'")
    twice = pd.concat([one, one.assign(arm="again")])
    for metric in ("bias_mean", "outlier_rate"):
        alone, together = (
            score(table, metrics=[metric], by=(), resampling=Resampling(n=4000, level=0.95)).iloc[0]
            for table in (one, twice)
        )
        assert together["n"] == alone["n"]
        assert together["high"] - together["low"] == pytest.approx(alone["high"] - alone["low"], rel=0.08)


def test_a_missing_prediction_is_an_error_even_outside_the_range_and_an_unknown_truth_is_none(predictions):
    wrong = predictions.assign(**{"pred.z": predictions["pred.z"].where(predictions["truth.z"].lt(1.99))})
    with pytest.raises(PredictionError, match=r"of 1,400 rows where pred\.z"):
        score(wrong)
    infinite = predictions.replace({"truth.z": {predictions["truth.z"][0]: np.inf}})
    with pytest.raises(PredictionError, match=r"2 of 1,400 rows where truth\.z"):
        score(infinite)
    unknown = predictions.assign(**{"truth.z": predictions["truth.z"].where(predictions["object_id"] >= 100)})
    left = unknown.dropna(subset="truth.z")
    settings = {"metrics": ["scatter"], "resampling": FEW}
    pd.testing.assert_frame_equal(score(unknown, **settings), score(left, **settings))


def test_what_cannot_be_scored_is_refused(predictions):
    with pytest.raises(UnknownNameError, match="outlier_rate"):
        score(predictions, metrics=["outliers"])
    with pytest.raises(PredictionError, match=r"without truth\.feh"):
        score(predictions, labels=["feh"])
    with pytest.raises(PredictionError, match="without seed"):
        score(predictions, by=["seed"])
    with pytest.raises(PredictionError, match="survey=near"):
        score(predictions, task=REDSHIFT.with_scored(z=(2.1, 2.2)))
    with pytest.raises(ConfigError, match="median"):
        score(predictions, across="median")


def test_a_row_that_is_there_twice_is_refused(predictions):
    with pytest.raises(PredictionError, match="3 rows that repeat"):
        score(pd.concat([predictions, predictions.head(3)]))
    again = predictions.assign(arm=predictions["arm"] + "-again")
    assert len(score(pd.concat([predictions, again]), metrics=["bias"], resampling=NONE)) == 8


def test_arms_scored_on_different_objects_are_named(predictions):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        score(predictions, metrics=["bias"], resampling=NONE)
        score_slices(predictions, column="truth", edges=[0, 1, 2], metrics=["bias"], resampling=NONE)
    fewer = predictions[
        predictions["survey"].eq("near") & (predictions["arm"].eq("lora") | predictions.index.isin(range(400, 700)))
    ]
    with pytest.warns(AstrolabWarning, match=r"different objects of near z: lora \d+, full \d+"):
        scores = score(fewer, metrics=["bias"], resampling=NONE)
    assert tabulate_scores(scores)["n"].tolist() == scores["n"].tolist()
    others = predictions.assign(
        object_id=predictions["object_id"].where(predictions["arm"] == "lora", 5000 - predictions["object_id"])
    )
    with pytest.warns(AstrolabWarning, match="different objects"):
        score(others, metrics=["bias"], resampling=NONE)


def test_groups_come_in_the_order_of_the_table():
    table = pd.DataFrame({"arm": ["lora", "full"] * 3, "fraction": [0.1, 0.1, 1, 1, 1, 1]})
    groups = list(iterate_groups(table, by=["arm", "fraction"]))
    assert [tuple(key.values()) for key, _ in groups] == [("lora", 0.1), ("full", 0.1), ("lora", 1), ("full", 1)]
    assert [len(rows) for _, rows in groups] == [1, 1, 2, 2]
    with pytest.raises(PredictionError, match=r"without pred\.<label>"):
        choose_quantities(table)


# --- several labels ---------------------------------------------------------------------------------------------------


def _two_labels(*, n=2000, known=1.0, shared=1.0, seed=0, rate=None):
    """Errors (standard deviation 1, or 0 and 1 at a rate) of two labels, of which a part is shared."""
    rng = np.random.default_rng(seed)
    if rate is None:
        common, own = rng.normal(size=n), rng.normal(size=(2, n))
        errors = np.sqrt(shared) * common + np.sqrt(1 - shared) * own
    else:
        common, own = rng.uniform(size=n) < rate, rng.uniform(size=(2, n)) < rate
        errors = np.where(rng.uniform(size=n) < shared, common, own).astype(float)
    table = {"arm": "lora", "object_id": np.arange(n)}
    for label, error in zip(("a", "b"), errors, strict=True):
        truth = np.where(rng.uniform(size=n) < known, 0.0, np.nan)
        table |= {f"truth.{label}": truth, f"pred.{label}": error}
    frame = pd.DataFrame(table)
    frame.attrs["task"] = Task("two", (Quantity("a", outlier=0.5), Quantity("b", outlier=0.5))).to_dict()
    return frame


def test_labels_are_scored_alone_as_a_mean_and_together():
    table = _two_labels(known=0.8, shared=0.3)
    settings = {"metrics": ["rmse", "bias"], "resampling": FEW}
    each = score(table, **settings)
    assert each["label"].tolist() == ["a", "a", "b", "b"]
    assert each["n"].tolist() == [n for label in "ab" for n in [table[f"truth.{label}"].notna().sum()] * 2]
    macro, pooled = (score(table, across=how, **settings) for how in ("macro", "pooled"))
    assert macro["label"].tolist() == ["macro"] * 2 and pooled["label"].tolist() == ["pooled"] * 2
    np.testing.assert_allclose(macro["value"], each.groupby("metric", sort=False)["value"].mean())
    residuals = np.concatenate([table.loc[table[f"truth.{label}"].notna(), f"pred.{label}"] for label in "ab"])
    np.testing.assert_allclose(pooled["value"], [np.sqrt(np.mean(residuals**2)), np.median(residuals)])
    assert (macro["n"] == table[["truth.a", "truth.b"]].notna().any(axis=1).sum()).all()
    assert (macro["low"] < macro["value"]).all() and (pooled["value"] < pooled["high"]).all()


@pytest.mark.parametrize("across", ["macro", "pooled"])
@pytest.mark.parametrize("shared", [0.0, 1.0])
def test_labels_of_one_object_are_not_two_objects(across, shared):
    """A mean of two errors each of 2,000 objects: its error is that of 4,000 only where the two know nothing of each
    other."""
    table = _two_labels(shared=shared)
    row = score(table, metrics=["bias_mean"], across=across, resampling=Resampling(n=2000, level=0.95)).iloc[0]
    n_independent = 4000 / (1 + shared)
    expected = 2 * scipy.stats.norm.ppf(0.975) / np.sqrt(n_independent)
    assert row["high"] - row["low"] == pytest.approx(expected, rel=0.06)
    rates = _two_labels(shared=shared, rate=0.1)
    row = score(rates, metrics=["outlier_rate"], across=across, resampling=Resampling(n=2000, level=0.95)).iloc[0]
    expected = 2 * scipy.stats.norm.ppf(0.975) * np.sqrt(0.1 * 0.9 / n_independent)
    assert row["high"] - row["low"] == pytest.approx(expected, rel=0.12)


@pytest.mark.parametrize(("metric", "true"), [("bias_mean", 0.0), ("outlier_rate", 0.1)])
def test_pooled_intervals_hold_the_true_value_as_often_as_they_say_where_labels_are_correlated(metric, true):
    n_surveys, held = 300, 0
    for survey in range(n_surveys):
        table = _two_labels(n=300, known=0.7, shared=0.9, seed=survey, rate=0.1 if metric == "outlier_rate" else None)
        resampling = Resampling(n=200, seed=survey, level=0.95)
        row = score(table, metrics=[metric], across="pooled", resampling=resampling).iloc[0]
        held += row["low"] <= true <= row["high"]
    assert held / n_surveys == pytest.approx(0.95, abs=3 * np.sqrt(0.95 * 0.05 / n_surveys))


def test_labels_of_different_kinds_are_not_put_together():
    table = _two_labels(n=50).rename(columns=lambda name: name.replace(".a", ".z").replace(".b", ".feh"))
    table[["truth.z", "truth.feh"]] = np.random.default_rng(1).normal(size=(50, 2))
    table.attrs["task"] = make_task([find_quantity("z", scored=None), find_quantity("feh")]).to_dict()
    assert score(table, metrics=["rmse"], resampling=NONE)["label"].tolist() == ["z", "feh"]
    for across in ("macro", "pooled"):
        with pytest.raises(ConfigError, match=r"redshift \(per_one_plus\), \[Fe/H\] \(dex\) \(plain\)"):
            score(table, metrics=["rmse"], across=across)
    assert len(score(table, metrics=["pearson_r2"], across="macro", labels=["z", "feh"], resampling=NONE)) == 1


def test_a_label_that_is_unknown_throughout_has_no_value():
    table = _two_labels(n=50).assign(**{"truth.b": np.nan})
    table.attrs["task"] = _two_labels(n=2).attrs["task"]
    scores = score(table, metrics=["rmse", "outlier_rate"], resampling=FEW)
    assert scores["n"].tolist() == [50, 50, 0, 0]
    assert scores.query("label == 'b'")[["value", "low", "high"]].isna().all(axis=None)
    assert "nan" in tabulate_scores(scores.assign(survey="s")).to_string()
    with pytest.raises(PredictionError, match="50 rows, all of unknown a and b"):
        score(table.assign(**{"truth.a": np.nan}))


def test_errors_of_reconstruction_are_scored_by_their_mean():
    table = pd.DataFrame({"arm": "mae", "object_id": range(4), "error.image": [1.0, 2.0, 3.0, 6.0]})
    row = score(table, resampling=NONE).iloc[0]
    assert (row["label"], row["metric"], row["value"], row["n"]) == ("error.image", "mae", 3.0, 4)


# --- slices -----------------------------------------------------------------------------------------------------------


def test_slices_score_the_objects_between_their_edges(predictions):
    slices = score_slices(predictions, column="i_mag", edges=[20, 21, 22], metrics=["bias"], resampling=NONE)
    row = slices.query("arm == 'lora' and survey == 'near' and slice_low == 21").iloc[0]
    chosen = predictions.query("arm == 'lora' and survey == 'near' and i_mag > 21 and i_mag <= 22 and `truth.z` <= 1.5")
    assert row["n"] == len(chosen)
    assert row["slice_median"] == pytest.approx(chosen["i_mag"].median())
    dz = (chosen["pred.z"] - chosen["truth.z"]) / (1 + chosen["truth.z"])
    assert row["value"] == pytest.approx(dz.median())


@pytest.mark.parametrize("column", ["truth", "truth.z"])
def test_slices_of_the_truth_are_not_cut_by_the_range(predictions, column):
    edges = predictions["truth.z"].quantile([0, 0.5, 1]).tolist()
    slices = score_slices(predictions, column=column, edges=edges, metrics=["bias"], resampling=NONE)
    assert slices.query("arm == 'lora'")["n"].sum() == 700


def test_slices_of_each_label_have_its_own_truth():
    table = _two_labels(n=100, shared=0.0).assign(**{"truth.b": np.linspace(0, 1, 100)})
    slices = score_slices(table, column="truth", edges=[-1, 0.5, 1], metrics=["rmse"], resampling=NONE)
    assert slices[["label", "slice_low", "n"]].to_numpy().tolist() == [["a", -1, 100], ["b", -1, 50], ["b", 0.5, 50]]


def test_slices_with_few_objects_are_left_out_and_edges_must_ascend(predictions):
    slices = score_slices(predictions, column="truth", edges=[0, 1.99, 2], metrics=["bias"], resampling=NONE)
    assert set(slices["slice_low"]) == {0}
    with pytest.raises(PredictionError, match="no slice"):
        score_slices(predictions, column="truth", edges=[5, 6], metrics=["bias"])
    with pytest.raises(ConfigError, match="edges"):
        score_slices(predictions, column="truth", edges=[1, 0])


# --- tables to read ---------------------------------------------------------------------------------------------------


@pytest.fixture
def scores():
    values = {("lora", 0): 0.02, ("lora", 1): 0.04, ("full", 0): -0.01, ("full", 1): -0.01}
    rows = [
        {
            "run": "r",
            "fit": f"{arm}-{seed}",
            "arm": arm,
            "strategy": arm,
            "seed": seed,
            "trained_on": "t",
            "survey": "s",
        }
        | {"label": "z", "metric": "bias", "value": value}
        for (arm, seed), value in values.items()
    ]
    return pd.DataFrame(rows).assign(low=-1.0, high=1.0, n=100, simulated=True)


def test_seeds_become_a_mean_a_spread_and_a_count(scores):
    summary = summarise_seeds(scores).set_index("arm")
    assert not {"run", "fit", "seed"} & set(summary)
    lora, std = summary.loc["lora"], np.std([0.02, 0.04], ddof=1)
    assert (lora["value"], lora["std"]) == (pytest.approx(0.03), pytest.approx(std))
    lower, upper = ((1.02 + 1.04) / 2, (0.98 + 0.96) / 2)  # ends of the intervals over objects, -1 and 1
    ends = (0.03 - np.hypot(lower, std), 0.03 + np.hypot(upper, std))
    assert (lora["low"], lora["high"]) == pytest.approx(ends), "spread over seeds and galaxies, added in squares"
    without = summarise_seeds(scores.assign(low=np.nan, high=np.nan)).set_index("arm").loc["lora"]
    assert (without["low"], without["high"]) == pytest.approx((0.03 - std, 0.03 + std))
    assert summary["n_seeds"].tolist() == [2, 2] and summary["simulated"].all() and summary["n"].tolist() == [100, 100]


def test_one_seed_keeps_its_bootstrap_interval(scores):
    one = summarise_seeds(scores.query("seed == 0"))
    assert one[["low", "high"]].to_numpy().tolist() == [[-1, 1], [-1, 1]] and one["std"].isna().all()
    assert summarise_seeds(scores.query("seed == 0").drop(columns="seed"))["n_seeds"].tolist() == [1, 1]


def test_seeds_are_never_averaged_over_something_else(scores):
    with pytest.raises(PredictionError, match="one seed"):
        summarise_seeds(pd.concat([scores, scores]))


def test_the_interval_of_several_seeds_covers_another_network_on_other_galaxies():
    """Networks have biases of their own, samples of galaxies others: two in three measurements of one are inside."""
    rng, width, sample, seed = np.random.default_rng(3), 0.03, *np.divmod(np.arange(8000), 8)
    values = rng.normal(0, width, 8000) + rng.normal(0, width, 1000)[sample]
    table = pd.DataFrame({"survey": sample, "seed": seed, "metric": "bias", "value": values, "n": 50})
    summary = summarise_seeds(table.assign(low=values - width, high=values + width))
    another = rng.normal(0, width, 1000) + rng.normal(0, width, 1000)
    inside = np.abs(another) < (summary["high"] - summary["low"]) / 2
    assert inside.mean() == pytest.approx(0.68, abs=0.05)


def test_ties_have_no_best(scores):
    tied = summarise_seeds(scores.assign(value=0.0))
    assert not is_best(tied).any()


def test_an_arm_that_was_cut_short_carries_a_dagger(scores):
    short = scores.assign(cut_short=scores["arm"] == "lora")
    table = tabulate_scores(short)
    assert sorted(table.index.get_level_values("arm")) == ["full", "lora †"]
    assert "cut short" in format_scores(short) and "†" not in format_scores(scores)


def test_the_best_bias_is_the_one_nearest_zero(scores):
    summary = summarise_seeds(scores)
    assert summary[is_best(summary)]["arm"].tolist() == ["full"]
    assert not is_best(summary[summary["arm"] == "full"]).any(), "one alone is not the best"


def test_the_terminal_table_says_what_it_shows(scores):
    lines, std = format_scores(scores).splitlines(), np.std([0.02, 0.04], ddof=1)
    assert lines[2].split() == ["s", "full", "-0.0100", "±", "0.0000", "*"] or lines[2].split()[1] == "lora"
    assert {line.split()[-1] for line in lines[2:4]} == {"*", f"{(np.hypot(1.03, std) + np.hypot(0.97, std)) / 2:.4f}"}
    assert "2 seeds" in lines[-1] and "simulated" in lines[-1]
    unequal = format_scores(scores.query("arm == 'lora' or seed == 0")).splitlines()
    assert "n_seeds" in unequal[0] and [line.split()[-1] for line in unequal[2:4]] == ["2", "1"]
    assert "spread over objects and seeds where there are several, else bootstrap interval over objects" in unequal[-1]
    assert "n_seeds" not in format_scores(scores)


def test_the_table_to_read_has_a_row_for_each_test_set_and_arm_with_a_star_on_the_best():
    rows = [("full", "a", 0.05), ("full", "b", 0.02), ("lora", "a", 0.03), ("lora", "b", 0.04)]
    scores = pd.DataFrame(rows, columns=["arm", "survey", "value"]).assign(metric="scatter", direction="forward")
    table = tabulate_scores(scores.assign(low=scores["value"] - 0.01, high=scores["value"] + 0.01))
    assert list(table.index) == [("a", "full"), ("a", "lora"), ("b", "full"), ("b", "lora")]
    assert [text.strip() for text in table["scatter"]] == [
        "0.0500 ± 0.0100",
        "0.0300 ± 0.0100 *",
        "0.0200 ± 0.0100 *",
        "0.0400 ± 0.0100",
    ]
    assert (table["n_seeds"] == 1).all()


def test_arms_compete_within_a_fraction_whatever_they_were_trained_on():
    rows = [("full", 0.1, 0.05), ("full", 1.0, 0.02), ("lora", 0.1, 0.03), ("lora", 1.0, 0.04)]
    scores = pd.DataFrame(rows, columns=["arm", "fraction", "value"]).assign(metric="scatter", survey="s")
    scores = scores.assign(low=scores["value"] - 0.01, high=scores["value"] + 0.01, trained_on=scores["arm"])
    table = tabulate_scores(scores)
    assert list(table.index) == [("s", 0.1, "full"), ("s", 0.1, "lora"), ("s", 1.0, "full"), ("s", 1.0, "lora")]
    assert [text.endswith("*") for text in table["scatter"]] == [False, True, True, False]
    assert list(tabulate_scores(scores.query("fraction == 1")).index) == [("s", "full"), ("s", "lora")]
    apart = tabulate_scores(scores.assign(fraction=1.0, trained_on=["a", "b", "a", "b"]))
    assert apart.index.names == ["survey", "trained_on", "arm"], "one arm of two training sets"
    whole = tabulate_scores(scores.assign(fraction=scores["fraction"].mask(scores["fraction"] == 1)))
    assert whole["n_seeds"].tolist() == [1, 1, 1, 1], "an arm may have no fraction"


@pytest.mark.parametrize(
    ("n_seeds", "words"),
    [
        ([1, 1], "bootstrap interval over objects"),
        ([3, 3], "spread over objects and 3 seeds"),
        ([2, 3], "spread over objects and 2 to 3 seeds"),
        ([3, 1], "spread over objects and seeds where there are several, else bootstrap interval over objects"),
    ],
)
def test_the_spread_is_named_after_all_rows(n_seeds, words):
    assert describe_spread(pd.Series(n_seeds)) == words


def test_a_table_without_its_task_has_the_one_of_its_labels(predictions):
    assert task_of(predictions) == REDSHIFT
