import html
import json
import xml.etree.ElementTree as ET
from datetime import UTC, datetime

import nbformat
import pandas as pd
import pytest
from simulated_runs import fit_record

from astrolab.gallery import write_gallery
from astrolab.gallery.entries import as_html, as_text, read_entry, saved_figures
from astrolab.parameters import find_notebook, load_preset, read_title
from astrolab.runs.run import end_run
from astrolab.studies.running import failure_of


def test_a_whole_run_is_read_without_a_problem(make_run):
    entry = read_entry(make_run(epochs=3))
    assert entry.problems == ()
    assert entry.question == read_title(find_notebook("lora_vs_transfer"))
    assert entry.sky == "twin"
    assert abs((datetime.now(UTC) - entry.started).total_seconds()) < 600
    assert [s.name for s in entry.settings if s.is_changed] == ["epochs"]
    assert entry.headline.loc["lora", "twin-galaxiesml"] == "0.0123 ± 0.0010 *"
    assert entry.headline.columns.name == "scatter"
    assert list(entry.scores.columns) == ["bias", "scatter", "n_seeds"]


def test_the_main_figure_of_the_notebook_comes_first_with_its_caption_as_alternative_text(make_run):
    entry = read_entry(make_run(figures=("cost", "truth", "metrics", "my_own")))
    assert [p.png.stem for p in entry.pictures] == ["metrics", "truth", "cost", "my_own"]
    assert entry.pictures[0].alt.startswith("bias, scatter and catastrophic rate of every arm")
    assert entry.pictures[-1].alt == "my own"
    assert entry.pictures[0].pdf.name == "metrics.pdf"


def test_figures_of_one_loop_stay_in_the_order_they_were_saved_in(make_run):
    entry = read_entry(make_run(figures=("scatter_by_truth", "truth", "scatter_by_i_mag")))
    assert [p.png.stem for p in entry.pictures] == ["truth", "scatter_by_truth", "scatter_by_i_mag"]


def test_the_parameters_say_which_preset_they_are(make_run):
    assert read_entry(make_run("a")).preset == "quick"
    assert read_entry(make_run("b", **load_preset("lora_vs_transfer", preset="smoke"))).preset == "smoke"
    near = read_entry(make_run("c", **load_preset("lora_vs_transfer", preset="smoke") | {"epochs": 77, "seeds": [5]}))
    assert (near.preset, near.own) == ("smoke", {"epochs": 77})


def test_the_best_arm_is_judged_by_the_sign_of_the_metric_over_all_test_sets(make_run):
    values = pd.DataFrame(
        {"arm": ["tl", "tl", "lora", "lora"], "survey": ["a", "b"] * 2, "value": [0.1, -0.5, 0.2, 0.2]}
    )
    scores = values.assign(seed=0, low=-1, high=1)
    assert read_entry(make_run("bias", scores=scores.assign(metric="bias"))).best == ("bias", pytest.approx(0.2))
    assert read_entry(make_run("scatter", scores=scores.assign(metric="scatter"))).best[1] == pytest.approx(-0.2)


def test_the_notebook_of_the_run_itself_counts_before_the_shipped_one(make_run, make_notebook):
    folder = make_run(epochs=3)
    notebook = make_notebook(("text", "# An older question?"), ("code", "epochs: int = 3  # most epochs"))
    notebook.cells[1].metadata["tags"] = ["parameters"]
    nbformat.write(notebook, folder / "notebook.ipynb")
    entry = read_entry(folder)
    assert entry.question == "An older question?"
    assert not next(s for s in entry.settings if s.name == "epochs").is_changed


def test_a_study_that_is_not_shipped_is_shown_by_its_name(make_run):
    entry = read_entry(make_run(study="mine"))
    assert entry.question == entry.study == "mine"
    assert all(setting.is_changed for setting in entry.settings)


def fail(folder, *, evalue):
    """Leave what papermill leaves of a notebook whose cell failed: its own remark first, then the title."""
    cells = [nbformat.v4.new_markdown_cell("<span>An Exception was encountered</span>")]
    cells += [nbformat.v4.new_markdown_cell("# A question?"), nbformat.v4.new_code_cell("n: int = 1  # n")]
    cells[-1].metadata["tags"] = ["parameters"]
    cells[-1].outputs = [nbformat.v4.new_output("error", ename="RunError", evalue=evalue, traceback=[])]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "notebook.partial.ipynb")
    end_run(folder, status=f"failed ({failure_of(folder / 'notebook.partial.ipynb')})")


FOUR_PARTS = "Runs were to be collected.\n  received : an empty folder\n  to do    : Make one."


@pytest.mark.parametrize(
    ("evalue", "said"),
    [
        ("bad\nlong story", "It failed (RunError: bad). The"),
        ("", "It failed (RunError). The"),
        (FOUR_PARTS, "It failed (RunError: Runs were to be collected: an empty folder). The"),
    ],
)
def test_a_run_that_failed_says_why_under_the_question_it_asked(make_run, evalue, said):
    folder = make_run(finish=False)
    fail(folder, evalue=evalue)
    entry = read_entry(folder)
    assert said in entry.problems[0]
    assert entry.question == read_title(find_notebook("lora_vs_transfer"))


def test_a_run_that_failed_before_it_was_opened_says_why_too(make_run):
    folder = make_run(figures=())
    (folder / "run.json").unlink()
    fail(folder, evalue="bad")
    assert "no run.json" in read_entry(folder).problems[0]
    assert "RunError: bad" in read_entry(folder).problems[1]


def damage(name, text):
    return lambda folder: (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("hurt", "said"),
    [
        (damage("run.json", '{"study": "lora'), "run.json is damaged"),
        (damage("run.json", "[]"), "run.json is damaged"),
        (
            damage("run.json", '{"study": "lora_vs_transfer", "started": "2026-01-01T00:00:00"}'),
            "it lacks status",
        ),
        (damage("run.json", '{"study": "lora_vs_transfer", "started": "yesterday"}'), "run.json is damaged"),
        (lambda folder: (folder / "run.json").unlink(), "no run.json"),
        (damage("scores.csv", ""), "scores.csv cannot be read"),
        (damage("scores.csv", "arm,metric\nlora,bias\n"), "scores.csv cannot be read"),
        (damage("scores.csv", "arm,survey,metric,value,low,high\na,s,no_such,1,0,2\n"), "no_such"),
        (damage("figures/truth.png", "not a picture"), "figures/truth.png cannot be read"),
        (damage("notebook.ipynb", "{"), "notebook.ipynb cannot be read"),
        (damage("notebook.ipynb", '{"cells": []}'), "notebook.ipynb cannot be read"),
    ],
)
def test_damage_is_said_and_the_rest_is_shown(make_run, hurt, said):
    folder = make_run()
    hurt(folder)
    entry = read_entry(folder)
    assert said in " ".join(entry.problems)
    assert "metrics" in [p.png.stem for p in entry.pictures]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("parameters", None, "parameters is null"),
        ("surveys", None, "surveys is null"),
        ("surveys", {"pretrain": None}, "surveys pretrain is null"),
        (
            "surveys",
            {"pretrain": {}},
            "surveys pretrain lacks name, surveys pretrain lacks twin_of, surveys pretrain lacks repr",
        ),
        ("fits", [], "fits is []"),
        ("study", 7, "study is 7"),
        ("circumstances", {"versions": ["0.1.0"]}, 'circumstances versions is ["0.1.0"]'),
        ("time_s", "an hour", 'time_s is "an hour"'),
    ],
)
def test_a_record_of_the_wrong_types_stops_neither_its_entry_nor_the_gallery(make_run, tmp_path, name, value, said):
    folder = make_run()
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(record | {name: value}))
    entry = read_entry(folder)
    assert entry.problems[0] == f"run.json is damaged, or of another version of astrolab: {said}."
    assert entry.pictures and entry.sky == ""
    assert said in html.unescape(write_gallery(folder, out=tmp_path / "out").read_text(encoding="utf-8"))


def test_scores_that_should_be_there_and_are_not_are_missed(make_run):
    folder = make_run()
    (folder / "scores.csv").unlink()
    assert read_entry(folder).problems == ()  # a study that only looks has none
    record = json.loads((folder / "run.json").read_text())
    record["fits"] = {"lora-s0": fit_record("lora", seed=0)}
    (folder / "run.json").write_text(json.dumps(record))
    assert "scores.csv is missing" in read_entry(folder).problems[0]


def test_scores_of_several_seeds_are_averaged(make_run):
    scores = pd.DataFrame({"arm": "lora", "seed": [0, 1], "survey": "s", "metric": "scatter", "value": [0.02, 0.04]})
    entry = read_entry(make_run(scores=scores.assign(low=0.0, high=0.1)))
    assert entry.headline.loc["lora", "s"] == "0.0300 ± 0.0523  "
    # the sample deviation 0.02 / sqrt(2) and the intervals' halves 0.03 and 0.07, in squares, of either side


def test_figures_come_in_the_order_of_the_notebook_each_with_the_caption_below_it(make_notebook):
    notebook = make_notebook(
        ("text", "# Question?"),
        ("code", 'run.save_figure("truth", figure=plot())'),
        ("text", "*Figure: what is there.* Two\nlines.\n\nAnother paragraph."),
        ("text", "## The main figure"),
        ("code", "x = 1"),
        ("code", "run.save_figure(\n    'bars', figure=plot())"),
        ("text", "No caption.\n\n*Figures: too late, but found.*"),
        ("code", 'for c in cs:\n    run.save_figure(f"by_{c}", figure=plot())'),
    )
    figures = saved_figures(notebook)
    assert [f.caption for f in figures] == [
        "*Figure: what is there.* Two\nlines.",
        "*Figures: too late, but found.*",
        "",
    ]
    assert [f.is_main for f in figures] == [False, True, False]
    assert [bool(f.pattern.fullmatch("by_truth")) for f in figures] == [False, False, True]
    assert not figures[0].pattern.fullmatch("truth2")


def test_without_such_a_heading_the_first_figure_is_the_main_one(make_notebook):
    notebook = make_notebook(("code", 'run.save_figure("a", figure=1)\nrun.save_figure("b", figure=2)'))
    assert [f.is_main for f in saved_figures(notebook)] == [True, False]


def test_a_caption_becomes_html_with_mathml_and_text_without_either():
    html = as_html(r"*Figure: dashed: errors of $0.15\,(1+z)$ & more.*")
    root = ET.fromstring(html)
    assert root.find(".//{http://www.w3.org/1998/Math/MathML}math") is not None
    text = as_text(html)
    assert text.startswith("Figure: dashed: errors of")
    assert text.endswith("& more.")
    assert "<" not in text
