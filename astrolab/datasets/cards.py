"""Surveys in words: the table of what there is, the data card of one, and whom to thank for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pandas as pd

from astrolab.datasets.fetching import find_file, realisations, survey_dir
from astrolab.datasets.manifest import Manifest, list_manifests, load_manifest
from astrolab.errors import AstrolabError


def survey_table() -> pd.DataFrame:
    """Return `name`, `kind`, `title`, `n` and `on_disk` of each survey that can be asked for by name."""
    rows: list[tuple] = []
    for name in list_manifests():
        try:
            manifest = load_manifest(name)
            rows.append((name, _kind(manifest), manifest.title, manifest.n_objects, on_disk(manifest)))
        except AstrolabError as error:
            rows.append((name, "?", f"unusable: {type(error).__name__}", None, "?"))
    return pd.DataFrame(rows, columns=["name", "kind", "title", "n", "on_disk"]).astype({"n": "Int64"})


def _kind(manifest: Manifest) -> str:
    kind = "recipe" if manifest.recipe else " + ".join(manifest.inputs)
    return f"{kind}, simulated" if manifest.simulated else kind


def on_disk(manifest: Manifest) -> str:
    """Say how much of a survey is on this machine, e.g. ``"yes"``, ``"3 of 6 files"``, ``"2 realisations"``."""
    if manifest.recipe:
        states = [on_disk(load_manifest(name)) for name in manifest.recipe.members]
        return "no" if "no" in states else " + ".join(dict.fromkeys(states))
    if manifest.twin:
        n_made = len(realisations(manifest))
        return f"{n_made} realisation{'s' * (n_made > 1)}" if n_made else "no"
    n_here = sum(find_file(manifest, entry=entry) is not None for entry in manifest.files)
    if n_here in (0, len(manifest.files)):
        return "yes" if n_here else "no"
    return f"{n_here} of {len(manifest.files)} files"


def data_card(manifest: Manifest | str) -> str:
    """Return what one should know of a survey before using it, as text."""
    manifest = load_manifest(manifest)
    title = f"{manifest.title} ({manifest.name}, version {manifest.version})"
    lines = [f"{name:<12} {value}" for name, value in _facts(manifest) if value]
    sections = [title + "\n" + "=" * len(title), manifest.description, "\n".join(lines), *_file_lines(manifest)]
    return "\n\n".join(filter(None, sections))


def _facts(manifest: Manifest) -> Iterator[tuple[str, str]]:
    n = manifest.n_objects
    yield "kind", _kind(manifest)
    yield manifest.objects, f"{n:,}" if n is not None else "number not known before the files are read"
    yield "homepage", manifest.homepage
    yield "licence", manifest.licence
    yield "cite", ", ".join(manifest.citation.keys) + f"   (astrolab data cite {manifest.name})"
    yield from _column_facts(manifest)
    if manifest.twin:
        yield "twin of", manifest.twin.of
        yield "simulator", manifest.twin.simulator
        yield "knobs", ", ".join(f"{name} = {value!r}" for name, value in manifest.twin.knobs.items())
    if manifest.recipe:
        yield "members", ", ".join(manifest.recipe.members)
        yield "kept row", f"that of {manifest.recipe.keep}, for an object that several members have"
    yield "on disk", on_disk(manifest)
    yield "folder", "" if manifest.recipe else str(manifest.folder or survey_dir(manifest))


def _column_facts(manifest: Manifest) -> Iterator[tuple[str, str]]:
    for label, quantity in zip(manifest.labels, manifest.task.labels, strict=True):
        reach = f", from {quantity.possible[0]:g} to {quantity.possible[1]:g}" if quantity.possible else ""
        weight = f", weighted by {label.weight}" if label.weight else ""
        yield "label", f"{quantity.axis} {label.name!r} (column {' or '.join(label.column)}{reach}{weight})"
    for name, one in manifest.inputs.items():
        where = ", ".join(one.columns or one.key)
        unit = f"; {one.spec.unit}" if one.spec.unit else ""
        yield name, f"{where} (n, {', '.join(one.spec.axes)}): {', '.join(one.channels)}{unit}".replace(":;", ";")
        yield "", f"{one.scale_arcsec} arcsec/px" if one.scale_arcsec else ""
        yield "", ", ".join(f"{size} px" for size in one.sizes)
        yield "", f"missing is {', '.join(f'{v:g}' for v in one.missing)}" if one.missing else ""
        beside = ", ".join(f"{name} ({key})" for name, key in one.companions.items())
        yield "", f"with {beside}" if beside else ""
    if manifest.id:
        yield "ids", f"{manifest.id.column} ({manifest.id.scheme})"
    if manifest.sky:
        yield "sky", f"{manifest.sky.ra}, {manifest.sky.dec} (deg)"
    yield "columns", ", ".join(f"{name} = {column!r}" for name, column in manifest.columns.items())


def _file_lines(manifest: Manifest) -> Iterator[str]:
    if not manifest.files:
        return
    rows: list[tuple] = [("file", "split", "px", "n", "size", "hash")]
    for entry in manifest.files:
        n, about = f"{entry.n:,}" if entry.n else "-", f"about {entry.about_gb:g} GB" if entry.about_gb else "-"
        n_bytes = about if entry.bytes is None else f"{entry.bytes:,} bytes"
        hashed = (entry.known_hash or ("on first use" if entry.urls else "-")).split(":")[0]
        rows.append((entry.path, entry.split or "-", entry.size or "-", n, n_bytes, hashed))
    yield in_columns(rows)


def in_columns(rows: Iterable[Iterable[object]]) -> str:
    """Lay out rows of text, all of the same length, in columns."""
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    return "\n".join("  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in texts)


def cite(manifest: Manifest | str) -> str:
    """Return what to thank a survey, its members and its original with: sentences, then BibTeX, each entry once."""
    surveys = list(_all_thanked(load_manifest(manifest)))
    simulated = "The {0.objects} of {0.title!r} are simulated by astrolab; it stands for {0.twin.of!r}."
    texts = dict.fromkeys(simulated.format(one) if one.twin else one.citation.text.strip() for one in surveys)
    bibtex = "".join("\n" + one.citation.bibtex.strip() for one in surveys)
    entries = dict.fromkeys(("@" + entry).strip() for entry in bibtex.split("\n@")[1:])
    parts = [" ".join(filter(None, texts)), *entries]
    return "\n\n".join(filter(None, parts)) or f"The manifest of {surveys[0].name!r} names no work to cite."


def _all_thanked(manifest: Manifest) -> Iterator[Manifest]:
    yield manifest
    others = manifest.recipe.members if manifest.recipe else (manifest.twin.of,) if manifest.twin else ()
    for name in others:
        yield from _all_thanked(load_manifest(name))
