"""Cut-outs of galaxies: a colour picture and each band in grey, one galaxy or a sheet of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.pyplot import subplots

from astrolab.datasets.imaging import sky_sigma
from astrolab.datasets.matching import rows_of
from astrolab.errors import ConfigError, unknown_name
from astrolab.plots.style import INK, entitle, in_style

if TYPE_CHECKING:
    from astrolab.datasets.survey import Survey

RED_GREEN_BLUE = ("i", "r", "g")
STRETCH_SIGMA = 12.0  # where the colour picture turns from linear to logarithmic, in sky sigmas
SOFTENING = 8.0  # Q of Lupton et al.
GAINS = (0.8, 1.0, 1.5)  # of red, green, blue: the colours of a nearby spiral come out white
SKY_SIGMA = 1.0  # the sky is not quite black, so that its noise is seen
BLACK_SIGMA = -2.0
WHITE_PERCENTILE = 99.7
_SHEET_INCH = 1.25


def colour_picture(stamp: np.ndarray, *, bands: Sequence[str]) -> np.ndarray:
    """Return a colour picture of a galaxy, faint wings and bright core at once.

    Red, green and blue are the i, r and g bands (or the reddest, middle and bluest there are), stretched together by
    asinh so that colour does not depend on brightness (Lupton et al. 2004, PASP 116, 133; astropy.visualization).
    """
    from astropy.visualization import LuptonAsinhStretch, ManualInterval, make_lupton_rgb

    numbers = list(_red_green_blue(bands))
    sigma = float(_noise(stamp)[numbers].mean())
    gain = np.array(GAINS)[:, None, None] / sigma
    in_sigmas = np.nan_to_num(np.asarray(stamp[numbers], dtype=float) * gain) + SKY_SIGMA
    stretch = LuptonAsinhStretch(stretch=STRETCH_SIGMA, Q=SOFTENING)
    return make_lupton_rgb(*in_sigmas, interval=ManualInterval(vmin=0), stretch_object=stretch)[::-1]


def band_pictures(stamp: np.ndarray) -> np.ndarray:
    """Return each band of a galaxy in grey, stretched by asinh on its own."""
    from astropy.visualization import AsinhStretch, ManualInterval

    stamp = np.nan_to_num(np.asarray(stamp, dtype=float))
    sigma = _noise(stamp)
    white = np.maximum(np.percentile(stamp, WHITE_PERCENTILE, axis=(1, 2)), 3 * sigma)
    grey = [
        AsinhStretch(a=0.1)(ManualInterval(vmin=BLACK_SIGMA * noise, vmax=top)(band))
        for band, noise, top in zip(stamp, sigma, white, strict=True)
    ]
    return np.rint(255 * np.stack(grey)).astype(np.uint8)[:, ::-1]


def _noise(stamp: np.ndarray) -> np.ndarray:
    """Noise of each band; never 0, so that an empty stamp can be drawn too."""
    return np.maximum(sky_sigma(stamp), 1e-6 * max(float(np.abs(stamp).max()), 1e-6))


def _red_green_blue(bands: Sequence[str]) -> tuple[int, int, int]:
    letters = [band.rsplit("-", 1)[-1][0] for band in bands]
    if all(letter in letters for letter in RED_GREEN_BLUE):
        return tuple(letters.index(letter) for letter in RED_GREEN_BLUE)
    return len(bands) - 1, len(bands) // 2, 0


def galaxy_picture(stamp: np.ndarray, *, bands: Sequence[str]) -> np.ndarray:
    """Return one picture of a galaxy: in colour, and below it every band in grey."""
    colour = colour_picture(stamp, bands=bands)
    if len(bands) == 1:
        return colour
    row = np.concatenate(list(band_pictures(stamp)), axis=1)
    large = colour.repeat(len(bands), axis=0).repeat(len(bands), axis=1)
    return np.concatenate([large, np.repeat(row[..., None], 3, axis=2)], axis=0)


def read_stamps(survey: Survey, *, object_ids: Sequence) -> np.ndarray:
    """Read the images of some galaxies of a survey."""
    if "image" not in survey.inputs:
        raise unknown_name(f"input of {survey.name!r}", name="image", names=survey.inputs)
    return np.asarray(survey.inputs["image"][rows_of(survey, object_ids=np.asarray(object_ids))])


@in_style
def plot_cutouts(
    survey: Survey,
    *,
    object_ids: Sequence | None = None,
    captions: Sequence[str] | None = None,
    n_columns: int = 6,
    n_max: int = 24,
    title: str = "Cut-outs",
) -> Figure:
    """Draw a sheet of galaxies of a survey, each in colour with its single bands below.

    Parameters
    ----------
    survey : Survey
        With images.
    object_ids : sequence of int or str, optional
        Which galaxies, in the order of the sheet; by default the first of the survey.
    captions : sequence of str, optional
        One line or more above each; by default the true label.
    n_columns : int
        Galaxies in a row.
    n_max : int
        At most so many galaxies.
    title : str

    Returns
    -------
    Figure

    Raises
    ------
    UnknownNameError
        If the survey has no images.
    SchemaError
        If it does not hold one of the galaxies.
    ConfigError
        If there are no galaxies, or not one caption for each.
    """
    ids = survey.ids[:n_max] if object_ids is None else np.asarray(object_ids)[:n_max]
    stamps = read_stamps(survey, object_ids=ids)
    if captions is None:
        label = survey.labels.columns[0]
        captions = [f"{label} = {value:.3f}" for value in survey.labels[label].iloc[rows_of(survey, object_ids=ids)]]
    if len(ids) == 0 or len(captions) < len(ids):
        raise ConfigError(
            f"Cut-outs of {survey.name!r} were to be drawn.",
            received=f"{len(ids)} galaxies and {len(captions)} captions",
            remedy="Choose at least one galaxy, and give each a caption.",
        )
    n_rows = -(-len(ids) // n_columns)
    size = (n_columns * _SHEET_INCH, n_rows * (_SHEET_INCH * (1 + 1 / len(survey.bands)) + 0.2) + 0.3)
    figure, axes = subplots(n_rows, n_columns, figsize=size, squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for ax, stamp, caption in zip(axes.flat, stamps, captions, strict=False):
        ax.imshow(galaxy_picture(stamp, bands=survey.bands), interpolation="nearest")
        ax.set_title(caption, fontsize=6.5, color=INK, pad=2.5, loc="left")
    entitle(figure, title=title, simulated=survey.provenance.simulated)
    return figure
