"""The loss about networks: surfaces and contours, a row for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.pyplot import figure as new_figure
from matplotlib.ticker import MaxNLocator

from astrolab.landscapes import Landscape
from astrolab.plots import style
from astrolab.plots.style import INK, PAGE_WIDTH_INCH

_LOGS = {"10": (np.log10, "log₁₀ loss"), "e": (np.log, "ln loss"), "none": (np.asarray, "loss")}
_ROW_INCH = 2.6
_NEAR = 0.05  # share of its distance off the plane, up to which a network lies in it
_N_LEVELS = 22


@style.in_style
def plot_landscape(
    landscapes: Landscape | Sequence[Landscape],
    *,
    log: Literal["10", "e", "none"] = "10",
    elevation: float = 32.0,
    azimuth: float = -58.0,
    title: str = "Loss about each network",
) -> Figure:
    """Draw landscapes, a row for each: as a surface and as contours, on one colour scale.

    A line in each colour bar is the lowest loss of the row. The star is the network at (0, 0); others are marked
    where they are in the plane, and joined to it, or, hollow, at the nearest place to them.

    Parameters
    ----------
    log : {"10", "e", "none"}
        Logarithm of the loss that is drawn; the published figures do not say which.
    elevation, azimuth : float
        From where the surface is seen (degrees).
    """
    rows = [landscapes] if isinstance(landscapes, Landscape) else list(landscapes)
    scale, words = _LOGS[log]
    heights = [scale(np.where(np.isfinite(one.loss), one.loss, np.nan)) for one in rows]
    levels = MaxNLocator(_N_LEVELS).tick_values(min(map(np.nanmin, heights)), max(map(np.nanmax, heights)))
    norm = Normalize(levels[0], levels[-1])
    looks = style.arm_looks([one.arm for one in rows])
    marks = style.arm_looks([*dict.fromkeys(name for one in rows for name in one.marks["name"])])
    figure = new_figure(figsize=(PAGE_WIDTH_INCH, _ROW_INCH * len(rows)), layout="constrained")
    for part, one, z in zip(figure.subfigures(len(rows), 1, squeeze=False)[:, 0], rows, heights, strict=True):
        grid = part.add_gridspec(1, 2, width_ratios=[0.85, 1.0])
        solid, flat = part.add_subplot(grid[0], projection="3d"), part.add_subplot(grid[1])
        how: dict[str, Any] = {"cmap": "viridis", "norm": norm}
        solid.plot_surface(*np.meshgrid(one.a, one.b), z, rcount=60, ccount=60, lw=0, antialiased=False, **how)
        solid.view_init(elevation, azimuth)
        solid.set_box_aspect((1, 1, 0.75), zoom=1.3)
        solid.set(zlim=(norm.vmin, norm.vmax), xlabel="a", ylabel="b", zlabel=words)
        solid.tick_params(labelsize=6, pad=-2)
        for axis in (solid.xaxis, solid.yaxis, solid.zaxis):
            axis.labelpad = -6
        filled = flat.contourf(one.a, one.b, z, levels=levels, **how)
        flat.contour(one.a, one.b, z, levels=levels, colors="white", linewidths=0.35, alpha=0.6)
        flat.set(xlabel=f"a, {one.words[0]}", ylabel=f"b, {one.words[1]}", aspect="equal")
        flat.set_title(looks[one.arm].label, loc="center", fontweight="bold", color=looks[one.arm].colour)
        bar, lowest = part.colorbar(filled, ax=flat, label=words, ticks=levels[::3]), one.minimum[2]
        bar.ax.axhline(scale(lowest), color="white", lw=1.6)
        bar.ax.set_title(f"lowest\n{lowest:.3g}", fontsize=6.5, loc="left")
        _mark(flat, solid, one=one, scale=scale, looks=marks)
    how = {"color": INK, "ls": "none", "mec": "white"}
    entries = [Line2D([], [], marker="*", ms=9, label="the network of the row", **how)]
    entries += style.keys(marks, ls="none", ms=5)
    about = rows[0].about
    parts = [title, f"{about['n']:,} {about['objects']}", about["where"]]
    style.finish(figure, title=" · ".join(filter(None, parts)), simulated=about["simulated"], entries=entries)
    return figure


def _mark(flat: Axes, solid: Axes, *, one: Landscape, scale: Callable, looks: dict[str, style.Look]) -> None:
    """Mark networks on contours and surface: at the height that the surface has below them."""
    ends = one.marks.drop_duplicates("name", keep="last")
    flat.autoscale(enable=False)  # a path may leave the plane
    for row in ends[ends["a"].between(*one.a[[0, -1]]) & ends["b"].between(*one.b[[0, -1]])].itertuples():
        look, is_in, way = looks[row.name], row.off_frac <= _NEAR, one.marks[one.marks["name"] == row.name]
        how = {"marker": look.marker, "ms": 6, "mec": look.colour, "mfc": look.colour if is_in else "none", "ls": ""}
        solid.plot([row.a], [row.b], [scale(one.at(row.a, b=row.b)[2])], zorder=20, **how)
        flat.plot(row.a, row.b, zorder=20, **how)
        if len(way) > 1:
            flat.plot(way["a"], way["b"], color="white", lw=0.8, marker=".", ms=3)
        elif is_in:
            flat.plot([0, row.a], [0, row.b], color="white", lw=1.0, ls=":")
    star = {"marker": "*", "ms": 10, "mfc": INK, "mec": "white", "mew": 0.8, "zorder": 30}
    flat.plot(0, 0, **star)
    solid.plot([0], [0], [scale(one.at(0, b=0)[2])], **star)
