"""What a notebook says about its figures: their order, their captions, and which one is the main figure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import unescape
from typing import Any

_SAVED = re.compile(r"""save_figure\(\s*(?P<f>f?)["'](?P<name>[^"']+)["']""")
_CAPTION = re.compile(r"^\*Figures?:.*?(?=\n\s*\n|\Z)", re.MULTILINE | re.DOTALL)
_MAIN_HEADING = re.compile(r"^#+ .*\bmain figure\b", re.MULTILINE | re.IGNORECASE)
_TAG = re.compile(r"<[^>]+>")
_TEXT_TAGS = ("a", "b", "br", "code", "em", "i", "li", "ol", "p", "strong", "sub", "sup", "ul")
_MATH_TAGS = (
    *("math", "mfrac", "mi", "mn", "mo", "mover", "mpadded", "mroot", "mrow", "mspace", "msqrt", "mstyle"),
    *("msub", "msubsup", "msup", "mtable", "mtd", "mtext", "mtr", "munder", "munderover"),
)
_OF_MATH = (
    *("xmlns", "display", "displaystyle", "fence", "form", "linethickness", "lspace", "mathvariant", "maxsize"),
    *("minsize", "movablelimits", "rspace", "scriptlevel", "separator", "stretchy", "width", "accent", "columnalign"),
)
_ATTRIBUTES = {"a": ["href"], **{tag: _OF_MATH for tag in _MATH_TAGS}}


@dataclass(frozen=True)
class SavedFigure:
    """A figure that a notebook saves: the pattern of its name, its caption, and whether it is the main one."""

    pattern: re.Pattern[str]
    caption: str
    is_main: bool


def saved_figures(notebook: Mapping[str, Any]) -> list[SavedFigure]:
    """Read which figures a notebook saves, in order, with the caption that stands below each.

    The caption is the paragraph that begins with ``*Figure:`` in the next text cell; the main figure is the first one
    after a heading that says so, else the first of all.
    """
    found: list[SavedFigure] = []
    main_is_next = False
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in notebook["cells"]]
    for number, (kind, source) in enumerate(cells):
        if kind == "markdown":
            main_is_next = main_is_next or bool(_MAIN_HEADING.search(source))
            continue
        for match in _SAVED.finditer(source):
            found.append(SavedFigure(_name_pattern(match), _next_caption(cells[number + 1 :]), main_is_next))
            main_is_next = False
    if found and not any(figure.is_main for figure in found):
        found[0] = SavedFigure(found[0].pattern, found[0].caption, True)
    return found


def _name_pattern(match: re.Match[str]) -> re.Pattern[str]:
    parts = re.split(r"\{[^}]*\}", match["name"]) if match["f"] else [match["name"]]
    return re.compile(".+".join(re.escape(part) for part in parts))


def _next_caption(cells: Sequence[tuple[str, str]]) -> str:
    following = next((source for kind, source in cells if kind == "markdown"), "")
    caption = _CAPTION.search(following)
    return caption[0] if caption else ""


def as_html(markdown: str) -> str:
    """Return a caption as HTML, equations as MathML; whatever else is in it is text, for a run may be anybody's."""
    import bleach
    from nbconvert.filters import markdown2html

    from astrolab.report import replace_equations

    html = markdown2html(replace_equations(markdown))
    return bleach.clean(html, tags={*_TEXT_TAGS, *_MATH_TAGS}, attributes=_ATTRIBUTES).strip()


def as_text(html: str) -> str:
    """Return what a piece of HTML says, without its tags.

    >>> as_text("<p><em>Figure: a &amp; b.</em></p>")
    'Figure: a & b.'
    """
    return " ".join(unescape(_TAG.sub("", html)).split())
