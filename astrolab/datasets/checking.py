"""One list of checks of what a survey holds: `import_survey`, `verify_survey` and `load_survey` go through it."""

from __future__ import annotations

import copy
import logging
import re
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pooch

from astrolab.datasets import manifest as manifests
from astrolab.datasets.digests import BATCH_BYTES, Content, is_kept, read_content
from astrolab.datasets.fetching import find_file, locate, realisations, recorded_hash, survey_dir
from astrolab.datasets.manifest import FileEntry, Input, Manifest, load_manifest
from astrolab.datasets.reading import TableRows, read_file
from astrolab.datasets.rows import TakenRows
from astrolab.datasets.survey import Survey, choose
from astrolab.errors import AstrolabError, AstrolabWarning, ManifestError, SchemaError

POSSIBLE_MAG, PLAUSIBLE_MEDIAN_MAG = (-40.0, 60.0), (0.0, 40.0)
N_CODES = 20  # a catalogue has a few ways to say "not measured"; more values than these are a wrong unit
# What a finding stops; where it stops nothing, it is a warning.
NOTHING, IMPORT, EVERYWHERE = (), ("import",), ("import", "load")
Finding = tuple[str, tuple[str, ...]]
Row = tuple[str, str, bool, str]
_log = logging.getLogger(__name__)


def import_survey(path: str | Path, *, directory: str | Path | None = None) -> Manifest:
    """Check a user's survey against its manifest and, if all is well, make it known by its name.

    `path` is the manifest, a ``.toml`` file (see ``data_manifests/README.md``), `directory` where the files are, if not
    beside it. They stay there. Importing again replaces what was known under the name.

    Raises
    ------
    ManifestError
        If anything is wrong with the manifest or between it and the files; all problems are named.
    """
    path = Path(path).expanduser()
    manifest = load_manifest(path)
    folder = Path(directory).expanduser().absolute() if directory else manifest.folder
    manifest = manifest.with_changes(folder=folder)
    problems = list(_problems(manifest))
    if problems:
        raise manifests.manifest_error(str(path), problems=problems)
    manifests.register(manifest, text=path.read_text(encoding="utf-8"))
    return manifest


def _problems(manifest: Manifest) -> Iterator[str]:
    if manifest.name in manifests.shipped_manifests():
        yield f"name: {manifest.name!r} is a survey that comes with astrolab; choose another"
    for member in manifest.recipe.members if manifest.recipe else ():
        try:
            load_manifest(member)
        except AstrolabError as error:
            yield f"[recipe] members: {_in_one_line(error)}"
    far = {entry.path for entry in manifest.files if entry.urls or manifest.twin}
    for file, kind, ok, detail in _check_files(manifest, entries=manifest.files):
        if kind == "present" and not ok and file in far:
            _log.warning("%s is not here yet and was not checked", file)
        elif kind == "present" and not ok:
            yield f"{file}: no such file in {manifest.folder}"
        elif not ok:
            yield f"{file}: {detail}"
        elif kind in CHECKS and detail:
            warnings.warn(f"{file}: {detail}", AstrolabWarning, stacklevel=4)


def verify_survey(manifest: Manifest | str, *, directory: Path | None = None) -> pd.DataFrame:
    """Check a survey's files on this machine, every byte and every pixel of them.

    Of a recipe all members are checked, of a twin every realisation made so far. `directory` is where to look instead
    of beside the user's manifest and in the data folder.

    Returns
    -------
    DataFrame
        One row a check: `file`, `check`, `ok`, `detail`; ``query("not ok")`` shows what is wrong. What is only
        suspected is ok, and said.

    Raises
    ------
    DataNotFoundError
        If no file of the survey is here.
    """
    manifest = load_manifest(manifest)
    if manifest.recipe:
        members = (verify_survey(name, directory=directory) for name in manifest.recipe.members)
        return pd.concat(members, ignore_index=True)
    folders = (realisations(manifest) if manifest.twin and directory is None else None) or [directory]
    rows: list[Row] = []
    for folder in folders:
        sizes = {entry.size for entry in manifest.files if find_file(manifest, entry=entry, directory=folder)}
        if not sizes:
            locate(manifest, directory=folder)  # raises, and says how to get the files
        entries = [entry for entry in manifest.files if entry.size in sizes]
        rows += _check_files(manifest, entries=entries, folder=folder)
    return pd.DataFrame(rows, columns=["file", "check", "ok", "detail"])


def _check_files(manifest: Manifest, *, entries: Iterable[FileEntry], folder: Path | None = None) -> Iterator[Row]:
    """Check files one by one, then those of one size against each other."""
    parts = []
    for entry in entries:
        part = yield from _file_rows(manifest, entry, folder)
        if part is not None:
            parts.append(part)
    for names, finding in common_ids(parts):
        yield names, "ids in common", finding is None, finding[0] if finding else "none"


def _file_rows(manifest: Manifest, entry: FileEntry, folder: Path | None) -> Generator[Row, None, Part | None]:
    try:
        path = find_file(manifest, entry=entry, directory=folder)
    except ManifestError as error:
        yield entry.path, "schema", False, _in_one_line(error)
        return None
    if path is None:
        yield entry.path, "present", False, f"not here; astrolab data fetch {manifest.name}"
        return None
    home, n_bytes = survey_dir(manifest), path.stat().st_size
    name = str(path.relative_to(home)) if path.is_relative_to(home) else entry.path
    yield name, "present", True, str(path)
    expected = f", {entry.bytes:,} expected" if entry.bytes is not None else "; no size published"
    yield name, "size", entry.bytes in (None, n_bytes), f"{n_bytes:,} bytes{expected}"
    known_hash = entry.known_hash or recorded_hash(manifest, entry=entry)
    algorithm = pooch.hashes.hash_algorithm(known_hash)
    found = f"{algorithm}:{pooch.file_hash(str(path), alg=algorithm)}"  # read now, whatever is known of it
    origin = f", {'published' if entry.known_hash else 'recorded on first use'}: {known_hash}"
    yield name, "hash", known_hash in (None, found), found + (origin if known_hash else "; no hash known")
    try:
        survey = read_file(path, manifest=manifest, image_size=manifest.entry_for(path).size)
        if manifest.where:
            choose(survey, where=manifest.where)
    except AstrolabError as error:  # everything that is wrong, not only the first
        yield from ((name, "schema", False, text) for text in _probe(path, manifest) or [_in_one_line(error)])
        return None
    yield name, "schema", True, repr(survey)
    part = Part(survey, manifest, entry)
    for kind, of in CHECKS.items():
        yield from ((name, kind, "import" not in stops, text) for text, stops in list(of(part)) or [("", ())])
    return part


@dataclass(frozen=True)
class Part:
    """The objects of one file; where not every pixel is wanted, as many are looked at as 64 MiB hold."""

    survey: Survey
    manifest: Manifest
    entry: FileEntry
    every_pixel: bool = True


def report(parts: Sequence[Part], *, name: str) -> None:
    """Refuse what is certainly wrong with a survey, as `load_survey` does for its caller, and warn of the rest."""
    found = [(part.entry.path, *finding) for part in parts for of in CHECKS.values() for finding in of(part)]
    found += [("the files", *finding) for _, finding in common_ids(parts) if finding]
    if stopping := [f"{path}: {text}" for path, text, stops in found if "load" in stops]:
        asked = f"The survey {name!r} was loaded and its values were checked."
        remedy = "Correct the manifest, or leave these rows out of the files."
        raise SchemaError(asked, received="; ".join(stopping), remedy=remedy)
    if found:
        texts = "\n".join(f"  {path}: {text}" for path, text, _ in found)
        warnings.warn(f"Look at what {name!r} holds:\n{texts}", AstrolabWarning, stacklevel=4)


def common_ids(parts: Sequence[Part]) -> Iterator[tuple[str, Finding | None]]:
    """Compare the ids of every two files with images of one size."""
    for one, other in combinations(parts, 2):
        if one.manifest.id and one.entry.size == other.entry.size:
            common = np.intersect1d(one.survey.ids, other.survey.ids)
            text = f"[id]: {len(common):,} ids are both in {one.entry.path} and in {other.entry.path}"
            finding = (f"{text}, e.g. {common[0]}", IMPORT) if len(common) else None
            yield f"{one.entry.path} / {other.entry.path}", finding


def as_read(part: Part) -> Survey:
    """Take magnitudes that no magnitude can be as not measured, and leave out objects of which nothing is measured."""
    survey, inputs = part.survey, dict(part.survey.inputs)
    for name, rows in survey.inputs.items():
        if not (isinstance(rows, TableRows) and _are_magnitudes(survey, name)):
            continue
        columns = list(rows.columns)
        for channel, column in enumerate(columns):
            raw = np.array(column[:])
            if len(impossible := np.flatnonzero(_outside(rows.measured(raw), POSSIBLE_MAG))):
                columns[channel] = raw if raw.dtype.kind == "f" else raw.astype(np.float64)
                columns[channel][impossible] = np.nan
        if any(a is not b for a, b in zip(columns, rows.columns, strict=True)):
            inputs[name] = copy.copy(rows)
            inputs[name].columns = tuple(columns)
    survey = replace(survey, inputs=inputs)
    tables = [np.isfinite(inputs[name][:]).any(axis=1) for name, spec in survey.specs.items() if spec.may_miss]
    if part.manifest.keep_unmeasured or len(tables) < len(survey.specs) or np.any(tables, axis=0).all():
        return survey  # what has an image or a spectrum is measured
    return survey.take(np.any(tables, axis=0))


def _are_magnitudes(survey: Survey, name: str) -> bool:
    return "mag" in survey.specs[name].unit.split()


def repeated_far_out(values: np.ndarray) -> np.ndarray:
    """Find values that repeat exactly and lie as far beyond the others as those reach: they look like codes."""
    different, counts = np.unique(values[np.isfinite(values)], return_counts=True)
    repeats = counts >= max(3, 2e-4 * counts.sum())
    single = different[~repeats]
    others = single if 2 * len(single) >= len(different) else different
    if len(others) < 20:
        return different[:0]
    cut = max(0.005, 5 / len(others))  # a few codes on one side are not the range of a coarse column
    low, middle, high = np.quantile(others.astype(np.float64), [cut, 0.5, 1 - cut])
    return different[repeats & ((different < 2 * low - middle) | (different > 2 * high - middle))]


def _rows(part: Part) -> Iterator[Finding]:
    n, expected = len(part.survey), part.entry.n
    if expected not in (None, n):
        yield f"{n:,} {part.survey.objects}, {expected:,} expected by the manifest", EVERYWHERE
    if left := n - len(as_read(part)):
        text = f"no input of {left:,} of {n:,} {part.survey.objects} has a measured value"
        yield f"{text}; they are left out, unless keep_unmeasured = true", EVERYWHERE if left == n else NOTHING


def _labels(part: Part) -> Iterator[Finding]:
    for label, quantity in zip(part.manifest.labels, part.manifest.task.labels, strict=True):
        values, where = part.survey.labels[label.name].to_numpy(), f"[[label]] {label.name}"
        values = values[np.isfinite(values)]
        of = f"of {len(values):,} {part.survey.objects}"
        if not len(values):
            yield f"{where}: not one value is known", NOTHING
            continue
        if quantity.possible:
            (low, high), is_outside = quantity.possible, _outside(values, quantity.possible)
            if is_outside.any():
                text = f"{is_outside.sum():,} {of} outside what is possible, [{low:g}, {high:g}]"
                median = f"the median of all is {np.median(values):.4g}"
                yield f"{where}: {text}: {counted(values[is_outside])}; {median}", EVERYWHERE
            values = values[~is_outside]
        codes = repeated_far_out(values)
        if label.possible is None and len(codes):
            text = f"looks like 'unknown': {counted(values[np.isin(values, codes)])}"
            yield f"{where}: {text}; give these as missing, or say what is possible", IMPORT
        logarithms = [name for name in label.column if re.search(r"(ln|log).?\(?1\W*p?\W*z", name.casefold())]
        if label.name == "z" and logarithms:
            yield f"{where}: the column {logarithms[0]!r} looks like log(1 + z), not z", NOTHING


def _ids(part: Part) -> Iterator[Finding]:
    different, counts = np.unique(part.survey.ids, return_counts=True)
    if len(repeated := different[counts > 1]):
        shown = ", ".join(map(str, repeated[:5])) + (", …" if len(repeated) > 5 else "")
        yield f"{len(repeated):,} ids occur more than once: {shown}", IMPORT


def _sky(part: Part) -> Iterator[Finding]:
    if part.survey.sky_deg is None:
        return
    ra, dec = part.survey.sky_deg[np.isfinite(part.survey.sky_deg).all(axis=1)].T
    for name, values, span in (("ra", ra, (0, 360)), ("dec", dec, (-90, 90))):
        outside = values[_outside(values, span)]
        if len(outside):
            column = getattr(part.manifest.sky, name)
            text = f"{len(outside):,} values outside [{span[0]}, {span[1]}] deg: {counted(outside)}"
            yield f"[sky] {name} (column {column!r}): {text}", EVERYWHERE
    if len(ra) < 3:
        return
    if ra.max() <= 2 * np.pi and np.abs(dec).max() <= np.pi / 2:
        yield f"[sky]: no position is beyond {ra.max():.3g}, {np.abs(dec).max():.3g}: radians, not degrees?", NOTHING
    elif ra.max() <= 24 < np.ptp(dec):
        yield f"[sky]: dec spans {np.ptp(dec):.0f} deg, ra ends at {ra.max():.4g}: hours, not degrees?", NOTHING


def _tables(part: Part) -> Iterator[Finding]:
    labels = part.survey.labels.to_numpy().T
    for name, section in part.manifest.inputs.items():
        if not section.is_table:
            continue
        seen: dict[str, np.ndarray] = {}
        rows, are_magnitudes = part.survey.inputs[name], _are_magnitudes(part.survey, name)
        for channel, column, stored in zip(section.channels, section.columns, rows.columns, strict=True):
            raw = np.asarray(stored[:])
            where = f"[input.{name}] {channel} (column {column!r})"
            for text, stops in _values(raw, rows.measured(raw), section=section, are_magnitudes=are_magnitudes):
                yield f"{where}: {text}", stops
            if same := [other for other, values in seen.items() if _are_same(values, raw)]:
                yield f"{where}: holds what {same[0]} holds, in every row", IMPORT
            if any(_are_same(label, raw) for label in labels):
                yield f"{where}: holds the label, in every row", EVERYWHERE
            seen[channel] = raw


def _values(raw: np.ndarray, values: np.ndarray, *, section: Input, are_magnitudes: bool) -> Iterator[Finding]:
    measured = np.isfinite(values)
    impossible = _outside(values, POSSIBLE_MAG) & are_magnitudes
    rest = values[measured & ~impossible]
    if not measured.any():
        yield "not one value is measured", IMPORT
        return
    codes = repeated_far_out(rest)
    kept = rest[~np.isin(rest, codes)] if len(rest) else values[measured]
    n_codes = len(np.unique(raw[impossible]))
    is_other_unit = n_codes > N_CODES and impossible.sum() > 0.01 * measured.sum()
    median = float(np.median(values[measured] if is_other_unit else kept))
    if are_magnitudes and (is_other_unit or not PLAUSIBLE_MEDIAN_MAG[0] < median < PLAUSIBLE_MEDIAN_MAG[1]):
        yield f"the median is {median:.4g}, which is no magnitude; is the unit {section.unit!r} right?", EVERYWHERE
        return
    text = f"looks like 'not measured' but is not under missing = {list(section.missing)}: "
    if impossible.any():
        yield f"{text}{counted(raw[impossible])}; taken as not measured, since no magnitude can be that", IMPORT
    if len(codes):
        yield text + counted(raw[np.isin(values, codes)]), IMPORT


def _arrays(part: Part) -> Iterator[Finding]:
    for name, spec in part.survey.specs.items():
        if not spec.may_miss:
            rows = part.survey.inputs[name]
            n = BATCH_BYTES // max(int(np.prod(rows.shape[1:])) * rows.dtype.itemsize, 1)
            if not part.every_pixel and n < len(rows) and not is_kept(rows):
                rows = TakenRows(rows, numbers=np.linspace(0, len(rows) - 1, n).astype(int))
            content = read_content(rows)
            channels = [f" {channel}" for channel in spec.channels] if len(spec.axes) > 1 else [""]
            found = _pixels(content, survey=part.survey, channels=channels)
            yield from ((f"[input.{name}]{text}", stops) for text, stops in found)


def _pixels(content: Content, *, survey: Survey, channels: Sequence[str]) -> Iterator[Finding]:
    low, high, is_whole = content.low, content.high, len(content.low) == len(survey)
    of = f"of {len(low):,} {survey.objects}" + " looked at" * (not is_whole)
    finite = (np.isfinite(low) & np.isfinite(high)).all(axis=1)
    if not finite.all():
        bad = [str(survey.ids[n]) for n in np.flatnonzero(~finite)[:5]] if is_whole else []
        yield ", ".join([f": NaN or infinity in {(~finite).sum():,} {of}", *bad]), IMPORT
    empty = finite[:, None] & (low == high)
    for number, channel in enumerate(channels):
        if n := int(empty[:, number].sum()):
            text = f"every pixel of {n:,} {of} has one value: {counted(low[empty[:, number], number])}"
            yield f"{channel}: {text}", IMPORT if n == len(low) else ()
    low, high = (extremes[finite & ~empty.any(axis=1)] for extremes in (low, high))
    for extremes in (low, high):
        is_code = np.isin(extremes, np.concatenate([repeated_far_out(band) for band in extremes.T] or [[]]))
        if is_code.any():
            text = f"pixels that look like 'not measured' or off the chip in {is_code.any(axis=1).sum():,} {of}"
            yield f": {text}: {counted(extremes[is_code])}", ()
    for one, other in combinations(range(len(channels)), 2):
        if len(low) > 2 and all(_are_same(extremes[:, one], extremes[:, other]) for extremes in (low, high)):
            yield f"{channels[other]}: seems to hold the pixels of{channels[one]}", ()
    hashes = pd.Series(content.hashes[finite & ~empty.any(axis=1)])
    if is_whole and (n := int(hashes.duplicated().sum())):
        yield f": {n:,} {of} have the pixels of another, each bit of them", ()


def _doubled(part: Part) -> Iterator[Finding]:
    tables = [np.asarray(rows[:]) for rows in part.survey.inputs.values() if isinstance(rows, TableRows)]
    if tables:
        measured = np.concatenate(tables, axis=1)
        table = pd.DataFrame(measured).assign(**part.survey.labels)
        n = int((table.duplicated() & np.isfinite(measured).any(axis=1)).sum())
        if n:
            text = "rows have the measurements and the labels of another, each bit of them"
            yield f"{n:,} of {len(table):,} {text}", NOTHING


_ALL = (_rows, _labels, _ids, _sky, _tables, _arrays, _doubled)
CHECKS: dict[str, Callable[[Part], Iterator[Finding]]] = {of.__name__[1:]: of for of in _ALL}


def _outside(values: np.ndarray, span: tuple[float, float]) -> np.ndarray:
    return (values < span[0]) | (values > span[1])


def _are_same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two columns hold the same values, more than a few of them."""
    return np.array_equal(one, other, equal_nan=True) and len(np.unique(one[:N_CODES])) > 2


def counted(values: np.ndarray) -> str:
    """Name different values, the most frequent first, with how often each occurs."""
    different, counts = np.unique(values, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    shown = [f"{v:g}" if float(f"{v:g}") == v else str(v) for v in different[order[:6]]]
    words = [f"{value} ({counts[k]:,} times)" for value, k in zip(shown, order, strict=False)]
    return ", ".join(words[:5]) + (", …" if len(words) > 5 else "")


def _in_one_line(error: AstrolabError) -> str:
    available = f"; available: {error.available}" if error.available else ""
    return f"{error.asked} Received: {error.received}{available}. {error.remedy}".replace("\n", " ")


def _probe(path: Path, manifest: Manifest) -> list[str]:
    """Try each statement of a manifest alone; what is wrong with the file itself is the same for all, and said once."""
    found: dict[str, str] = {}
    bare = {"labels": (), "id": None, "sky": None, "inputs": {}, "columns": {}, "task_name": None}
    for where, statement in _statements(manifest):
        try:
            alone = manifest.with_changes(**(bare | statement))
            read_file(path, manifest=alone, image_size=manifest.entry_for(path).size)
        except AstrolabError as error:
            found.setdefault(_in_one_line(error), where)
    return [f"{where}: {text}" for text, where in found.items()]


def _statements(manifest: Manifest) -> Iterator[tuple[str, dict]]:
    for name, one in manifest.inputs.items():
        for channel, column in zip(one.channels, one.columns or (), strict=False):
            alone = one.model_copy(update={"channels": (channel,), "columns": (column,)})
            yield f"[input.{name}] {channel}", {"inputs": {name: alone}}
        if not one.is_table:
            yield f"[input.{name}]", {"inputs": {name: one}}
    for label in manifest.labels:
        yield f"[[label]] {label.name}", {"labels": (label,)}
    for section in ("id", "sky"):
        if getattr(manifest, section):
            yield f"[{section}]", {section: getattr(manifest, section)}
    for name, column in manifest.columns.items():
        yield f"[columns] {name}", {"columns": {name: column}}
