"""What explorers are put together from: controls with a label and a class, and pieces of HTML (text in, markup out)."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from html import escape
from itertools import count
from pathlib import Path
from string import Template
from typing import Any, TypeVar

import ipywidgets
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from astrolab.datasets.survey import Survey
from astrolab.exploring.columns import column_label, column_unit, picture_input
from astrolab.exploring.gathering import ABSENT
from astrolab.exploring.spectra import Spectra, read_spectra
from astrolab.exploring.view import RESAMPLED_FROM
from astrolab.plots.surveys import band_pictures, colour_picture, read_stamps

STATIC_DPI = 110
ORDER = ("brightest outliers", "farthest outliers")
Control = TypeVar("Control", bound=ipywidgets.DOMWidget)
BLANK = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="
SKY = "https://aladin.cds.unistra.fr/AladinLite/?target={ra:.6f}%20{dec:.6f}&amp;fov=0.02"
PANEL = (6400, 2700)  # of a spectrum, in tenths of a pixel where it is large
SPECTRUM = Template(Path(__file__).with_name("spectrum.svg").read_text(encoding="utf-8"))


def control(name: str, *, kind: type[Control], label: str, width: str, **options: Any) -> Control:
    """Return a labelled control of class ``astrolab-<name>``, e.g. an ``ipywidgets.Dropdown``."""
    made = kind(**{"description": label, "style": {"description_width": "initial"}} | options)
    made.layout.width = width
    return made.add_class(f"astrolab-{name}")


def range_slider(name: str, *, label: str, low: float, high: float) -> ipywidgets.FloatRangeSlider:
    """Return a labelled slider with two handles that cover everything, of class ``astrolab-slice-<name>``."""
    step = (high - low) / 200
    low, high = low - 0.5 * step, high + 0.5 * step  # what rounding in the browser may take away
    ends = {"value": (low, high), "min": low, "max": high, "step": step}
    shown = {"readout_format": ".2f", "continuous_update": False}
    return control(f"slice-{name}", kind=ipywidgets.FloatRangeSlider, label=label, width="auto", **ends, **shown)


def button(name: str, *, label: str, on_click: Callable[[], None], hint: str = "") -> ipywidgets.Button:
    """Return a button of class ``astrolab-<name>``."""
    made = control(name, kind=ipywidgets.Button, label=label, width="auto", tooltip=hint or label, style={})
    made.on_click(lambda _: on_click())
    return made


def buttons(acts: Mapping[str, tuple[str, Callable[[], None]]]) -> ipywidgets.HBox:
    """Return a row of buttons by name: what each says and does."""
    return row(*(button(name, label=label, on_click=act) for name, (label, act) in acts.items()))


def places(*names: str) -> dict[str, ipywidgets.HTML]:
    """Return empty places for HTML, each of class ``astrolab-<name>``."""
    return {name: ipywidgets.HTML().add_class(f"astrolab-{name}") for name in names}


def row(*controls: ipywidgets.Widget) -> ipywidgets.HBox:
    """Return controls in a row that wraps where the page is narrow."""
    return ipywidgets.HBox(controls).add_class("astrolab-row")


def column(*controls: ipywidgets.Widget) -> ipywidgets.VBox:
    """Return controls one below the other, of class ``astrolab-side``."""
    return ipywidgets.VBox(controls).add_class("astrolab-side")


def under_title(control: ipywidgets.Widget, *, title: str) -> ipywidgets.VBox:
    """Return a control with a title above it, no wider than the control."""
    place = ipywidgets.VBox([ipywidgets.HTML(), control]).add_class("astrolab-titled")
    set_title(place, title=title)
    return place


def set_title(place: ipywidgets.VBox, *, title: str) -> None:
    """Change the title above a control."""
    place.children[0].value = f"<b>{escape(title)}</b>"


def close_all(*widgets: ipywidgets.Widget) -> None:
    """Close widgets with all that belongs to them: a kernel keeps every widget that is open."""
    for widget in widgets:
        values = [getattr(widget, name) for name in widget.keys]
        each = [one for value in values for one in (value if isinstance(value, tuple | list) else [value])]
        parts = [one for one in each if isinstance(one, ipywidgets.Widget) and one.comm is not None]
        widget.close()
        close_all(*parts)


def number(value: float, *, digits: int) -> str:
    """Return a number as text, with a real minus, or a dash where there is none."""
    return f"{value:.{digits}f}".replace("-", "−") if np.isfinite(value) else ABSENT


def text_note(text: str) -> str:
    """Return a remark in small print."""
    return f'<div class="astrolab-note">{"<br>".join(map(escape, text.splitlines()))}</div>'


def title_line(text: str) -> str:
    """Return the headline of an explorer."""
    return f'<div class="astrolab-title" role="heading" aria-level="3">{escape(text)}</div>'


def legend(dots: Mapping[str, str], *, lines: Mapping[str, str], heading: str = "") -> str:
    """Return what colours of points and lines mean."""
    marks = [(f'<i style="background:{colour}"></i>', text) for text, colour in dots.items()]
    marks += [(f'<i class="line" style="border-color:{colour}"></i>', text) for text, colour in lines.items()]
    entries = "".join(f"<span>{mark}{escape(text)}</span>" for mark, text in [("", heading), *marks] if text)
    return f'<div class="astrolab-legend">{entries}</div>'


def score_table(sides: Mapping[str, pd.DataFrame], *, note: str = "") -> str:
    """Return scores side by side, one row a metric, with what a survey asks of it."""
    heads = ["", *(f"{escape(name)}<br>n = {side['n'].iloc[0]:,}" for name, side in sides.items())]
    rows = []
    for place, metric in enumerate(next(iter(sides.values())).itertuples()):
        rows.append(
            [
                escape(metric.label.replace("$R^2$", "R²")) + _limit(metric),
                *(_score_cell(s.iloc[place]) for s in sides.values()),
            ]
        )
    return _table(heads, rows, note=note)


def _limit(metric: Any) -> str:
    if not np.isfinite(metric.limit):
        return ""
    size = "|bias| &lt;" if metric.metric == "bias" else "&lt;"
    return f" <small>{metric.asked_by} asks {size} {metric.limit:g}</small>"


def _score_cell(score: pd.Series) -> str:
    text = number(score["value"], digits=4)
    if text == ABSENT:
        return ABSENT
    if np.isfinite(score["low"]):
        text += f' <small title="68 % interval">± {(score["high"] - score["low"]) / 2:.4f}</small>'
    elif score["n"] < RESAMPLED_FROM:
        text += f' <small title="too few for an interval">± {ABSENT}</small>'
    return text


def object_table(
    objects: pd.DataFrame, *, numbers: Sequence[int], order: tuple[str, bool], note: str = "", on_sky: bool = False
) -> str:
    """Return objects as a table, with the units of their columns; explorer.js sorts it, and lights their `numbers`."""
    short = {"truth": "true", "pred": "predicted", "pred_other": "the other model"}
    names, mark = list(map(str, objects)), {order[0]: " ▼" if order[1] else " ▲"}
    labels = {name: escape(short.get(name, column_label(name))) + mark.get(name, "") for name in names}
    heads = [f'<button data-sort="{escape(name)}">{label}</button>' for name, label in labels.items()]
    rows = [[_cell(v, name=n) for v, n in zip(one, names, strict=True)] for one in objects.itertuples(index=False)]
    for row, ra, dec in zip(rows, objects["ra"], objects["dec"], strict=True) if on_sky else ():
        link = f'<a href="{SKY.format(ra=ra, dec=dec)}" target="_blank">'
        row[1:3] = [f"{link}{cell}</a>" for cell in row[1:3]]
    table = _table(heads, rows, note=note, numbers=numbers)
    return f'<div class="astrolab-scroll" role="region" aria-label="Objects">{table}</div>'


def _cell(value: object, *, name: str) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else ""
    if isinstance(value, float | np.floating):
        return number(value, digits=5 if column_unit(name) == "deg" else 3)
    return escape(str(value))


def plain_table(table: pd.DataFrame, *, note: str = "") -> str:
    """Return a table of text; the first column names the rows."""
    rows = [list(map(escape, values)) for values in table.itertuples(index=False)]
    return _table([escape(str(name)) for name in table], rows, note=note)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, note: str, numbers: Sequence[int] = ()) -> str:
    caption = f"<caption>{escape(note)}</caption>" if note else ""
    head = "".join(f'<th scope="col">{text}</th>' for text in heads)
    filled = [(first, "".join(f"<td>{cell}</td>" for cell in cells)) for first, *cells in rows]
    marks = [f' data-row="{k}" tabindex="{-1 if place else 0}"' for place, k in enumerate(numbers)] or [""] * len(rows)
    both = zip(marks, filled, strict=True)
    body = "".join(f'<tr{mark}><th scope="row">{first}</th>{cells}</tr>' for mark, (first, cells) in both)
    return f'<table class="astrolab">{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def marked_picture(source: str, *, alt: str, spans: Sequence[tuple[float, float, float, float]], at: float) -> str:
    """Return a picture with a vertical mark in each of its panels."""
    marks = [
        f'<div style="position:absolute;left:{100 * (left + at * (right - left)):.2f}%;top:{100 * top:.2f}%;'
        f'height:{100 * (bottom - top):.2f}%;border-left:2px dashed #000000"></div>'
        for left, right, top, bottom in spans
    ]
    image = f'<img src="{source}" alt="{escape(alt, quote=True)}" style="display:block;max-width:100%">'
    return f'<div style="position:relative;display:inline-block">{image}{"".join(marks)}</div>'


def object_pictures(objects: pd.DataFrame, *, surveys: Sequence[Survey], stretch: float = 1.0) -> list[dict[str, str]]:
    """Return pictures of each object by what they show, as sources of ``img`` elements: cut-outs, or spectra."""
    ids = objects["object_id"].to_numpy()
    if picture_input(surveys[0])[0] == "spectrum":
        panels = [read_spectra(survey, object_ids=ids) for survey in surveys]
        return [{"Spectrum": spectrum_source(panels, row=row)} for row in range(len(ids))]
    stamps, channels = read_stamps(surveys[0], object_ids=ids)
    return [_cut_out(stamp, channels=channels, stretch=stretch) for stamp in stamps]


def object_cards(
    objects: pd.DataFrame, *, surveys: Sequence[Survey], order: str = "outliers first", stretch: float = 1.0
) -> str:
    """Return pictures of objects with their ids, truths and predictions below."""
    kind, name = picture_input(surveys[0])
    pictures, spec = object_pictures(objects, surveys=surveys, stretch=stretch), surveys[0].specs[name]
    what, below = "Spectra", ["as the model sees it"][: len(surveys) - 1]
    if kind == "image":
        what, below = "Cut-outs", spec.channels if pictures and len(pictures[0]) > 1 else ()
    note = f"{what}, {order} (outliers framed)" + (f"; below each: {', '.join(below)}" if below else "")
    cards = []
    for shown, (_, one) in zip(pictures, objects.iterrows(), strict=True):
        caption = [str(one["object_id"]), answer(one)]
        caption += [f"other → {number(one['pred_other'], digits=3)}"] if "pred_other" in one else []
        cards.append((shown, caption, bool(one["is_outlier"])))
    return picture_cards(cards, note=note, numbers=objects.index)


def _cut_out(stamp: np.ndarray, *, channels: Sequence[str], stretch: float) -> dict[str, str]:
    bands = band_pictures(stamp, channels=channels)
    below = {"Single bands": image_source(np.concatenate(list(bands), axis=1))} if len(bands) else {}
    return {"Cut-out": image_source(colour_picture(stamp, channels=channels, stretch=stretch)), **below}


def answer(one: pd.Series, *, column: str = "pred") -> str:
    """Return the truth of an object and what a model makes of it."""
    is_error = str(one["label"]).startswith("error.")  # there is no truth beside it
    return ("" if is_error else f"{number(one['truth'], digits=3)} → ") + number(one[column], digits=3)


def picture_cards(
    cards: Sequence[tuple[Mapping[str, str], Sequence[str], bool]], *, note: str = "", numbers: Iterable[int] = count()
) -> str:
    """Return objects beside each other: pictures, by what each shows, the lines of a caption, whether it is framed."""
    figures = []
    for k, (pictures, caption, is_framed) in zip(numbers, cards, strict=False):
        of = escape(f" of {', '.join(caption)}", quote=True)
        images = "".join(f'<img src="{source}" alt="{escape(what)}{of}">' for what, source in pictures.items())
        frame = ' class="framed"' if is_framed else ""
        below = "<br>".join(map(escape, caption))
        figures.append(f'<figure{frame} data-row="{k}" tabindex="0">{images}<figcaption>{below}</figcaption></figure>')
    return f'{text_note(note)}<div class="astrolab-cards">{"".join(figures)}</div>'


def large_picture(colour: np.ndarray, *, bands: Mapping[str, np.ndarray]) -> str:
    """Return one galaxy, large and in colour, and below it each band with its name."""
    small = "".join(
        f'<figure><img src="{image_source(pixels)}" alt="{escape(name, quote=True)}">'
        f"<figcaption>{escape(name)}</figcaption></figure>"
        for name, pixels in bands.items()
    )
    large = f'<img class="large" src="{image_source(colour)}" alt="The galaxy in colour">'
    return f'<div class="astrolab-large">{large}<div class="bands">{small}</div></div>'


def image_source(pixels: np.ndarray) -> str:
    """Return an image as text that an ``img`` element shows."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, format="PNG", compress_level=1)
    return as_source(file.getvalue(), kind="png")


def figure_png(figure: Figure, *, dpi: int = STATIC_DPI) -> bytes:
    """Return a figure as a PNG of just its size, laid out as it was when it was drawn: once more takes as long."""
    file = io.BytesIO()
    figure.set_layout_engine("none")
    figure.savefig(file, format="png", dpi=dpi, bbox_inches=None)
    return file.getvalue()


def as_source(content: bytes, *, kind: str) -> str:
    """Return a file as text that an ``img`` element shows."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def spectrum_source(panels: Sequence[Spectra], *, row: int) -> str:
    """Return one object's spectra below each other as text that an ``img`` element shows, with words where large."""
    drawn = "".join(_panel(one, row=row, top=PANEL[1] * number) for number, one in enumerate(panels))
    drawing = SPECTRUM.substitute(width=PANEL[0], height=PANEL[1] * len(panels), panels=drawn)
    return as_source(drawing.encode(), kind="svg+xml")


def _panel(spectra: Spectra, *, row: int, top: int) -> str:
    left, right, bottom, above = 440, PANEL[0] - 60, top + PANEL[1] - 300, top + 420
    (first, last), (low, high) = spectra.ends, spectra.shown(row)

    def x(wave: Any) -> Any:
        return np.rint(left + (right - left) * (wave - first) / (last - first)).astype(int)

    def y(flux: Any) -> Any:
        return np.rint(bottom - (bottom - above) * np.clip((flux - low) / (high - low), 0, 1)).astype(int)

    known = np.flatnonzero(np.isfinite(spectra.flux[row]))
    wave, flux, sigma = (one[row][known] for one in (spectra.wave, spectra.flux, np.nan_to_num(spectra.sigma)))
    points = list(zip(np.diff(known, prepend=-2), x(wave), y(flux), y(flux - sigma), y(flux + sigma), strict=True))
    paths = {"mark": "".join(f"M{x(one)} {above}V{bottom}" for waves in spectra.lines.values() for one in waves)}
    paths["band"] = "".join(f"M{a} {ends[0]}V{ends[1]}" for _, a, _, *ends in points)
    paths["line"] = "".join(f"{'M' if step > 1 else 'L'}{a} {b}" for step, a, b, *_ in points)
    paths["axis"] = f"M{left} {above}V{bottom}H{right}"
    words = [("start", left, top + 120, f"flux{' ± σ' * bool(sigma.any())} against {spectra.axis}")]
    locate = partial(MaxNLocator, steps=[1, 2, 5, 10])
    along, up = locate(8).tick_values(first, last), locate(4).tick_values(low, high)
    words += [("", x(tick), bottom + 140, f"{tick:g}") for tick in along if first <= tick <= last]
    words += [("end", left - 40, y(tick) + 40, f"{tick:g}") for tick in up if low <= tick <= high]
    for number, (label, (at, place, _)) in enumerate(spectra.labels(letter=65 / (right - left)).items()):
        words.append(("main" if number < 3 else "", x(at), above - 50 - 130 * place, label))
    drawn = [f'<path class="{name}" d="{d}"/>' for name, d in paths.items()]
    return "".join(drawn + ['<text class="{}" x="{}" y="{}">{}</text>'.format(*one) for one in words])
