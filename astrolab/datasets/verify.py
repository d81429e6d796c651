"""Check every file of a survey: is it here, is it whole, does it hold what its manifest says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pooch

from astrolab.datasets.fetch import find_file, locate, realisations, recorded_hash, survey_dir
from astrolab.datasets.manifests import FileEntry, Manifest, load_manifest
from astrolab.datasets.probing import in_one_line, read_or_probe
from astrolab.datasets.survey import Survey, check_finite
from astrolab.errors import PixelError

COLUMNS = ("file", "check", "ok", "detail")
Check = tuple[str, bool, str]
Row = tuple[str, str, bool, str]


def verify_survey(manifest: Manifest | str, *, directory: Path | None = None) -> pd.DataFrame:
    """Check a survey's files on this machine, every byte and every pixel of them.

    Parameters
    ----------
    manifest : Manifest or str
        The survey; of a recipe all members are checked, of a twin every realisation made so far.
    directory : Path, optional
        Where to look instead of beside the user's manifest and in the data folder.

    Returns
    -------
    DataFrame
        One row a check: `file`, `check`, `ok`, `detail`. Nothing is raised for a check that fails.

    Raises
    ------
    DataNotFoundError
        If no file of the survey is here.

    Examples
    --------
    ``verify_survey("galaxiesml").query("not ok")`` shows what is wrong.
    """
    manifest = load_manifest(manifest)
    if manifest.recipe:
        members = (verify_survey(name, directory=directory) for name in manifest.recipe.members)
        return pd.concat(members, ignore_index=True)
    return pd.DataFrame(_survey_rows(manifest, directory), columns=list(COLUMNS))


def _survey_rows(manifest: Manifest, directory: Path | None) -> Iterator[Row]:
    folders: list[Path | None] = [directory]
    if manifest.twin and directory is None:
        folders = list(realisations(manifest)) or [None]
    for folder in folders:
        yield from _folder_rows(manifest, folder)


def _folder_rows(manifest: Manifest, folder: Path | None) -> Iterator[Row]:
    sizes = {entry.size for entry in manifest.files if find_file(manifest, entry=entry, directory=folder)}
    if not sizes:
        locate(manifest, directory=folder)  # raises, and says how to get the files
    for size in sorted(sizes, key=lambda size: size or 0):
        surveys = {}
        for entry in (entry for entry in manifest.files if entry.size == size):
            survey = yield from _file_rows(manifest, entry, folder)
            if survey is not None:
                surveys[entry.path] = survey
        yield from _id_rows(surveys, manifest)


def _file_rows(manifest: Manifest, entry: FileEntry, folder: Path | None) -> Generator[Row, None, Survey | None]:
    path = find_file(manifest, entry=entry, directory=folder)
    if path is None:
        yield entry.path, "present", False, f"not here; astrolab data fetch {manifest.name}"
        return None
    name = str(path.relative_to(survey_dir(manifest))) if path.is_relative_to(survey_dir(manifest)) else path.name
    for check in _byte_checks(manifest, entry, path):
        yield name, *check
    survey, problems = read_or_probe(path, manifest=manifest)
    for problem in problems:
        yield name, "schema", False, problem
    if survey is not None:
        yield name, "schema", True, repr(survey)
        for check in (*value_checks(survey, manifest=manifest, entry=entry), *finite_checks(survey)):
            yield name, *check
    return survey


def _byte_checks(manifest: Manifest, entry: FileEntry, path: Path) -> Iterator[Check]:
    yield "present", True, str(path)
    n_bytes = path.stat().st_size
    expected = f", {entry.bytes:,} expected" if entry.bytes is not None else "; no size published"
    yield "size", entry.bytes in (None, n_bytes), f"{n_bytes:,} bytes{expected}"
    known_hash = entry.known_hash or recorded_hash(manifest, entry=entry)
    algorithm = pooch.hashes.hash_algorithm(known_hash)
    found = f"{algorithm}:{pooch.file_hash(str(path), alg=algorithm)}"
    origin = "published" if entry.known_hash else "recorded on first use"
    detail = f"{found}; no hash known" if known_hash is None else f"{found}, {origin}: {known_hash}"
    yield "hash", known_hash in (None, found), detail


def value_checks(survey: Survey, *, manifest: Manifest, entry: FileEntry) -> Iterator[Check]:
    """Check number, labels and ids of the galaxies of one file.

    Parameters
    ----------
    survey : Survey
        What the file was read as.
    manifest : Manifest
    entry : FileEntry
        The file.

    Yields
    ------
    check : str
    ok : bool
    detail : str
    """
    if entry.n is not None:
        yield "rows", len(survey) == entry.n, f"{len(survey):,} galaxies, {entry.n:,} expected"
    if manifest.label and manifest.label.range:
        low, high = manifest.label.range
        values = survey.labels[manifest.label.name]
        n_outside = int((~values.between(low, high)).sum())
        span = f"{manifest.label.name} from {values.min():.4g} to {values.max():.4g}"
        yield "label range", n_outside == 0, f"{span}; {n_outside:,} outside [{low:g}, {high:g}]"
    repeated = [value for value, count in Counter(survey.ids.tolist()).items() if count > 1]
    yield "ids", not repeated, _repeated_detail(repeated) if repeated else f"{len(survey):,} different ids"


def finite_checks(survey: Survey) -> Iterator[Check]:
    """Check every value of a survey's inputs, streaming from disk.

    Parameters
    ----------
    survey : Survey

    Yields
    ------
    check : str
    ok : bool
    detail : str
    """
    for name in survey.inputs:
        try:
            check_finite(survey, input_name=name)
            yield f"finite {name}", True, _input_detail(survey, name)
        except PixelError as error:
            yield f"finite {name}", False, in_one_line(error)


def _input_detail(survey: Survey, name: str) -> str:
    rows = survey.inputs[name]
    detail = f"{'×'.join(map(str, rows.shape))} {rows.dtype}"
    if name != "magnitudes":
        return detail
    missing_frac = np.isnan(rows[:]).mean(axis=0)
    return f"{detail}; missing: " + ", ".join(
        f"{band} {frac:.1%}" for band, frac in zip(survey.bands, missing_frac, strict=True)
    )


def _repeated_detail(repeated: list) -> str:
    shown = ", ".join(map(str, repeated[:5])) + (", …" if len(repeated) > 5 else "")
    return f"{len(repeated):,} ids occur more than once: {shown}"


def _id_rows(surveys: dict[str, Survey], manifest: Manifest) -> Iterator[Row]:
    for (first, one), (second, other) in combinations(surveys.items(), 2):
        name = f"{first} / {second}"
        if manifest.id is None:
            yield name, "ids in common", True, "the survey has no ids: cannot be checked"
            continue
        common = np.intersect1d(one.ids, other.ids)
        detail = _repeated_detail(common.tolist()) if len(common) else "none"
        yield name, "ids in common", not len(common), detail
