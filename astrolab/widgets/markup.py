"""Pieces of HTML that the explorers show: scores, galaxies, pictures, legends. Text in, markup out."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from astrolab.exploring import RESAMPLED_FROM, column_label, column_unit

DASH = "–"


def text_note(text: str) -> str:
    """Return a remark in small print."""
    lines = "<br>".join(map(escape, text.splitlines()))
    return f'<div class="astrolab-note">{lines}</div>'


def title_line(text: str) -> str:
    """Return the headline of an explorer."""
    return f'<div class="astrolab-title" role="heading" aria-level="3">{escape(text)}</div>'


def legend(dots: Mapping[str, str], *, lines: Mapping[str, str] | None = None) -> str:
    """Return what colours of points and lines mean."""
    entries = [f'<span><i style="background:{colour}"></i>{escape(text)}</span>' for text, colour in dots.items()]
    entries += [
        f'<span><i class="line" style="border-color:{colour}"></i>{escape(text)}</span>'
        for text, colour in (lines or {}).items()
    ]
    return f'<div class="astrolab-legend">{"".join(entries)}</div>'


def score_table(sides: Mapping[str, pd.DataFrame], *, note: str = "") -> str:
    """Return scores side by side, one row a metric, with the requirement of LSST where it has one."""
    heads = [f'<th scope="col">{escape(name)}<br>n = {side["n"].iloc[0]:,}</th>' for name, side in sides.items()]
    rows = []
    for number, metric in enumerate(next(iter(sides.values())).itertuples()):
        cells = [f"<td>{_score_cell(side.iloc[number])}</td>" for side in sides.values()]
        rows.append(f'<tr><th scope="row">{escape(metric.label)}{_limit(metric)}</th>{"".join(cells)}</tr>')
    caption = f"<caption>{escape(note)}</caption>" if note else ""
    return _table(caption=caption, heads=['<th scope="col"></th>', *heads], rows=rows)


def _limit(metric: Any) -> str:
    if not np.isfinite(metric.limit):
        return ""
    size = "|bias| &lt;" if metric.metric == "bias" else "&lt;"
    return f"<br><small>LSST asks {size} {metric.limit:g}</small>"


def _score_cell(score: pd.Series) -> str:
    text = number(score["value"], digits=4)
    if text == DASH:
        return DASH
    if np.isfinite(score["low"]):
        text += f' <small title="68 % interval">± {(score["high"] - score["low"]) / 2:.4f}</small>'
    elif score["n"] < RESAMPLED_FROM:
        text += f' <small title="too few galaxies for an interval">± {DASH}</small>'
    return text


def number(value: float, *, digits: int) -> str:
    """Return a number as text, with a real minus, or a dash where there is none.

    >>> number(-0.12345, digits=3), number(float("nan"), digits=3)
    ('−0.123', '–')
    """
    return f"{value:.{digits}f}".replace("-", "−") if np.isfinite(value) else DASH


def galaxy_table(galaxies: pd.DataFrame, *, note: str = "") -> str:
    """Return galaxies as a table, with the units of their columns."""
    heads = [f'<th scope="col">{escape(_head(str(name)))}</th>' for name in galaxies]
    rows = []
    for values in galaxies.itertuples(index=False):
        cells = [_cell(value, name=str(name)) for value, name in zip(values, galaxies, strict=True)]
        rows.append(f'<tr><th scope="row">{cells[0]}</th>{"".join(f"<td>{cell}</td>" for cell in cells[1:])}</tr>')
    caption = f"<caption>{escape(note)}</caption>" if note else ""
    table = _table(caption=caption, heads=heads, rows=rows)
    return f'<div class="astrolab-scroll" tabindex="0" role="region" aria-label="Galaxies">{table}</div>'


def plain_table(table: pd.DataFrame, *, note: str = "") -> str:
    """Return a table of text; the first column names the rows."""
    heads = [f'<th scope="col">{escape(str(name))}</th>' for name in table]
    rows = [
        f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in others)}</tr>'
        for first, *others in table.itertuples(index=False)
    ]
    caption = f"<caption>{escape(note)}</caption>" if note else ""
    return _table(caption=caption, heads=heads, rows=rows)


def marked_picture(source: str, *, alt: str, spans: Sequence[tuple[float, float, float, float]], at: float) -> str:
    """Return a picture with a vertical mark in each of its panels."""
    marks = [
        f'<div style="position:absolute;left:{100 * (left + at * (right - left)):.2f}%;top:{100 * top:.2f}%;'
        f'height:{100 * (bottom - top):.2f}%;border-left:2px dashed #000000"></div>'
        for left, right, top, bottom in spans
    ]
    image = f'<img src="{source}" alt="{escape(alt, quote=True)}" style="display:block;max-width:100%">'
    return f'<div style="position:relative;display:inline-block">{image}{"".join(marks)}</div>'


def _head(name: str) -> str:
    short = {"truth": "true", "pred": "predicted", "pred_other": "the other model"}
    return short.get(name, column_label(name))


def _cell(value: object, *, name: str) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else ""
    if isinstance(value, float | np.floating):
        digits = 5 if column_unit(name) == "deg" else 3
        return number(value, digits=digits)
    return escape(str(value))


def _table(*, caption: str, heads: Sequence[str], rows: Sequence[str]) -> str:
    return (
        f'<table class="astrolab">{caption}<thead><tr>{"".join(heads)}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


@dataclass(frozen=True, eq=False)
class Card:
    """A galaxy in pictures."""

    colour: np.ndarray
    bands: np.ndarray
    caption: Sequence[str]
    is_framed: bool = False


def picture_cards(cards: Sequence[Card], *, note: str = "") -> str:
    """Return pictures of galaxies beside each other, each with its bands below and a caption."""
    figures = []
    for card in cards:
        alt = escape(f"Cut-out of {', '.join(card.caption)}", quote=True)
        row = image_source(np.concatenate(list(card.bands), axis=1))
        frame = ' class="framed"' if card.is_framed else ""
        caption = "<br>".join(map(escape, card.caption))
        figures.append(
            f'<figure{frame}><img src="{image_source(card.colour)}" alt="{alt}">'
            f'<img src="{row}" alt="its single bands"><figcaption>{caption}</figcaption></figure>'
        )
    return f'<div class="astrolab-note">{escape(note)}</div><div class="astrolab-cards">{"".join(figures)}</div>'


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
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
