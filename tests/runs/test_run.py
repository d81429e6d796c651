"""An open run folder, and the fits, trials and predictions made in it."""

import subprocess
import sys
from dataclasses import replace

import matplotlib.pyplot as plt
import pandas as pd
import pytest
import torch
from simulated_runs import CIRCUMSTANCES, fit_record

import astrolab as al
from astrolab.errors import RunError, TrainingError
from astrolab.runs import find_unfinished, load_record, open_run, parameters_digest
from astrolab.runs.moving import Move
from astrolab.runs.record import cost_table, history_table
from astrolab.runs.run import REPORT_FOLLOWS, SAMPLES, _run_trials, _stored_fit, complete_run


def unfinished(study, **parameters):
    return find_unfinished(study, digest=parameters_digest(study, parameters=parameters))


def test_a_run_that_was_cut_off_is_taken_up_again_and_a_finished_one_is_not():
    first = open_run(study="s", parameters={"n": 1})
    first._lock.release()
    again = open_run(study="s", parameters={"n": 1})
    assert again.folder == first.folder
    again.finish(scores=pd.DataFrame({"metric": ["bias"], "value": [0.0]}))
    assert unfinished("s", n=1) is None
    assert load_record(first.folder)["status"] == "finished"


def test_other_parameters_get_another_folder_and_may_not_enter_this_one(tmp_path):
    run = open_run(study="s", parameters={"n": 1})
    run._lock.release()
    assert unfinished("s", n=2) is None
    with pytest.raises(RunError, match="n: 1 → 2"):
        open_run(study="s", parameters={"n": 2}, directory=run.folder)


def test_two_processes_may_not_share_a_run_folder():
    run = open_run(study="s", parameters={"n": 1})
    code = (
        f"from astrolab.runs import open_run; open_run(study='s', parameters={{'n': 1}}, directory={str(run.folder)!r})"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert other.returncode != 0
    assert "another process is at work" in other.stderr


def test_figures_are_saved_as_png_and_pdf_and_nothing_else_is_left():
    run = open_run(study="s", parameters={})
    axes = plt.figure().add_subplot()
    run.save_figure("line", figure=axes)
    plt.close("all")
    files = {p.name: p.read_bytes()[:4] for p in (run.folder / "figures").iterdir()}
    assert files == {"line.png": b"\x89PNG", "line.pdf": b"%PDF"}


def test_a_cell_that_is_run_again_in_one_process_goes_on_with_its_run():
    first = open_run(study="s", parameters={"n": 1})
    assert open_run(study="s", parameters={"n": 1}).folder == first.folder


def test_fits_of_one_arm_are_told_apart_by_their_condition(case, setup):
    run = open_run(study="s", parameters={})
    for fraction in (0.5, 1.0):
        run.fit(case.network(), adapt={"strategy": "full"}, condition={"fraction": fraction}, **setup)
    assert run.costs["fraction"].tolist() == [0.5, 1.0]
    assert run.histories.groupby("fraction").size().tolist() == [3, 3]
    assert {p.name for p in (run.folder / "models").iterdir()} == {"full-fraction0.5-s0", "full-fraction1.0-s0"}


def test_the_rate_that_validates_best_is_kept_and_every_trial_recorded(case, setup):
    run = open_run(study="s", parameters={})
    result = run.fit(case.network(), adapt={"strategy": "full"}, learning_rates=[1e-8, 1e-2], **setup)
    (fit,) = run.record["fits"].values()
    losses = {trial["learning_rate"]: trial["validation_loss"] for trial in fit["trials"]}
    assert losses[1e-2] < losses[1e-8], "steps of 1e-8 learn nothing in three epochs"
    assert result.config.learning_rate == 1e-2
    assert result.selected_loss == losses[1e-2]
    (cost,) = run.costs.to_dict("records")
    assert (cost["n_trials"], cost["learning_rate"]) == (2, 1e-2)
    assert cost["search_time_s"] == pytest.approx(sum(trial["time_s"] for trial in fit["trials"]))
    assert cost["search_time_s"] > cost["time_s"]


def test_a_shared_fit_is_made_once_and_gives_every_run_the_same_weights(case, setup):
    folders = []
    for number in range(2):
        run = open_run(study="s", parameters={"n": number})
        run.fit(case.network(), adapt={"strategy": "full"}, shared=True, **setup)
        assert run.costs["reused"].tolist() == [number == 1]
        folders.append(run.folder / "models" / "full-s0" / "model.safetensors")
    assert folders[0].read_bytes() == folders[1].read_bytes()
    al.load_model(folders[1].parent)


def test_the_record_tells_which_galaxies_of_a_file_there_were(case):
    run = open_run(study="s", parameters={})
    run.record_surveys({"all": case.parts.train, "some": case.parts.train.take(slice(10))})
    noted = load_record(run.folder)["surveys"]
    assert noted["all"]["digest"] == case.parts.train.digest != noted["some"]["digest"]


def test_a_study_that_only_looks_leaves_no_tables():
    run = open_run(study="s", parameters={})
    run.finish()
    assert {p.name for p in run.folder.iterdir()} <= {"run.json", ".lock"}


def test_a_run_whose_report_was_not_written_goes_on_with_everything_it_has(case, setup, monkeypatch):
    run = open_run(study="s", parameters={})
    monkeypatch.setenv(REPORT_FOLLOWS, str(run.folder))
    open_run(study="t", parameters={}).finish()
    assert not unfinished("t"), "a run beside it has no report to wait for"
    first = run.fit(case.network(), adapt={"strategy": "full"}, **setup)
    run.finish()
    assert load_record(run.folder)["status"] == "computed"
    again = open_run(study="s", parameters={})
    assert again.folder == run.folder
    assert again.fit(case.network(), adapt={"strategy": "full"}, **setup).history.equals(first.history)
    again.finish()
    complete_run(run.folder)
    assert load_record(run.folder)["status"] == "finished" and not (run.folder / "checkpoints").exists()
    assert unfinished("s") is None


def test_a_run_that_is_not_computed_is_not_called_finished():
    run = open_run(study="s", parameters={})
    complete_run(run.folder)
    assert load_record(run.folder)["status"] == "running"


def test_a_run_says_what_its_fits_were_made_with():
    run = open_run(study="s", parameters={})
    for seed, threads in ((0, 2), (1, 4)):
        run.record["fits"][f"lora-s{seed}"] = fit_record(
            "lora", seed=seed, circumstances=CIRCUMSTANCES | {"n_threads": threads}
        )
    assert "2 fits · float32 on cpu, 2 threads; float32 on cpu, 4 threads · " in repr(run)


def test_a_notebook_links_what_a_run_left_by_the_road_to_the_runs_and_a_report_links_nothing(
    runs_here, tmp_path, monkeypatch
):
    run = open_run(study="s", parameters={}, directory=runs_here / "s" / "one")
    run.save_table("a & b", table=pd.DataFrame({"z": [1.0]}))
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "runs").symlink_to(runs_here)
    monkeypatch.setenv("ASTROLAB_RUNS_DIR", str(tmp_path / "lab" / "runs"))
    monkeypatch.chdir(tmp_path / "lab")
    assert '<a href="runs/s/one/a%20%26%20b.csv">a &amp; b.csv</a>' in run._repr_html_()
    monkeypatch.setenv(REPORT_FOLLOWS, str(run.folder))
    assert run._repr_html_() is None


def test_predictions_say_which_run_and_fit_they_are_of(case, setup):
    run = open_run(study="s", parameters={})
    run.record["move"] = {"direction": "forward"}
    fitted = run.fit(
        case.network(), adapt={"strategy": "full"}, **setup | {"arm": "tl", "seed": 3}, condition={"fraction": 0.5}
    )
    table = run.predict(fitted, survey=case.parts.test, scaling=case.scaling)
    said = table.drop(columns=["object_id", "truth.z", "pred.z"]).drop_duplicates()
    assert said.to_dict("records") == [
        {
            "run": run.folder.name,
            "fit": "tl-fraction0.5-s3",
            "arm": "tl",
            "strategy": "full",
            "seed": 3,
            "trained_on": "mine",
            "survey": "mine",
            "split": "test",
            "simulated": True,
            "cut_short": fitted.cut_short,
            "direction": "forward",
            "fraction": 0.5,
        }
    ]
    alone = al.predict(fitted.adapted, survey=case.parts.test, scaling=case.scaling)
    assert table["pred.z"].tolist() == alone["pred.z"].tolist()
    saved = run.save_predictions([table])
    pd.testing.assert_frame_equal(saved, al.load_predictions(run.folder / "predictions.parquet"))
    with pytest.raises(RunError, match=r"tl-fraction0\.5-s3"):
        run.predict(replace(fitted, fit=""), survey=case.parts.test, scaling=case.scaling)


def test_what_does_not_train_has_no_learning_rate_and_no_trials(case, setup):
    run = open_run(study="s", parameters={})
    run.fit(case.network(), adapt={"strategy": "zero_shot"}, **setup | {"arm": "zero_shot"})
    run.fit(case.network(), adapt={"strategy": "head"}, **setup | {"arm": "head"})
    costs = cost_table(run.record).set_index("arm")
    assert costs["n_trials"].to_dict() == {"zero_shot": 0, "head": 1}
    assert costs["learning_rate"].isna().to_dict() == {"zero_shot": True, "head": False}
    assert costs["strategy"].to_dict() == {"zero_shot": "zero_shot", "head": "head"}
    assert history_table(run.record)["arm"].unique().tolist() == ["head"]


def test_galaxies_seen_are_epochs_times_galaxies(case, setup):
    run = open_run(study="s", parameters={})
    run.fit(case.network(), adapt={"strategy": "full"}, **setup)
    (cost,) = run.costs.to_dict("records")
    assert cost["n_seen"] == 3 * len(case.parts.train)
    assert cost["n_train"] == len(case.parts.train)


def tiny_steps(setup, **changes):
    """Arguments of a fit that leaves the weights where they began, to rounding."""
    return setup | {"config": setup["config"].with_changes(epochs=1, learning_rate=1e-12)} | changes


def test_one_seed_reaches_the_initial_weights(case, setup):
    run = open_run(study="s", parameters={})
    fitted = run.fit(case.network(), adapt={"strategy": "scratch"}, **tiny_steps(setup, seed=5))
    fresh = case.network(seed=5).state_dict()
    for name, weight in fitted.adapted.network.named_parameters():
        torch.testing.assert_close(weight, fresh[name], msg=name)
    assert (run.record["fits"]["full-s5"]["strategy"]["seed"], fitted.config.seed) == (5, 5)


def test_one_seed_reaches_the_adapters(case, setup):
    run = open_run(study="s", parameters={})
    starts = []
    for seed in (5, 6):
        fitted = run.fit(case.network(), adapt={"strategy": "lora"}, **tiny_steps(setup, seed=seed))
        starts.append({n: w for n, w in fitted.adapted.network.state_dict().items() if "lora_A" in n})
        wanted = al.adapt(case.network(), strategy="lora", seed=seed).network.state_dict()
        assert starts[-1] and all(torch.allclose(weight, wanted[name]) for name, weight in starts[-1].items())
    assert not any(torch.allclose(weight, starts[1][name]) for name, weight in starts[0].items())


@pytest.mark.parametrize(("dropout", "batch_size", "differ"), [(0.0, 16, True), (0.0, 1000, False), (0.5, 1000, True)])
def test_one_seed_reaches_the_order_of_the_galaxies_and_the_dropout(case, setup, dropout, batch_size, differ):
    """From the same weights: batches differ where there are several, masks where there are any, else nothing does."""
    network = case.network(dropout=dropout)
    given = setup | {"config": setup["config"].with_changes(batch_size=batch_size)}
    run = open_run(study="s", parameters={})
    losses = []
    for seed in (5, 6):
        fitted = run.fit(network, adapt={"strategy": "full"}, **given | {"seed": seed})
        losses.append(fitted.history["train_loss"].to_numpy())
        config = given["config"].with_changes(seed=seed)
        by_hand = {
            "train": case.parts.train,
            "validation": case.parts.validation,
            "scaling": case.scaling,
            "config": config,
        }
        alone = al.fit(al.adapt(network, strategy="full", seed=seed), **by_hand)
        assert losses[-1].tolist() == alone.history["train_loss"].tolist(), "scores of a seed stay what they were"
    assert bool(abs(losses[0] - losses[1]).max() > 1e-5) == differ


def test_other_code_of_the_network_makes_its_fits_anew_and_those_of_others_stand(case, setup, monkeypatch):
    run = open_run(study="s", parameters={})
    histories = []
    for code in ("one", "one", "two"):
        digest = f"{code}-of-the-network"
        monkeypatch.setattr("astrolab.runs.run.code_digest", lambda network=None, digest=digest: digest)
        histories.append(run.fit(case.network(), adapt={"strategy": "full"}, **setup).history)
    first, second, other = histories
    assert second.equals(first) and not other.equals(first), "its epochs took the same times: it was not made anew"


def data_of(sample, *, scaling):
    return {"train": sample.train, "validation": sample.validation, "scaling": scaling}


@pytest.fixture
def place(case, setup):
    def find(network=None, **changes):
        given = {"config": setup["config"], "code": "abc", "sample": setup["sample"]} | changes
        data = data_of(given.pop("sample"), scaling=setup["scaling"])
        return _stored_fit(al.adapt(network or case.network(), strategy="full"), data, **given)

    return find


def test_the_same_fit_has_one_place_and_anything_else_another(place, case, setup, runs_here):
    assert place() == place()
    assert place().parent == runs_here / "store"
    other_sample = type(setup["sample"])(case.parts.train.take(range(40)), case.parts.validation, case.parts.validation)
    halved = {"magnitudes": case.parts.train.inputs["magnitudes"][:] / 2}
    read_otherwise = replace(case.parts.train, inputs=halved)  # the same files and ids, read by another manifest
    others = [
        place(network=case.network(seed=1)),
        place(config=setup["config"].with_changes(epochs=4)),
        place(config=setup["config"].with_changes(seed=1)),
        place(code="abd"),
        place(sample=other_sample),
        place(sample=replace(setup["sample"], train=read_otherwise)),
    ]
    assert len({place(), *others}) == 7


@pytest.fixture
def run_rates(case, setup, tmp_path):
    def run(*rates):
        return _run_trials(
            al.adapt(case.network(), strategy="full"),
            data_of(setup["sample"], scaling=setup["scaling"]),
            configs=[setup["config"].with_changes(learning_rate=rate) for rate in rates],
            checkpoints=[tmp_path / f"{rate}.safetensors" for rate in rates],
            description="test",
        )

    return run


def test_a_trial_that_diverges_has_lost_and_is_logged(run_rates):
    best, log = run_rates(1e30, 1e-2)
    assert best.config.learning_rate == 1e-2
    assert log[0]["stopped"].startswith("diverged")
    assert log[0]["validation_loss"] is None
    assert log[1]["validation_loss"] == min(best.history["ema"])


def test_nothing_is_left_to_keep_when_all_diverge(run_rates):
    with pytest.raises(TrainingError):
        run_rates(1e30, 1e31)


@pytest.mark.parametrize(("axes", "kinds"), [(("band",), ["trees", "knn"]), (("pixel",), ["ridge"]), (("time",), [])])
def test_a_classical_model_is_fitted_on_either_survey_and_both_where_it_can_read_one(case, axes, kinds):
    read, specs = {"numbers": case.survey.inputs["magnitudes"]}, {"numbers": al.InputSpec(axes)}
    parts = al.split(replace(case.survey, inputs=read, specs=specs))
    move = Move(parts, parts, parts, {"pretrain": case.survey, "finetune": case.survey}, None, {})
    run = open_run(study="s", parameters={})
    tables = run.predict_baselines(["trees", "knn", "ridge"], move=move, inputs=["numbers"], seed=0)
    arms = [f"{kind}-{sample}" for kind in kinds for sample in SAMPLES]
    assert [table["arm"].iloc[0] for table in tables] == [arm for arm in arms for _ in move.tests]
    assert all((table["pred.z"] - table["truth.z"]).std() < 0.5 * table["truth.z"].std() for table in tables)
    assert [fit["arm"] for fit in run.record["fits"].values()] == arms
