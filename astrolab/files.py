"""Writing files so that no half-written one ever carries a final name."""

from __future__ import annotations

import ast
import errno
import glob
import hashlib
import os
import platform
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from mmap import ACCESS_READ, mmap
from pathlib import Path

import psutil

from astrolab.errors import ConfigError, DiskFullError

_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)
_MACHINE = re.sub(r"\W", "", platform.node())
_LABEL, _BLANK = b"sha256 of the rest: ", b"0" * 64
DIGEST_PLACE = (_LABEL + _BLANK).decode()


@contextmanager
def write_atomically(path: str | Path) -> Iterator[Path]:
    """Give a temporary path to write to, and rename it to `path` when the block succeeds."""
    path = Path(path)
    part = path.with_name(_part_name(path, process=os.getpid()))
    replaced = path.with_name(_part_name(path, process=f"{os.getpid()}-replaced"))
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path)
        try:
            yield part
            if part.is_dir() and path.is_dir():
                os.replace(path, replaced)
            os.replace(part, path)
        finally:
            remove(part)
            remove(replaced)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say what to do where the disk refuses a file: it is full, or its folder is read-only or no folder."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full(path) from error
        if error.errno in _NOT_WRITABLE:
            asked = f"{path.name} was to be written into {path.parent}."
            received = f"{error.strerror}: {error.filename or path}"
            remedy = "Make the folder writable, or point ASTROLAB_DATA_DIR or ASTROLAB_RUNS_DIR to one that is."
            raise ConfigError(asked, received=received, remedy=remedy) from error
        raise


def _part_name(path: Path, *, process: int | str) -> str:
    return f".part-{_MACHINE}-{process}-{path.name}"


def _remove_abandoned(path: Path) -> None:
    """Remove what processes of this machine that were killed have left of the same file."""
    for part in path.parent.glob(_part_name(Path(glob.escape(path.name)), process="*")):
        process = part.name.removeprefix(f".part-{_MACHINE}-").partition("-")[0]
        if process.isdigit() and not psutil.pid_exists(int(process)):
            remove(part)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_digest(path: Path) -> None:
    """Put the SHA-256 of a file into the file itself, where its writer has left `DIGEST_PLACE` for it."""
    place, _, digest = _stated_and_found(path)
    with path.open("r+b") as file:
        file.seek(place)
        file.write(digest)


def digest_fault(path: Path) -> str:
    """Say what is wrong with a file that `write_digest` has closed; nothing, if every byte is as it was written."""
    if not path.is_file():
        return "no such file"
    place, stated, found = _stated_and_found(path)
    if place < 0:
        return "a file without the digest that astrolab writes into it: damaged, or not written by this version"
    return "" if stated == found else "a damaged or edited file: its content is not that of the digest in it"


def _stated_and_found(path: Path) -> tuple[int, bytes, bytes]:
    """Where a file states its SHA-256, what it states, and the SHA-256 it has with zeros in that place."""
    if not path.stat().st_size:
        return -1, b"", b""
    with path.open("rb") as file:
        with mmap(file.fileno(), 0, access=ACCESS_READ) as content:
            place = content.find(_LABEL)
        if place < 0:
            return -1, b"", b""
        total = hashlib.sha256(file.read(place + len(_LABEL)))
        stated = file.read(len(_BLANK))
        total.update(_BLANK)
        while part := file.read(2**20):
            total.update(part)
    return place + len(_LABEL), stated, total.hexdigest().encode()


def with_ending(path: str | Path, *, ending: str, instead_of: Iterable[str] = ()) -> Path:
    """Give a file its ending, which replaces those of `instead_of`; whatever else follows a dot belongs to the name."""
    path = Path(path)
    if path.suffix.lower() in {ending, *instead_of}:
        path = path.with_suffix("")
    return path.with_name(path.name + ending)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def disk_full(path: Path, *, needed_bytes: int | None = None) -> DiskFullError:
    """Build the error for a disk without room for `path`, with what writing it takes, where that is known."""
    wanted = f", which takes {needed_bytes / 1e6:,.0f} MB," if needed_bytes else ""
    asked, received = f"{path.name}{wanted} was to be written into {path.parent}.", _free_bytes(path) / 1e6
    remedy = "Free some space, or point ASTROLAB_DATA_DIR or ASTROLAB_RUNS_DIR to a larger disk."
    return DiskFullError(asked, received=f"a disk with {received:,.0f} MB free", remedy=remedy)


def _free_bytes(path: Path) -> int:
    return shutil.disk_usage(next(parent for parent in path.absolute().parents if parent.exists())).free


def require_space(path: Path, *, needed_bytes: int) -> None:
    """Refuse, before anything is written, what would not fit on the disk."""
    if _free_bytes(path) < needed_bytes:
        raise disk_full(path, needed_bytes=needed_bytes)


def source_digest(paths: Iterable[Path]) -> str:
    """Return SHA-256 of Python files as they run, in the order given: comments, docstrings and layout do not count."""
    total = hashlib.sha256()
    for path in paths:
        tree = ast.parse(Path(path).read_bytes())
        for node in ast.walk(tree):
            if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
                node.body = node.body[1:] or [ast.Pass()]
        total.update(hashlib.sha256(ast.unparse(tree).encode()).digest())
    return total.hexdigest()


def short_names(paths: Sequence[Path]) -> dict[Path, str]:
    """Name each path by its last part, with as many parents as it takes to be the only one of its name."""
    names = {}
    for path in paths:
        others = [other.parts for other in paths if other != path]
        n = 1
        while n < len(path.parts) and any(parts[-n:] == path.parts[-n:] for parts in others):
            n += 1
        names[path] = "/".join(path.parts[-n:])
    return names
