"""Scores as a LaTeX table, as papers print them: value and interval, the best of each group in bold."""

from __future__ import annotations

import numpy as np
import pandas as pd

from astrolab.metrics.metric import find_metric
from astrolab.metrics.summary import describe_spread, is_best, with_intervals

_NAMING = ("study", "experiment", "direction", "survey", "label", "fraction", "scale", "arm", "n_seeds")
_ALWAYS = ("survey", "arm")
_SPECIAL = {"\\": r"\textbackslash{}"} | {character: rf"\{character}" for character in "&%$#_{}"}


def scores_as_latex(scores: pd.DataFrame) -> str:
    r"""Return scores as a LaTeX ``tabular`` that needs the package booktabs.

    >>> scores = pd.DataFrame({"arm": ["full", "lora"], "survey": "galaxiesml", "metric": "scatter",
    ...                        "value": [0.05, 0.03], "low": [0.04, 0.02], "high": [0.06, 0.04], "n": 100})
    >>> print(scores_as_latex(scores))
    \begin{tabular}{llr}
    \toprule
    survey & arm & scatter \\
    \midrule
    galaxiesml & full & $0.0500 \pm 0.0100$ \\
     & lora & $\mathbf{0.0300 \pm 0.0100}$ \\
    \bottomrule
    \multicolumn{3}{l}{Intervals over galaxies (bootstrap). Bold: best of its group.} \\
    \end{tabular}
    <BLANKLINE>
    """
    summary = with_intervals(scores)
    summary["cell"] = [_cell(row) for row in summary.assign(best=is_best(summary)).itertuples()]
    metrics = list(summary["metric"].unique())
    several = [name for name in _NAMING if name in summary and summary[name].nunique(dropna=False) > 1]
    naming = [name for name in _NAMING if name in _ALWAYS or name in several]
    width = len(naming) + len(metrics)
    heads = [*map(_escape, naming), *(_escape(find_metric(name).label) for name in metrics)]
    lines = [rf"\begin{{tabular}}{{{'l' * len(naming)}{'r' * len(metrics)}}}", r"\toprule", _line(heads), r"\midrule"]
    last, group = [""] * len(naming), naming.index("arm")  # what stands before the arm is a group of its own
    for values, rows in summary.groupby(naming, sort=False, dropna=False):
        names = [_escape(_text(value)) for value in values]
        if last[0] and names[:group] != last[:group]:
            lines.append(r"\addlinespace")
        first_change = next(i for i in range(len(names)) if names[: i + 1] != last[: i + 1])
        shown = ["" if i < first_change else name for i, name in enumerate(names)]
        cells = rows.set_index("metric")["cell"]
        lines.append(_line([*shown, *(cells.get(name, "") for name in metrics)]))
        last = names
    lines += [r"\bottomrule", rf"\multicolumn{{{width}}}{{l}}{{{_note(summary)}}} \\", r"\end{tabular}", ""]
    return "\n".join(lines)


def _line(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"


def _text(value: object) -> str:
    if pd.isna(value):
        return "--"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _escape(text: str) -> str:
    if text.startswith("$"):  # the label of a metric may be mathematics already
        return text
    return "".join(_SPECIAL.get(character, character) for character in text)


def _cell(row: tuple) -> str:
    above, below = row.high - row.value, row.value - row.low
    number = f"{row.value:.4f}"
    if np.isfinite(above) and f"{above:.4f}" == f"{below:.4f}":
        number += rf" \pm {above:.4f}"
    elif np.isfinite(above):
        number += f"^{{+{above:.4f}}}_{{-{below:.4f}}}"
    return rf"$\mathbf{{{number}}}$" if row.best else f"${number}$"


def _note(summary: pd.DataFrame) -> str:
    spread = describe_spread(summary["n_seeds"], otherwise="intervals over galaxies (bootstrap)")
    simulated = " Simulated twin surveys." if summary["simulated"].any() else ""
    return f"{spread[0].upper()}{spread[1:]}. Bold: best of its group.{simulated}"
