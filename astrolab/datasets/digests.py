"""What data is, as a digest of all that is read: computed once, and kept by the identity of the files.

A 30 GB survey is read twice, as files and as pixels, for a minute and a half (``python benchmarks/digests.py``);
afterwards its digests cost milliseconds.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from contextlib import suppress
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np

from astrolab.datasets.manifest import data_dir
from astrolab.datasets.rows import LazyRows, Rows, StackedRows, TakenRows
from astrolab.datasets.survey import Survey
from astrolab.errors import ConfigError, DiskFullError
from astrolab.files import source_digest, write_atomically

BATCH_BYTES = 1 << 26
SETTLED_NS = 2_000_000_000  # a file written more recently may change again within one tick of its clock


class Content(NamedTuple):
    """Rows read through once: a hash of each (n,), and the extremes of each channel of a stamp (n, channel)."""

    hashes: np.ndarray
    low: np.ndarray
    high: np.ndarray


def digest_rows(survey: Survey, *, input_name: str) -> str:
    """Return SHA-256 over the shape, the type and every value of one input, in the order of the objects."""
    rows = survey.inputs[input_name]
    return hashlib.sha256(f"{rows.shape} {rows.dtype}".encode() + read_content(rows).hashes.tobytes()).hexdigest()


def digest_file(path: Path, *, algorithm: str = "sha256") -> str:
    """Return the digest of every byte of a file."""
    key, settled = _key(["file", algorithm, Path(path)])
    if settled and (kept := _kept(key)):
        return str(kept["digest"])
    with Path(path).open("rb") as file:
        digest = hashlib.file_digest(file, algorithm).hexdigest()
    if settled:
        _keep(key, digest=np.array(digest))
    return digest


def read_content(rows: Rows) -> Content:
    """Read every value once; what was read from files that have not changed since is known already."""
    if isinstance(rows, TakenRows) and (4 * len(rows) >= len(rows.rows) or is_kept(rows.rows)):
        return Content(*(part[rows.numbers] for part in read_content(rows.rows)))
    if isinstance(rows, StackedRows) and all(part.dtype == rows.dtype for part in rows.parts):
        return Content(*map(np.concatenate, zip(*map(read_content, rows.parts), strict=True)))
    if not isinstance(rows, LazyRows):
        return _read(rows)
    key, settled = _key(rows)
    if settled and (kept := _kept(key)):
        return Content(**kept)
    content = _read(rows)
    if settled:
        _keep(key, **content._asdict())
    return content


def is_kept(rows: Rows) -> bool:
    """Whether the content of rows is known without reading them."""
    if isinstance(rows, TakenRows | StackedRows):
        return all(map(is_kept, rows.parts if isinstance(rows, StackedRows) else [rows.rows]))
    key, settled = _key(rows) if isinstance(rows, LazyRows) else ("", False)
    return settled and _place(key).is_file()


def _read(rows: Rows) -> Content:
    n_channels = rows.shape[1] if len(rows.shape) == 4 else int(len(rows.shape) == 2)  # a spectrum is one channel
    hashes, (low, high) = np.zeros(len(rows), dtype="S16"), np.zeros((2, len(rows), n_channels), dtype=rows.dtype)
    step = max(BATCH_BYTES // max(int(np.prod(rows.shape[1:])) * rows.dtype.itemsize, 1), 1)
    for start in range(0, len(rows), step):
        values = np.ascontiguousarray(rows[start : start + step])
        hashes[start : start + step] = [hashlib.sha256(row).digest()[:16] for row in values]
        if n_channels:
            pixels = values.reshape(len(values), n_channels, -1)
            low[start : start + step], high[start : start + step] = pixels.min(axis=2), pixels.max(axis=2)
    return Content(hashes, low, high)


def _key(value: object) -> tuple[str, bool]:
    """Name what is read and how; say whether it lies in files, all of which have been left alone for a while."""
    ages: list[int] = []
    text = json.dumps(_identity(value, ages=ages), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest(), bool(ages) and min(ages) > SETTLED_NS


def _identity(value: object, *, ages: list[int]) -> object:
    if isinstance(value, Path):
        stat = value.stat()
        ages.append(abs(time.time_ns() - stat.st_mtime_ns))
        return [os.fspath(value.resolve()), stat.st_size, stat.st_mtime_ns, stat.st_ino]
    if isinstance(value, np.ndarray):
        return [value.shape, str(value.dtype), hashlib.sha256(np.ascontiguousarray(value)).hexdigest()]
    if isinstance(value, LazyRows):
        said = {k: _identity(v, ages=ages) for k, v in vars(value).items() if not k.startswith("_")}
        return [type(value).__name__, _code(type(value).__module__), said]
    if isinstance(value, list | tuple):
        return [_identity(part, ages=ages) for part in value]
    return str(value)


@cache
def _code(module: str) -> str:
    return source_digest([Path(sys.modules[module].__file__)])


def _place(key: str) -> Path:
    return data_dir() / "digests" / f"{key}.npz-sha256"


def _kept(key: str) -> dict[str, np.ndarray] | None:
    """What was kept, if it is there and whole."""
    with suppress(OSError):
        content = _place(key).read_bytes()
        if hashlib.sha256(content[32:]).digest() == content[:32]:
            with np.load(BytesIO(content[32:])) as file:
                return {name: file[name] for name in file.files}
    return None


def _keep(key: str, **arrays: np.ndarray) -> None:
    content = BytesIO()
    np.savez(content, **arrays)
    with suppress(OSError, ConfigError, DiskFullError), write_atomically(_place(key)) as part:
        part.write_bytes(hashlib.sha256(content.getvalue()).digest() + content.getvalue())
