"""Prediction against truth, object by object: where a model fails, not only how much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from astrolab.errors import unknown_name
from astrolab.exploring.columns import column_label
from astrolab.metrics import Resampling, find_metric, find_requirement, measure_mmd, score
from astrolab.plots import style
from astrolab.plots.style import FAINT, INK, PAGE_WIDTH_INCH
from astrolab.predictions import labels_of, one_label, quantity_of, task_of
from astrolab.tasks import Quantity, Range

AXES = ("pred", "deviation")
ASKED = "#009E73"  # Okabe & Ito 2008
_N_CELLS = 70  # along each axis
# Without its palest third, so that a single object is seen on white.
_COLOURS = LinearSegmentedColormap.from_list("density", colormaps["YlGnBu"](np.linspace(0.35, 1, 64)))
_PANEL_INCH = (1.2, 2.4)  # narrowest and widest
_AROUND, _BAR_INCH = (1.1, 0.7), 2.4
_PLANE_INCH, _PLANE_CELLS, _MARGIN = (1.45, 1.5), (40, 40), 0.15
_SHORT = {"catastrophic_rate": "catastr.", "outlier_rate": "outliers", "sigma_clipped": "σ"}
_SHOWN_DEVIATION = (5 / 3, 4.0)  # half the height of the axis of deviations, in outlier cuts: at least, at most


@style.in_style
def plot_prediction_density(
    predictions: pd.DataFrame,
    *,
    label: str | None = None,
    arms: Sequence[str] | None = None,
    surveys: Sequence[str] | None = None,
    seed: int | None = None,
    metrics: Sequence[str] | None = None,
    limits: tuple[float, float] | None = None,
    objects: str = "objects",
    title: str = "Prediction against truth",
) -> Figure:
    """Draw predictions against truth as densities, one panel for each arm and test set, at most five a row.

    A line marks equality, dashes the residual from which on a prediction is an outlier; predictions beyond the axes lie
    on their edge. Numbers are scores of what is drawn, within the range of truths that is scored.

    Parameters
    ----------
    predictions : DataFrame
        From :func:`astrolab.predict` or a run.
    seed : int, optional
        Which training seed; by default the first of the table.
    metrics : sequence of str, optional
        Scores written into each panel; by default the first three of the task.
    limits : (float, float), optional
        Ends of the axes; by default they hold 99 % of the truths and predictions.
    objects : str
        What the rows of the table are, e.g. ``"galaxies"``.
    """
    arms = style.chosen(predictions, column="arm", names=arms)
    surveys = style.chosen(predictions, column="survey", names=surveys)
    seeds = style.chosen(predictions, column="seed", names=None if seed is None else [seed])
    wanted = {"arm": arms, "survey": surveys, "seed": seeds[:1]}
    table = predictions[predictions[[*wanted]].isin(wanted).all(axis=1)]
    known, task = one_label(table, label=label), task_of(predictions)
    label = label or labels_of(table)[0]
    quantity = quantity_of(label, task=task)
    scored = {"metrics": metrics or task.metrics[:3], "labels": [label], "by": ("arm", "survey"), "task": task}
    scores = score(table, **scored, resampling=Resampling(n=0))
    limits = limits or style.axis_range(known[["truth", "pred"]].to_numpy(float), quantity=quantity)
    edges = np.linspace(*limits, _N_CELLS + 1)
    looks, rows = style.arm_looks(arms, table=table), [look.label for look in style.survey_looks(surveys).values()]
    most = 4 if len(arms) <= 8 else 5
    side = float(np.clip((PAGE_WIDTH_INCH - _AROUND[0]) / min(len(arms), most), *_PANEL_INCH))
    size = {"panel": (side, side), "around": _AROUND, "most": most, "sharex": True, "sharey": True}
    figure, axes = style.panel_grid(list(looks.values()), rows=rows, **size)
    meshes = []
    for ax, (survey, arm) in zip(axes.flat, product(surveys, arms), strict=True):
        here = known[known["arm"].eq(arm) & known["survey"].eq(survey)]
        meshes.append(_draw_density(ax, rows=here, edges=edges, quantity=quantity))
        _write_scores(ax, scores=scores[scores["arm"].eq(arm) & scores["survey"].eq(survey)])
    for ax in figure.axes:
        ax.yaxis.label.set_fontweight("bold")
    norm = LogNorm(vmin=1, vmax=max(2.0, *(float(mesh.get_array().max()) for mesh in meshes)))
    for mesh in meshes:
        mesh.set_norm(norm)
    place = {"shrink": min(0.8, _BAR_INCH / figure.get_figheight()), "anchor": (0, 1), "aspect": 20, "pad": 0.01}
    bar = figure.colorbar(meshes[0], ax=list(axes.flat), **place, ticks=LogLocator(subs=(1, 2, 5)), format="%g")
    bar.minorticks_off()
    bar.set_label(f"{objects} in a cell", color=FAINT)
    bar.outline.set_visible(False)
    figure.supxlabel(f"true {quantity.axis}", fontsize=8)
    figure.supylabel(f"predicted {quantity.axis}", fontsize=8)
    style.finish(figure, title=title, simulated=style.is_simulated(known), notes=style.dagger(looks))
    return figure


def _draw_density(ax: Axes, *, rows: pd.DataFrame, edges: np.ndarray, quantity: Quantity) -> QuadMesh:
    ends = edges[[0, -1]]
    counts, _, _ = np.histogram2d(rows["truth"], rows["pred"].clip(*ends), bins=edges)
    # Rasterised: a PDF with thousands of cells a panel would be slow to open.
    mesh = ax.pcolormesh(edges, edges, np.ma.masked_equal(counts.T, 0), cmap=_COLOURS, rasterized=True)
    ax.plot(ends, ends, color=INK, lw=0.7, alpha=0.8)
    for side in (-1, 1) if quantity.outlier else ():
        moved = quantity.moved(ends, residual=side * quantity.outlier)
        ax.plot(ends, moved, color=INK, lw=0.6, ls=(0, (4, 3)), alpha=0.6)
    ax.set(xlim=ends, ylim=ends, aspect="equal")
    ax.locator_params(nbins=4)
    return mesh


@style.in_style
def plot_label_plane(
    predictions: pd.DataFrame,
    *,
    x: str,
    y: str,
    reference: pd.DataFrame,
    survey: str,
    arms: Sequence[str] | None = None,
    seed: int | None = None,
    limits: tuple[Range, Range] | None = None,
    objects: str = "objects",
    title: str = "The plane of two labels",
) -> Figure:
    """Draw how objects lie in the plane of two labels, true ones first, then as each arm predicts them.

    Above, counts; below, each column divided by its largest count, so that the shape is seen where objects are few. In
    each panel stands how far it is from the reference: the maximum mean discrepancy (:func:`measure_mmd`) with a
    Gaussian kernel, both labels in units of their spread in the reference, the bandwidth the median distance of two
    objects of it; and the p-value of 200 permutations.

    Parameters
    ----------
    predictions : DataFrame
        Of a network of both labels, or of one a label, as :meth:`Run.save_predictions` joins them.
    x, y : str
        Labels along the axes, e.g. ``"feh"`` and ``"alpha_fe"``.
    reference : DataFrame
        Labels of the sample that the others are held against; columns `x` and `y`.
    survey : str
        Name of the test set.
    limits : ((float, float), (float, float)), optional
        Ends of the axes; by default they hold 99 % of the reference, and somewhat more.
    """
    arms = style.chosen(predictions, column="arm", names=arms)
    seeds = style.chosen(predictions, column="seed", names=None if seed is None else [seed])
    table = predictions[predictions["survey"].eq(survey) & predictions["seed"].eq(seeds[0])]
    task, looks = task_of(predictions), style.arm_looks(arms, table=table)
    clouds = {"truth": table[table["arm"] == arms[0]][[f"truth.{x}", f"truth.{y}"]]}
    clouds |= {arm: table[table["arm"] == arm][[f"pred.{x}", f"pred.{y}"]] for arm in arms}
    held = reference[[x, y]].dropna().to_numpy(float)
    against = {"reference": held / held.std(axis=0), "bandwidth": "reference", "n_permutations": 200}
    quantities = [task.quantity(label) for label in (x, y)]
    middle = zip(*np.quantile(held, (0.005, 0.995), axis=0), strict=True)
    ends = limits or [(low - _MARGIN * (high - low), high + _MARGIN * (high - low)) for low, high in middle]
    edges = [np.linspace(*end, n + 1) for end, n in zip(ends, _PLANE_CELLS, strict=True)]
    size = {"panel": _PLANE_INCH, "around": (0.9, 0.7), "sharex": True, "sharey": True, "most": len(clouds)}
    columns = [f"true, {style.survey_looks([survey])[survey].label}", *looks.values()]
    figure, axes = style.panel_grid(columns, rows=[objects, "each column by its largest"], **size)
    for column, cloud in zip(axes.T, clouds.values(), strict=True):
        points = cloud.dropna().to_numpy(float)
        found = measure_mmd(points / held.std(axis=0), **against)
        counts, _, _ = np.histogram2d(*points.T, bins=edges)
        largest = np.maximum(counts.max(axis=1, keepdims=True), 1)
        for ax, values in zip(column, (counts, counts / largest), strict=True):
            ax.pcolormesh(*edges, np.ma.masked_equal(values.T, 0), cmap=_COLOURS, rasterized=True)
        words = f"n {len(points):,}\nMMD {found.value:.3f}\np {found.p_value:.3f}"
        column[0].text(0.04, 0.04, words, transform=column[0].transAxes, fontsize=6.2)
    figure.supxlabel(quantities[0].axis, fontsize=8)
    figure.supylabel(quantities[1].axis, fontsize=8)
    style.finish(figure, title=title, simulated=style.is_simulated(table), notes=style.dagger(looks))
    return figure


def _write_scores(ax: Axes, *, scores: pd.DataFrame) -> None:
    words = [_SHORT.get(name, find_metric(name).label) for name in scores["metric"]]
    lines = [f"{word} {value:z.3f}".replace("-", "−") for word, value in zip(words, scores["value"], strict=True)]
    lines = [f"n {n:,}" for n in scores["n"].head(1)] + lines
    box = {"boxstyle": "round,pad=0.2", "fc": "white", "ec": "none", "alpha": 0.75}
    ax.text(0.04, 0.97, "\n".join(lines), transform=ax.transAxes, va="top", fontsize=6.2, linespacing=1.25, bbox=box)


@dataclass(frozen=True, eq=False)
class ReferenceLine:
    """A line to read a cloud by."""

    vertices: np.ndarray
    colour: str
    width: int
    text: str


def reference_lines(quantity: Quantity, *, x_range: tuple[float, float], axis: str = "pred") -> list[ReferenceLine]:
    """Return the lines of equality, of what surveys ask of the quantity, and from which on a prediction is an outlier.

    The requirement on the bias is far narrower than a cloud, and drawn along deviations only. Other columns have none.
    """
    if axis == "deviation_difference":
        return [ReferenceLine(np.array([(end, 0.0) for end in x_range]), INK, 1, "equality")]
    if axis not in AXES:
        return []
    limits = [(0.0, INK, 1, "equality")]
    for metric, width in (("scatter", 2), ("bias", 1)) if axis == "deviation" else (("scatter", 2),):
        asked = find_requirement(metric, label=quantity.name)
        if asked:
            words = f"{asked.survey} {metric}, {_size(asked.limit, quantity=quantity)}"
            limits += [(sign * asked.limit, ASKED, width, words) for sign in (-1, 1)]
    if quantity.outlier:
        words = f"outlier, {_size(quantity.outlier, quantity=quantity)}"
        limits += [(sign * quantity.outlier, FAINT, 1, words) for sign in (-1, 1)]
    x = np.array(x_range, dtype=float)
    heights = [quantity.moved(x, residual=limit) if axis == "pred" else np.full(2, limit) for limit, *_ in limits]
    return [ReferenceLine(np.stack([x, y], axis=1), *how) for y, (_, *how) in zip(heights, limits, strict=True)]


def _size(residual: float, *, quantity: Quantity) -> str:
    """A residual in words, such as "0.15 (1 + z)"."""
    unit = f"(1 + {quantity.name})" if quantity.error == "per_one_plus" else quantity.unit
    return f"{residual:g} {unit}".strip()


def cloud_ranges(
    table: pd.DataFrame, *, quantity: Quantity, axis: str = "pred", x: str = "truth"
) -> tuple[Range, Range]:
    """Return what the axes of a cloud cover: all of `x`, and the same (beside truths), or most of the others."""
    if axis not in AXES and axis not in table:
        raise unknown_name("vertical axis", name=axis, names=[*AXES, *table])
    x_range = _whole(table[x])
    if axis not in AXES:
        return x_range, _whole(table[axis])
    if axis == "pred" and x == "truth":
        return x_range, x_range
    if axis == "pred":
        return x_range, style.axis_range(table["pred"].to_numpy(float), quantity=quantity)
    half = float(np.quantile(table["deviation"].abs(), 0.98)) or 1.0
    if quantity.outlier:
        half = float(np.clip(half, *np.multiply(_SHOWN_DEVIATION, quantity.outlier)))
    return x_range, (-half, half)


def _whole(values: pd.Series) -> Range:
    low, high = float(values.min()), float(values.max())
    margin = 0.03 * (high - low or 1.0)
    return low - margin, high + margin


def axis_label(axis: str, *, quantity: Quantity) -> str:
    """Return the label of the vertical axis, with its unit."""
    if axis != "deviation":
        return column_label(axis, quantity=quantity)
    per_one_plus = "(predicted − true) / (1 + true)"
    return per_one_plus if quantity.error == "per_one_plus" else f"predicted − true {quantity.axis}"
