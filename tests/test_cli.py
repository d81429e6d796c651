import os
import re
import subprocess
import sys
from importlib.metadata import version

import numpy as np
import pandas as pd
import pytest
from simulated_runs import write_run
from typer.testing import CliRunner

from astrolab.cli import app
from astrolab.errors import ConfigError, RunError, UnknownNameError
from astrolab.runs.ledger import load_ledger


def astrolab(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    code = "from astrolab.cli import main; main()"
    options = {"capture_output": True, "text": True, "encoding": "utf-8", "errors": "replace"}
    return subprocess.run([sys.executable, "-c", code, *arguments], env=os.environ | environment, **options)


def test_studies_are_listed_with_their_question():
    result = CliRunner().invoke(app, ["studies"])
    assert result.exit_code == 0
    assert "lora_vs_transfer" in result.output
    assert "?" in result.output


def test_parameters_are_listed_with_help():
    result = CliRunner().invoke(app, ["parameters", "lora_vs_transfer"])
    assert "n_pretrain" in result.output


def test_a_mistyped_parameter_stops_before_anything_runs(tmp_path):
    result = astrolab("run", "lora_vs_transfer", "--directory", str(tmp_path / "run"), "-p", "n_pretran=3")
    assert result.returncode == 2
    assert "Did you mean 'n_pretrain'" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "run").exists()


def test_a_dry_run_says_what_would_be_trained_and_writes_nothing(tmp_path):
    result = astrolab(
        "run", "lora_vs_transfer", "--preset", "smoke", "--dry-run", ASTROLAB_RUNS_DIR=str(tmp_path / "runs")
    )
    assert result.returncode == 0 and "lora_vs_transfer · smoke · " in result.stdout
    assert "5 at most: 5 arms × 1 seeds; and the base models" in result.stdout
    assert "finetune_survey    twin-galaxiesml, 300 galaxies, simulated" in result.stdout
    assert not list(tmp_path.iterdir())


def test_the_version_is_that_of_the_package():
    result = CliRunner().invoke(app, ["--version"])
    assert result.exit_code == 0 and result.output == f"astrolab {version('astrolab')}\n"


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("run lora", "lora_vs_transfer"),
        ("run lora_vs_transfer --preset s", "smoke"),
        ("run lora_vs_transfer -p fine", "finetune_survey="),
        ("data info twin-g", "twin-galaxiesml"),
    ],
)
def test_the_shell_completes_names_without_waiting_for_torch(typed, offered):
    code = "import sys; sys.modules['torch'] = None; sys.argv[0] = 'astrolab'; from astrolab.cli import main; main()"
    words = {"COMP_WORDS": f"astrolab {typed}", "COMP_CWORD": str(len(typed.split()))}
    environment = os.environ | words | {"_ASTROLAB_COMPLETE": "complete_bash"}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert offered in result.stdout.split(), result.stderr


def test_a_value_of_the_wrong_type_names_the_type():
    result = astrolab("run", "lora_vs_transfer", "-p", "seeds=three")
    assert result.returncode == 2
    assert "list[int]" in result.stderr


def test_a_parameter_without_a_value_says_how_one_is_given():
    result = astrolab("run", "lora_vs_transfer", "-p", "seeds")
    assert result.returncode == 2 and "-p seeds=VALUE" in result.stderr


def test_an_unknown_study_lists_the_studies():
    result = astrolab("run", "lora")
    assert result.returncode == 2
    assert "lora_vs_transfer" in result.stderr


def test_a_gallery_of_no_runs_says_how_to_make_one(tmp_path):
    result = astrolab("gallery", str(tmp_path), "--out", str(tmp_path / "site"))
    assert result.returncode == 2
    assert "astrolab run" in result.stderr
    assert not (tmp_path / "site").exists()


def test_a_gallery_names_the_runs_that_are_not_whole(tmp_path):
    run = tmp_path / "runs" / "study" / "one"
    run.mkdir(parents=True)
    (run / "run.json").write_text("{")
    result = astrolab("gallery", str(tmp_path / "runs"), "--out", str(tmp_path / "site"))
    assert result.returncode == 0
    assert "study/one: run.json is damaged" in result.stdout
    assert (tmp_path / "site" / "index.html").is_file()


@pytest.mark.parametrize(("value", "said"), [("[1", "expected"), ("{a: 1, a: 2}", "'a' is there twice"), ("\t- x", "")])
def test_a_value_that_is_no_yaml_is_refused_in_four_parts(value, said):
    result = astrolab("run", "lora_vs_transfer", "-p", f"learning_rates={value}")
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert said in result.stderr and "to do" in result.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_that_does_not_know_a_character_is_no_reason_to_fail(tmp_path, encoding):
    write_run(tmp_path / "one", arms={"lora": {"Ω survey": (0.0, 0.02)}}, n=40)
    narrow = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": encoding}
    result = astrolab("results", str(tmp_path), **narrow)
    assert result.returncode == 0, result.stderr
    assert ("? survey" if encoding == "latin-1" else "lora") in result.stdout


ARMS = {"lora": {"near": (0.02, 0.04), "far": (0.0, 0.03)}, "tl": {"near": (0.02, 0.04), "far": (0.0, 0.06)}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    write_run(folder / "first", arms=ARMS, seeds=(0, 1))
    fractions = {"lora@0.1": {"far": (0.0, 0.05)}, "lora@1.0": {"far": (0.0, 0.03)}}
    write_run(folder / "second", arms=fractions, study="data_fractions", direction=None)
    (folder / "broken").mkdir()
    (folder / "broken" / "run.json").write_text("{")
    return folder


def call(*arguments, error=None):
    result = CliRunner().invoke(app, ["results", *map(str, arguments)])
    if error is None:
        assert result.exit_code == 0, result.output
        return result.output
    assert isinstance(result.exception, error)
    return str(result.exception)


def test_everything_is_printed_with_costs_and_what_was_skipped(folder):
    text = call(folder)
    assert "2 runs of 2 studies (1 skipped)" in text
    scores = load_ledger(folder).where(arm="lora", survey="far", metric="scatter", study="lora_vs_transfer").table
    mean, std = scores["value"].mean(), scores["value"].std()
    halves = [np.hypot((scores["value"] - scores[end]).mean(), std) for end in ("low", "high")]
    spread = np.mean(halves)
    assert f"{mean:.4f} ± {spread:.4f} *" in text
    assert "simulated twin surveys" in text and "spread over objects and 2 seeds" in text
    assert "n_trainable" in text and "time_s" in text
    assert "run.json is damaged" in text
    assert not re.search(r"\d\.\d{5}", text), "costs are rounded, too"


def test_a_study_an_expression_and_metrics_narrow_it(folder):
    text = call(folder, "--study", "lora_vs_transfer", "--where", "arm == 'tl' and survey == 'far'", "--metric", "loss")
    assert "data_fractions" not in text and "lora " not in text.partition("experiment ")[2]
    assert "loss" in text and "scatter" not in text
    assert "p.epochs" not in text


@pytest.mark.parametrize("suffix", ["csv", "parquet", "tex"])
def test_it_is_written_to_a_file(folder, tmp_path, suffix):
    path = tmp_path / f"table.{suffix}"
    assert str(path) in call(folder, "--metric", "scatter", "--out", path)
    if suffix == "csv":
        assert set(pd.read_csv(path)["metric"]) == {"scatter"}
    assert path.stat().st_size > 100


def test_mistakes_say_what_there_is(folder, tmp_path):
    assert "p.epochs" in call(folder, "--where", "armm == 'tl'", error=ConfigError)
    assert "arm: lora, tl" in call(folder, "--where", "value > 7", error=RunError)
    assert "data_fractions" in call(folder, "--study", "fractions", error=UnknownNameError)
    assert "Did you mean 'scatter'" in call(folder, "--metric", "scater", error=UnknownNameError)
    assert "astrolab run" in call(tmp_path, error=RunError)


def test_a_ledger_of_unfinished_runs_alone_can_be_printed(tmp_path):
    write_run(tmp_path / "one", arms=ARMS, finished=False)
    text = call(tmp_path)
    assert "1 unfinished" in text and "interrupted" in text


def test_where_seeds_differ_each_row_says_how_many_it_has(tmp_path):
    for names, seeds in ((["lora"], (0, 1)), (["tl"], (0,))):
        arms = {name: ARMS[name] for name in names}
        write_run(tmp_path / names[0], arms=arms, seeds=seeds, parameters={"arms": names})
    text = call(tmp_path, "--metric", "scatter")
    assert "±: spread over objects and seeds where there are several, else bootstrap interval over objects" in text
    rows = [line.split() for line in text.splitlines() if "±" in line and "±:" not in line]
    assert sorted((row[-1], "lora" in row) for row in rows) == [("1", False), ("1", False), ("2", True), ("2", True)]


def test_costs_of_both_directions_are_printed(tmp_path):
    for direction, time_s in (("forward", 10.0), ("reverse", 90.0)):
        write_run(tmp_path / direction, arms=ARMS, time_s=time_s, direction=direction)
    ends_in_costs = re.compile(r" (base|lora|tl) .*\d\.\d +0\.0$")
    costs = [line.split() for line in call(tmp_path).splitlines() if ends_in_costs.search(line)]
    assert [(row[0], row[1], row[-2]) for row in costs] == [
        (direction, arm, time_s)
        for direction, time_s in (("forward", "10.0"), ("reverse", "90.0"))
        for arm in ("base", "lora", "tl")
    ]


def test_a_table_written_beside_the_runs_does_not_hide_them(tmp_path):
    write_run(tmp_path / "one", arms=ARMS)
    before = call(tmp_path)
    call(tmp_path, "--out", tmp_path / "scores.csv")
    assert call(tmp_path) == before


def test_a_survey_without_redshifts_is_predicted_into_parts_and_a_second_call_keeps_them(tmp_path):
    import astrolab as al

    rows = pd.DataFrame({"g": [20.0 + k / 10 for k in range(90)], "r": [20.0 + k / 20 for k in range(90)]})
    rows.assign(z=rows["g"] - 20).to_csv(tmp_path / "known.csv", index=False)
    rows.to_csv(tmp_path / "new.csv", index=False)
    inputs = '[input.magnitudes]\nchannels = ["g", "r"]\ncolumns = ["g", "r"]\n[format]\nformat = "csv"\n'
    for name, label in (("known", '[[label]]\nname = "z"\ncolumn = ["z"]\n'), ("new", "")):
        head = f'name = "{name}"\ntitle = "Mine"\nversion = "1"\n{label}{inputs}[[files]]\npath = "{name}.csv"\n'
        (tmp_path / f"{name}.toml").write_text(head)
    survey = al.load_survey(tmp_path / "known.toml")
    setup = {"sample": al.split(survey), "scaling": al.fit_scaling(survey), "config": al.TrainConfig(epochs=1)}
    run = al.open_run(study="mine", parameters={}, directory=tmp_path / "run")
    run.fit(al.make_model("mlp", survey=survey, seed=0), adapt={"strategy": "full"}, arm="full", seed=0, **setup)
    run.finish()
    command = ["predict", str(tmp_path / "run"), str(tmp_path / "new.toml"), "--out", str(tmp_path / "out")]
    command += ["--rows-per-part", "40"]
    first = CliRunner().invoke(app, command)
    assert first.exit_code == 0, first.output
    assert first.output.count("40 objects") == 2 and "part-00002.parquet  10 objects" in first.output
    assert "90 objects in 3 parts" in first.output and str(tmp_path / "out") in first.output
    times = [file.stat().st_mtime_ns for file in sorted((tmp_path / "out").iterdir())]
    assert CliRunner().invoke(app, command).output == first.output
    assert [file.stat().st_mtime_ns for file in sorted((tmp_path / "out").iterdir())] == times
