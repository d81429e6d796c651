"""Colour against redshift: what the magnitudes know of the distance, and where two surveys disagree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.pyplot import subplots

from astrolab.plots.magnitudes import band_letter, magnitudes_in, require_surveys
from astrolab.plots.style import PAGE_WIDTH_INCH, entitle, in_style, survey_looks, write_legend

if TYPE_CHECKING:
    from astrolab.datasets.survey import Survey

_N_MEDIANS = 14
_N_FOR_MEDIAN = 8


@in_style
def plot_colour_redshift(
    surveys: Sequence[Survey],
    *,
    bands: tuple[str, str],
    label: str = "z",
    xlabel: str = "redshift (label)",
    title: str = "Colour against redshift",
) -> Figure:
    """Draw a colour against the label, one panel a survey, with the running medians of all of them in each.

    Parameters
    ----------
    surveys : sequence of Survey
        With magnitudes.
    bands : (str, str)
        Bluer and redder band, by name or letter; the colour is their difference.
    label : str
        Which label.
    xlabel : str
        What the label is.
    title : str

    Returns
    -------
    Figure

    Raises
    ------
    ConfigError
        If there are no galaxies.
    UnknownNameError
        If a survey has no magnitudes in a band.
    """
    require_surveys(surveys)
    looks = survey_looks([survey.name for survey in surveys])
    points = {survey.name: _points(survey, bands=bands, label=label) for survey in surveys}
    together = np.concatenate(list(points.values()))
    xlim = (0, np.quantile(together[:, 0], 0.995))
    ylim = np.quantile(together[:, 1], [0.005, 0.995]) + np.array([-0.15, 0.15])
    width = min(PAGE_WIDTH_INCH, 3.4 * len(surveys) + 0.3)
    figure, axes = subplots(1, len(surveys), figsize=(width, 2.9), sharex=True, sharey=True, squeeze=False)
    for ax, (name, xy) in zip(axes[0], points.items(), strict=True):
        size, alpha = (3.0, 0.45) if len(xy) < 5000 else (1.0, 0.15)
        ax.scatter(*xy.T, s=size, alpha=alpha, lw=0, color=looks[name].colour, rasterized=True)
        for other, others in points.items():
            z, colour = _running_median(others)
            is_own = other == name
            ax.plot(z, colour, color="white", lw=3.2 if is_own else 0, zorder=3)
            ax.plot(z, colour, color=looks[other].colour, lw=1.6, ls="-" if is_own else (0, (4, 2)), zorder=4)
        ax.set(xlabel=xlabel, xlim=xlim, ylim=ylim, title=f"{looks[name].label} · {len(xy):,}")
    axes[0, 0].set_ylabel(f"{band_letter(bands[0])} − {band_letter(bands[1])} (mag)")
    lines = [Line2D([], [], color=look.colour, label=f"median, {look.label}") for look in looks.values()]
    dashes = Line2D([], [], color="0.4", ls=(0, (4, 2)), label="of the other survey")
    write_legend(figure, entries=lines, notes=[dashes] if len(surveys) > 1 else [])
    entitle(figure, title=title, simulated=any(survey.provenance.simulated for survey in surveys))
    return figure


def _points(survey: Survey, *, bands: tuple[str, str], label: str) -> np.ndarray:
    """Label and colour of the galaxies that have both, shape (n, 2)."""
    bluer, redder = (magnitudes_in(survey, band=band) for band in bands)
    xy = np.column_stack([survey.labels[label].to_numpy(float), bluer - redder])
    return xy[np.isfinite(xy).all(axis=1)]


def _running_median(xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Medians in slices of equal numbers of galaxies."""
    n_slices = max(1, min(_N_MEDIANS, len(xy) // _N_FOR_MEDIAN))
    slices = np.array_split(xy[np.argsort(xy[:, 0])], n_slices)
    return tuple(np.array([np.median(part, axis=0) for part in slices if len(part)]).reshape(-1, 2).T)
