"""From one file to a `Survey`, as its manifest says: inputs, labels and weights, ids, positions, the other columns."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import astropy.units as u
import numpy as np
import pandas as pd

from astrolab.datasets.digests import digest_file, read_content
from astrolab.datasets.fetching import inside
from astrolab.datasets.formats import Array, read_contents
from astrolab.datasets.manifest import FLUX_UNITS, FileEntry, Format, Input, Join, Manifest
from astrolab.datasets.rows import (
    AbsentRows,
    ChannelRows,
    ColumnRows,
    CroppedRows,
    LazyRows,
    Rows,
    missing_key,
    unread,
    with_nulls,
)
from astrolab.datasets.spectral_files import gather
from astrolab.datasets.survey import Provenance, Survey, digest_joined
from astrolab.errors import AstrolabWarning, DataNotFoundError, SchemaError
from astrolab.tasks import InputSpec

NUMBER = re.compile(r"-?(inf|(0|[1-9]\d*)(\.\d*)?([eE][+-]?\d+)?)")  # without leading zeros: "0022" is a name

NO_NUMBERS = (
    "Write numbers with a decimal point, and nothing where there is none; or check delimiter, comment, names and "
    "skip_rows under [format] in the manifest."
)


class TableRows(LazyRows):
    """Numbers (n, channel) from one column a channel, NaN where one is `missing`; fluxes become AB magnitudes."""

    def __init__(self, columns: Sequence[Rows], *, missing: Sequence[float] = (), unit: str = ""):
        self.columns, self.missing, self.unit = tuple(columns), tuple(missing), unit
        self.shape, self.dtype = (len(columns[0]), len(columns)), np.dtype(np.float32)

    def _read(self, numbers: np.ndarray) -> np.ndarray:
        channels = [self.measured(np.asarray(column[numbers])) for column in self.columns]
        return np.stack(channels, axis=1).astype(np.float32)

    def measured(self, values: np.ndarray) -> np.ndarray:
        """Give what a channel's column means: magnitudes for fluxes, NaN where there is nothing."""
        with np.errstate(over="ignore"):
            is_missing = ~np.isfinite(values.astype(np.float32))
        is_missing |= np.isin(values, np.asarray(self.missing, dtype=values.dtype))
        if self.unit in FLUX_UNITS:
            is_missing |= values <= 0
            values = FLUX_UNITS[self.unit] - 2.5 * np.log10(np.where(is_missing, 1.0, values))
        return np.where(is_missing, np.nan, values)


@dataclass(frozen=True)
class Columns:
    """The columns of one file, asked for by name: numbers, one an object, in the unit that the manifest says."""

    found: Mapping[str, Rows]
    path: Path
    n_rows: int

    def column(self, name: str) -> Rows:
        """Give a column of one value an object."""
        if name not in self.found:
            raise missing_key(self.path, key=name, keys=list(self.found))
        self.found[name][:0]  # what cannot be read says so
        if tuple(self.found[name].shape) != (self.n_rows,):
            what = f"{name!r}, one value an object, so of shape ({self.n_rows},) or ({self.n_rows}, 1),"
            received = f"an array of shape {tuple(self.found[name].shape)}"
            remedy = "Name the right column in the manifest, or repair the file."
            raise unread(self.path, what=what, received=received, remedy=remedy)
        return self.found[name]

    def numbers(self, name: str, *, unit: str = "") -> Rows:
        """Give a column of numbers."""
        column = self.column(name)
        if column.dtype.kind not in "fiu":
            values = column[:].tolist()
            row = int(pd.to_numeric(pd.Series(values), errors="coerce").isna().argmax())
            received = f"a column of type {column.dtype}: row {row} holds {values[row]!r}"
            raise SchemaError(f"{name!r} in {self.path.name} must be numbers.", received=received, remedy=NO_NUMBERS)
        refuse_other_unit(getattr(column, "unit", ""), expected=unit, what=f"{name!r} in {self.path.name}")
        return column


def read_file(path: str | Path, *, manifest: Manifest, image_size: int | None = None) -> Survey:
    """Open the objects of one file; `image_size` (px) is cut from the centre, by default the manifest's first size."""
    path = Path(path)
    keys = _array_keys(one for one in manifest.inputs.values() if not one.files)
    texts = [name for one in manifest.inputs.values() for name, as_text in one.in_path.items() if as_text]
    texts += [manifest.id.column] if manifest.id else []
    found, arrays = read_contents(path, layout=manifest.format, arrays=keys, texts=texts)
    entry, inputs, specs = manifest.entry_for(path), {}, {}
    for name, one in manifest.inputs.items():
        if not (one.is_table or one.files):
            rows, specs[name] = _array_input(name, one=one, arrays=arrays, path=path)
            inputs |= rows
    lengths = [len(rows) for rows in found.values() if rows.shape and not isinstance(rows, AbsentRows)]
    n_rows = len(next(iter(inputs.values()))) if inputs else max(lengths, key=lengths.count, default=0)
    if n_rows == 0:
        remedy = "Fetch or simulate it again, or take it out of the manifest."
        raise unread(path, what=f"A table of {manifest.objects}", received="a file with no rows", remedy=remedy)
    columns = Columns(_masked({name: rows for name, rows in found.items() if name not in keys}), path, n_rows)
    root = path.parents[len(Path(entry.path).parts) - 1]
    columns, own, its_specs, has_file = _own_files(columns, manifest=manifest, root=root)
    inputs, specs, tables = inputs | own, specs | its_specs, [inside(root, path=join.path) for join in manifest.joins]
    for join, table in zip(manifest.joins, tables, strict=True):
        columns = replace(columns, found=_joined(columns, join=join, path=table) | columns.found)
    for name, one in manifest.inputs.items():
        if one.is_table:
            parts = [columns.numbers(column, unit=one.unit) for column in one.columns]
            inputs[name], specs[name] = TableRows(parts, missing=one.missing, unit=one.unit), one.spec
    labels, weights = _labels(columns, manifest=manifest)
    sky = [columns.numbers(name, unit="deg")[:] for name in (manifest.sky.ra, manifest.sky.dec)] if manifest.sky else []
    named = {name: columns.column(column) for name, column in manifest.columns.items()}
    ids, digests = _ids(columns, manifest=manifest, entry=entry), [partial(digest_file, one) for one in (path, *tables)]
    digests += [hashlib.sha256(np.ascontiguousarray(rows)).hexdigest() for rows in own.values()]
    digest = digests[0] if len(digests) == 1 else partial(digest_joined, [(one, ids) for one in digests])
    survey = Survey(
        name=manifest.name,
        inputs=inputs,
        specs={name: specs[name] for name in manifest.inputs},
        labels=labels,
        weights=weights,
        task=manifest.task,
        objects=manifest.objects,
        ids=ids,
        catalogue=named or {name: rows for name, rows in columns.found.items() if rows.shape == (n_rows,)},
        sky_deg=np.stack(sky, axis=1).astype(np.float64) if sky else None,
        published_split=None if entry.split is None else np.full(n_rows, entry.split),
        split_keys=None if manifest.id else _split_keys(inputs, labels=labels, entry=entry),
        provenance=replace(_provenance(manifest), files=(entry.path,), digest=digest),
    )
    survey = replace(survey, inputs=_cut(inputs, manifest=manifest, entry=entry, image_size=image_size))
    return survey if has_file.all() else survey.take(has_file)


def _provenance(manifest: Manifest) -> Provenance:
    return Provenance(
        survey=manifest.name,
        title=manifest.title,
        version=manifest.version,
        simulated=manifest.simulated,
        twin_of=manifest.twin.of if manifest.twin else "",
        id_scheme=manifest.id.scheme if manifest.id else manifest.name,
        citation=manifest.citation.keys,
        fractions=manifest.split,
    )


def _own_files(
    columns: Columns, *, manifest: Manifest, root: Path
) -> tuple[Columns, dict[str, Rows], dict[str, InputSpec], np.ndarray]:
    """Inputs that lie in a file an object: also the columns of these files, and which objects have theirs."""
    inputs, specs, has_file = {}, {}, np.ones(columns.n_rows, dtype=bool)
    for name, one in [(name, one) for name, one in manifest.inputs.items() if one.files]:
        values = [(columns.column if as_text else columns.numbers)(part)[:] for part, as_text in one.in_path.items()]
        names = [dict(zip(one.in_path, row, strict=True)) for row in zip(*values, strict=True)]
        paths = np.array([inside(root, path=one.files.format(**each)) for each in names])
        is_there = np.array([path.is_file() for path in paths])
        asked = f"Each of {len(paths):,} {manifest.objects} has a file {one.files}, says the manifest."
        absent = f"{(~is_there).sum():,} have none: " + ", ".join(path.name for path in paths[~is_there][:3])
        if not is_there.any():
            remedy = f"Put the files into {root}, or correct the path in the manifest."
            raise DataNotFoundError(asked, received=absent, remedy=remedy)
        if not is_there.all():
            warnings.warn(f"{asked} These are left out: {absent}", AstrolabWarning, stacklevel=5)
        found, arrays = gather(paths[is_there], layout=Format(format=one.file_format), arrays=_array_keys([one]))
        row = np.maximum(np.cumsum(is_there) - 1, 0)
        arrays = {key: a if a.rows.ndim == 1 else a._replace(rows=a.rows[row]) for key, a in arrays.items()}
        rows, specs[name] = _array_input(name, one=one, arrays=arrays, path=columns.path)
        more = {key: ColumnRows(np.asarray(column[row])) for key, column in found.items()}
        columns, inputs, has_file = replace(columns, found=more | columns.found), inputs | rows, has_file & is_there
    return columns, inputs, specs, has_file


def _joined(columns: Columns, *, join: Join, path: Path) -> dict[str, Rows]:
    """The columns of another table for the same objects; nothing where it has no such object."""
    on = join.on or join.by
    found, _ = read_contents(path, layout=join, arrays={}, texts=(on,))
    table = Columns(_masked(found), path, max(len(rows) for rows in found.values()))
    chosen = np.flatnonzero(table.column(join.only)[:]) if join.only else np.arange(table.n_rows)
    theirs = pd.Index(table.column(on)[:][chosen].astype(str))
    if theirs.has_duplicates:
        received = f"{theirs.duplicated().sum():,} more rows of the same {on}, e.g. {theirs[theirs.duplicated()][0]}"
        remedy = "Name a column of true and false that chooses one of them: [[join]] only = ..."
        raise unread(path, what=f"One row for each {on}", received=received, remedy=remedy)
    row = theirs.get_indexer(columns.column(join.by)[:].astype(str))
    if (row < 0).all():
        what = f"Rows whose {on} is a {join.by} of {columns.path.name}"
        raise unread(path, what=what, received=f"none; {on} is {theirs[0]}, …", remedy="Correct by and on in [[join]].")
    taken = {name: rows[chosen[row]] for name, rows in table.found.items() if rows.shape == (table.n_rows,)}
    return {name: ColumnRows(with_nulls(np.asarray(v), is_null=row < 0)) for name, v in taken.items()}


def _cut(
    inputs: Mapping[str, Rows], *, manifest: Manifest, entry: FileEntry, image_size: int | None
) -> dict[str, Rows]:
    """Images of the size that is wanted, from a file of the size that it says."""
    cut = dict(inputs)
    for key, rows in inputs.items():
        one, sides = manifest.inputs[key.partition(".")[0]], rows.shape[-2:]
        if len(one.spec.axes) != 3:
            continue
        if entry.size is not None and one.sizes and sides != (entry.size, entry.size):
            asked = f"The images of {entry.path} are {entry.size} × {entry.size} px, says the manifest."
            remedy = "Correct the size under [[files]], or put the right file in its place."
            raise SchemaError(asked, received=f"images of {sides[0]} × {sides[1]} px", remedy=remedy)
        size = image_size or next(iter(one.sizes), None)
        if size is not None and sides != (size, size):
            cut[key] = CroppedRows(rows, size=size)
    return cut


def _array_keys(inputs: Iterable[Input]) -> dict[str, int]:
    """Every array that inputs of a manifest name, with the number of its axes."""
    keys = {}
    for one in inputs:
        if not one.is_table:
            n_axes = 1 + len(one.spec.axes)
            keys |= dict.fromkeys(one.key, n_axes - (len(one.key) > 1)) | dict.fromkeys(one.companions.values(), n_axes)
            keys |= {one.grid: 1} if isinstance(one.grid, str) else {}
    return keys


def _array_input(
    name: str, *, one: Input, arrays: Mapping[str, Array], path: Path
) -> tuple[dict[str, Rows], InputSpec]:
    """An input and its companions, by the names that a survey has for them."""
    parts = [arrays[key] for key in one.key]
    for part in parts:
        refuse_other_unit(part.unit, expected=one.unit, what=f"the {name} of {path.name}")
        short = tuple(channel.rsplit("-", 1)[-1] for channel in one.channels)  # a file may leave out the instrument
        if part.channels and len(one.spec.axes) == 3 and part.channels not in (one.channels, short):
            asked = f"The channels of {path.name} must be those of the manifest, in the same order."
            received, available = ", ".join(part.channels), ", ".join(one.channels)
            remedy = "Correct the channels in the manifest."
            raise SchemaError(asked, received=received, available=available, remedy=remedy)
    shapes = list(dict.fromkeys(part.rows.shape for part in parts))
    if len(shapes) > 1:
        received = ", ".join(f"shape {shape}" for shape in shapes)
        raise unread(path, what="One array a channel", received=received, remedy="Correct the keys in the manifest.")
    rows = {name: parts[0].rows if len(parts) == 1 else ChannelRows([part.rows for part in parts])}
    rows |= {f"{name}.{companion}": arrays[key].rows for companion, key in one.companions.items()}
    if one.spec.axes == ("pixel",):  # (n, pixel, 1), as SpecCLIP packs spectra
        rows = {key: ColumnRows(values) if values.shape[2:] == (1,) else values for key, values in rows.items()}
    for key, values in rows.items():
        if values.dtype.kind not in "fiub" or values.shape[1:] != rows[name].shape[1:]:
            asked = f"The {key} of {path.name} must be numbers" + f", shaped as the {name}." * (key != name)
            received = f"an array of {values.dtype}, shape {values.shape}"
            raise SchemaError(asked, received=received, remedy="Correct the key in the manifest.")
    grid = np.asarray(arrays[one.grid].rows[:]).ravel() if isinstance(one.grid, str) else np.asarray(one.grid)
    if len(grid) not in (0, rows[name].shape[-1]):
        remedy = "Correct the grid in the manifest: one value a pixel, the same for every object."
        asked, received = f"The {name} of {path.name} has a grid of {len(grid):,} values.", f"shape {rows[name].shape}"
        raise SchemaError(asked, received=received, remedy=remedy)
    return rows, one.on_grid(one.spec, grid=grid.tolist())


def _masked(columns: Mapping[str, Rows]) -> dict[str, Rows]:
    """What astropy writes of a masked column, "g" and "g.mask", becomes one column with nulls."""
    masked = dict(columns)
    for name in columns:
        mask = columns.get(f"{name}.mask")
        if mask is not None and mask.dtype == bool and mask.shape == columns[name].shape:
            values = with_nulls(np.asarray(columns[name][:]), is_null=np.asarray(mask[:]))
            masked[name] = ColumnRows(values, unit=getattr(columns[name], "unit", ""))
    return masked


def refuse_other_unit(found: str, *, expected: str, what: str) -> None:
    """Refuse a unit in a file that contradicts the manifest; what astropy does not know as a unit says nothing."""
    plain = (re.sub(r"\b(AB|Vega|asinh)\b", "", text).strip() for text in (expected, found))
    units = (u.Unit(text, parse_strict="silent") for text in plain)
    ours, theirs = (getattr(unit, "function_unit", None) or unit for unit in units)
    if isinstance(ours, u.UnrecognizedUnit) or isinstance(theirs, u.UnrecognizedUnit) or not (expected and found):
        return
    try:
        factor = theirs.to(ours, equivalencies=u.zero_point_flux(3631 * u.Jy))
    except u.UnitConversionError:
        factor = None
    if factor is None or abs(factor - 1) > 1e-3:
        asked, received = f"The unit of {what} is {expected}, says the manifest.", f"a file that declares {found}"
        remedy = "Correct the unit or the column in the manifest; or, if the file is wrong, the file."
        raise SchemaError(asked, received=received, remedy=remedy)


def _labels(columns: Columns, *, manifest: Manifest) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """The labels, NaN where unknown, and the weights of those that have weights."""
    labels, weights = {}, {}
    for label in manifest.labels:
        name = next((name for name in label.column if name in columns.found), label.column[0])
        values = np.array(columns.numbers(name, unit=label.quantity.unit)[:], dtype=np.float64)
        values[np.isin(values, [*label.missing, *np.float32(label.missing)])] = np.nan  # as the file rounds them
        labels[label.name] = _without(np.isinf(values), values, name=name, columns=columns)
        if label.weight:
            values = np.array(columns.numbers(label.weight)[:], dtype=np.float64)
            values = _without(np.isinf(values) | (values < 0), values, name=label.weight, columns=columns)
            weights[label.name] = np.where(np.isnan(values), 1.0, values)
    rows = pd.RangeIndex(columns.n_rows)
    return pd.DataFrame(labels, index=rows), pd.DataFrame(weights, index=rows) if weights else None


def _without(is_wrong: np.ndarray, values: np.ndarray, *, name: str, columns: Columns) -> np.ndarray:
    if is_wrong.any():
        row = int(np.flatnonzero(is_wrong)[0])
        asked = f"{name!r} of {columns.path.name} must be a number, or nothing where it is unknown."
        received = f"{is_wrong.sum():,} of {len(values):,} rows with {values[row]}, the first is row {row}"
        remedy = "Leave the entry empty (NaN) where it is unknown; weights are not negative."
        raise SchemaError(asked, received=received, remedy=remedy)
    return values


def _split_keys(inputs: Mapping[str, Rows], *, labels: pd.DataFrame, entry: FileEntry) -> np.ndarray:
    """A hash of the columns and labels of each row; arrays alone, which may be 30 GB, are known by file and row."""
    tables = [rows[:] for rows in inputs.values() if isinstance(rows, TableRows)]
    if not tables:
        return np.array([f"{entry.path}:{row}" for row in range(len(labels))])
    content = np.concatenate([*tables, labels.to_numpy(np.float64)], axis=1)
    return np.array([key.hex() for key in read_content(content).hashes.tolist()])


def _ids(columns: Columns, *, manifest: Manifest, entry: FileEntry) -> np.ndarray:
    if manifest.id is None:
        return np.array([f"{manifest.name}:{entry.path}:{row}" for row in range(columns.n_rows)])
    column = manifest.id.column
    values = np.asarray(columns.column(column)[:])
    if values.dtype.kind in "iu" and values.max() < 2**63:
        return values.astype(np.int64)
    ids, is_wrong = _ids_of_floats(values) if values.dtype.kind == "f" else _ids_of_texts(values.tolist())
    if is_wrong.any():
        asked = f"The ids {column!r} of {columns.path.name} must be whole numbers or text, one an object."
        received = f"{values[is_wrong][0]!r} in row {np.flatnonzero(is_wrong)[0]} of a column of {values.dtype}"
        remedy = "Store the ids as int64 or as text, without gaps; a float cannot hold every id above 2^53."
        raise SchemaError(asked, received=received, remedy=remedy)
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
