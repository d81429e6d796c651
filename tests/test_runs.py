import json
import subprocess
import sys

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from astrolab.errors import ConfigError, RunError
from astrolab.runs import find_unfinished, load_record, open_run


@pytest.fixture(autouse=True)
def _runs_here(tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROLAB_RUNS_DIR", str(tmp_path / "runs"))


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


def test_the_record_names_versions_and_parameters():
    run = open_run(study="s", parameters={"seeds": [0]})
    record = json.loads((run.folder / "run.json").read_text())
    assert record["parameters"] == {"seeds": [0]}
    assert {"torch", "peft", "astrolab"} <= set(record["versions"])


def test_a_folder_without_a_run_is_said_to_be_one(tmp_path):
    with pytest.raises(ConfigError, match=r"run\.json"):
        load_record(tmp_path)
