"""HDF5 files: their datasets as rows and columns that stay on disk until asked for."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np

from astrolab.datasets.missing import missing_key, require_file
from astrolab.datasets.rows import ColumnRows, LazyRows, MappedRows, Rows
from astrolab.errors import CorruptFileError


class H5Rows(LazyRows):
    """One dataset of an HDF5 file, read when asked.

    A contiguous, uncompressed dataset is memory-mapped, so that a random batch costs no more than its own bytes. A
    chunked or compressed one is read chunk by chunk, each chunk decompressed once a request. The file is opened on
    the first read, once in every process, and is never part of a pickle.

    Parameters
    ----------
    path : path
        The HDF5 file.
    key : str
        Name of the dataset, e.g. ``"image"`` or ``"photometry/mag_i_lsst"``.

    Raises
    ------
    DataNotFoundError, CorruptFileError
        Where there is no such file, or none that HDF5 can read.
    SchemaError
        Where the file has no such dataset.
    """

    def __init__(self, path: str | Path, *, key: str):
        with open_h5(path) as file:
            if not isinstance(file.get(key), h5py.Dataset):
                raise missing_key(path, key=key, keys=h5_keys(file))
            self._describe(Path(path), file[key])

    def _describe(self, path: Path, dataset: h5py.Dataset) -> None:
        self.path, self.key = path, dataset.name
        self.shape, self.dtype = dataset.shape, dataset.dtype.newbyteorder("=")
        self._mapped = _mapped(path, dataset)
        self._chunk_rows = dataset.chunks[0] if dataset.chunks else max(len(dataset), 1)
        self._source, self._process = None, None

    @classmethod
    def of(cls, path: str | Path, *, dataset: h5py.Dataset) -> H5Rows:
        """Describe a dataset of a file that is open already, without opening it again."""
        rows = cls.__new__(cls)
        rows._describe(Path(path), dataset)
        return rows

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_source": None, "_process": None}

    def _open(self) -> h5py.Dataset:
        if self._source is None or self._process != os.getpid():
            self._source, self._process = open_h5(self.path)[self.key], os.getpid()
        return self._source

    def _read(self, numbers: np.ndarray) -> np.ndarray:
        if self._mapped is not None:
            return self._mapped[numbers]
        try:
            return self._read_chunks(self._open(), numbers)
        except OSError as error:
            raise _corrupt(self.path, reason=str(error)) from error

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


def h5_columns(path: Path, *, file: h5py.File, group: str | None = None) -> dict[str, Rows]:
    """Describe every dataset of an open HDF5 file, or of one group of it, as a table column.

    Parameters
    ----------
    path : Path
        The file.
    file : h5py.File
        The same, open.
    group : str, optional
        Columns are named without this prefix, and others left out.

    Returns
    -------
    dict of str to Rows
    """
    prefix = f"{group.strip('/')}/" if group else ""
    keys = [key for key in h5_keys(file) if key.startswith(prefix) and file[key].shape]
    return {key.removeprefix(prefix): ColumnRows(H5Rows.of(path, dataset=file[key])) for key in keys}


def open_h5(path: str | Path) -> h5py.File:
    """Open an HDF5 file for reading, or say in plain words why it cannot be.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    h5py.File

    Raises
    ------
    DataNotFoundError
        Where there is no file.
    CorruptFileError
        Where the file is empty, truncated, or not HDF5 at all.
    """
    path = require_file(path)
    try:
        return h5py.File(path, "r", locking="best-effort")
    except OSError as error:
        raise _corrupt(path, reason=str(error)) from error


def h5_keys(file: h5py.File) -> tuple[str, ...]:
    """Name every dataset of an open HDF5 file, groups included, e.g. ``"photometry/redshift"``."""
    keys: list[str] = []
    file.visititems(lambda name, item: keys.append(name) if isinstance(item, h5py.Dataset) else None)
    return tuple(keys)


def _corrupt(path: Path, *, reason: str) -> CorruptFileError:
    """Say what is wrong with a file that HDF5 cannot read."""
    size = path.stat().st_size
    with path.open("rb") as file:
        begins_well = file.read(8) == b"\x89HDF\r\n\x1a\n"
    if size == 0:
        received = "an empty file (0 bytes)"
    elif begins_well:
        received = f"an HDF5 file cut short or damaged, {size:,} bytes ({reason})"
    else:
        received = f"a file that is not HDF5, {size:,} bytes ({reason})"
    return CorruptFileError(
        f"The file {path.name} was to be read as HDF5.",
        received=received,
        remedy=f"Delete {path} and fetch or simulate it again.",
    )
