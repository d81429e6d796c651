"""Check every file of a survey: is it here, is it whole, does it hold what its manifest says."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

import pandas as pd
import pooch

from astrolab.datasets.checking import Part, check, common_ids
from astrolab.datasets.fetch import find_file, locate, realisations, recorded_hash, survey_dir
from astrolab.datasets.manifests import FileEntry, Manifest, load_manifest
from astrolab.datasets.probing import in_one_line, read_or_probe
from astrolab.errors import ManifestError

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
        One row a check: `file`, `check`, `ok`, `detail`. Nothing is raised for a check that fails; what is only
        suspected is ok, and said.

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
    yield from check_files(manifest, entries=[entry for entry in manifest.files if entry.size in sizes], folder=folder)


def check_files(manifest: Manifest, *, entries: Iterable[FileEntry], folder: Path | None = None) -> Iterator[Row]:
    """Check files one by one, then those of one size against each other; `import_survey` does the same."""
    parts = []
    for entry in entries:
        part = yield from _file_rows(manifest, entry, folder)
        if part is not None:
            parts.append(part)
    for names, finding in common_ids(parts):
        yield names, "ids in common", finding is None, finding.text if finding else "none"


def _file_rows(manifest: Manifest, entry: FileEntry, folder: Path | None) -> Generator[Row, None, Part | None]:
    try:
        path = find_file(manifest, entry=entry, directory=folder)
    except ManifestError as error:
        yield entry.path, "schema", False, in_one_line(error)
        return None
    if path is None:
        yield entry.path, "present", False, f"not here; astrolab data fetch {manifest.name}"
        return None
    name = str(path.relative_to(survey_dir(manifest))) if path.is_relative_to(survey_dir(manifest)) else entry.path
    for row in _byte_checks(manifest, entry, path):
        yield name, *row
    survey, problems = read_or_probe(path, manifest=manifest)
    for problem in problems:
        yield name, "schema", False, problem
    if survey is None:
        return None
    yield name, "schema", True, repr(survey)
    part = Part(survey, manifest, entry)
    for kind, findings in check(part):
        yield from ((name, kind, "import" not in finding.stops, finding.text) for finding in findings)
        if not findings:
            yield name, kind, True, ""
    return part


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
