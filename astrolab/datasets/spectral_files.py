"""Spectra as LAMOST, DESI and plain FITS images store them, one or many a file: flux, inverse variance, wavelengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from astropy.io import fits

from astrolab.datasets import formats
from astrolab.datasets.formats import Array, Columns, Contents, find_hdu, fits_columns, fits_pixels
from astrolab.datasets.manifest import Format
from astrolab.datasets.rows import ColumnRows, LazyRows, MappedRows, Rows, missing_key, unread
from astrolab.errors import SchemaError

OF_THE_FILE = ("", "SIMPLE", "BITPIX", "EXTEND", "COMMENT", "HISTORY", "PCOUNT", "GCOUNT")  # and NAXIS…: no columns
DESI_TABLES = ("FIBERMAP", "SCORES", "RVTAB")
OFF_GRID = 0.05  # pixels that the wavelengths of an arm may lie off the grid of all


# Spectra of one camera: the pixel of the whole grid at which they begin, flux, inverse variance, mask.
Arm = tuple[int, Rows, Rows | None, Rows | None]


class ArmRows(LazyRows):
    """Flux or inverse variance of spectra from several arms, averaged by it where they overlap; 0 where it is bad."""

    def __init__(self, arms: Sequence[Arm], *, gives: str):
        self.arms, self.gives, self.dtype = tuple(arms), gives, np.dtype(np.float32)
        self.shape = (len(arms[0][1]), max(start + flux.shape[1] for start, flux, *_ in arms))

    def _read(self, numbers: np.ndarray) -> np.ndarray:
        flux, ivar = np.zeros((2, len(numbers), self.shape[1]), dtype=np.float32)
        end = 0
        for start, *parts in self.arms:
            own, weight = (np.array(rows[numbers], dtype=np.float32) for rows in parts[:2])
            is_bad = ~np.isfinite(own) | ~(weight > 0) | (weight == np.inf)
            is_bad |= False if parts[2] is None else np.asarray(parts[2][numbers]) != 0
            own, weight = np.nan_to_num(own, nan=0.0, posinf=0.0, neginf=0.0), np.where(is_bad, np.float32(0), weight)
            if (n := end - start) > 0:
                before, its, here = flux[:, start:end], ivar[:, start:end], own[:, :n]
                total = its + weight[:, :n]
                mean = (before * its + here * weight[:, :n]) / np.where(total > 0, total, 1)
                own[:, :n], weight[:, :n] = np.where(total > 0, mean, (before + here) / 2), total
            end = start + own.shape[1]
            flux[:, start:end], ivar[:, start:end] = own, weight
        return ivar if self.gives == "ivar" else flux


def _read_spectra(path: Path, layout: Format, arrays: dict[str, int], texts: Sequence[str]) -> Contents:
    """Read ``flux``, ``ivar`` where there is one, ``wave`` (with one axis that of all spectra), and all columns."""
    with formats.open_fits(path) as hdus:
        columns, arms, wave = KINDS[layout.format](hdus, path=path, table=layout.table)
    for arm in arms:
        shapes = dict.fromkeys(rows.shape for rows in arm[1:] if rows is not None)
        if len(shapes) > 1 or len(arm[1]) != len(arms[0][1]):
            remedy = "Fetch the file again, or repair it."
            raise unread(path, what="Flux and errors alike", received=f"shapes {[*shapes]}", remedy=remedy)
    has_ivar = arms[0][2] is not None
    found = {key: ArmRows(arms, gives=key) for key in ("flux", "ivar")} if has_ivar else {"flux": arms[0][1]}
    if arrays.get("wave") == 1 and len(wave.shape) == 2:
        ends = (wave.mapped() if isinstance(wave, MappedRows) else wave)[:, [0, -1]]
        if np.ptp(ends, axis=0).max() > 1e-6 * ends[0, 0]:
            raise no_common_grid(path)
        wave = wave[:1][0]
    is_shared = arrays.get("wave") == 2 and len(wave.shape) == 1
    found["wave"] = np.broadcast_to(wave, found["flux"].shape) if is_shared else wave
    if unknown := [key for key in arrays if key not in found]:
        raise missing_key(path, key=unknown[0], keys=list(found))
    return columns, {key: Array(found[key]) for key in arrays}


def no_common_grid(path: Path) -> SchemaError:
    """Build the error for spectra that are not all on one grid."""
    remedy = 'Write axes = ["pixel"] and companions = { wave = "wave" } into the manifest, in place of grid.'
    return unread(path, what="A grid of all spectra", received="objects with different wavelengths", remedy=remedy)


def _header_columns(header: fits.Header) -> Columns:
    values = {key: header[key] for key in header if key not in OF_THE_FILE and not key.startswith("NAXIS")}
    plain = {key: value for key, value in values.items() if isinstance(value, str | int | float)}
    return {key: ColumnRows(np.array([v], dtype=object if isinstance(v, str) else None)) for key, v in plain.items()}


def _lamost(hdus: fits.HDUList, *, path: Path, table: str | None) -> tuple[Columns, list[Arm], Rows]:
    """A table with vectors FLUX, IVAR, WAVELENGTH, ANDMASK, one row or many; or these as rows of the first HDU."""
    header, names = hdus[0].header, ("FLUX", "IVAR", "WAVELENGTH", "ANDMASK")
    columns = _header_columns(header)
    if len(hdus[0].shape) == 2 and hdus[0].shape[0] >= len(names):
        flux, ivar, wave, mask = (np.asarray(fits_pixels(hdus[0], path=path, n_dims=2)[k : k + 1]) for k in range(4))
    else:
        coadd = find_hdu(hdus, key="1", path=path, kinds=(fits.BinTableHDU,))
        found = {str(name).upper(): name for name in coadd.columns.names}
        if missing := [name for name in names[:3] if name not in found]:
            raise missing_key(path, key=missing[0], keys=list(found))
        flux, ivar, wave, mask = (_vectors(coadd, name=found.get(name), path=path) for name in names)
        has_catalogue = any(hdu.name == "CATALOGUE" for hdu in hdus)
        columns = columns if len(flux) == 1 else {}
        if table or has_catalogue:
            columns |= fits_columns(hdus, path=path, wanted=table or "CATALOGUE")
    if len(flux) == 1 and "COEFF0" in header:  # in full precision
        wave = 10.0 ** (header["COEFF0"] + header["COEFF1"] * np.arange(wave.shape[1])[None])
    return columns, [(0, flux, ivar, mask)], wave


def _vectors(table: fits.BinTableHDU, *, name: str | None, path: Path) -> Rows | None:
    """A column of vectors, on disk if it is stored as it is."""
    if name is None or formats.is_packed(path) or table.columns[name].bscale or table.columns[name].bzero:
        return name and np.array(table.data[name])
    record = table.columns.dtype.newbyteorder(">")
    where = table.fileinfo()["datLoc"]
    return MappedRows(path, offset=where, shape=(table.header["NAXIS2"],), dtype=record, field=name)


def _desi(hdus: fits.HDUList, *, path: Path, table: str | None) -> tuple[Columns, list[Arm], Rows]:
    """Every arm that has a WAVELENGTH, on the one linear grid of all; the tables have the rows of the arms."""
    names = [hdu.name for hdu in hdus]
    kinds = [name.removesuffix("_WAVELENGTH") for name in names if name.endswith("_WAVELENGTH")]
    if not kinds:
        raise missing_key(path, key="B_WAVELENGTH", keys=names)
    waves = {kind: np.float64(find_hdu(hdus, key=f"{kind}_WAVELENGTH", path=path).data) for kind in kinds}
    first, *_ = grid = min(waves.values(), key=lambda wave: wave[0])
    step, arms = (grid[-1] - grid[0]) / (len(grid) - 1), []
    for kind in sorted(waves, key=lambda kind: waves[kind][0]):
        place, pixels = (waves[kind] - first) / step, np.arange(len(waves[kind]))
        if np.abs(place - round(place[0]) - pixels).max() > OFF_GRID:
            received = f"wavelengths of {kind} off {first:g} + {step:g} k Å by more than {OFF_GRID} pixels"
            remedy = "Resample the arms to one grid, or read one of them with format = 'fits'."
            raise unread(path, what="Arms on one linear grid", received=received, remedy=remedy)
        keys = [f"{kind}_{key}" for key in ("FLUX", "IVAR", "MASK") if key != "MASK" or f"{kind}_MASK" in names]
        rows = [fits_pixels(find_hdu(hdus, key=key, path=path), path=path, n_dims=2) for key in keys]
        arms.append((round(place[0]), *rows, *[None] * (3 - len(rows))))
    columns: Columns = {}
    for name in [table] if table else [name for name in DESI_TABLES if name in names]:
        columns = fits_columns(hdus, path=path, wanted=name) | columns
    return columns, arms, first + step * np.arange(max(start + flux.shape[1] for start, flux, *_ in arms))


def _image(hdus: fits.HDUList, *, path: Path, table: str | None) -> tuple[Columns, list[Arm], Rows]:
    """The first HDU with pixels, a spectrum or one a row; CRVAL1 and CDELT1 give wavelengths, IVAR may lie beside."""
    hdu = next((one for one in hdus if one.shape and not isinstance(one, fits.BinTableHDU)), hdus[0])
    flux, header = fits_pixels(hdu, path=path, n_dims=2), hdu.header
    step = header.get("CDELT1", header.get("CD1_1"))
    if step is None or "CRVAL1" not in header:
        remedy = "Use format = 'fits', and write the grid into the manifest."
        raise unread(path, what="Wavelengths", received="a header without CRVAL1 and CDELT1", remedy=remedy)
    wave = header["CRVAL1"] + step * (np.arange(flux.shape[1]) + 1 - header.get("CRPIX1", 1.0))
    is_log = header.get("DC-FLAG") == 1
    ivar = next((fits_pixels(one, path=path, n_dims=2) for one in hdus if one.name == "IVAR"), None)
    columns = _header_columns(header) if len(flux) == 1 else {}
    return columns, [(0, flux, ivar, None)], 10.0**wave if is_log else wave


KINDS = {"lamost": _lamost, "desi": _desi, "fits1d": _image}
formats.READERS |= dict.fromkeys(KINDS, _read_spectra)


def gather(paths: Sequence[Path], *, layout: Format, arrays: Mapping[str, int]) -> tuple[Columns, dict[str, Array]]:
    """Read files of one spectrum each into memory; short ones get pixels of inverse variance 0 at their end."""
    found, gathered = [formats.read_contents(path, layout=layout, arrays=arrays) for path in paths], {}
    for key, n_axes in arrays.items():
        rows = [np.asarray(parts[key].rows[:]) for _, parts in found]
        for path, row in zip(paths, rows, strict=True):
            if n_axes == 2 and len(row) != 1:
                remedy = "Name such a file under [[files]]."
                raise unread(path, what="One spectrum", received=f"{len(row)} of them", remedy=remedy)
            if n_axes == 1 and (row.shape != rows[0].shape or not np.allclose(row, rows[0], rtol=1e-6)):
                raise no_common_grid(path)
        longer = np.zeros((len(rows), max(row.shape[-1] for row in rows)), dtype=rows[0].dtype)
        for row, own in zip(longer, map(np.ravel, rows), strict=True):
            row[: len(own)] = own
            if key == "wave":
                row[len(own) :] = own[-1] * (own[-1] / own[-2]) ** np.arange(1, len(row) - len(own) + 1)
        gathered[key] = Array(longer[0] if n_axes == 1 else longer)
    common = [name for name in found[0][0] if all(name in columns for columns, _ in found)]
    return {name: ColumnRows(np.concatenate([columns[name][:] for columns, _ in found])) for name in common}, gathered
