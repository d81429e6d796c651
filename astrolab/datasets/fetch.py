"""Bring a survey's files to this machine once, prove them by their hash, and find them again."""

from __future__ import annotations

import json
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager
from itertools import chain
from pathlib import Path
from typing import Any

import pooch
from filelock import FileLock, Timeout

from astrolab.datasets.downloading import download, prove, read_note
from astrolab.datasets.manifests import FileEntry, Manifest, load_manifest
from astrolab.datasets.places import data_dir, inside
from astrolab.datasets.recognising import recognise
from astrolab.errors import AstrolabWarning, ChecksumError, CorruptFileError, DataNotFoundError
from astrolab.files import write_atomically, writing

__all__ = ["data_dir", "fetch", "find_file", "locate", "prove", "realisations", "recorded_hash", "survey_dir"]

_HASH = re.compile("sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}")
_log = logging.getLogger(__name__)


def survey_dir(manifest: Manifest) -> Path:
    """Return the folder where a survey's files are kept, one for each version; it need not exist yet."""
    return data_dir() / manifest.name / manifest.version


def fetch(
    manifest: Manifest | str,
    *,
    split: str | None = None,
    size: int | None = None,
    progress: bool = True,
    forget: bool = False,
) -> list[Path]:
    """Download a survey's files, as far as they are not here yet, and check each against its hash.

    A file whose hash its publisher does not state is trusted the first time, if it is of the manifest's format; its
    hash is then recorded in ``hashes.json`` beside it, and it is held to that until it is told to `forget`. Where
    another process fetches the same file, this one waits for it, and says so.

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
    forget : bool, optional
        Forget the hashes that were recorded on first use, and trust once more; published ones count always.

    Returns
    -------
    list of Path
        The files, in the manifest's order.

    Raises
    ------
    DataNotFoundError
        If the manifest says no address for a file that is not here.
    ChecksumError, DownloadError
        If no mirror gave the file: another one, or none of this format. Nothing is left under the final name; what
        broke off is kept and continued next time.
    DiskFullError, ConfigError
        If the file does not fit on the disk, or the data folder cannot be written to.
    """
    manifest = load_manifest(manifest)
    if manifest.recipe:
        options = {"split": split, "size": size, "progress": progress, "forget": forget}
        members = [fetch(name, **options) for name in manifest.recipe.members]
        return list(chain.from_iterable(members))
    entries = manifest.select_files(split=split, size=size)
    absent = [entry for entry in entries if not entry.urls and find_file(manifest, entry=entry) is None]
    if absent or manifest.twin:
        raise _not_found(manifest, absent, split=split, size=size)
    return [_fetch_file(manifest, entry, progress=progress, forget=forget) for entry in entries]


def locate(
    manifest: Manifest | str, *, split: str | None = None, size: int | None = None, directory: Path | None = None
) -> list[Path]:
    """Find a survey's files in `directory`, or beside the user's manifest and in the data folder, unread.

    Where one is not here, the remedy of the error is the command that brings it.
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
    """Return the folders of a simulated survey, one for each number, seed and setting made so far, oldest first."""
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
    """Find one file of a survey on this machine, under any of its names; None if it is not here."""
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


def _fetch_file(manifest: Manifest, entry: FileEntry, *, progress: bool, forget: bool) -> Path:
    here = find_file(manifest, entry=entry)
    if here is not None and (not entry.urls or _is_users_own(manifest, here)):
        prove(here, known_hash=entry.known_hash)
        return here
    target = here or inside(survey_dir(manifest), path=entry.path)
    if not forget and _was_proven(manifest, entry, target, entry.known_hash or recorded_hash(manifest, entry=entry)):
        return target  # nothing is written, so that a folder of a cluster may be read-only
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with _held(target):
            known_hash = entry.known_hash or (None if forget else recorded_hash(manifest, entry=entry))
            if not _is_good(manifest, entry, target, known_hash):
                _download(manifest, entry, target, known_hash, progress=progress)
    return target


def _is_users_own(manifest: Manifest, path: Path) -> bool:
    return manifest.folder is not None and path.is_relative_to(manifest.folder)


def _held(target: Path) -> AbstractContextManager:
    """Hold the lock of a file, which ends with the process that holds it."""
    lock = FileLock(target.with_name(f".{target.name}.lock"))
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        _log.warning("%s is being fetched by another process; waiting for it (%s)", target.name, lock.lock_file)
        return lock.acquire()


def _was_proven(manifest: Manifest, entry: FileEntry, path: Path, known_hash: str | None) -> bool:
    """Whether this file was proven before, by size and date: hashing 17 GB takes a minute."""
    if known_hash is None or not path.is_file():
        return False
    return _records(manifest).get(entry.path) == _stamp(path, known_hash)


def _is_good(manifest: Manifest, entry: FileEntry, path: Path, known_hash: str | None) -> bool:
    """Whether a file is here that was proven before, or is now."""
    if not path.is_file():
        return False
    if _was_proven(manifest, entry, path, known_hash):
        return True
    try:
        recognise(path, manifest=manifest, entry=entry)
        prove(path, known_hash=known_hash)
    except (CorruptFileError, ChecksumError):
        return False
    _record(manifest, entry, path, known_hash)
    return True


def _download(manifest: Manifest, entry: FileEntry, target: Path, known_hash: str | None, *, progress: bool) -> None:
    recorded = known_hash is not None and not entry.known_hash
    again = f"astrolab data fetch {manifest.name} --forget   (the hash was only recorded when it was first fetched)"
    download(
        entry.urls,
        target=target,
        known_hash=known_hash,
        recognise=lambda part: recognise(part, manifest=manifest, entry=entry),
        expected_bytes=entry.bytes or (int(entry.about_gb * 1e9) if entry.about_gb else None),
        progress=progress,
        **({"if_other": f"If the file was published anew: {again}"} if recorded else {}),
    )
    _record(manifest, entry, target, known_hash)


def _hashes_path(manifest: Manifest) -> Path:
    return survey_dir(manifest) / "hashes.json"


def _records(manifest: Manifest) -> dict[str, Any]:
    """Return what `hashes.json` says of every file; what is torn of it is left out, and that is said."""
    path = _hashes_path(manifest)
    records = read_note(path)
    whole = {name: record for name, record in (records or {}).items() if _is_record(record)}
    if whole != records:
        warnings.warn(
            f"{path} is damaged: the hashes of some files are forgotten, and recorded again when they are fetched",
            AstrolabWarning,
            stacklevel=2,
        )
    return whole


def _is_record(record: Any) -> bool:
    return isinstance(record, dict) and _HASH.fullmatch(str(record.get("hash"))) is not None


def recorded_hash(manifest: Manifest, *, entry: FileEntry) -> str | None:
    """Return the hash that a file had when it was first fetched, ``"sha256:…"`` or ``"md5:…"``, or None."""
    return _records(manifest).get(entry.path, {}).get("hash")


def _stamp(path: Path, known_hash: str) -> dict[str, Any]:
    stat = path.stat()
    return {"hash": known_hash, "bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns}


def _record(manifest: Manifest, entry: FileEntry, path: Path, known_hash: str | None) -> None:
    if known_hash is None:
        known_hash = f"sha256:{pooch.file_hash(str(path))}"
        _log.warning(
            "%s: its publisher's hash is not known; trusted on first use, recorded as %s", path.name, known_hash
        )
    target = _hashes_path(manifest)
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_name(".hashes.json.lock")), write_atomically(target) as part:
        records = {**_records(manifest), entry.path: _stamp(path, known_hash)}
        part.write_text(json.dumps(records, indent=1, sort_keys=True), encoding="utf-8")
