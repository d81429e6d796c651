"""FITS files: tables, whether alone or beside images, and pixels that stay on disk where they can."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from astropy.io import fits

from astrolab.datasets.missing import missing_key
from astrolab.datasets.rows import ColumnRows, MappedRows, Rows
from astrolab.errors import CorruptFileError, SchemaError

TABLES = (fits.BinTableHDU, fits.TableHDU)
DTYPES = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}  # of BITPIX, FITS standard 4.0, table 8


def has_table(hdus: fits.HDUList) -> bool:
    """Tell whether a FITS file has a table.

    Parameters
    ----------
    hdus : HDUList

    Returns
    -------
    bool
    """
    return any(isinstance(hdu, TABLES) for hdu in hdus)


def fits_columns(hdus: fits.HDUList, *, path: Path, wanted: str | None = None) -> dict[str, Rows]:
    """Read a table of an open FITS file.

    Parameters
    ----------
    hdus : HDUList
    path : Path
        The file.
    wanted : str, optional
        Name or number of the HDU; by default the first table.

    Returns
    -------
    dict of str to Rows

    Raises
    ------
    SchemaError
        If there is no table, or none of that name.
    """
    tables = {}
    for number, hdu in enumerate(hdus):
        if isinstance(hdu, TABLES):
            tables |= {str(number): hdu, hdu.name: hdu} if hdu.name else {str(number): hdu}
    if not tables:
        raise SchemaError(
            f"A table was to be read from {path.name}.",
            received=f"a FITS file of {len(hdus)} HDUs without one",
            remedy="For images set kind = 'images' in the manifest.",
        )
    if wanted is not None and wanted not in tables:
        raise missing_key(path, key=wanted, keys=list(tables))
    table = tables[wanted] if wanted is not None else next(iter(tables.values()))
    return {name: ColumnRows(np.asarray(table.data[name])) for name in table.columns.names}


def fits_pixels(hdu: fits.hdu.base.ExtensionHDU, *, path: Path, n_dims: int) -> Rows:
    """Images of one HDU of a FITS file; one image is a stack of one.

    Pixels that are stored as they are stay on disk until asked for; compressed ones, and integers with a BSCALE,
    BZERO or BLANK, are read at once.

    Parameters
    ----------
    hdu : PrimaryHDU, ImageHDU or CompImageHDU
        Of a file that is open.
    path : Path
        The file.
    n_dims : int
        Axes of a stack: 4 for (n, band, y, x), 3 for (n, y, x).

    Returns
    -------
    Rows
        Of `n_dims` axes, unless the HDU holds something else: then of the shape that it has.

    Raises
    ------
    SchemaError
        If the HDU holds no pixels.
    CorruptFileError
        If the file ends before the pixels do.
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
        return hdu.data.reshape(shape)
    offset, dtype = hdu.fileinfo()["datLoc"], np.dtype(DTYPES[hdu.header["BITPIX"]])
    missing = offset + math.prod(shape) * dtype.itemsize - path.stat().st_size
    if missing > 0:
        raise CorruptFileError(
            f"The pixels of HDU {hdu.name} of {path.name} were to be read.",
            received=f"a file cut short, {missing:,} bytes too few",
            remedy=f"Put the file at {path} again.",
        )
    return MappedRows(path, offset=offset, shape=shape, dtype=dtype)


def _is_plain(hdu: fits.hdu.base.ExtensionHDU, *, path: Path) -> bool:
    with path.open("rb") as file:
        is_gzipped = file.read(6) != b"SIMPLE"
    header = hdu.header
    is_scaled = header.get("BSCALE", 1) != 1 or header.get("BZERO", 0) != 0 or "BLANK" in header
    return not (is_gzipped or is_scaled or isinstance(hdu, fits.CompImageHDU))
