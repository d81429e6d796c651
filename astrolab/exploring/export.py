"""Galaxies of a selection as a file that other astronomers' tools read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from astrolab.errors import ConfigError
from astrolab.exploring.columns import column_unit
from astrolab.exploring.gathering import HasFolder
from astrolab.files import with_ending, write_atomically

FORMATS = {".csv": "ascii.csv", ".ecsv": "ascii.ecsv"}
DEFAULT_NAME = "selection"


def selections_folder(source: Any) -> Path:
    """Give the folder where selections of some predictions are kept."""
    if isinstance(source, HasFolder):
        return Path(source.folder) / "selections"
    if isinstance(source, str | Path) and Path(source).is_dir():
        return Path(source) / "selections"
    return Path()


def selection_file(name: str, *, folder: Path, ending: str) -> Path:
    """Give the file of a selection that somebody named.

    >>> selection_file("z_0.3", folder=Path("kept"), ending=".csv").as_posix()
    'kept/z_0.3.csv'
    """
    return with_ending(folder / (name.strip() or DEFAULT_NAME), ending=ending, instead_of=FORMATS)


def save_galaxies(galaxies: pd.DataFrame, *, path: str | Path, comment: str = "") -> Path:
    """Write galaxies as CSV, or as ECSV with units (Enhanced Character-Separated Values, APE 6)."""
    from astropy.table import Table

    path = Path(path)
    if path.suffix not in FORMATS:
        raise ConfigError(
            "A selection of galaxies was to be saved.",
            received=f"a file called {path.name}",
            available=", ".join(FORMATS),
            remedy="Let the name end in one of these.",
        )
    table = Table({str(name): _plain(galaxies[name]) for name in galaxies})
    for name in table.colnames:
        unit = column_unit(name)
        if unit:
            table[name].unit = unit
    if comment:
        table.meta["comments"] = [comment]
    with write_atomically(path) as part:
        table.write(part, format=FORMATS[path.suffix])
    return path


def _plain(column: pd.Series):
    """A numpy column that astropy can write: text for anything that is neither a number nor a truth value."""
    values = column.to_numpy()
    return values if values.dtype.kind in "iufb" else column.astype(str).to_numpy(dtype=str)
