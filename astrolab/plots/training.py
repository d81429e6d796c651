"""How each arm learned, and what that cost: losses, scores against costs, what is gained against what is forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.pyplot import subplots
from matplotlib.text import Annotation, Text
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, ScalarFormatter
from matplotlib.transforms import Bbox

from astrolab.errors import PredictionError
from astrolab.metrics import front_steps, pareto_front
from astrolab.plots.scores import Drawn, whiskers
from astrolab.plots.style import (
    FAINT,
    INK,
    PAGE_WIDTH_INCH,
    Look,
    arm_looks,
    chosen,
    draw_requirement,
    finish,
    in_style,
    is_simulated,
    metric_label,
    panel_grid,
    pick_label,
    survey_looks,
)
from astrolab.tasks import Quantity

_BOX = {"fc": "white", "ec": "none", "pad": 1.0}
_ROOM_ABOVE = 0.15  # of the height of a panel, for the learning rates
_COST_WORDS = {
    "n_trainable": "trainable parameters",
    "time_s": "training time (s)",
    "n_epochs": "epochs trained",
    "n_seen": "objects seen in training",
}
_COST_MARK = {"ls": "none", "ms": 6.5, "mec": "white", "mew": 0.6}
# Okabe & Ito 2008, in an order in which neighbours differ most in lightness too.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#661100", "#6E6E6E")
_MARKERS = ("o", "s", "^", "D", "v", "P", "h", "X")
_AREAS = (18.0, 220.0)  # square points of the cheapest and the dearest mark
_DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1), (0.8, 0.8), (-0.8, 0.8), (0.8, -0.8), (-0.8, -0.8))
_GAPS = (2.0, 11.0, 20.0)  # points between a mark and its label: where there is room, near
_LOG_FROM = 4.0  # times the best score: from there the axis is logarithmic
_FAR = 3.0  # times the median: who forgets more stands at the edge
_PLACE = ["forgetting", "on_new"]


@in_style
def plot_training_curves(
    history: pd.DataFrame,
    *,
    arms: Sequence[str] | None = None,
    title: str = "How each arm learned",
) -> Figure:
    """Draw training and validation loss against epoch, one panel for each arm, one line for each seed.

    Dotted lines mark steps of the learning rate (of the first seed), stars the epoch whose weights were kept.

    Parameters
    ----------
    history : DataFrame
        Columns ``epoch``, ``train_loss``, ``validation_loss``, ``learning_rate``, ``is_kept``, and, where they are
        known, ``arm`` and ``seed``: that of a `FitResult`, or of a run.
    arms : sequence of str, optional
        What to draw, and in which order.
    title : str
        Title of the figure.

    Returns
    -------
    Figure

    Raises
    ------
    PredictionError
        If the table lacks an arm that is to be drawn.
    """
    history = history if "arm" in history else history.assign(arm="this run")
    history = history if "seed" in history else history.assign(seed=0)
    arms = chosen(history, column="arm", names=arms)
    figure, axes = panel_grid(
        list(arm_looks(arms).values()), rows=["loss"], panel=(1.85, 1.6), around=(0.2, 0.7), xlabel="epoch", sharey=True
    )
    for ax, (arm, look) in zip(axes[0], arm_looks(arms).items(), strict=True):
        _draw_losses(ax, runs=history[history["arm"] == arm], look=look)
    low, high = axes[0, 0].get_ylim()
    axes[0, 0].set_ylim(low, high + _ROOM_ABOVE * (high - low))
    styles = {"train": {"lw": 0.9, "alpha": 0.5}, "validation": {"lw": 1.4}}
    handles = [Line2D([], [], color=INK, label=name, **style) for name, style in styles.items()]
    handles.append(Line2D([], [], marker="*", ls="none", color=INK, ms=7, label="weights kept"))
    handles.append(Line2D([], [], color=FAINT, lw=0.8, ls=":", label="learning rate falls"))
    finish(figure, title=title, simulated=is_simulated(history), entries=handles)
    return figure


def _draw_losses(ax: Axes, *, runs: pd.DataFrame, look: Look) -> None:
    for _, run in runs.groupby("seed", sort=False):
        run = run.sort_values("epoch")
        ax.plot(run["epoch"], run["train_loss"], color=look.colour, lw=0.9, alpha=0.5)
        ax.plot(run["epoch"], run["validation_loss"], color=look.colour, lw=1.4)
        kept = run[run["is_kept"]]
        ax.plot(kept["epoch"], kept["validation_loss"], marker="*", ms=8, mfc=look.colour, mec="white", mew=0.6)
    first = runs[runs["seed"] == runs["seed"].iloc[0]].sort_values("epoch")
    for epoch in first["epoch"][first["learning_rate"].diff() < 0]:
        ax.axvline(epoch, color=FAINT, lw=0.8, ls=":", zorder=0)
    rates = first["learning_rate"].to_numpy()
    span = _power(rates[0]) if rates[0] == rates[-1] else f"{_power(rates[0])} → {_power(rates[-1])}"
    ax.text(
        0.97, 0.96, f"rate {span}", transform=ax.transAxes, ha="right", va="top", fontsize=6.2, color=FAINT, bbox=_BOX
    )
    ax.grid(axis="y")
    ax.margins(x=0.03)
    ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))


def _power(rate: float) -> str:
    exponent = int(np.floor(np.log10(rate) + 1e-9))
    factor = rate / 10.0**exponent
    power = f"10^{{{exponent}}}"
    return f"${power}$" if np.isclose(factor, 1) else f"${factor:.2g}\\times{power}$"


@in_style
def plot_cost(
    scores: pd.DataFrame,
    *,
    costs: pd.DataFrame,
    cost: str = "n_trainable",
    label: str | None = None,
    metric: str | None = None,
    surveys: Sequence[str] | None = None,
    title: str = "What accuracy costs",
) -> Figure:
    """Draw a score of every arm against what its training cost, one panel for each test set.

    Parameters
    ----------
    scores : DataFrame
        From :func:`astrolab.score`.
    costs : DataFrame
        Columns ``arm`` and `cost`, one row for each arm, or for each arm and seed (then averaged).
    cost : str
        ``"n_trainable"``, ``"time_s"``, ``"n_epochs"``, or any numeric column of `costs`.
    label : str, optional
        By default the first of the table.
    metric : str, optional
        Id of the metric; by default the headline of the task.
    surveys : sequence of str, optional
        Which test sets.
    title : str

    Returns
    -------
    Figure

    Raises
    ------
    PredictionError
        If a table lacks what is to be drawn.
    """
    drawn = Drawn.of(scores, label=label, metrics=metric and [metric], surveys=surveys)
    chosen(costs, column=cost, names=None)
    paid = costs.groupby("arm")[cost].mean()
    unpaid = set(drawn.arms) - set(paid.index)
    if unpaid:
        raise PredictionError(
            f"Scores were to be drawn against {cost}.",
            received=f"no {cost} of {', '.join(sorted(unpaid))}",
            available=", ".join(map(str, paid.index)),
            remedy="Give the costs of every arm, 0 for one that is not trained.",
        )
    words = _COST_WORDS.get(cost, cost)
    figure, axes = panel_grid(drawn.titles, rows=drawn.metric_labels, panel=(2.35, 2.0), xlabel=words, sharex=True)
    marks = {arm: {"color": look.colour, "marker": look.marker} | _COST_MARK for arm, look in drawn.arms.items()}
    for ax, survey in zip(axes[0], drawn.surveys, strict=True):
        _scale_costs(ax, costs=paid[paid > 0])
        for arm, mark in marks.items():
            rows = drawn.where(survey=survey, arm=arm)
            ax.errorbar(
                [paid[arm]] * len(rows), rows["value"], yerr=whiskers(rows), elinewidth=0.9, capsize=1.8, **mark
            )
        draw_requirement(ax, metric=drawn.metrics[0], requirement=drawn.requirements.get(drawn.metrics[0]))
        ax.margins(x=0.12, y=0.14)
        ax.grid(zorder=0)
        ax.tick_params(axis="x", which="minor", length=0)
    entries = [Line2D([], [], label=drawn.arms[arm].label, **mark) for arm, mark in marks.items()]
    drawn.finish(figure, title=title, entries=entries)
    return figure


def _scale_costs(ax: Axes, *, costs: pd.Series) -> None:
    """Make the axis logarithmic, but linear up to the first cost: an arm that is not trained costs 0."""
    first, last = (costs.min() / 3, costs.max()) if len(costs) else (1.0, 1.0)
    ax.set_xscale("symlog", linthresh=first, linscale=0.4)
    ax.set_xticks([0, *10.0 ** np.arange(np.ceil(np.log10(first)), np.ceil(np.log10(last)) + 1)])


@in_style
def plot_pareto(
    table: pd.DataFrame,
    *,
    old: str = "old survey",
    new: str = "new survey",
    cost: str = "time_s",
    label: str | None = None,
    families: Sequence[str] | None = None,
    hollow: str | None = None,
    title: str = "What is gained, what is forgotten, what it costs",
    ax: Axes | None = None,
) -> Axes:
    """Draw every model where it stands between two surveys; those that no other beats are joined by a staircase.

    Left is better on the old survey, down is better on the new one. The base model stands where the dotted lines cross;
    horizontal error bars are of the difference to it. The area of a mark grows with its cost. A model that forgets far
    more than the others stands at the right edge, with its number.

    Parameters
    ----------
    table : DataFrame
        From :func:`astrolab.measure_forgetting`, merged with the columns `cost` and, where there are any, ``family``
        and ``variant``. A row that cost nothing is the base model.
    old, new : str
        Names of the surveys.
    cost : str
        Column that is shown as the area of the marks.
    label : str, optional
        By default the first of the table.
    families : sequence of str, optional
        Which families, and in which order.
    hollow : str, optional
        Bool column: those marks are drawn hollow, and explained in the legend by the name of the column.
    title : str
        Title of the axes.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    PredictionError
        If the table lacks what is to be drawn.
    """
    table, _, quantity, about = pick_label(table, label=label)
    table = table if "family" in table else table.assign(family="models")
    table = table if "variant" in table else table.assign(variant=table["arm"])
    for column in (*_PLACE, cost, *([hollow] if hollow else [])):
        chosen(table, column=column, names=None)
    base, moved = table[table[cost] == 0], table[table[cost] > 0]
    families = chosen(moved, column="family", names=families)
    moved = moved[moved["family"].isin(families)]
    edge = _edge(moved["forgetting"])
    beyond = moved["forgetting"] > edge
    names = moved["variant"].where(~beyond, moved["variant"] + moved["forgetting"].map(" ({:.2g} ▸)".format))
    is_hollow = moved[hollow].astype(bool) if hollow else False
    moved = moved.assign(
        variant=names,
        forgetting=moved["forgetting"].clip(upper=edge),
        forgetting_low=moved["forgetting_low"].mask(beyond),
        forgetting_high=moved["forgetting_high"].mask(beyond).clip(upper=edge),
        area=_areas(moved[cost]),
        hollow=is_hollow,
        colour=moved["family"].map({name: _COLOURS[i % 8] for i, name in enumerate(families)}),
        marker=moved["family"].map({name: _MARKERS[i % 8] for i, name in enumerate(families)}),
    )
    ax = ax or subplots(figsize=(PAGE_WIDTH_INCH, 5.4))[1]
    for row in base.itertuples():
        ax.axhline(row.on_new, color=FAINT, lw=0.7, ls=":", zorder=1)
        ax.axvline(row.forgetting, color=FAINT, lw=0.7, ls=":", zorder=1)
        ax.plot(row.forgetting, row.on_new, marker="+", ms=9, mew=1.4, color=INK, ls="none", zorder=4)
    both = pd.concat([base, moved[~beyond]])
    front = both[pareto_front(both, columns=_PLACE)]
    ax.plot(*front_steps(front[_PLACE].to_numpy(float)).T, color=INK, lw=0.9, alpha=0.55, zorder=2)
    for row in moved.itertuples():
        _draw_mark(ax, row=row)
    _name_axes(ax, table=table, old=old, new=new, quantity=quantity)
    dots = _pareto_entries(moved, cost=cost, hollow=hollow)
    finish(ax, title=title + about, simulated=is_simulated(table), entries=dots)
    _write_labels(ax, table=moved)
    return ax


def _name_axes(ax: Axes, *, table: pd.DataFrame, old: str, new: str, quantity: Quantity) -> None:
    metric = table["metric"].iloc[0]
    names = {name: look.label for name, look in survey_looks([old, new]).items()}
    ax.set_xlabel(f"forgotten on {names[old]}: rise in {metric_label(metric, quantity=quantity)}")
    ax.set_ylabel(f"{metric_label(metric, quantity=quantity)} on {names[new]}")
    if table["on_new"].max() > _LOG_FROM * table["on_new"].min() > 0:
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter(ScalarFormatter())
        ax.yaxis.set_minor_formatter(NullFormatter())
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.grid(zorder=0)
    ax.margins(0.08)


def _areas(costs: pd.Series) -> np.ndarray:
    """Areas proportional to the cost, within what can be seen."""
    return np.maximum(_AREAS[1] * costs.to_numpy(float) / costs.max(), _AREAS[0])


def _edge(forgetting: pd.Series) -> float:
    """Where the axis is cut: beyond most of the models, if some lie much farther out than these."""
    limit = _FAR * forgetting.median()
    return float(limit) if forgetting.max() > limit > 0 else np.inf


def _draw_mark(ax: Axes, *, row: Any) -> None:
    style = {"facecolor": "white", "edgecolor": row.colour, "lw": 1.2} if row.hollow else {"color": row.colour, "lw": 0}
    ax.scatter(row.forgetting, row.on_new, s=row.area, marker=row.marker, alpha=0.9, zorder=3, **style)
    bars = {"color": row.colour, "lw": 0.7, "alpha": 0.45, "zorder": 2}
    ax.plot([row.forgetting] * 2, [row.on_new_low, row.on_new_high], **bars)
    ax.plot([row.forgetting_low, row.forgetting_high], [row.on_new] * 2, **bars)


def _pareto_entries(moved: pd.DataFrame, *, cost: str, hollow: str | None) -> list[Line2D]:
    dot = {"ls": "none", "ms": 6}
    looks = moved.drop_duplicates("family")[["family", "colour", "marker"]].itertuples(index=False)
    entries = [Line2D([], [], color=colour, marker=marker, label=name, **dot) for name, colour, marker in looks]
    if hollow:
        entries.append(Line2D([], [], mfc="white", mec=INK, marker="o", label=hollow.replace("_", " "), **dot))
    entries.append(Line2D([], [], color=INK, marker="+", mew=1.4, label="base model", **dot))
    entries.append(Line2D([], [], color=INK, lw=0.9, alpha=0.55, label="no other beats these"))
    words = _COST_WORDS.get(cost, cost)
    for value in dict.fromkeys([moved[cost].min(), moved[cost].max()]):
        size = np.sqrt(_areas(pd.Series([value, moved[cost].max()]))[0])
        entries.append(Line2D([], [], color=FAINT, marker="o", ls="none", ms=size, label=f"{value:,.3g} {words}"))
    return entries


def _write_labels(ax: Axes, *, table: pd.DataFrame) -> None:
    """Write each model's name beside its mark, where it covers the least of what already stands there."""
    ax.figure.draw_without_rendering()  # fixes the layout, on which the places in pixels depend
    radii = np.sqrt(table["area"].to_numpy()) / 2
    marks = ax.transData.transform(table[_PLACE].to_numpy(float))
    reach = radii * ax.figure.dpi / 72
    taken = [Bbox.from_extents(x - r, y - r, x + r, y + r) for (x, y), r in zip(marks, reach, strict=True)]
    for row, radius in zip(table.itertuples(), radii, strict=True):
        offsets = [tuple((radius + gap) * np.array(way)) for gap in _GAPS for way in _DIRECTIONS]
        style = {"textcoords": "offset points", "fontsize": 6.2, "zorder": 5, "color": row.colour}
        line = {"arrowstyle": "-", "color": FAINT, "lw": 0.5, "shrinkA": 0, "shrinkB": radius}
        text = ax.annotate(row.variant, (row.forgetting, row.on_new), (0, 0), arrowprops=line, **style)
        text.set_path_effects([withStroke(linewidth=1.6, foreground="white")])
        text.set_in_layout(False)  # or the layout would move again
        clutter = [_clutter(_boxed(text, offset), taken=taken, frame=ax.bbox) for offset in offsets]
        taken.append(_boxed(text, offsets[int(np.argmin(clutter))]))


def _boxed(text: Annotation, offset: tuple[float, float]) -> Bbox:
    """Put a text at an offset (points) and give the place that it takes (pixels)."""
    dx, dy = offset
    text.set_position(offset)
    text.set(ha="left" if dx > 0 else "right" if dx < 0 else "center")
    text.set(va="bottom" if dy > 0 else "top" if dy < 0 else "center")
    text.update_positions(text.figure.canvas.get_renderer())
    return Text.get_window_extent(text)


def _clutter(box: Bbox, *, taken: Sequence[Bbox], frame: Bbox) -> float:
    """Area that a text would cover of others and of what lies beyond the frame, in square pixels."""
    inside = Bbox.intersection(box, frame)
    beyond = box.width * box.height - (inside.width * inside.height if inside else 0)
    overlaps = [Bbox.intersection(box, other) for other in taken]
    return 4 * beyond + sum(shared.width * shared.height for shared in overlaps if shared)
