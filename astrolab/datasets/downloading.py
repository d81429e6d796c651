"""One file from its mirrors: continued where it broke off, recognised and proven, renamed only when whole."""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pooch
import requests
from tqdm.auto import tqdm

from astrolab.errors import AstrolabError, ChecksumError, CorruptFileError, DownloadError
from astrolab.files import remove, require_space, write_atomically, writing

CHUNK_BYTES = 1 << 20
TIMEOUT_S = (10, 60)  # to connect, and between two packets
N_TRIES = 3
WAIT_S = 1.0
_BROKEN_OFF = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
_NO_FILE = (requests.RequestException, CorruptFileError, ChecksumError)
pooch.get_logger().setLevel(logging.WARNING)  # its advice is for people who call pooch themselves


class ResumingDownloader:
    """A file over HTTP into a ``.part`` file, going on with what an earlier attempt left there.

    A part is only continued if it is of the same file: the server confirms that by its validator (ETag or date,
    `RFC 9110, section 13.1.5 <https://www.rfc-editor.org/rfc/rfc9110#section-13.1.5>`_), or a known hash will. With
    one, a part from another mirror is continued too, since a mixture cannot go unnoticed.
    """

    def __init__(self, part: Path, *, known_hash: str | None, progress: bool = True):
        self.part, self.known_hash, self.progress = part, known_hash, progress
        self.note = part.with_name(part.name + ".json")
        self.resumed = False

    def bring(self, url: str) -> None:
        """Fill the part with the whole file, in several tries as long as each brings something."""
        self.resumed = False
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
            offset = self._offset(response)
            self.resumed |= offset > 0
            if self.part.name.endswith(".gz.part"):
                response.raw.headers.discard("Content-Encoding")  # what is stored packed is kept so
            is_packed = response.raw.headers.get("Content-Encoding", "identity") != "identity"
            length = response.headers.get("Content-Length", "")
            total = offset + int(length) if length.isdecimal() and not is_packed else None
            if total:
                require_space(self.part, needed_bytes=total - offset)
            with write_atomically(self.note) as note:
                validator = None if is_packed else _validator(response)
                note.write_text(json.dumps({"url": url, "validator": validator}), encoding="utf-8")
            self._write(response, offset=offset, total=total)
        if total is not None and self.n_bytes != total:
            raise requests.ConnectionError(f"the connection ended after {self.n_bytes:,} of {total:,} bytes")

    def _open(self, url: str) -> requests.Response:
        headers = {"Accept-Encoding": "identity", **self._range(url)}
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

    def _range(self, url: str) -> dict[str, str]:
        offset, note = self.n_bytes, read_note(self.note)
        if not offset or not note:
            return {}
        validator = note.get("validator")
        if note.get("url") == url and isinstance(validator, str) and re.fullmatch("[!-~][ -~]*", validator):
            return {"Range": f"bytes={offset}-", "If-Range": validator}
        return {"Range": f"bytes={offset}-"} if self.known_hash else {}

    def _offset(self, response: requests.Response) -> int:
        """A server that ignores the wish to go on sends the whole file with another status."""
        if response.status_code != requests.codes.partial_content:
            return 0
        offset = self.n_bytes
        if not response.headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
            self.discard()
            raise requests.ConnectionError("the server went on at another byte than asked")
        return offset

    def _write(self, response: requests.Response, *, offset: int, total: int | None) -> None:
        bar = tqdm(
            desc=self.part.name.removeprefix(".").removesuffix(".part"),
            initial=offset,
            total=total,
            unit="B",
            unit_scale=True,
            disable=not self.progress,
        )
        with bar, open(self.part, "ab" if offset else "wb") as part:
            for chunk in response.iter_content(CHUNK_BYTES):
                part.write(chunk)
                bar.update(len(chunk))


def _validator(response: requests.Response) -> str | None:
    etag = response.headers.get("ETag", "")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")


def read_note(path: Path) -> dict[str, Any] | None:
    """Return what a small JSON file of ours says: nothing where there is none, None where it is torn."""
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, OSError):
        return None
    return note if isinstance(note, dict) else None


def prove(path: Path, *, known_hash: str | None) -> None:
    """Refuse a file whose hash is not the known one, ``"sha256:…"`` or ``"md5:…"``; None accepts any file."""
    if not pooch.hashes.hash_matches(str(path), known_hash):
        algorithm = pooch.hashes.hash_algorithm(known_hash)
        raise ChecksumError(
            f"{path} was compared with its hash {known_hash}.",
            received=f"a file with {algorithm}:{pooch.file_hash(str(path), alg=algorithm)}",
            remedy="The file was changed or damaged: remove it and fetch it again.",
        )


def download(
    urls: Sequence[str],
    *,
    target: Path,
    known_hash: str | None,
    recognise: Callable[[Path], None] = lambda part: None,
    expected_bytes: int | None = None,
    progress: bool = True,
    if_other: str = "Fetch again; if it stays so, the published file has changed: take a newer version of the survey.",
) -> None:
    """Bring a file from the first mirror that has it whole, of its kind and with the right hash.

    `recognise` raises CorruptFileError for another kind of file; nothing is then left, and the next mirror is tried, as
    after a wrong hash. What broke off is kept and continued next time. `if_other` is the remedy for a wrong hash.
    """
    downloader = ResumingDownloader(target.with_name(f".{target.name}.part"), known_hash=known_hash, progress=progress)
    failures: dict[str, Exception] = {}
    with writing(target):
        if expected_bytes and not target.exists():
            require_space(target, needed_bytes=expected_bytes - downloader.n_bytes)
        for url in urls:
            try:
                return _bring(url, target, downloader, recognise)
            except _NO_FILE as error:
                failures[url] = error
    raise _failed(target, known_hash, failures, if_other)


def _bring(url: str, target: Path, downloader: ResumingDownloader, recognise: Callable[[Path], None]) -> None:
    downloader.bring(url)
    try:
        recognise(downloader.part)
        prove(downloader.part, known_hash=downloader.known_hash)
    except (CorruptFileError, ChecksumError):
        downloader.discard()
        if not downloader.resumed:
            raise
        return _bring(url, target, downloader, recognise)  # the part may have been of another file: from the first byte
    os.replace(downloader.part, target)
    remove(downloader.note)


def _failed(
    target: Path, known_hash: str | None, failures: dict[str, Exception], if_other: str
) -> ChecksumError | DownloadError:
    told = {url: error.received if isinstance(error, AstrolabError) else error for url, error in failures.items()}
    reasons = "\n    - ".join(["", *(f"{url}: {reason}" for url, reason in told.items())])
    if any(isinstance(error, ChecksumError) for error in failures.values()):
        return ChecksumError(
            f"{target.name} was downloaded and its hash compared with {known_hash}.",
            received=f"another file{reasons}",
            remedy=if_other,
        )
    return DownloadError(
        f"{target.name} was asked for from {len(failures)} place(s).",
        received=f"no answer with the file{reasons}",
        remedy="Check the network and fetch again (what has arrived is kept), or open the address in a browser: "
        f"it may ask for a login, or have moved. Then put the file into {target.parent}.",
    )
