"""From the columns of one file to a `Survey`, as the manifest says: label, ids, positions, magnitudes, the rest."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from astrolab.datasets.digests import digest_file
from astrolab.datasets.manifest_schema import Manifest
from astrolab.datasets.missing import missing_key
from astrolab.datasets.rows import LazyRows, Rows
from astrolab.datasets.survey import Provenance, Survey
from astrolab.errors import SchemaError

AB_ZERO_POINT = {"nJy": 31.4, "uJy": 23.9, "nanomaggy": 22.5}


class MagnitudeRows(LazyRows):
    """Magnitudes (n, band) from one column a band, NaN where a band was not measured.

    Fluxes become AB magnitudes, m = zero point - 2.5 log10 f (Oke & Gunn 1983, ApJ 266, 713; the zero point is 31.4 for
    nJy, 23.9 for uJy, 22.5 for nanomaggies); where a flux is not positive there is no magnitude.

    Parameters
    ----------
    columns : sequence of Rows
        One column (n,) a band; None for a band without.
    missing : sequence of float
        Values that mean "not measured"; NaN and infinity always do.
    unit : str
        Unit of the columns.
    """

    def __init__(self, columns: Sequence[Rows | None], *, missing: Sequence[float] = (), unit: str = "AB mag"):
        self.columns, self.missing, self.unit = tuple(columns), tuple(missing), unit
        n_rows = next(len(column) for column in columns if column is not None)
        self.shape, self.dtype = (n_rows, len(columns)), np.dtype(np.float32)

    def _read(self, numbers: np.ndarray) -> np.ndarray:
        magnitudes = np.full((len(numbers), len(self.columns)), np.nan)
        for band, column in enumerate(self.columns):
            if column is not None:
                magnitudes[:, band] = self._band(np.asarray(column[numbers]))
        return magnitudes.astype(np.float32)

    def _band(self, values: np.ndarray) -> np.ndarray:
        is_missing = ~np.isfinite(values) | np.isin(values, np.asarray(self.missing, dtype=values.dtype))
        if self.unit in AB_ZERO_POINT:
            is_missing |= values <= 0
            values = AB_ZERO_POINT[self.unit] - 2.5 * np.log10(np.where(is_missing, 1.0, values))
        return np.where(is_missing, np.nan, values)


def assemble_survey(
    columns: Mapping[str, Rows], *, manifest: Manifest, path: Path, n_rows: int, image: Rows | None = None
) -> Survey:
    """Make the survey of one file from its columns.

    Parameters
    ----------
    columns : mapping of str to Rows
        Every column of the file; those of another shape than (n_rows,) are no part of the catalogue.
    manifest : Manifest
        Says which column is what.
    path : Path
        The file.
    n_rows : int
        How many galaxies it holds.
    image : Rows, optional
        Pixels (n_rows, band, y, x).

    Returns
    -------
    Survey

    Raises
    ------
    SchemaError
        Where the file is empty, or a column is missing, of the wrong length or of the wrong type.
    """
    if n_rows == 0:
        raise SchemaError(
            f"Galaxies were to be read from {path.name}.",
            received="a file with no rows",
            remedy="Fetch or simulate it again, or take it out of the manifest.",
        )
    entry = manifest.entry_for(path)
    named = {name: _column(columns, name=column, path=path, n_rows=n_rows) for name, column in manifest.columns.items()}
    return Survey(
        name=manifest.name,
        inputs=_inputs(columns, manifest=manifest, path=path, n_rows=n_rows, image=image),
        labels=_labels(columns, manifest=manifest, path=path, n_rows=n_rows),
        ids=_ids(columns, manifest=manifest, path=path, n_rows=n_rows),
        bands=manifest.bands,
        catalogue=named or {name: column for name, column in columns.items() if column.shape == (n_rows,)},
        sky_deg=_sky(columns, manifest=manifest, path=path, n_rows=n_rows),
        published_split=None if entry.split is None else np.full(n_rows, entry.split),
        provenance=Provenance(
            survey=manifest.name,
            title=manifest.title,
            version=manifest.version,
            simulated=manifest.simulated,
            files=(entry.path,),
            digest=partial(digest_file, path),
            id_scheme=manifest.id.scheme if manifest.id else manifest.name,
            image_unit=manifest.image.unit if manifest.image else "",
            magnitude_unit=_magnitude_unit(manifest),
            pixel_scale_arcsec=manifest.image.pixel_scale_arcsec if manifest.image else None,
            citation=manifest.citation.keys,
        ),
    )


def _magnitude_unit(manifest: Manifest) -> str:
    if manifest.magnitudes is None:
        return ""
    unit = manifest.magnitudes.unit
    return "AB mag" if unit in AB_ZERO_POINT else unit  # fluxes become magnitudes


def _column(columns: Mapping[str, Rows], *, name: str, path: Path, n_rows: int) -> Rows:
    if name not in columns:
        raise missing_key(path, key=name, keys=list(columns))
    if tuple(columns[name].shape) != (n_rows,):
        raise SchemaError(
            f"{name!r} in {path.name} must be one value a galaxy: shape ({n_rows},) or ({n_rows}, 1).",
            received=f"an array of shape {tuple(columns[name].shape)}",
            remedy="Name the right column in the manifest, or repair the file.",
        )
    return columns[name]


def _numbers(columns: Mapping[str, Rows], *, name: str, path: Path, n_rows: int) -> Rows:
    column = _column(columns, name=name, path=path, n_rows=n_rows)
    if column.dtype.kind not in "fiu":
        raise SchemaError(
            f"{name!r} in {path.name} must be numbers.",
            received=f"a column of type {column.dtype}, for example {column[:1].tolist()}",
            remedy="Check delimiter, comment, names and skip_rows under [format] in the manifest.",
        )
    return column


def _inputs(
    columns: Mapping[str, Rows], *, manifest: Manifest, path: Path, n_rows: int, image: Rows | None
) -> dict[str, Rows]:
    inputs = {} if image is None else {"image": image}
    if manifest.magnitudes:
        photometry = manifest.magnitudes
        found = {
            band: _numbers(columns, name=name, path=path, n_rows=n_rows)
            for band, name in zip(photometry.bands, photometry.columns, strict=True)
        }
        ordered = [found.get(band) for band in manifest.bands]
        inputs["magnitudes"] = MagnitudeRows(ordered, missing=photometry.missing, unit=photometry.unit)
    return inputs


def _labels(columns: Mapping[str, Rows], *, manifest: Manifest, path: Path, n_rows: int) -> pd.DataFrame:
    if manifest.label is None:
        return pd.DataFrame(index=range(n_rows))
    name = next((name for name in manifest.label.column if name in columns), manifest.label.column[0])
    values = np.asarray(_numbers(columns, name=name, path=path, n_rows=n_rows)[:], dtype=np.float64)
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        raise SchemaError(
            f"The label {name!r} of {path.name} must be a finite number for every galaxy.",
            received=f"{len(wrong):,} of {n_rows:,} rows with NaN or infinity, the first is row {wrong[0]}",
            remedy="Leave galaxies without a label out of the file.",
        )
    return pd.DataFrame({manifest.label.name: values})


def _ids(columns: Mapping[str, Rows], *, manifest: Manifest, path: Path, n_rows: int) -> np.ndarray:
    if manifest.id is None:
        file = manifest.entry_for(path).path
        return np.array([f"{manifest.name}:{file}:{row}" for row in range(n_rows)])
    values = np.asarray(_column(columns, name=manifest.id.column, path=path, n_rows=n_rows)[:])
    if values.dtype.kind in "iu" and values.max() < 2**63:
        return values.astype(np.int64)
    texts = values.tolist()
    if values.dtype.kind not in "iuOUT" or not all(isinstance(text, str | int) for text in texts):
        raise SchemaError(
            f"The ids {manifest.id.column!r} of {path.name} must be whole numbers or text, one a galaxy.",
            received=f"{values.dtype} of shape {values.shape}"
            + ("; a float cannot hold an id above 2^53" if values.dtype.kind == "f" else ", or empty entries"),
            remedy="Store the ids as int64 or as text, without gaps.",
        )
    return _as_numbers([str(text) for text in texts])


def _as_numbers(texts: list[str]) -> np.ndarray:
    """Whole numbers written as text become int64, if every digit survives."""
    is_number = all(re.fullmatch(r"0|-?[1-9]\d{0,18}", text) and -(2**63) <= int(text) < 2**63 for text in texts)
    return np.array([int(text) for text in texts], dtype=np.int64) if is_number else np.array(texts)


def _sky(columns: Mapping[str, Rows], *, manifest: Manifest, path: Path, n_rows: int) -> np.ndarray | None:
    if manifest.sky is None:
        return None
    names = (manifest.sky.ra, manifest.sky.dec)
    values = [_numbers(columns, name=name, path=path, n_rows=n_rows)[:] for name in names]
    return np.stack(values, axis=1).astype(np.float64)
