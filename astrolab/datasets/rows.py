"""Arrays that stay on disk until rows of them are asked for, and what is said of a file that cannot give them.

They compose: a survey of 30 GB that was cropped, split and concatenated is a few small objects until a batch is read.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from tokenize import TokenError

import numpy as np
import pyarrow as pa
from astropy.io import fits
from astropy.table.meta import YamlParseError
from pandas.errors import ParserWarning

try:
    from astropy.io.fits.hdu.compressed._compression import CfitsioException
except ImportError:  # astropy 6
    from astropy.io.fits._tiled_compression._compression import CfitsioException

from astrolab.errors import AstrolabError, CorruptFileError, DataError, DataNotFoundError, SchemaError

Index = slice | np.ndarray | Sequence[int]
N_NAMES_SHOWN = 30

# What the libraries raise on files that are damaged, cut short, or not what they claim to be.
OF_TABLES = (YamlParseError, ParserWarning, TokenError, pa.ArrowException)
OF_FORMATS = (*OF_TABLES, fits.VerifyError, CfitsioException, zipfile.BadZipFile, zlib.error, lzma.LZMAError)
OF_CONTENTS = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, AssertionError, struct.error)
OF_PYTHON = (OSError, EOFError, RuntimeError, SystemError, SyntaxError, MemoryError, ImportError)

PACKED = {b"\x1f\x8b": gzip.decompress, b"BZ": bz2.decompress, b"\xfd7": lzma.decompress}  # by how a file begins
BEGINS = {"hdf5": b"\x89HDF\r\n\x1a\n", "fits": (b"SIMPLE", b"PK", *PACKED), "parquet": b"PAR1", "npz": b"PK"}
BEGINS |= dict.fromkeys(("lamost", "desi", "fits1d"), BEGINS["fits"])


class LazyRows:
    """Rows that are read by number: by a slice, a mask or integers, in the order asked, repeats allowed."""

    shape: tuple[int, ...]
    dtype: np.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Index) -> np.ndarray:
        return self._read(row_numbers(index, n_rows=len(self)))

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.asarray(self[:], dtype=dtype)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'×'.join(map(str, self.shape))} {self.dtype})"

    def _read(self, numbers: np.ndarray) -> np.ndarray:
        raise NotImplementedError


Rows = np.ndarray | LazyRows


class MappedRows(LazyRows):
    """An uncompressed array in a file, or one field of records, mapped: a batch costs no more than its own bytes."""

    def __init__(self, path: Path, *, offset: int, shape: tuple[int, ...], dtype: np.dtype, field: str | None = None):
        self.path, self.offset, self.stored_shape, self.field = Path(path), offset, shape, field
        kept = dtype[field] if field else dtype
        self.stored_dtype, self.dtype, self.shape = dtype, kept.base.newbyteorder("="), (*shape, *kept.shape)
        self._values = None

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_values": None}

    def mapped(self) -> np.ndarray:
        """Give the array where it lies."""
        options = {"dtype": self.stored_dtype, "offset": self.offset, "shape": self.stored_shape}
        values = np.memmap(self.path, mode="r", **options).view(np.ndarray)
        return values[self.field] if self.field else values

    def _read(self, numbers: np.ndarray) -> np.ndarray:
        if self._values is None:
            with reading(self.path, kind="FITS or HDF5"):
                self._values = self.mapped()
        return self._values[numbers].astype(self.dtype, copy=False)


class TakenRows(LazyRows):
    """Some rows of other rows, in a given order."""

    def __init__(self, rows: Rows, *, numbers: np.ndarray):
        if isinstance(rows, TakenRows):
            rows, numbers = rows.rows, rows.numbers[numbers]
        self.rows, self.numbers = rows, numbers
        self.shape, self.dtype = (len(numbers), *rows.shape[1:]), rows.dtype

    def _read(self, numbers: np.ndarray) -> np.ndarray:
        return np.asarray(self.rows[self.numbers[numbers]])


class StackedRows(LazyRows):
    """Rows of several sources, one after the other."""

    def __init__(self, parts: Sequence[Rows]):
        self.parts = tuple(parts)
        self._starts = np.cumsum([0, *map(len, parts)])
        self.shape = (int(self._starts[-1]), *parts[0].shape[1:])
        self.dtype = np.result_type(*(part.dtype for part in parts))

    def _read(self, numbers: np.ndarray) -> np.ndarray:
        found = np.empty((len(numbers), *self.shape[1:]), dtype=self.dtype)
        owner = np.searchsorted(self._starts, numbers, side="right") - 1
        for place in np.unique(owner):
            mine = owner == place
            found[mine] = self.parts[place][numbers[mine] - self._starts[place]]
        return found


class ChannelRows(LazyRows):
    """Rows (n, channel, ...) from one source (n, ...) a channel."""

    def __init__(self, parts: Sequence[Rows]):
        self.parts = tuple(parts)
        self.shape = (len(parts[0]), len(parts), *parts[0].shape[1:])
        self.dtype = np.result_type(*(part.dtype for part in parts))

    def _read(self, numbers: np.ndarray) -> np.ndarray:
        return np.stack([part[numbers] for part in self.parts], axis=1)


class CroppedRows(LazyRows):
    """The central square of every image; pixel ``size // 2`` stays the central pixel."""

    def __init__(self, rows: Rows, *, size: int):
        if min(rows.shape[-2:]) < size:
            asked = f"The central {size} × {size} pixels of every image were asked for."
            remedy = f"Ask for an image_size of at most {min(rows.shape[-2:])}."
            raise SchemaError(asked, received=f"images of {rows.shape[-2]} × {rows.shape[-1]} pixels", remedy=remedy)
        starts = [full // 2 - size // 2 for full in rows.shape[-2:]]
        self.rows = rows
        self._window = (..., *(slice(start, start + size) for start in starts))
        self.shape, self.dtype = (*rows.shape[:-2], size, size), rows.dtype

    def _read(self, numbers: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(self.rows[numbers][self._window])


class ColumnRows(LazyRows):
    """A column: (n, …, 1) becomes (n, …), padded bytes text, big-endian numbers native; `unit` as the file says."""

    def __init__(self, rows: Rows, *, unit: str | None = None):
        self.rows, self.unit = rows, unit or ""
        self.shape = rows.shape[:-1] if rows.shape[1:] and rows.shape[-1] == 1 else rows.shape
        is_text = rows.dtype.kind in "SO"
        self.dtype = np.dtype(object) if is_text else rows.dtype.newbyteorder("=")

    def _read(self, numbers: np.ndarray) -> np.ndarray:
        values = np.asarray(self.rows[numbers]).reshape(len(numbers), *self.shape[1:])
        if self.dtype.kind != "O":
            return values.astype(self.dtype, copy=False)
        texts = (v.decode("utf-8", "backslashreplace").rstrip() if isinstance(v, bytes) else v for v in values.flat)
        return np.fromiter(texts, dtype=object, count=values.size).reshape(values.shape)


class AbsentRows(LazyRows):
    """A column that cannot be read, which hurts only who asks for it."""

    def __init__(self, error: DataError):
        self.error, self.shape, self.dtype = error, (0,), np.dtype(float)

    def _read(self, numbers: np.ndarray) -> np.ndarray:
        raise self.error


def or_absent(read: Callable[[], Rows], *, path: Path, kind: str) -> Rows:
    """Read a column, or keep for whoever asks for it why it cannot be read."""
    try:
        with reading(path, kind=kind):
            return read()
    except DataError as error:
        return AbsentRows(error)


def with_nulls(values: np.ndarray, *, is_null: np.ndarray) -> np.ndarray:
    """Mark what is not known: NaN among numbers; None among text, and among integers that a float cannot hold."""
    if not is_null.any():
        return values
    known = values[~is_null]
    if values.dtype.kind in "fb" or (values.dtype.kind in "iu" and (np.abs(known.astype(float)) < 2**53).all()):
        return np.where(is_null, np.nan, values)
    return np.where(is_null, None, values.astype(object))


def row_numbers(index: Index, *, n_rows: int) -> np.ndarray:
    """Turn a slice, a mask or integers (negative ones count from the end) into row numbers (m,), counted from 0."""
    if isinstance(index, slice):
        return np.arange(*index.indices(n_rows))
    numbers = np.asarray(index)
    if numbers.dtype.kind not in "iu":
        return np.arange(n_rows)[index]  # a mask; NumPy refuses what is none
    numbers = np.where(numbers < 0, numbers + n_rows, numbers).astype(np.int64)
    if numbers.size and not 0 <= numbers.min() <= numbers.max() < n_rows:
        raise IndexError(f"rows {numbers.min()} to {numbers.max()} of {n_rows} rows")
    return numbers


def take_rows(rows: Rows, *, numbers: np.ndarray) -> Rows:
    """Choose rows: at once where they are plain numbers in memory, lazily where a row is large or on disk."""
    if isinstance(rows, np.ndarray) and rows.ndim == 1:
        return read_only(rows[numbers])
    return TakenRows(rows, numbers=numbers)


def stack_rows(parts: Sequence[Rows]) -> Rows:
    """Put rows one after the other: at once where they are plain numbers in memory, lazily otherwise."""
    if len(parts) == 1:
        return parts[0]
    if all(isinstance(part, np.ndarray) and part.ndim == 1 for part in parts):
        return read_only(np.concatenate(parts))
    return StackedRows(parts)


def read_only(array: np.ndarray) -> np.ndarray:
    """Give a view of an array that refuses to be written to."""
    view = array.view()
    view.flags.writeable = False
    return view


@contextmanager
def reading(path: str | Path, *, kind: str) -> Iterator[None]:
    """Turn whatever a library raises on a damaged file into one error that says what is wrong with the file."""
    try:
        yield
    except AstrolabError:
        raise
    except (*OF_FORMATS, *OF_CONTENTS, *OF_PYTHON) as error:
        received, remedy = _fault(require_file(path), kind, error)
        asked = f"The file {Path(path).name} was to be read as {kind}."
        raise CorruptFileError(asked, received=received, remedy=remedy) from error


def _fault(path: Path, kind: str, error: BaseException) -> tuple[str, str]:
    """What is wrong with a file, and what to do."""
    reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    if isinstance(error, PermissionError):
        return f"a file that this user may not read ({reason})", f"chmod u+r {path}"
    size = f"{path.stat().st_size:,} bytes"
    again = f"Fetch or simulate it again, or put a whole file at {path}."
    with path.open("rb") as file:
        begins_well = file.read(8).startswith(BEGINS.get(kind.lower(), b""))
    if not path.stat().st_size:
        return "an empty file (0 bytes)", again
    if isinstance(error, UnicodeDecodeError) and kind == "CSV":
        return f"text that is not UTF-8 ({reason})", "Save it as UTF-8, e.g. iconv -f latin1 -t utf-8, or unpack it."
    if not begins_well:
        return f"a file that is not {kind}, {size} ({reason})", f"Check [format] in the manifest. {again}"
    if kind == "CSV" and not isinstance(error, EOFError):
        remedy = "Check delimiter, comment, names and skip_rows under [format] in the manifest, or the file itself."
        return f"{size} that do not fit ({reason})", remedy
    return f"{kind} that is damaged or cut short, {size} ({reason})", again


def require_file(path: str | Path) -> Path:
    """Give a path back if there is a file, and say so if there is none."""
    path = Path(path)
    if path.is_file():
        return path
    remedy = "Check the path, or fetch or simulate the survey again."
    raise DataNotFoundError(f"The file {path.name} was to be read.", received=f"no file at {path}", remedy=remedy)


def unread(
    path: str | Path, *, what: str, received: str, remedy: str, kind: type[DataError] = SchemaError
) -> DataError:
    """Build the error for a part of a file that cannot be read."""
    return kind(f"{what} was to be read from {Path(path).name}.", received=received, remedy=remedy)


def missing_key(path: str | Path, *, key: str, keys: Sequence[str]) -> SchemaError:
    """Build the error for a dataset or column that a file does not have, with the nearest spelling."""
    folded = {name.casefold(): name for name in keys}
    near = get_close_matches(key.casefold(), folded, n=1, cutoff=0.5)
    guess = f"Did you mean {folded[near[0]]!r}? " if near else ""
    remedy = f"{guess}Correct the name in the manifest, or use the file that has it."
    available = ", ".join(keys[:N_NAMES_SHOWN]) + ", …" * (len(keys) > N_NAMES_SHOWN)
    asked = f"{key!r} was asked for in {Path(path).name}."
    return SchemaError(asked, received="a file without it", available=available or "nothing", remedy=remedy)
