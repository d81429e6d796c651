"""One file from its mirrors: continued where it broke off, proven by its hash, renamed only when whole."""

from __future__ import annotations

import errno
import json
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pooch
import requests
from tqdm.auto import tqdm

from astrolab.errors import ChecksumError, DownloadError
from astrolab.files import disk_full, remove, require_space

CHUNK_BYTES = 1 << 20
TIMEOUT_S = (10, 60)  # to connect, and between two packets
N_TRIES = 3
WAIT_S = 1.0
pooch.get_logger().setLevel(logging.WARNING)  # its advice is for people who call pooch themselves


class ResumingDownloader:
    """Download over HTTP for `pooch.retrieve`, going on with what an earlier attempt left in a ``.part`` file.

    A part is only continued if it is of the same file: the server confirms that by its validator (ETag or date,
    `RFC 9110, section 13.1.5 <https://www.rfc-editor.org/rfc/rfc9110#section-13.1.5>`_), or a known hash will.

    Parameters
    ----------
    part : Path
        Where the beginning of the file is kept between attempts.
    known_hash : str or None
        If given, a part from another mirror is continued too, since a mixture cannot go unnoticed.
    progress : bool
        Whether to show a progress bar.
    """

    def __init__(self, part: Path, *, known_hash: str | None, progress: bool = True):
        self.part, self.known_hash, self.progress = part, known_hash, progress
        self.note = part.with_name(part.name + ".json")
        self.resumed = False

    def __call__(self, url: str, output_file: str, _pooch: Any) -> None:
        """Bring the whole file to `output_file`; the signature is pooch's."""
        for n_left in reversed(range(N_TRIES)):
            n_before = self.n_bytes
            try:
                self._transfer(url)
                break
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError):
                if not n_left or self.n_bytes <= n_before:
                    raise
                time.sleep(WAIT_S)
        os.replace(self.part, output_file)
        remove(self.note)

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
            length = response.headers.get("Content-Length")
            total = offset + int(length) if length else None
            if total:
                require_space(self.part, needed_bytes=total - offset)
            self.note.write_text(json.dumps({"url": url, "validator": _validator(response)}), encoding="utf-8")
            self._write(response, offset=offset, total=total)
        if total is not None and self.n_bytes != total:
            raise requests.ConnectionError(f"the connection ended after {self.n_bytes:,} of {total:,} bytes")

    def _open(self, url: str) -> requests.Response:
        headers = {"Accept-Encoding": "identity", **self._range(url)}
        response = requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S)
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            response.close()
            self.discard()
            return self._open(url)
        response.raise_for_status()
        return response

    def _range(self, url: str) -> dict[str, str]:
        offset = self.n_bytes
        if not offset or not self.note.exists():
            return {}
        note = json.loads(self.note.read_text(encoding="utf-8"))
        if note["url"] == url and note["validator"]:
            return {"Range": f"bytes={offset}-", "If-Range": note["validator"]}
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


def download(
    urls: Sequence[str],
    *,
    target: Path,
    known_hash: str | None,
    expected_bytes: int | None = None,
    progress: bool = True,
) -> str:
    """Bring a file from the first mirror that has it whole and with the right hash.

    Parameters
    ----------
    urls : sequence of str
        The mirrors, in the order in which they are tried.
    target : Path
        The final name; a file already there with the right hash is kept.
    known_hash : str or None
        ``"sha256:…"`` or ``"md5:…"``; None takes what comes.
    expected_bytes : int, optional
        Size of the file, so that a full disk is noticed before anything is asked of a server.
    progress : bool, optional
        Whether to show a progress bar.

    Returns
    -------
    str
        The hash as ``"sha256:…"``, or `known_hash`.

    Raises
    ------
    ChecksumError
        If a mirror gave a file with another hash and no other mirror gave the right one. Nothing is left under the
        final name.
    DownloadError
        If no mirror gave the file; what arrived is kept and continued next time.
    DiskFullError
        If the file does not fit on the disk.
    """
    downloader = ResumingDownloader(target.with_name(f".{target.name}.part"), known_hash=known_hash, progress=progress)
    if expected_bytes and not target.exists():
        require_space(target, needed_bytes=expected_bytes - downloader.n_bytes)
    failures: dict[str, Exception] = {}
    for url in urls:
        try:
            _retrieve(url, target, downloader)
            return known_hash or f"sha256:{pooch.file_hash(str(target))}"
        except requests.RequestException as error:
            failures[url] = error
        except ValueError as error:  # how pooch says that the hash does not match
            failures[url] = error
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise disk_full(target) from error
    raise _failed(target, known_hash, failures)


def _retrieve(url: str, target: Path, downloader: ResumingDownloader) -> None:
    downloader.resumed = False

    def retrieve() -> None:
        pooch.retrieve(
            url, known_hash=downloader.known_hash, fname=target.name, path=target.parent, downloader=downloader
        )

    try:
        retrieve()
    except requests.RequestException:
        raise
    except ValueError:
        if not downloader.resumed:
            raise
        retrieve()  # the continued part may have been of another file: once more, from the first byte


def _failed(target: Path, known_hash: str | None, failures: dict[str, Exception]) -> ChecksumError | DownloadError:
    reasons = "\n    - ".join(["", *(f"{url}: {error}" for url, error in failures.items())])
    if any(not isinstance(error, requests.RequestException) for error in failures.values()):
        return ChecksumError(
            f"{target.name} was downloaded and its hash compared with {known_hash}.",
            received=f"another file{reasons}",
            remedy="Fetch again; if it stays so, the published file has changed: take a newer version of the survey.",
        )
    return DownloadError(
        f"{target.name} was asked for from {len(failures)} place(s).",
        received=f"no answer with the file{reasons}",
        remedy="Check the network and fetch again (what has arrived is kept), "
        f"or download it by other means into {target.parent}.",
    )
