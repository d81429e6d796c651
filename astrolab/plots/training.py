"""How each arm learned, and what that cost: losses, scores against costs, what is gained against what is forgotten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.pyplot import subplots
from matplotlib.text import Annotation, Text
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter, ScalarFormatter
from matplotlib.transforms import Bbox

from astrolab.metrics import pareto_front
from astrolab.plots import style
from astrolab.plots.scores import POINT, Drawn, Names, draw_point
from astrolab.plots.style import FAINT, INK, PAGE_WIDTH_INCH, Look
from astrolab.tasks import Quantity

_COST_WORDS = {
    "n_trainable": "trainable parameters",
    "time_s": "training time (s)",
    "n_steps": "steps",
    "n_seen": "objects seen in training",
}
_BARS = {"lw": 0.7, "alpha": 0.45, "zorder": 2, "gid": "bar"}
_BAR_ROOM = 2.0  # pixels about an error bar that labels leave free
_AREAS = (18.0, 220.0)  # square points of the cheapest and the dearest mark
_DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1), (0.8, 0.8), (-0.8, 0.8), (0.8, -0.8), (-0.8, -0.8))
_GAPS = (2.0, 11.0, 20.0)  # points between a mark and its label: where there is room, near
_LOG_FROM = 4.0  # times the least value: from there the axis is logarithmic
_PLACE = ["forgetting", "on_finetune"]


@style.in_style
def plot_training_curves(history: pd.DataFrame, *, arms: Names = None, title: str = "How each arm learned") -> Figure:
    """Draw training and validation loss against steps, one panel for each arm, one line for each seed.

    Dotted lines mark steps of the learning rate (of the first seed), stars the weights that were kept.

    Parameters
    ----------
    history : DataFrame
        Columns ``step``, ``train_loss``, ``validation_loss``, ``learning_rate``, ``is_kept``, and, where they are
        known, ``arm`` and ``seed``: that of a `FitResult`, or of a run.
    """
    history = history.assign(arm=history.get("arm", "this run"), seed=history.get("seed", 0))
    looks = style.arm_looks(style.chosen(history, column="arm", names=arms), table=history)
    words = {"rows": ["loss"], "xlabel": "step", "pad": 12}
    figure, axes = style.panel_grid(list(looks.values()), panel=(1.7, 1.6), around=(0.3, 0.6), sharey=True, **words)
    for ax, (arm, look) in zip(axes[0], looks.items(), strict=True):
        _draw_losses(ax, runs=history[history["arm"] == arm], look=look)
    losses = history.loc[history["arm"].isin(looks), ["train_loss", "validation_loss"]]
    _spread_small(axes[0, 0], values=losses.stack())
    entries = [
        Line2D([], [], color=INK, lw=0.9, alpha=0.5, label="train"),
        Line2D([], [], color=INK, lw=1.4, label="validation"),
        Line2D([], [], color=INK, marker="*", ls="none", ms=7, label="weights kept"),
        Line2D([], [], color=FAINT, lw=0.8, ls=":", label="learning rate falls"),
    ]
    words = {"title": title, "entries": entries, "notes": style.dagger(looks)}
    style.finish(figure, simulated=style.is_simulated(history), **words)
    return figure


def _spread_small(ax: Axes, *, values: pd.Series) -> None:
    if values.max() > _LOG_FROM * values.min() > 0:
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter(ScalarFormatter())
        ax.yaxis.set_minor_formatter(NullFormatter())
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))


def _draw_losses(ax: Axes, *, runs: pd.DataFrame, look: Look) -> None:
    for _, run in runs.groupby("seed", sort=False):
        run = run.sort_values("step")
        dots = {"marker": "." if len(run) < 4 else "", "color": look.colour}  # one point would be no line
        ax.plot(run["step"], run["train_loss"], lw=0.8, alpha=0.45, **dots)
        ax.plot(run["step"], run["validation_loss"], lw=1.2, **dots)
        kept = run[run["is_kept"]]
        ax.plot(kept["step"], kept["validation_loss"], marker="*", ms=8, mfc=look.colour, mec="white", mew=0.6)
    first = runs[runs["seed"] == runs["seed"].iloc[0]].sort_values("step")
    for step in first["step"][first["learning_rate"].diff() < 0]:
        ax.axvline(step, color=FAINT, lw=0.8, ls=":", zorder=0)
    rates = first["learning_rate"].to_numpy()
    span = _power(rates[0]) if rates[0] == rates[-1] else f"{_power(rates[0])} → {_power(rates[-1])}"
    ax.text(1, 1.02, f"rate {span}", transform=ax.transAxes, ha="right", va="bottom", fontsize=6.2, color=FAINT)
    ax.grid(axis="y")
    ax.set_xlim(0, 1.04 * runs["step"].max())
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]))
    ax.xaxis.set_major_formatter(EngFormatter(sep=""))


def _power(rate: float) -> str:
    exponent = int(np.floor(np.log10(rate) + 1e-9))
    factor = rate / 10.0**exponent
    power = f"10^{{{exponent}}}"
    return f"${power}$" if np.isclose(factor, 1) else f"${factor:.2g}\\times{power}$"


@style.in_style
def plot_cost(
    scores: pd.DataFrame,
    *,
    costs: pd.DataFrame,
    cost: Sequence[str] = ("n_trainable", "time_s"),
    label: str | None = None,
    metric: str | None = None,
    surveys: Names = None,
    title: str = "What accuracy costs",
) -> Figure:
    """Draw a score of every arm against what its training cost, a row of panels for each cost, one for each test set.

    Parameters
    ----------
    scores : DataFrame
        From :func:`astrolab.score`.
    costs : DataFrame
        Columns ``arm`` and those of `cost`, one row for each arm, or for each arm and seed (then averaged); 0 for an
        arm that is not trained.
    cost : sequence of str
        ``"n_trainable"``, ``"time_s"``, ``"n_steps"``, or any numeric columns of `costs`.
    """
    drawn = Drawn(scores, label=label, metrics=metric and [metric], surveys=surveys)
    style.chosen(costs, column="arm", names=list(drawn.arms))
    grid = {"panel": (2.2, 1.8), "rows": drawn.metric_labels * len(cost), "most": len(drawn.titles)}
    figure, axes = style.panel_grid(drawn.titles, **grid, sharex="row", sharey="col")
    for line, name in zip(axes, cost, strict=True):
        style.chosen(costs, column=name, names=None)
        paid = costs.groupby("arm")[name].mean()
        first = paid[paid > 0].min() / 3 if paid.any() else 1.0
        for ax, survey in zip(line, drawn.surveys, strict=True):
            style.draw_requirement(ax, metric=drawn.metrics[0], quantity=drawn.quantity)
            for row in drawn.where(survey=survey).itertuples():
                draw_point(ax, x=paid[row.arm], row=row, look=drawn.arms[row.arm])
            ax.set_xscale("symlog", linthresh=first, linscale=0.4)  # linear up to the first cost: untrained arms cost 0
            ax.set_xticks([0, *10.0 ** np.arange(np.ceil(np.log10(first)), np.ceil(np.log10(paid.max() or 1.0)) + 1)])
            ax.set_xticks([], minor=True)
            ax.set_xlabel(_COST_WORDS.get(name, name))
            ax.margins(x=0.12, y=0.14)
            ax.grid()
    for column, survey in zip(axes.T, drawn.surveys, strict=True):
        style.hold_all(list(column), values=drawn.where(survey=survey)["value"])
    drawn.finish(figure, title=title, entries=style.keys(drawn.arms, **POINT))
    return figure


@style.in_style
def plot_pareto(
    table: pd.DataFrame,
    *,
    pretrain: str = "pre-training survey",
    finetune: str = "fine-tuning survey",
    cost: str = "time_s",
    label: str | None = None,
    hollow: str | None = None,
    title: str = "What is gained, what is forgotten, what it costs",
    ax: Axes | None = None,
) -> Axes:
    """Draw forgetting against the score on the fine-tuning survey; a staircase joins the models that no other beats.

    Left is better on the pre-training survey, down on the fine-tuning survey. The base model is where the dotted lines
    cross; horizontal error bars are of the difference to it. The area of a mark grows with its cost.

    Parameters
    ----------
    table : DataFrame
        From :func:`astrolab.measure_forgetting`, merged with the columns `cost` and, where there are any, ``family``
        and ``variant``. A row that cost nothing is the base model.
    cost : str
        Column that is shown as the area of the marks.
    hollow : str, optional
        Bool column: those marks are drawn hollow, and explained in the legend by the name of the column.
    """
    table, _, quantity, about = style.pick_label(table, label=label)
    table = table.assign(family=table.get("family", "models"), variant=table.get("variant", table["arm"]))
    for column in (*_PLACE, cost, *([hollow] if hollow else [])):
        style.chosen(table, column=column, names=None)
    base, moved = table[table[cost] == 0], table[table[cost] > 0]
    families = style.chosen(moved, column="family", names=None)
    looks = style.arm_looks(families)
    moved = moved.assign(area=_areas(moved[cost]), hollow=moved[hollow].astype(bool) if hollow else False)
    ax = ax or subplots(figsize=(PAGE_WIDTH_INCH, 4.8))[1]
    for row in base.itertuples():
        ax.axhline(row.on_finetune, color=FAINT, lw=0.7, ls=":", zorder=1)
        ax.axvline(row.forgetting, color=FAINT, lw=0.7, ls=":", zorder=1)
        ax.plot(row.forgetting, row.on_finetune, marker="+", ms=9, mew=1.4, color=INK, ls="none", zorder=4)
    front = table[pareto_front(table, columns=_PLACE)].sort_values(_PLACE)
    ax.step(front["forgetting"], front["on_finetune"], where="post", color=INK, lw=0.9, alpha=0.55, zorder=2)
    for row in moved.itertuples():
        look, x, y = looks[row.family], row.forgetting, row.on_finetune
        face = {"fc": "white", "ec": look.colour, "lw": 1.2} if row.hollow else {"color": look.colour, "lw": 0}
        ax.scatter(x, y, s=row.area, marker=look.marker, alpha=0.9, zorder=3, **face)
        ax.plot([x, x], [row.on_finetune_low, row.on_finetune_high], color=look.colour, **_BARS)
        ax.plot([row.forgetting_low, row.forgetting_high], [y, y], color=look.colour, **_BARS)
    _name_axes(ax, table=table, pretrain=pretrain, finetune=finetune, quantity=quantity)
    entries = [*style.keys(looks, ls="none", ms=6), *_pareto_entries(moved[cost], words=_COST_WORDS.get(cost, cost))]
    if hollow:
        entries.append(Line2D([], [], ls="none", mfc="white", mec=INK, marker="o", label=hollow.replace("_", " ")))
    style.finish(ax, title=title + about, simulated=style.is_simulated(table), entries=entries)
    _write_labels(ax, table=moved, looks=looks)
    return ax


def _name_axes(ax: Axes, *, table: pd.DataFrame, pretrain: str, finetune: str, quantity: Quantity) -> None:
    looks = style.survey_looks([pretrain, finetune])
    words = style.metric_label(table["metric"].iloc[0], quantity=quantity)
    ax.set_xlabel(f"forgotten on {looks[pretrain].label}: rise in {words}")
    ax.set_ylabel(f"{words} on {looks[finetune].label}")
    _spread_small(ax, values=table["on_finetune"])
    ax.grid(zorder=0)
    ax.margins(0.08)
    style.hold_all([ax], values=table["forgetting"], along="x")


def _areas(costs: pd.Series) -> np.ndarray:
    """Areas proportional to the cost, within what can be seen."""
    return np.maximum(_AREAS[1] * costs.to_numpy(float) / costs.max(), _AREAS[0])


def _pareto_entries(costs: pd.Series, *, words: str) -> list[Line2D]:
    ends = pd.Series([costs.min(), costs.max()]).drop_duplicates()
    dots = {f"{cost:,.3g} {words}": np.sqrt(area) for cost, area in zip(ends, _areas(ends), strict=True)}
    return [
        *(Line2D([], [], color=FAINT, marker="o", ls="none", ms=size, label=text) for text, size in dots.items()),
        Line2D([], [], color=INK, marker="+", ls="none", ms=6, mew=1.4, label="base model"),
        Line2D([], [], color=INK, lw=0.9, alpha=0.55, label="no other beats these"),
    ]


def _write_labels(ax: Axes, *, table: pd.DataFrame, looks: Mapping[str, Look]) -> None:
    """Write each model's name beside its mark, where it covers the least of what already stands there."""
    ax.figure.draw_without_rendering()  # fixes the layout, on which the places in pixels depend
    places = table[_PLACE].to_numpy(float)
    radii = np.sqrt(table["area"].to_numpy()) / 2
    marks = zip(ax.transData.transform(places), radii * ax.figure.dpi / 72, strict=True)
    taken = [Bbox.from_extents(x - r, y - r, x + r, y + r) for (x, y), r in marks]
    taken += [line.get_window_extent().padded(_BAR_ROOM) for line in ax.lines if line.get_gid() == "bar"]
    for row, place, radius in zip(table.itertuples(), places, radii, strict=True):
        how = {"textcoords": "offset points", "fontsize": 6.2, "zorder": 5, "color": looks[row.family].colour}
        line = {"arrowstyle": "-", "color": FAINT, "lw": 0.5, "shrinkA": 0, "shrinkB": radius}
        text = ax.annotate(row.variant, place, (0, 0), arrowprops=line, **how)
        text.set_path_effects([withStroke(linewidth=1.6, foreground="white")])
        text.set_in_layout(False)  # or the layout would move again
        offsets = [tuple((radius + gap) * np.array(way)) for gap in _GAPS for way in _DIRECTIONS]
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
    """Area that a text would cover of others, and four times that of what lies beyond the frame, in square pixels."""
    shared = [Bbox.intersection(box, other) for other in (frame, *taken)]
    inside, *covered = [both.width * both.height if both else 0.0 for both in shared]
    return 4 * (box.width * box.height - inside) + sum(covered)
