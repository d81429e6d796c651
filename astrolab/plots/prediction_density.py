"""Prediction against truth, galaxy by galaxy: where a model fails, not only how much."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.pyplot import subplots

from astrolab.errors import PredictionError
from astrolab.metrics import Z_RANGE, find_metric, score
from astrolab.metrics.photoz import OUTLIER_CUT
from astrolab.plots.style import FAINT, INK, arm_looks, chosen, entitle, in_style, is_simulated, survey_looks

_PANEL_INCH = 1.55
# Without its palest third, so that a single galaxy is seen on white.
_COLOURS = LinearSegmentedColormap.from_list("density", colormaps["YlGnBu"](np.linspace(0.35, 1, 64)))
_SHORT = {"bias": "bias", "scatter": "scatter", "catastrophic_rate": "catastr.", "outlier_rate": "outliers"}


@in_style
def plot_prediction_density(
    predictions: pd.DataFrame,
    *,
    arms: Sequence[str] | None = None,
    surveys: Sequence[str] | None = None,
    seed: int | None = None,
    metrics: Sequence[str] = ("bias", "scatter", "catastrophic_rate"),
    z_range: tuple[float, float] | None = Z_RANGE,
    z_max: float | None = None,
    bins: int = 70,
    quantity: str = "redshift",
    title: str = "Prediction against truth",
) -> Figure:
    """Draw predictions against truth as densities, one panel for each arm and test set.

    Lines mark equality and errors of 0.15 (1 + z); predictions beyond the axes lie on their edge. Numbers
    are scores of what is drawn, within `z_range`.

    Parameters
    ----------
    predictions : DataFrame
        Columns ``arm``, ``survey``, ``truth``, ``pred``.
    arms, surveys : sequence of str, optional
        Columns and rows of panels.
    seed : int, optional
        Which training seed; by default the first of the table.
    metrics : sequence of str
        Scores written into each panel.
    z_range : (float, float), optional
        Range of true redshift in which they are taken.
    z_max : float, optional
        End of the axes; by default the 99.5th percentile of the truth.
    bins : int
        Cells along each axis.
    quantity : str
        What is predicted, for the axis labels.
    title : str
        Title of the figure.

    Returns
    -------
    Figure

    Raises
    ------
    PredictionError
        If the table lacks what is to be drawn.
    """
    arms, surveys = chosen(predictions, column="arm", names=arms), chosen(predictions, column="survey", names=surveys)
    table = _one_seed(predictions, seed=seed)
    z_max = z_max or float(np.quantile(table["truth"], 0.995))
    scores = score(table, metrics=metrics, by=("arm", "survey"), z_range=z_range, n_bootstrap=0)
    values = scores.set_index(["arm", "survey", "metric"])["value"]
    size = (_PANEL_INCH * len(arms) + 1.1, _PANEL_INCH * len(surveys) + 0.8)
    figure, axes = subplots(len(surveys), len(arms), figsize=size, sharex=True, sharey=True, squeeze=False)
    edges = np.linspace(0, z_max, bins + 1)
    meshes = []
    for i, survey in enumerate(surveys):
        for j, arm in enumerate(arms):
            rows = table[(table["arm"] == arm) & (table["survey"] == survey)]
            meshes.append(_draw_panel(axes[i, j], rows=rows, edges=edges))
            _write_scores(axes[i, j], values={metric: values[arm, survey, metric] for metric in metrics})
    _share_colours(figure, meshes=meshes, axes=axes)
    for ax, look in zip(axes[0], arm_looks(arms).values(), strict=True):
        ax.set_title(look.label, color=look.colour, fontweight="bold", loc="center")
    for ax, look in zip(axes[:, 0], survey_looks(surveys).values(), strict=True):
        ax.set_ylabel(look.label, fontweight="bold")
    figure.supxlabel(f"true {quantity}", fontsize=8)
    figure.supylabel(f"predicted {quantity}", fontsize=8)
    entitle(figure, title=title, simulated=is_simulated(table))
    return figure


def _one_seed(predictions: pd.DataFrame, *, seed: int | None) -> pd.DataFrame:
    if "seed" not in predictions:
        return predictions
    seed = predictions["seed"].iloc[0] if seed is None else seed
    table = predictions[predictions["seed"] == seed]
    if table.empty:
        raise PredictionError(
            "Predictions of one training seed were to be drawn.",
            received=f"seed {seed}",
            available=", ".join(map(str, predictions["seed"].unique())),
            remedy="Name a seed of the table.",
        )
    return table


def _draw_panel(ax: Axes, *, rows: pd.DataFrame, edges: np.ndarray) -> QuadMesh:
    z_max = edges[-1]
    counts, _, _ = np.histogram2d(rows["truth"], np.clip(rows["pred"], 0, z_max), bins=edges)
    # Rasterised: a PDF with thousands of cells a panel would be slow to open.
    mesh = ax.pcolormesh(edges, edges, np.ma.masked_equal(counts.T, 0), cmap=_COLOURS, rasterized=True)
    line = np.array([0.0, z_max])
    ax.plot(line, line, color=INK, lw=0.7, alpha=0.8)
    for side in (-1, 1):
        ax.plot(line, line + side * OUTLIER_CUT * (1 + line), color=INK, lw=0.6, ls=(0, (4, 3)), alpha=0.6)
    ax.set(xlim=(0, z_max), ylim=(0, z_max), aspect="equal")
    ax.locator_params(nbins=4)
    return mesh


def _write_scores(ax: Axes, *, values: dict[str, float]) -> None:
    lines = [
        f"{_SHORT.get(name, find_metric(name).label)} {value:z.3f}".replace("-", "−") for name, value in values.items()
    ]
    box = {"boxstyle": "round,pad=0.2", "fc": "white", "ec": "none", "alpha": 0.75}
    ax.text(0.04, 0.97, "\n".join(lines), transform=ax.transAxes, va="top", fontsize=6.2, linespacing=1.25, bbox=box)


def _share_colours(figure: Figure, *, meshes: Sequence[QuadMesh], axes: np.ndarray) -> None:
    most = max(mesh.get_array().max() for mesh in meshes)
    norm = LogNorm(vmin=1, vmax=max(float(most), 2.0))
    for mesh in meshes:
        mesh.set_norm(norm)
    bar = figure.colorbar(meshes[0], ax=axes, pad=0.01, aspect=40, shrink=0.8)
    bar.set_label("galaxies in a cell", color=FAINT)
    bar.outline.set_visible(False)
