"""What the README and the how-to pages show can be typed as it stands."""

import re
import shlex
from pathlib import Path
from unittest.mock import patch

import nbformat
import pytest
import typer
from simulated_runs import SURVEYS, write_run
from typer.testing import CliRunner

import astrolab as al
from astrolab.cli import _name_and_value, app
from astrolab.models.registry import MODELS
from astrolab.parameters import check_parameters, default_parameters, find_notebook, load_preset
from astrolab.runs.clashes import require_agreement

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "data_manifests" / "README.md"]
HOWTO = ROOT / "docs" / "howto"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
OTHERS = ("make", "git", "cd", "source", "papermill", "pytest", "python", "pip", "conda")
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())


def blocks_of(page: Path, *kinds: str) -> list[tuple[str, str]]:
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [(kind, text) for kind, text in found if kind in kinds]


def code_under(heading: str, *, page: str = "README.md") -> str:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.search(r"```python\n(.*?)```", text.partition(f"## {heading}")[2], re.DOTALL)[1]


def commands_of(page: Path) -> list[list[str]]:
    """The lines of a page's shell blocks, each as words, without comments."""
    lines = [line for _, text in blocks_of(page, "sh") for line in text.replace("\\\n", " ").splitlines()]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def given_to(words: list[str]) -> dict:
    return dict(_name_and_value(words[k + 1]) for k, word in enumerate(words) if word == "-p")


def parameters_of(words: list[str]) -> dict:
    """The parameters of a study as `astrolab run` is told them, preset included."""
    preset = load_preset(words[0], preset=words[words.index("--preset") + 1]) if "--preset" in words else {}
    return default_parameters(find_notebook(words[0])) | preset | check_parameters(given_to(words), study=words[0])


@pytest.fixture
def in_folder(tmp_path, monkeypatch):
    """An empty folder to type in, with runs and imported manifests of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ASTROLAB_RUNS_DIR", raising=False)
    return tmp_path


def type_out(page: Path, *, folder: Path) -> dict:
    """Do what a page says: Python is run, a manifest is saved under the name in its first line, `data` is commanded."""
    namespace = {"__name__": "__main__"}
    for kind, text in blocks_of(page, "python", "toml", "sh"):
        if kind == "python":
            exec(compile(text, page.name, "exec"), namespace)
        elif kind == "toml":
            (folder / text.partition("\n")[0].lstrip("# ")).write_text(text, encoding="utf-8")
        else:
            for line in text.splitlines():
                words = shlex.split(line, comments=True)
                if words[1:2] == ["data"]:
                    result = CliRunner().invoke(app, words[1:], catch_exceptions=False)
                    assert result.exit_code == 0, f"{line}\n{result.output}"
    return namespace


@each_page
def test_links_lead_somewhere(page):
    text = re.sub(BLOCK, "", page.read_text(encoding="utf-8"))
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert not [link for link in links if link and not (page.parent / link).exists()]


@each_page
def test_commands_exist_and_have_the_options_that_are_typed(page):
    for name, *words in commands_of(page):
        if name != "astrolab":
            assert name in OTHERS or "=" in name, name
            continue
        command = typer.main.get_command(app)
        while words and not words[0].startswith("-") and hasattr(command, "commands"):
            assert words[0] in command.commands, f"astrolab {words[0]}"
            command, words = command.commands[words[0]], words[1:]
        options = {option: one for one in command.params for option in one.opts if option.startswith("-")}
        typed = [word for word in words if word.startswith("-")]
        assert set(typed) <= set(options), f"astrolab {command.name}: {set(typed) - set(options)}"
        if command.name == "run" and not words[0].endswith(".ipynb"):
            parameters_of(words)


@each_page
def test_make_targets_exist(page):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for name, *words in commands_of(page):
        if name == "make":
            targets = [word for word in words if "=" not in word]
            assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets), words


def test_the_code_fits_together_as_the_architecture_shows():
    code = code_under("One flow", page="docs/architecture.md")
    for large, small in {"n=2000": "n=120", "epochs=2": "epochs=1"}.items():
        assert large in code
        code = code.replace(large, small)
    namespace = {}
    *statements, last = code.strip().splitlines()
    exec("\n".join(statements), namespace)
    scores = eval(last, namespace)
    assert sum(p.numel() for p in namespace["network"].parameters()) == 11_577_025
    assert namespace["adapted"].plan.n_trainable == 152_280
    assert set(scores["metric"]) >= {"bias", "scatter"} and scores["simulated"].all()


def test_the_ledger_is_used_as_the_readme_shows(in_folder):
    quick = default_parameters(find_notebook("lora_vs_transfer"))
    arms = {name: {survey: (0.01, width) for survey in SURVEYS} for name, width in (("lora", 0.02), ("tl", 0.06))}
    for name in ("first", "again"):
        write_run(in_folder / "runs" / name, arms=arms, parameters=quick)
    write_run(in_folder / "runs" / "smoke", arms=arms, parameters={"epochs": 1})
    fractions = {f"lora@{fraction}": arms["lora"] for fraction in (0.1, 0.5, 1.0)}
    write_run(in_folder / "runs" / "other", arms=fractions, study="data_fractions", direction=None)
    *statements, claims = code_under("Compare runs").strip().splitlines()
    *statements, comparison = statements
    namespace = {"al": al}
    exec("\n".join(statements), namespace)
    compared = eval(comparison, namespace)
    assert set(compared.query("metric == 'scatter'")["better"]) == {"lora"}
    assert set(eval(claims, namespace)["protocol"]) == {"fair"}


def test_a_survey_of_ones_own(in_folder, monkeypatch):
    monkeypatch.setenv("ASTROLAB_DATA_DIR", str(in_folder / "data"))
    page = type_out(HOWTO / "your_own_survey.md", folder=in_folder)
    assert set(al.list_manifests()) >= {"my-bright", "my-faint"}
    bright, faint = (survey.inputs["magnitudes"][:][:, 1] for survey in page["move"].surveys.values())
    assert bright.max() < 19.5 <= faint.min()
    study, _ = (words[2:] for words in commands_of(HOWTO / "your_own_survey.md") if words[1] == "run")
    assert page["stars"].specs["spectrum"].bridge["resolution"] == list(page["lower"])
    require_agreement(parameters_of(study), study=study[0])
    scatter = page["scores"].query("metric == 'scatter'")["value"]
    assert len(scatter) == 6 and scatter.max() < 0.05, "a spread of 0.3 in redshift has been learned"


def test_a_network_of_ones_own(in_folder):
    with patch.dict(MODELS):
        page = type_out(HOWTO / "your_own_network.md", folder=in_folder)
    pred = al.predict(page["base"].adapted, survey=page["parts"].test, scaling=page["scaling"])["pred.z"]
    assert page["table"]["pred.z"].to_numpy() == pytest.approx(pred.to_numpy())


def test_a_strategy_of_ones_own(in_folder):
    page = type_out(HOWTO / "your_own_strategy.md", folder=in_folder)
    assert set(page["scores"]["arm"]) == {"zero_shot", "lora", "dora-upper"}
    assert page["mine"].sample == "finetune" and page["narrow"].plan.n_trainable < page["upper"].plan.n_trainable


def test_a_study_of_ones_own(in_folder):
    page = HOWTO / "your_own_study.md"
    cells = [nbformat.v4.new_code_cell(text.strip()) for _, text in blocks_of(page, "python")]
    cells[0].metadata["tags"] = ["parameters"]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), in_folder / "how_many_layers.ipynb")
    words = next(words for words in commands_of(page) if words[:2] == ["astrolab", "run"])
    folder = al.run_study(in_folder / words[2], parameters=given_to(words) | {"n_steps": 10}, progress=False)
    assert {"report.html", "scores.csv", "predictions.parquet"} <= {path.name for path in folder.iterdir()}
    assert set(al.load_ledger("runs").scores["seed"]) == {0, 1}
