import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from simulated_runs import simulate

from astrolab.metrics import score
from astrolab.runs.latex import scores_as_latex

ARMS = {"tl_published": {"a_1": (0.05, 0.05), "b": (0.0, 0.04)}, "lora": {"a_1": (0.0, 0.02), "b": (0.01, 0.03)}}


@pytest.fixture(scope="module")
def scores():
    return score(simulate(ARMS, seeds=(0, 1), n=100), metrics=["bias", "scatter", "r2"], n_bootstrap=20)


def test_numbers_are_the_means_over_seeds_and_the_best_is_bold(scores):
    text = scores_as_latex(scores)
    rows = scores.query("arm == 'lora' and survey == 'a_1' and metric == 'scatter'")
    cell = rf"\mathbf{{{rows['value'].mean():.4f} \pm {rows['value'].std():.4f}}}"
    assert cell in text
    assert text.count(r"\mathbf") == 2 * 3
    assert "Spread over 2 seeds." in text and "Simulated twin surveys." in text


def test_one_seed_has_an_interval_that_need_not_be_symmetric(scores):
    one = scores.query("seed == 0 and metric == 'scatter'").assign(simulated=False)
    one = one.assign(low=one["value"] - 0.001, high=one["value"] + 0.002)
    text = scores_as_latex(one)
    assert text.count("^{+0.0020}_{-0.0010}") == 4
    assert "bootstrap" in text and "imulated" not in text
    bare = scores_as_latex(one.assign(low=np.nan, high=np.nan))
    assert "pm" not in bare and "^" not in bare


def test_every_row_has_as_many_cells_as_the_head_and_names_are_escaped(scores):
    fractions = pd.concat([scores.assign(fraction=fraction) for fraction in (0.1, 1.0)])
    lines = scores_as_latex(fractions).splitlines()
    table = [line for line in lines if line.count("&")]
    assert {line.count("&") for line in table} == {5}
    assert lines[0] == r"\begin{tabular}{lllrrr}"
    assert r"tl\_published" in "\n".join(lines) and r"a\_1" in "\n".join(lines)
    assert not re.search(r"(?<!\\)_(?!\{)", "\n".join(lines))


def test_a_study_without_fractions_has_a_dash_beside_one_with(scores):
    both = pd.concat([scores.assign(study="arms"), scores.assign(study="curves", fraction=0.5)])
    lines = scores_as_latex(both).splitlines()
    assert any(line.startswith("arms & ") and " & -- & " in line for line in lines)
    assert "nan" not in "\n".join(lines)


def test_arms_of_one_seed_are_not_said_to_be_spread_over_several(scores):
    lines = scores_as_latex(scores.query("arm == 'lora' or seed == 0")).splitlines()
    assert lines[2].startswith(r"survey & arm & n\_seeds & ")
    seeds = {line.split(" & ")[1]: line.split(" & ")[2] for line in lines[4:] if line.count("&")}
    assert seeds == {"lora": "2", r"tl\_published": "1"}
    assert lines.count(r"\addlinespace") == 1, "test sets are apart, arms are not"
    (note,) = (line for line in lines if "multicolumn" in line)
    assert "Spread over seeds where there are several, else intervals over galaxies (bootstrap). Bold" in note


def test_latex_accepts_it(scores, tmp_path):
    if shutil.which("pdflatex") is None:
        pytest.skip("LaTeX is not on this machine")
    document = (
        rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{scores_as_latex(scores)}\end{{document}}"
    )
    (tmp_path / "t.tex").write_text(document)
    subprocess.run(["pdflatex", "-halt-on-error", "t.tex"], cwd=tmp_path, check=True, capture_output=True)
