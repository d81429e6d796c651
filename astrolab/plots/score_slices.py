"""Scores along redshift or magnitude: averages hide where a model fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.pyplot import subplots

from astrolab.errors import PredictionError
from astrolab.metrics import REQUIREMENTS, Requirement, find_metric, with_intervals
from astrolab.plots.style import (
    BAND,
    INK,
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

_COLUMN_LABELS = {"truth": "true redshift", "pred": "predicted redshift"}
_COLUMN_LABELS |= {f"{band}_cmodel_mag": f"{band} magnitude (AB, cmodel)" for band in "grizy"}


@in_style
def plot_score_by_slice(
    slices: pd.DataFrame,
    *,
    metric: str = "scatter",
    arms: Sequence[str] | None = None,
    surveys: Sequence[str] | None = None,
    requirements: Mapping[str, Requirement] = REQUIREMENTS,
    xlabel: str | None = None,
    title: str | None = None,
) -> Figure:
    """Draw one metric against the sliced quantity, one panel for each test set, one line for each arm.

    Parameters
    ----------
    slices : DataFrame
        From :func:`astrolab.metrics.score_slices`.
    metric : str
        Id of the metric.
    arms, surveys : sequence of str, optional
        What to draw, and in which order.
    requirements : mapping of str to Requirement
        By metric.
    xlabel : str, optional
        What was sliced, with its unit.
    title : str, optional
        Title of the figure; by default the metric and the sliced quantity.

    Returns
    -------
    Figure

    Raises
    ------
    PredictionError
        If the table is not one of slices, or lacks what is to be drawn.
    """
    if "slice_column" not in slices or slices["slice_column"].nunique() != 1:
        raise PredictionError(
            "Scores along one quantity were to be drawn.",
            received="a table without slices, or with slices of several quantities",
            remedy="Pass what `score_slices` returned.",
        )
    arms, surveys = chosen(slices, column="arm", names=arms), chosen(slices, column="survey", names=surveys)
    chosen(slices, column="metric", names=[metric])
    summary = with_intervals(slices[slices["metric"] == metric])
    column = slices["slice_column"].iloc[0]
    xlabel = xlabel or _COLUMN_LABELS.get(column, column)
    size = (2.3 * len(surveys) + 0.5, 3.1)
    figure, axes = subplots(1, len(surveys), figsize=size, sharex=True, sharey=True, squeeze=False)
    looks = arm_looks(arms)
    for ax, (survey, look) in zip(axes[0], survey_looks(surveys).items(), strict=True):
        _draw_panel(ax, rows=summary[summary["survey"] == survey], looks=looks, requirement=requirements.get(metric))
        ax.set_title(look.label, loc="center", fontweight="bold")
        ax.set_xlabel(xlabel)
    axes[0, 0].set_ylabel(metric_label(metric))
    write_legend(figure, entries=axes[0, 0].get_lines()[-len(arms) :])
    title = title or f"{metric_label(metric)} along {xlabel}"
    entitle(figure, title=title, simulated=is_simulated(slices))
    return figure


def _draw_panel(ax: Axes, *, rows: pd.DataFrame, looks: dict[str, Look], requirement: Requirement | None) -> None:
    if requirement is not None:
        signed = find_metric(requirement.metric).sign == "zero"
        ax.axhspan(-requirement.limit if signed else 0, requirement.limit, color=BAND, lw=0, zorder=0)
        if signed:
            ax.axhline(0, color=INK, lw=0.6, zorder=0.5)
    for arm, look in looks.items():
        line = rows[rows["arm"] == arm].sort_values("slice_low")
        x = line["slice_median"]
        ax.plot(x, line["value"], color=look.colour, marker=look.marker, ms=4, mec="white", mew=0.5, label=look.label)
        ax.fill_between(x, line["low"], line["high"], color=look.colour, alpha=0.15, lw=0)
    ax.grid(axis="y", zorder=0)
