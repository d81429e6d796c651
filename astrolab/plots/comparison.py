"""Pairwise differences of models with their intervals: a forest plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.pyplot import subplots

from astrolab.errors import PredictionError
from astrolab.metrics import find_metric
from astrolab.plots.style import (
    FAINT,
    INK,
    PAGE_WIDTH_INCH,
    Look,
    arm_looks,
    chosen,
    entitle,
    in_style,
    is_simulated,
    metric_label,
    survey_looks,
    write_legend,
)

_ROW_INCH = 0.19  # height of one comparison
_FAR = 4  # times the median reach: farther out, an interval would squeeze the others
_MARK = {"ms": 4, "mew": 0.9}


@in_style
def plot_comparison(
    comparisons: pd.DataFrame,
    *,
    metric: str = "scatter",
    surveys: Sequence[str] | None = None,
    title: str | None = None,
) -> Figure:
    """Draw how much each model differs from each other one, with intervals; one panel for each test set.

    A filled mark in the colour of the better model stands where the interval leaves out zero, a hollow grey one where
    nothing is decided. A difference far beyond the others is cut and written at the edge.

    Parameters
    ----------
    comparisons : DataFrame
        From :func:`astrolab.compare_models`.
    metric : str
        Id of the metric.
    surveys : sequence of str, optional
        Test sets, one panel each.
    title : str, optional
        Title of the figure; by default the metric.

    Returns
    -------
    Figure

    Raises
    ------
    PredictionError
        If the table lacks what is to be drawn, or has several differences for one pair and test set.
    """
    surveys = chosen(comparisons, column="survey", names=surveys)
    chosen(comparisons, column="metric", names=[metric])
    rows = comparisons[comparisons["metric"].eq(metric) & comparisons["survey"].isin(surveys)]
    if rows.duplicated(["a", "b", "survey"]).any():
        raise PredictionError(
            "Differences of models were to be drawn, one for each pair and test set.",
            received="several for the same",
            available=", ".join(map(str, comparisons.columns)),
            remedy="Draw one direction, fraction or experiment at a time.",
        )
    pairs = list(dict.fromkeys(zip(rows["a"], rows["b"], strict=True)))
    looks = arm_looks(list(dict.fromkeys(name for pair in pairs for name in pair)))
    height = _ROW_INCH * len(pairs) + 1.35
    figure, axes = subplots(
        1, len(surveys), figsize=(PAGE_WIDTH_INCH, height), sharey=True, squeeze=False, gridspec_kw={"wspace": 0.05}
    )
    for ax, (survey, look) in zip(axes[0], survey_looks(surveys).items(), strict=True):
        ax.set_title(look.label, loc="center", fontweight="bold")
        _draw_panel(ax, rows=rows[rows["survey"] == survey], pairs=pairs, looks=looks)
    axes[0, 0].set_yticks(range(len(pairs)), [f"{looks[a].label} − {looks[b].label}" for a, b in pairs])
    axes[0, 0].set_ylim(len(pairs) - 0.4, -0.6)
    words = f"{_difference_label(metric)}   (left: the first is better; right: the second)"
    axes[0, (len(surveys) - 1) // 2].set_xlabel(words)
    better = [name for name in looks if name in set(rows["better"])]
    entries = [_entry(looks[name].colour, label=f"{looks[name].label} better") for name in better]
    write_legend(figure, entries=entries, notes=[_entry(None, label="undecided"), _interval_note(rows)])
    entitle(figure, title=title or f"Differences in {metric_label(metric)}", simulated=is_simulated(rows))
    return figure


def _difference_label(metric: str) -> str:
    label = metric_label(metric)
    return f"difference in |{label}|" if find_metric(metric).sign == "zero" else f"difference in {label}"


def _draw_panel(ax: Axes, *, rows: pd.DataFrame, pairs: Sequence[tuple[str, str]], looks: Mapping[str, Look]) -> None:
    places = {pair: place for place, pair in enumerate(pairs)}
    edge = _edge(rows)
    for place in range(0, len(pairs), 2):
        ax.axhspan(place - 0.5, place + 0.5, color="#F6F6F6", lw=0, zorder=0)
    ax.axvline(0, color=INK, lw=0.7, zorder=1)
    ax.tick_params(axis="y", length=0)
    ax.locator_params(axis="x", nbins=4)
    for row in rows.itertuples():
        y = places[row.a, row.b]
        colour = looks[row.better].colour if row.better in looks else None
        if abs(row.difference) > edge:
            _write_beyond(ax, difference=row.difference, y=y, edge=edge, colour=colour or FAINT)
            continue
        ax.plot([row.low, row.high], [y, y], color=colour or FAINT, lw=1.3, solid_capstyle="butt", zorder=2)
        ax.plot(row.difference, y, **_mark(colour), zorder=3)
    ax.set_xlim(-1.08 * edge, 1.08 * edge)


def _edge(rows: pd.DataFrame) -> float:
    """How far the axis reaches: to the ends of all intervals but those far beyond the others."""
    reach = np.abs(rows[["low", "high"]].to_numpy()).max(axis=1)
    return float(reach[reach <= _FAR * np.median(reach)].max(initial=0.0)) or 1.0


def _write_beyond(ax: Axes, *, difference: float, y: float, edge: float, colour: str) -> None:
    """Write the value of a difference that lies beyond the axis, with an arrow that points to it."""
    number = f"{abs(difference):.2g}"
    text = f"{number} ▸" if difference > 0 else f"◂ −{number}"
    side = "right" if difference > 0 else "left"
    ax.text(np.sign(difference) * 1.06 * edge, y, text, ha=side, va="center", color=colour, fontsize=6.5)


def _mark(colour: str | None) -> dict:
    return {"marker": "o", "mfc": colour or "white", "mec": colour or FAINT, "ls": "none", **_MARK}


def _entry(colour: str | None, *, label: str) -> Line2D:
    return Line2D([], [], **_mark(colour), label=label)


def _interval_note(rows: pd.DataFrame) -> Line2D:
    level, n = rows["level"].iloc[0], int(rows["n_comparisons"].max())
    is_joint = n > 1 and rows["correction"].iloc[0] == "max_t"
    words = f"{level:.0%} interval" + (f", for all {n} together" if is_joint else "")
    n_seeds = int(rows["n_seeds"].max())
    words += f"; mean over {n_seeds} seeds" if n_seeds > 1 else ""
    return Line2D([], [], color=FAINT, lw=1.3, label=words)
