"""What accuracy costs: a score against trainable parameters, time or epochs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.pyplot import subplots

from astrolab.errors import PredictionError
from astrolab.metrics import REQUIREMENTS
from astrolab.plots.metric_bars import one_score_each
from astrolab.plots.style import (
    BAND,
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

COST_LABELS = {
    "n_trainable": "trainable parameters",
    "time_s": "training time (s)",
    "n_epochs": "epochs trained",
    "n_seen": "galaxies seen in training",
}
_MARK = {"ls": "none", "ms": 6.5, "mec": "white", "mew": 0.6}


@in_style
def plot_cost(
    scores: pd.DataFrame,
    *,
    costs: pd.DataFrame,
    cost: str = "n_trainable",
    metric: str = "scatter",
    surveys: Sequence[str] | None = None,
    title: str = "What accuracy costs",
) -> Figure:
    """Draw a score of every arm against what its training cost, one panel for each test set.

    Parameters
    ----------
    scores : DataFrame
        From :func:`astrolab.metrics.score`.
    costs : DataFrame
        Columns ``arm`` and `cost`, one row for each arm, or for each arm and seed (then averaged).
    cost : str
        ``"n_trainable"``, ``"time_s"``, ``"n_epochs"``, or any numeric column of `costs`.
    metric : str
        Id of the metric.
    surveys : sequence of str, optional
        Which test sets.
    title : str
        Title of the figure.

    Returns
    -------
    Figure

    Raises
    ------
    PredictionError
        If a table lacks what is to be drawn.
    """
    surveys = chosen(scores, column="survey", names=surveys)
    chosen(costs, column=cost, names=None)
    chosen(scores, column="metric", names=[metric])
    summary = one_score_each(scores[scores["survey"].isin(surveys) & scores["metric"].eq(metric)])
    paid = costs.groupby("arm")[cost].mean()
    unpaid = set(summary["arm"]) - set(paid.index)
    if unpaid:
        raise PredictionError(
            f"Scores were to be drawn against {cost}.",
            received=f"no {cost} of {', '.join(sorted(unpaid))}",
            available=", ".join(map(str, paid.index)),
            remedy="Give the costs of every arm, 0 for one that is not trained.",
        )
    looks = arm_looks(list(summary["arm"].unique()))
    size = (2.35 * len(surveys) + 0.5, 2.9)
    figure, axes = subplots(1, len(surveys), figsize=size, sharex=True, squeeze=False)
    for ax, (survey, survey_look) in zip(axes[0], survey_looks(surveys).items(), strict=True):
        _draw_panel(ax, rows=summary[summary["survey"] == survey], paid=paid, looks=looks, metric=metric)
        ax.set_title(survey_look.label, loc="center", fontweight="bold")
        ax.set_xlabel(COST_LABELS.get(cost, cost))
    axes[0, 0].set_ylabel(metric_label(metric))
    marks = {arm: {"marker": look.marker, "color": look.colour, "label": look.label} for arm, look in looks.items()}
    write_legend(figure, entries=[Line2D([], [], **mark, **_MARK) for mark in marks.values()])
    entitle(figure, title=title, simulated=is_simulated(scores))
    return figure


def _draw_panel(ax: Axes, *, rows: pd.DataFrame, paid: pd.Series, looks: dict[str, Look], metric: str) -> None:
    rows = rows.assign(paid=rows["arm"].map(paid))
    _scale_costs(ax, paid=paid)
    for row in rows.itertuples():
        look = looks[row.arm]
        below, above = max(row.value - row.low, 0), max(row.high - row.value, 0)
        style = {"color": look.colour, "marker": look.marker} | _MARK
        ax.errorbar(row.paid, row.value, yerr=[[below], [above]], elinewidth=0.9, capsize=1.8, **style)
    if metric in REQUIREMENTS:
        ax.axhspan(0, REQUIREMENTS[metric].limit, color=BAND, lw=0, zorder=0)
    ax.margins(x=0.12, y=0.14)
    ax.grid(zorder=0)
    ax.tick_params(axis="x", which="minor", length=0)


def _scale_costs(ax: Axes, *, paid: pd.Series) -> None:
    """Make the axis logarithmic, but linear up to the first cost: an arm that is not trained costs 0."""
    costs = paid[paid > 0]
    first, last = (costs.min() / 3, costs.max()) if len(costs) else (1.0, 1.0)
    ax.set_xscale("symlog", linthresh=first, linscale=0.4)
    ax.set_xticks([0, *10.0 ** np.arange(np.ceil(np.log10(first)), np.ceil(np.log10(last)) + 1)])
