"""What an explorer of predictions shows, as a figure: clouds, reference lines, scores of a selection, cut-outs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.pyplot import figure as new_figure

from astrolab.errors import unknown_name
from astrolab.exploring.columns import column_label
from astrolab.exploring.deviations import is_redshift
from astrolab.metrics import REQUIREMENTS
from astrolab.metrics.photoz import OUTLIER_CUT
from astrolab.plots.cutouts import galaxy_picture, read_stamps
from astrolab.plots.model_names import brief_names
from astrolab.plots.point_colours import BAD, PointColours, colour_galaxies
from astrolab.plots.style import FAINT, INK, entitle, in_style, is_simulated

if TYPE_CHECKING:
    from astrolab.datasets.survey import Survey

AXES = ("pred", "deviation")
LSST = "#009E73"  # Okabe & Ito 2008
N_DRAWN = 20_000
N_PICTURES = 8
N_CHARACTERS = 90  # of a title over a figure of one cloud
_SHOWN_DEVIATION = (0.25, 0.6)  # half the height of the axis of deviations: at least, at most


@dataclass(frozen=True, eq=False)
class ReferenceLine:
    """A line to read a cloud by."""

    vertices: np.ndarray
    colour: str
    width: int
    text: str


def reference_lines(label: str, *, x_range: tuple[float, float], axis: str = "pred") -> list[ReferenceLine]:
    """Return the lines of equality, of what LSST asks for, and of the outlier cut."""
    limits = [(0.0, INK, 1, "equality")]
    if is_redshift(label):
        limits += [(sign * REQUIREMENTS["scatter"].limit, LSST, 2, "LSST scatter, 0.02 (1 + z)") for sign in (-1, 1)]
        if axis == "deviation":
            limits += [(sign * REQUIREMENTS["bias"].limit, LSST, 1, "LSST bias, 0.003 (1 + z)") for sign in (-1, 1)]
        limits += [(sign * OUTLIER_CUT, FAINT, 1, "outlier, 0.15 (1 + z)") for sign in (-1, 1)]
    x = np.array(x_range, dtype=float)
    lines = []
    for limit, colour, width, text in limits:
        y = x + limit * (1 + x) if axis == "pred" else np.full(2, limit)
        lines.append(ReferenceLine(np.stack([x, y], axis=1), colour, width, text))
    return lines


def cloud_ranges(galaxies: pd.DataFrame, *, axis: str = "pred") -> tuple[tuple[float, float], tuple[float, float]]:
    """Return what the axes of a cloud cover."""
    if axis not in AXES:
        raise unknown_name("vertical axis", name=axis, names=AXES)
    truth = galaxies["truth"].to_numpy(float)
    low, high = float(truth.min()), float(truth.max())
    margin = 0.03 * (high - low or 1.0)
    x_range = (low - margin, high + margin)
    if axis == "pred":
        return x_range, x_range
    half = float(np.quantile(galaxies["deviation"].abs(), 0.98))
    if is_redshift(str(galaxies["label"].iloc[0])):
        half = float(np.clip(half, *_SHOWN_DEVIATION))
    return x_range, (-half, half)


def axis_label(axis: str, *, label: str) -> str:
    """Return the label of the vertical axis, with its unit."""
    if axis == "pred":
        return column_label("pred", label=label)
    if is_redshift(label):
        return "(predicted − true) / (1 + true)"
    return f"predicted − {column_label('truth', label=label)}"


@in_style
def plot_exploration(
    galaxies: pd.DataFrame,
    *,
    rows: np.ndarray | None = None,
    inside: np.ndarray | None = None,
    sides: Mapping[str, pd.DataFrame] | None = None,
    models: Sequence[str] = ("",),
    axis: str = "pred",
    colour: str | None = None,
    survey: Survey | None = None,
    listed: Sequence[int] = (),
    title: str = "Predictions explored",
) -> Figure:
    """Draw what an explorer shows: a cloud for each model, the selection in black, its scores, its first galaxies."""
    pictures = list(listed)[:N_PICTURES] if survey is not None and "image" in survey.inputs else []
    n_clouds = 1 + ("pred_other" in galaxies)
    colours = colour_galaxies(galaxies, by=colour)
    shown = np.arange(len(galaxies)) if inside is None else np.flatnonzero(inside)
    drawn, chosen = _some(shown), _some(np.zeros(0, dtype=int) if rows is None else np.asarray(rows))
    notes = [_thinned(drawn, shown, "galaxies"), _thinned(chosen, chosen if rows is None else rows, "selected ones")]
    n_lines = max(_in_lines(name, N_CHARACTERS // 3).count("\n") for name in models)
    figure, top, bottom = _parts(3.3 * n_clouds + 3.6, 3.4 + 0.15 * n_lines, has_pictures=bool(pictures))
    axes = top.subplots(1, n_clouds + 1, width_ratios=[3.3] * n_clouds + [3.2], squeeze=False)[0]
    for number, ax in enumerate(axes[:n_clouds]):
        column = axis + ("_other" if number else "")
        _draw_cloud(ax, galaxies, column=column, axis=axis, drawn=drawn, chosen=chosen, colours=colours)
        _name_cloud(ax, models[number] if number < len(models) else "")
    entries = _entries(colours.legend(inside=inside), n_selected=0 if rows is None else len(rows))
    entries += _line_entries(str(galaxies["label"].iloc[0]), axis=axis)
    _write_legend(axes[-1], entries=entries, heading=colours.heading(brief_names(models)))
    if sides:
        _write_scores(axes[-1], sides=sides)
    if pictures:
        _draw_pictures(bottom, galaxies.iloc[pictures], survey=survey)
    entitle(figure, title=" · ".join(filter(None, [title, *notes])), simulated=is_simulated(galaxies))
    figure.suptitle(_in_lines(figure.get_suptitle(), N_CHARACTERS * (1 + n_clouds) // 2), x=0.01, ha="left")
    return figure


def _some(rows: np.ndarray) -> np.ndarray:
    if len(rows) <= N_DRAWN:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, N_DRAWN, replace=False))


def _thinned(drawn: np.ndarray, there: np.ndarray, what: str) -> str:
    return f"{len(drawn):,} of {len(there):,} {what} drawn" if len(drawn) < len(there) else ""


def _in_lines(text: str, n_characters: int) -> str:
    """Break a title between its parts where it is longer than its place."""
    lines = [""]
    for part in text.split(" · "):
        longer = f"{lines[-1]} · {part}" if lines[-1] else part
        lines[-1:] = [longer] if len(longer) <= n_characters or not lines[-1] else [lines[-1], part]
    return "\n".join(lines)


def _name_cloud(ax: Axes, name: str) -> None:
    text = _in_lines(name, N_CHARACTERS // 3)
    ax.set_title(text, loc="center", fontweight="bold", fontsize=7.5 if "\n" in text else None)


def _parts(width: float, height: float, *, has_pictures: bool) -> tuple[Figure, SubFigure, SubFigure | None]:
    heights = [height, 1.75] if has_pictures else [height]
    figure = new_figure(figsize=(width, sum(heights)), layout="constrained")
    top, *bottom = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    return figure, top, bottom[0] if bottom else None


def _draw_cloud(
    ax: Axes,
    galaxies: pd.DataFrame,
    *,
    column: str,
    axis: str,
    drawn: np.ndarray,
    chosen: np.ndarray,
    colours: PointColours,
) -> None:
    x_range, y_range = cloud_ranges(galaxies, axis=axis)
    truth, y = galaxies["truth"].to_numpy(float), np.clip(galaxies[column].to_numpy(float), *y_range)
    size = 9.0 if len(galaxies) < 2000 else 2.5
    ax.scatter(truth[drawn], y[drawn], c=colours.of_points[drawn], s=size, lw=0, alpha=0.7, rasterized=True)
    if len(chosen):
        ax.scatter(truth[chosen], y[chosen], c="black", s=size * 1.6, lw=0, rasterized=True)
    label = str(galaxies["label"].iloc[0])
    for line in reference_lines(label, x_range=x_range, axis=axis):
        ax.plot(*line.vertices.T, color=line.colour, lw=0.7 * line.width)
    ax.set(xlim=x_range, ylim=y_range, xlabel=column_label("truth", label=label), ylabel=axis_label(axis, label=label))
    if axis == "pred":
        ax.set_aspect("equal")


def _entries(dots: Mapping[str, str], *, n_selected: int) -> list[Line2D]:
    selected = {f"selected: {n_selected:,}": "black"} if n_selected else {}
    mark = {"marker": "o", "ls": "none", "ms": 4, "mec": "none"}
    return [Line2D([], [], color=colour, label=text, **mark) for text, colour in (dots | selected).items()]


def _line_entries(label: str, *, axis: str) -> list[Line2D]:
    lines = {line.text: line for line in reference_lines(label, x_range=(0.0, 1.0), axis=axis)}
    return [Line2D([], [], color=one.colour, lw=0.7 * one.width, label=text) for text, one in lines.items()]


def _write_legend(ax: Axes, *, entries: Sequence[Line2D], heading: str) -> None:
    ax.axis("off")
    legend = ax.legend(
        handles=entries,
        loc="upper left",
        title=heading or None,
        alignment="left",
        borderaxespad=0.0,
        labelspacing=0.3,
        fontsize=7,
    )
    legend.get_title().set_fontsize(7)


def _write_scores(ax: Axes, *, sides: Mapping[str, pd.DataFrame]) -> None:
    first = next(iter(sides.values()))
    cells = [[_value(side["value"].iloc[k]) for side in sides.values()] for k in range(len(first))]
    cells.append([f"{side['n'].iloc[0]:,}" for side in sides.values()])
    heads = [name.replace(" · ", "\n") for name in sides]
    table = ax.table(
        cellText=cells, rowLabels=[*first["label"], "galaxies scored"], colLabels=heads, loc="lower right", edges="B"
    )
    table.auto_set_font_size(False)
    table.set_fontsize(6.5)
    table.auto_set_column_width(list(range(len(sides))))
    head = 0.025 + 0.045 * max(1 + name.count("\n") for name in heads)
    for (row, _), cell in table.get_celld().items():
        cell.set(height=head if row == 0 else 0.068, edgecolor="#D0D0D0", linewidth=0.5)


def _value(value: float) -> str:
    return f"{value:.4f}".replace("-", "−") if np.isfinite(value) else "–"


def _draw_pictures(part: SubFigure, galaxies: pd.DataFrame, *, survey: Survey) -> None:
    """All pictures in one image: an axis each would take most of the time of the figure."""
    stamps = read_stamps(survey, object_ids=galaxies["object_id"].to_numpy())
    pictures = [galaxy_picture(stamp, bands=survey.bands) for stamp in stamps]
    height, width, _ = pictures[0].shape
    gap = width // 12
    strip = np.full((height, N_PICTURES * (width + gap) - gap, 3), 255, dtype=np.uint8)
    ax = part.subplots()
    ax.axis("off")
    for number, (picture, galaxy) in enumerate(zip(pictures, galaxies.itertuples(), strict=True)):
        left = number * (width + gap)
        strip[:, left : left + width] = picture
        colour = BAD if galaxy.is_outlier else INK
        numbers = f"{galaxy.truth:.2f} → {galaxy.pred:.2f}".replace("-", "−")
        ax.text(left, -0.03 * height, numbers, fontsize=7, color=colour, va="bottom")
    ax.imshow(strip, interpolation="nearest")
