"""Read one file of a survey as its manifest says; where that fails, find everything that is wrong, not the first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from astrolab.datasets.catalogues import read_catalogue
from astrolab.datasets.loading import read_survey
from astrolab.datasets.manifests import Format, Magnitudes, Manifest
from astrolab.datasets.survey import Survey
from astrolab.errors import AstrolabError

N_NAMES_SHOWN = 30


def read_or_probe(path: Path, *, manifest: Manifest) -> tuple[Survey | None, list[str]]:
    """Read a file at its full image size; if it cannot be read, try each statement of the manifest alone.

    Problems are given in one line each; there are none where the survey was read.
    """
    try:
        return read_survey(manifest, paths=[path], image_size=manifest.entry_for(path).size), []
    except AstrolabError as error:
        return None, list(_probe(path, manifest)) or [in_one_line(error)]


def in_one_line(error: AstrolabError) -> str:
    """Return what an error says as one line of a list."""
    available = f"; available: {error.available}" if error.available else ""
    return f"{error.asked} Received: {error.received}{available}. {error.remedy}".replace("\n", " ")


def _probe(path: Path, manifest: Manifest) -> Iterator[str]:
    stored = manifest.as_stored()
    try:
        read_survey(stored, paths=[path], image_size=manifest.entry_for(path).size)
    except AstrolabError as error:
        yield in_one_line(error)
        if manifest.format and manifest.format.format == "npz":
            return  # no catalogue is read from such a file
    table = replace(
        stored,
        kind="catalogue",
        image=None,
        format=manifest.format or Format(format="hdf5"),
        files=tuple(replace(entry, size=None) for entry in manifest.files),
    )
    try:
        read_catalogue(path, manifest=table)
    except AstrolabError:
        return  # nothing of it can be read, which the line above says
    for where, column, statement in _statements(manifest):
        try:
            read_catalogue(path, manifest=replace(table, **statement))
        except AstrolabError as error:
            yield f"{where}: {_missing_column(error, column) or in_one_line(error)}"


def _statements(manifest: Manifest) -> Iterator[tuple[str, str, dict]]:
    if manifest.label:
        yield "[label]", manifest.label.column[0], {"label": manifest.label}
    if manifest.id:
        yield "[id]", manifest.id.column, {"id": manifest.id}
    if manifest.sky:
        for name, column in (("ra", manifest.sky.ra), ("dec", manifest.sky.dec)):
            yield f"[sky] {name}", column, {"columns": {name: column}}
    if manifest.magnitudes:
        for band, column in zip(manifest.magnitudes.bands, manifest.magnitudes.columns, strict=True):
            alone = Magnitudes(bands=(band,), columns=(column,), unit=manifest.magnitudes.unit)
            yield f"[magnitudes] {band}", column, {"magnitudes": alone}
    for name, column in manifest.columns.items():
        yield f"[columns] {name}", column, {"columns": {name: column}}


def _missing_column(error: AstrolabError, column: str) -> str:
    names = error.available.split(", ") if error.available else []
    if not names or column in names:
        return ""
    folded = {name.casefold(): name for name in names}
    near = get_close_matches(column.casefold(), folded, n=1, cutoff=0.5)
    guess = f"; the nearest is {folded[near[0]]!r}" if near else ""
    shown = ", ".join(names[:N_NAMES_SHOWN]) + (", …" if len(names) > N_NAMES_SHOWN else "")
    return f"the file has no column {column!r}{guess}; it has {shown}"
