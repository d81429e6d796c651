"""The trade of moving a model: accuracy on the new survey against what is forgotten of the old one, and the cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.pyplot import subplots
from matplotlib.text import Annotation, Text
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter
from matplotlib.transforms import Bbox

from astrolab.metrics import find_metric, front_steps, pareto_front
from astrolab.plots.cost import COST_LABELS
from astrolab.plots.style import (
    FAINT,
    INK,
    PAGE_WIDTH_INCH,
    chosen,
    entitle,
    in_style,
    is_simulated,
    metric_label,
    survey_looks,
)

# Okabe & Ito 2008, in an order in which neighbours differ most in lightness too.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#661100", "#6E6E6E")
_MARKERS = ("o", "s", "^", "D", "v", "P", "h", "X")
_AREAS = (18.0, 220.0)  # square points of the cheapest and the dearest mark
_DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1), (0.8, 0.8), (-0.8, 0.8), (0.8, -0.8), (-0.8, -0.8))
_GAPS = (2.0, 11.0, 20.0)  # points between a mark and its label: where there is room, near
_LOG_FROM = 4.0  # times the best score: from there the axis is logarithmic
_FAR = 3.0  # times the median: who forgets more stands at the edge
AXES = ("forgetting", "on_new")


@in_style
def plot_pareto(
    table: pd.DataFrame,
    *,
    old: str = "old survey",
    new: str = "new survey",
    cost: str = "time_s",
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
    table = table if "family" in table else table.assign(family="models")
    table = table if "variant" in table else table.assign(variant=table["arm"])
    for column in (*AXES, cost, *([hollow] if hollow else [])):
        chosen(table, column=column, names=None)
    base, moved = table[table[cost] == 0], table[table[cost] > 0]
    families = chosen(moved, column="family", names=families)
    moved = moved[moved["family"].isin(families)]
    edge = _edge(moved["forgetting"])
    ax = ax or subplots(figsize=(PAGE_WIDTH_INCH, 5.4))[1]
    looks = {name: (_COLOURS[i % 8], _MARKERS[i % 8]) for i, name in enumerate(families)}
    areas = _areas(moved[cost])
    _draw_base(ax, base=base)
    _draw_front(ax, table=pd.concat([base, moved]), edge=edge)
    for row, area in zip(moved.itertuples(), areas, strict=True):
        is_hollow = bool(hollow) and bool(getattr(row, hollow))
        _draw_mark(ax, row=row, area=area, look=looks[row.family], is_hollow=is_hollow, edge=edge)
    metric = table["metric"].iloc[0]
    names = {name: look.label for name, look in survey_looks([old, new]).items()}
    ax.set_xlabel(f"forgotten on {names[old]}: rise in {find_metric(metric).label}")
    ax.set_ylabel(f"{metric_label(metric)} on {names[new]}")
    if table["on_new"].max() > _LOG_FROM * table["on_new"].min() > 0:
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter(ScalarFormatter())
        ax.yaxis.set_minor_formatter(NullFormatter())
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.grid(zorder=0)
    ax.margins(0.08)
    _write_legend(ax, looks=looks, costs=moved[cost], cost=cost, hollow=hollow)
    entitle(ax, title=title, simulated=is_simulated(table))
    beyond = moved["forgetting"] > edge
    names = moved["variant"].where(~beyond, moved["variant"] + moved["forgetting"].map(" ({:.2g} ▸)".format))
    placed = moved.assign(variant=names, forgetting=moved["forgetting"].clip(upper=edge))
    _write_labels(ax, table=placed, areas=areas, looks=looks)
    return ax


def _areas(costs: pd.Series) -> np.ndarray:
    """Areas proportional to the cost, within what can be seen."""
    return np.maximum(_AREAS[1] * costs.to_numpy(float) / costs.max(), _AREAS[0])


def _edge(forgetting: pd.Series) -> float:
    """Where the axis is cut: beyond most of the models, if some lie much farther out than these."""
    limit = _FAR * forgetting.median()
    return float(limit) if forgetting.max() > limit > 0 else np.inf


def _draw_base(ax: Axes, *, base: pd.DataFrame) -> None:
    for row in base.itertuples():
        ax.axhline(row.on_new, color=FAINT, lw=0.7, ls=":", zorder=1)
        ax.axvline(row.forgetting, color=FAINT, lw=0.7, ls=":", zorder=1)
        ax.plot(row.forgetting, row.on_new, marker="+", ms=9, mew=1.4, color=INK, ls="none", zorder=4)


def _draw_front(ax: Axes, *, table: pd.DataFrame, edge: float) -> None:
    front = table[pareto_front(table, columns=AXES) & (table["forgetting"] <= edge)]
    ax.plot(*front_steps(front[list(AXES)].to_numpy(float)).T, color=INK, lw=0.9, alpha=0.55, zorder=2)


def _draw_mark(ax: Axes, *, row: tuple, area: float, look: tuple[str, str], is_hollow: bool, edge: float) -> None:
    colour, marker = look
    style = {"facecolor": "white", "edgecolor": colour, "lw": 1.2} if is_hollow else {"color": colour, "lw": 0}
    x, y = min(row.forgetting, edge), row.on_new
    ax.scatter(x, y, s=area, marker=marker, alpha=0.9, zorder=3, **style)
    bars = {"color": colour, "lw": 0.7, "alpha": 0.45, "zorder": 2}
    ax.plot([x, x], [row.on_new_low, row.on_new_high], **bars)
    if row.forgetting <= edge:
        ax.plot([row.forgetting_low, min(row.forgetting_high, edge)], [y, y], **bars)


def _write_legend(
    ax: Axes, *, looks: Mapping[str, tuple[str, str]], costs: pd.Series, cost: str, hollow: str | None
) -> None:
    dot = {"ls": "none", "ms": 6}
    entries = [Line2D([], [], color=c, marker=m, label=name, **dot) for name, (c, m) in looks.items()]
    if hollow:
        entries.append(Line2D([], [], mfc="white", mec=INK, marker="o", label=hollow.replace("_", " "), **dot))
    entries.append(Line2D([], [], color=INK, marker="+", mew=1.4, label="base model", **dot))
    entries.append(Line2D([], [], color=INK, lw=0.9, alpha=0.55, label="no other beats these"))
    words = COST_LABELS.get(cost, cost)
    for value in dict.fromkeys([costs.min(), costs.max()]):
        size = np.sqrt(_areas(pd.Series([value, costs.max()]))[0])
        entries.append(Line2D([], [], color=FAINT, marker="o", ls="none", ms=size, label=f"{value:,.3g} {words}"))
    ax.figure.legend(handles=entries, loc="outside lower left", ncols=3, handlelength=1.6)


def _write_labels(ax: Axes, *, table: pd.DataFrame, areas: np.ndarray, looks: Mapping[str, tuple[str, str]]) -> None:
    """Write each model's name beside its mark, where it covers the least of what already stands there."""
    ax.figure.draw_without_rendering()  # fixes the layout, on which the places in pixels depend
    renderer = ax.figure.canvas.get_renderer()
    radii = np.sqrt(areas) / 2
    marks = ax.transData.transform(table[list(AXES)].to_numpy(float))
    reach = radii * ax.figure.dpi / 72
    taken = [Bbox.from_extents(x - r, y - r, x + r, y + r) for (x, y), r in zip(marks, reach, strict=True)]
    for row, radius in zip(table.itertuples(), radii, strict=True):
        offsets = [tuple((radius + gap) * np.array(way)) for gap in _GAPS for way in _DIRECTIONS]
        style = {"textcoords": "offset points", "fontsize": 6.2, "zorder": 5, "color": looks[row.family][0]}
        line = {"arrowstyle": "-", "color": FAINT, "lw": 0.5, "shrinkA": 0, "shrinkB": radius}
        text = ax.annotate(row.variant, (row.forgetting, row.on_new), (0, 0), arrowprops=line, **style)
        text.set_path_effects([withStroke(linewidth=1.6, foreground="white")])
        clutter = [_clutter(text, offset, taken=taken, frame=ax.bbox, renderer=renderer) for offset in offsets]
        taken.append(_boxed(text, offsets[int(np.argmin(clutter))], renderer=renderer))


def _boxed(text: Annotation, offset: tuple[float, float], *, renderer: object) -> Bbox:
    dx, dy = offset
    text.set_position(offset)
    text.set_ha("left" if dx > 0 else "right" if dx < 0 else "center")
    text.set_va("bottom" if dy > 0 else "top" if dy < 0 else "center")
    text.update_positions(renderer)
    return Text.get_window_extent(text, renderer)


def _clutter(
    text: Annotation, offset: tuple[float, float], *, taken: Sequence[Bbox], frame: Bbox, renderer: object
) -> float:
    """Area that a text would cover of others and of what lies beyond the frame, in square pixels."""
    box = _boxed(text, offset, renderer=renderer)
    inside = Bbox.intersection(box, frame)
    beyond = box.width * box.height - (inside.width * inside.height if inside else 0)
    overlaps = [Bbox.intersection(box, other) for other in taken]
    return 4 * beyond + sum(shared.width * shared.height for shared in overlaps if shared)
