import os
import subprocess
import sys

import pytest
from simulated_runs import write_run
from typer.testing import CliRunner

from astrolab.cli import app, join_parameters


def astrolab(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    code = "from astrolab.cli import main; main()"
    options = {"capture_output": True, "text": True, "encoding": "utf-8", "errors": "replace"}
    return subprocess.run([sys.executable, "-c", code, *arguments], env=os.environ | environment, **options)


def test_parameters_may_be_two_words_or_one():
    assert join_parameters(["-p", "a", "1", "-p", "b=2", "--preset", "x"]) == [
        "-p",
        "a=1",
        "-p",
        "b=2",
        "--preset",
        "x",
    ]


def test_studies_are_listed_with_their_question():
    result = CliRunner().invoke(app, ["studies"])
    assert result.exit_code == 0
    assert "lora_vs_transfer" in result.output
    assert "?" in result.output


def test_parameters_are_listed_with_help():
    result = CliRunner().invoke(app, ["parameters", "lora_vs_transfer"])
    assert "n_pretrain" in result.output


def test_a_mistyped_parameter_stops_before_anything_runs(tmp_path):
    result = astrolab("run", "lora_vs_transfer", "--directory", str(tmp_path / "run"), "-p", "n_pretran", "3")
    assert result.returncode == 2
    assert "Did you mean 'n_pretrain'" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "run").exists()


def test_a_value_of_the_wrong_type_names_the_type():
    result = astrolab("run", "lora_vs_transfer", "-p", "seeds", "three")
    assert result.returncode == 2
    assert "list[int]" in result.stderr


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


@pytest.mark.parametrize(
    ("value", "said"), [("[1", "expected"), ("{a: 1, a: 2}", "'a' stands there twice"), ("\t- x", "")]
)
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
