"""From the columns of one file to a `Survey`, as the manifest says: label, ids, positions, magnitudes, the rest."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import astropy.units as u
import numpy as np
import pandas as pd

from astrolab.datasets.digests import digest_file
from astrolab.datasets.manifest_schema import Manifest
from astrolab.datasets.missing import missing_key
from astrolab.datasets.rows import ColumnRows, LazyRows, Rows, with_nulls
from astrolab.datasets.survey import Provenance, Survey
from astrolab.errors import SchemaError

AB_ZERO_POINT = {"nJy": 31.4, "uJy": 23.9, "nanomaggy": 22.5}
NUMBER = re.compile(r"-?(inf|(0|[1-9]\d*)(\.\d*)?([eE][+-]?\d+)?)")  # without leading zeros: "0022" is a name


class MagnitudeRows(LazyRows):
    """Magnitudes (n, band) from one column a band, NaN where a band was not measured.

    Fluxes become AB magnitudes, m = zero point - 2.5 log10 f (Oke & Gunn 1983, ApJ 266, 713; the zero point is 31.4 for
    nJy, 23.9 for uJy, 22.5 for nanomaggies); where a flux is not positive there is no magnitude.

    `columns` holds one (n,) a band, None for a band without. `missing` values mean "not measured"; NaN and infinity
    always do.
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
        with np.errstate(over="ignore"):
            is_missing = ~np.isfinite(values.astype(np.float32))
        is_missing |= np.isin(values, np.asarray(self.missing, dtype=values.dtype))
        if self.unit in AB_ZERO_POINT:
            is_missing |= values <= 0
            values = AB_ZERO_POINT[self.unit] - 2.5 * np.log10(np.where(is_missing, 1.0, values))
        return np.where(is_missing, np.nan, values)


def assemble_survey(
    columns: Mapping[str, Rows], *, manifest: Manifest, path: Path, n_rows: int, image: Rows | None = None
) -> Survey:
    """Make the survey of one file from its columns; those of another shape than (n_rows,) are not in its catalogue."""
    if n_rows == 0:
        raise SchemaError(
            f"Galaxies were to be read from {path.name}.",
            received="a file with no rows",
            remedy="Fetch or simulate it again, or take it out of the manifest.",
        )
    columns = _masked(columns)
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


def _masked(columns: Mapping[str, Rows]) -> dict[str, Rows]:
    """What astropy writes of a masked column, "g" and "g.mask", becomes one column with nulls."""
    masked = dict(columns)
    for name in columns:
        mask = columns.get(f"{name}.mask")
        if mask is not None and mask.dtype == bool and mask.shape == columns[name].shape:
            values = with_nulls(np.asarray(columns[name][:]), is_null=np.asarray(mask[:]))
            masked[name] = ColumnRows(values, unit=getattr(columns[name], "unit", ""))
    return masked


def _column(columns: Mapping[str, Rows], *, name: str, path: Path, n_rows: int) -> Rows:
    if name not in columns:
        raise missing_key(path, key=name, keys=list(columns))
    columns[name][:0]  # what cannot be read says so
    if tuple(columns[name].shape) != (n_rows,):
        raise SchemaError(
            f"{name!r} in {path.name} must be one value a galaxy: shape ({n_rows},) or ({n_rows}, 1).",
            received=f"an array of shape {tuple(columns[name].shape)}",
            remedy="Name the right column in the manifest, or repair the file.",
        )
    return columns[name]


def _numbers(columns: Mapping[str, Rows], *, name: str, path: Path, n_rows: int, unit: str = "") -> Rows:
    column = _column(columns, name=name, path=path, n_rows=n_rows)
    if column.dtype.kind not in "fiu":
        values = column[:].tolist()
        row = next((row for row, value in enumerate(values) if not _is_number(value)), 0)
        raise SchemaError(
            f"{name!r} in {path.name} must be numbers.",
            received=f"a column of type {column.dtype}: row {row} holds {values[row]!r}",
            remedy="Write numbers with a decimal point, and nothing where there is none; or check delimiter, comment, "
            "names and skip_rows under [format] in the manifest.",
        )
    refuse_other_unit(getattr(column, "unit", ""), expected=unit, what=f"{name!r} in {path.name}")
    return column


def _is_number(value: object) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def refuse_other_unit(found: str, *, expected: str, what: str) -> None:
    """Refuse a unit in a file that contradicts the manifest; what astropy does not know as a unit says nothing."""
    ours, theirs = (_unit(text) for text in (expected, found))
    if isinstance(ours, u.UnrecognizedUnit) or isinstance(theirs, u.UnrecognizedUnit) or not (expected and found):
        return
    try:
        factor = theirs.to(ours, equivalencies=u.zero_point_flux(3631 * u.Jy))
    except u.UnitConversionError:
        factor = None
    if factor is None or abs(factor - 1) > 1e-3:
        raise SchemaError(
            f"The unit of {what} is {expected}, says the manifest.",
            received=f"a file that declares {found}",
            remedy="Correct the unit or the column in the manifest; or, if the file is wrong, the file.",
        )


def _unit(text: str) -> u.UnitBase:
    unit = u.Unit(re.sub(r"\b(AB|Vega|asinh)\b", "", text).strip(), parse_strict="silent")
    return getattr(unit, "function_unit", None) or unit


def _inputs(
    columns: Mapping[str, Rows], *, manifest: Manifest, path: Path, n_rows: int, image: Rows | None
) -> dict[str, Rows]:
    inputs = {} if image is None else {"image": image}
    if manifest.magnitudes:
        photometry = manifest.magnitudes
        found = {
            band: _numbers(columns, name=name, path=path, n_rows=n_rows, unit=photometry.unit)
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
    column = manifest.id.column
    values = np.asarray(_column(columns, name=column, path=path, n_rows=n_rows)[:])
    if values.dtype.kind in "iu" and values.max() < 2**63:
        return values.astype(np.int64)
    ids, is_wrong = _ids_of_floats(values) if values.dtype.kind == "f" else _ids_of_texts(values.tolist())
    if is_wrong.any():
        raise SchemaError(
            f"The ids {column!r} of {path.name} must be whole numbers or text, one a galaxy.",
            received=f"{values[is_wrong][0]!r} in row {np.flatnonzero(is_wrong)[0]} of a column of {values.dtype}",
            remedy="Store the ids as int64 or as text, without gaps; a float cannot hold every id above 2^53.",
        )
    return ids


def _ids_of_floats(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers as int64, and where there are none, or none that this type tells from its neighbours."""
    limit = 2 ** (np.finfo(values.dtype).nmant + 1)
    is_wrong = ~((values == np.floor(values)) & (np.abs(values) < limit))
    return np.where(is_wrong, 0, values).astype(np.int64), is_wrong


def _ids_of_texts(entries: list) -> tuple[np.ndarray, np.ndarray]:
    """Text, or int64 where every entry is a number, "10000.0" too; and which are neither, or have lost digits."""
    texts = [str(entry) for entry in entries]
    if not all(map(NUMBER.fullmatch, texts)):
        is_text = [isinstance(entry, str | int) and not isinstance(entry, bool) and entry != "" for entry in entries]
        return np.array(texts), ~np.array(is_text)
    if all(text.lstrip("-").isdigit() for text in texts):
        fits = all(-(2**63) <= int(text) < 2**63 for text in texts)
        return np.array([int(text) for text in texts] if fits else texts), np.zeros(len(texts), dtype=bool)
    return _ids_of_floats(np.array([float(text) for text in texts]))


def _sky(columns: Mapping[str, Rows], *, manifest: Manifest, path: Path, n_rows: int) -> np.ndarray | None:
    if manifest.sky is None:
        return None
    names = (manifest.sky.ra, manifest.sky.dec)
    values = [_numbers(columns, name=name, path=path, n_rows=n_rows, unit="deg")[:] for name in names]
    return np.stack(values, axis=1).astype(np.float64)
