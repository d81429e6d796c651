"""Scores on the way from a base network to its adapted one, and the galaxies at one place of it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.pyplot import figure as new_figure

from astrolab.exploring.columns import column_label
from astrolab.metrics import REQUIREMENTS, with_intervals
from astrolab.plots.exploration import reference_lines
from astrolab.plots.style import BAND, INK, Look, entitle, in_style, is_simulated, metric_label, survey_looks

_PANEL_INCH = (2.3, 2.0)


@in_style
def plot_adapter_path(
    scores: pd.DataFrame,
    *,
    scale: float | None = None,
    clouds: Mapping[str, tuple[np.ndarray, np.ndarray]] | None = None,
    label: str = "z",
    simulated: bool = False,
    title: str = "From the base network to the adapted one",
) -> Figure:
    """Draw scores against the scale of an adapter, one panel a metric and one line a survey.

    Parameters
    ----------
    scores : DataFrame
        Columns ``scale, survey, metric, value``; see :class:`astrolab.exploring.AdapterPath`. With ``low`` and
        ``high``, as from :func:`astrolab.score`, bands are drawn: intervals over galaxies, or the spread over seeds.
    scale : float, optional
        Where on the path the clouds are; marked in every panel.
    clouds : mapping of str to (truth, pred), optional
        Galaxies of each survey at that scale, each (n,); a panel for each, below.
    label : str
        What is predicted.
    simulated : bool
        Whether any of the galaxies are; scores with a column ``simulated`` say so by themselves.
    title : str

    Returns
    -------
    Figure
        The shaded band is what LSST asks for.
    """
    simulated |= is_simulated(scores)
    scores = with_intervals(scores) if {"low", "high"} <= set(scores) else scores
    metrics, surveys = scores["metric"].unique(), scores["survey"].unique()
    looks = survey_looks(list(surveys))
    n_rows = 1 + bool(clouds)
    width, height = _PANEL_INCH
    figure = new_figure(figsize=(width * len(metrics), height + 2.5 * (n_rows - 1) + 0.3), layout="constrained")
    parts = figure.subfigures(n_rows, 1, height_ratios=[height, 2.5][:n_rows], squeeze=False)[:, 0]
    axes = parts[0].subplots(1, len(metrics), squeeze=False)[0]
    for ax, metric in zip(axes, metrics, strict=True):
        _draw_curves(ax, scores[scores["metric"] == metric], metric=metric, looks=looks)
        if scale is not None:
            ax.axvline(scale, color=INK, lw=1.0, ls=(0, (2, 2)))
    parts[0].legend(*axes[0].get_legend_handles_labels(), loc="outside lower left", ncols=len(surveys))
    if clouds:
        for ax, (survey, (truth, pred)) in zip(
            parts[1].subplots(1, len(clouds), squeeze=False)[0], clouds.items(), strict=True
        ):
            _draw_galaxies(ax, truth=truth, pred=pred, look=looks[survey], label=label)
    at = "" if scale is None else f" · galaxies at scale {scale:.2f}"
    entitle(figure, title=title + at, simulated=simulated)
    return figure


def _draw_curves(ax: Axes, scores: pd.DataFrame, *, metric: str, looks: Mapping) -> None:
    if metric in REQUIREMENTS:
        limit = REQUIREMENTS[metric].limit
        ax.axhspan(-limit if metric == "bias" else 0.0, limit, color=BAND, lw=0, zorder=0)
    for survey, curve in scores.groupby("survey", sort=False):
        curve = curve.sort_values("scale")
        if "low" in curve:
            ax.fill_between(curve["scale"], curve["low"], curve["high"], color=looks[survey].colour, alpha=0.15, lw=0)
        ax.plot(curve["scale"], curve["value"], "o-", color=looks[survey].colour, ms=3, label=looks[survey].label)
    if metric == "bias":
        ax.axhline(0.0, color=INK, lw=0.6)
    else:
        ax.set_ylim(bottom=0.0)
    ax.set(xlabel="scale of the adapter", ylabel=metric_label(metric))


def _draw_galaxies(ax: Axes, *, truth: np.ndarray, pred: np.ndarray, look: Look, label: str) -> None:
    margin = 0.03 * float(np.ptp(truth))
    low, high = float(truth.min()) - margin, float(truth.max()) + margin
    ax.scatter(truth, np.clip(pred, low, high), s=4, lw=0, color=look.colour, alpha=0.6, rasterized=True)
    for line in reference_lines(label, x_range=(low, high)):
        ax.plot(*line.vertices.T, color=line.colour, lw=0.7 * line.width, zorder=0)
    labels = {"xlabel": column_label("truth", label=label), "ylabel": column_label("pred", label=label)}
    ax.set(xlim=(low, high), ylim=(low, high), aspect="equal", **labels)
    ax.set_title(look.label, color=look.colour, fontweight="bold", loc="center")


def scale_spans(figure: Figure, *, low: float, high: float) -> list[tuple[float, float, float, float]]:
    """Return where two scales lie in the panels of a figure, so that a marker can be laid over its picture."""
    spans = []
    for ax in figure.axes:
        box = ax.get_window_extent().transformed(figure.transFigure.inverted())
        corners = ax.get_xaxis_transform().transform([(low, 0.0), (high, 0.0)])
        (left, _), (right, _) = figure.transFigure.inverted().transform(corners)
        spans.append((float(left), float(right), 1.0 - box.y1, 1.0 - box.y0))
    return spans
