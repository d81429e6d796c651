"""Notebooks executed as studies, and their reports."""

import io
import os
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET

import nbformat
import psutil
import pytest

from astrolab.errors import ParameterError, RunError
from astrolab.runs import find_unfinished, load_record
from astrolab.runs.record import write_record
from astrolab.runs.run import current_status
from astrolab.studies import running
from astrolab.studies.report import replace_equations, write_report

KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}


@pytest.fixture
def tiny_study(tmp_path):
    """A user's own notebook of two cells."""

    def make(source: str, *, declared: str = ""):
        line = f'{declared}\nrun_dir: str = ""  # folder'.strip()
        cells = [nbformat.v4.new_code_cell(line, metadata={"tags": ["parameters"]})]
        cells += [nbformat.v4.new_markdown_cell("## Before\n\n### The only stage"), nbformat.v4.new_code_cell(source)]
        path = tmp_path / "90_tiny.ipynb"
        nbformat.write(nbformat.v4.new_notebook(metadata=KERNEL, cells=cells), path)
        return path

    return make


def outputs_of(notebook):
    streams = nbformat.read(notebook, as_version=4).cells[-1].outputs
    return [(o.name, o.text) for o in streams if o.output_type == "stream"]


def test_training_bars_are_not_kept_in_the_notebook_and_warnings_beside_them_are(tiny_study, tmp_path):
    study = tiny_study(
        "import sys, warnings\nfrom tqdm import tqdm\n"
        "for n in tqdm(range(3), desc='base-s0'):\n    warnings.warn('said once')\n"
        "sys.stderr.write('lora-s0: epoch 2 of 2, train 0.31, validation 0.20, lr 1e-03, 0.2 s/epoch\\n')\n"
        "n = sys.stderr.write('\\n')\nprint('kept', run_dir)"
    )
    path = running.execute(study, parameters={}, folder=tmp_path / "run", progress=False)
    (stderr, warned), (stdout, text) = outputs_of(path)
    assert (stderr, stdout, text) == ("stderr", "stdout", f"kept {tmp_path / 'run'}\n")
    assert warned.count("said once") == 2, "the text, and the line that it came from"
    assert "base-s0" not in warned and "epoch" not in warned


def test_a_failing_cell_keeps_the_notebook_under_a_partial_name(tiny_study, tmp_path):
    study = tiny_study("1 / 0")
    with pytest.raises(RunError, match="ZeroDivisionError") as caught:
        running.execute(study, parameters={}, folder=tmp_path / "run", progress=False)
    assert "goes on" not in caught.value.remedy, "there is no run to go on with"
    assert (tmp_path / "run" / "notebook.partial.ipynb").is_file()
    assert not (tmp_path / "run" / "notebook.ipynb").exists()


OPENS = "import astrolab as al, os; run = al.open_run(study='tiny', parameters={}, directory=run_dir)\n"


@pytest.mark.parametrize(
    ("ends", "status", "goes_on"),
    [
        ("1 / 0", "failed (ZeroDivisionError: division by zero)", True),
        ("al.ARMS['lora'].no_such", "failed (AttributeError: 'Arm' object has no attribute 'no_such')", True),
        ("al.make_model('cn')", "failed (TypeError", True),
        (
            "al.load_manifest('transfer')",
            "failed (UnknownNameError: A survey was asked for by name: 'transfer')",
            False,
        ),
        ("os.kill(os.getpid(), 9)", "running", True),
    ],
)
def test_a_run_says_how_it_ended_and_whether_the_same_command_goes_on(tiny_study, tmp_path, ends, status, goes_on):
    with pytest.raises(RunError) as caught:
        running.execute(tiny_study(OPENS + ends), parameters={}, folder=tmp_path / "run", progress=False)
    record = load_record(tmp_path / "run")
    assert record["status"].startswith(status) and ("goes on" in caught.value.remedy) == goes_on
    assert current_status(tmp_path / "run", record=record) == record["status"].replace("running", "interrupted")
    assert ("memory ran out, or it was killed" in caught.value.received) == (status == "running")


def test_a_folder_in_which_another_process_is_at_work_is_refused_before_a_kernel_starts(tiny_study, tmp_path):
    hold = "import sys, time; from astrolab.runs import open_run; from pathlib import Path\n"
    hold += (
        "run = open_run(study='tiny', parameters={}, directory=Path(sys.argv[1])); print(1, flush=True); time.sleep(99)"
    )
    with subprocess.Popen([sys.executable, "-c", hold, tmp_path / "run"], stdout=subprocess.PIPE) as other:
        assert other.stdout.readline()
        assert current_status(tmp_path / "run", record=load_record(tmp_path / "run")) == "running"
        with pytest.raises(RunError, match="another process is at work"):
            running.execute(tiny_study("1"), parameters={}, folder=tmp_path / "run", progress=False)
        assert not (tmp_path / "run" / "notebook.partial.ipynb").exists()
        other.kill()
    assert current_status(tmp_path / "run", record=load_record(tmp_path / "run")) == "interrupted"


def test_ctrl_c_ends_the_kernel_and_names_the_command_that_goes_on(tiny_study, tmp_path):
    wait = OPENS + "import pathlib, time; pathlib.Path('kernel').write_text(str(os.getpid())); time.sleep(99)"
    arguments = [sys.executable, "-c", "from astrolab.cli import main; main()", "run", tiny_study(wait).name]
    options = {"cwd": tmp_path, "stderr": subprocess.PIPE, "env": os.environ | {"ASTROLAB_RUNS_DIR": "runs"}}
    heard = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}  # whatever started the tests
    with subprocess.Popen(arguments, text=True, **options, **heard) as command:
        header = command.stderr.readline()
        while not (tmp_path / "kernel").exists() or not (tmp_path / "kernel").read_text():
            assert command.poll() is None
            time.sleep(0.1)
        command.send_signal(signal.SIGINT)
        said = command.communicate()[1]
    (folder,) = (tmp_path / "runs" / "tiny").iterdir()
    assert header == f"tiny · quick · runs/tiny/{folder.name}\n"
    assert command.returncode == 130 and "Traceback" not in said
    assert said.endswith("The same command goes on where it stopped.\nastrolab run 90_tiny.ipynb\n")
    assert load_record(folder)["status"] == "interrupted" and not list(folder.glob(".part*"))
    assert not psutil.pid_exists(int((tmp_path / "kernel").read_text()))


def test_a_header_names_the_folder_and_what_an_earlier_run_took(tiny_study, tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROLAB_RUNS_DIR", str(tmp_path / "runs"))
    study = tiny_study(OWN, declared="seeds: list[int] = [0]  # any\nlevel: int = 3  # any")
    folder = running.run_study(study, progress=False)
    record = load_record(folder)
    write_record(folder, record=record | {"time_s": 400.0})
    asked = {"preset": None, "directory": None}
    again = running.plan_study(study, parameters={"seeds": [7]}, **asked)
    assert re.fullmatch(r"tiny · quick \+ seeds · took 7 min before · \S+", again.header)
    assert list(again.describe()) == [f"{'seeds':<18} [7] instead of [0]"]
    assert "took" not in running.plan_study(study, parameters={"level": 4}, **asked).header
    write_record(folder, record=record | {"status": "interrupted"})
    cut_off = running.plan_study(study, parameters={}, **asked)
    assert cut_off.folder == folder and "goes on in " in cut_off.header


SHELL = {
    "MPLBACKEND": "svg",
    "COLUMNS": "33",
    "PYTHONWARNINGS": "error",
    "PYTHONSTARTUP": "startup.py",
    "PYTHONOPTIMIZE": "1",
    "PYTHONIOENCODING": "ascii",
    "PYTHONUTF8": "0",
    "LC_ALL": "C",
    "NO_COLOR": "1",
    "TQDM_DISABLE": "1",
    "JUPYTER_PLATFORM_DIRS": "1",
}
LOOKS = """
import os, sys, warnings
import matplotlib, pandas
print(sys.executable, matplotlib.get_backend(), matplotlib.rcParams['lines.linewidth'], 'started' in globals())
print(pandas.DataFrame([range(40)]), sys.stdout.encoding, sys.getfilesystemencoding(), sys.flags.optimize, __debug__)
print(sorted(name for name in os.environ if name in KNOWN or 'JUPYTER' in name), os.environ.get('MINE'))
""".replace("KNOWN", str(sorted(SHELL)))


def test_the_kernel_is_the_interpreter_that_was_started_and_knows_nothing_of_the_shell(
    tiny_study, tmp_path, monkeypatch
):
    study = tiny_study(LOOKS)
    plain = outputs_of(running.execute(study, parameters={}, folder=tmp_path / "plain", progress=False))
    assert f"{sys.executable} " in plain[0][1] and "1.5 False" in plain[0][1] and "UTF-8 utf-8 0 True" in plain[0][1]
    spec = tmp_path / "jupyter" / "kernels" / "python3"
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text('{"argv": ["/no/such/python"], "display_name": "P", "language": "python"}')
    startup = tmp_path / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00.py").write_text("started = True")
    (tmp_path / "matplotlibrc").write_text("lines.linewidth: 9")
    places = {"JUPYTER_PATH": tmp_path / "jupyter", "IPYTHONDIR": tmp_path / "ipython", "MPLCONFIGDIR": tmp_path}
    places |= {"JUPYTER_RUNTIME_DIR": tmp_path / "90_tiny.ipynb" / "not a folder"}
    for name, value in {**SHELL, **places, "MINE": "kept"}.items():
        monkeypatch.setenv(name, str(value))
    shell = outputs_of(running.execute(study, parameters={}, folder=tmp_path / "shell", progress=False))
    assert shell[0][1] == plain[0][1].replace("None", "kept")


@pytest.mark.parametrize(("is_terminal", "shown"), [(True, "70"), (False, "0")])
def test_training_shows_a_bar_where_somebody_watches_a_terminal(tiny_study, tmp_path, monkeypatch, is_terminal, shown):
    terminal = io.StringIO()
    terminal.isatty = lambda: is_terminal
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "70")
    study = tiny_study("import os, sys; print(os.environ['ASTROLAB_PROGRESS']); sys.stderr.write('for the terminal')")
    path = running.execute(study, parameters={}, folder=tmp_path / "run")
    assert outputs_of(path)[0] == ("stdout", f"{shown}\n")
    assert re.fullmatch(r"\d:\d\d The only stage\nfor the terminal", terminal.getvalue())


RUNS = "import astrolab as al; run = al.open_run(study='tiny', parameters={}, directory=run_dir); run.finish()"


def test_a_run_is_finished_when_its_report_is(tiny_study, tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROLAB_RUNS_DIR", str(tmp_path / "runs"))
    study = tiny_study(f"{RUNS}; os = __import__('os'); os.makedirs(run.folder / 'checkpoints', exist_ok=True)")

    def killed(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "write_report", killed)
    with pytest.raises(KeyboardInterrupt):
        running.run_study(study, progress=False)
    (cut_off,) = (tmp_path / "runs" / "tiny").iterdir()
    assert load_record(cut_off)["status"] == "computed" and (cut_off / "checkpoints").is_dir()
    monkeypatch.setattr(running, "write_report", lambda notebook, *, path, title: path.write_text("whole"))
    assert running.run_study(study, progress=False) == cut_off, "it goes on, and leaves no orphan"
    assert load_record(cut_off)["status"] == "finished" and not (cut_off / "checkpoints").exists()
    assert find_unfinished("tiny", digest=cut_off.name[-8:]) is None, "the next run gets a folder of its own"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_of_runs_that_is_read_only_is_named_at_the_start(tiny_study, tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROLAB_RUNS_DIR", str(tmp_path / "runs"))
    (tmp_path / "runs").mkdir(mode=0o555)
    study = tiny_study("1 / 0")
    with pytest.raises(RunError, match="ASTROLAB_RUNS_DIR") as caught:
        running.run_study(study, progress=False)
    assert str(tmp_path / "runs") in caught.value.received


OWN = """import astrolab as al
parameters = al.read_parameters(globals(), study='tiny')
run = al.open_run(study='tiny', parameters=parameters, directory=run_dir)
run.save_table('answer', table=__import__('pandas').DataFrame([parameters]))
run.finish()"""


def test_a_notebook_of_ones_own_anywhere_is_run_like_ours(tiny_study, tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROLAB_RUNS_DIR", str(tmp_path / "runs"))
    study = tiny_study(OWN, declared="level: int = 3  # any number")
    monkeypatch.chdir("/")
    with pytest.raises(ParameterError, match="Did you mean 'level'"):
        running.run_study(study, parameters={"levl": 5}, progress=False)
    assert not (tmp_path / "runs").exists()
    folder = running.run_study(study, parameters={"level": 5}, progress=False)
    assert folder.parent == tmp_path / "runs" / "tiny"
    record = load_record(folder)
    assert (record["study"], record["status"], record["parameters"]) == ("tiny", "finished", {"level": 5})
    assert (folder / "answer.csv").read_text() == "level\n5\n" and (folder / "report.html").is_file()


def test_plain_papermill_is_stopped_by_a_mistyped_parameter(tiny_study, tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROLAB_RUNS_DIR", str(tmp_path / "runs"))
    study = tiny_study(OWN, declared="level: int = 3  # any number")
    command = [sys.executable, "-m", "papermill", "--no-progress-bar", study.name, "out.ipynb", "-p"]
    wrong = subprocess.run([*command, "levl", "5"], cwd=tmp_path, capture_output=True, text=True)
    assert wrong.returncode and "Did you mean 'level'" in wrong.stderr
    right = subprocess.run([*command, "level", "5"], cwd=tmp_path, capture_output=True, text=True)
    assert right.returncode == 0, right.stderr
    (folder,) = (tmp_path / "runs" / "tiny").iterdir()
    assert load_record(folder)["status"] == "finished"


def test_equations_become_well_formed_mathml():
    html = replace_equations(r"Scatter: $$\sigma = 1.4826\,\mathrm{median}|x|$$ with $x = \frac{a}{1+z}$.")
    start = html.index("<math")
    element = ET.fromstring(html[start : html.index("</math>") + 7])
    assert element.tag.endswith("math")
    assert html.count("<math") == 2
    assert "$" not in html


def test_dollars_that_are_not_equations_stay():
    assert replace_equations(r"It costs \$5 and $ 3") == r"It costs \$5 and $ 3"


@pytest.fixture
def notebook(tmp_path):
    node = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell("# Question\n\n$a^2$"),
            nbformat.v4.new_code_cell("1 + 1", outputs=[nbformat.v4.new_output("stream", name="stdout", text="two")]),
        ]
    )
    nbformat.write(node, tmp_path / "notebook.ipynb")
    return tmp_path / "notebook.ipynb"


def test_the_page_stands_alone(notebook, tmp_path):
    page = write_report(notebook, path=tmp_path / "report.html", title="a run").read_text(encoding="utf-8")
    assert "two" in page
    assert "<mi>a</mi>" in page
    assert "<script" not in page
    assert "https://cdn" not in page
    assert "<title>a run</title>" in page


def test_a_widget_is_shown_as_the_figure_beside_it(tmp_path):
    from nbformat.v4 import new_code_cell, new_notebook, new_output

    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    model = "0123456789abcdef"
    data = {"application/vnd.jupyter.widget-view+json": {"model_id": model, "version_major": 2, "version_minor": 0}}
    shown = new_output("display_data", data=data | {"image/png": pixel, "text/plain": "<PredictionsExplorer>"})
    notebook = new_notebook(cells=[new_code_cell("explorer", outputs=[shown])])
    state = {"state": {model: {"model_name": "VBoxModel", "model_module": "@jupyter-widgets/controls", "state": {}}}}
    notebook.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": state}
    nbformat.write(notebook, tmp_path / "notebook.ipynb")
    page = write_report(tmp_path / "notebook.ipynb", path=tmp_path / "report.html", title="a run").read_text()
    assert f"data:image/png;base64,{pixel}" in page
    assert model not in page
