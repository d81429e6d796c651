"""Reader of catalogues without images: CSV, FITS, Parquet and HDF5 tables, columns named by the manifest."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.io import fits

from astrolab.datasets.columns import assemble_survey
from astrolab.datasets.fits_files import fits_columns
from astrolab.datasets.hdf5 import h5_columns, open_h5
from astrolab.datasets.manifest_schema import Format, Manifest
from astrolab.datasets.missing import require_file
from astrolab.datasets.rows import ColumnRows, Rows
from astrolab.datasets.survey import Survey
from astrolab.errors import CorruptFileError

Columns = dict[str, Rows]


def read_catalogue(path: str | Path, *, manifest: Manifest) -> Survey:
    """Read the galaxies of one catalogue file; magnitudes become the input, missing ones NaN.

    Parameters
    ----------
    path : path
        A file that the manifest names.
    manifest : Manifest
        The survey; ``[format]`` says how the file is written, ``[magnitudes]`` which columns are which bands.

    Returns
    -------
    Survey
        With the input ``"magnitudes"`` (n, band).

    Raises
    ------
    DataNotFoundError, CorruptFileError
        Where there is no file, or none that can be read.
    SchemaError
        Where a column is missing, or is not what the manifest says.
    """
    path = require_file(path)
    read = _READERS[manifest.format.format]
    columns = read(path, manifest.format, manifest.id.column if manifest.id else None)
    n_rows = len(next(iter(columns.values()), ()))
    return assemble_survey(columns, manifest=manifest, path=path, n_rows=n_rows)


def _read_csv(path: Path, layout: Format, id_column: str | None) -> Columns:
    header = {"header": None, "names": list(layout.names)} if layout.names else {}
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # more columns than names would shift all of them
        try:
            table = pd.read_csv(
                path,
                sep=r"\s+" if layout.delimiter == "whitespace" else layout.delimiter,
                comment=layout.comment,
                skiprows=layout.skip_rows,
                index_col=False,
                dtype={id_column: str} if id_column else None,
                **header,
            )
        except (ValueError, pd.errors.ParserWarning) as error:
            raise _unreadable(path, layout, reason=str(error)) from error
    return _table_columns(table)


def _read_parquet(path: Path, layout: Format, id_column: str | None) -> Columns:
    try:
        table = pq.read_table(path).to_pandas()
    except (pa.ArrowInvalid, OSError) as error:
        raise _unreadable(path, layout, reason=str(error)) from error
    return _table_columns(table.reset_index() if table.index.name else table)


def _table_columns(table: pd.DataFrame) -> Columns:
    return {str(name): ColumnRows(table[name].to_numpy()) for name in table}


def _read_fits(path: Path, layout: Format, id_column: str | None) -> Columns:
    try:
        with fits.open(path, memmap=False) as hdus:
            return fits_columns(hdus, path=path, wanted=layout.table)
    except (OSError, TypeError) as error:
        raise _unreadable(path, layout, reason=str(error)) from error


def _read_hdf5(path: Path, layout: Format, id_column: str | None) -> Columns:
    with open_h5(path) as file:
        return h5_columns(path, file=file, group=layout.table)


_READERS: dict[str, Callable[[Path, Format, str | None], Columns]] = {
    "csv": _read_csv,
    "parquet": _read_parquet,
    "fits": _read_fits,
    "hdf5": _read_hdf5,
}


def _unreadable(path: Path, layout: Format, *, reason: str) -> CorruptFileError:
    return CorruptFileError(
        f"The catalogue {path.name} was to be read as {layout.format}.",
        received=f"{path.stat().st_size:,} bytes that do not fit ({reason})",
        remedy="Check delimiter, comment, names and skip_rows under [format] in the manifest, or the file itself.",
    )
