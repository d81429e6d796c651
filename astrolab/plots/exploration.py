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
from astrolab.exploring.comparing import VERDICTS
from astrolab.exploring.deviations import is_redshift
from astrolab.metrics import REQUIREMENTS
from astrolab.metrics.photoz import OUTLIER_CUT
from astrolab.plots.cutouts import galaxy_picture, read_stamps
from astrolab.plots.style import FAINT, INK, entitle, in_style, is_simulated

if TYPE_CHECKING:
    from astrolab.datasets.survey import Survey

AXES = ("pred", "deviation")
GOOD, BAD, SAME, LSST = "#0072B2", "#D55E00", "#BDBDBD", "#009E73"  # Okabe & Ito 2008, and a grey
VERDICT_COLOURS = dict(zip(VERDICTS, (GOOD, SAME, BAD), strict=True))
N_DRAWN = 20_000
N_PICTURES = 8
_SHOWN_DEVIATION = (0.25, 0.6)  # half the height of the axis of deviations: at least, at most


@dataclass(frozen=True, eq=False)
class ReferenceLine:
    """A line to read a cloud by.

    Attributes
    ----------
    vertices : ndarray, shape (2, 2)
        (x, y) of its ends.
    colour : str
    width : int
    text : str
        What it means; the same for lines that belong together.
    """

    vertices: np.ndarray
    colour: str
    width: int
    text: str


def reference_lines(label: str, *, x_range: tuple[float, float], axis: str = "pred") -> list[ReferenceLine]:
    """Return the lines of equality, of what LSST asks for, and of the outlier cut.

    Parameters
    ----------
    label : str
        What is predicted; only redshifts have requirements.
    x_range : (float, float)
        True values that the lines span.
    axis : {"pred", "deviation"}
        What is drawn against the truth.

    Returns
    -------
    list of ReferenceLine
        LSST's limits of scatter (0.02) and, against the deviation, of bias (0.003), each in units of 1 + z.
    """
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
    """Return what the axes of a cloud cover.

    Parameters
    ----------
    galaxies : DataFrame
        From :func:`astrolab.exploring.with_deviations`.
    axis : {"pred", "deviation"}

    Returns
    -------
    x_range, y_range : (float, float)
        The truth with a margin of 3 %; predictions over the same range, deviations over a symmetric one that holds 98 %
        of them, from 0.25 to at most 0.6 (of a label that is no redshift, without these limits).

    Raises
    ------
    UnknownNameError
        For another axis.
    """
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
    """Return the label of the vertical axis, with its unit.

    Parameters
    ----------
    axis : {"pred", "deviation"}
    label : str
        What is predicted.

    Returns
    -------
    str
    """
    if axis == "pred":
        return column_label("pred", label=label)
    if is_redshift(label):
        return "(predicted − true) / (1 + true)"
    return f"predicted − {column_label('truth', label=label)}"


def group_colours(galaxies: pd.DataFrame) -> tuple[pd.Categorical, dict[str, str]]:
    """Return the group of each galaxy and the groups' colours: what changed between two models, else outliers.

    Parameters
    ----------
    galaxies : DataFrame
        From `with_deviations`, or `match_models`.

    Returns
    -------
    groups : Categorical, n
    colours : dict of str to str
    """
    if "verdict" in galaxies:
        return pd.Categorical(galaxies["verdict"]), dict(VERDICT_COLOURS)
    names = ["not an outlier", "outlier"]
    codes = galaxies["is_outlier"].to_numpy(int)
    return pd.Categorical.from_codes(codes, categories=names), dict(zip(names, (GOOD, BAD), strict=True))


@in_style
def plot_exploration(
    galaxies: pd.DataFrame,
    *,
    rows: np.ndarray | None = None,
    sides: Mapping[str, pd.DataFrame] | None = None,
    models: Sequence[str] = ("",),
    axis: str = "pred",
    survey: Survey | None = None,
    listed: Sequence[int] = (),
    title: str = "Predictions explored",
) -> Figure:
    """Draw what an explorer shows: a cloud for each model, the selection in black, its scores, its first galaxies.

    Parameters
    ----------
    galaxies : DataFrame
        From :func:`astrolab.exploring.with_deviations`, or :func:`astrolab.exploring.match_models` for two models.
    rows : ndarray of int, optional
        Selected galaxies.
    sides : mapping of str to DataFrame, optional
        Scores by heading, from :func:`astrolab.exploring.score_galaxies`.
    models : sequence of str
        Names of the one or two models.
    axis : {"pred", "deviation"}
        What is drawn against the truth.
    survey : Survey, optional
        Holds the galaxies' images.
    listed : sequence of int
        Rows of `galaxies` whose cut-outs are drawn, the first eight of them.
    title : str

    Returns
    -------
    Figure
        At most 20,000 galaxies are drawn; where there are more, the title says so.
    """
    pictures = list(listed)[:N_PICTURES] if survey is not None and "image" in survey.inputs else []
    n_clouds = 1 + ("pred_other" in galaxies)
    height = 3.4 + (1.75 if pictures else 0.0)
    figure = new_figure(figsize=(3.3 * n_clouds + 3.6, height), layout="constrained")
    parts = figure.subfigures(2 if pictures else 1, 1, height_ratios=[3.4, 1.75] if pictures else None, squeeze=False)
    axes = parts[0, 0].subplots(1, n_clouds + 1, width_ratios=[3.3] * n_clouds + [3.2], squeeze=False)[0]
    drawn = np.arange(len(galaxies))
    if len(drawn) > N_DRAWN:
        drawn = np.sort(np.random.default_rng(0).choice(len(drawn), N_DRAWN, replace=False))
        title += f" · {N_DRAWN:,} of {len(galaxies):,} galaxies drawn"
    for number, ax in enumerate(axes[:n_clouds]):
        suffix = "_other" if number else ""
        _draw_cloud(ax, galaxies, column=axis + suffix, axis=axis, drawn=drawn, rows=rows)
        ax.set_title(models[number] if number < len(models) else "", loc="center", fontweight="bold")
    _write_legend(axes[-1], galaxies, axis=axis, selected=rows is not None)
    if sides:
        _write_scores(axes[-1], sides=sides)
    if pictures:
        _draw_pictures(parts[1, 0], galaxies.iloc[pictures], survey=survey)
    entitle(figure, title=title, simulated=is_simulated(galaxies))
    return figure


def _draw_cloud(
    ax: Axes, galaxies: pd.DataFrame, *, column: str, axis: str, drawn: np.ndarray, rows: np.ndarray | None
) -> None:
    x_range, y_range = cloud_ranges(galaxies, axis=axis)
    truth, y = galaxies["truth"].to_numpy(float), np.clip(galaxies[column].to_numpy(float), *y_range)
    groups, colours = group_colours(galaxies)
    point = np.array([colours[name] for name in groups.categories])[groups.codes[drawn]]
    size = 9.0 if len(galaxies) < 2000 else 2.5
    ax.scatter(truth[drawn], y[drawn], c=point, s=size, lw=0, alpha=0.7, rasterized=True)
    if rows is not None and len(rows) < len(galaxies):
        chosen = np.asarray(rows)[:N_DRAWN]
        ax.scatter(truth[chosen], y[chosen], c="black", s=size * 1.6, lw=0, rasterized=True)
    label = str(galaxies["label"].iloc[0])
    for line in reference_lines(label, x_range=x_range, axis=axis):
        ax.plot(*line.vertices.T, color=line.colour, lw=0.7 * line.width)
    ax.set(xlim=x_range, ylim=y_range, xlabel=column_label("truth", label=label), ylabel=axis_label(axis, label=label))
    if axis == "pred":
        ax.set_aspect("equal")


def _write_legend(ax: Axes, galaxies: pd.DataFrame, *, axis: str, selected: bool) -> None:
    ax.axis("off")
    groups, colours = group_colours(galaxies)
    counts = np.bincount(groups.codes, minlength=len(colours))
    mark = {"marker": "o", "ls": "none", "ms": 4, "mec": "none"}
    entries = [
        Line2D([], [], color=colour, label=f"{name}: {count:,}", **mark)
        for (name, colour), count in zip(colours.items(), counts, strict=True)
    ]
    if selected:
        entries.append(Line2D([], [], color="black", label="selected", **mark))
    label = str(galaxies["label"].iloc[0])
    lines = {line.text: line for line in reference_lines(label, x_range=(0.0, 1.0), axis=axis)}
    entries += [Line2D([], [], color=one.colour, lw=0.7 * one.width, label=text) for text, one in lines.items()]
    heading = "the second model is …" if "verdict" in galaxies else None
    legend = ax.legend(
        handles=entries,
        loc="upper left",
        title=heading,
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
    for (row, _), cell in table.get_celld().items():
        cell.set(height=0.115 if row == 0 else 0.068, edgecolor="#D0D0D0", linewidth=0.5)


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
