import json
import shutil

import pytest
from simulated_runs import write_run

from astrolab.errors import DataNotFoundError, RunError
from astrolab.runs.finding import find_run, find_run_folders, find_runs

ARMS = {"lora": {"s": (0.0, 0.02)}}


def test_runs_are_found_however_deep_and_only_once(tmp_path):
    write_run(tmp_path / "a" / "study" / "one", arms=ARMS)
    write_run(tmp_path / "b" / "two", arms=ARMS)
    runs, skipped = find_runs([tmp_path / "a", tmp_path, tmp_path / "b" / "two"])
    assert sorted(run.name for run in runs) == ["one", "two"]
    assert not skipped
    assert (find_runs(tmp_path / "b" / "two")[0][0].scores["metric"] == "bias").any()


def test_folders_of_the_same_name_are_told_apart_by_their_parents(tmp_path):
    for study in ("x", "y"):
        write_run(tmp_path / study / "run", arms=ARMS, study=study)
    assert sorted(run.name for run in find_runs(tmp_path)[0]) == ["x/run", "y/run"]


def test_the_run_store_is_no_run(tmp_path):
    write_run(tmp_path / "one", arms=ARMS)
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "run.json").write_text("{}")
    runs, skipped = find_runs(tmp_path)
    assert len(runs) == 1 and not skipped


def test_an_unfinished_run_is_found_without_scores(tmp_path):
    write_run(tmp_path / "one", arms=ARMS, finished=False)
    (run,), skipped = find_runs(tmp_path)
    assert run.record["status"] == "interrupted" and run.scores is None and not skipped


def _damage(folder, kind):
    record = json.loads((folder / "run.json").read_text())
    if kind == "half a record":
        (folder / "run.json").write_text('{"study": "s", ')
    elif kind == "no record":
        (folder / "run.json").unlink()
    elif kind == "somebody else's":
        (folder / "run.json").write_text('{"id": 4, "loss": 0.2}')
    elif kind == "older":
        del record["fits"]["lora-s0"]["trials"]
        (folder / "run.json").write_text(json.dumps(record))
    elif kind == "scores of an older version":
        (folder / "scores.csv").write_text(
            "arm,seed,survey,label,metric,value,low,high,n,simulated\nlora,0,s,z,bias,1,0,2,9,True\n"
        )
    elif kind == "scores without values":
        (folder / "scores.csv").write_text("arm,seed\nlora,0\n")
    elif kind == "empty scores":
        (folder / "scores.csv").write_text("")


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("half a record", "damaged"),
        ("no record", "no run.json"),
        ("somebody else's", "lacks study"),
        ("older", "or of another version of astrolab: fits lora-s0 lacks trials"),
        ("scores without values", "no column run, fit, survey, label"),
        ("scores of an older version", "another version of astrolab: it has no column run, fit"),
        ("empty scores", "scores.csv is damaged"),
    ],
)
def test_a_folder_that_cannot_be_read_is_listed_with_the_reason(tmp_path, kind, reason):
    write_run(tmp_path / "good", arms=ARMS)
    write_run(tmp_path / "bad", arms=ARMS)
    _damage(tmp_path / "bad", kind)
    runs, skipped = find_runs(tmp_path)
    assert [run.name for run in runs] == ["good"]
    ((folder, why),) = skipped.items()
    assert folder.name == "bad" and reason in why


def test_where_there_is_no_run_the_error_says_which_command_makes_one(tmp_path):
    with pytest.raises(RunError, match="astrolab run lora_vs_transfer"):
        find_runs(tmp_path)
    with pytest.raises(DataNotFoundError, match="astrolab run lora_vs_transfer"):
        find_runs(tmp_path / "nothing")
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(RunError, match=r"it is \[\]"):
        find_runs(tmp_path)


def test_the_runs_directory_is_the_default(runs_here):
    write_run(runs_here / "study" / "one", arms=ARMS)
    assert [run.name for run in find_runs()[0]] == ["one"]


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")
    return path


def test_runs_are_found_at_any_depth_whole_or_damaged_and_each_once(tmp_path):
    whole = touch(tmp_path / "runs/study/a/run.json").parent
    touch(whole / "models/base-s0/notebook.ipynb")  # inside a run: not another run
    damaged = touch(tmp_path / "runs/study/b/notebook.partial.ipynb").parent
    touch(tmp_path / "runs/store/abc.safetensors")
    touch(tmp_path / "runs/site/gallery.json")
    touch(tmp_path / "runs/site/runs/study/a/scores.csv")  # a copy in an older gallery
    touch(tmp_path / "runs/.ipynb_checkpoints/notebook.ipynb")
    assert find_run_folders(tmp_path / "runs") == [whole, damaged]
    assert find_run_folders([whole, tmp_path / "runs", str(damaged)]) == [whole, damaged]


@pytest.mark.parametrize("name", ["scores.csv", "predictions.parquet", "report.html", "notebook.ipynb"])
def test_a_file_saved_above_the_runs_hides_none_of_them(tmp_path, name):
    write_run(tmp_path / "runs" / "study" / "one", arms=ARMS)
    touch(tmp_path / "runs" / name)
    touch(tmp_path / "runs" / "study" / name)
    runs, skipped = find_runs(tmp_path / "runs")
    assert [run.name for run in runs] == ["one"] and not skipped


def test_of_nested_folders_without_a_run_the_deepest_is_the_damaged_one(tmp_path):
    write_run(tmp_path / "runs" / "good", arms=ARMS)
    touch(tmp_path / "runs" / "others" / "scores.csv")
    touch(tmp_path / "runs" / "others" / "bad" / "predictions.parquet")
    runs, skipped = find_runs(tmp_path / "runs")
    assert [run.name for run in runs] == ["good"]
    assert [folder.name for folder in skipped] == ["bad"]


def test_the_newest_finished_run_is_found(runs_here):
    for number in (1, 2):
        run = write_run(runs_here / f"{number}", arms=ARMS)
        run.record["started"] = f"2026-01-0{number}T00:00:00"
        run._write()
    assert find_run("lora_vs_transfer") == run.folder
    assert find_run("lora_vs_transfer", directory=run.folder) == run.folder


def test_without_a_run_the_command_that_makes_one_is_named(runs_here, tmp_path, monkeypatch):
    write_run(runs_here / "one", arms=ARMS)
    with pytest.raises(RunError, match="astrolab run data_fractions --preset smoke"):
        find_run("data_fractions")
    (tmp_path / "empty").mkdir()
    for directory in (tmp_path / "nothing", tmp_path / "empty"):
        monkeypatch.setenv("ASTROLAB_RUNS_DIR", str(directory))
        with pytest.raises(RunError, match="astrolab run lora_vs_transfer --preset smoke"):
            find_run("lora_vs_transfer")


def test_a_folder_of_another_study_or_an_unfinished_run_is_refused(tmp_path):
    run = write_run(tmp_path / "one", arms=ARMS)
    with pytest.raises(RunError, match="a run of 'lora_vs_transfer'"):
        find_run("data_fractions", directory=run.folder)
    copy = tmp_path / "copy"
    shutil.copytree(run.folder, copy)
    record = json.loads((copy / "run.json").read_text(encoding="utf-8"))
    (copy / "run.json").write_text(json.dumps(record | {"status": "running"}), encoding="utf-8")
    with pytest.raises(RunError, match="running"):
        find_run("lora_vs_transfer", directory=copy)
