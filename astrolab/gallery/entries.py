"""One run folder as plain data: what the gallery shows of it, captions included, and what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from html import unescape
from pathlib import Path
from typing import Any

import pandas as pd

from astrolab.errors import AstrolabError, CorruptFileError
from astrolab.metrics import find_metric, summarise_seeds, tabulate_scores
from astrolab.parameters import (
    RUN_DIR,
    Parameter,
    list_studies,
    load_notebook,
    nearest_preset,
    read_declarations,
    read_title,
)
from astrolab.runs.record import made_under, read_record
from astrolab.runs.run import current_status
from astrolab.studies.running import failure_of, how_to_go_on
from astrolab.tasks import REDSHIFT

_UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, AstrolabError)
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
class Picture:
    """A figure of a run: its PNG, its PDF if there is one, and its caption as HTML."""

    png: Path
    pdf: Path | None
    caption: str

    @property
    def alt(self) -> str:
        """What the figure shows, in words."""
        return as_text(self.caption).removeprefix("Figure: ") or self.png.stem.replace("_", " ")


@dataclass(frozen=True)
class Setting:
    """A parameter of a run, with the default and help of its notebook where these are known."""

    name: str
    value: Any
    default: Any
    help: str
    is_changed: bool


@dataclass(frozen=True)
class RunEntry:
    """What a gallery shows of a run."""

    folder: Path
    study: str
    question: str
    record: dict[str, Any]
    problems: tuple[str, ...] = ()
    settings: tuple[Setting, ...] = ()
    scores: pd.DataFrame | None = None
    headline: pd.DataFrame | None = None
    best: tuple[str, float] = ("", float("inf"))
    preset: str = ""
    own: Mapping[str, Any] = field(default_factory=dict)
    pictures: tuple[Picture, ...] = ()

    @property
    def started(self) -> datetime | None:
        """When the run began."""
        return datetime.fromisoformat(self.record["started"]) if self.record else None

    @property
    def facets(self) -> dict[str, set[str]]:
        """What a list of runs can be filtered by."""
        surveys = {survey["name"] for survey in self.record.get("surveys", {}).values()}
        sets = {"study": {self.study}, "survey": surveys, "preset": {self.preset or "none"}}
        return sets | {"state": {"not whole" if self.problems else "whole"}}

    @property
    def made_under(self) -> str:
        """What its fits were computed with."""
        return made_under(self.record) if self.record else ""

    @property
    def sky(self) -> str:
        """Whether the objects are simulated: ``"twin"``, ``"real"``, ``"twin and real"``, or empty if not recorded."""
        simulated = {bool(survey.get("simulated")) for survey in self.record.get("surveys", {}).values()}
        return " and ".join(word for flag, word in ((True, "twin"), (False, "real")) if flag in simulated)


def read_entry(folder: Path) -> RunEntry:
    """Read a run folder as far as it can be read; whatever is wrong with it is said, not raised."""
    missing = "There is no run.json: the run stopped before it began, or is not one of astrolab's."
    try:
        record = read_record(folder)
        problems = [missing] if record is None else []
    except CorruptFileError as error:
        record, problems = None, [f"{error.received}."]
    record = record or {}
    study = str(record.get("study") or folder.parent.name)
    notebook = _best_notebook(folder, study, problems)
    parameters = record.get("parameters", {})
    titles = filter(None, (notebook, list_studies().get(study)))  # papermill may have put its error above the title
    problems += _what_is_unfinished(folder, record, notebook)
    scores, headline, best = _read_scores(folder, record, problems) or (None, None, ("", float("inf")))
    preset, own = nearest_preset(study, parameters=parameters)
    return RunEntry(
        folder=folder,
        study=study,
        question=next(filter(None, map(read_title, titles)), study),
        record=record,
        settings=_settings(parameters, read_declarations(notebook) if notebook else {}),
        scores=scores,
        headline=headline,
        best=best,
        preset=preset,
        own=own,
        pictures=_pictures(folder, notebook, problems),
        problems=tuple(problems),
    )


def _best_notebook(folder: Path, study: str, problems: list[str]) -> Path | None:
    """Return the run's own notebook if it can be read, else the one that astrolab ships for the study."""
    for own in (folder / "notebook.ipynb", folder / "notebook.partial.ipynb"):
        if own.is_file():
            try:
                read_title(own), _settings({}, read_declarations(own)), saved_figures(load_notebook(own))
                return own
            except _UNREADABLE as error:
                problems.append(f"{own.name} cannot be read: {_in_short(error)}.")
    return list_studies().get(study)


def _what_is_unfinished(folder: Path, record: Mapping[str, Any], notebook: Path | None) -> list[str]:
    if not record:
        failed = notebook and notebook.parent == folder and failure_of(notebook)
        return [f"It failed ({failed})."] if failed else []
    status = current_status(folder, record=record)
    if status in ("finished", "running"):
        return ["It is running."] * (status == "running")
    words = {"interrupted": "was interrupted", "computed": "has computed everything, but its report is missing"}
    return [f"It {words.get(status, status)}.{how_to_go_on(folder)}"]


def _settings(parameters: Mapping[str, Any], declared: Mapping[str, Parameter]) -> tuple[Setting, ...]:
    known = {name: (one.coerce(one.default), one.help) for name, one in declared.items()}
    given = [(name, value, *known.get(name, (None, ""))) for name, value in parameters.items() if name != RUN_DIR]
    return tuple(Setting(*one, one[0] not in known or one[1] != one[2]) for one in given)


def _read_scores(
    folder: Path, record: Mapping[str, Any], problems: list[str]
) -> tuple[pd.DataFrame, pd.DataFrame, tuple[str, float]] | None:
    """Return the whole table, that of one metric for the index, and this metric with how bad the best arm is in it."""
    path = folder / "scores.csv"
    if not path.is_file():
        if record and record["status"] == "finished" and record["fits"]:
            problems.append("scores.csv is missing; `astrolab.score` makes it again from predictions.parquet.")
        return None
    try:
        scores = pd.read_csv(path)
        metrics = list(scores["metric"].unique())
        headline = record.get("task", {}).get("headline", REDSHIFT.headline)
        metric = headline if headline in metrics else metrics[0]
        of_metric = scores[scores["metric"] == metric]
        one = tabulate_scores(of_metric)[metric].unstack("survey", sort=False)
        bad = summarise_seeds(of_metric).groupby("arm")["value"].agg(lambda v: find_metric(metric).badness(v).mean())
        return tabulate_scores(scores), one.rename_axis(columns=metric), (metric, bad.min())
    except (*_UNREADABLE, IndexError) as error:
        problems.append(f"scores.csv cannot be read: {_in_short(error)}.")
        return None


def _pictures(folder: Path, notebook: Path | None, problems: list[str]) -> tuple[Picture, ...]:
    saved = saved_figures(load_notebook(notebook)) if notebook else []
    pictures = []
    for png in sorted((folder / "figures").glob("*.png")):
        if not _is_image(png):
            problems.append(f"figures/{png.name} cannot be read.")
            continue
        place = next((n for n, figure in enumerate(saved) if figure.pattern.fullmatch(png.stem)), len(saved))
        figure = saved[place] if place < len(saved) else None
        pdf, caption = png.with_suffix(".pdf"), as_html(figure.caption) if figure and figure.caption else ""
        order = (not (figure and figure.is_main), place, png.stat().st_mtime_ns)  # a loop saves one after the other
        pictures.append((order, Picture(png, pdf if pdf.is_file() else None, caption)))
    return tuple(picture for _, picture in sorted(pictures, key=lambda placed: placed[0]))


def _is_image(path: Path) -> bool:
    from PIL import Image

    try:
        with Image.open(path) as image:
            image.load()
    except (OSError, SyntaxError, Image.DecompressionBombError):  # Pillow says SyntaxError of a broken PNG
        return False
    return True


def _in_short(error: BaseException) -> str:
    if isinstance(error, AstrolabError):
        return f"{error.asked.rstrip('.')}: {error.received}"
    return (str(error).splitlines() or [""])[0].rstrip(".") or type(error).__name__


@dataclass
class SavedFigure:
    """A figure that a notebook saves: the pattern of its name, its caption, and whether it is the main one."""

    pattern: re.Pattern[str]
    caption: str
    is_main: bool


def saved_figures(notebook: Mapping[str, Any]) -> list[SavedFigure]:
    """Read which figures a notebook saves, in order, with the caption below each.

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
        caption = _CAPTION.search(next((text for kind, text in cells[number + 1 :] if kind == "markdown"), ""))
        for match in _SAVED.finditer(source):
            parts = re.split(r"\{[^}]*\}", match["name"]) if match["f"] else [match["name"]]
            pattern = re.compile(".+".join(map(re.escape, parts)))
            found.append(SavedFigure(pattern, caption[0] if caption else "", main_is_next))
            main_is_next = False
    if found and not any(figure.is_main for figure in found):
        found[0].is_main = True
    return found


def as_html(markdown: str) -> str:
    """Return a caption as HTML, equations as MathML; whatever else is in it is text, for a run may be anybody's."""
    import bleach
    from nbconvert.filters import markdown2html

    from astrolab.studies.report import replace_equations

    html = markdown2html(replace_equations(markdown))
    return bleach.clean(html, tags={*_TEXT_TAGS, *_MATH_TAGS}, attributes=_ATTRIBUTES).strip()


def as_text(html: str) -> str:
    """Return what a piece of HTML says, without its tags."""
    return " ".join(unescape(_TAG.sub("", html)).split())
