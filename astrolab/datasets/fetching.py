"""Bring a survey's files to this machine once, prove them by their hash, and find them again."""

from __future__ import annotations

import gzip
import json
import logging
import os
import re
import time
import warnings
import zlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import pooch
import requests
from filelock import FileLock, Timeout
from tqdm.auto import tqdm

from astrolab.datasets.digests import digest_file
from astrolab.datasets.formats import open_h5
from astrolab.datasets.manifest import FileEntry, Manifest, data_dir, load_manifest
from astrolab.datasets.rows import BEGINS
from astrolab.errors import (
    AstrolabError,
    AstrolabWarning,
    ChecksumError,
    CorruptFileError,
    DataNotFoundError,
    DownloadError,
    ManifestError,
)
from astrolab.files import remove, require_space, write_atomically, writing

_HASH = re.compile("sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}")
CHUNK_BYTES = 1 << 20
PUBLISHED_ANEW = "Fetch again; if it stays so, the published file has changed: take a newer version of the survey."
TIMEOUT_S = (10, 60)  # to connect, and between two packets
N_TRIES = 3
WAIT_S = 1.0
_BROKEN_OFF = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
pooch.get_logger().setLevel(logging.WARNING)  # its advice is for people who call pooch themselves
_log = logging.getLogger(__name__)


def survey_dir(manifest: Manifest) -> Path:
    """Return the folder where a survey's files are kept, one for each version; it need not exist yet."""
    return data_dir() / manifest.name / manifest.version


def inside(folder: Path, *, path: str) -> Path:
    """Return a survey's file inside its folder, refusing one that leads out of it through a link."""
    whole = folder / path
    if not whole.resolve().is_relative_to(folder.resolve()):
        received = f"it leads to {whole.resolve()}, outside {folder}"
        remedy = "Put the file itself there, or import the manifest with --directory set to the file's own folder."
        raise ManifestError(f"The file {path!r} of a manifest was asked for.", received=received, remedy=remedy)
    return whole


def fetch(
    manifest: Manifest | str,
    *,
    split: str | None = None,
    size: int | None = None,
    progress: bool = True,
    forget: bool = False,
) -> list[Path]:
    """Download a survey's files, as far as they are not here yet, and check each against its hash.

    Fetched are all files, or those of one published split or image size (px); of a recipe those of its members. A file
    whose hash its publisher does not state is trusted the first time, if it is of the manifest's format; its hash is
    then recorded in ``hashes.json`` beside it, and it is held to that unless `forget` is set. Where another process
    fetches the same file, this one waits for it, and says so.

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
        return [path for name in manifest.recipe.members for path in fetch(name, **options)]
    entries = manifest.select_files(split=split, size=size)
    absent = [entry for entry in entries if not entry.urls and find_file(manifest, entry=entry) is None]
    if absent or manifest.twin:
        options = (f" --split {split}" if split else "") + (f" --size {size}" if size else "")
        raise _not_found(manifest, absent, options=options)
    return [_fetch_file(manifest, entry, progress=progress, forget=forget) for entry in entries]


def locate(manifest: Manifest, *, size: int | None = None, directory: Path | None = None) -> list[Path]:
    """Find a survey's files, in `directory` or in the manifest's and the data folder, or say how to get them."""
    entries = manifest.select_files(size=size)
    found = {entry: find_file(manifest, entry=entry, directory=directory) for entry in entries}
    absent = [entry for entry, path in found.items() if path is None]
    if absent:
        raise _not_found(manifest, absent, options=f" --size {size}" if size else "")
    return [path for path in found.values() if path is not None]


def realisations(manifest: Manifest) -> list[Path]:
    """Return the folders of a simulated survey, one for each number, seed and setting made so far, oldest first."""
    folders = (path for path in survey_dir(manifest).glob("n*-s*-*") if path.is_dir())
    return sorted(folders, key=lambda path: path.stat().st_mtime_ns)


def find_file(manifest: Manifest, *, entry: FileEntry, directory: Path | None = None) -> Path | None:
    """Find one file of a survey on this machine, under any of its names; None if it is not here."""
    folders = [directory] if directory else [manifest.folder, survey_dir(manifest)]
    paths = (inside(Path(folder), path=name) for folder in folders if folder for name in entry.names)
    return next((path for path in paths if path.is_file()), None)


def _not_found(manifest: Manifest, absent: list[FileEntry], *, options: str) -> DataNotFoundError:
    home = manifest.folder or survey_dir(manifest)
    if manifest.twin:
        remedy = f"astrolab data simulate {manifest.name}"
    elif all(entry.urls for entry in absent):
        total = sum(entry.about_gb or 0 for entry in absent)
        remedy = f"astrolab data fetch {manifest.name}{options}" + (f"   (about {total:.1f} GB)" if total else "")
    else:
        remedy = f"Put the files into {home}, or correct their paths in the manifest."
    here = [entry.path for entry in manifest.files if entry not in absent and find_file(manifest, entry=entry)]
    asked = f"The files of {manifest.name!r} were looked for in {home}."
    received = "not there: " + ", ".join(entry.path for entry in absent)
    return DataNotFoundError(asked, received=received, available=", ".join(here), remedy=remedy)


def recognise(path: Path, *, manifest: Manifest, entry: FileEntry) -> None:
    """Refuse a file that cannot be what its manifest says, such as a server's page, with a CorruptFileError."""
    kind = manifest.format.format
    with path.open("rb") as file:
        size, begin = path.stat().st_size, file.read(256)
    if begin.startswith(b"\x1f\x8b"):
        begin = b""  # if it is packed, but not whole
        with suppress(OSError, EOFError, zlib.error), gzip.open(path) as file:
            begin = file.read(256)
    if not begin:
        received = f"nothing that can be read in {size:,} bytes"
    elif begin.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"<", b"{"):
        received = f"a page of text, {begin[:60].decode('ascii', 'replace')!r}"
    elif kind != "hdf5" and not begin.startswith(BEGINS.get(kind, b"")):
        received = f"a file that is not {kind.upper()}, {size:,} bytes"
    elif entry.bytes not in (None, size):
        received = f"{size:,} bytes where {entry.bytes:,} are published"
    else:
        if kind == "hdf5":
            open_h5(path).close()  # says also whether it is cut short
        return
    asked = f"{entry.path} of {manifest.name!r} was to be a {kind} file."
    raise CorruptFileError(asked, received=received, remedy=f"Delete {path} and fetch it again.")


def _fetch_file(manifest: Manifest, entry: FileEntry, *, progress: bool, forget: bool) -> Path:
    here = find_file(manifest, entry=entry)
    is_users_own = here and manifest.folder and here.is_relative_to(manifest.folder)
    if here is not None and (not entry.urls or is_users_own):
        prove(here, known_hash=entry.known_hash)
        return here
    target = here or inside(survey_dir(manifest), path=entry.path)
    known_hash = entry.known_hash or (None if forget else recorded_hash(manifest, entry=entry))
    if known_hash and target.is_file() and hash_of(target, like=known_hash) == known_hash:
        return target  # nothing is written, so that a folder of a cluster may be read-only
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with _held(target):
            known_hash = known_hash or (None if forget else recorded_hash(manifest, entry=entry))
            try:
                recognise(target, manifest=manifest, entry=entry)
                prove(target, known_hash=known_hash)
            except (FileNotFoundError, CorruptFileError, ChecksumError):
                command = f"astrolab data fetch {manifest.name} --forget"
                anew = f"If the file was published anew: {command}   (its hash was only recorded when first fetched)"
                download(
                    entry.urls,
                    target=target,
                    known_hash=known_hash,
                    recognise=lambda part: recognise(part, manifest=manifest, entry=entry),
                    expected_bytes=entry.bytes or (int(entry.about_gb * 1e9) if entry.about_gb else None),
                    progress=progress,
                    if_other=PUBLISHED_ANEW if entry.known_hash else anew,
                )
            if known_hash is None:
                _record(manifest, entry, target)
    return target


def _held(target: Path) -> AbstractContextManager:
    """Hold the lock of a file, which ends with the process that holds it."""
    lock = FileLock(target.with_name(f".{target.name}.lock"))
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        _log.warning("%s is being fetched by another process; waiting for it (%s)", target.name, lock.lock_file)
        return lock.acquire()


def _records(manifest: Manifest) -> dict[str, str]:
    """Return what `hashes.json` says of every file; what is torn of it is left out, and that is said."""
    path = survey_dir(manifest) / "hashes.json"
    records = read_note(path)
    whole = {name: one for name, one in (records or {}).items() if _HASH.fullmatch(str(one))}
    if whole != records:
        text = "the hashes of some files are forgotten, and recorded again when they are fetched"
        warnings.warn(f"{path} is damaged: {text}", AstrolabWarning, stacklevel=2)
    return whole


def recorded_hash(manifest: Manifest, *, entry: FileEntry) -> str | None:
    """Return the hash that a file had when it was first fetched, ``"sha256:…"`` or ``"md5:…"``, or None."""
    return _records(manifest).get(entry.path)


def _record(manifest: Manifest, entry: FileEntry, path: Path) -> None:
    found = hash_of(path)
    said = "%s: its publisher's hash is not known; trusted on first use, recorded as %s"
    _log.warning(said, path.name, found)
    target = survey_dir(manifest) / "hashes.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_name(".hashes.json.lock")), write_atomically(target) as part:
        records = {**_records(manifest), entry.path: found}
        part.write_text(json.dumps(records, indent=1, sort_keys=True), encoding="utf-8")


class ResumingDownloader:
    """A file over HTTP into a ``.part`` file, going on where an earlier attempt at the same file broke off."""

    def __init__(self, part: Path, *, progress: bool = True):
        self.part, self.progress = part, progress
        self.note = part.with_name(part.name + ".json")

    def bring(self, url: str) -> None:
        """Fill the part with the whole file, in several tries as long as each brings something."""
        for n_left in reversed(range(N_TRIES)):
            n_before = self.n_bytes
            try:
                return self._transfer(url)
            except _BROKEN_OFF:
                if not n_left or self.n_bytes <= n_before:
                    raise
                time.sleep(WAIT_S)

    def discard(self) -> None:
        """Forget what was downloaded so far."""
        remove(self.part)
        remove(self.note)

    @property
    def n_bytes(self) -> int:
        """How many bytes of the file are here."""
        return self.part.stat().st_size if self.part.exists() else 0

    def _transfer(self, url: str) -> None:
        with self._open(url) as response:
            # A server that ignores the wish to go on sends the whole file with another status.
            goes_on = response.status_code == requests.codes.partial_content
            offset = self.n_bytes if goes_on else 0
            if goes_on and not response.headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
                self.discard()
                raise requests.ConnectionError("the server went on at another byte than asked")
            if self.part.name.endswith(".gz.part"):
                response.raw.headers.discard("Content-Encoding")  # what is stored packed is kept so
            is_packed = response.raw.headers.get("Content-Encoding", "identity") != "identity"
            length = response.headers.get("Content-Length", "")
            total = offset + int(length) if length.isdecimal() and not is_packed else None
            if total:
                require_space(self.part, needed_bytes=total - offset)
            etag = response.headers.get("ETag", "")
            validator = etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")
            with write_atomically(self.note) as note:
                validator = None if is_packed else validator
                note.write_text(json.dumps({"url": url, "validator": validator}), encoding="utf-8")
            self._write(response, offset=offset, total=total)
        if total is not None and self.n_bytes != total:
            raise requests.ConnectionError(f"the connection ended after {self.n_bytes:,} of {total:,} bytes")

    def _open(self, url: str) -> requests.Response:
        headers, note = {"Accept-Encoding": "identity"}, read_note(self.note) or {}
        # That it is the same file the server confirms by its ETag or date (RFC 9110, section 13.1.5).
        validator = note.get("validator") if note.get("url") == url else None
        if self.n_bytes and re.fullmatch("[!-~][ -~]*", str(validator or "")):
            headers |= {"If-Range": str(validator), "Range": f"bytes={self.n_bytes}-"}
        try:
            response = requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S)
        except ValueError as error:  # an address, or one that it leads to, that is none
            raise requests.exceptions.InvalidURL(str(error)) from error
        if response.status_code == requests.codes.requested_range_not_satisfiable and self.n_bytes:
            response.close()
            self.discard()
            return self._open(url)
        response.raise_for_status()
        return response

    def _write(self, response: requests.Response, *, offset: int, total: int | None) -> None:
        name = self.part.name.removeprefix(".").removesuffix(".part")
        size = {"initial": offset, "total": total, "unit": "B", "unit_scale": True}
        where_watched = None  # to tqdm: at a terminal, and in a notebook
        bar = tqdm(desc=name, disable=where_watched if self.progress else True, **size)
        with bar, open(self.part, "ab" if offset else "wb") as part:
            for chunk in response.iter_content(CHUNK_BYTES):
                part.write(chunk)
                bar.update(len(chunk))


def read_note(path: Path) -> dict[str, Any] | None:
    """Return what a small JSON file of ours says: nothing where there is none, None where it is torn."""
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, OSError):
        return None
    return note if isinstance(note, dict) else None


def hash_of(path: Path, *, like: str | None = None) -> str:
    """Return the hash of a file, ``"sha256:…"`` or ``"md5:…"``, as another one is written."""
    algorithm = like.partition(":")[0] if like else "sha256"
    return f"{algorithm}:{digest_file(path, algorithm=algorithm)}"


def prove(path: Path, *, known_hash: str | None) -> None:
    """Refuse a file whose hash is not the known one, ``"sha256:…"`` or ``"md5:…"``; None accepts any file."""
    if known_hash and (found := hash_of(path, like=known_hash)) != known_hash:
        remedy = "The file was changed or damaged: remove it and fetch it again."
        asked = f"{path} was compared with its hash {known_hash}."
        raise ChecksumError(asked, received=f"a file with {found}", remedy=remedy)


def download(
    urls: Sequence[str],
    *,
    target: Path,
    known_hash: str | None,
    recognise: Callable[[Path], None] = lambda part: None,
    expected_bytes: int | None = None,
    progress: bool = True,
    if_other: str = PUBLISHED_ANEW,
) -> None:
    """Bring a file from the first mirror that has it whole, of its kind (says `recognise`) and with the right hash."""
    downloader = ResumingDownloader(target.with_name(f".{target.name}.part"), progress=progress)
    failures: dict[str, Exception] = {}
    with writing(target):
        if expected_bytes and not target.exists():
            require_space(target, needed_bytes=expected_bytes - downloader.n_bytes)
        for url in urls:
            try:
                downloader.bring(url)
                recognise(downloader.part)
                prove(downloader.part, known_hash=known_hash)
                os.replace(downloader.part, target)
                return remove(downloader.note)
            except (CorruptFileError, ChecksumError) as error:
                downloader.discard()
                failures[url] = error
            except requests.RequestException as error:
                failures[url] = error
    said = {url: error.received if isinstance(error, AstrolabError) else error for url, error in failures.items()}
    reasons = "\n    - ".join(["", *(f"{url}: {reason}" for url, reason in said.items())])
    if any(isinstance(error, ChecksumError) for error in failures.values()):
        asked = f"{target.name} was downloaded and its hash compared with {known_hash}."
        raise ChecksumError(asked, received=f"another file{reasons}", remedy=if_other)
    remedy = "Check the network and fetch again (what has arrived is kept), or open the address in a browser: it may "
    remedy += f"ask for a login, or have moved. Then put the file into {target.parent}."
    asked = f"{target.name} was asked for from {len(failures)} place(s)."
    raise DownloadError(asked, received=f"no answer with the file{reasons}", remedy=remedy)
