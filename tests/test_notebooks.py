"""The rules every notebook keeps, and one smoke run of each through papermill."""

import ast
import json
import re
from pathlib import Path

import pytest

from astrolab.parameters import list_presets, list_studies, load_preset, read_declarations

STUDIES = list_studies()
each_study = pytest.mark.parametrize("study", STUDIES)


def cells_of(study: str, kind: str) -> list[str]:
    notebook = json.loads(STUDIES[study].read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == kind]


@each_study
def test_code_is_calls_only_and_short(study):
    code = cells_of(study, "code")
    for source in code:
        assert not re.search(r"^\s*[!%]", source, re.MULTILINE), source
        banned = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Try)
        assert not [node for node in ast.walk(ast.parse(source)) if isinstance(node, banned)], source
        assert len(source.splitlines()) <= 25, source
    assert sum(len(source.splitlines()) for source in code) <= 120


@each_study
def test_text_goes_with_the_code(study):
    assert len(cells_of(study, "markdown")) >= 0.8 * len(cells_of(study, "code"))


@each_study
def test_no_outputs_and_a_plain_kernel(study):
    notebook = json.loads(STUDIES[study].read_text(encoding="utf-8"))
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert not [c for c in notebook["cells"] if c.get("outputs") or c.get("execution_count")]


@each_study
def test_parameters_are_readable_by_papermill(study):
    from papermill import inspect_notebook

    declared = read_declarations(STUDIES[study])
    assert all(parameter.help for parameter in declared.values()), "every parameter says what it is"
    assert set(inspect_notebook(str(STUDIES[study]))) == set(declared)
    source = next(s for s in cells_of(study, "code") if "run_dir" in s)
    for line in source.splitlines():
        assert "|" not in line and line.count("=") == 1, f"papermill hides this parameter: {line}"


@each_study
def test_prose_quotes_no_measured_number(study):
    for text in cells_of(study, "markdown"):
        assert not re.search(r"(scatter|bias|rate) (of|is|was|=) *[0-9]", text), text


@each_study
def test_presets_are_valid_and_a_smoke_preset_exists(study):
    presets = list_presets(study)
    assert "smoke" in presets
    for preset in presets:
        assert load_preset(study, preset=preset)


@each_study
def test_the_smoke_run_leaves_a_complete_run_folder(study, tmp_path):
    from astrolab.batch import run_study

    folder = run_study(study, preset="smoke", directory=tmp_path / "run", progress=False)
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert record["status"] == "finished"
    report = (folder / "report.html").read_text(encoding="utf-8")
    assert "data:image/png;base64" in report
    assert not re.search(r"""(src|href)=["']https?://[^"']+\.(js|css|mjs|png)""", report), (
        "the report needs the network"
    )
    assert {p.suffix for p in (folder / "figures").iterdir()} == {".png", ".pdf"}
    calls = "\n".join(cells_of(study, "code"))
    tables = ["predictions.parquet", "scores.csv"] if "run.save_predictions(" in calls else []
    for name in ("notebook.ipynb", *tables):
        assert (folder / name).stat().st_size > 0
    assert bool(list((folder / "models").glob("*/*.safetensors"))) == ("run.fit(" in calls)
    assert not [p for p in Path(folder).rglob("*part*") if p.is_file()]
