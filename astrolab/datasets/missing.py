"""What every reader says of a file that is not there, cannot be read, or has not what was asked of it."""

from __future__ import annotations

import lzma
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
from astropy.io import fits
from astropy.table.meta import YamlParseError
from pandas.errors import ParserWarning

try:
    from astropy.io.fits.hdu.compressed._compression import CfitsioException
except ImportError:  # astropy 6
    from astropy.io.fits._tiled_compression._compression import CfitsioException

from astrolab.errors import AstrolabError, CorruptFileError, DataNotFoundError, SchemaError

# What the libraries raise on files that are damaged, cut short, or not what they claim to be.
OF_FORMATS = (fits.VerifyError, CfitsioException, YamlParseError, ParserWarning, pa.ArrowException, zipfile.BadZipFile)
OF_STREAMS = (OSError, EOFError, zlib.error, lzma.LZMAError, struct.error)
OF_CONTENTS = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, AssertionError)
OF_HEADERS = (SyntaxError, tokenize.TokenError)  # npy files keep theirs as Python source
UNREADABLE = (*OF_FORMATS, *OF_STREAMS, *OF_CONTENTS, *OF_HEADERS, RuntimeError, SystemError, MemoryError, ImportError)

GZIP, BZIP2, XZ, ZIP = b"\x1f\x8b", b"BZ", b"\xfd7", b"PK"
BEGINS = {"HDF5": b"\x89HDF\r\n\x1a\n", "FITS": (b"SIMPLE", GZIP, BZIP2, XZ, ZIP), "Parquet": b"PAR1", "npz": ZIP}


@contextmanager
def reading(path: str | Path, *, kind: str) -> Iterator[None]:
    """Turn whatever a library raises on a damaged file into one error that says what is wrong with the file.

    `kind` is ``"CSV"``, ``"FITS"``, ``"HDF5"``, ``"npz"`` or ``"Parquet"``.
    """
    try:
        yield
    except AstrolabError:
        raise
    except UNREADABLE as error:
        received, remedy = _fault(require_file(path), kind, error)
        raise CorruptFileError(
            f"The file {Path(path).name} was to be read as {kind}.", received=received, remedy=remedy
        ) from error


def _fault(path: Path, kind: str, error: BaseException) -> tuple[str, str]:
    """What is wrong with a file, and what to do."""
    reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    if isinstance(error, PermissionError):
        return f"a file that this user may not read ({reason})", f"chmod u+r {path}"
    size = f"{path.stat().st_size:,} bytes"
    again = f"Fetch or simulate it again, or put a whole file at {path}."
    with path.open("rb") as file:
        begins_well = file.read(8).startswith(BEGINS.get(kind, b""))
    if not path.stat().st_size:
        return "an empty file (0 bytes)", again
    if isinstance(error, UnicodeDecodeError) and kind == "CSV":
        return f"text that is not UTF-8 ({reason})", "Save it as UTF-8, e.g. iconv -f latin1 -t utf-8, or unpack it."
    if not begins_well:
        return f"a file that is not {kind}, {size} ({reason})", f"Check [format] in the manifest. {again}"
    if isinstance(error, MemoryError):
        return f"{size} that claim to hold more than the memory does ({reason})", again
    if isinstance(error, EOFError) or "truncated" in reason:
        return f"a {kind} file cut short, {size} ({reason})", again
    if kind == "CSV":
        return (
            f"{size} that do not fit ({reason})",
            "Check delimiter, comment, names and skip_rows under [format] in the manifest, or the file itself.",
        )
    return f"{kind} that is damaged or cut short, {size} ({reason})", again


def require_file(path: str | Path) -> Path:
    """Give a path back if there is a file, and say so if there is none."""
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
