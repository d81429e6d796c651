"""What explorers show, as figures: clouds, the path of an adapter, a simulated galaxy; colours and names in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.pyplot import figure as new_figure

from astrolab.datasets.survey import Survey
from astrolab.exploring.columns import band_letter, column_label, picture_input
from astrolab.exploring.gathering import ABSENT
from astrolab.exploring.spectra import read_spectra
from astrolab.metrics import find_metric, summarise_seeds
from astrolab.plots import style
from astrolab.plots.predictions import axis_label, cloud_ranges, reference_lines
from astrolab.plots.scores import band_key, draw_curves
from astrolab.plots.style import FAINT, INK
from astrolab.plots.surveys import band_pictures, colour_picture, object_picture, read_stamps
from astrolab.predictions import CONDITIONS
from astrolab.tasks import Quantity, Range

if TYPE_CHECKING:
    from astrolab.datasets.twins.galaxies.one_galaxy import OneGalaxy

GOOD, BAD, SAME = "#0072B2", "#D55E00", "#BDBDBD"  # Okabe & Ito 2008, and a grey
N_SHADES = 64
NOT_MEASURED = "not measured"
N_DRAWN = 20_000
N_PICTURES, N_SPECTRA = 8, 6
_SHADED = (0.02, 0.98)  # quantiles with shades of their own; beyond, those of the ends
_NAMED = ("run", *CONDITIONS, "seed")
_CLOUD_INCH = 3.3
_CURVE_INCH, _ROW_INCH = (2.3, 2.0), 0.5  # of a panel of curves; height of a spectrum


@dataclass(frozen=True, eq=False)
class PointColours:
    """The colour of every object, and what it means."""

    groups: pd.Categorical
    colours: Mapping[str, str]
    quantity: str = ""
    values: Mapping[str, str] | None = None

    @property
    def of_points(self) -> np.ndarray:
        """Colour of every object: (n,) str."""
        return np.array(list(self.colours.values()))[self.groups.codes]

    def legend(self, *, inside: np.ndarray | None = None) -> dict[str, str]:
        """Return the entries of a legend: text and colour."""
        codes = self.groups.codes if inside is None else self.groups.codes[inside]
        counts = dict(zip(self.colours, np.bincount(codes, minlength=len(self.colours)), strict=True))
        if self.values is None:
            return {f"{name}: {counts[name]:,}": colour for name, colour in self.colours.items()}
        missing = {f"{NOT_MEASURED}: {counts[NOT_MEASURED]:,}": SAME} if counts[NOT_MEASURED] else {}
        return {text: self.colours[name] for name, text in self.values.items()} | missing

    def heading(self, models: Sequence[str]) -> str:
        """Return what stands above the legend."""
        if self.quantity:
            return f"Colour: {self.quantity}"
        return f"Beside {models[0]}, {models[1]} is …" if len(models) == 2 else ""


def colour_points(table: pd.DataFrame, *, by: str | None = None) -> PointColours:
    """Give objects colours: by what changed between two models, else by which are outliers, or by a column."""
    if by is not None:
        return _shades(table[by].to_numpy(float), quantity=column_label(by))
    if "verdict" in table:
        verdicts = pd.Categorical(table["verdict"])  # nearer, about the same, farther
        return PointColours(verdicts, dict(zip(verdicts.categories, (GOOD, SAME, BAD), strict=True)))
    colours = {"not an outlier": GOOD, "outlier": BAD}
    codes = table["is_outlier"].to_numpy(int)
    return PointColours(pd.Categorical.from_codes(codes, categories=list(colours)), colours)


def _shades(values: np.ndarray, *, quantity: str) -> PointColours:
    known = values[np.isfinite(values)]
    low, high = np.quantile(known, _SHADED) if known.size else (0.0, 1.0)
    if low == high:
        low, high = known.min(), max(known.max(), np.nextafter(known.min(), np.inf))
    steps = np.floor(N_SHADES * (values - low) / (high - low))
    codes = np.where(np.isfinite(values), np.clip(np.nan_to_num(steps), 0, N_SHADES - 1), N_SHADES).astype(int)
    names = [f"shade {number}" for number in range(N_SHADES)]
    # No map with grey in it: grey is what was not measured.
    colours = dict(zip(names, map(to_hex, mpl.colormaps["viridis"].resampled(N_SHADES).colors), strict=True))
    middle = f"{(low + high) / 2:.4g}"
    texts = {names[0]: f"≤ {low:.4g}", names[N_SHADES // 2]: middle, names[-1]: f"≥ {high:.4g}"}
    groups = pd.Categorical.from_codes(codes, categories=[*names, NOT_MEASURED], ordered=True)
    return PointColours(groups, colours | {NOT_MEASURED: SAME}, quantity, texts)


def in_words(column: str, *, value: Any) -> str:
    """Return how a value of a grouping column is written, such as "GalaxiesML twin" for "twin-galaxiesml"."""
    if column in ("arm", "survey"):
        looks = style.arm_looks if column == "arm" else style.survey_looks
        return looks([value])[value].label
    return f"{value:g}" if isinstance(value, float) else str(value)


def name_models(models: Sequence[Mapping[str, Any]], *, options: Mapping[str, Sequence[Any]]) -> tuple[list[str], str]:
    """Name one or two models so that they are not taken for others of the table, and say what they share."""
    several = [name for name in _NAMED if len(options.get(name, ())) > 1]
    apart = [name for name in several if any(model[name] != models[0][name] for model in models)]
    arms = [in_words("arm", value=model.get("arm", "")) for model in models]
    parts = [[arm, *_listed(model, apart)] for arm, model in zip(arms, models, strict=True)]
    together = _listed(models[0], [name for name in several if name not in apart])
    return [" · ".join(filter(None, words)) or "model" for words in parts], " · ".join(together)


def brief_names(names: Sequence[str]) -> list[str]:
    """Return names that fit over a column of numbers: "the first" and "the second" where they are long."""
    return list(names) if max(map(len, names)) <= 34 else ["the first", "the second"][: len(names)]


def cloud_title(names: Sequence[str], *, column: str) -> str:
    """Return which model a cloud is of, or which two."""
    return " − ".join(names) if column == "deviation_difference" else names[-column.endswith("_other")]


def _listed(model: Mapping[str, Any], columns: Sequence[str]) -> list[str]:
    return [f"{name} {in_words(name, value=model[name])}" for name in columns if model[name] != ABSENT]


@style.in_style
def plot_exploration(
    table: pd.DataFrame,
    *,
    quantity: Quantity,
    x: str = "truth",
    rows: np.ndarray | None = None,
    inside: np.ndarray | None = None,
    sides: Mapping[str, pd.DataFrame] | None = None,
    models: Sequence[str] = ("",),
    axes: Sequence[str] = ("pred",),
    colour: str | None = None,
    surveys: Sequence[Survey] = (),
    listed: Sequence[int] = (),
    objects: str = "objects",
    title: str = "Predictions explored",
) -> Figure:
    """Draw what an explorer shows: a cloud for each model, the selection in black, its scores, its first objects."""
    kind, _ = picture_input(next(iter(surveys), None))
    pictures = list(listed)[: N_PICTURES if kind == "image" else N_SPECTRA] if kind else []
    drawn_as = [(axis, one) for axis in axes for one in (axis, f"{axis}_other") if one in table]
    n_clouds, colours = len(drawn_as), colour_points(table, by=colour)
    shown = np.arange(len(table)) if inside is None else np.flatnonzero(inside)
    drawn, selected = _some(shown), _some(np.zeros(0, dtype=int) if rows is None else np.asarray(rows))
    notes = [_thinned(drawn, shown, objects), _thinned(selected, selected if rows is None else rows, "selected ones")]
    heights = [3.55, 1.75 if kind == "image" else _ROW_INCH * len(pictures) + 0.7][: 1 + bool(pictures)]
    figure = new_figure(figsize=(_CLOUD_INCH * n_clouds + 3.6, sum(heights)), layout="constrained")
    parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    *panels, beside = parts[0].subplots(1, n_clouds + 1, width_ratios=[_CLOUD_INCH] * n_clouds + [3.2])
    for ax, (axis, column) in zip(panels, drawn_as, strict=True):
        ranges = cloud_ranges(table, quantity=quantity, axis=axis, x=x)
        xy = table[x].to_numpy(float), table[column].to_numpy(float).clip(*ranges[1])
        size = 9.0 if len(table) < 2000 else 2.5
        ax.scatter(*(v[drawn] for v in xy), c=colours.of_points[drawn], s=size, lw=0, alpha=0.7, rasterized=True)
        if len(selected):
            ax.scatter(*(v[selected] for v in xy), c="black", s=size * 1.6, lw=0, rasterized=True)
        _frame_cloud(ax, ranges=ranges, quantity=quantity, axis=axis, x=x)
        name = ax.set_title("", loc="center", fontweight="bold", fontsize=7.5)
        style.break_title(name, title=cloud_title(models, column=column), width=_CLOUD_INCH * figure.dpi)
    dots = colours.legend(inside=inside) | ({f"selected: {len(rows):,}": "black"} if len(selected) else {})
    entries = [Line2D([], [], color=c, label=text, marker="o", ls="none", ms=4, mec="none") for text, c in dots.items()]
    lines = {o.text: o for a in axes for o in reference_lines(quantity, x_range=ranges[0], axis=a) if x == "truth"}
    entries += [Line2D([], [], color=one.colour, lw=0.7 * one.width, label=text) for text, one in lines.items()]
    beside.axis("off")
    how = {"alignment": "left", "borderaxespad": 0.0, "labelspacing": 0.3, "fontsize": 7, "title_fontsize": 7}
    beside.legend(handles=entries, loc="upper left", title=colours.heading(brief_names(models)) or None, **how)
    if sides:
        _write_scores(beside, sides=sides, objects=objects)
    if pictures:
        (_draw_pictures if kind == "image" else _draw_spectra)(parts[1], table.iloc[pictures], surveys=surveys, x=x)
    style.finish(figure, title=" · ".join(filter(None, [title, *notes])), simulated=style.is_simulated(table))
    return figure


def _some(rows: np.ndarray) -> np.ndarray:
    return rows if len(rows) <= N_DRAWN else np.sort(np.random.default_rng(0).choice(rows, N_DRAWN, replace=False))


def _thinned(drawn: np.ndarray, there: np.ndarray, what: str) -> str:
    return f"{len(drawn):,} of {len(there):,} {what} drawn" if len(drawn) < len(there) else ""


def _write_scores(ax: Axes, *, sides: Mapping[str, pd.DataFrame], objects: str) -> None:
    values = zip(*(side["value"] for side in sides.values()), strict=True)
    cells = [[f"{one:.4f}".replace("-", "−") if np.isfinite(one) else "–" for one in row] for row in values]
    cells.append([f"{side['n'].iloc[0]:,}" for side in sides.values()])
    heads = [name.replace(" · ", "\n") for name in sides]
    names = [*next(iter(sides.values()))["label"], f"{objects} scored"]
    table = ax.table(cellText=cells, rowLabels=names, colLabels=heads, loc="lower right", edges="B")
    table.auto_set_font_size(False)
    table.set_fontsize(6.5)
    table.auto_set_column_width(list(range(len(sides))))
    head = 0.025 + 0.045 * max(1 + name.count("\n") for name in heads)
    for (row, _), cell in table.get_celld().items():
        cell.set(height=head if row == 0 else 0.068, edgecolor="#D0D0D0", linewidth=0.5)


def _draw_spectra(part: SubFigure, table: pd.DataFrame, *, surveys: Sequence[Survey], x: str) -> None:
    """All spectra above each other, each from its lowest flux to its highest, with a band of ± σ."""
    n, size = len(table), max(6.5, 0.9 * part.figure.get_figwidth())  # pages show wide figures smaller
    text = {"fontsize": size, "va": "bottom"}
    for ax, survey in zip(np.atleast_1d(part.subplots(1, len(surveys))), surveys, strict=True):
        spectra = read_spectra(survey, object_ids=table["object_id"].to_numpy())
        for number, row in enumerate(table.itertuples()):
            (low, high), at, flux = spectra.shown(number), n - 1 - number, spectra.flux[number]
            heights = [flux, flux - spectra.sigma[number], flux + spectra.sigma[number]]
            middle, *ends = (at + 0.85 * ((one - low) / (high - low)).clip(0, 1) for one in heights)
            ax.fill_between(spectra.wave[number], *ends, color=GOOD, alpha=0.35, lw=0)
            ax.plot(spectra.wave[number], middle, color=INK, lw=0.5)
            if survey is surveys[0]:
                colour, numbers = BAD if row.is_outlier else INK, f"{row.object_id}: {_numbers(row, x=x)}"
                ax.text(spectra.ends[0], at + 0.8, numbers, color=colour, **text)
        ax.vlines(np.concatenate([*spectra.lines.values(), []]), 0, n, color=BAD, lw=0.5, alpha=0.3)
        letter = 0.0085 * size * len(surveys) / part.figure.get_figwidth()
        for label, (wave, line, _) in spectra.labels(letter=letter).items():
            ax.text(wave, n + 0.1 + 0.35 * line, label, ha="center", **text)
        ax.set(xlim=spectra.ends, ylim=(-0.1, n + 0.8), yticks=[], ylabel="flux", xlabel=spectra.axis)
        ax.tick_params(labelsize=size)
        ax.spines["left"].set_visible(False)


def _numbers(row: Any, *, x: str) -> str:
    return (f"{row.truth:.2f} → {row.pred:.2f}" if x == "truth" else f"{row.pred:.2f}").replace("-", "−")


def _draw_pictures(part: SubFigure, table: pd.DataFrame, *, surveys: Sequence[Survey], x: str) -> None:
    """All pictures in one image: an axis each would take most of the time of the figure."""
    stamps, channels = read_stamps(surveys[0], object_ids=table["object_id"].to_numpy())
    pictures = [object_picture(stamp, channels=channels) for stamp in stamps]
    height, width, _ = pictures[0].shape
    gap = width // 12
    strip = np.full((height, N_PICTURES * (width + gap) - gap, 3), 255, dtype=np.uint8)
    ax = part.subplots()
    ax.axis("off")
    for number, (picture, row) in enumerate(zip(pictures, table.itertuples(), strict=True)):
        left = number * (width + gap)
        strip[:, left : left + width] = picture
        how = {"fontsize": 7, "color": BAD if row.is_outlier else INK, "va": "bottom"}
        ax.text(left, -0.03 * height, _numbers(row, x=x), **how)
    ax.imshow(strip, interpolation="nearest")


@style.in_style
def plot_adapter_path(
    scores: pd.DataFrame,
    *,
    label: str | None = None,
    scale: float | None = None,
    clouds: Mapping[str, tuple[np.ndarray, np.ndarray]] | None = None,
    simulated: bool = False,
    objects: str = "objects",
    title: str = "From the base network to the adapted one",
) -> Figure:
    """Draw scores against the scale of an adapter, one panel a metric and one line a survey; a requirement is shaded.

    Parameters
    ----------
    scores : DataFrame
        From :func:`astrolab.score`, with a column ``scale``, or columns ``scale, survey, label, metric, value``. With
        ``low`` and ``high`` bands are drawn: intervals over objects, or the spread over seeds.
    scale : float, optional
        Where on the path the clouds are; marked in every panel.
    clouds : mapping of str to (truth, pred), optional
        Objects of each survey at that scale, each (n,); a panel for each, below.
    """
    scores, _, quantity, about = style.pick_label(scores, label=label)
    simulated |= style.is_simulated(scores)
    scores = summarise_seeds(scores.assign(**{end: scores.get(end, np.nan) for end in ("low", "high")}))
    metrics, looks = scores["metric"].unique(), style.survey_looks(list(scores["survey"].unique()))
    heights = [_CURVE_INCH[1], 2.7] if clouds else [_CURVE_INCH[1]]
    figure = new_figure(figsize=(_CURVE_INCH[0] * len(metrics), sum(heights)), layout="constrained")
    parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    for ax, metric in zip(parts[0].subplots(1, len(metrics), squeeze=False)[0], metrics, strict=True):
        style.draw_requirement(ax, metric=metric, quantity=quantity)
        draw_curves(ax, rows=scores[scores["metric"] == metric], x="scale", looks=looks, by="survey")
        ax.set(xlabel="scale of the adapter", ylabel=style.metric_label(metric, quantity=quantity))
        if find_metric(metric).sign == "lower":
            ax.set_ylim(bottom=0.0)
        if scale is not None:
            ax.axvline(scale, color=INK, lw=1.0, ls=(0, (2, 2)))
    below = parts[1].subplots(1, len(clouds), squeeze=False)[0] if clouds else ()
    for ax, (survey, (truth, pred)) in zip(below, (clouds or {}).items(), strict=True):
        ranges = cloud_ranges(pd.DataFrame({"truth": truth}), quantity=quantity)
        dots = {"s": 4, "lw": 0, "color": looks[survey].colour, "alpha": 0.6, "zorder": 3, "rasterized": True}
        ax.scatter(truth, np.clip(pred, *ranges[1]), **dots)
        _frame_cloud(ax, ranges=ranges, quantity=quantity)
        ax.set_title(looks[survey].label, color=looks[survey].colour, fontweight="bold", loc="center")
    at = "" if scale is None else f" · {objects} at scale {scale:.2f}"
    bands = [band_key(scores)] * bool(scores["low"].notna().any())
    style.finish(figure, title=title + about + at, simulated=simulated, entries=style.keys(looks), notes=bands)
    return figure


def _frame_cloud(
    ax: Axes, *, ranges: tuple[Range, Range], quantity: Quantity, axis: str = "pred", x: str = "truth"
) -> None:
    ax.set(xlim=ranges[0], ylim=ranges[1], aspect="equal" if axis == "pred" and x == "truth" else "auto")
    if x != "truth":
        ax.set(xlabel=column_label(x), ylabel=quantity.axis)
        return
    for line in reference_lines(quantity, x_range=ranges[0], axis=axis):
        ax.plot(*line.vertices.T, color=line.colour, lw=0.7 * line.width)
    ax.set(xlabel=f"true {quantity.axis}", ylabel=axis_label(axis, quantity=quantity))


def scale_spans(figure: Figure, *, low: float, high: float) -> list[tuple[float, float, float, float]]:
    """Return where two scales lie in the panels of a figure, so that a marker can be laid over its picture."""
    spans, inverted = [], figure.transFigure.inverted()
    for ax in figure.axes:
        corners = ax.get_xaxis_transform().transform([(low, 0.0), (high, 1.0)])
        (left, bottom), (right, top) = inverted.transform(corners)
        spans.append((float(left), float(right), 1.0 - float(top), 1.0 - float(bottom)))
    return spans


@style.in_style
def plot_one_galaxy(galaxy: OneGalaxy, *, answers: Mapping[str, float] | None = None) -> Figure:
    """Draw a simulated galaxy as a survey sees it: in colour, in each band, its magnitudes, what models make of it."""
    bands = galaxy.bands
    figure = new_figure(figsize=(7.1, 3.3), layout="constrained")
    pictures, numbers = figure.subfigures(1, 2, width_ratios=[3.6, 3.5])
    grid = pictures.add_gridspec(2, len(bands), height_ratios=[len(bands), 1.35])
    ax = pictures.add_subplot(grid[0, :])
    ax.imshow(colour_picture(galaxy.image, channels=bands), interpolation="nearest")
    ax.axis("off")
    for number, (band, picture) in enumerate(zip(bands, band_pictures(galaxy.image, channels=bands), strict=True)):
        small = pictures.add_subplot(grid[1, number])
        small.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        small.set_title(band, fontsize=6.5, pad=2, loc="center")
        small.axis("off")
    above, below = numbers.subplots(2, 1, height_ratios=[1.5, 1])
    place, measured = np.arange(len(bands)), {"fmt": "s", "ms": 3.5, "color": INK, "lw": 1, "label": "measured"}
    above.plot(place, galaxy.mag, "o-", mfc="none", color=FAINT, lw=0.8, label="true")
    above.errorbar(place, galaxy.measured_mag, yerr=galaxy.measured_mag_error, **measured)
    above.set_xticks(place, [band_letter(band) for band in bands])
    above.invert_yaxis()
    above.set(ylabel="AB magnitude", xlabel="band")
    above.legend()
    one = galaxy.settings
    _draw_answers(below, z=one.z, answers=answers or {})
    style.finish(figure, title=f"{one.kind} galaxy at z = {one.z:.2f}, i = {one.i_mag:.1f}", simulated=True)
    return figure


def _draw_answers(ax: Axes, *, z: float, answers: Mapping[str, float]) -> None:
    ax.axvline(z, color=INK, lw=1.2)
    looks = style.arm_looks(list(answers))
    for number, (look, value) in enumerate(zip(looks.values(), answers.values(), strict=True)):
        ax.plot([z, value], [number, number], color=look.colour, lw=1)
        ax.plot(value, number, look.marker, color=look.colour, ms=5)
    ax.set_yticks(range(len(answers)), [look.label for look in looks.values()])
    ax.set_ylim(len(answers) - 0.4, -0.6)
    shown = [z, *answers.values()]
    ax.set_xlim(min(0.0, *(value - 0.1 for value in shown)), max(shown) + 0.2)
    ax.set_xlabel("redshift: true (line), as models answer" if answers else "true redshift (no model was passed)")
