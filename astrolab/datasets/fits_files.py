"""FITS files: tables, whether alone or beside images, and pixels that stay on disk where they can."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from astropy.io import fits

from astrolab.datasets.missing import BZIP2, GZIP, XZ, missing_key, reading, require_file
from astrolab.datasets.rows import ColumnRows, MappedRows, Rows, or_absent, with_nulls
from astrolab.errors import AstrolabWarning, CorruptFileError, SchemaError

TABLES = (fits.BinTableHDU, fits.TableHDU)
DTYPES = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}  # of BITPIX, FITS standard 4.0, table 8
PACKED = {GZIP: gzip.decompress, BZIP2: bz2.decompress, XZ: lzma.decompress}


@contextmanager
def open_fits(path: str | Path) -> Iterator[fits.HDUList]:
    """Open a FITS file; what departs from the standard is said in one warning, what cannot be read is refused."""
    path, said = require_file(path), []
    try:
        with reading(path, kind="FITS"), warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            for known in ("File may have been truncated", "Column .* contains NULL"):  # see _refuse_cut, _column
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
        raise CorruptFileError(
            f"HDU {last.name or len(hdus) - 1} of {path.name} was to be read.",
            received=f"a file cut short, {missing:,} bytes too few",
            remedy=f"Fetch it again, or put the whole file at {path}.",
        )


def find_hdu(hdus: fits.HDUList, *, key: str, path: Path, kinds: tuple = (object,)) -> fits.hdu.base.ExtensionHDU:
    """The HDU of a name or number; of several with one name, the first."""
    found = [(hdu.name, str(number), hdu) for number, hdu in enumerate(hdus) if isinstance(hdu, kinds)]
    for name, number, hdu in found:
        if key.upper() in (name, number):
            return hdu
    raise missing_key(path, key=key, keys=[name or number for name, number, _ in found])


def has_table(hdus: fits.HDUList) -> bool:
    """Tell whether a FITS file has a table."""
    return any(isinstance(hdu, TABLES) for hdu in hdus)


def fits_columns(hdus: fits.HDUList, *, path: Path, wanted: str | None = None) -> dict[str, Rows]:
    """Read a table of an open FITS file: the one of a name or number, or the first."""
    if not has_table(hdus):
        raise SchemaError(
            f"A table was to be read from {path.name}.",
            received=f"a FITS file of {len(hdus)} HDUs without one",
            remedy="For images set kind = 'images' in the manifest.",
        )
    first = next(str(number) for number, hdu in enumerate(hdus) if isinstance(hdu, TABLES))
    table = find_hdu(hdus, key=wanted or first, path=path, kinds=TABLES)
    names = table.columns.names
    if len(set(names)) < len(names):
        raise SchemaError(
            f"The columns of {path.name} were to be told apart by their names.",
            received="more than one column named " + ", ".join(sorted({n for n in names if names.count(n) > 1})),
            remedy="Rename all but one of them (TTYPE in the header).",
        )
    return {name: or_absent(partial(_column, table, name), path=path, kind="FITS") for name in names}


def _column(table: fits.BinTableHDU | fits.TableHDU, name: str) -> ColumnRows:
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


def fits_pixels(hdu: fits.hdu.base.ExtensionHDU, *, path: Path, n_dims: int) -> Rows:
    """Images of one HDU of an open FITS file, with `n_dims` axes; one image is a stack of one.

    Pixels that are stored as they are stay on disk until asked for. Packed ones, and those with a BSCALE, BZERO or
    BLANK (which becomes NaN), are read at once.
    """
    shape = tuple(hdu.shape)
    if not shape:
        raise SchemaError(
            f"The pixels of HDU {hdu.name} of {path.name} were to be read.",
            received="an HDU without pixels",
            remedy="Correct [image] key in the manifest: it names the HDU, or a list of one a band.",
        )
    if len(shape) == n_dims - 1:
        shape = (1, *shape)
    if not _is_plain(hdu, path=path):
        blank, zero = hdu.header.get("BLANK"), hdu.header.get("BZERO", 0)
        values = hdu.data.reshape(shape)
        if blank is not None and values.dtype.kind == "u":  # of other types astropy itself makes NaN
            values = with_nulls(values, is_null=values == blank + zero)
        return values.astype(values.dtype.newbyteorder("="), copy=False)
    return MappedRows(path, offset=hdu.fileinfo()["datLoc"], shape=shape, dtype=np.dtype(DTYPES[hdu.header["BITPIX"]]))


def _is_plain(hdu: fits.hdu.base.ExtensionHDU, *, path: Path) -> bool:
    with path.open("rb") as file:
        is_packed = file.read(6) != b"SIMPLE"
    header = hdu.header
    is_scaled = header.get("BSCALE", 1) != 1 or header.get("BZERO", 0) != 0 or "BLANK" in header
    return not (is_packed or is_scaled or isinstance(hdu, fits.CompImageHDU))
