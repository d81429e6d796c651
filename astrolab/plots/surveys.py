"""What surveys hold: truths, colours, magnitudes, seeing and depth, pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from astrolab.datasets.imaging import sky_sigma
from astrolab.datasets.overlap import rows_of
from astrolab.datasets.survey import Survey
from astrolab.errors import ConfigError, unknown_name
from astrolab.exploring.columns import band_letter
from astrolab.exploring.spectra import read_spectra
from astrolab.plots import style
from astrolab.plots.style import BAND, INK, PAGE_WIDTH_INCH, Look
from astrolab.predictions import labels_of, one_label, quantity_of, task_of
from astrolab.tasks import Quantity

IMAGE, MAGNITUDES = ("band", "y", "x"), ("band",)  # axes of the inputs that can be drawn
STRETCH_SIGMA = 12.0  # where the colour picture turns from linear to logarithmic, in sky sigmas
_SPECTRA_INCH = (3.3, 2.0)
GAINS = (0.8, 1.0, 1.5)  # of red, green, blue: the colours of a nearby spiral come out white
SKY_SIGMA = 1.0  # the sky is not quite black, so that its noise is seen
_DEPTH_PANELS = {
    "fwhm_arcsec": ("How sharp", "FWHM of points (arcsec)"),
    "depth_mag": ("How deep", "5σ depth of points (AB mag)"),
}


def input_with(survey: Survey, *, axes: tuple[str, ...]) -> str:
    """Return the first input of a survey that has some axes."""
    for name, spec in survey.specs.items():
        if spec.axes == axes:
            return name
    there = [f"{name} ({', '.join(spec.axes)})" for name, spec in survey.specs.items()]
    raise unknown_name(f"input of {survey.name!r}", name=f"with the axes {', '.join(axes)}", names=there)


def magnitudes_in(survey: Survey, *, band: str) -> np.ndarray:
    """Return the magnitudes of a survey in one band, by its name or letter."""
    name = input_with(survey, axes=MAGNITUDES)
    if band not in (numbers := _bands(survey)):
        raise unknown_name(f"band of {survey.name!r}", name=band, names=survey.specs[name].channels)
    return np.asarray(survey.inputs[name][:])[:, numbers[band]]


def _bands(survey: Survey) -> dict[str, int]:
    """Numbers of the bands in which there are magnitudes, by their names and by their letters."""
    bands = next((spec.channels for spec in survey.specs.values() if spec.axes == MAGNITUDES), ())
    return {key: number for number, one in enumerate(bands) for key in (one, band_letter(one))}


def _looks_of(surveys: Sequence[Survey]) -> tuple[dict[str, Look], bool]:
    """How surveys are drawn, and whether any is simulated; of nothing there is nothing to draw."""
    if not surveys or any(len(survey) == 0 for survey in surveys):
        asked = "Surveys were to be drawn."
        received = "none" if not surveys else "an empty one"
        raise ConfigError(asked, received=received, remedy="Pass at least one survey, each with something in it.")
    return style.survey_looks([one.name for one in surveys]), any(one.provenance.simulated for one in surveys)


def _quantity(survey: Survey, *, label: str | None) -> Quantity:
    return survey.task.quantity(label or next(iter(survey.task.label_names), "(none)"))


@style.in_style
def plot_truth_distributions(
    data: pd.DataFrame | Sequence[Survey],
    *,
    label: str | None = None,
    xlabel: str | None = None,
    objects: str = "objects",
    title: str = "What each survey holds",
    ax: Axes | None = None,
) -> Axes:
    """Draw the distribution of the true values of a label in several surveys, with their medians.

    The range that is scored is shaded. Unknown values are left out.

    Parameters
    ----------
    data : sequence of Survey, or DataFrame
        Surveys; or predictions, in which an object counts once however many arms have seen it.
    objects : str
        What the rows of a table are; a survey says it by itself.
    """
    if isinstance(data, pd.DataFrame):
        quantity = quantity_of(label or labels_of(data)[0], task=task_of(data))
        xlabel = xlabel or f"true {quantity.axis}"
        table = one_label(data, label=label).drop_duplicates(["survey", "object_id"])
        samples = {name: rows["truth"].to_numpy(float) for name, rows in table.groupby("survey", sort=False)}
        looks, simulated = style.survey_looks(list(samples)), style.is_simulated(table)
    else:
        looks, simulated = _looks_of(data)
        quantity, objects = _quantity(data[0], label=label), data[0].objects
        samples = {survey.name: survey.labels[quantity.name].to_numpy(float) for survey in data}
    ax = ax or pyplot.subplots(figsize=(5.2, 3.1))[1]
    samples = _draw_distributions(ax, samples, looks=looks, bins=60, shown=(0.0, 0.998))
    ax.set(xlabel=xlabel or quantity.axis, ylabel=f"fraction of {objects}")
    if quantity.scored is not None:
        low, high = np.clip(quantity.scored, *ax.get_xlim())
        ax.axvspan(low, high, color=BAND, lw=0, zorder=0, label="scored")
    words = {name: f"{len(known):,} {objects}, median {np.median(known):.2f}" for name, known in samples.items()}
    named = {name: replace(look, label=f"{look.label} · {words[name]}", marker="^") for name, look in looks.items()}
    style.finish(ax, title=title, simulated=simulated, entries=style.keys(named, ms=5))
    return ax


def _draw_distributions(
    ax: Axes, samples: Mapping[str, np.ndarray], *, looks: Mapping[str, Look], bins: int, shown: tuple[float, float]
) -> dict[str, np.ndarray]:
    """Draw histograms between two quantiles of all values together, and medians; give the values that are known."""
    known = {name: values[np.isfinite(values)] for name, values in samples.items()}
    edges = np.linspace(*np.quantile(np.concatenate(list(known.values())), shown), bins + 1)
    for name, values in known.items():
        colour, weights = looks[name].colour, np.full(len(values), 1 / max(len(values), 1))
        how = {"histtype": "stepfilled", "fc": to_rgba(colour, 0.1), "ec": colour, "lw": 1.3}
        ax.hist(values, bins=edges, weights=weights, **how)
        ax.plot(np.median(values), 0, marker="^", ms=5, color=colour, clip_on=False, zorder=5)
    ax.set_xlim(edges[0], edges[-1])
    return known


@style.in_style
def plot_colour_redshift(
    surveys: Sequence[Survey],
    *,
    bands: tuple[str, str],
    label: str | None = None,
    title: str | None = None,
) -> Figure:
    """Draw a colour against the label, one panel a survey, with the running medians of all of them in each.

    The colour is the difference of a bluer and a redder band, by name or letter.
    """
    looks, simulated = _looks_of(surveys)
    quantity = _quantity(surveys[0], label=label)
    points = {}
    for survey in surveys:
        bluer, redder = (magnitudes_in(survey, band=band) for band in bands)
        xy = np.column_stack([survey.labels[quantity.name].to_numpy(float), bluer - redder])
        points[survey.name] = xy[np.isfinite(xy).all(axis=1)]
    together = np.concatenate(list(points.values()))
    ylim = np.quantile(together[:, 1], [0.005, 0.995]) + np.array([-0.15, 0.15])
    titles = [f"{looks[name].label} · {len(xy):,}" for name, xy in points.items()]
    words = {"rows": [f"{band_letter(bands[0])} − {band_letter(bands[1])} (mag)"], "xlabel": quantity.axis}
    size = {"panel": (3.4, 2.0), "around": (0.3, 0.7), "most": 2, "sharex": True, "sharey": True}
    figure, axes = style.panel_grid(titles, **words, **size)
    for ax, (name, xy) in zip(axes[0], points.items(), strict=True):
        size, alpha = (3.0, 0.45) if len(xy) < 5000 else (1.0, 0.15)
        ax.scatter(*xy.T, s=size, alpha=alpha, lw=0, color=looks[name].colour, rasterized=True)
        for other, others in points.items():
            along, colour = _running_median(others)
            is_own = other == name
            ax.plot(along, colour, color="white", lw=3.2 if is_own else 0, zorder=3)
            ax.plot(along, colour, color=looks[other].colour, lw=1.6, ls="-" if is_own else (0, (4, 2)), zorder=4)
        ax.set(xlim=style.axis_range(together[:, 0], quantity=quantity), ylim=ylim)
    medians = {name: replace(look, label=f"median, {look.label}") for name, look in looks.items()}
    dashes = Line2D([], [], color="0.4", ls=(0, (4, 2)), label="of another survey")
    title = title or f"Colour against {quantity.words}"
    notes = [dashes] if len(surveys) > 1 else []
    style.finish(figure, title=title, simulated=simulated, entries=style.keys(medians, marker=""), notes=notes)
    return figure


def _running_median(xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Medians in at most 14 slices of equal numbers of objects, of 8 at least."""
    slices = np.array_split(xy[np.argsort(xy[:, 0])], max(1, min(14, len(xy) // 8)))
    return tuple(np.array([np.median(part, axis=0) for part in slices if len(part)]).reshape(-1, 2).T)


@style.in_style
def plot_magnitude_distributions(
    surveys: Sequence[Survey], *, bands: Sequence[str] | None = None, title: str = "How bright they are"
) -> Figure:
    """Draw the distributions of AB magnitudes, one panel a band (by default those of the first), with their medians."""
    looks, simulated = _looks_of(surveys)
    bands = bands or surveys[0].specs[input_with(surveys[0], axes=MAGNITUDES)].channels
    letters = [band_letter(band) for band in bands]
    rows, titles = [f"fraction of {surveys[0].objects}"], [""] * len(letters)
    size = {"panel": (max(1.42, 3.4 / len(letters)), 1.3), "around": (0.1, 0.6), "most": 6, "sharey": True}
    figure, axes = style.panel_grid(titles, rows=rows, **size)
    for ax, letter in zip(axes[0], letters, strict=True):
        samples = {survey.name: magnitudes_in(survey, band=letter) for survey in surveys}
        _draw_distributions(ax, samples, looks=looks, bins=36, shown=(0.002, 0.998))
        ax.set_xlabel(f"{letter} (mag)")
    named = {one.name: replace(looks[one.name], label=f"{looks[one.name].label} · {len(one):,}") for one in surveys}
    median = Line2D([], [], marker="^", ls="none", ms=5, color="0.4", label="median")
    style.finish(figure, title=title, simulated=simulated, entries=style.keys(named, marker=""), notes=[median])
    return figure


@style.in_style
def plot_depth(imaging: pd.DataFrame, *, title: str = "Images, band by band") -> Figure:
    """Draw seeing and depth by band, from :func:`astrolab.measure_imaging`: filled as measured, hollow as stated."""
    columns = [name for panel in _DEPTH_PANELS for name in (panel, f"stated_{panel}")]
    if imaging.empty or not np.isfinite(imaging[columns].to_numpy(float)).any():
        remedy = "Pass the table of measure_imaging for surveys with bright, compact objects: raise n."
        raise ConfigError("Seeing and depth were to be drawn.", received="a table without a number", remedy=remedy)
    looks = style.survey_looks(list(imaging["survey"].unique()))
    letters = list(dict.fromkeys(map(band_letter, imaging["band"])))
    titles = [panel for panel, _ in _DEPTH_PANELS.values()]
    figure, axes = style.panel_grid(titles, panel=(3.4, 1.8), around=(0.3, 0.7), xlabel="band")
    for ax, (column, (_, ylabel)) in zip(axes[0], _DEPTH_PANELS.items(), strict=True):
        for number, (name, look) in enumerate(looks.items()):
            rows, aside = imaging[imaging["survey"] == name], 0.12 * (number - (len(looks) - 1) / 2)
            place = np.array([letters.index(band_letter(band)) for band in rows["band"]]) + aside
            measured, stated = rows[column], rows[f"stated_{column}"]
            ax.vlines(place, measured, stated, color=look.colour, lw=0.8, alpha=0.6)
            ax.plot(place, measured, marker="o", ms=4.5, lw=1.2, color=look.colour)
            ax.plot(place, stated, marker="o", ms=4.5, ls="none", color=look.colour, mfc="white")
        ax.set(ylabel=ylabel, xticks=range(len(letters)), xticklabels=letters, xlim=(-0.5, len(letters) - 0.5))
        ax.grid(axis="y")
    dot = {"ls": "none", "marker": "o", "color": "0.4"}
    notes = [Line2D([], [], label="measured", **dot), Line2D([], [], label="stated", mfc="white", **dot)]
    style.finish(figure, title=title, simulated=style.is_simulated(imaging), entries=style.keys(looks), notes=notes)
    return figure


def colour_picture(stamp: np.ndarray, *, channels: Sequence[str], stretch: float = 1.0) -> np.ndarray:
    """Return a colour picture of an object, faint wings and bright core at once: (y, x, 3) of uint8.

    A `stretch` below 1 shows fainter light, one above 1 more of what is bright.

    The i, r and g bands (or the reddest, middle and bluest there are) are stretched together by asinh, so that colour
    does not depend on brightness (Lupton et al. 2004, PASP 116, 133). What is in red, green and blue stays as it is.
    """
    from astropy.visualization import LuptonAsinhStretch, ManualInterval, make_lupton_rgb

    letters, wanted = [band_letter(channel)[0] for channel in channels], "rgb" if _is_rgb(channels) else "irg"
    ends = [len(channels) - 1, len(channels) // 2, 0]
    numbers = [letters.index(letter) for letter in wanted] if set(wanted) <= set(letters) else ends
    stamp = np.nan_to_num(np.asarray(stamp, dtype=float))
    if _is_rgb(channels):
        brightest = 255 if stamp.max(initial=0) > 1 else 1
        return np.rint(255 / brightest * stamp[numbers].clip(0, brightest)).astype(np.uint8).transpose(1, 2, 0)
    sigma = float(_noise(stamp)[numbers].mean())
    in_sigmas = stamp[numbers] * np.array(GAINS)[:, None, None] / sigma + SKY_SIGMA
    asinh = LuptonAsinhStretch(stretch=stretch * STRETCH_SIGMA, Q=8.0)
    return make_lupton_rgb(*in_sigmas, interval=ManualInterval(vmin=0), stretch_object=asinh)[::-1]


def band_pictures(stamp: np.ndarray, *, channels: Sequence[str]) -> np.ndarray:
    """Return each band of an object in grey, stretched by asinh on its own; of red, green and blue none."""
    from astropy.visualization import AsinhStretch, ManualInterval

    stamp = np.nan_to_num(np.asarray(stamp, dtype=float))
    if _is_rgb(channels):
        return np.zeros((0, *stamp.shape[1:]), dtype=np.uint8)
    sigma = _noise(stamp)
    white = np.maximum(np.percentile(stamp, 99.7, axis=(1, 2)), 3 * sigma)
    scales = [ManualInterval(vmin=-2 * noise, vmax=top) for noise, top in zip(sigma, white, strict=True)]
    grey = [AsinhStretch(a=0.1)(scale(band)) for scale, band in zip(scales, stamp, strict=True)]
    return np.rint(255 * np.stack(grey)).astype(np.uint8)[:, ::-1]


def object_picture(stamp: np.ndarray, *, channels: Sequence[str]) -> np.ndarray:
    """Return one picture of an object: in colour, and below it every band in grey."""
    colour, bands = colour_picture(stamp, channels=channels), band_pictures(stamp, channels=channels)
    if len(bands) < 2:
        return colour
    row = np.concatenate(list(bands), axis=1)
    large = colour.repeat(len(bands), axis=0).repeat(len(bands), axis=1)
    return np.concatenate([large, np.repeat(row[..., None], 3, axis=2)], axis=0)


def _is_rgb(channels: Sequence[str]) -> bool:
    return set(channels) == {"red", "green", "blue"}


def _noise(stamp: np.ndarray) -> np.ndarray:
    """Noise of each band; never 0, so that an empty stamp can be drawn too."""
    return np.maximum(sky_sigma(stamp), 1e-6 * max(float(np.abs(stamp).max()), 1e-6))


def read_stamps(survey: Survey, *, object_ids: Sequence) -> tuple[np.ndarray, tuple[str, ...]]:
    """Read the images of some objects of a survey; give them and the names of their channels."""
    name = input_with(survey, axes=IMAGE)
    rows = rows_of(survey, object_ids=np.asarray(object_ids))
    return np.asarray(survey.inputs[name][rows]), survey.specs[name].channels


@style.in_style
def plot_galaxies(
    surveys: Sequence[Survey], *, by: str, order: str = "spread", n_galaxies: int = 8, title: str | None = None
) -> Figure:
    """Draw galaxies, or whatever a survey holds, in colour, one row a survey, in the order of one quantity.

    Every picture is stretched by the noise of its own sky: a deeper survey shows fainter light.

    Parameters
    ----------
    by : str
        What orders them: a label (``"z"``), a band (``"i"``: its magnitude), or a column of the catalogue.
    order : {"spread", "lowest", "highest"}
        Spread evenly over the quantiles of the quantity, or its lowest or highest values.
    """
    looks, simulated = _looks_of(surveys)
    ends = ("Brightest in", "Faintest in") if _is_band(surveys[0], by) else ("Lowest", "Highest")
    what = surveys[0].objects.capitalize()
    titles = {"spread": f"{what} by {by}", "lowest": f"{ends[0]} {by}", "highest": f"{ends[1]} {by}"}
    if order not in titles:
        raise unknown_name("order of objects", name=order, names=titles)
    row_inch = PAGE_WIDTH_INCH / n_galaxies + 0.38
    figure = pyplot.figure(figsize=(PAGE_WIDTH_INCH, len(surveys) * row_inch + 0.3))
    strips = figure.subfigures(len(surveys), 1, squeeze=False)[:, 0]
    for strip, survey in zip(strips, surveys, strict=True):
        numbers, values = choose_objects(survey, by=by, order=order, n=n_galaxies)
        name = input_with(survey, axes=IMAGE)
        channels = survey.specs[name].channels
        pictures = [colour_picture(stamp, channels=channels) for stamp in np.asarray(survey.inputs[name][numbers])]
        strip.suptitle(looks[survey.name].label, x=0.01, ha="left", fontsize=8, weight="bold")
        axes = np.atleast_1d(strip.subplots(1, n_galaxies))
        for ax in axes:
            ax.axis("off")
        for ax, picture, value in zip(axes, pictures, values, strict=False):
            ax.imshow(picture, interpolation="nearest")
            ax.set_title(f"{by} = {value:.2f}", fontsize=6.5, color=INK, pad=2.5, loc="left")
    style.finish(figure, title=title or titles[order], simulated=simulated)
    return figure


def choose_objects(survey: Survey, *, by: str, order: str, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Choose objects of a survey by one quantity: their numbers, and its values."""
    if _is_band(survey, by):
        values = magnitudes_in(survey, band=by)
    elif by in survey.labels or by in survey.catalogue:
        values = survey.column(by).astype(float)
    else:
        names = [*survey.labels, *_bands(survey), *survey.catalogue]
        raise unknown_name(f"quantity of {survey.name!r}", name=by, names=names)
    numbers = np.argsort(values, kind="stable")
    numbers = numbers[np.isfinite(values[numbers])]
    if order == "highest":
        numbers = numbers[::-1]
    elif order == "spread" and len(numbers) > n:
        numbers = numbers[((np.arange(n) + 0.5) / n * len(numbers)).astype(int)]
    return numbers[:n], values[numbers[:n]]


def _is_band(survey: Survey, by: str) -> bool:
    return by not in survey.labels and by in _bands(survey)


@style.in_style
def plot_spectra(
    surveys: Sequence[Survey],
    *,
    bridged: Sequence[Survey],
    n: int = 3,
    title: str = "Spectra before and after the bridge",
) -> Figure:
    """Draw a few spectra of each survey, as they were read and below as they were bridged, from high to low.

    Each is divided by its median; the shade is the error, where it is known. Objects are the first of each bridged one.
    """
    looks = style.survey_looks([survey.name for survey in surveys])
    size = {"panel": _SPECTRA_INCH, "around": (0.6, 0.9), "most": len(surveys)}
    rows = ["as read, each over its median", "after the bridge"]
    figure, axes = style.panel_grid(list(looks.values()), rows=rows, **size)
    for column, pair in zip(axes.T, zip(surveys, bridged, strict=True), strict=True):
        for ax, survey in zip(column, pair, strict=True):
            spectra = read_spectra(survey, object_ids=pair[1].ids[:n])
            for place, (wave, flux, sigma) in enumerate(zip(spectra.wave, spectra.flux, spectra.sigma, strict=True)):
                level, colour = np.nanmedian(flux), looks[survey.name].colour
                above = flux / level + n - 1 - place
                ax.fill_between(wave, above - sigma / level, above + sigma / level, color=colour, alpha=0.25, lw=0)
                ax.plot(wave, above, color=colour, lw=0.6)
            ax.set(xlim=spectra.ends, ylim=(-0.1, n + 0.9), xlabel=spectra.axis)
    simulated = any(survey.provenance.simulated for survey in surveys)
    style.finish(figure, title=title, simulated=simulated)
    return figure
