"""One simulated galaxy: in colour, in each band, its magnitudes, and what models make of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.pyplot import figure as new_figure

from astrolab.plots.cutouts import band_pictures, colour_picture
from astrolab.plots.style import FAINT, INK, arm_looks, entitle, in_style

if TYPE_CHECKING:
    from astrolab.datasets.twins.one_galaxy import OneGalaxy


@in_style
def plot_one_galaxy(galaxy: OneGalaxy, *, answers: Mapping[str, float] | None = None) -> Figure:
    """Draw a simulated galaxy as a survey sees it."""
    n_bands = len(galaxy.bands)
    figure = new_figure(figsize=(7.1, 3.3), layout="constrained")
    pictures, numbers = figure.subfigures(1, 2, width_ratios=[3.6, 3.5])
    grid = pictures.add_gridspec(2, n_bands, height_ratios=[n_bands, 1.35])
    ax = pictures.add_subplot(grid[0, :])
    ax.imshow(colour_picture(galaxy.image, bands=galaxy.bands), interpolation="nearest")
    ax.axis("off")
    for number, (band, picture) in enumerate(zip(galaxy.bands, band_pictures(galaxy.image), strict=True)):
        small = pictures.add_subplot(grid[1, number])
        small.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        small.set_title(band, fontsize=6.5, pad=2, loc="center")
        small.axis("off")
    above, below = numbers.subplots(2, 1, height_ratios=[1.5, 1])
    _draw_magnitudes(above, galaxy)
    _draw_answers(below, galaxy, answers=answers or {})
    settings = galaxy.settings
    entitle(figure, title=f"{settings.kind} galaxy at z = {settings.z:.2f}, i = {settings.i_mag:.1f}", simulated=True)
    return figure


def _draw_magnitudes(ax: Axes, galaxy: OneGalaxy) -> None:
    place = np.arange(len(galaxy.bands))
    ax.plot(place, galaxy.mag, "o-", mfc="none", color=FAINT, lw=0.8, label="true")
    ax.errorbar(
        place, galaxy.measured_mag, yerr=galaxy.measured_mag_error, fmt="s", ms=3.5, color=INK, lw=1, label="measured"
    )
    ax.set_xticks(place, [band.removeprefix("hsc-") for band in galaxy.bands])
    ax.invert_yaxis()
    ax.set(ylabel="AB magnitude", xlabel="band")
    ax.legend()


def _draw_answers(ax: Axes, galaxy: OneGalaxy, *, answers: Mapping[str, float]) -> None:
    z = galaxy.settings.z
    ax.axvline(z, color=INK, lw=1.2)
    looks = arm_looks(list(answers))
    for number, (name, value) in enumerate(answers.items()):
        ax.plot([z, value], [number, number], color=looks[name].colour, lw=1)
        ax.plot(value, number, looks[name].marker, color=looks[name].colour, ms=5)
    ax.set_yticks(range(len(answers)), [look.label for look in looks.values()])
    ax.set_ylim(len(answers) - 0.4, -0.6)
    low, high = min([z, *answers.values()]), max([z, *answers.values()])
    ax.set_xlim(min(low - 0.1, 0.0), high + 0.2)
    ax.set_xlabel(
        "redshift: true (line) and as each model answers" if answers else "true redshift (no model was passed)"
    )
