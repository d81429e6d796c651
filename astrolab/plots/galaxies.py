"""What the galaxies of surveys look like, the ones of one survey below those of the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import pyplot
from matplotlib.figure import Figure

from astrolab.errors import unknown_name
from astrolab.plots.cutouts import colour_picture
from astrolab.plots.magnitudes import band_letter, magnitudes_in, require_surveys
from astrolab.plots.style import INK, PAGE_WIDTH_INCH, entitle, in_style, survey_looks

if TYPE_CHECKING:
    from astrolab.datasets.survey import Survey

ORDERS = ("spread", "lowest", "highest")


@in_style
def plot_galaxies(
    surveys: Sequence[Survey],
    *,
    by: str,
    order: str = "spread",
    n_galaxies: int = 8,
    title: str | None = None,
) -> Figure:
    """Draw galaxies in colour, one row a survey, in the order of one quantity.

    Every picture is stretched by the noise of its own sky: a deeper survey shows fainter light.

    Parameters
    ----------
    surveys : sequence of Survey
        With images.
    by : str
        What orders them: a label (``"z"``), a band (``"i"``: its magnitude), or a column of the catalogue.
    order : {"spread", "lowest", "highest"}
        Spread evenly over the quantiles of the quantity, or its lowest or highest values.
    n_galaxies : int
        Galaxies a row.
    title : str, optional

    Returns
    -------
    Figure

    Raises
    ------
    ConfigError
        If there are no galaxies.
    UnknownNameError
        If a survey has no images, or not this quantity; or the order does not exist.
    """
    require_surveys(surveys)
    if order not in ORDERS:
        raise unknown_name("order of galaxies", name=order, names=ORDERS)
    rows = [(survey, *choose_galaxies(survey, by=by, order=order, n=n_galaxies)) for survey in surveys]
    looks = survey_looks([survey.name for survey in surveys])
    row_inch = PAGE_WIDTH_INCH / n_galaxies + 0.38
    figure = pyplot.figure(figsize=(PAGE_WIDTH_INCH, len(surveys) * row_inch + 0.3))
    strips = figure.subfigures(len(surveys), 1, squeeze=False)[:, 0]
    for strip, (survey, numbers, values) in zip(strips, rows, strict=True):
        strip.suptitle(looks[survey.name].label, x=0.01, ha="left", fontsize=8, weight="bold")
        axes = strip.subplots(1, n_galaxies)
        for ax in np.atleast_1d(axes):
            ax.axis("off")
        stamps = np.asarray(survey.inputs["image"][numbers])
        for ax, stamp, value in zip(np.atleast_1d(axes), stamps, values, strict=False):
            ax.imshow(colour_picture(stamp, bands=survey.bands), interpolation="nearest")
            ax.set_title(f"{by} = {value:.2f}", fontsize=6.5, color=INK, pad=2.5)
    is_band = any(by in (band, band_letter(band)) for survey in surveys for band in survey.bands)
    ends = ("Brightest in", "Faintest in") if is_band and by not in surveys[0].labels else ("Lowest", "Highest")
    words = {"spread": f"Galaxies by {by}", "lowest": f"{ends[0]} {by}", "highest": f"{ends[1]} {by}"}[order]
    simulated = any(survey.provenance.simulated for survey in surveys)
    entitle(figure, title=title or words, simulated=simulated)
    return figure


def choose_galaxies(survey: Survey, *, by: str, order: str, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Choose galaxies of a survey by one quantity."""
    if "image" not in survey.inputs:
        raise unknown_name(f"input of {survey.name!r}", name="image", names=survey.inputs)
    values = _values(survey, by=by)
    numbers = np.argsort(values, kind="stable")
    numbers = numbers[np.isfinite(values[numbers])]
    if order == "highest":
        chosen = numbers[::-1][:n]
    elif order == "lowest" or len(numbers) <= n:
        chosen = numbers[:n]
    else:
        chosen = numbers[((np.arange(n) + 0.5) / n * len(numbers)).astype(int)]
    return chosen, values[chosen]


def _values(survey: Survey, *, by: str) -> np.ndarray:
    if by in survey.labels:
        return survey.labels[by].to_numpy(float)
    if "magnitudes" in survey.inputs and by in {*survey.bands, *map(band_letter, survey.bands)}:
        return magnitudes_in(survey, band=by)
    if by in survey.catalogue:
        return np.asarray(survey.catalogue[by][:], dtype=float)
    raise unknown_name(
        f"quantity of {survey.name!r}", name=by, names=[*survey.labels, *survey.bands, *survey.catalogue]
    )
