import subprocess
import sys

from typer.testing import CliRunner

from astrolab.cli import app, join_parameters


def astrolab(*arguments: str) -> subprocess.CompletedProcess:
    code = "from astrolab.cli import main; main()"
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)


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
    assert "study/one: run.json cannot be read" in result.stdout
    assert (tmp_path / "site" / "index.html").is_file()
