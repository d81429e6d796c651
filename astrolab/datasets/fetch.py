"""Bring a survey's files to this machine once, prove them by their hash, and find them again."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pooch
from filelock import FileLock, Timeout

from astrolab.datasets.downloading import download
from astrolab.datasets.manifests import FileEntry, Manifest, load_manifest
from astrolab.datasets.places import data_dir, inside
from astrolab.errors import CacheBusyError, ChecksumError, DataNotFoundError
from astrolab.files import write_atomically

__all__ = ["data_dir", "fetch", "find_file", "locate", "realisations", "recorded_hash", "survey_dir"]

LOCK_WAIT_S = 24 * 3600.0
_log = logging.getLogger(__name__)


def survey_dir(manifest: Manifest) -> Path:
    """Return the folder where a survey's files are kept, one for each version.

    Parameters
    ----------
    manifest : Manifest

    Returns
    -------
    Path
        Need not exist yet.
    """
    return data_dir() / manifest.name / manifest.version


def fetch(
    manifest: Manifest | str, *, split: str | None = None, size: int | None = None, progress: bool = True
) -> list[Path]:
    """Download a survey's files, as far as they are not here yet, and check each against its hash.

    A file whose hash its publisher does not state is trusted the first time; its hash is then recorded in
    ``hashes.json`` beside it, and it is held to that ever after.

    Parameters
    ----------
    manifest : Manifest or str
        The survey; of a recipe all members are fetched.
    split : {"train", "validation", "test"}, optional
        The published split; by default all.
    size : int, optional
        Wanted image side length (px); by default the first that the manifest lists.
    progress : bool, optional
        Whether to show progress bars.

    Returns
    -------
    list of Path
        The files, in the manifest's order.

    Raises
    ------
    DataNotFoundError
        If the manifest says no address for a file that is not here.
    ChecksumError, DownloadError, DiskFullError
        See `astrolab.datasets.downloading.download`.
    CacheBusyError
        If another process has been fetching the same file for a day.
    """
    manifest = load_manifest(manifest)
    if manifest.recipe:
        members = [fetch(name, split=split, size=size, progress=progress) for name in manifest.recipe.members]
        return list(chain.from_iterable(members))
    entries = manifest.select_files(split=split, size=size)
    absent = [entry for entry in entries if not entry.urls and find_file(manifest, entry=entry) is None]
    if absent or manifest.twin:
        raise _not_found(manifest, absent, split=split, size=size)
    return [_fetch_file(manifest, entry, progress=progress) for entry in entries]


def locate(
    manifest: Manifest | str, *, split: str | None = None, size: int | None = None, directory: Path | None = None
) -> list[Path]:
    """Find a survey's files on this machine, without looking into them.

    Parameters
    ----------
    manifest : Manifest or str
        The survey; of a recipe the files of all members.
    split : {"train", "validation", "test"}, optional
        The published split; by default all.
    size : int, optional
        Wanted image side length (px); by default the first that the manifest lists.
    directory : Path, optional
        Where to look instead of beside the user's manifest and in the data folder.

    Returns
    -------
    list of Path
        The files, in the manifest's order.

    Raises
    ------
    DataNotFoundError
        If a file is not here; the remedy is the command that brings it.
    ManifestError
        If a link leads a file out of its folder.
    """
    manifest = load_manifest(manifest)
    if manifest.recipe:
        members = [locate(name, split=split, size=size, directory=directory) for name in manifest.recipe.members]
        return list(chain.from_iterable(members))
    entries = manifest.select_files(split=split, size=size)
    found = {entry: find_file(manifest, entry=entry, directory=directory) for entry in entries}
    absent = [entry for entry, path in found.items() if path is None]
    if absent:
        raise _not_found(manifest, absent, split=split, size=size)
    return [path for path in found.values() if path is not None]


def realisations(manifest: Manifest) -> list[Path]:
    """Return the folders of a simulated survey, one for each number of galaxies, seed and setting made so far.

    Parameters
    ----------
    manifest : Manifest

    Returns
    -------
    list of Path
        The oldest first.
    """
    folders = (path for path in survey_dir(manifest).glob("n*-s*-*") if path.is_dir())
    return sorted(folders, key=lambda path: path.stat().st_mtime_ns)


def _folders(manifest: Manifest, directory: Path | None) -> Iterator[Path]:
    if directory is not None:
        yield Path(directory)
        return
    if manifest.folder is not None:
        yield manifest.folder
    yield survey_dir(manifest)


def find_file(manifest: Manifest, *, entry: FileEntry, directory: Path | None = None) -> Path | None:
    """Find one file of a survey on this machine, under any of its names.

    Parameters
    ----------
    manifest : Manifest
    entry : FileEntry
    directory : Path, optional
        Where to look instead of beside the user's manifest and in the data folder.

    Returns
    -------
    Path or None
        None if it is not here.

    Raises
    ------
    ManifestError
        If a link leads the file out of its folder.
    """
    paths = (inside(folder, path=name) for folder in _folders(manifest, directory) for name in entry.names)
    return next((path for path in paths if path.is_file()), None)


def _not_found(
    manifest: Manifest, absent: list[FileEntry], *, split: str | None, size: int | None
) -> DataNotFoundError:
    home = manifest.folder or survey_dir(manifest)
    options = (f" --split {split}" if split else "") + (f" --size {size}" if size else "")
    if manifest.twin:
        remedy = f"astrolab data simulate {manifest.name}"
    elif all(entry.urls for entry in absent):
        total = sum(entry.about_gb or 0 for entry in absent)
        remedy = f"astrolab data fetch {manifest.name}{options}" + (f"   (about {total:.1f} GB)" if total else "")
    else:
        remedy = f"Put the files into {home}, or correct their paths in the manifest."
    here = [entry.path for entry in manifest.files if entry not in absent and find_file(manifest, entry=entry)]
    return DataNotFoundError(
        f"The files of {manifest.name!r} were looked for in {home}.",
        received="not there: " + ", ".join(entry.path for entry in absent),
        available=", ".join(here),
        remedy=remedy,
    )


def _fetch_file(manifest: Manifest, entry: FileEntry, *, progress: bool) -> Path:
    here = find_file(manifest, entry=entry)
    if here is not None and (not entry.urls or _is_users_own(manifest, here)):
        prove(here, known_hash=entry.known_hash)
        return here
    target = here or inside(survey_dir(manifest), path=entry.path)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(target.with_name(f".{target.name}.lock"), timeout=LOCK_WAIT_S):
            return _prove_or_download(manifest, entry, target, progress=progress)
    except Timeout as error:
        raise CacheBusyError(
            f"{entry.path} of {manifest.name!r} was to be fetched into {target.parent}.",
            received=f"another process has held its lock for {LOCK_WAIT_S / 3600:.0f} hours",
            remedy=f"End that process, then fetch again. Lock: {error.lock_file}",
        ) from error


def _is_users_own(manifest: Manifest, path: Path) -> bool:
    return manifest.folder is not None and path.is_relative_to(manifest.folder)


def _prove_or_download(manifest: Manifest, entry: FileEntry, target: Path, *, progress: bool) -> Path:
    known_hash = entry.known_hash or recorded_hash(manifest, entry=entry)
    if target.is_file() and _is_proven(manifest, entry, target, known_hash):
        return target
    found = download(
        entry.urls, target=target, known_hash=known_hash, expected_bytes=_expected_bytes(entry), progress=progress
    )
    if known_hash is None:
        _log.warning("%s: its publisher's hash is not known; trusted on first use, recorded as %s", entry.path, found)
    _record(manifest, entry, target, found)
    return target


def _expected_bytes(entry: FileEntry) -> int | None:
    return entry.bytes or (int(entry.about_gb * 1e9) if entry.about_gb else None)


def prove(path: Path, *, known_hash: str | None) -> None:
    """Refuse a file whose hash is not the known one.

    Parameters
    ----------
    path : Path
    known_hash : str or None
        ``"sha256:…"`` or ``"md5:…"``; None accepts any file.

    Raises
    ------
    ChecksumError
    """
    if not pooch.hashes.hash_matches(str(path), known_hash):
        algorithm = pooch.hashes.hash_algorithm(known_hash)
        raise ChecksumError(
            f"{path} was compared with its hash {known_hash}.",
            received=f"a file with {algorithm}:{pooch.file_hash(str(path), alg=algorithm)}",
            remedy="The file was changed or damaged: remove it and fetch it again.",
        )


def _hashes_path(manifest: Manifest) -> Path:
    return survey_dir(manifest) / "hashes.json"


def _records(manifest: Manifest) -> dict[str, Any]:
    path = _hashes_path(manifest)
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def recorded_hash(manifest: Manifest, *, entry: FileEntry) -> str | None:
    """Return the hash that a file had when it was first fetched.

    Parameters
    ----------
    manifest : Manifest
    entry : FileEntry

    Returns
    -------
    str or None
        ``"sha256:…"`` or ``"md5:…"``; None for a file that was never fetched.
    """
    return _records(manifest).get(entry.path, {}).get("hash")


def _is_proven(manifest: Manifest, entry: FileEntry, path: Path, known_hash: str | None) -> bool:
    """Whether the file is the one whose hash was checked before, by size and date: hashing 17 GB takes a minute."""
    return known_hash is not None and _records(manifest).get(entry.path) == _stamp(path, known_hash)


def _stamp(path: Path, known_hash: str) -> dict[str, Any]:
    stat = path.stat()
    return {"hash": known_hash, "bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns}


def _record(manifest: Manifest, entry: FileEntry, path: Path, known_hash: str) -> None:
    target = _hashes_path(manifest)
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_name(".hashes.json.lock")), write_atomically(target) as part:
        records = {**_records(manifest), entry.path: _stamp(path, known_hash)}
        part.write_text(json.dumps(records, indent=1, sort_keys=True), encoding="utf-8")
