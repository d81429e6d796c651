"""Scores in figures: of one label (by default the first), and unless asked of the headline metric of its task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from astrolab.errors import PredictionError
from astrolab.exploring.columns import column_label
from astrolab.metrics import describe_spread, find_metric, is_best, summarise_seeds
from astrolab.plots import style
from astrolab.plots.style import FAINT, INK, PAGE_WIDTH_INCH, Look
from astrolab.predictions import CONDITIONS, MODEL_KEYS, TEST_KEYS

Names = Sequence[str] | None

_GROUP_WIDTH = 0.86  # of the distance between two groups of points
_HEADROOM = 0.13  # of the values' range, above it and below
_CELL = (0.62, 0.3)  # inches, of a matrix
_NARROWEST_MATRIX, _ROW_NAMES = 1.3, 1.5  # inches
_WORD_WIDTH = 10  # characters of a survey's title on a line
_HOLLOW = {"marker": "D", "mfc": "white", "mec": INK, "mew": 0.8, "ms": 3.2, "ls": "none"}
_DARK_FROM = 0.72  # of the colour scale; text on darker cells is white
_ON_LINE = {"ms": 4.5, "mec": "white", "mew": 0.5}
POINT = _ON_LINE | {"ms": 5.6, "ls": "none"}
_ABOVE = {"xycoords": ("data", "axes fraction"), "xytext": (0, 2), "textcoords": "offset points", "rotation": 90}
_ABOVE |= {"ha": "center", "va": "bottom", "fontsize": 6}
_PRINTED = {"marker": "D", "mfc": "white", "mew": 0.8, "ms": 3.2, "lw": 0.6, "ls": ":"}
_PANEL = (2.2, 2.0)  # inches
_STRIP_ROW_INCH = 0.14  # height of an arm where plateaus are drawn
_SURE = 0.95  # of the resamples must gain for a filled mark
_PAIR_INCH = 0.19  # height of one comparison


class Drawn:
    """Scores of one label: one value and interval for each arm, survey and metric, the best of each group marked."""

    def __init__(
        self,
        scores: pd.DataFrame,
        *,
        label: str | None,
        metrics: Names,
        arms: Names = None,
        surveys: Names = None,
        n_metrics: int = 1,
        along: Sequence[str] = (),
    ):
        arms = style.chosen(scores, column="arm", names=arms)
        surveys = style.chosen(scores, column="survey", names=surveys)
        scores, task, self.quantity, self.about = style.pick_label(scores[scores["value"].notna()], label=label)
        self.metrics = style.pick_metrics(scores, metrics=metrics, task=task, n=n_metrics)
        wanted = {"arm": arms, "survey": surveys, "metric": self.metrics}
        rows = summarise_seeds(scores[scores[[*wanted]].isin(wanted).all(axis=1)])
        require_one(rows, columns=[*wanted, *along])
        self.rows = rows.assign(best=is_best(rows))
        self.arms, self.surveys = style.arm_looks(arms, table=rows), style.survey_looks(surveys)
        self.titles = [look.label for look in self.surveys.values()]
        self.metric_labels = [style.metric_label(metric, quantity=self.quantity) for metric in self.metrics]
        self.heading = f"{self.metric_labels[0][0].upper()}{self.metric_labels[0][1:]}"  # in sentence case
        self.band = band_key(rows)

    def where(self, **values: str) -> pd.DataFrame:
        """Give the rows that have some values."""
        return self.rows[(self.rows[[*values]] == pd.Series(values)).all(axis=1)]

    def printed(self, published: pd.DataFrame | None) -> pd.DataFrame:
        """Give what a paper printed of what is drawn; a twin has the values of the survey that it stands for."""
        if published is None or published.empty:
            return pd.DataFrame(columns=["arm", "survey", "metric", "fraction", "value"])
        here = pd.DataFrame({"here": list(self.surveys), "survey": map(style.real_survey, self.surveys)})
        rows = published.merge(here, on="survey").assign(survey=lambda table: table["here"])
        return rows[rows["arm"].isin(self.arms) & rows["metric"].isin(self.metrics)]

    def finish(self, figure: Figure, *, title: str, notes: Sequence[Any] = (), **legend: Sequence[Any]) -> None:
        """Write title and legend; the title names the label where the table has several."""
        legend |= {"notes": [*notes, *style.dagger(self.arms)], "simulated": style.is_simulated(self.rows)}
        style.finish(figure, title=title + self.about, **legend)

    def place(self, row: Any) -> float:
        """Where a score stands along a line of all test sets."""
        arm = list(self.arms).index(row.arm) - (len(self.arms) - 1) / 2
        return list(self.surveys).index(row.survey) + arm * _GROUP_WIDTH / len(self.arms)


def require_one(rows: pd.DataFrame, *, columns: Sequence[str]) -> None:
    """Refuse a table with several values where one is to be drawn."""
    if rows.duplicated(list(columns)).any():
        others = (*MODEL_KEYS, *TEST_KEYS, *CONDITIONS, "label")
        several = [name for name in others if name in rows and name not in columns and rows[name].nunique() > 1]
        asked = f"Scores were to be drawn, one value for each {', '.join(columns)}."
        received = f"several for the same, which differ in {', '.join(several) or 'another column'}"
        remedy = "Draw one of them at a time, e.g. scores.query(\"direction == 'forward'\")."
        raise PredictionError(asked, received=received, available=", ".join(map(str, rows.columns)), remedy=remedy)


@style.in_style
def plot_metrics(
    scores: pd.DataFrame,
    *,
    label: str | None = None,
    metrics: Names = None,
    arms: Names = None,
    surveys: Names = None,
    published: pd.DataFrame | None = None,
    title: str = "Every arm on every test set",
) -> Figure:
    """Draw scores with their intervals, one panel for each metric (by default the first three), grouped by test set.

    Every value is on the axis, which is logarithmic beyond the usual ones where a few lie far out. Intervals are those
    of objects and, where there are several, of training seeds. A star marks the best arm of a group where it is alone,
    a shaded band what the requirement allows, hollow diamonds what the paper printed.

    Parameters
    ----------
    scores : DataFrame
        From :func:`astrolab.score`.
    published : DataFrame, optional
        From :func:`astrolab.load_counterpart`; a twin is matched with the survey it stands for.
    """
    drawn = Drawn(scores, label=label, metrics=metrics, arms=arms, surveys=surveys, n_metrics=3)
    size = {"panel": (PAGE_WIDTH_INCH, 1.55), "around": (0, 0.4)}
    figure, axes = style.panel_grid([""], rows=drawn.metric_labels, **size, sharex=True)
    printed = drawn.printed(published)
    for ax, metric in zip(axes[:, 0], drawn.metrics, strict=True):
        rows, of_paper = drawn.where(metric=metric), printed[printed["metric"] == metric]
        _draw_group(ax, drawn=drawn, rows=rows)
        for row in of_paper.itertuples():
            place, colour = drawn.place(row) + 0.25 / len(drawn.arms), drawn.arms[row.arm].colour
            ax.plot(place, row.value, **_HOLLOW | {"mec": colour}, zorder=4)
        style.hold_all([ax], values=[*rows[["value", "low", "high"]].abs().max(axis=1), *of_paper["value"]])
    axes[-1, 0].set_xticks(range(len(drawn.surveys)), drawn.titles, fontsize=9)
    axes[-1, 0].set_xlim(-0.5, len(drawn.surveys) - 0.5)
    star = Line2D([], [], marker="*", ls="none", color=INK, ms=7, label="best of its group")
    spread = Line2D([], [], marker="|", ls="none", color=INK, ms=7, mew=0.9, label=drawn.band.get_label())
    hollow = [Line2D([], [], label="printed in the paper, on other data", **_HOLLOW)] * (not printed.empty)
    drawn.finish(figure, title=title, entries=style.keys(drawn.arms, **POINT), notes=[star, spread, *hollow])
    return figure


def _draw_group(ax: Axes, *, drawn: Drawn, rows: pd.DataFrame) -> None:
    style.draw_requirement(ax, metric=rows["metric"].iloc[0], quantity=drawn.quantity)
    ax.grid(axis="y")
    ax.tick_params(axis="x", length=0)
    ax.locator_params(axis="y", nbins=5)
    ax.margins(y=_HEADROOM)
    if find_metric(rows["metric"].iloc[0]).sign == "lower":
        ax.axhline(0, color=INK, lw=0.6, zorder=0.5)
    for group in range(1, len(drawn.surveys)):
        ax.axvline(group - 0.5, color="#D0D0D0", lw=0.7)
    for row in rows.itertuples():
        draw_point(ax, x=drawn.place(row), row=row, look=drawn.arms[row.arm])
        if row.best:
            top = {"xytext": (0, 4), "textcoords": "offset points", "ha": "center", "va": "baseline", "fontsize": 8}
            ax.annotate("★", (drawn.place(row), np.fmax(row.high, row.value)), **top, zorder=6)


def draw_point(ax: Axes, *, x: float, row: Any, look: Look) -> None:
    """Draw a score with its interval."""
    ax.plot([x, x], [row.low, row.high], color=look.colour, lw=1.2, solid_capstyle="butt", zorder=2)
    ax.plot(x, row.value, color=look.colour, marker=look.marker, **POINT, zorder=3)


@style.in_style
def plot_forgetting(
    scores: pd.DataFrame,
    *,
    label: str | None = None,
    metrics: Names = None,
    arms: Names = None,
    surveys: Names = None,
    title: str = "Every arm on every test set · the darker, the worse; bold: the best of its column",
) -> Figure:
    """Draw scores of every arm (row) on every test set (column), a matrix a metric (by default the first three)."""
    drawn = Drawn(scores, label=label, metrics=metrics, arms=arms, surveys=surveys, n_metrics=3)
    width = max(_CELL[0] * len(drawn.surveys), _NARROWEST_MATRIX)
    size = {"panel": (width, _CELL[1] * len(drawn.arms)), "around": (_ROW_NAMES, 0.9)}
    most = max(1, int((PAGE_WIDTH_INCH - _ROW_NAMES) / width))
    figure, axes = style.panel_grid(drawn.metric_labels, **size, most=most, sharey=True)
    for ax, metric in zip(axes[0], drawn.metrics, strict=True):
        _draw_matrix(ax, drawn=drawn, rows=drawn.where(metric=metric))
    drawn.finish(figure, title=title)
    return figure


def _draw_matrix(ax: Axes, *, drawn: Drawn, rows: pd.DataFrame) -> None:
    n_rows, n_columns = len(drawn.arms), len(drawn.surveys)
    values = rows.pivot(index="arm", columns="survey", values="value").loc[[*drawn.arms], [*drawn.surveys]]
    badness = find_metric(rows["metric"].iloc[0]).badness(values)
    least, most = np.nanmin(badness), np.nanmax(badness)
    floor = max(least, most / 50, np.finfo(float).tiny)  # one value near 0 must not take all colours
    norm = Normalize(least, most) if least < 0 else LogNorm(floor, max(most, 1.01 * floor), clip=True)
    image = ax.imshow(badness, cmap="YlOrBr", norm=norm, aspect="auto")
    n_digits = int(np.clip(3 - np.floor(np.log10(max(np.nanmax(np.abs(values)), 1e-9))), 0, 4))
    for row in rows.itertuples():
        place = list(drawn.surveys).index(row.survey), list(drawn.arms).index(row.arm)
        colour = "white" if image.norm(badness[place[::-1]]) > _DARK_FROM else "black"
        how = {"textcoords": "offset points", "ha": "center", "color": colour}
        text, weight = f"{row.value:z.{n_digits}f}".replace("-", "−"), "bold" if row.best else "normal"
        ax.annotate(text, place, (0, -1), va="bottom", fontsize=7, weight=weight, **how)
        spread = "" if np.isnan(row.low + row.high) else f"± {(row.high - row.low) / 2:.{n_digits}f}"
        ax.annotate(spread, place, (0, -1.5), va="top", fontsize=5.8, **how)
    ax.set_xticks(range(n_columns), [fill(name, _WORD_WIDTH) for name in drawn.titles], fontsize=6.5)
    ax.set_yticks(range(n_rows), [look.label for look in drawn.arms.values()])
    ax.set_xticks(np.arange(n_columns - 1) + 0.5, minor=True)
    ax.set_yticks(np.arange(n_rows - 1) + 0.5, minor=True)
    ax.grid(which="minor", color="white", lw=1.5)
    ax.tick_params(which="both", length=0)
    ax.spines[:].set_visible(False)


@style.in_style
def plot_score_by_slice(
    slices: pd.DataFrame,
    *,
    label: str | None = None,
    metric: str | None = None,
    arms: Names = None,
    surveys: Names = None,
    title: str | None = None,
) -> Figure:
    """Draw slices of :func:`astrolab.score_slices`: one metric along a quantity, a panel a test set, a line an arm."""
    column = style.chosen(slices, column="slice_column", names=None)[0]
    metrics = metric and [metric]
    drawn = Drawn(slices, label=label, metrics=metrics, arms=arms, surveys=surveys, along=["slice_low"])
    xlabel = column_label(column.removesuffix(f".{drawn.quantity.name}"), quantity=drawn.quantity)
    shared = {"panel": _PANEL, "sharex": True, "sharey": True, "pad": 25}
    figure, axes = style.panel_grid(drawn.titles, rows=drawn.metric_labels, xlabel=xlabel, **shared)
    for ax, survey in zip(axes[0], drawn.surveys, strict=True):
        style.draw_requirement(ax, metric=drawn.metrics[0], quantity=drawn.quantity)
        draw_curves(ax, rows=drawn.where(survey=survey), x="slice_median", looks=drawn.arms)
        for x, n in drawn.where(survey=survey).groupby("slice_low")[["slice_median", "n"]].min().to_numpy():
            ax.annotate(f"{n:,.0f}", (x, 1), **_ABOVE)
    style.hold_all(list(axes[0]), values=drawn.rows["value"])
    notes = [drawn.band, Line2D([], [], ls="none", marker="$n$", color=INK, label="above: objects in the slice")]
    entries = style.keys(drawn.arms, **_ON_LINE)
    drawn.finish(figure, title=title or f"{drawn.heading} along {xlabel}", entries=entries, notes=notes)
    return figure


def band_key(rows: pd.DataFrame) -> Line2D:
    """Give the entry of a legend that says what a band about a curve is."""
    return Line2D([], [], color=FAINT, lw=6, alpha=0.3, label=describe_spread(rows["n_seeds"]))


def draw_curves(ax: Axes, *, rows: pd.DataFrame, x: str, looks: Mapping[str, Look], by: str = "arm") -> None:
    """Draw one line, with its band, for each arm (or survey) against a column."""
    for name, look in looks.items():
        curve = rows[rows[by] == name].sort_values(x)
        shade = {"color": look.colour, "alpha": min(0.15, 0.8 / len(looks)), "lw": 0}
        ax.fill_between(curve[x], curve["low"], curve["high"], **shade)
        ax.plot(curve[x], curve["value"], color=look.colour, marker=look.marker, **_ON_LINE)
    ax.grid(axis="y", zorder=0)


@style.in_style
def plot_data_fractions(
    scores: pd.DataFrame,
    *,
    label: str | None = None,
    metrics: Names = None,
    arms: Names = None,
    surveys: Names = None,
    published: pd.DataFrame | None = None,
    plateau: pd.DataFrame | None = None,
    n_objects: int = 0,
    title: str = "Scores by number of labels",
) -> Figure:
    """Draw scores against the fraction of the fine-tuning set, one row a metric, one column a test set.

    A line is the mean over training seeds and its band their spread; with one seed the band is the interval over
    objects. Every panel has its own scale. Below them each arm's plateau stands with its interval, hollow where the
    gain itself is in doubt.

    Parameters
    ----------
    scores : DataFrame
        From :func:`astrolab.score`, with a column ``fraction``.
    published : DataFrame, optional
        From :func:`astrolab.load_counterpart`, with a column ``fraction``: hollow diamonds, measured on other data.
    plateau : DataFrame, optional
        From :func:`astrolab.estimate_plateau`, of one metric.
    n_objects : int
        Size of the fine-tuning set: the axis counts objects then, and is logarithmic beyond the smallest fraction.
    """
    style.chosen(scores, column="fraction", names=None)
    scores = scores.assign(fraction=scores["fraction"] * (n_objects or 1))
    drawn = Drawn(scores, label=label, metrics=metrics, arms=arms, surveys=surveys, along=["fraction"])
    strips = [] if plateau is None else [_STRIP_ROW_INCH * len(drawn.arms) + 0.12]
    xlabel = "objects to fine-tune on" if n_objects else "fraction of the fine-tuning set"
    words = {"rows": [*drawn.metric_labels, *[""] * len(strips)], "xlabel": xlabel}
    size = {"panel": _PANEL, "heights": [_PANEL[1]] * len(drawn.metrics) + strips, "sharex": True}
    figure, axes = style.panel_grid(drawn.titles, **words, **size)
    printed = drawn.printed(published).sort_values("fraction")
    for column, survey in zip(axes.T, drawn.surveys, strict=True):
        for ax, metric in zip(column, drawn.metrics, strict=False):
            here = printed[printed["survey"].eq(survey) & printed["metric"].eq(metric)]
            for arm, curve in here.groupby("arm", sort=False):
                ax.plot(curve["fraction"], curve["value"], color=drawn.arms[arm].colour, **_PRINTED)
            style.draw_requirement(ax, metric=metric, quantity=drawn.quantity)
            draw_curves(ax, rows=drawn.where(survey=survey, metric=metric), x="fraction", looks=drawn.arms)
            ax.margins(x=0.04)
            ax.locator_params(axis="y", nbins=5)
            if find_metric(metric).sign == "lower":
                ax.set_ylim(bottom=0)
        if plateau is not None:
            rows = style.pick_label(plateau, label=drawn.quantity.name)[0]
            _draw_plateaus(column[-1], rows=rows[rows["survey"] == survey], arms=drawn.arms)
    if n_objects:
        _count_objects(axes[-1], places=np.sort(drawn.rows["fraction"].unique()))
    else:
        axes[-1, 0].xaxis.set_major_formatter(PercentFormatter(1))
    notes = [drawn.band]
    if plateau is not None:
        share, metric = 1 - plateau["tolerance"].iloc[0], find_metric(plateau["metric"].iloc[0]).label
        notes.append(Line2D([], [], color=INK, lw=1.6, marker="o", ms=4, label=f"{share:.0%} of the gain in {metric}"))
        notes.append(Line2D([], [], color=FAINT, lw=0.8, ls="--", label="the same, of a straight line"))
    hollow = [Line2D([], [], color=INK, **_PRINTED, label="printed, other data")] * (not printed.empty)
    drawn.finish(figure, title=title, entries=style.keys(drawn.arms, **_ON_LINE), notes=[*notes, *hollow])
    return figure


def _count_objects(axes: Sequence[Axes], *, places: np.ndarray) -> None:
    """Let a shared axis count objects, logarithmic beyond the first ones."""
    axes[0].set_xscale("symlog", linthresh=places[places > 0].min())
    axes[0].set_xticks(places, [f"{place:,.0f}" for place in places])
    axes[0].set_xticks([], minor=True)
    for ax in axes:
        ax.tick_params(axis="x", rotation=45)


def _draw_plateaus(ax: Axes, *, rows: pd.DataFrame, arms: Mapping[str, Look]) -> None:
    """One row an arm: where nine tenths (say) of the gain are made, or that there is no gain."""
    ax.set_ylim(len(arms) - 0.4, -0.6)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.grid(axis="x")
    for place, (arm, look) in enumerate(arms.items()):
        for row in rows[rows["arm"] == arm].itertuples():
            ax.plot([row.low, row.high], [place, place], color=look.colour, lw=1.6, solid_capstyle="butt")
            hollow = {} if row.gains_frac >= _SURE else {"mfc": "white", "mec": look.colour}
            ax.plot(row.plateau, place, ls="none", color=look.colour, marker=look.marker, **_ON_LINE | hollow)
            if np.isnan(row.plateau):
                ax.text(0, place, "no gain", color=look.colour, fontsize=6.5, va="center")
    for straight in rows["straight"].unique():
        ax.axvline(straight, color=FAINT, lw=0.8, ls="--", zorder=0)


@style.in_style
def plot_comparison(
    comparisons: pd.DataFrame,
    *,
    label: str | None = None,
    metric: str | None = None,
    surveys: Names = None,
    title: str | None = None,
) -> Figure:
    """Draw how much each model differs from each other one, with intervals; one panel for each test set.

    A filled mark in the colour of the better model stands where the interval leaves out zero, a hollow grey one where
    nothing is decided.

    Parameters
    ----------
    comparisons : DataFrame
        From :func:`astrolab.compare_models`.
    """
    surveys = style.chosen(comparisons, column="survey", names=surveys)
    rows, task, quantity, about = style.pick_label(comparisons, label=label)
    (metric,) = style.pick_metrics(rows, metrics=metric and [metric], task=task, n=1)
    rows = rows[rows["metric"].eq(metric) & rows["survey"].isin(surveys)]
    require_one(rows, columns=["a", "b", "survey"])
    pairs = list(dict.fromkeys(zip(rows["a"], rows["b"], strict=True)))
    looks = style.arm_looks(list(dict.fromkeys(name for pair in pairs for name in pair)))
    titles = [look.label for look in style.survey_looks(surveys).values()]
    panel = ((PAGE_WIDTH_INCH - 1.7) / len(surveys), _PAIR_INCH * len(pairs) + 0.2)
    figure, axes = style.panel_grid(titles, panel=panel, around=(1.7, 0.9), most=len(surveys), sharey=True)
    for ax, survey in zip(axes[0], surveys, strict=True):
        _draw_pairs(ax, rows=rows[rows["survey"] == survey], pairs=pairs, looks=looks)
    axes[0, 0].set_yticks(range(len(pairs)), [f"{looks[a].label} − {looks[b].label}" for a, b in pairs])
    axes[0, 0].set_ylim(len(pairs) - 0.4, -0.6)
    words, name = style.metric_label(metric, quantity=quantity), find_metric(metric).label
    size = words.replace(name, f"|{name}|") if find_metric(metric).sign == "zero" else words
    below = axes[0, (len(surveys) - 1) // 2]
    below.set_xlabel(f"difference in {size}   (left: the first is better; right: the second)")
    better = set(rows["better"])
    entries = [_mark(look.colour, label=f"{look.label} better") for name, look in looks.items() if name in better]
    level, n, n_seeds = rows["level"].iloc[0], int(rows["n_comparisons"].max()), int(rows["n_seeds"].max())
    together = f", for all {n} together" if n > 1 and rows["correction"].iloc[0] == "max_t" else ""
    interval = f"{level:.0%} interval{together}" + f"; mean over {n_seeds} seeds" * (n_seeds > 1)
    notes = [_mark(None, label="undecided"), Line2D([], [], color=FAINT, lw=1.3, label=interval)]
    legend = {"entries": entries, "notes": notes, "simulated": style.is_simulated(rows)}
    style.finish(figure, title=(title or f"Differences in {words}") + about, **legend)
    return figure


def _draw_pairs(ax: Axes, *, rows: pd.DataFrame, pairs: Sequence[tuple[str, str]], looks: Mapping[str, Look]) -> None:
    reach = rows[["low", "high"]].abs().max(axis=1)
    for place in range(0, len(pairs), 2):
        ax.axhspan(place - 0.5, place + 0.5, color="#F6F6F6", lw=0, zorder=0)
    ax.axvline(0, color=INK, lw=0.7, zorder=1)
    ax.tick_params(axis="y", length=0)
    ax.locator_params(axis="x", nbins=4)
    for row in rows.itertuples():
        y = pairs.index((row.a, row.b))
        colour = looks[row.better].colour if row.better in looks else None
        ax.plot([row.low, row.high], [y, y], color=colour or FAINT, lw=1.3, solid_capstyle="butt", zorder=2)
        ax.add_line(_mark(colour, at=(row.difference, y)))
    edge = 1.08 * reach.max() or 1.0
    ax.set_xlim(-edge, edge)
    style.hold_all([ax], values=reach, along="x")


def _mark(colour: str | None, *, at: tuple[float, float] | None = None, label: str = "") -> Line2D:
    """A filled mark of a colour, or a hollow grey one."""
    how = {"marker": "o", "mfc": colour or "white", "mec": colour or FAINT, "ls": "none", "ms": 4, "mew": 0.9}
    return Line2D(*([[value] for value in at] if at else ([], [])), **how, label=label, zorder=3)
