import json
import os
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from simulated_runs import CIRCUMSTANCES, simulate, write_run

from astrolab.cli import describe_ledger
from astrolab.errors import AstrolabWarning, ConfigError, DataNotFoundError, PredictionError, RunError, UnknownNameError
from astrolab.metrics import Resampling, compare_models, score
from astrolab.predictions import load_predictions
from astrolab.runs import open_run
from astrolab.runs.ledger import compare_arms, describe_pairs, load_ledger, scores_as_latex, summarise_costs
from astrolab.studies.beside import compare_runs_with_paper
from astrolab.tasks import REDSHIFT

FEW = Resampling(n=20)
ARMS = {
    "zero_shot": {"near": (0.0, 0.02), "far": (0.05, 0.08)},
    "lora": {"near": (0.02, 0.04), "far": (0.0, 0.03)},
}
FRACTIONS = {f"lora@{f}": {"far": (0.0, 0.05 - 0.02 * f)} for f in (0.1, 1.0)} | {"zero_shot@0.0": {"far": (0, 0.08)}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    write_run(folder / "lora_vs_transfer" / "first", arms=ARMS, seeds=(0, 1))
    write_run(folder / "data_fractions" / "second", arms=FRACTIONS, study="data_fractions", direction=None)
    write_run(folder / "lora_vs_transfer" / "cut_off", arms=ARMS, parameters={"epochs": 9}, finished=False)
    (folder / "broken").mkdir()
    (folder / "broken" / "run.json").write_text("{")
    return folder


@pytest.fixture(scope="module")
def ledger(folder):
    return load_ledger(folder)


def test_one_row_a_run_fit_test_survey_and_metric(ledger):
    assert len(ledger.table) == (2 * 2 * 2 + 3) * 5
    assert not ledger.table.duplicated(["run", "arm", "seed", "fraction", "survey", "metric"]).any()
    assert repr(ledger) == "Ledger: 3 runs of 2 studies (1 unfinished, 1 skipped) · 13 fits · 55 scores"
    assert ledger.runs.set_index("run")["status"].to_dict()["cut_off"] == "interrupted"
    assert "damaged" in ledger.skipped["reason"].item()


def test_a_score_comes_with_what_its_fit_cost_and_was_made_from(ledger, folder):
    row = ledger.where(run="first", arm="lora", seed=1, survey="far", metric="scatter").table.iloc[0]
    saved = pd.read_csv(folder / "lora_vs_transfer" / "first" / "scores.csv")
    expected = saved.query("arm == 'lora' and seed == 1 and survey == 'far' and metric == 'scatter'").iloc[0]
    assert row[["value", "low", "high", "n"]].tolist() == expected[["value", "low", "high", "n"]].tolist()
    cost = {"fit": "lora-s1", "time_s": 3.0, "n_trials": 2, "search_time_s": 6.0, "n_trainable": 100, "n_seen": 30}
    assert row[list(cost)].to_dict() == cost
    assert row[["train_digest", "digest.finetune", "direction", "strategy", "learning_rate"]].tolist() == [
        "feed",
        "of twin-galaxiesml",
        "forward",
        "lora",
        1e-3,
    ]
    assert (row["p.epochs"], row["p.seeds"]) == (3, "[0, 1]")


def test_a_score_says_itself_which_fit_it_is_of(tmp_path):
    """Not what its arm and seed look like: two fits of one arm and seed are told apart."""
    run = write_run(tmp_path / "one", arms=ARMS)
    fits = run.record["fits"]
    fits["lora-turned-s0"] = fits["lora-s0"] | {"time_s": 77.0}
    run._write()
    scores = pd.read_csv(run.folder / "scores.csv")
    scores.loc[(scores["arm"] == "lora") & (scores["survey"] == "far"), "fit"] = "lora-turned-s0"
    run.save_table("scores", table=scores)
    lora = load_ledger(tmp_path).where(arm="lora").table
    assert lora.groupby("survey")["time_s"].unique().map(list).to_dict() == {"near": [2.0], "far": [77.0]}


def test_scores_of_a_fraction_belong_to_the_fit_of_that_fraction(ledger):
    table = ledger.where(study="data_fractions").table
    assert table.groupby("fit")["fraction"].unique().map(list).to_dict() == {
        "lora-fraction0.1-s0": [0.1],
        "lora-fraction1.0-s0": [1.0],
        "zero_shot-fraction0.0-s0": [0.0],
    }


def test_fits_without_scores_are_kept_and_every_trial_is_listed(ledger):
    assert (ledger.fits["arm"] == "base").sum() == 4
    assert "cut_off" in set(ledger.fits["run"])
    trials = ledger.trials.query("run == 'first' and fit == 'lora-s0'")
    assert trials[["learning_rate", "kept"]].to_numpy().tolist() == [[1e-3, True], [1e-2, False]]
    assert "zero_shot-s0" not in set(ledger.trials["fit"])


def test_a_real_fit_is_in_it_too(case, setup, runs_here):
    run = open_run(study="s", parameters={"n": 1})
    run.fit(case.network(), adapt={"strategy": "full"}, learning_rates=[1e-8, 1e-2], **setup)
    run.finish()
    ledger = load_ledger(runs_here)
    (fit,) = ledger.fits.to_dict("records")
    (cost,) = run.costs.to_dict("records")
    assert {name: fit[name] for name in cost} == cost
    assert fit["train_digest"] == case.parts.train.digest
    assert ledger.trials["kept"].tolist() == [False, True]
    assert ledger.table.empty


def test_conditions_may_be_values_or_an_expression(ledger):
    by_value = ledger.where(arm=["lora"], metric="scatter", study="lora_vs_transfer")
    by_words = ledger.where("arm == 'lora' and metric == 'scatter' and study == 'lora_vs_transfer'")
    pd.testing.assert_frame_equal(by_value.table, by_words.table)
    assert by_value.table["value"].between(0.01, 0.06).all() and len(by_value.table) == 4
    assert set(by_value.fits["fit"]) == {"lora-s0", "lora-s1"}
    assert set(by_value.trials["fit"]) == {"lora-s0", "lora-s1"}
    of_parameters = ledger.where("p.epochs == 9")
    assert of_parameters.table.empty and set(of_parameters.fits["arm"]) == {"base", "zero_shot", "lora"}
    assert of_parameters.runs["run"].tolist() == ["cut_off"]


def test_nothing_left_can_be_asked_for_less(ledger):
    nothing = ledger.where(arm="neither").where(metric="scatter").where("value > 0")
    assert nothing.table.empty and nothing.fits.empty and nothing.trials.empty and nothing.runs.empty
    assert list(nothing.fits) == list(ledger.fits) and list(nothing.trials) == list(ledger.trials)


@pytest.mark.parametrize(
    "expression",
    ["arm ==", "armm == 'lora'", "value * 2", "value = 3", "arm < 3", "import os", "arm.str.len() > 3", "arm == @x"],
)
def test_what_is_no_condition_is_refused_with_the_columns(ledger, expression):
    with pytest.raises(ConfigError, match=r"p\.epochs") as raised:
        ledger.where(expression)
    assert raised.value.remedy and expression in raised.value.received


def test_an_unknown_column_is_answered_with_the_nearest(ledger):
    with pytest.raises(UnknownNameError, match="Did you mean 'survey'"):
        ledger.where(surveys="far")


def made_with(**changes):
    return {"circumstances": CIRCUMSTANCES | changes}


def test_circumstances_are_shown_and_told_apart_only_where_they_differ(tmp_path, recwarn):
    write_run(tmp_path / "one", arms=ARMS, seeds=(0,))
    write_run(tmp_path / "two", arms=ARMS, seeds=(1,), **made_with(storage="stream"))
    write_run(tmp_path / "other", arms=ARMS, parameters={"epochs": 9}, **made_with(n_threads=9))
    ledger = load_ledger(tmp_path)
    shown = ledger.runs.set_index("run")["made_under"].to_dict()
    assert shown == {run: f"float32 on cpu, {n} threads" for run, n in {"one": 2, "two": 2, "other": 9}.items()}
    assert ledger.where(n_threads=9, metric="bias").table["run"].unique().tolist() == ["other"]
    assert "float32 on cpu, 9 threads" in describe_ledger(ledger)
    compare_arms(ledger, metrics=["bias"], resampling=FEW)
    assert not [w for w in recwarn if w.category is AstrolabWarning], "where inputs lie, and other experiments"


def test_runs_of_one_experiment_made_under_different_circumstances_are_compared_with_a_warning(tmp_path):
    write_run(tmp_path / "one", arms=ARMS, seeds=(0,))
    write_run(tmp_path / "two", arms=ARMS, seeds=(1,), **made_with(n_threads=4, versions={"torch": "2.9.0"}))
    ledger = load_ledger(tmp_path)
    assert ledger.runs["experiment"].nunique() == 1, "circumstances name no experiment"
    with pytest.warns(AstrolabWarning, match=r"different circumstances: n_threads 2 → 4, torch 2\.8\.0 → 2\.9\.0"):
        compare_arms(ledger, metrics=["bias"], resampling=FEW)


def places(value, path=()):
    """Every place in some JSON values."""
    yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inside:
        yield from places(one, (*path, key))


def damaged(record, *, rng):
    """A record with one value, at any depth, deleted or replaced by one of another type."""
    record = json.loads(json.dumps(record))
    every = list(places(record))[1:]
    *above, last = every[rng.integers(len(every))]
    holder = record
    for key in above:
        holder = holder[key]
    values = [None, 3, -1.5, "text", [], ["text"], {}, {"a": None}]
    if rng.random() < 0.2:
        del holder[last]
    else:
        holder[last] = values[rng.integers(len(values))]
    return record


@pytest.mark.parametrize("seed", range(int(os.environ.get("ASTROLAB_FUZZ", 1))))
def test_a_damaged_run_is_skipped_and_named_or_read_and_stops_no_other(tmp_path, seed):
    rng = np.random.default_rng(seed)
    write_run(tmp_path / "good", arms={"lora": {"near": (0.0, 0.02)}}, n=40)
    bad = write_run(tmp_path / "bad", arms={"lora": {"near": (0.0, 0.02)}}, n=40).folder
    record, scores = json.loads((bad / "run.json").read_text()), (bad / "scores.csv").read_text()
    for _ in range(8):
        (bad / "run.json").write_text(json.dumps(damaged(record, rng=rng)))
        ledger = load_ledger(tmp_path)
        assert {"good"} <= set(ledger.runs["run"]) and len(ledger.runs) + len(ledger.skipped) == 2
        assert describe_ledger(ledger)
        compare_runs_with_paper(ledger)
    (bad / "run.json").write_text(json.dumps(record))
    for _ in range(4):
        hurt = bytearray(scores.encode())
        start = int(rng.integers(len(hurt)))
        hurt[start : start + 9] = rng.integers(0, 256, int(rng.integers(12)), dtype=np.uint8).tobytes()
        (bad / "scores.csv").write_bytes(hurt)
        ledger = load_ledger(tmp_path)
        assert {"good"} <= set(ledger.runs["run"]) and len(ledger.runs) + len(ledger.skipped) == 2


def test_predictions_are_those_behind_the_rows(ledger):
    chosen = ledger.where(arm="lora", seed=1, survey="far")
    predictions = chosen.predictions()
    assert predictions[["run", "arm", "seed", "survey"]].drop_duplicates().to_numpy().tolist() == [
        ["first", "lora", 1, "far"]
    ]
    again = score(predictions, metrics=["bias"], resampling=Resampling(n=0))["value"].item()
    assert again == chosen.where(metric="bias").table["value"].item()
    everything = ledger.predictions()
    assert everything.groupby("run")["fraction"].nunique().to_dict() == {"first": 0, "second": 3}
    for unfinished in (ledger.where(status="interrupted"), ledger.where(study="neither")):
        with pytest.raises(RunError, match="astrolab run lora_vs_transfer"):
            unfinished.predictions()
        with pytest.raises(RunError, match="astrolab run lora_vs_transfer"):
            unfinished.newest()


def test_a_run_that_lost_its_predictions_says_so(folder, tmp_path):
    write_run(tmp_path / "one", arms=ARMS)
    (tmp_path / "one" / "predictions.parquet").unlink()
    with pytest.raises(DataNotFoundError, match=r"predictions\.parquet"):
        load_ledger(tmp_path).predictions()


def test_seeds_of_several_runs_of_one_experiment_are_pooled_and_the_newest_counts(tmp_path):
    for name, seeds in (("a", (0, 1)), ("b", (1,)), ("c", (2,))):
        write_run(tmp_path / name, arms=ARMS, seeds=seeds, parameters={"arms": list(ARMS)})
        record = json.loads((tmp_path / name / "run.json").read_text())
        record["started"] = f"2026-01-0{'abc'.index(name) + 1}T00:00:00+00:00"
        (tmp_path / name / "run.json").write_text(json.dumps(record))
    only = {"full": ARMS["lora"]}
    write_run(tmp_path / "more arms", arms=only, seeds=(0, 1, 2), parameters={"arms": ["full"]})
    write_run(tmp_path / "other", arms=ARMS, parameters={"epochs": 5})
    ledger = load_ledger(tmp_path)
    assert ledger.runs.groupby("experiment").size().tolist() in ([4, 1], [1, 4])
    newest = ledger.newest().where("`p.epochs` == 3")
    by_seed = newest.where(arm="lora").table.groupby("seed")["run"].unique().map(list)
    assert by_seed.to_dict() == {0: ["a"], 1: ["b"], 2: ["c"]}
    assert set(newest.where(arm="full").table["run"]) == {"more arms"}
    assert sorted(newest.scores["seed"].unique()) == [0, 1, 2]
    assert set(newest.fits["arm"]) == {"base", "zero_shot", "lora", "full"}


@pytest.mark.parametrize("suffix", ["csv", "parquet", "tex"])
def test_the_suffix_decides_the_format(ledger, tmp_path, suffix):
    path = ledger.where(study="lora_vs_transfer").save(tmp_path / f"ledger.{suffix}", metrics=["bias", "scatter"])
    if suffix == "tex":
        text = path.read_text()
        assert r"\toprule" in text and "scatter" in text and "loss" not in text
        return
    again = pd.read_csv(path) if suffix == "csv" else pd.read_parquet(path)
    assert set(again["metric"]) == {"bias", "scatter"} and len(again) == 16
    np.testing.assert_allclose(again["value"], ledger.where(run="first", metric=["bias", "scatter"]).table["value"])


def test_another_suffix_is_refused(ledger, tmp_path):
    with pytest.raises(UnknownNameError, match=r"\.csv, \.parquet, \.tex"):
        ledger.save(tmp_path / "ledger.xlsx")
    assert not list(tmp_path.iterdir())


TIMED = {"zero_shot": {"far": (0.0, 0.03)}, "lora": {"far": (0.0, 0.02)}}
TIMED_FRACTIONS = {"lora@0.15": {"far": (0.0, 0.05)}, "lora@1.0": {"far": (0.0, 0.03)}}


def test_an_arm_has_one_row_with_the_mean_over_its_seeds(tmp_path):
    write_run(tmp_path / "one", arms=TIMED, seeds=(0, 1, 2), time_s=2.0, direction=None)
    costs = summarise_costs(load_ledger(tmp_path))
    assert costs["arm"].tolist() == ["base", "zero_shot", "lora"]
    lora = costs.set_index("arm").loc["lora"]
    assert (lora["n_seeds"], lora["time_s"], lora["search_time_s"]) == (3, 3.0, 6.0)
    assert (lora["n_trainable"], lora["n_trials"], lora["peak_memory_MB"]) == (100, 2, 1e-3)
    assert "direction" not in costs and "fraction" not in costs


def test_means_can_be_rounded_beside_a_run_that_trained_nothing(tmp_path):
    write_run(tmp_path / "one", arms=TIMED, time_s=1 / 3)
    open_run(study="compare_runs", parameters={}, directory=tmp_path / "looks").finish()
    costs = summarise_costs(load_ledger(tmp_path)).round(2)
    assert costs["time_s"].tolist() == [0.33] * 3


def test_directions_of_one_experiment_are_not_averaged(tmp_path):
    for direction, time_s in (("forward", 10.0), ("reverse", 90.0)):
        write_run(tmp_path / direction, arms=TIMED, time_s=time_s, direction=direction)
    ledger = load_ledger(tmp_path)
    assert ledger.runs["experiment"].nunique() == 1
    times = summarise_costs(ledger).set_index(["arm", "direction"])["time_s"]
    for arm in ("base", "zero_shot", "lora"):
        assert times[arm].to_dict() == {"forward": 10.0, "reverse": 90.0}


def test_of_fits_that_runs_repeat_the_newest_counts(tmp_path):
    write_run(tmp_path / "a", arms=TIMED, seeds=(0, 1), time_s=100.0)
    write_run(tmp_path / "b", arms={"lora": TIMED["lora"]}, seeds=(0,), time_s=2.0)
    costs = summarise_costs(load_ledger(tmp_path)).set_index("arm")
    assert costs.loc["lora", "time_s"] == pytest.approx((2 + 101) / 2)
    assert costs["n_seeds"].to_dict() == {"base": 2, "zero_shot": 2, "lora": 2}


def test_fractions_and_studies_stand_apart(tmp_path):
    write_run(tmp_path / "a", arms=TIMED_FRACTIONS, study="data_fractions", direction=None)
    write_run(tmp_path / "b", arms=TIMED)
    costs = summarise_costs(load_ledger(tmp_path))
    of_lora = costs.query("study == 'data_fractions' and arm == 'lora'")
    assert of_lora["fraction"].tolist() == [0.15, 1.0]
    assert costs.query("study == 'lora_vs_transfer'")["direction"].tolist() == ["forward"] * 3
    assert costs.query("study == 'data_fractions'")["direction"].isna().all()


PRINTED = {"tl_published": {"a_1": (0.05, 0.05), "b": (0.0, 0.04)}, "lora": {"a_1": (0.0, 0.02), "b": (0.01, 0.03)}}


@pytest.fixture(scope="module")
def scores():
    return score(simulate(PRINTED, seeds=(0, 1), n=100), metrics=["bias", "scatter", "r2"], resampling=FEW)


def test_numbers_are_the_means_over_seeds_and_the_best_is_bold(scores):
    text = scores_as_latex(scores)
    rows = scores.query("arm == 'lora' and survey == 'a_1' and metric == 'scatter'")
    value, std = rows["value"].mean(), rows["value"].std()
    below, above = (np.hypot((rows["value"] - rows[end]).mean(), std) for end in ("low", "high"))
    assert (
        rf"\mathbf{{{value:.4f}^{{+{above:.4f}}}_{{-{below:.4f}}}}}" in text or f"{value:.4f} \\pm {above:.4f}" in text
    )
    assert text.count(r"\mathbf") == 2 * 3
    assert "Spread over objects and 2 seeds." in text and "Simulated twin surveys." in text


def test_one_seed_has_an_interval_that_need_not_be_symmetric(scores):
    one = scores.query("seed == 0 and metric == 'scatter'").assign(simulated=False)
    one = one.assign(low=one["value"] - 0.001, high=one["value"] + 0.002)
    text = scores_as_latex(one)
    assert text.count("^{+0.0020}_{-0.0010}") == 4
    assert "Bootstrap interval" in text and "imulated" not in text
    bare = scores_as_latex(one.assign(low=np.nan, high=np.nan))
    assert "pm" not in bare and "^" not in bare


def test_every_row_has_as_many_cells_as_the_head_and_names_are_escaped(scores):
    fractions = pd.concat([scores.assign(fraction=fraction) for fraction in (0.1, 1.0)])
    lines = scores_as_latex(fractions).splitlines()
    table = [line for line in lines if line.count("&")]
    assert {line.count("&") for line in table} == {5}
    assert lines[0] == r"\begin{tabular}{lllrrr}"
    assert r"tl\_published" in "\n".join(lines) and r"a\_1" in "\n".join(lines)
    assert not re.search(r"(?<!\\)_(?!\{)", "\n".join(lines))


def test_a_study_without_fractions_has_a_dash_beside_one_with(scores):
    both = pd.concat([scores.assign(study="arms"), scores.assign(study="curves", fraction=0.5)])
    lines = scores_as_latex(both).splitlines()
    assert any(line.startswith("arms & ") and " & -- & " in line for line in lines)
    assert "nan" not in "\n".join(lines)


def test_arms_of_one_seed_are_not_said_to_be_spread_over_several(scores):
    lines = scores_as_latex(scores.query("arm == 'lora' or seed == 0")).splitlines()
    assert lines[2].startswith(r"survey & arm & n\_seeds & ")
    seeds = {line.split(" & ")[1]: line.split(" & ")[2] for line in lines[4:] if line.count("&")}
    assert seeds == {"lora": "2", r"tl\_published": "1"}
    assert lines.count(r"\addlinespace") == 1, "test sets are apart, arms are not"
    (note,) = (line for line in lines if "multicolumn" in line)
    assert "Spread over objects and seeds where there are several, else bootstrap interval over objects. Bold" in note


def test_latex_accepts_it(scores, tmp_path):
    if shutil.which("pdflatex") is None:
        pytest.skip("LaTeX is not on this machine")
    document = (
        rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{scores_as_latex(scores)}\end{{document}}"
    )
    (tmp_path / "t.tex").write_text(document)
    subprocess.run(["pdflatex", "-halt-on-error", "t.tex"], cwd=tmp_path, check=True, capture_output=True)


GOOD, BAD = {"near": (0.0, 0.02), "far": (0.0, 0.03)}, {"near": (0.03, 0.06), "far": (0.03, 0.08)}
PAIRED = {"tl": BAD, "lora": GOOD, "full": GOOD}
PAIRED_FRACTIONS = {
    f"{arm}@{fraction}": errors for fraction in (0.1, 1.0) for arm, errors in (("tl", BAD), ("lora", GOOD))
}
LAYERS = {"zero_shot": BAD, "lora-r2": GOOD, "block1": GOOD}
FAST = {"metrics": ["scatter"], "resampling": Resampling(n=50, level=0.95)}


def write(folder, study, **options):
    """A run of one study as its notebook leaves it: only the first has a column `direction`."""
    if study == "lora_vs_transfer":
        return write_run(folder / study, arms=PAIRED, **options)
    arms = PAIRED_FRACTIONS if study == "data_fractions" else LAYERS
    return write_run(folder / study, arms=arms, study=study, direction=None, **options)


def test_every_pair_of_arms_is_compared_as_the_predictions_are(tmp_path):
    write(tmp_path, "lora_vs_transfer", seeds=(0, 1))
    ledger = load_ledger(tmp_path)
    compared = compare_arms(ledger, **FAST)
    assert list(compared)[:6] == ["study", "experiment", "direction", "survey", "split", "label"]
    assert compared.query("survey == 'far'")[["a", "b"]].to_numpy().tolist() == [
        ["tl", "lora"],
        ["tl", "full"],
        ["lora", "full"],
    ]
    alone = compare_models(ledger.predictions(), **FAST)
    assert compared["difference"].tolist() == alone["difference"].tolist()
    assert set(compared["direction"]) == {"forward"} and set(compared["study"]) == {"lora_vs_transfer"}
    assert set(compare_arms(ledger, arms=["tl", "lora"], **FAST)["b"]) == {"lora"}


def test_each_experiment_is_compared_in_the_range_in_which_it_was_scored(tmp_path):
    ranges = {"a": (0.6, 1.4), "b": (0.5, 1.0), "c": None}
    for name, scored in ranges.items():
        write_run(tmp_path / name, arms=PAIRED, task=REDSHIFT.with_scored(z=scored))
    ledger = load_ledger(tmp_path)
    assert ledger.runs["experiment"].nunique() == 3, "scored in other ranges they are other experiments"
    compared = compare_arms(ledger, **FAST).groupby("experiment")["n"]
    for name, scored in ranges.items():
        part, table = ledger.where(run=name), load_predictions(tmp_path / name / "predictions.parquet")
        inside = table["truth.z"].between(*(scored or (0, 9)), inclusive="right") & (table["arm"] == "lora")
        expected = inside.groupby(table["survey"]).sum()
        assert set(compared.get_group(part.runs["experiment"].item())) == set(expected)
        assert set(part.where(arm="lora").table["n"]) == set(expected)
    with pytest.raises(PredictionError, match="different tasks"):
        ledger.predictions()


def test_of_fractions_the_whole_set_is_compared(tmp_path):
    write(tmp_path, "data_fractions")
    compared = compare_arms(load_ledger(tmp_path), **FAST)
    assert set(compared["fraction"]) == {1.0} and len(compared) == 2
    assert set(compared["better"]) == {"lora"} and compared["direction"].isna().all()


@pytest.mark.parametrize(
    ("studies", "compared"),
    [
        (["lora_vs_transfer"], {"lora_vs_transfer"}),
        (["data_fractions"], {"data_fractions"}),
        (["layers_and_ranks"], set()),
        (["data_fractions", "layers_and_ranks"], {"data_fractions"}),
        (["lora_vs_transfer", "data_fractions"], {"lora_vs_transfer", "data_fractions"}),
    ],
)
def test_a_folder_may_hold_any_studies(tmp_path, studies, compared):
    for study in studies:
        write(tmp_path, study)
    arms = ["zero_shot", "tl", "lora", "full"]
    ledger = load_ledger(tmp_path)
    table = compare_arms(ledger, arms=arms, **FAST)
    assert {"survey", "metric", "better"} <= set(table) and set(table["study"]) == compared
    words = describe_pairs(ledger, arms=arms).set_index("study")["compared"]
    assert sorted(words.index) == sorted(studies)
    assert {study for study, text in words.items() if not text.startswith("nothing")} == compared


def test_directions_are_compared_each_by_itself(tmp_path):
    for direction in ("forward", "reverse"):
        write_run(tmp_path / direction, arms=PAIRED, direction=direction)
    ledger = load_ledger(tmp_path)
    assert compare_arms(ledger, **FAST).groupby("direction").size().to_dict() == {"forward": 6, "reverse": 6}
    assert describe_pairs(ledger)["direction"].tolist() == ["forward", "reverse"]


def test_only_the_newest_of_what_runs_repeat_is_compared(tmp_path):
    write(tmp_path / "old", "lora_vs_transfer", seeds=(0, 1), parameters={"arms": list(PAIRED)})
    write_run(tmp_path / "new", arms={"lora": BAD}, seeds=(1, 2), parameters={"arms": ["lora"]})
    compared = compare_arms(load_ledger(tmp_path), arms=["tl", "lora"], **FAST)
    assert set(compared["n_seeds"]) == {2}


def test_words_say_why_nothing_can_be_compared(tmp_path):
    write_run(tmp_path / "a", arms={"tl": BAD}, seeds=(0,), parameters={"arms": ["tl"]})
    write_run(tmp_path / "b", arms={"lora": GOOD}, seeds=(1,), parameters={"arms": ["lora"]})
    ledger = load_ledger(tmp_path)
    for arms, words in (
        (None, "nothing: tl, lora have no training seed in common"),
        (["lora"], "nothing: lora alone"),
        (["full"], "nothing: none of the arms that were asked for"),
    ):
        assert compare_arms(ledger, arms=arms, **FAST).empty
        assert describe_pairs(ledger, arms=arms)["compared"].tolist() == [words]
    write_run(tmp_path / "c", arms={"tl": BAD}, seeds=(1,), parameters={"arms": ["tl"]})
    assert describe_pairs(load_ledger(tmp_path))["compared"].tolist() == ["every pair of tl, lora; training seeds: 1"]
