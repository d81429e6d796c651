"""How bright the galaxies of surveys are, band by band."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.pyplot import subplots

from astrolab.errors import ConfigError, unknown_name
from astrolab.plots.style import entitle, in_style, survey_looks, write_legend

if TYPE_CHECKING:
    from astrolab.datasets.survey import Survey

_PANEL_INCH = 1.42


def band_letter(band: str) -> str:
    """Return what a band is called within its filter set.

    >>> band_letter("hsc-i"), band_letter("i")
    ('i', 'i')
    """
    return band.rsplit("-", 1)[-1]


def magnitudes_in(survey: Survey, *, band: str) -> np.ndarray:
    """Return the magnitudes of a survey in one band."""
    if "magnitudes" not in survey.inputs:
        raise unknown_name(f"input of {survey.name!r}", name="magnitudes", names=survey.inputs)
    names = {name: number for number, band_ in enumerate(survey.bands) for name in (band_, band_letter(band_))}
    if band not in names:
        raise unknown_name(f"band of {survey.name!r}", name=band, names=survey.bands)
    return np.asarray(survey.inputs["magnitudes"][:])[:, names[band]]


def require_surveys(surveys: Sequence[Survey]) -> None:
    """Refuse to draw nothing."""
    if not surveys or any(len(survey) == 0 for survey in surveys):
        raise ConfigError(
            "Surveys were to be drawn.",
            received="none" if not surveys else "one without galaxies",
            remedy="Pass at least one survey with galaxies.",
        )


@in_style
def plot_magnitude_distributions(
    surveys: Sequence[Survey], *, bands: Sequence[str] | None = None, bins: int = 36, title: str = "How bright they are"
) -> Figure:
    """Draw the distribution of magnitudes of several surveys, one panel a band, with their medians.

    Parameters
    ----------
    surveys : sequence of Survey
        With magnitudes.
    bands : sequence of str, optional
        Names or letters; by default those of the first survey.
    bins : int
        Number of bins.
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
    letters = [band_letter(band) for band in bands or surveys[0].bands]
    looks = survey_looks([survey.name for survey in surveys])
    size = (max(3.4, _PANEL_INCH * len(letters)), 2.3)
    figure, axes = subplots(1, len(letters), figsize=size, sharey=True, squeeze=False)
    for ax, letter in zip(axes[0], letters, strict=True):
        samples = {survey.name: _finite(magnitudes_in(survey, band=letter)) for survey in surveys}
        edges = np.linspace(*np.quantile(np.concatenate(list(samples.values())), [0.002, 0.998]), bins + 1)
        for name, values in samples.items():
            weights = np.full(len(values), 1 / max(len(values), 1))
            ax.hist(values, bins=edges, weights=weights, histtype="step", color=looks[name].colour, lw=1.2)
            ax.plot(np.median(values), 0, marker="^", ms=5, color=looks[name].colour, clip_on=False, zorder=5)
        ax.set(xlabel=f"{letter} (mag)", xlim=(edges[0], edges[-1]))
    axes[0, 0].set_ylabel("fraction of galaxies")
    entries = [Line2D([], [], color=looks[s.name].colour, label=f"{looks[s.name].label} · {len(s):,}") for s in surveys]
    median = Line2D([], [], marker="^", ls="none", ms=5, color="0.4", label="median")
    write_legend(figure, entries=entries, notes=[median])
    entitle(figure, title=title, simulated=any(survey.provenance.simulated for survey in surveys))
    return figure


def _finite(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values)]
