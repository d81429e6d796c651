"""The pages of a gallery: what is on them, and the folder they are written into."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from textwrap import shorten
from typing import Any

import pandas as pd

from astrolab.errors import ConfigError
from astrolab.files import write_atomically
from astrolab.gallery.entries import Picture, RunEntry, read_entry
from astrolab.runs.finding import GALLERY_MARK, find_run_folders

_TEMPLATES = Path(__file__).with_name("template")
_THUMBNAIL_PX = (720, 540)
_SITE_CONTENT = frozenset({"index.html", "style.css", "runs", GALLERY_MARK})
_DOCUMENTS = {
    "report.html": "Report: the executed notebook with its text, figures and code",
    "notebook.ipynb": "Executed notebook",
    "notebook.partial.ipynb": "Notebook as far as it came",
}


# Before all that a report says, whoever wrote it: nothing in it runs, and nothing is fetched or sent.
_AS_A_PICTURE = (
    '<!DOCTYPE html><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="'
    "default-src 'none'; img-src data:; font-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    '">\n'
)


def write_gallery(runs: str | Path | Iterable[str | Path], *, out: str | Path = "site") -> Path:
    """Write a small static site of runs: an index, and one page a run. It needs no server, no script and no network.

    Parameters
    ----------
    runs : path, or iterable of paths
        Run folders, or folders that hold them at any depth. Runs that are unfinished or damaged are shown as far as
        they can be read, and listed with what is wrong. Nothing that a run brings along can run.
    out : str or Path, optional
        Folder of the site, whose ``index.html`` is returned. An older gallery there is replaced as a whole.

    Raises
    ------
    DataNotFoundError, RunError
        If a folder of runs does not exist, or there is no run.
    ConfigError
        If `out` holds anything but an older gallery.
    """
    out = Path(out)
    folders = find_run_folders(runs)
    require_replaceable(out, folders=folders)
    entries = [read_entry(folder) for folder in folders]
    with write_atomically(out.resolve()) as site:
        pages = dict(zip(_page_names(entries), entries, strict=True))
        titles = dict(zip(pages, _titles(entries), strict=True))
        for page, entry in pages.items():
            _write_page(entry, site / page, title=titles[page])
        orders = _orders({page: entry for page, entry in pages.items() if entry.record})
        choices = {name: sorted({value for one in entries for value in one.facets[name]}) for name in entries[0].facets}
        _render("index.html.j2", path=site / "index.html", pages=pages, titles=titles, orders=orders, choices=choices)
        _render("style.css.j2", path=site / "style.css", orders=orders, choices=choices)
        listed = {"astrolab": version("astrolab"), "runs": {page: list(e.problems) for page, e in pages.items()}}
        (site / GALLERY_MARK).write_text(json.dumps(listed, indent=1), encoding="utf-8")
    return out / "index.html"


def require_replaceable(out: Path, *, folders: Iterable[Path]) -> None:
    """Refuse to write a gallery over anything but an older gallery or nothing, or over a run that it will show."""
    remedy = "Give --out a folder that does not exist yet, is empty, or is an older gallery."
    if out.exists() and not out.is_dir():
        raise ConfigError("A gallery was to be written.", received=f"{out}, which is a file", remedy=remedy)
    content = {path.name for path in out.iterdir()} if out.is_dir() else set()
    foreign = sorted(content - _SITE_CONTENT) if GALLERY_MARK in content else sorted(content)
    inside = [str(folder) for folder in folders if folder.is_relative_to(out.resolve())]
    if foreign or inside:
        named = ", ".join((foreign or inside)[:4])
        asked = "A gallery was to be written; it replaces all that is in its folder."
        received = f"{out}, which holds {named}{' …' if len(foreign or inside) > 4 else ''}"
        raise ConfigError(asked, received=received, remedy=remedy)


def listed_runs(site: str | Path) -> dict[str, list[str]]:
    """Return the page of each run that a gallery shows, and what is wrong with the run."""
    return json.loads((Path(site) / GALLERY_MARK).read_text(encoding="utf-8"))["runs"]


def _page_names(entries: Sequence[RunEntry]) -> list[str]:
    """Folder of each run's page inside the site, none of them twice."""
    names: list[str] = []
    for entry in entries:
        study, run = (re.sub(r"[^\w.-]+", "-", part).strip(".") for part in (entry.study, entry.folder.name))
        wanted = f"runs/{study}/{run}"
        candidates = [wanted, *(f"{wanted}-copy{number}" for number in range(2, len(entries) + 1))]
        names.append(next(name for name in candidates if name not in names))
    return names


def _titles(entries: Sequence[RunEntry]) -> list[str]:
    """Say what tells each run from its preset, or from the others of a study without one; else when it began."""
    said = []
    for entry in entries:
        others = [other.own for other in entries if other.study == entry.study]
        own = {n: v for n, v in entry.own.items() if entry.preset or any(one.get(n, ...) != v for one in others)}
        own |= {"seeds": seeds} if (seeds := entry.record.get("parameters", {}).get("seeds")) else {}
        words = [shorten(re.sub(r"[\[\]']", "", f"{n} {v}"), 60, placeholder=" …") for n, v in own.items()]
        said.append(" · ".join(filter(None, [entry.study, entry.preset, *words])))
    began = [f"{entry.started:%d %B %Y, %H:%M:%S}" if entry.record else entry.folder.name for entry in entries]
    return [f"{title} · {began[k]}" if said.count(title) > 1 else title for k, title in enumerate(said)]


def _orders(listed: dict[str, RunEntry]) -> dict[str, list[str]]:
    """Pages of runs in each order that a reader may choose."""
    newest = sorted(listed, key=lambda page: listed[page].record["started"], reverse=True)
    orders = {"newest first": newest, "by study": sorted(newest, key=lambda page: listed[page].study)}
    for metric in sorted({one.best[0] for one in listed.values()} - {""}):
        bad = {page: one.best[1] for page, one in listed.items() if one.best[0] == metric}
        orders[f"by {metric} of the best arm"] = sorted(newest, key=lambda page, bad=bad: bad.get(page, float("inf")))
    return orders


def _write_page(entry: RunEntry, folder: Path, *, title: str) -> None:
    folder.mkdir(parents=True)
    documents = {name: words for name, words in _DOCUMENTS.items() if (entry.folder / name).is_file()}
    tables = sorted(path.name for path in entry.folder.glob("*.csv"))
    for name in (*documents, *tables):
        shutil.copyfile(entry.folder / name, folder / name)
    if "report.html" in documents:
        (folder / "report.html").write_bytes(_AS_A_PICTURE.encode() + (entry.folder / "report.html").read_bytes())
    for picture in entry.pictures:
        (folder / "figures").mkdir(exist_ok=True)
        for path in (picture.png, picture.pdf):
            if path is not None:
                shutil.copyfile(path, folder / "figures" / path.name)
    if entry.pictures:
        _write_thumbnail(entry.pictures[0], folder / "thumbnail.png")
    _render("run.html.j2", path=folder / "index.html", title=title, entry=entry, documents=documents, tables=tables)


def _write_thumbnail(picture: Picture, path: Path) -> None:
    from PIL import Image

    with Image.open(picture.png) as image:
        small = image.convert("RGBA")
        small.thumbnail(_THUMBNAIL_PX, Image.Resampling.LANCZOS)
        on_white = Image.alpha_composite(Image.new("RGBA", small.size, "white"), small).convert("RGB")
    on_white.quantize(128).save(path, optimize=True)


def _render(template: str, *, path: Path, **content: Any) -> None:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    blanks = {"trim_blocks": True, "lstrip_blocks": True}
    loader = FileSystemLoader(_TEMPLATES)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, **blanks)
    environment.filters |= {"table": as_table, "size_px": _size_px, "duration": _duration}
    environment.filters["date"] = lambda moment: f"{moment.day} {moment:%B %Y, %H:%M}"
    environment.filters["value"] = lambda value: json.dumps(value, ensure_ascii=False, default=str)
    environment.globals["version"] = version("astrolab")
    path.write_text(environment.get_template(template).render(**content), encoding="utf-8")


def as_table(frame: pd.DataFrame) -> tuple[list[str], list[tuple[list[str], list[str]]]]:
    """Lay a table of scores out for the template: its heads, and rows of (row heads, cells)."""
    heads = [str(name) for name in (*frame.index.names, *frame.columns)]
    keys = [key if isinstance(key, tuple) else (key,) for key in frame.index]
    cells = frame.astype(object).where(frame.notna(), "–").to_numpy()
    return heads, [([str(k) for k in key], [str(c) for c in row]) for key, row in zip(keys, cells, strict=True)]


def _size_px(png: Path) -> tuple[int, int]:
    from PIL import Image

    with Image.open(png) as image:
        return image.size


def _duration(time_s: float) -> str:
    minutes = time_s / 60
    return f"{time_s:.0f} s" if minutes < 1 else f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
