import json
import os

import numpy as np
import pandas as pd
import pytest
from simulated_runs import CIRCUMSTANCES, write_run

from astrolab.cli_results import describe_ledger
from astrolab.errors import AstrolabWarning, ConfigError, DataNotFoundError, RunError, UnknownNameError
from astrolab.metrics import score
from astrolab.runs import open_run
from astrolab.runs.beside import compare_runs_with_paper
from astrolab.runs.ledger import load_ledger
from astrolab.runs.pairs import compare_arms

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
    assert ledger.runs.set_index("run")["status"].to_dict()["cut_off"] == "running"
    assert "damaged" in ledger.skipped["reason"].item()


def test_a_score_stands_beside_what_its_fit_cost_and_stood_on(ledger, folder):
    row = ledger.where(run="first", arm="lora", seed=1, survey="far", metric="scatter").table.iloc[0]
    saved = pd.read_csv(folder / "lora_vs_transfer" / "first" / "scores.csv")
    expected = saved.query("arm == 'lora' and seed == 1 and survey == 'far' and metric == 'scatter'").iloc[0]
    assert row[["value", "low", "high", "n"]].tolist() == expected[["value", "low", "high", "n"]].tolist()
    cost = {"fit": "lora-s1", "time_s": 3.0, "n_trials": 2, "search_time_s": 6.0, "n_trainable": 100, "n_seen": 30}
    assert row[list(cost)].to_dict() == cost
    assert row[["train_digest", "digest.finetune", "direction", "strategy", "learning_rate"]].tolist() == [
        "feed",
        "d1",
        "forward",
        "lora",
        1e-3,
    ]
    assert (row["p.epochs"], row["p.seeds"]) == (3, "[0, 1]")


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


def test_a_real_fit_stands_in_it_too(case, setup, runs_here):
    run = open_run(study="s", parameters={"n": 1})
    run.fit(case.mlp, adapt={"strategy": "full"}, learning_rates=[1e-8, 1e-2], **setup)
    run.finish()
    ledger = load_ledger(runs_here)
    (fit,) = ledger.fits.to_dict("records")
    (cost,) = run.costs.to_dict("records")
    assert {name: fit[name] for name in cost} == cost
    assert fit["train_digest"] == case.train.digest
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


@pytest.mark.parametrize("expression", ["arm ==", "armm == 'lora'", "value * 2", "value = 3", "arm < 3", "import os"])
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
    compare_arms(ledger, metrics=["bias"], n_bootstrap=20)
    assert not [w for w in recwarn if w.category is AstrolabWarning], "where inputs lie, and other experiments"


def test_runs_of_one_experiment_made_under_different_circumstances_are_compared_with_a_warning(tmp_path):
    write_run(tmp_path / "one", arms=ARMS, seeds=(0,))
    write_run(tmp_path / "two", arms=ARMS, seeds=(1,), **made_with(n_threads=4, versions={"torch": "2.9.0"}))
    ledger = load_ledger(tmp_path)
    assert ledger.runs["experiment"].nunique() == 1, "circumstances name no experiment"
    with pytest.warns(AstrolabWarning, match=r"different circumstances: n_threads 2 → 4, torch 2\.8\.0 → 2\.9\.0"):
        compare_arms(ledger, metrics=["bias"], n_bootstrap=20)


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
    again = score(predictions, metrics=["bias"], n_bootstrap=0)["value"].item()
    assert again == chosen.where(metric="bias").table["value"].item()
    everything = ledger.predictions()
    assert everything.groupby("run")["fraction"].nunique().to_dict() == {"first": 0, "second": 3}
    for unfinished in (ledger.where(status="running"), ledger.where(study="neither")):
        with pytest.raises(RunError, match="astrolab run lora_vs_transfer"):
            unfinished.predictions()
        with pytest.raises(RunError, match="astrolab run lora_vs_transfer"):
            unfinished.newest()


def test_the_folders_are_those_of_the_runs_in_the_table(ledger, folder):
    assert ledger.where(study="data_fractions").folders == [folder / "data_fractions" / "second"]
    assert {path.name for path in ledger.folders} == {"first", "second"}, "the third was cut off before its scores"


def test_a_run_that_lost_its_predictions_says_so(folder, tmp_path):
    write_run(tmp_path / "one", arms=ARMS)
    (tmp_path / "one" / "predictions.parquet").unlink()
    with pytest.raises(DataNotFoundError, match=r"predictions\.parquet"):
        load_ledger(tmp_path).predictions()


def test_seeds_of_several_runs_of_one_experiment_are_pooled_and_the_newest_counts(tmp_path):
    for name, seeds in (("a", (0, 1)), ("b", (1,)), ("c", (2,))):
        write_run(tmp_path / name, arms=ARMS, seeds=seeds, parameters={"strategies": list(ARMS)})
        record = json.loads((tmp_path / name / "run.json").read_text())
        record["started"] = f"2026-01-0{'abc'.index(name) + 1}T00:00:00+00:00"
        (tmp_path / name / "run.json").write_text(json.dumps(record))
    only = {"full": ARMS["lora"]}
    write_run(tmp_path / "more arms", arms=only, seeds=(0, 1, 2), parameters={"strategies": ["full"]})
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
    with pytest.raises(ConfigError, match=r"\.csv, \.parquet, \.tex"):
        ledger.save(tmp_path / "ledger.xlsx")
    assert not list(tmp_path.iterdir())
