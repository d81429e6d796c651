"""Spectra as LAMOST, DESI and plain FITS images store them, one or many a file: flux, inverse variance, wavelengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy.io import fits

from astrolab.datasets.formats import (
    Array,
    Columns,
    Contents,
    find_hdu,
    fits_columns,
    fits_pixels,
    is_packed,
    open_fits,
    read_contents,
)
from astrolab.datasets.manifest import Format
from astrolab.datasets.rows import ColumnRows, LazyRows, MappedRows, Rows, missing_key, unread
from astrolab.errors import SchemaError

KEYS = ("flux", "ivar", "wave")
OF_THE_FILE = ("", "SIMPLE", "BITPIX", "EXTEND", "COMMENT", "HISTORY", "PCOUNT", "GCOUNT")  # and NAXIS…: no columns
DESI_TABLES = ("FIBERMAP", "SCORES", "RVTAB")
OF_A_GRID = 0.05  # pixels that a wavelength may lie off the grid that a header states


class Arm(NamedTuple):
    """Spectra of one camera, and the pixel of the whole grid at which they begin."""

    start: int
    flux: Rows
    ivar: Rows
    mask: Rows | None


class ArmRows(LazyRows):
    """Flux (0 where it is not finite) or inverse variance (0 there, and where a mask is set) of spectra (n, pixel).

    Where arms overlap, fluxes are averaged by inverse variance; plainly where neither arm has any.
    """

    def __init__(self, arms: Sequence[Arm], *, gives: str):
        self.arms, self.gives, self.dtype = tuple(arms), gives, np.dtype(np.float32)
        self.shape = (len(arms[0].flux), max(arm.start + arm.flux.shape[1] for arm in arms))

    def _read(self, numbers: np.ndarray) -> np.ndarray:
        return self.both(numbers)[self.gives == "ivar"]

    def both(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Read flux and inverse variance at once."""
        flux, ivar = np.zeros((2, len(numbers), self.shape[1]), dtype=np.float32)
        end = 0
        for arm in self.arms:
            own, weight = _cleaned(arm, numbers)
            if (n := end - arm.start) > 0:
                common, total = slice(arm.start, end), ivar[:, arm.start : end] + weight[:, :n]
                mean = flux[:, common] * ivar[:, common] + own[:, :n] * weight[:, :n]
                plain = (flux[:, common] + own[:, :n]) / 2
                own[:, :n], weight[:, :n] = np.where(total > 0, mean / np.where(total > 0, total, 1), plain), total
            end = arm.start + own.shape[1]
            flux[:, arm.start : end], ivar[:, arm.start : end] = own, weight
        return flux, ivar


def _cleaned(arm: Arm, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    flux, ivar = (np.array(rows[numbers], dtype=np.float32) for rows in (arm.flux, arm.ivar))
    is_bad = ~np.isfinite(flux)
    flux[is_bad] = 0
    is_bad |= ~(ivar > 0) | (ivar == np.inf)
    if arm.mask is not None:
        is_bad |= np.asarray(arm.mask[numbers]) != 0
    ivar[is_bad] = 0
    return flux, ivar


def read_spectra(path: Path, *, layout: Format, arrays: Mapping[str, int]) -> Contents:
    """Read the arrays ``flux``, ``ivar`` and ``wave`` (with one axis that of all objects), and all columns."""
    with open_fits(path) as hdus:
        columns, arms, wave = KINDS[layout.format](hdus, path=path, table=layout.table)
    keys = KEYS if arms[0].ivar is not None else ("flux", "wave")
    if unknown := [key for key in arrays if key not in keys]:
        raise missing_key(path, key=unknown[0], keys=keys)
    found = {key: Array(ArmRows(arms, gives=key) if arms[0].ivar is not None else arms[0].flux) for key in keys[:-1]}
    found["wave"] = Array(wave)
    if arrays.get("wave") == 1 and len(wave.shape) == 2:
        looked_at = wave[:] if isinstance(wave, np.ndarray) else wave.pixels([0, wave.shape[1] // 2, -1])
        if not np.allclose(looked_at, looked_at[:1], rtol=1e-6):
            raise no_common_grid(path)
        found["wave"] = Array(np.asarray(wave[:1])[0])
    elif arrays.get("wave") == 2 and len(wave.shape) == 1:
        found["wave"] = Array(np.broadcast_to(wave, found["flux"].rows.shape))
    return columns, {key: found[key] for key in arrays}


def no_common_grid(path: Path) -> SchemaError:
    """Build the error for spectra that are not all on one grid."""
    remedy = 'Leave grid out of the manifest, and declare companions = { wave = "wave" } (and axes = ["pixel"]).'
    return unread(path, what="A grid of all spectra", received="objects with different wavelengths", remedy=remedy)


def _header_columns(header: fits.Header) -> Columns:
    values = {key: header[key] for key in header if key not in OF_THE_FILE and not key.startswith("NAXIS")}
    plain = {key: value for key, value in values.items() if isinstance(value, str | int | float)}
    kinds = {key: object if isinstance(value, str) else None for key, value in plain.items()}
    return {key: ColumnRows(np.array([value], dtype=kinds[key])) for key, value in plain.items()}


def _log_grid(header: fits.Header, wave: np.ndarray) -> np.ndarray:
    """Wavelengths in full precision, from COEFF0 and COEFF1, where these say the same as the rounded ones stored."""
    if "COEFF0" not in header or "COEFF1" not in header:
        return wave
    exact = 10.0 ** (header["COEFF0"] + header["COEFF1"] * np.arange(wave.shape[-1]))
    return exact if (np.abs(wave / exact - 1) < OF_A_GRID * header["COEFF1"] * np.log(10)).all() else wave


def _lamost(hdus: fits.HDUList, *, path: Path, table: str | None) -> tuple[Columns, list[Arm], Rows]:
    """The first table with vectors FLUX, IVAR, WAVELENGTH, ANDMASK, one row or many; or five rows of the first HDU."""
    header = hdus[0].header
    if len(hdus[0].shape) == 2:
        stored = fits_pixels(hdus[0], path=path, n_dims=2)
        if len(stored) < 4:
            received = f"a matrix of {len(stored)} rows"
            what, remedy = "flux, ivar, wavelength, andmask, ormask", "Correct [format] in the manifest."
            raise unread(path, what=what, received=received, remedy=remedy)
        flux, ivar, wave, mask = (np.asarray(stored[row : row + 1]) for row in range(4))
        return _header_columns(header), [Arm(0, flux, ivar, mask)], _log_grid(header, np.float64(wave[0]))
    coadd = find_hdu(hdus, key="1", path=path, kinds=(fits.BinTableHDU,))
    names = {name.upper(): name for name in coadd.columns.names}
    if missing := [key for key in ("FLUX", "IVAR", "WAVELENGTH") if key not in names]:
        raise missing_key(path, key=missing[0], keys=coadd.columns.names)
    flux, ivar, wave, mask = (
        _vectors(coadd, names[key], path=path) if key in names else None
        for key in ("FLUX", "IVAR", "WAVELENGTH", "ANDMASK")
    )
    found = {hdu.name: hdu for hdu in hdus}
    columns = _header_columns(header) if len(flux) == 1 else {}
    if table or "CATALOGUE" in found:
        columns |= fits_columns(hdus, path=path, wanted=table or "CATALOGUE")
    if len(flux) == 1:
        wave = _log_grid(header, np.float64(wave[0]))
    return columns, [Arm(0, flux, ivar, mask)], wave


class VectorRows(MappedRows):
    """One column of vectors of a FITS table, mapped."""

    def __init__(self, path: Path, *, offset: int, n_rows: int, record: np.dtype, field: str):
        kind = record[field]
        super().__init__(path, offset=offset, shape=(n_rows, *kind.shape), dtype=kind.base)
        self.record, self.field = record, field

    def mapped(self) -> np.ndarray:
        """Give the column where it lies."""
        return np.memmap(self.path, self.record, mode="r", offset=self.offset, shape=self.shape[:1])[self.field]

    def pixels(self, places: Sequence[int]) -> np.ndarray:
        """Read a few pixels of every row."""
        return self.mapped()[:, places].astype(self.dtype)


def _vectors(table: fits.BinTableHDU, name: str, *, path: Path) -> Rows:
    column = table.columns[name]
    record = table.columns.dtype.newbyteorder(">")
    if is_packed(path) or column.bscale not in (None, "", 1) or column.bzero not in (None, "", 0):
        return np.array(table.data[name])
    where = table.fileinfo()["datLoc"]
    return VectorRows(path, offset=where, n_rows=table.header["NAXIS2"], record=record, field=name)


def _desi(hdus: fits.HDUList, *, path: Path, table: str | None) -> tuple[Columns, list[Arm], Rows]:
    """Every arm that has a WAVELENGTH, on the one linear grid of all; tables must have the rows of the first."""
    kinds = [hdu.name.removesuffix("_WAVELENGTH") for hdu in hdus if hdu.name.endswith("_WAVELENGTH")]
    if not kinds:
        raise missing_key(path, key="B_WAVELENGTH", keys=[hdu.name for hdu in hdus])
    waves = {kind: np.float64(find_hdu(hdus, key=f"{kind}_WAVELENGTH", path=path).data) for kind in kinds}
    kinds.sort(key=lambda kind: waves[kind][0])
    first, step = waves[kinds[0]][0], float(np.median(np.diff(waves[kinds[0]])))
    arms, n = [], 0
    for kind in kinds:
        start = round((waves[kind][0] - first) / step)
        n = max(n, start + len(waves[kind]))
        if (np.abs(waves[kind] - first - step * (start + np.arange(len(waves[kind])))) > OF_A_GRID * step).any():
            received = f"wavelengths of {kind} off the grid {first:g} + {step:g} k Å by more than {OF_A_GRID} pixels"
            remedy = "Resample the arms to one grid first, or name one arm's HDUs with format = 'fits'."
            raise unread(path, what="Arms on one linear grid", received=received, remedy=remedy)
        pixels = {key: find_hdu(hdus, key=f"{kind}_{key}", path=path) for key in ("FLUX", "IVAR")}
        if any(hdu.name == f"{kind}_MASK" for hdu in hdus):
            pixels["MASK"] = find_hdu(hdus, key=f"{kind}_MASK", path=path)
        rows = {key: fits_pixels(hdu, path=path, n_dims=2) for key, hdu in pixels.items()}
        arms.append(Arm(start, rows["FLUX"], rows["IVAR"], rows.get("MASK")))
    columns: Columns = {}
    for name in [table] if table else [hdu.name for hdu in hdus if hdu.name in DESI_TABLES]:
        found = fits_columns(hdus, path=path, wanted=name)
        ids, known = (one.get("TARGETID") for one in (found, columns))
        if ids is not None and known is not None and not np.array_equal(ids[:], known[:]):
            remedy = "Join the table by its TARGETID instead, with a section [[join]] of the manifest."
            raise unread(path, what=f"{name}, row by row,", received="other TARGETIDs than before it", remedy=remedy)
        columns = found | columns
    return columns, arms, first + step * np.arange(n)


def _image(hdus: fits.HDUList, *, path: Path, table: str | None) -> tuple[Columns, list[Arm], Rows]:
    """The first HDU with pixels, a spectrum or one a row; CRVAL1 and CDELT1 give wavelengths, IVAR may lie beside."""
    hdu = next((one for one in hdus if one.shape and not isinstance(one, fits.BinTableHDU)), hdus[0])
    flux, header = fits_pixels(hdu, path=path, n_dims=2), hdu.header
    step = header.get("CDELT1", header.get("CD1_1"))
    if step is None or "CRVAL1" not in header:
        remedy = "Use format = 'fits' with the grid written into the manifest, if the header does not have it."
        raise unread(path, what="Wavelengths", received="a header without CRVAL1 and CDELT1", remedy=remedy)
    wave = header["CRVAL1"] + step * (np.arange(flux.shape[1]) + 1 - header.get("CRPIX1", 1.0))
    is_log = header.get("DC-FLAG") == 1 or "LOG" in str(header.get("CTYPE1", "")).upper()
    ivar = next((fits_pixels(one, path=path, n_dims=2) for one in hdus if one.name == "IVAR"), None)
    columns = (
        fits_columns(hdus, path=path, wanted=table) if table else _header_columns(header) if len(flux) == 1 else {}
    )
    return columns, [Arm(0, flux, ivar, None)], 10.0**wave if is_log else wave


KINDS = {"lamost": _lamost, "desi": _desi, "fits1d": _image}


def gather(paths: Sequence[Path], *, layout: Format, arrays: Mapping[str, int]) -> Contents:
    """Read files of one spectrum each into memory, as rows of arrays.

    Shorter spectra get pixels of inverse variance 0 at their end, on wavelengths that go on.
    """
    found = [read_contents(path, layout=layout, arrays=arrays) for path in paths]
    for path, (_, parts) in zip(paths, found, strict=True):
        if any(len(parts[key].rows) != 1 for key, n_axes in arrays.items() if n_axes == 2):
            remedy = "Name such a file under [[files]]."
            raise unread(path, what="One spectrum", received="a file of several", remedy=remedy)
    longest = max(parts[key].rows.shape[-1] for _, parts in found for key in arrays)
    gathered = {}
    for key, n_axes in arrays.items():
        rows = [np.asarray(parts[key].rows[:]).reshape(-1) for _, parts in found]
        if n_axes == 1:
            alike = (len(row) == longest and np.allclose(row, rows[0], rtol=1e-6) for row in rows)
            differing = next((path for path, same in zip(paths, alike, strict=True) if not same), None)
            if differing:
                raise no_common_grid(differing)
            gathered[key] = Array(rows[0])
        else:
            gathered[key] = Array(np.stack([_longer(row, n=longest, goes_on=key == "wave") for row in rows]))
    common = [name for name in found[0][0] if all(name in columns for columns, _ in found)]
    columns = {name: np.concatenate([columns[name][:] for columns, _ in found]) for name in common}
    return {name: ColumnRows(values) for name, values in columns.items()}, gathered


def _longer(row: np.ndarray, *, n: int, goes_on: bool) -> np.ndarray:
    beyond = np.arange(1, n - len(row) + 1)
    more = row[-1] * (row[-1] / row[-2]) ** beyond if goes_on and len(beyond) else np.zeros(len(beyond))
    return np.concatenate([row, more]).astype(row.dtype)
