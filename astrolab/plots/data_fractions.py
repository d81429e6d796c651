"""What each label buys: scores against the fraction of the fine-tuning set, and where the curves flatten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.pyplot import subplots
from matplotlib.ticker import PercentFormatter

from astrolab.errors import PredictionError
from astrolab.metrics import REQUIREMENTS, Requirement, describe_spread, find_metric, with_intervals
from astrolab.plots.style import (
    BAND,
    FAINT,
    INK,
    Look,
    arm_looks,
    chosen,
    entitle,
    in_style,
    is_simulated,
    metric_label,
    real_survey,
    survey_looks,
    write_legend,
)

_PANEL = (2.3, 2.0)  # inches
_STRIP_ROW = 0.14  # inches an arm, where the plateaus are drawn
_SURE = 0.95  # of the resamples must gain for a filled mark
_MARK = {"ms": 4.5, "mew": 0.5}
_PRINTED = {"marker": "D", "mfc": "white", "mew": 0.8, "ms": 3.2, "lw": 0.6, "ls": ":"}


@in_style
def plot_data_fractions(
    scores: pd.DataFrame,
    *,
    metrics: Sequence[str] = ("scatter",),
    arms: Sequence[str] | None = None,
    surveys: Sequence[str] | None = None,
    published: pd.DataFrame | None = None,
    plateau: pd.DataFrame | None = None,
    requirements: Mapping[str, Requirement] = REQUIREMENTS,
    title: str = "What each label buys",
) -> Figure:
    """Draw scores against the fraction of the fine-tuning set, one row a metric, one column a test set.

    A line is the mean over training seeds and its band their spread; with one seed the band is the interval over
    galaxies. Every panel has its own scale. Below them each arm's plateau stands with its interval, hollow where the
    gain itself is in doubt.

    Parameters
    ----------
    scores : DataFrame
        From :func:`astrolab.score`, with a column ``fraction``.
    metrics, arms, surveys : sequence of str, optional
        What to draw, and in which order.
    published : DataFrame, optional
        From :func:`astrolab.load_counterpart`, with a column ``fraction``: hollow diamonds, measured on other data.
    plateau : DataFrame, optional
        From :func:`astrolab.estimate_plateau`, of one metric.
    requirements : mapping of str to Requirement
        By metric.
    title : str
        Title of the figure.

    Returns
    -------
    Figure

    Raises
    ------
    PredictionError
        If the scores have no fractions, or lack what is to be drawn, or have several values for one point.
    """
    chosen(scores, column="fraction", names=None)
    chosen(scores, column="metric", names=metrics)
    arms, surveys = chosen(scores, column="arm", names=arms), chosen(scores, column="survey", names=surveys)
    summary = _one_value_each(scores[scores["metric"].isin(metrics)])
    strips = [] if plateau is None else [_STRIP_ROW * len(arms) + 0.12]
    heights = [_PANEL[1]] * len(metrics) + strips
    figure, axes = subplots(
        len(heights),
        len(surveys),
        figsize=(_PANEL[0] * len(surveys) + 0.5, sum(heights) + 1.0),
        height_ratios=heights,
        sharex=True,
        squeeze=False,
    )
    looks = arm_looks(arms)
    printed = _printed(published, arms=arms, surveys=surveys, metrics=metrics)
    for column, (survey, survey_look) in zip(axes.T, survey_looks(surveys).items(), strict=True):
        column[0].set_title(survey_look.label, loc="center", fontweight="bold")
        column[-1].set_xlabel("fraction of the fine-tuning set")
        for ax, metric in zip(column, metrics, strict=False):
            rows = summary[summary["survey"].eq(survey) & summary["metric"].eq(metric)]
            _draw_printed(ax, rows=printed, survey=survey, metric=metric, looks=looks)
            _draw_panel(ax, rows=rows, looks=looks, metric=metric, requirement=requirements.get(metric))
        if plateau is not None:
            _draw_plateaus(column[-1], rows=plateau[plateau["survey"] == survey], looks=looks)
    for ax, metric in zip(axes[:, 0], metrics, strict=False):
        ax.set_ylabel(metric_label(metric))
    axes[-1, 0].xaxis.set_major_formatter(PercentFormatter(1))
    marks = [Line2D([], [], **_line(look), label=look.label) for look in looks.values()]
    write_legend(figure, entries=marks, notes=_notes(summary, plateau=plateau, has_printed=not printed.empty))
    entitle(figure, title=title, simulated=is_simulated(scores))
    return figure


def _one_value_each(scores: pd.DataFrame) -> pd.DataFrame:
    summary = with_intervals(scores)
    if summary.duplicated(["arm", "survey", "metric", "fraction"]).any():
        raise PredictionError(
            "Scores were to be drawn against the fraction of the data.",
            received="several values for one arm, survey and fraction",
            remedy="Draw one direction, or one label, at a time.",
        )
    return summary.sort_values("fraction")


def _line(look: Look) -> dict[str, object]:
    return {"color": look.colour, "marker": look.marker, "mec": "white"} | _MARK


def _draw_panel(
    ax: Axes, *, rows: pd.DataFrame, looks: Mapping[str, Look], metric: str, requirement: Requirement | None
) -> None:
    signed = find_metric(metric).sign == "zero"
    if requirement is not None:
        ax.axhspan(-requirement.limit if signed else 0, requirement.limit, color=BAND, lw=0, zorder=0)
    if signed:
        ax.axhline(0, color=INK, lw=0.6, zorder=0.5)
    for arm, look in looks.items():
        curve = rows[rows["arm"] == arm]
        ax.fill_between(curve["fraction"], curve["low"], curve["high"], color=look.colour, alpha=0.15, lw=0)
        ax.plot(curve["fraction"], curve["value"], **_line(look))
    ax.grid(axis="y", zorder=0)
    ax.margins(x=0.04)
    ax.locator_params(axis="y", nbins=5)
    if find_metric(metric).sign == "lower":
        ax.set_ylim(bottom=0)


def _printed(
    published: pd.DataFrame | None, *, arms: Sequence[str], surveys: Sequence[str], metrics: Sequence[str]
) -> pd.DataFrame:
    if published is None or published.empty:
        return pd.DataFrame({"arm": [], "survey": [], "metric": [], "fraction": [], "value": []})
    chosen(published, column="fraction", names=None)
    there = {"arm": arms, "survey": [real_survey(name) for name in surveys], "metric": metrics}
    return published[np.logical_and.reduce([published[column].isin(names) for column, names in there.items()])]


def _draw_printed(ax: Axes, *, rows: pd.DataFrame, survey: str, metric: str, looks: Mapping[str, Look]) -> None:
    rows = rows[rows["survey"].eq(real_survey(survey)) & rows["metric"].eq(metric)]
    for arm, curve in rows.groupby("arm", sort=False):
        curve = curve.sort_values("fraction")
        ax.plot(curve["fraction"], curve["value"], color=looks[arm].colour, **_PRINTED)


def _draw_plateaus(ax: Axes, *, rows: pd.DataFrame, looks: Mapping[str, Look]) -> None:
    """One row an arm: where nine tenths (say) of the gain are made, or that there is no gain."""
    ax.set_ylim(len(looks) - 0.4, -0.6)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.grid(axis="x")
    for place, (arm, look) in enumerate(looks.items()):
        for row in rows[rows["arm"] == arm].itertuples():
            ax.plot([row.low, row.high], [place, place], color=look.colour, lw=1.6, solid_capstyle="butt")
            filled = {"mec": "white"} if row.gains_frac >= _SURE else {"mfc": "white", "mec": look.colour}
            ax.plot(row.plateau, place, ls="none", **_line(look) | filled)
            if np.isnan(row.plateau):
                ax.text(0, place, "no gain", color=look.colour, fontsize=6.5, va="center")
    for straight in rows["straight"].unique():
        ax.axvline(straight, color=FAINT, lw=0.8, ls="--", zorder=0)


def _notes(summary: pd.DataFrame, *, plateau: pd.DataFrame | None, has_printed: bool) -> list[Line2D]:
    spread = describe_spread(summary["n_seeds"], otherwise="interval over galaxies")
    notes = [Line2D([], [], color=FAINT, lw=6, alpha=0.3, label=spread)]
    if plateau is not None:
        share, metric = 1 - plateau["tolerance"].iloc[0], find_metric(plateau["metric"].iloc[0]).label
        notes.append(Line2D([], [], color=INK, lw=1.6, marker="o", ms=4, label=f"{share:.0%} of the gain in {metric}"))
        notes.append(Line2D([], [], color=FAINT, lw=0.8, ls="--", label="the same, of a straight line"))
    if has_printed:
        notes.append(Line2D([], [], color=INK, **_PRINTED, label="printed, other data"))
    return notes
