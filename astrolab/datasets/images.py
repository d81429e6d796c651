"""Reader of image surveys: the published HDF5 schema, and cutouts in FITS or npz files."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
from astropy.io import fits

from astrolab.datasets.columns import assemble_survey
from astrolab.datasets.manifest_schema import Manifest
from astrolab.datasets.rows import ColumnRows, CroppedRows, H5Rows, Rows, h5_keys, missing_key, open_h5, require_file
from astrolab.datasets.survey import Survey
from astrolab.errors import CorruptFileError, SchemaError

Contents = tuple[Rows, dict[str, Rows]]


def read_images(path: str | Path, *, manifest: Manifest, image_size: int | None = None) -> Survey:
    """Open the galaxies of one image file; no pixel is read.

    HDF5 files follow the schema of GalaxiesML and TransferZ-Images (Do et al. 2024, arXiv:2410.00271): `image`
    (n, band, y, x), and one dataset (n,) or (n, 1) a column. A FITS or npz file holds the same array, or one scene
    (band, y, x).

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
    key = manifest.image.key
    with open_h5(path) as file:
        if not isinstance(file.get(key), h5py.Dataset):
            raise missing_key(path, key=key, keys=h5_keys(file))
        image = H5Rows.of(path, dataset=file[key])
        _refuse_other_bands(path, manifest=manifest, found=file[key].attrs.get("bands"))
        columns = h5_columns(path, file=file, group=manifest.format.table if manifest.format else None)
    columns.pop(key, None)
    return image, columns


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


def _read_npz(path: Path, manifest: Manifest) -> Contents:
    key = manifest.image.key
    try:
        with np.load(path, allow_pickle=False) as file:
            if key not in file.files:
                raise missing_key(path, key=key, keys=file.files)
            arrays = {name: file[name] for name in file.files}
    except (zipfile.BadZipFile, ValueError, EOFError) as error:
        raise _unreadable(path, kind="npz", reason=str(error)) from error
    _refuse_other_bands(path, manifest=manifest, found=arrays.get("bands", arrays.get("filters")))
    image = _stamps(arrays.pop(key), path=path)
    columns = {name: ColumnRows(values) for name, values in arrays.items() if values.shape == image.shape[:1]}
    return image, columns


def _read_fits(path: Path, manifest: Manifest) -> Contents:
    key = manifest.image.key
    try:
        with fits.open(path, memmap=False) as hdus:
            names = [hdu.name for hdu in hdus]
            if key.upper() not in names:
                raise missing_key(path, key=key, keys=names)
            return _stamps(hdus[key].data, path=path), {}
    except (OSError, TypeError) as error:
        raise _unreadable(path, kind="FITS", reason=str(error)) from error


_READERS = {"hdf5": _read_hdf5, "npz": _read_npz, "fits": _read_fits}


def _stamps(pixels: np.ndarray | None, *, path: Path) -> np.ndarray:
    if pixels is None or pixels.ndim not in (3, 4):
        raise SchemaError(
            f"Images (n, band, y, x) or one scene (band, y, x) were to be read from {path.name}.",
            received="no pixels" if pixels is None else f"an array of shape {pixels.shape}",
            remedy="Correct [image] key in the manifest.",
        )
    return np.asarray(pixels.reshape(-1, *pixels.shape[-3:]), dtype=np.float32)


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
