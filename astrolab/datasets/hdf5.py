"""HDF5 files: their datasets as rows and columns that stay on disk until asked for."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import partial
from pathlib import Path

import h5py
import numpy as np
from astropy.table.meta import get_header_from_yaml

from astrolab.datasets.missing import missing_key, reading, require_file
from astrolab.datasets.rows import ColumnRows, LazyRows, MappedRows, Rows, or_absent
from astrolab.errors import DataError, DataNotFoundError, SchemaError

ASTROPY_HEADER = ".__table_column_meta__"  # beside a table that astropy wrote: names and units, in YAML


class H5Rows(LazyRows):
    """One dataset of an HDF5 file, e.g. ``"photometry/mag_i_lsst"``, or one field of a compound one, read when asked.

    A contiguous, uncompressed dataset is memory-mapped, so that a random batch costs no more than its own bytes. A
    chunked or compressed one is read chunk by chunk, each chunk decompressed once a request. The file is opened on
    the first read, once in every process, and is never part of a pickle.
    """

    def __init__(self, path: str | Path, *, key: str):
        with open_h5(path) as file, reading(path, kind="HDF5"):
            self._describe(find_dataset(file, key=key, path=Path(path)))

    def _describe(self, dataset: h5py.Dataset, field: str | None = None) -> None:
        self.path, self.key, self.field = Path(dataset.file.filename), dataset.name, field  # a link may lead elsewhere
        values = dataset.dtype[field] if field else dataset.dtype
        self.shape, self.dtype = (*dataset.shape, *values.shape), values.base.newbyteorder("=")
        self._mapped = None if field else _mapped(self.path, dataset)
        self._chunk_rows = dataset.chunks[0] if dataset.chunks else max(len(dataset), 1)
        self._source, self._process = None, None

    @classmethod
    def of(cls, dataset: h5py.Dataset, *, field: str | None = None) -> H5Rows:
        """Describe a dataset of a file that is open already, without opening it again."""
        rows = cls.__new__(cls)
        rows._describe(dataset, field)
        return rows

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_source": None, "_process": None}

    def _open(self) -> h5py.Dataset:
        if self._source is None or self._process != os.getpid():
            dataset = find_dataset(open_h5(self.path), key=self.key, path=self.path)
            self._source = dataset.fields(self.field) if self.field else dataset
            self._process = os.getpid()
        return self._source

    def _read(self, numbers: np.ndarray) -> np.ndarray:
        if self._mapped is not None:
            return self._mapped[numbers]
        with reading(self.path, kind="HDF5"):
            return self._read_chunks(self._open(), numbers)

    def _read_chunks(self, dataset: h5py.Dataset, numbers: np.ndarray) -> np.ndarray:
        wanted, places = np.unique(numbers, return_inverse=True)
        found = np.empty((len(wanted), *self.shape[1:]), dtype=self.dtype)
        cuts = np.flatnonzero(np.diff(wanted // self._chunk_rows)) + 1
        for begin, end in zip([0, *cuts], [*cuts, len(wanted)], strict=True):
            if end > begin:
                first, last = wanted[begin], wanted[end - 1]
                found[begin:end] = dataset[first : last + 1][wanted[begin:end] - first]
        return found[places]


def _mapped(path: Path, dataset: h5py.Dataset) -> MappedRows | None:
    offset = None if dataset.dtype.hasobject else dataset.id.get_offset()
    return None if offset is None else MappedRows(path, offset=offset, shape=dataset.shape, dtype=dataset.dtype)


def find_dataset(group: h5py.Group, *, key: str, path: Path) -> h5py.Dataset:
    """Find a dataset all of whose values can be read: what it links to, its parts and its filters are there."""
    link = group.get(key, getlink=True)
    try:
        dataset = group[key] if link else None
    except (KeyError, RuntimeError, OSError):
        if isinstance(link, h5py.HardLink):
            raise
        where = f"{link.path} in {link.filename}" if isinstance(link, h5py.ExternalLink) else link.path
        raise _absent(path, key, f"a link to {where}, which is not there") from None
    if not isinstance(dataset, h5py.Dataset):
        raise missing_key(path, key=key, keys=h5_keys(group))
    if not dataset.shape:
        raise SchemaError(
            f"{key!r} of {path.name} was to be read, one entry a galaxy.",
            received="no value at all" if dataset.shape is None else "a single value",
            remedy="Correct the name in the manifest.",
        )
    _refuse_unknown_filter(dataset, key, path)
    _refuse_absent_parts(dataset, key, path)
    return dataset


def _absent(path: Path, key: str, received: str) -> DataNotFoundError:
    return DataNotFoundError(
        f"{key!r} was to be read from {path.name}.",
        received=received,
        remedy=f"Put what is missing beside {path}, or the whole survey in its place.",
    )


def _refuse_unknown_filter(dataset: h5py.Dataset, key: str, path: Path) -> None:
    plan = dataset.id.get_create_plist()
    for code, _, _, name in map(plan.get_filter, range(plan.get_nfilters())):
        if not h5py.h5z.filter_avail(code):
            with suppress(ImportError):
                import hdf5plugin  # noqa: F401  (tells HDF5 of its filters)
        if not h5py.h5z.filter_avail(code):
            raise DataError(
                f"{key!r} was to be read from {path.name}.",
                received=f"values packed by the filter {name.decode(errors='replace')!r} ({code}), not installed here",
                remedy="pip install hdf5plugin, and start again. Nothing is wrong with the file.",
            )


def _refuse_absent_parts(dataset: h5py.Dataset, key: str, path: Path) -> None:
    """HDF5 itself would put zeros for parts of a virtual or external dataset that are not there."""
    n_found = dataset.size
    if dataset.is_virtual:
        sources = dataset.virtual_sources()
        for name, inner in sorted({(source.file_name, source.dset_name) for source in sources}):
            places = [path] if name == "." else [path.parent / name, Path(name)]
            if "%" not in name + inner and not any(_holds(place, inner) for place in places):
                raise _absent(path, key, f"a part of it in {name} ({inner}), which is not there")
        if None not in dataset.maxshape:
            n_found = sum(source.vspace.get_select_npoints() for source in sources)
    elif dataset.external:
        there = [max(min(_size(name) - start, size), 0) for name, start, size in dataset.external]
        n_found = sum(there) // dataset.dtype.itemsize
    if n_found < dataset.size:
        parts = ", ".join(name for name, *_ in dataset.external or ()) or "its sources"
        raise _absent(path, key, f"{n_found:,} of {dataset.size:,} values in {parts}")


def _size(name: str) -> int:
    return Path(name).stat().st_size if Path(name).is_file() else 0


def _holds(path: Path, key: str) -> bool:
    if not path.is_file():
        return False
    with open_h5(path) as file:
        return key in file


def h5_columns(path: Path, *, file: h5py.File, table: str | None = None) -> dict[str, Rows]:
    """Describe the datasets of an open HDF5 file, or of one group of it, as columns.

    A compound dataset is a table, as astropy writes it: each of its fields is a column. It may be `table` itself; where
    there are several, their names come before those of the fields.
    """
    with reading(path, kind="HDF5"):
        found = file if table is None else file.get(table)
        if isinstance(found, h5py.Group):
            group, keys = found, h5_keys(found)
        else:
            found = find_dataset(file, key=table, path=path)
            group, keys = found.parent, (found.name.rpartition("/")[2],)
        fields = {key: _fields(group, key) for key in keys if not key.endswith(ASTROPY_HEADER)}
        n_tables = sum(map(bool, fields.values()))
        columns = {}
        for key, names in fields.items():
            units = _astropy_units(group, key) if names else {}
            for field in names or (None,):
                name = key if field is None else field if n_tables == 1 else f"{key}/{field}"
                read = partial(_column, group, key, path=path, field=field, unit=units.get(field))
                columns[name] = or_absent(read, path=path, kind="HDF5")
        return columns


def _fields(group: h5py.Group, key: str) -> tuple[str, ...]:
    with suppress(KeyError, RuntimeError, OSError, TypeError):  # said when the column is asked for
        return group[key].dtype.names or ()
    return ()


def _column(group: h5py.Group, key: str, *, path: Path, field: str | None, unit: str | None) -> ColumnRows:
    dataset = find_dataset(group, key=key, path=path)
    return ColumnRows(H5Rows.of(dataset, field=field), unit=unit or declared_unit(dataset))


def declared_unit(dataset: h5py.Dataset) -> str:
    """What an attribute of a dataset says of its unit."""
    found = next((dataset.attrs[name] for name in ("unit", "units") if name in dataset.attrs), "")
    return found.decode("utf-8", "replace") if isinstance(found, bytes) else str(found)


def _astropy_units(group: h5py.Group, key: str) -> dict[str, str]:
    header = group.get(key + ASTROPY_HEADER)
    return units_in_yaml([line.decode() for line in header[:]]) if header else {}


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
