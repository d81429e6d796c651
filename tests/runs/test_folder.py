import subprocess
import sys

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from simulated_runs import CIRCUMSTANCES, fit_record

from astrolab.errors import RunError
from astrolab.models.saving import load_model
from astrolab.runs import find_unfinished, load_record, open_run
from astrolab.runs.folder import REPORT_FOLLOWS, complete_run


def test_a_run_that_was_cut_off_is_taken_up_again_and_a_finished_one_is_not():
    first = open_run(study="s", parameters={"n": 1})
    first._lock.release()
    again = open_run(study="s", parameters={"n": 1})
    assert again.folder == first.folder
    again.finish(scores=pd.DataFrame({"metric": ["bias"], "value": [0.0]}))
    assert find_unfinished("s", parameters={"n": 1}) is None
    assert load_record(first.folder)["status"] == "finished"


def test_other_parameters_get_another_folder_and_may_not_enter_this_one(tmp_path):
    run = open_run(study="s", parameters={"n": 1})
    run._lock.release()
    assert find_unfinished("s", parameters={"n": 2}) is None
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
        run.fit(case.mlp, adapt={"strategy": "full"}, condition={"fraction": fraction}, **setup)
    assert run.costs["fraction"].tolist() == [0.5, 1.0]
    assert run.histories.groupby("fraction").size().tolist() == [3, 3]
    assert {p.name for p in (run.folder / "models").iterdir()} == {"full-fraction0.5-s0", "full-fraction1.0-s0"}


def test_the_rate_that_validates_best_is_kept_and_every_trial_recorded(case, setup):
    run = open_run(study="s", parameters={})
    result = run.fit(case.mlp, adapt={"strategy": "full"}, learning_rates=[1e-8, 1e-2], **setup)
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
        run.fit(case.mlp, adapt={"strategy": "full"}, shared=True, **setup)
        assert run.costs["reused"].tolist() == [number == 1]
        folders.append(run.folder / "models" / "full-s0" / "model.safetensors")
    assert folders[0].read_bytes() == folders[1].read_bytes()
    load_model(folders[1].parent)


def test_the_record_tells_which_galaxies_of_a_file_there_were(case):
    run = open_run(study="s", parameters={})
    run.record_surveys({"all": case.train, "some": case.train.take(slice(10))})
    noted = load_record(run.folder)["surveys"]
    assert noted["all"]["digest"] == case.train.digest != noted["some"]["digest"]


def test_a_study_that_only_looks_leaves_no_tables():
    run = open_run(study="s", parameters={})
    run.finish()
    assert {p.name for p in run.folder.iterdir()} <= {"run.json", ".lock"}


def test_a_run_whose_report_was_not_written_goes_on_with_everything_it_has(case, setup, monkeypatch):
    run = open_run(study="s", parameters={})
    monkeypatch.setenv(REPORT_FOLLOWS, str(run.folder))
    open_run(study="t", parameters={}).finish()
    assert not find_unfinished("t", parameters={}), "a run beside it has no report to wait for"
    first = run.fit(case.mlp, adapt={"strategy": "full"}, **setup)
    run.finish()
    assert load_record(run.folder)["status"] == "computed"
    monkeypatch.setattr("astrolab.trainers.loop.train_epoch", lambda *a, **k: pytest.fail("it trains anew"))
    again = open_run(study="s", parameters={})
    assert again.folder == run.folder
    assert again.fit(case.mlp, adapt={"strategy": "full"}, **setup).history.equals(first.history)
    again.finish()
    complete_run(run.folder)
    assert load_record(run.folder)["status"] == "finished" and not (run.folder / "checkpoints").exists()
    assert find_unfinished("s", parameters={}) is None


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
