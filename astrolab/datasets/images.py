"""Reader of image surveys: the published HDF5 schema, and cutouts in FITS or npz files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from astrolab.datasets.catalogues import npz_columns
from astrolab.datasets.columns import assemble_survey, refuse_other_unit
from astrolab.datasets.fits_files import find_hdu, fits_columns, fits_pixels, has_table, open_fits
from astrolab.datasets.hdf5 import H5Rows, declared_unit, find_dataset, h5_columns, open_h5
from astrolab.datasets.manifest_schema import Manifest
from astrolab.datasets.missing import missing_key, reading, require_file
from astrolab.datasets.rows import CroppedRows, LazyRows, Rows
from astrolab.datasets.survey import Survey
from astrolab.errors import SchemaError

Contents = tuple[Rows, dict[str, Rows]]


def read_images(path: str | Path, *, manifest: Manifest, image_size: int | None = None) -> Survey:
    """Open the galaxies of one image file; pixels of HDF5 and plain FITS files stay on disk.

    HDF5 files follow the schema of GalaxiesML and TransferZ-Images (Do et al. 2024, arXiv:2410.00271): `image`
    (n, band, y, x), and one dataset (n,) or (n, 1) a column. A FITS or npz file holds the same array, or one scene
    (band, y, x); the columns of a FITS file are those of its table. The bands may also lie in an array each.
    `image_size` (px) is cut from the centre; by default it is the first size of the manifest, or the size on disk.
    """
    path = require_file(path)
    image, columns = _READERS[manifest.format.format if manifest.format else "hdf5"](path, manifest)
    if image.dtype.kind not in "fiub":
        raise SchemaError(
            f"The pixels of {path.name} must be numbers.",
            received=f"an array of {image.dtype}",
            remedy="Correct [image] key in the manifest.",
        )
    survey = assemble_survey(columns, manifest=manifest, path=path, n_rows=image.shape[0], image=image)
    _refuse_other_size(path, manifest=manifest, image=image)
    size = image_size or manifest.size_on_disk()
    if size is None or image.shape[-2:] == (size, size):
        return survey
    return replace(survey, inputs={**survey.inputs, "image": CroppedRows(image, size=size)})


def _read_hdf5(path: Path, manifest: Manifest) -> Contents:
    keys = manifest.image.key
    with open_h5(path) as file, reading(path, kind="HDF5"):
        stacks = [find_dataset(file, key=key, path=path) for key in keys]
        _refuse_other_bands(path, manifest=manifest, found=stacks[0].attrs.get("bands"))
        for stack in stacks:
            _refuse_other_unit(path, manifest=manifest, found=declared_unit(stack))
        columns = h5_columns(path, file=file, table=manifest.format.table if manifest.format else None)
        image = _one_stack([H5Rows.of(stack) for stack in stacks], path=path)
    return image, {name: rows for name, rows in columns.items() if name not in keys}


def _read_npz(path: Path, manifest: Manifest) -> Contents:
    keys, columns = manifest.image.key, npz_columns(path)
    for key in keys:
        if key not in columns:
            raise missing_key(path, key=key, keys=list(columns))
    bands = columns.get("bands", columns.get("filters"))
    _refuse_other_bands(path, manifest=manifest, found=None if bands is None else bands[:])
    parts = [columns.pop(key)[:] for key in keys]
    n_dims = _axes_of_a_stack(parts)
    return _one_stack([part[None] if part.ndim == n_dims - 1 else part for part in parts], path=path), columns


def _read_fits(path: Path, manifest: Manifest) -> Contents:
    keys = manifest.image.key
    with open_fits(path) as hdus:
        found = [find_hdu(hdus, key=key, path=path) for key in keys]
        parts = [fits_pixels(hdu, path=path, n_dims=_axes_of_a_stack(keys)) for hdu in found]
        for hdu in found:
            _refuse_other_unit(path, manifest=manifest, found=hdu.header.get("BUNIT"))
        wanted = manifest.format.table
        columns = fits_columns(hdus, path=path, wanted=wanted) if wanted or has_table(hdus) else {}
    return _one_stack(parts, path=path), columns


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


def _refuse_other_unit(path: Path, *, manifest: Manifest, found: object) -> None:
    refuse_other_unit(str(found or ""), expected=manifest.image.unit, what=f"the pixels of {path.name}")
