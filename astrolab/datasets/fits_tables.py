"""Tables in FITS files, whether alone or beside images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.io import fits

from astrolab.datasets.rows import ColumnRows, Rows, missing_key
from astrolab.errors import SchemaError

TABLES = (fits.BinTableHDU, fits.TableHDU)


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
