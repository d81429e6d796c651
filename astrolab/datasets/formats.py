"""Files of five formats: their columns, and their arrays, which stay on disk until asked for where they can."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.io import fits
from astropy.table.meta import get_header_from_yaml

from astrolab.datasets.manifest import Format
from astrolab.datasets.rows import (
    PACKED,
    AbsentRows,
    ColumnRows,
    LazyRows,
    MappedRows,
    Rows,
    missing_key,
    or_absent,
    reading,
    require_file,
    unread,
    with_nulls,
)
from astrolab.errors import AstrolabWarning, CorruptFileError, DataError, DataNotFoundError

INTEGERS = ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")
WITH_NULLS = {pa.type_for_alias(name.lower()): pd.api.types.pandas_dtype(name) for name in INTEGERS}
WITH_NULLS |= {pa.bool_(): pd.BooleanDtype()}
TABLES = (fits.BinTableHDU, fits.TableHDU)
DTYPES = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}  # of BITPIX, FITS standard 4.0, table 8
ASTROPY_HEADER = ".__table_column_meta__"  # beside a table that astropy wrote: names and units, in YAML


class Array(NamedTuple):
    """An array of a file, with what the file says of its unit and its channels."""

    rows: Rows
    unit: str = ""
    channels: tuple[str, ...] = ()


Columns = dict[str, Rows]
Contents = tuple[Columns, dict[str, Array]]


def read_contents(path: Path, *, layout: Format, arrays: Mapping[str, int], texts: Sequence[str] = ()) -> Contents:
    """Give every column of a file's table, `texts` as text, and some arrays by key, each with the number of its axes.

    A column that cannot be read says so when it is asked for, an array at once; one with an axis less is of one object.
    """
    return READERS[layout.format](require_file(path), layout, dict(arrays), texts)


def _among_columns(columns: Columns, keys: Iterable[str], *, path: Path) -> dict[str, Array]:
    """Columns that hold an array a row."""
    found = {}
    for key in keys:
        if key not in columns:
            raise missing_key(path, key=key, keys=list(columns))
        columns[key][:0]  # what cannot be read says so
        found[key] = Array(columns[key], columns[key].unit)
    return found


def _read_csv(path: Path, layout: Format, arrays: dict[str, int], texts: Sequence[str]) -> Contents:
    sep = r"\s+" if layout.delimiter == "whitespace" else layout.delimiter
    options = {"sep": sep, "comment": layout.comment, "skiprows": layout.skip_rows, "encoding": "utf-8-sig"}
    with reading(path, kind="CSV"), warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # more columns than names would shift all of them
        names = list(layout.names)
        if not names:
            header = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False, **options)
            names = header.iloc[0].tolist()
        options |= {"header": None if layout.names else 0, "names": range(len(names)), "index_col": False}
        options["dtype"] = {number: str for number, name in enumerate(names) if name in texts}
        table = pd.read_csv(path, dtype_backend="numpy_nullable", low_memory=False, **options)
        _refuse_cut_line(path, layout, n_columns=len(names))
    columns = _table_columns(table, names=names, path=path)
    return columns, _among_columns(columns, arrays, path=path)


def _refuse_cut_line(path: Path, layout: Format, *, n_columns: int) -> None:
    """A last line with too few entries and without an end is where a download broke off."""
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - (1 << 16), 0))
        last = file.read().rpartition(b"\n")[2].decode("utf-8", "replace")
    entries = last.split(None if layout.delimiter == "whitespace" else layout.delimiter)
    if last and len(entries) < n_columns and path.suffix not in (".gz", ".bz2", ".xz", ".zst", ".zip"):
        received = f"a file cut short: its last line has {len(entries)} and no end"
        said = {"remedy": "Fetch it again, or end its last line.", "kind": CorruptFileError}
        raise unread(path, what=f"{n_columns} columns", received=received, **said)


def _read_parquet(path: Path, layout: Format, arrays: dict[str, int], texts: Sequence[str]) -> Contents:
    with reading(path, kind="Parquet"):
        found = pq.ParquetFile(path, page_checksum_verification=True).read()
        said = {field.name: field.metadata or {} for field in found.schema}
        stated = {name: one.get(b"unit", one.get(b"units", b"")) for name, one in said.items()}
        units = {name: unit.decode("utf-8", "replace") for name, unit in stated.items()}
        header = (found.schema.metadata or {}).get(b"table_meta_yaml")
        units |= units_in_yaml(header.decode().split("\n")) if header else {}
        found = found.cast(pa.schema([field.with_type(_plain(field.type)) for field in found.schema]))
        # The metadata would make some columns an index, and lose them.
        table = found.to_pandas(ignore_metadata=True, types_mapper=WITH_NULLS.get)
        columns = _table_columns(table, names=found.column_names, path=path, units=units)
    return columns, _among_columns(columns, arrays, path=path)


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
            columns[name] = AbsentRows(_repeated(name, path))
        else:
            columns[name] = ColumnRows(_values(table.iloc[:, number]), unit=(units or {}).get(name))
    return columns


def _repeated(name: str, path: Path) -> DataError:
    remedy = "Rename all but one of them; for CSV, [format] names and skip_rows replace the header."
    return unread(path, what=f"The column {name!r}", received="several columns of this name", remedy=remedy)


def _values(column: pd.Series) -> np.ndarray:
    numbers = getattr(column.dtype, "numpy_dtype", None)  # of a column that knows of nulls
    values = column.to_numpy() if numbers is None else column.to_numpy(dtype=numbers, na_value=0)
    return with_nulls(values, is_null=column.isna().to_numpy())


def _read_npz(path: Path, layout: Format, arrays: dict[str, int], texts: Sequence[str]) -> Contents:
    with reading(path, kind="npz"), path.open("rb") as whole, np.load(whole, allow_pickle=False) as file:
        names = file.files
        columns = {name: or_absent(lambda name=name: ColumnRows(file[name]), path=path, kind="npz") for name in names}
    named = columns.get("bands", columns.get("filters"))
    channels = () if named is None else tuple(map(str, named[:]))
    found = {}
    for key, array in _among_columns(columns, arrays, path=path).items():
        values = array.rows.rows
        found[key] = Array(values[None] if values.ndim == arrays[key] - 1 else values, channels=channels)
    return columns, found


def _read_fits(path: Path, layout: Format, arrays: dict[str, int], texts: Sequence[str]) -> Contents:
    with open_fits(path) as hdus:
        wanted = layout.table
        columns = fits_columns(hdus, path=path, wanted=wanted) if wanted or _has_table(hdus) or not arrays else {}
        names = {hdu.name for hdu in hdus} | set(map(str, range(len(hdus))))
        vectors = [key for key in arrays if key in columns and key.upper() not in names]
        found = _among_columns(columns, vectors, path=path)
        for key in [key for key in arrays if key not in found]:
            hdu = find_hdu(hdus, key=key, path=path)
            rows = fits_pixels(hdu, path=path, n_dims=arrays[key])
            found[key] = Array(rows, str(hdu.header.get("BUNIT", "")))
        return columns, found


def _has_table(hdus: fits.HDUList) -> bool:
    return any(isinstance(hdu, TABLES) for hdu in hdus)


@contextmanager
def open_fits(path: str | Path) -> Iterator[fits.HDUList]:
    """Open a FITS file; what departs from the standard is said in one warning, what cannot be read is refused."""
    path, said = require_file(path), []
    try:
        with reading(path, kind="FITS"), warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            for known in ("File may have been truncated", "Column .* contains NULL"):  # see _refuse_cut, _fits_column
                warnings.filterwarnings("ignore", message=known)
            with path.open("rb") as file:
                unpack = PACKED.get(file.read(2))
            # Whole: a packed file that is opened where it lies loses the HDUs after its fault without a word.
            source = io.BytesIO(unpack(path.read_bytes())) if unpack else path
            with fits.open(source, memmap=False, character_as_bytes=True) as hdus:
                _refuse_cut(hdus, path=path)
                yield hdus
    finally:
        texts = list(dict.fromkeys(" ".join(str(one.message).split()) for one in said))
        if texts:
            more = f" (and {len(texts) - 1} more)" if len(texts) > 1 else ""
            text = f"{path.name} is not quite what the FITS standard asks for: {texts[0]}{more}"
            warnings.warn(text, AstrolabWarning, stacklevel=3)


def _refuse_cut(hdus: fits.HDUList, *, path: Path) -> None:
    """Only the last HDU can be incomplete; the padding after its data may be missing."""
    last = hdus[-1]
    where = last.fileinfo()
    size = where["datSpan"] if isinstance(last, fits.CompImageHDU) else last.size
    missing = where["datLoc"] + size - where["file"].size
    if size and missing > 0:
        what, received = f"HDU {last.name or len(hdus) - 1}", f"a file cut short, {missing:,} bytes too few"
        remedy = f"Fetch it again, or put the whole file at {path}."
        raise unread(path, what=what, received=received, remedy=remedy, kind=CorruptFileError)


def find_hdu(
    hdus: fits.HDUList, *, key: str, path: Path, kinds: tuple[type, ...] = (object,)
) -> fits.hdu.base._BaseHDU:
    """The HDU of a name or number; of several with one name, the first."""
    found = [(hdu.name, str(number), hdu) for number, hdu in enumerate(hdus) if isinstance(hdu, kinds)]
    for name, number, hdu in found:
        if key.upper() in (name, number):
            return hdu
    raise missing_key(path, key=key, keys=[name or number for name, number, _ in found])


def fits_columns(hdus: fits.HDUList, *, path: Path, wanted: str | None = None) -> dict[str, Rows]:
    """Read a table of an open FITS file: the one of a name or number, or the first."""
    if not _has_table(hdus):
        remedy = "Name the HDU of an array in the manifest: [input.<name>] key."
        raise unread(path, what="A table", received=f"a FITS file of {len(hdus)} HDUs without one", remedy=remedy)
    first = next(str(number) for number, hdu in enumerate(hdus) if isinstance(hdu, TABLES))
    table = find_hdu(hdus, key=wanted or first, path=path, kinds=TABLES)
    names = [name for name in table.columns.names if name]  # a column may have none
    if repeated := [name for name in names if names.count(name) > 1]:
        raise _repeated(repeated[0], path)  # astropy could read no column of such a table
    return {name: or_absent(partial(_fits_column, table, name), path=path, kind="FITS") for name in names}


def _fits_column(table: fits.BinTableHDU | fits.TableHDU, name: str) -> ColumnRows:
    """One column, unknown where it equals TNULL as stored (before TSCAL), or is neither true nor false."""
    column, values = table.columns[name], np.asarray(table.data[name])
    stored, is_null = table.data.view(np.ndarray)[name], False
    if values.shape == stored.shape and values.dtype == bool:
        is_null = ~np.isin(stored, (ord("T"), ord("F")))
    elif column.null is not None and stored.dtype.kind == "S":
        is_null = np.char.strip(stored) == str(column.null).strip().encode()
    elif column.null is not None and values.shape == stored.shape and stored.dtype.kind in "iu":
        is_null = stored == column.null
    return ColumnRows(with_nulls(values, is_null=np.broadcast_to(is_null, values.shape)), unit=column.unit)


def is_packed(path: Path) -> bool:
    """Whether a FITS file is compressed as a whole."""
    with path.open("rb") as file:
        return file.read(6) != b"SIMPLE"


def fits_pixels(hdu: fits.hdu.base.ExtensionHDU, *, path: Path, n_dims: int) -> Rows:
    """Images of one HDU of an open FITS file, on disk if stored as they are; packed or scaled ones are read at once."""
    shape = tuple(hdu.shape)
    if not shape:
        remedy = "Correct the key in the manifest: it names the HDU, or a list of one a channel."
        raise unread(path, what=f"An image of HDU {hdu.name}", received="an HDU without pixels", remedy=remedy)
    if len(shape) == n_dims - 1:
        shape = (1, *shape)
    is_mapped = not is_packed(path) and not isinstance(hdu, fits.CompImageHDU)
    scale, zero, blank = (hdu.header.get(key, plain) for key, plain in (("BSCALE", 1), ("BZERO", 0), ("BLANK", None)))
    if not is_mapped or scale != 1 or zero != 0 or blank is not None:
        values = hdu.data.reshape(shape)
        if blank is not None and values.dtype.kind == "u":  # of other types astropy itself makes NaN
            values = with_nulls(values, is_null=values == blank + zero)
        return values.astype(values.dtype.newbyteorder("="), copy=False)
    return MappedRows(path, offset=hdu.fileinfo()["datLoc"], shape=shape, dtype=np.dtype(DTYPES[hdu.header["BITPIX"]]))


def _read_hdf5(path: Path, layout: Format, arrays: dict[str, int], texts: Sequence[str]) -> Contents:
    with open_h5(path) as file, reading(path, kind="HDF5"):
        found = {}
        for key in arrays:
            dataset = _find_dataset(file, key, path=path)
            bands = [one.decode() if isinstance(one, bytes) else str(one) for one in dataset.attrs.get("bands", ())]
            found[key] = Array(H5Rows(dataset), declared_unit(dataset), tuple(bands))
        return h5_columns(path, file=file, table=layout.table), found


class H5Rows(LazyRows):
    """One dataset of an HDF5 file, or one field of a compound one: mapped, or read with each chunk unpacked once."""

    def __init__(self, dataset: h5py.Dataset, *, field: str | None = None):
        self.path, self.key, self.field = Path(dataset.file.filename), dataset.name, field  # a link may lead elsewhere
        values = dataset.dtype[field] if field else dataset.dtype
        self.shape, self.dtype = (*dataset.shape, *values.shape), values.base.newbyteorder("=")
        offset = None if field or dataset.dtype.hasobject else dataset.id.get_offset()
        options = {"offset": offset, "shape": dataset.shape, "dtype": dataset.dtype}
        self._mapped = None if offset is None else MappedRows(self.path, **options)
        self._chunk_rows = dataset.chunks[0] if dataset.chunks else max(len(dataset), 1)
        self._source, self._process = None, None  # the file, opened on the first read in every process

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_source": None, "_process": None}

    def _read(self, numbers: np.ndarray) -> np.ndarray:
        if self._mapped is not None:
            return self._mapped[numbers]
        with reading(self.path, kind="HDF5"):
            wanted, places = np.unique(numbers, return_inverse=True)
            found = np.empty((len(wanted), *self.shape[1:]), dtype=self.dtype)
            cuts = np.flatnonzero(np.diff(wanted // self._chunk_rows)) + 1
            if self._source is None or self._process != os.getpid():
                dataset = _find_dataset(open_h5(self.path), self.key, path=self.path)
                self._source = dataset.fields(self.field) if self.field else dataset
                self._process = os.getpid()
            for begin, end in zip([0, *cuts], [*cuts, len(wanted)], strict=True):
                if end > begin:
                    first, last = wanted[begin], wanted[end - 1]
                    found[begin:end] = self._source[first : last + 1][wanted[begin:end] - first]
            return found[places]


def _find_dataset(group: h5py.Group, key: str, *, path: Path) -> h5py.Dataset:
    """Find a dataset all of whose values can be read: what it links to, its parts and its filters are there."""
    link = group.get(key, getlink=True)
    try:
        dataset = group[key] if link else None
    except (KeyError, RuntimeError, OSError):
        if isinstance(link, h5py.HardLink):
            raise
        where = f"{link.path} in {link.filename}" if isinstance(link, h5py.ExternalLink) else link.path
        raise _absent(key, f"a link to {where}, which is not there", path) from None
    if not isinstance(dataset, h5py.Dataset):
        raise missing_key(path, key=key, keys=h5_keys(group))
    if not dataset.shape:
        found = "no value at all" if dataset.shape is None else "a single value"
        remedy = "Correct the name in the manifest."
        raise unread(path, what=f"{key!r}, one entry an object,", received=found, remedy=remedy)
    _refuse_unknown_filter(dataset, key, path)
    _refuse_absent_parts(dataset, key, path)
    return dataset


def _refuse_unknown_filter(dataset: h5py.Dataset, key: str, path: Path) -> None:
    plan = dataset.id.get_create_plist()
    for code, _, _, name in map(plan.get_filter, range(plan.get_nfilters())):
        if not h5py.h5z.filter_avail(code):
            with suppress(ImportError):
                import hdf5plugin  # noqa: F401  (tells HDF5 of its filters)
        if not h5py.h5z.filter_avail(code):
            found = f"values packed by the filter {name.decode(errors='replace')!r} ({code}), not installed here"
            remedy = "pip install hdf5plugin, and start again. Nothing is wrong with the file."
            raise unread(path, what=repr(key), received=found, remedy=remedy, kind=DataError)


def _refuse_absent_parts(dataset: h5py.Dataset, key: str, path: Path) -> None:
    """HDF5 itself would put zeros for parts of a virtual or external dataset that are not there."""
    n_found = dataset.size
    if dataset.is_virtual:
        sources = dataset.virtual_sources()
        for name, inner in sorted({(source.file_name, source.dset_name) for source in sources}):
            places = [path] if name == "." else [path.parent / name, Path(name)]
            is_there = "%" in name + inner
            for place in filter(Path.is_file, places):
                with open_h5(place) as file:
                    is_there |= inner in file
            if not is_there:
                raise _absent(key, f"a part of it in {name} ({inner}), which is not there", path)
        if None not in dataset.maxshape:
            n_found = sum(source.vspace.get_select_npoints() for source in sources)
    elif dataset.external:
        sizes = [Path(name).stat().st_size if Path(name).is_file() else 0 for name, *_ in dataset.external]
        there = [max(min(n - start, size), 0) for n, (_, start, size) in zip(sizes, dataset.external, strict=True)]
        n_found = sum(there) // dataset.dtype.itemsize
    if n_found < dataset.size:
        parts = ", ".join(name for name, *_ in dataset.external or ()) or "its sources"
        raise _absent(key, f"{n_found:,} of {dataset.size:,} values in {parts}", path)


def _absent(key: str, received: str, path: Path) -> DataError:
    remedy = f"Put what is missing beside {path}, or the whole survey there."
    return unread(path, what=repr(key), received=received, remedy=remedy, kind=DataNotFoundError)


def h5_columns(path: Path, *, file: h5py.File, table: str | None = None) -> dict[str, Rows]:
    """Give the datasets of an open HDF5 file or group, and the fields of compound ones, as astropy writes tables."""
    with reading(path, kind="HDF5"):
        found = file if table is None else file.get(table)
        if isinstance(found, h5py.Group):
            group, keys = found, h5_keys(found)
        else:
            found = _find_dataset(file, table, path=path)
            group, keys = found.parent, (found.name.rpartition("/")[2],)
        fields: dict[str, tuple[str, ...]] = {key: () for key in keys if not key.endswith(ASTROPY_HEADER)}
        for key in fields:
            with suppress(KeyError, RuntimeError, OSError, TypeError):  # said when the column is asked for
                fields[key] = group[key].dtype.names or ()
        n_tables = sum(map(bool, fields.values()))
        columns = {}
        for key, names in fields.items():
            header = group.get(key + ASTROPY_HEADER) if names else None
            units = units_in_yaml([line.decode() for line in header[:]]) if header else {}
            for field in names or (None,):
                name = key if field is None else field if n_tables == 1 else f"{key}/{field}"
                read = partial(_h5_column, group, key, path=path, field=field, unit=units.get(field))
                columns[name] = or_absent(read, path=path, kind="HDF5")
        return columns


def _h5_column(group: h5py.Group, key: str, *, path: Path, field: str | None, unit: str | None) -> ColumnRows:
    dataset = _find_dataset(group, key, path=path)
    return ColumnRows(H5Rows(dataset, field=field), unit=unit or declared_unit(dataset))


def declared_unit(dataset: h5py.Dataset) -> str:
    """What an attribute of a dataset says of its unit."""
    found = next((dataset.attrs[name] for name in ("unit", "units") if name in dataset.attrs), "")
    return found.decode("utf-8", "replace") if isinstance(found, bytes) else str(found)


def units_in_yaml(lines: list[str]) -> dict[str, str]:
    """Units by column, from the header that astropy writes beside a table."""
    return {column["name"]: str(column.get("unit", "")) for column in get_header_from_yaml(lines)["datatype"]}


def open_h5(path: str | Path) -> h5py.File:
    """Open an HDF5 file for reading, or say in plain words why it cannot be."""
    path = require_file(path)
    with reading(path, kind="HDF5"):
        return h5py.File(path, "r", locking="best-effort")


def h5_keys(group: h5py.Group) -> tuple[str, ...]:
    """Name every dataset of a file or group, e.g. ``"photometry/redshift"``, and every link that leads nowhere."""
    keys: list[str] = []

    def note(name: str, _: object) -> None:
        item = None
        with suppress(KeyError, RuntimeError, OSError):
            item = group[name]
        if not isinstance(item, h5py.Group):
            keys.append(name)

    group.visititems_links(note)
    return tuple(keys)


READERS = {"csv": _read_csv, "parquet": _read_parquet, "fits": _read_fits, "hdf5": _read_hdf5, "npz": _read_npz}
