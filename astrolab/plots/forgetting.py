"""The forgetting matrix: every arm on every test set, the one it came from included."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.pyplot import subplots

from astrolab.metrics import find_metric
from astrolab.plots.metric_bars import one_score_each
from astrolab.plots.style import FAINT, arm_looks, chosen, entitle, in_style, is_simulated, metric_label, survey_looks

_DARK_FROM = 0.55  # of the colour scale; text on darker cells is white


@in_style
def plot_forgetting(
    scores: pd.DataFrame,
    *,
    metric: str = "scatter",
    arms: Sequence[str] | None = None,
    surveys: Sequence[str] | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw one metric of every arm on every test set as an annotated matrix; the best of each column is bold.

    Parameters
    ----------
    scores : DataFrame
        From :func:`astrolab.metrics.score`.
    metric : str
        Id of the metric.
    arms, surveys : sequence of str, optional
        Rows and columns.
    title : str, optional
        Title of the axes; by default the metric.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    PredictionError
        If the table lacks what is to be drawn, or has several scores for one cell.
    """
    arms, surveys = chosen(scores, column="arm", names=arms), chosen(scores, column="survey", names=surveys)
    chosen(scores, column="metric", names=[metric])
    rows = scores["arm"].isin(arms) & scores["survey"].isin(surveys) & scores["metric"].eq(metric)
    summary = one_score_each(scores[rows]).set_index(["arm", "survey"])
    ax = ax or subplots(figsize=(1.15 * len(surveys) + 1.8, 0.36 * len(arms) + 1.0))[1]
    badness = find_metric(metric).badness(summary["value"].unstack().loc[arms, surveys])
    image = ax.imshow(badness, cmap="YlOrBr", norm=_norm(badness), aspect="auto")
    for i, arm in enumerate(arms):
        for j, survey in enumerate(surveys):
            dark = image.norm(badness[i, j]) > _DARK_FROM
            _write_cell(ax, place=(j, i), row=summary.loc[(arm, survey)], colour="white" if dark else "black")
    ax.set_xticks(range(len(surveys)), [look.label for look in survey_looks(surveys).values()])
    ax.set_yticks(range(len(arms)), [look.label for look in arm_looks(arms).values()])
    ax.set_xticks(np.arange(len(surveys) - 1) + 0.5, minor=True)
    ax.set_yticks(np.arange(len(arms) - 1) + 0.5, minor=True)
    ax.grid(which="minor", color="white", lw=1.5)
    ax.tick_params(which="both", length=0)
    ax.spines[:].set_visible(False)
    ax.set_xlabel("tested on", color=FAINT)
    entitle(ax, title=title or f"{metric_label(metric)} on every test set", simulated=is_simulated(scores))
    return ax


def _norm(badness: np.ndarray) -> Normalize:
    if badness.min() < 0:
        return Normalize(badness.min(), badness.max())
    floor = max(badness.min(), badness.max() / 50, np.finfo(float).tiny)  # one value near 0 must not take all colours
    return LogNorm(floor, max(badness.max(), 1.01 * floor), clip=True)


def _write_cell(ax: Axes, *, place: tuple[int, int], row: pd.Series, colour: str) -> None:
    weight = "bold" if row["best"] else "normal"
    half = (row["high"] - row["low"]) / 2
    spread = "" if np.isnan(half) else f" ± {half:.4f}"
    text = f"{row['value']:z.4f}".replace("-", "−")
    ax.annotate(text, place, (-1, 0), textcoords="offset points", ha="right", va="center", color=colour, weight=weight)
    ax.annotate(
        spread, place, (0, 0), textcoords="offset points", ha="left", va="center", color=colour, fontsize=6.2, alpha=0.8
    )
