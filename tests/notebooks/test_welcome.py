"""The welcome notebook greets, links every study, and its example runs."""

import json

import nbformat
import pytest

from astrolab.parameters import list_studies, read_title, shipped_folder

WELCOME = shipped_folder("notebooks") / "00_welcome.ipynb"


@pytest.fixture(scope="module")
def cells():
    return json.loads(WELCOME.read_text(encoding="utf-8"))["cells"]


def test_it_is_not_taken_for_a_study():
    assert "welcome" not in list_studies()
    assert len(list_studies()) >= 2


@pytest.mark.parametrize(("study", "notebook"), list_studies().items())
def test_every_study_is_linked_with_its_question_and_its_command(cells, study, notebook):
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    row = next((line for line in text.splitlines() if f"]({notebook.name})" in line), "")
    assert read_title(notebook) in row
    assert f"`astrolab run {study}`" in row
    minutes = row.split("|")[3]
    assert float(minutes.split("–")[-1]) > 0


def test_it_keeps_no_outputs_and_a_plain_kernel(cells):
    assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]
    assert json.loads(WELCOME.read_text(encoding="utf-8"))["metadata"]["kernelspec"]["name"] == "python3"


def test_its_example_runs_and_shows_galaxies(tmp_path):
    import papermill

    papermill.execute_notebook(WELCOME, tmp_path / "out.ipynb", kernel_name="python3", progress_bar=False)
    executed = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    (example,) = (cell for cell in executed.cells if cell.cell_type == "code")
    assert len(example.source.splitlines()) <= 5
    kinds = [kind for output in example.outputs for kind in output.get("data", {})]
    assert "image/png" in kinds
    assert "simulated" in example.outputs[0]["data"]["text/plain"]
