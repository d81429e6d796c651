"""The rules every notebook keeps, and one smoke run of each through papermill."""

import ast
import difflib
import itertools
import json
import re
from pathlib import Path

import pytest

from astrolab.errors import RunError
from astrolab.parameters import list_presets, list_studies, load_preset, read_declarations

STUDIES = list_studies()
SHARED_LINES, CODE_LINES, CELL_LINES = 10, 100, 25
each_study = pytest.mark.parametrize("study", STUDIES)


def cells_of(study: str, kind: str) -> list[str]:
    notebook = json.loads(STUDIES[study].read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == kind]


def code_lines(study: str) -> list[str]:
    return [line for source in cells_of(study, "code") for line in source.splitlines() if line.strip()]


@each_study
def test_code_is_calls_only_and_short(study):
    for source in cells_of(study, "code"):
        assert not re.search(r"^\s*[!%]", source, re.MULTILINE), source
        banned = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Try, ast.Lambda)
        assert not [node for node in ast.walk(ast.parse(source)) if isinstance(node, banned)], source
        assert len(source.splitlines()) <= CELL_LINES or "run_dir: str" in source, source
    assert len(code_lines(study)) <= CODE_LINES


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(STUDIES, 2)))
def test_no_two_notebooks_repeat_each_other(one, other):
    texts = code_lines(one), code_lines(other)
    found = difflib.SequenceMatcher(None, *texts, autojunk=False).find_longest_match()
    assert found.size <= SHARED_LINES, "\n".join(texts[0][found.a : found.a + found.size])


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


def test_the_published_recipes_share_one_base_model():
    """Trained for hours at this size: it is taken from the run store by whoever asks for the very same one."""
    recipes = []
    for study in ("lora_vs_transfer", "data_fractions", "layers_and_ranks"):
        preset, declared = load_preset(study, preset="paper"), read_declarations(STUDIES[study])
        names = ("n_pretrain", "image_size", "model_options", "scaling", "seeds", "training")
        recipe = [preset[name] for name in names]
        recipes.append([*recipe, preset.get("base_epochs", preset["epochs"]), declared["label_clamp"].default])
    assert recipes[0] == recipes[1] == recipes[2]


@each_study
def test_printed_numbers_are_chosen_by_how_a_model_was_moved(study):
    assert "load_published(" not in "\n".join(cells_of(study, "code")), "use load_counterpart, or compare_with_paper"


@each_study
def test_presets_are_valid_and_a_smoke_preset_exists(study):
    from papermill.iorw import read_yaml_file

    presets = list_presets(study)
    assert "smoke" in presets
    for preset, path in presets.items():
        assert load_preset(study, preset=preset) == read_yaml_file(str(path)), "plain papermill -f reads the same"


@pytest.fixture(scope="module")
def smoke_run(tmp_path_factory):
    """Make the smoke run of a study, once, in a runs directory that all of them share."""
    from astrolab.studies.running import run_study

    made = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASTROLAB_RUNS_DIR", str(tmp_path_factory.mktemp("runs")))

        def run(study: str) -> Path:
            if study in ("compare_runs", "explore_predictions"):  # they train nothing, and look at what others left
                run("lora_vs_transfer")
            if study not in made:
                made[study] = run_study(study, preset="smoke", progress=False)
            return made[study]

        yield run


@each_study
def test_the_smoke_run_leaves_a_complete_run_folder(study, smoke_run):
    folder = smoke_run(study)
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
    assert bool(record["move"]) == ("record_move(" in calls)
    assert not [p for p in Path(folder).rglob("*part*") if p.is_file()]


def test_scores_know_their_run_and_fit(smoke_run):
    import pandas as pd

    folder = smoke_run("lora_vs_transfer")
    scores = pd.read_csv(folder / "scores.csv")
    fits = json.loads((folder / "run.json").read_text(encoding="utf-8"))["fits"]
    assert set(scores["run"]) == {folder.name}
    assert set(scores["fit"]) == set(fits) - {"base-s0"}


def test_runs_are_compared_in_tables_that_papers_can_print(smoke_run):
    import pandas as pd

    folder, first = smoke_run("compare_runs"), smoke_run("lora_vs_transfer")
    assert r"\toprule" in (folder / "scores.tex").read_text(encoding="utf-8")
    ledger = pd.read_csv(folder / "ledger.csv")
    of_first = ledger[ledger["run"] == first.name].reset_index(drop=True)
    scores = pd.read_csv(first / "scores.csv")
    assert of_first["value"].tolist() == scores["value"].tolist()
    claims = pd.read_csv(folder / "claims.csv")
    assert set(claims["protocol"]) == {"fair", "published"} and claims["evidence"].str.len().gt(0).all()
    beside = pd.read_csv(folder / "beside_the_paper.csv")
    lora = beside.query("study == 'lora_vs_transfer' and arm == 'lora' and survey == 'combo' and metric == 'scatter'")
    assert lora["printed"].tolist() == [0.0223]
    assert (pd.read_csv(folder / "comparisons.csv")["better"].notna()).all()


def test_a_tour_with_an_arm_that_the_run_lacks_stops_in_its_first_code_cells(smoke_run):
    from astrolab.studies.running import run_study

    smoke_run("lora_vs_transfer")
    with pytest.raises(RunError, match="full-s0") as caught:
        run_study("explore_predictions", preset="smoke", parameters={"beside": "full"}, progress=False)
    assert caught.value.received.startswith("cell 5: "), "before anything is loaded or drawn"
    assert "base-s0, combo-s0, lora-s0" in caught.value.received


def test_the_tour_is_left_at_its_first_step(smoke_run):
    smoke_run("lora_vs_transfer")
    namespace = {}
    for source in cells_of("explore_predictions", "code")[:5]:
        exec(source, namespace)
    explorer = namespace["explorer"]
    assert explorer.view.what == "all" and len(namespace["outliers"]) < len(explorer.view.objects)
    explorer.select(explorer.view.outliers)
    explorer._save(".csv")
    names = re.findall(r">([^<]+)</a>", explorer.links.outputs[0]["data"]["text/html"])
    assert names == ["report.html", "selection.csv"]


def test_explorers_are_called_as_the_docs_show(smoke_run):
    smoke_run("lora_vs_transfer")
    docs = (Path(__file__).parents[2] / "docs" / "explore.md").read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"```python\n(.*?)```", docs, re.DOTALL))
    namespace, explorers = {}, []
    for line in map(ast.unparse, ast.parse(code).body):
        if line.startswith("al.explore_"):
            explorers.append(eval(line, namespace))
        else:
            exec(line, namespace)
    predictions, adapter, twin, landscape = explorers
    for _, survey in predictions.survey.options:
        predictions.survey.value = survey
        assert "<figure" in predictions.places["cutouts"].value, f"{survey} has pictures"
    assert set(adapter.clouds) == {"twin-transferz", "twin-galaxiesml"}
    assert twin.galaxy.image.shape == (5, 16, 16), "the size that the run trained on"
    assert landscape.table()["arm"].tolist() == ["base", "lora"]
