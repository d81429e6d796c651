"""Writing files so that no half-written one ever carries a final name."""

from __future__ import annotations

import errno
import glob
import os
import platform
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from astrolab.errors import ConfigError, DiskFullError

_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)
_MACHINE = re.sub(r"\W", "", platform.node())


@contextmanager
def write_atomically(path: str | Path) -> Iterator[Path]:
    """Give a temporary path to write to, and rename it to `path` when the block succeeds.

    Parameters
    ----------
    path : str or Path
        The final name of a file or a folder; missing parent folders are made.

    Yields
    ------
    Path
        A name in the same folder (so that the rename is atomic), with the same suffix.

    Raises
    ------
    DiskFullError, ConfigError
        If the disk fills up, or the folder is read-only. Whatever was written is removed, here and for every error.

    Examples
    --------
    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "scores.csv"
    >>> with write_atomically(target) as part:
    ...     _ = part.write_text("arm,scatter")
    >>> target.read_text()
    'arm,scatter'
    """
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
            raise ConfigError(
                f"{path.name} was to be written into {path.parent}.",
                received=f"{error.strerror}: {error.filename or path}",
                remedy="Make the folder writable, or point ASTROLAB_DATA_DIR or ASTROLAB_RUNS_DIR to one that is.",
            ) from error
        raise


def _part_name(path: Path, *, process: int | str) -> str:
    return f".part-{_MACHINE}-{process}-{path.name}"


def _remove_abandoned(path: Path) -> None:
    """Remove what processes of this machine that were killed have left of the same file."""
    for part in path.parent.glob(_part_name(Path(glob.escape(path.name)), process="*")):
        process = part.name.removeprefix(f".part-{_MACHINE}-").partition("-")[0]
        if process.isdigit() and not psutil.pid_exists(int(process)):
            remove(part)


def with_ending(path: str | Path, *, ending: str, instead_of: Iterable[str] = ()) -> Path:
    """Give a file its ending; whatever else follows a dot belongs to the name, as in ``z_0.3``.

    Parameters
    ----------
    path : str or Path
    ending : str
        With its dot.
    instead_of : iterable of str
        Endings that give way, as this one does.

    Returns
    -------
    Path

    Examples
    --------
    >>> [with_ending(name, ending=".png", instead_of=[".csv"]).name for name in ("z_0.3", "z_0.3.png", "z_0.3.csv")]
    ['z_0.3.png', 'z_0.3.png', 'z_0.3.png']
    """
    path = Path(path)
    if path.suffix.lower() in {ending, *instead_of}:
        path = path.with_suffix("")
    return path.with_name(path.name + ending)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there.

    Parameters
    ----------
    path : Path
    """
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def disk_full(path: Path, *, needed_bytes: int | None = None) -> DiskFullError:
    """Build the error for a disk without room for `path`.

    Parameters
    ----------
    path : Path
    needed_bytes : int, optional
        What writing it takes, where that is known.

    Returns
    -------
    DiskFullError
    """
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    free = shutil.disk_usage(folder).free
    wanted = f", which takes {needed_bytes / 1e6:,.0f} MB," if needed_bytes else ""
    return DiskFullError(
        f"{path.name}{wanted} was to be written into {path.parent}.",
        received=f"a disk with {free / 1e6:,.0f} MB free",
        remedy="Free some space, or point ASTROLAB_DATA_DIR or ASTROLAB_RUNS_DIR to a larger disk.",
    )


def require_space(path: Path, *, needed_bytes: int) -> None:
    """Refuse, before anything is written, what would not fit on the disk.

    Parameters
    ----------
    path : Path
    needed_bytes : int

    Raises
    ------
    DiskFullError
    """
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if shutil.disk_usage(folder).free < needed_bytes:
        raise disk_full(path, needed_bytes=needed_bytes)
