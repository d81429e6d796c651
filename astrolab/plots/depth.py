"""How sharp and how deep surveys are, band by band: as measured on their galaxies, and as they state it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.pyplot import subplots

from astrolab.errors import ConfigError
from astrolab.plots.magnitudes import band_letter
from astrolab.plots.style import PAGE_WIDTH_INCH, entitle, in_style, is_simulated, survey_looks, write_legend

_PANELS = {
    "fwhm_arcsec": ("How sharp", "FWHM of points (arcsec)"),
    "depth_mag": ("How deep", "5σ depth of points (AB mag)"),
}


@in_style
def plot_depth(imaging: pd.DataFrame, *, title: str = "Images, band by band") -> Figure:
    """Draw seeing and depth of surveys by band: filled as measured, hollow as stated.

    Parameters
    ----------
    imaging : DataFrame
        Of one survey or several, from :func:`astrolab.measure_imaging`.
    title : str

    Returns
    -------
    Figure

    Raises
    ------
    ConfigError
        If nothing was measured and nothing stated.
    """
    columns = [name for panel in _PANELS for name in (panel, f"stated_{panel}")]
    if imaging.empty or not np.isfinite(imaging[columns].to_numpy(float)).any():
        raise ConfigError(
            "Seeing and depth were to be drawn.",
            received="a table without a number",
            remedy="Pass the table of measure_imaging for surveys with bright, compact galaxies: raise n.",
        )
    looks = survey_looks(list(imaging["survey"].unique()))
    letters = list(dict.fromkeys(band_letter(band) for band in imaging["band"]))
    figure, axes = subplots(1, len(_PANELS), figsize=(PAGE_WIDTH_INCH, 2.6))
    for ax, (column, (panel, ylabel)) in zip(axes, _PANELS.items(), strict=True):
        for number, (name, look) in enumerate(looks.items()):
            rows = imaging[imaging["survey"] == name]
            shift = 0.12 * (number - (len(looks) - 1) / 2)
            place = np.array([letters.index(band_letter(band)) for band in rows["band"]]) + shift
            _draw(ax, place, measured=rows[column], stated=rows[f"stated_{column}"], colour=look.colour)
        ax.set(title=panel, ylabel=ylabel, xlabel="band", xticks=range(len(letters)), xticklabels=letters)
        ax.set_xlim(-0.5, len(letters) - 0.5)
        ax.grid(axis="y")
    entries = [Line2D([], [], color=look.colour, marker="o", label=look.label) for look in looks.values()]
    notes = [
        Line2D([], [], ls="none", marker="o", color="0.4", label="measured"),
        Line2D([], [], ls="none", marker="o", color="0.4", mfc="white", label="stated"),
    ]
    write_legend(figure, entries=entries, notes=notes)
    entitle(figure, title=title, simulated=is_simulated(imaging))
    return figure


def _draw(ax: Axes, place: np.ndarray, *, measured: pd.Series, stated: pd.Series, colour: str) -> None:
    ax.vlines(place, measured, stated, color=colour, lw=0.8, alpha=0.6)
    ax.plot(place, measured, marker="o", ms=4.5, lw=1.2, color=colour)
    ax.plot(place, stated, marker="o", ms=4.5, ls="none", color=colour, mfc="white")
