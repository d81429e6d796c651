"""How differently two surveys are populated: the shift, before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.pyplot import subplots

from astrolab.errors import PredictionError
from astrolab.metrics import Z_RANGE
from astrolab.plots.style import BAND, FAINT, chosen, entitle, in_style, is_simulated, survey_looks


@in_style
def plot_truth_distributions(
    data: pd.DataFrame | Sequence[Any],
    *,
    label: str = "z",
    xlabel: str = "true redshift",
    bins: int = 60,
    z_range: tuple[float, float] | None = Z_RANGE,
    title: str = "What each survey holds",
    ax: Axes | None = None,
) -> Axes:
    """Draw the distribution of the true labels of several surveys, with their medians.

    Parameters
    ----------
    data : sequence of Survey, or DataFrame
        Surveys; or a table with columns ``survey`` and ``truth``, such as predictions, in which a galaxy with an
        ``object_id`` counts once however many arms have seen it.
    label : str
        Which label of the surveys.
    xlabel : str
        What the label is, with its unit.
    bins : int
        Number of bins.
    z_range : (float, float), optional
        Range in which scores are taken, shaded; None shades nothing.
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
        If there are no galaxies.
    """
    table = data if isinstance(data, pd.DataFrame) else _truths(data, label=label)
    table = table.drop_duplicates(["survey", "object_id"]) if "object_id" in table else table
    surveys = chosen(table, column="survey", names=None)
    ax = ax or subplots(figsize=(5.2, 3.2))[1]
    edges = np.linspace(*np.quantile(table["truth"], [0.0, 0.998]), bins + 1)
    if z_range is not None:
        low, high = z_range
        ax.axvspan(low, high, color=BAND, lw=0, zorder=0)
        ax.annotate("scored", ((low + high) / 2, 1), (0, -3), **_AT_TOP, color=FAINT, ha="center")
    for survey, look in survey_looks(surveys).items():
        truth = table.loc[table["survey"] == survey, "truth"]
        words = f"{look.label} · {len(truth):,} galaxies, median {truth.median():.2f}"
        step = {"histtype": "stepfilled", "fc": to_rgba(look.colour, 0.1), "ec": look.colour, "lw": 1.4}
        ax.hist(truth, bins=edges, weights=np.full(len(truth), 1 / len(truth)), label=words, **step)
        ax.plot(truth.median(), 0, marker="^", ms=6, color=look.colour, clip_on=False, zorder=5)
    ax.set(xlabel=xlabel, ylabel="fraction of galaxies", xlim=(edges[0], edges[-1]))
    ax.legend(loc="upper right", bbox_to_anchor=(1, 0.93))
    entitle(ax, title=title, simulated=is_simulated(table))
    return ax


_AT_TOP = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "va": "top", "fontsize": 7}


def _truths(surveys: Sequence[Any], *, label: str) -> pd.DataFrame:
    if not surveys:
        raise PredictionError("Surveys were to be drawn.", received="none", remedy="Pass at least one.")
    tables = (
        pd.DataFrame({"survey": survey.name, "truth": survey.labels[label], "simulated": survey.provenance.simulated})
        for survey in surveys
    )
    return pd.concat(tables, ignore_index=True)
