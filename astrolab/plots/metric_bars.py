"""The figure of the paper: three metrics, every arm on every test set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.pyplot import subplots

from astrolab.errors import PredictionError
from astrolab.metrics import REQUIREMENTS, Requirement, describe_spread, find_metric, is_best, with_intervals
from astrolab.plots.style import (
    BAND,
    INK,
    PAGE_WIDTH_INCH,
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

_GROUP_WIDTH = 0.86
_LONGEST_BAR = 5.0  # times the median bar; longer ones are cut, with their value written on them
_HEADROOM = 1.12  # of the axis above the longest bar
_HOLLOW_STYLE = {"marker": "D", "mfc": "white", "mec": INK, "mew": 0.8, "ms": 3.4, "ls": "none"}
_HOLLOW = Line2D([], [], label="printed in the paper, measured on other data", **_HOLLOW_STYLE)
_STAR = Line2D([], [], marker="*", ls="none", color=INK, ms=7, label="best of its group")


@in_style
def plot_metric_bars(
    scores: pd.DataFrame,
    *,
    metrics: Sequence[str] = ("bias", "scatter", "catastrophic_rate"),
    arms: Sequence[str] | None = None,
    surveys: Sequence[str] | None = None,
    published: pd.DataFrame | None = None,
    requirements: Mapping[str, Requirement] = REQUIREMENTS,
    title: str = "Every arm on every test set",
) -> Figure:
    """Draw scores as bars, one panel for each metric, one group of bars for each test set.

    Error bars are the spread over training seeds where there are several, else the interval over galaxies. A star marks
    the best arm of a group, a shaded band what the requirement allows, hollow diamonds what the paper printed. A bar
    much longer than the others is cut and carries its value.

    Parameters
    ----------
    scores : DataFrame
        From :func:`astrolab.metrics.score`: ``arm``, ``survey``, ``metric``, ``value``, ``low``, ``high``.
    metrics, arms, surveys : sequence of str, optional
        What to draw, and in which order.
    published : DataFrame, optional
        From :func:`astrolab.load_counterpart`; a twin is matched with the survey it stands for, a survey that the paper
        did not use has none.
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
        If the table lacks what is to be drawn, or has several scores for one bar.
    """
    arms, surveys = chosen(scores, column="arm", names=arms), chosen(scores, column="survey", names=surveys)
    chosen(scores, column="metric", names=metrics)
    summary = one_score_each(scores[scores["arm"].isin(arms) & scores["survey"].isin(surveys)])
    places = _places(arms, surveys=surveys)
    height = 1.55 * len(metrics) + 0.9
    figure, axes = subplots(len(metrics), 1, figsize=(PAGE_WIDTH_INCH, height), sharex=True, squeeze=False)
    printed = {metric: _printed(published, metric=metric, surveys=surveys, arms=arms) for metric in metrics}
    for ax, metric in zip(axes[:, 0], metrics, strict=True):
        rows = summary[summary["metric"] == metric]
        _draw_panel(ax, rows=rows, places=places, printed=printed[metric], requirement=requirements.get(metric))
        ax.set_ylabel(metric_label(metric))
    looks = survey_looks(surveys)
    axes[-1, 0].set_xticks(range(len(surveys)), [looks[name].label for name in surveys], fontsize=9)
    axes[-1, 0].set_xlim(-0.5, len(surveys) - 0.5)
    notes = [_STAR, _error_bar_note(summary), *_requirement_notes(requirements, metrics=metrics)]
    entries = [Patch(color=look.colour, label=look.label) for look in arm_looks(arms).values()]
    write_legend(figure, entries=entries, notes=[*notes, _HOLLOW] if any(printed.values()) else notes)
    entitle(figure, title=title, simulated=is_simulated(scores))
    return figure


def one_score_each(scores: pd.DataFrame) -> pd.DataFrame:
    """Return one value and interval for each arm, survey and metric, with the best of each group marked."""
    summary = with_intervals(scores)
    if summary.duplicated(["arm", "survey", "metric"]).any():
        told_apart = ("direction", "label", "fraction", "scale")
        differing = [name for name in told_apart if name in summary and summary[name].nunique() > 1]
        raise PredictionError(
            "Scores were to be drawn, one value for each arm and survey.",
            received=f"several for the same, which differ in {', '.join(differing) or 'another column'}",
            remedy="Draw one of them at a time, e.g. scores.query(\"direction == 'forward'\").",
        )
    return summary.assign(best=is_best(summary))


def _places(arms: Sequence[str], *, surveys: Sequence[str]) -> dict[tuple[str, str], tuple[float, float]]:
    """Centre and width of the bar of each arm and survey."""
    width = _GROUP_WIDTH / len(arms)
    return {
        (arm, survey): (group + (i - (len(arms) - 1) / 2) * width, 0.84 * width)
        for group, survey in enumerate(surveys)
        for i, arm in enumerate(arms)
    }


def _printed(
    published: pd.DataFrame | None, *, metric: str, surveys: Sequence[str], arms: Sequence[str]
) -> dict[tuple[str, str], float]:
    if published is None:
        return {}
    rows = published[published["metric"] == metric].set_index(["arm", "survey"])["value"]
    keys = {(arm, survey): (arm, real_survey(survey)) for arm in arms for survey in surveys}
    return {place: float(rows[key]) for place, key in keys.items() if key in rows.index}


def _draw_panel(
    ax: Axes, *, rows: pd.DataFrame, places: Mapping, printed: Mapping, requirement: Requirement | None
) -> None:
    looks = arm_looks(list(dict.fromkeys(arm for arm, _ in places)))
    top = _longest(np.nanmax(np.abs(rows[["value", "low", "high"]]), axis=1), printed=np.abs([*printed.values()]))
    signed = bool((rows["value"] < 0).any())
    if requirement is not None:
        top = max(top, 1.3 * requirement.limit)
        signed |= find_metric(requirement.metric).sign == "zero"
        ax.axhspan(-requirement.limit if signed else 0, requirement.limit, color=BAND, lw=0, zorder=0)
    ax.set_ylim(-_HEADROOM * top if signed else 0, _HEADROOM * top)
    ax.grid(axis="y", zorder=0.5)
    ax.axhline(0, color=INK, lw=0.7)
    ax.tick_params(axis="x", length=0)
    ax.locator_params(axis="y", nbins=5)
    cut = {(row.arm, row.survey) for row in rows.itertuples() if abs(row.value) > top}
    for row in rows.itertuples():
        x, width = places[row.arm, row.survey]
        ax.bar(x, np.clip(row.value, -top, top), width=width, color=looks[row.arm].colour, zorder=2)
        if (row.arm, row.survey) in cut:
            _write_cut(ax, x=x, value=row.value, top=top)
        else:
            below, above = max(row.value - row.low, 0), max(row.high - row.value, 0)
            ax.errorbar(x, row.value, yerr=[[below], [above]], color=INK, lw=0.8, capsize=1.6, capthick=0.8, zorder=3)
        if row.best:
            _draw_star(ax, x=x, row=row, printed=printed.get((row.arm, row.survey)))
    for place, value in printed.items():
        marker = "D" if abs(value) <= _HEADROOM * top else "^" if value > 0 else "v"
        edge = np.clip(value, -_HEADROOM * top, _HEADROOM * top)
        x, width = places[place]
        ax.plot(x + 0.5 * width * (place in cut), edge, **_HOLLOW_STYLE | {"marker": marker}, clip_on=False, zorder=4)


def _longest(sizes: np.ndarray, *, printed: np.ndarray) -> float:
    """Length of the longest bar that is drawn whole, and of the printed values that do not stretch the axis much."""
    limit = _LONGEST_BAR * np.median(sizes)
    longest = sizes[sizes <= limit].max(initial=0.0) or sizes.max() or 1.0
    return float(max(longest, printed[printed <= 1.5 * longest].max(initial=0.0)))


def _write_cut(ax: Axes, *, x: float, value: float, top: float) -> None:
    """Write the value of a cut bar on its end, with an arrow that points beyond the axis."""
    number = f"{abs(value):.2g}"
    text, end, side = (f"{number} ▸", top, "top") if value > 0 else (f"◂ −{number}", -top, "bottom")
    style = {"rotation": 90, "fontsize": 6.5, "fontweight": "bold", "color": "white", "zorder": 5}
    ax.text(x, end, text, ha="center", va=side, **style)


def _draw_star(ax: Axes, *, x: float, row: tuple, printed: float | None) -> None:
    """Draw a star at the end of a bar, beyond its error bar and a printed value that lies there, inside the axis."""
    up = row.value >= 0
    bottom, top = ax.get_ylim()
    ends = [row.value, row.high if up else row.low, np.nan if printed is None else printed]
    ends = [end for end in ends if abs(end - ends[1]) < 0.1 * (top - bottom)] or ends[:1]
    ax.annotate(
        "★",
        (x, np.clip(max(ends) if up else min(ends), bottom, top)),
        (0, 2 if up else -2),
        textcoords="offset points",
        ha="center",
        va="bottom" if up else "top",
        fontsize=8,
        zorder=6,
        annotation_clip=False,
    )


def _error_bar_note(summary: pd.DataFrame) -> Line2D:
    words = describe_spread(summary["n_seeds"], otherwise="interval over galaxies")
    return Line2D([], [], marker="|", ls="none", color=INK, ms=7, mew=0.9, label=words)


def _requirement_notes(requirements: Mapping[str, Requirement], *, metrics: Sequence[str]) -> list[Patch]:
    surveys = dict.fromkeys(requirements[metric].survey for metric in metrics if metric in requirements)
    return [Patch(color=BAND, label=f"{survey} requirement") for survey in surveys]
