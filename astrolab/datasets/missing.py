"""What every reader says of a file that is not there, or has not what was asked of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from astrolab.errors import DataNotFoundError, SchemaError


def require_file(path: str | Path) -> Path:
    """Give a path back if there is a file, and say so if there is none.

    Parameters
    ----------
    path : path

    Returns
    -------
    Path

    Raises
    ------
    DataNotFoundError
        Where there is no file.
    """
    path = Path(path)
    if path.is_file():
        return path
    raise DataNotFoundError(
        f"The file {path.name} was to be read.",
        received=f"no file at {path}",
        remedy="Check the path, or fetch or simulate the survey again.",
    )


def missing_key(path: str | Path, *, key: str, keys: Sequence[str]) -> SchemaError:
    """Build the error for a dataset or column that a file does not have."""
    return SchemaError(
        f"{key!r} was asked for in {Path(path).name}.",
        received="a file without it",
        available=", ".join(keys) or "nothing",
        remedy="Correct the name in the manifest, or use the file that has it.",
    )
