"""Reader of image surveys: the published HDF5 schema, and cutouts in FITS or npz files."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
from astropy.io import fits

from astrolab.datasets.columns import assemble_survey
from astrolab.datasets.fits_files import fits_columns, fits_pixels, has_table
from astrolab.datasets.hdf5 import H5Rows, h5_columns, h5_keys, open_h5
from astrolab.datasets.manifest_schema import Manifest
from astrolab.datasets.missing import missing_key, require_file
from astrolab.datasets.rows import ColumnRows, CroppedRows, LazyRows, Rows
from astrolab.datasets.survey import Survey
from astrolab.errors import CorruptFileError, SchemaError

Contents = tuple[Rows, dict[str, Rows]]


def read_images(path: str | Path, *, manifest: Manifest, image_size: int | None = None) -> Survey:
    """Open the galaxies of one image file; pixels of HDF5 and plain FITS files stay on disk.

    HDF5 files follow the schema of GalaxiesML and TransferZ-Images (Do et al. 2024, arXiv:2410.00271): `image`
    (n, band, y, x), and one dataset (n,) or (n, 1) a column. A FITS or npz file holds the same array, or one scene
    (band, y, x); the columns of a FITS file are those of its table. The bands may also lie in an array each.

    Parameters
    ----------
    path : path
        A file that the manifest names.
    manifest : Manifest
        The survey.
    image_size : int, optional
        Side length wanted (px), cut from the centre; by default the first size that the manifest lists, or the size
        on disk where it lists none.

    Returns
    -------
    Survey

    Raises
    ------
    DataNotFoundError, CorruptFileError
        Where there is no file, or none that can be read.
    SchemaError
        Where a key is missing, or bands, shapes or sizes are not those of the manifest.
    """
    path = require_file(path)
    image, columns = _READERS[manifest.format.format if manifest.format else "hdf5"](path, manifest)
    survey = assemble_survey(columns, manifest=manifest, path=path, n_rows=image.shape[0], image=image)
    _refuse_other_size(path, manifest=manifest, image=image)
    size = image_size or manifest.size_on_disk()
    if size is None or image.shape[-2:] == (size, size):
        return survey
    return replace(survey, inputs={**survey.inputs, "image": CroppedRows(image, size=size)})


def _read_hdf5(path: Path, manifest: Manifest) -> Contents:
    keys = manifest.image.key
    with open_h5(path) as file:
        for key in keys:
            if not isinstance(file.get(key), h5py.Dataset):
                raise missing_key(path, key=key, keys=h5_keys(file))
        parts = [H5Rows.of(path, dataset=file[key]) for key in keys]
        _refuse_other_bands(path, manifest=manifest, found=file[keys[0]].attrs.get("bands"))
        columns = h5_columns(path, file=file, group=manifest.format.table if manifest.format else None)
    return _one_stack(parts, path=path), {name: rows for name, rows in columns.items() if name not in keys}


def _read_npz(path: Path, manifest: Manifest) -> Contents:
    keys = manifest.image.key
    try:
        with np.load(path, allow_pickle=False) as file:
            for key in keys:
                if key not in file.files:
                    raise missing_key(path, key=key, keys=file.files)
            arrays = {name: file[name] for name in file.files}
    except (zipfile.BadZipFile, ValueError, EOFError) as error:
        raise _unreadable(path, kind="npz", reason=str(error)) from error
    _refuse_other_bands(path, manifest=manifest, found=arrays.get("bands", arrays.get("filters")))
    parts = [arrays.pop(key) for key in keys]
    n_dims = _axes_of_a_stack(parts)
    image = _one_stack([part[None] if part.ndim == n_dims - 1 else part for part in parts], path=path)
    columns = {name: ColumnRows(values) for name, values in arrays.items() if values.shape == image.shape[:1]}
    return image, columns


def _read_fits(path: Path, manifest: Manifest) -> Contents:
    keys = manifest.image.key
    try:
        with fits.open(path, memmap=False) as hdus:
            names = [hdu.name for hdu in hdus]
            for key in keys:
                if key.upper() not in names:
                    raise missing_key(path, key=key, keys=names)
            parts = [fits_pixels(hdus[key], path=path, n_dims=_axes_of_a_stack(keys)) for key in keys]
            image = _one_stack(parts, path=path)
            wanted = manifest.format.table
            return image, fits_columns(hdus, path=path, wanted=wanted) if wanted or has_table(hdus) else {}
    except (OSError, TypeError) as error:
        raise _unreadable(path, kind="FITS", reason=str(error)) from error


_READERS = {"hdf5": _read_hdf5, "npz": _read_npz, "fits": _read_fits}


class BandRows(LazyRows):
    """Images (n, band, y, x) from one stack (n, y, x) a band."""

    def __init__(self, parts: Sequence[Rows]):
        self.parts = tuple(parts)
        self.shape = (len(parts[0]), len(parts), *parts[0].shape[1:])
        self.dtype = np.result_type(*(part.dtype for part in parts))

    def _read(self, numbers: np.ndarray) -> np.ndarray:
        return np.stack([part[numbers] for part in self.parts], axis=1)


def _axes_of_a_stack(parts: Sequence) -> int:
    """4 where one array (n, band, y, x) holds all bands, 3 where every band has an array (n, y, x)."""
    return 4 if len(parts) == 1 else 3


def _one_stack(parts: Sequence[Rows], *, path: Path) -> Rows:
    """Images (n, band, y, x) from the arrays that a manifest names: one, or one (n, y, x) a band."""
    if len(parts) == 1:
        return parts[0]
    shapes = list(dict.fromkeys(part.shape for part in parts))
    if len(shapes) > 1 or len(shapes[0]) != 3:
        raise SchemaError(
            f"Images, one array (n, y, x) a band, were to be read from {path.name}.",
            received=", ".join(f"shape {shape}" for shape in shapes),
            remedy="Correct [image] key in the manifest.",
        )
    return BandRows(parts)


def _refuse_other_bands(path: Path, *, manifest: Manifest, found: Iterable[str | bytes] | None) -> None:
    if found is None:
        return
    bands = [band.decode() if isinstance(band, bytes) else str(band) for band in found]
    short = [band.rsplit("-", 1)[-1] for band in manifest.image.bands]
    if bands not in (list(manifest.image.bands), short):
        raise SchemaError(
            f"The bands of {path.name} must be those of the manifest, in the same order.",
            received=", ".join(bands),
            available=", ".join(manifest.image.bands),
            remedy="Correct [image] bands in the manifest.",
        )


def _refuse_other_size(path: Path, *, manifest: Manifest, image: Rows) -> None:
    size = manifest.entry_for(path).size
    if size is not None and image.shape[-2:] != (size, size):
        raise SchemaError(
            f"The images of {path.name} are {size} × {size} px, says the manifest.",
            received=f"images of {image.shape[-2]} × {image.shape[-1]} px",
            remedy="Correct the size under [[files]], or put the right file in its place.",
        )


def _unreadable(path: Path, *, kind: str, reason: str) -> CorruptFileError:
    return CorruptFileError(
        f"The file {path.name} was to be read as {kind}.",
        received=f"{path.stat().st_size:,} bytes that are not ({reason})",
        remedy=f"Check [format] in the manifest, or put the file at {path} again.",
    )
