"""Reader of catalogues: CSV, FITS, Parquet, HDF5 and npz tables, columns named by the manifest."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from astrolab.datasets.columns import assemble_survey
from astrolab.datasets.fits_files import fits_columns, open_fits
from astrolab.datasets.hdf5 import h5_columns, open_h5, units_in_yaml
from astrolab.datasets.manifest_schema import Format, Manifest
from astrolab.datasets.missing import reading, require_file
from astrolab.datasets.rows import AbsentRows, ColumnRows, Rows, or_absent, with_nulls
from astrolab.datasets.survey import Survey
from astrolab.errors import CorruptFileError, SchemaError

Columns = dict[str, Rows]
INTEGERS = ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")
WITH_NULLS = {pa.type_for_alias(name.lower()): pd.api.types.pandas_dtype(name) for name in INTEGERS}
WITH_NULLS |= {pa.bool_(): pd.BooleanDtype()}


def read_catalogue(path: str | Path, *, manifest: Manifest) -> Survey:
    """Read the galaxies of one catalogue file; magnitudes (n, band) become the input, missing ones NaN."""
    path = require_file(path)
    read = _READERS[manifest.format.format]
    columns = read(path, manifest.format, manifest.id.column if manifest.id else None)
    lengths = Counter(len(rows) for rows in columns.values() if rows.shape and not isinstance(rows, AbsentRows))
    n_rows = lengths.most_common(1)[0][0] if lengths else 0
    return assemble_survey(columns, manifest=manifest, path=path, n_rows=n_rows)


def _read_csv(path: Path, layout: Format, id_column: str | None) -> Columns:
    sep = r"\s+" if layout.delimiter == "whitespace" else layout.delimiter
    options = {"sep": sep, "comment": layout.comment, "skiprows": layout.skip_rows, "encoding": "utf-8-sig"}
    with reading(path, kind="CSV"), warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # more columns than names would shift all of them
        names = list(layout.names)
        if not names:
            header = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False, **options)
            names = header.iloc[0].tolist()
        table = pd.read_csv(
            path,
            header=None if layout.names else 0,
            names=range(len(names)),
            index_col=False,
            dtype={number: str for number, name in enumerate(names) if name == id_column},
            dtype_backend="numpy_nullable",
            low_memory=False,
            **options,
        )
        _refuse_cut_line(path, layout, n_columns=len(names))
    return _table_columns(table, names=names, path=path)


def _refuse_cut_line(path: Path, layout: Format, *, n_columns: int) -> None:
    """A last line with too few entries and without an end is where a download broke off."""
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - (1 << 16), 0))
        last = file.read().rpartition(b"\n")[2].decode("utf-8", "replace")
    entries = last.split(None if layout.delimiter == "whitespace" else layout.delimiter)
    if last and len(entries) < n_columns and path.suffix not in (".gz", ".bz2", ".xz", ".zst", ".zip"):
        raise CorruptFileError(
            f"{n_columns} columns were to be read from {path.name}.",
            received=f"a file cut short: its last line has {len(entries)} and no end",
            remedy="Fetch it again, or end its last line.",
        )


def _read_parquet(path: Path, layout: Format, id_column: str | None) -> Columns:
    with reading(path, kind="Parquet"):
        found = pq.ParquetFile(path, page_checksum_verification=True).read()
        units = {field.name: _arrow_unit(field) for field in found.schema}
        header = (found.schema.metadata or {}).get(b"table_meta_yaml")
        units |= units_in_yaml(header.decode().split("\n")) if header else {}
        found = found.cast(pa.schema([field.with_type(_plain(field.type)) for field in found.schema]))
        # The metadata would make some columns an index, and lose them.
        table = found.to_pandas(ignore_metadata=True, types_mapper=WITH_NULLS.get)
        return _table_columns(table, names=found.column_names, path=path, units=units)


def _arrow_unit(field: pa.Field) -> str:
    told = field.metadata or {}
    return told.get(b"unit", told.get(b"units", b"")).decode("utf-8", "replace")


def _plain(kind: pa.DataType) -> pa.DataType:
    """What categories and decimal numbers stand for."""
    if pa.types.is_dictionary(kind):
        return kind.value_type
    return pa.float64() if pa.types.is_decimal(kind) else kind


def _table_columns(
    table: pd.DataFrame, *, names: Sequence[str], path: Path, units: dict[str, str] | None = None
) -> Columns:
    columns = {}
    for number, name in enumerate(names):
        if names.count(name) > 1:
            columns[name] = AbsentRows(_repeated(name, names.count(name), path))
        else:
            columns[name] = ColumnRows(_values(table.iloc[:, number]), unit=(units or {}).get(name))
    return columns


def _values(column: pd.Series) -> np.ndarray:
    numbers = getattr(column.dtype, "numpy_dtype", None)  # of a column that knows of nulls
    values = column.to_numpy() if numbers is None else column.to_numpy(dtype=numbers, na_value=0)
    return with_nulls(values, is_null=column.isna().to_numpy())


def _repeated(name: str, n: int, path: Path) -> SchemaError:
    return SchemaError(
        f"The column {name!r} of {path.name} was to be read.",
        received=f"{n} columns of this name",
        remedy="Rename all but one of them; for CSV, [format] names and skip_rows replace the header.",
    )


def _read_fits(path: Path, layout: Format, id_column: str | None) -> Columns:
    with open_fits(path) as hdus:
        return fits_columns(hdus, path=path, wanted=layout.table)


def _read_hdf5(path: Path, layout: Format, id_column: str | None) -> Columns:
    with open_h5(path) as file:
        return h5_columns(path, file=file, table=layout.table)


def npz_columns(path: Path) -> Columns:
    """Every array of an npz file, of whatever shape."""
    with reading(path, kind="npz"), path.open("rb") as whole, np.load(whole, allow_pickle=False) as file:
        return {name: or_absent(lambda name=name: ColumnRows(file[name]), path=path, kind="npz") for name in file.files}


_READERS: dict[str, Callable[[Path, Format, str | None], Columns]] = {
    "csv": _read_csv,
    "parquet": _read_parquet,
    "fits": _read_fits,
    "hdf5": _read_hdf5,
    "npz": lambda path, layout, id_column: npz_columns(path),
}
