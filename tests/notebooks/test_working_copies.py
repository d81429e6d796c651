"""What `make lab` opens: working copies of the notebooks, which keep what a user changed, beside the results."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def lay_out(tmp_path):
    """Lay out the lab of a small checkout, and give what is printed."""
    shutil.copytree(CHECKOUT / ".jupyter", tmp_path / ".jupyter")
    for path, text in (("notebooks/presets/one.smoke.yaml", "epochs: 1\n"), ("docs/explore.md", "# Exploring\n")):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(text)
    (tmp_path / "data_manifests").mkdir()
    write(tmp_path / "notebooks/10_one.ipynb", "epochs: int = 8")
    script = [sys.executable, tmp_path / ".jupyter/lay_out_lab.py", "runs"]
    return lambda: subprocess.run(script, cwd=tmp_path, check=True, capture_output=True, text=True).stdout


def write(path, source, **cell):
    path.write_text(json.dumps({"cells": [{"cell_type": "code", "source": [source], **cell}]}))


def test_notebooks_are_copied_beside_runs_and_docs(lay_out, tmp_path):
    assert lay_out() == lay_out() == ""
    names = {path.name for path in (tmp_path / "lab").iterdir() if not path.name.startswith(".")}
    assert names == {"10_one.ipynb", "presets", "runs", "docs", "data_manifests"}
    assert (tmp_path / "lab/docs/explore.md").read_text() == "# Exploring\n"
    assert (tmp_path / "lab/runs").resolve() == tmp_path / "runs" and (tmp_path / "runs").is_dir()


def test_a_copy_that_was_only_run_is_renewed_and_one_that_was_changed_is_kept(lay_out, tmp_path):
    lay_out()
    shipped, mine = tmp_path / "notebooks/10_one.ipynb", tmp_path / "lab/10_one.ipynb"
    write(mine, "epochs: int = 8", outputs=["much"])
    assert lay_out() == "" and "much" in mine.read_text(), "nothing new: outputs are kept"
    write(shipped, "epochs: int = 9")
    assert lay_out() == "" and mine.read_text() == shipped.read_text()
    write(mine, "epochs: int = 30")
    assert lay_out() == "", "what was changed is as new as it was"
    write(shipped, "epochs: int = 10")
    assert lay_out() == "lab/10_one.ipynb stays as you changed it. Rename it, to get the new one too.\n"
    assert "30" in mine.read_text()
    mine.rename(mine.with_name("mine.ipynb"))
    assert lay_out() == "" and mine.read_text() == shipped.read_text()
    (tmp_path / "lab/presets/one.smoke.yaml").write_text("epochs: 3\n")
    lay_out()
    assert (tmp_path / "lab/presets/one.smoke.yaml").read_text() == "epochs: 3\n"
