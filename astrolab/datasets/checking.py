"""One list of checks of what a survey holds; `import_survey`, `verify_survey` and `load_survey` all go through it."""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd

from astrolab.datasets.digests import BATCH_BYTES, is_kept, read_content
from astrolab.datasets.manifest_schema import FileEntry, Manifest
from astrolab.datasets.rows import Rows, TakenRows
from astrolab.datasets.survey import Survey
from astrolab.errors import AstrolabWarning, SchemaError

POSSIBLE_LABELS = {"z": (-0.01, 20.0)}  # a redshift; the blueshift of a galaxy with a spectrum is smaller
POSSIBLE_MAG, PLAUSIBLE_MEDIAN_MAG = (-40.0, 60.0), (0.0, 40.0)
N_CODES = 20  # a catalogue has a few ways to say "not measured"; more values than these are a wrong unit
EVERYWHERE = ("import", "load")


@dataclass(frozen=True)
class Part:
    """The galaxies of one file; where not every pixel is wanted, as many stamps are looked at as 64 MiB hold."""

    survey: Survey
    manifest: Manifest
    entry: FileEntry
    every_pixel: bool = True


@dataclass(frozen=True)
class Finding:
    """What is wrong, and what it stops; what stops nothing, or not the loading, is a warning there."""

    text: str
    stops: tuple[str, ...] = ()


def check(part: Part) -> Iterator[tuple[str, list[Finding]]]:
    """Go through every check of one file, and give what each found."""
    for name, of in CHECKS.items():
        yield name, list(of(part))


def report(parts: Sequence[Part], *, name: str) -> None:
    """Refuse what is certainly wrong with a survey, as `load_survey` does for its caller, and warn of the rest."""
    found = [(part.entry.path, finding) for part in parts for _, findings in check(part) for finding in findings]
    found += [("the files", finding) for _, finding in common_ids(parts) if finding]
    if stopping := [f"{path}: {finding.text}" for path, finding in found if "load" in finding.stops]:
        raise SchemaError(
            f"The survey {name!r} was loaded and its values were checked.",
            received="; ".join(stopping),
            remedy="Correct the manifest, or leave these galaxies out of the files.",
        )
    if found:
        text = "\n".join(f"  {path}: {finding.text}" for path, finding in found)
        warnings.warn(f"Look at what {name!r} holds:\n{text}", AstrolabWarning, stacklevel=4)


def common_ids(parts: Sequence[Part]) -> Iterator[tuple[str, Finding | None]]:
    """Compare the ids of every two files with images of one size."""
    for one, other in combinations(parts, 2):
        if one.manifest.id and one.entry.size == other.entry.size:
            common = np.intersect1d(one.survey.ids, other.survey.ids)
            text = f"[id]: {len(common):,} ids are both in {one.entry.path} and in {other.entry.path}"
            finding = Finding(f"{text}, e.g. {common[0]}", ("import",)) if len(common) else None
            yield f"{one.entry.path} / {other.entry.path}", finding


def without_impossible(survey: Survey) -> Survey:
    """Take magnitudes that no magnitude can be as not measured; `check` names them."""
    rows = survey.inputs.get("magnitudes")
    if rows is None:
        return survey
    columns = list(rows.columns)
    for band in range(len(columns)):
        raw, magnitudes = _band(rows, band=band)
        if len(impossible := np.flatnonzero(_outside(magnitudes, POSSIBLE_MAG))):
            columns[band] = raw if raw.dtype.kind == "f" else raw.astype(np.float64)
            columns[band][impossible] = np.nan
    if all(a is b for a, b in zip(columns, rows.columns, strict=True)):
        return survey
    masked = copy.copy(rows)
    masked.columns = tuple(columns)
    return replace(survey, inputs={**survey.inputs, "magnitudes": masked})


def repeated_far_out(values: np.ndarray) -> np.ndarray:
    """Find values that repeat exactly and lie as far beyond the others as those reach: they look like codes.

    Every different value counts once, so that the codes do not widen the range that they are compared with.
    """
    different, counts = np.unique(values[np.isfinite(values)], return_counts=True)
    repeats = counts >= max(3, 2e-4 * counts.sum())
    single = different[~repeats]
    others = single if 2 * len(single) >= len(different) else different
    if len(others) < 20:
        return different[:0]
    cut = max(0.005, 5 / len(others))  # a few codes on one side are not the range of a coarse column
    low, middle, high = np.quantile(others.astype(np.float64), [cut, 0.5, 1 - cut])
    return different[repeats & ((different < 2 * low - middle) | (different > 2 * high - middle))]


def _rows(part: Part) -> Iterator[Finding]:
    n, expected = len(part.survey), part.entry.n
    if expected not in (None, n):
        yield Finding(f"{n:,} galaxies, {expected:,} expected by the manifest", EVERYWHERE)


def _label(part: Part) -> Iterator[Finding]:
    label = part.manifest.label
    if label is None:
        return
    values, where = part.survey.labels[label.name].to_numpy(), f"[label] {label.name}"
    ranges = {"says the manifest": label.range, "is what it can be": POSSIBLE_LABELS.get(label.name)}
    for reason, (low, high) in ((reason, span) for reason, span in ranges.items() if span):
        outside = values[_outside(values, (low, high))]
        if len(outside):
            text = f"{len(outside):,} of {len(values):,} galaxies outside [{low:g}, {high:g}], which {reason}"
            yield Finding(
                f"{where}: {text}: {counted(outside)}; the median of all is {np.median(values):.4g}", EVERYWHERE
            )
            values = values[~_outside(values, (low, high))]
    codes = repeated_far_out(values)
    if label.range is None and len(codes):
        text = f"looks like 'not measured': {counted(values[np.isin(values, codes)])}"
        yield Finding(f"{where}: {text}; leave them out, or give a range that holds them", ("import",))
    logarithms = [name for name in label.column if re.search(r"(ln|log).?\(?1\W*p?\W*z", name.casefold())]
    if label.name == "z" and logarithms:
        yield Finding(f"{where}: the column {logarithms[0]!r} looks like log(1 + z), not z")


def _ids(part: Part) -> Iterator[Finding]:
    different, counts = np.unique(part.survey.ids, return_counts=True)
    if len(repeated := different[counts > 1]):
        shown = ", ".join(map(str, repeated[:5])) + (", …" if len(repeated) > 5 else "")
        yield Finding(f"{len(repeated):,} ids occur more than once: {shown}", ("import",))


def _sky(part: Part) -> Iterator[Finding]:
    if part.survey.sky_deg is None:
        return
    ra, dec = part.survey.sky_deg[np.isfinite(part.survey.sky_deg).all(axis=1)].T
    for name, values, span in (("ra", ra, (0, 360)), ("dec", dec, (-90, 90))):
        outside = values[_outside(values, span)]
        if len(outside):
            column = getattr(part.manifest.sky, name)
            text = f"{len(outside):,} values outside [{span[0]}, {span[1]}] deg: {counted(outside)}"
            yield Finding(f"[sky] {name} (column {column!r}): {text}", EVERYWHERE)
    if len(ra) < 3:
        return
    if ra.max() <= 2 * np.pi and np.abs(dec).max() <= np.pi / 2:
        yield Finding(f"[sky]: no position is beyond {ra.max():.3g}, {np.abs(dec).max():.3g}: radians, not degrees?")
    elif ra.max() <= 24 < np.ptp(dec):
        yield Finding(f"[sky]: dec spans {np.ptp(dec):.0f} deg, ra ends at {ra.max():.4g}: hours, not degrees?")


def _magnitudes(part: Part) -> Iterator[Finding]:
    section = part.manifest.magnitudes
    if section is None:
        return
    label = part.survey.labels[part.manifest.label.name].to_numpy() if part.manifest.label else None
    seen: dict[str, np.ndarray] = {}
    for band, column in zip(section.bands, section.columns, strict=True):
        raw, magnitudes = _band(part.survey.inputs["magnitudes"], band=part.manifest.bands.index(band))
        where = f"[magnitudes] {band} (column {column!r})"
        yield from (Finding(f"{where}: {text}", stops) for text, stops in _values(raw, magnitudes, section=section))
        same = [name for name, values in seen.items() if _are_same(values, raw)]
        if same:
            yield Finding(f"{where}: holds what {same[0]} holds, in every galaxy", ("import",))
        if label is not None and _are_same(label, raw):
            yield Finding(f"{where}: holds the label, in every galaxy", EVERYWHERE)
        seen[band] = raw


def _values(raw: np.ndarray, magnitudes: np.ndarray, *, section: object) -> Iterator[tuple[str, tuple[str, ...]]]:
    measured, impossible = np.isfinite(magnitudes), _outside(magnitudes, POSSIBLE_MAG)
    rest = magnitudes[measured & ~impossible]
    if not measured.any():
        yield "not one value is measured", ("import",)
        return
    codes = repeated_far_out(rest)
    kept = rest[~np.isin(rest, codes)] if len(rest) else magnitudes[measured]
    n_codes = len(np.unique(raw[impossible]))
    is_other_unit = n_codes > N_CODES and impossible.sum() > 0.01 * measured.sum()
    median = float(np.median(magnitudes[measured] if is_other_unit else kept))
    if is_other_unit or not PLAUSIBLE_MEDIAN_MAG[0] < median < PLAUSIBLE_MEDIAN_MAG[1]:
        yield f"the median is {median:.4g}, which is no magnitude; is the unit {section.unit!r} right?", EVERYWHERE
        return
    text = f"looks like 'not measured' but is not under missing = {list(section.missing)}: "
    if impossible.any():
        yield f"{text}{counted(raw[impossible])}; taken as not measured, since no magnitude can be that", ("import",)
    if len(codes):
        yield text + counted(raw[np.isin(magnitudes, codes)]), ("import",)


def _image(part: Part) -> Iterator[Finding]:
    if "image" not in part.survey.inputs:
        return
    content = read_content(_looked_at(part.survey.inputs["image"], every=part.every_pixel))
    low, high, bands = content.low, content.high, part.survey.bands
    of = f"of {len(low):,} galaxies" + (" looked at" if len(low) < len(part.survey) else "")
    finite = (np.isfinite(low) & np.isfinite(high)).all(axis=1)
    if not finite.all():
        bad = [str(part.survey.ids[n]) for n in np.flatnonzero(~finite)[:5]] if len(low) == len(part.survey) else []
        text = f"[image]: NaN or infinity in {(~finite).sum():,} {of}"
        yield Finding(", ".join([text, *bad]), ("import",))
    empty = finite[:, None] & (low == high)
    for band, name in enumerate(bands):
        if n := int(empty[:, band].sum()):
            value = counted(low[empty[:, band], band])
            text = f"every pixel of {n:,} {of} has one value: {value}"
            yield Finding(f"[image] {name}: {text}", ("import",) if n == len(low) else ())
    whole = finite & ~empty.any(axis=1)
    for extremes in (low[whole], high[whole]):
        is_code = np.isin(extremes, np.concatenate([repeated_far_out(band) for band in extremes.T] or [[]]))
        if is_code.any():
            text = f"pixels that look like 'not measured' or off the chip in {is_code.any(axis=1).sum():,} {of}"
            yield Finding(f"[image]: {text}: {counted(extremes[is_code])}")
    for one, other in combinations(range(len(bands)), 2):
        if (
            whole.sum() > 2
            and _are_same(low[whole, one], low[whole, other])
            and _are_same(high[whole, one], high[whole, other])
        ):
            yield Finding(f"[image] {bands[other]}: seems to hold the pixels of {bands[one]}")
    if len(low) == len(part.survey) and (n := int(pd.Series(content.hashes[whole]).duplicated().sum())):
        yield Finding(f"[image]: {n:,} {of} have the pixels of another, each bit of them")


def _looked_at(rows: Rows, *, every: bool) -> Rows:
    n = BATCH_BYTES // max(int(np.prod(rows.shape[1:])) * rows.dtype.itemsize, 1)
    if every or n >= len(rows) or is_kept(rows):
        return rows
    return TakenRows(rows, numbers=np.linspace(0, len(rows) - 1, n).astype(int))


def _doubled(part: Part) -> Iterator[Finding]:
    rows = part.survey.inputs.get("magnitudes")
    if rows is None:
        return
    table = pd.DataFrame(np.asarray(rows[:])).assign(**part.survey.labels)
    n = int((table.duplicated() & np.isfinite(table[list(range(rows.shape[1]))]).any(axis=1)).sum())
    if n:
        yield Finding(f"{n:,} of {len(table):,} rows have the magnitudes and the label of another, each bit of them")


CHECKS: dict[str, Callable[[Part], Iterator[Finding]]] = {
    "rows": _rows,
    "label": _label,
    "ids": _ids,
    "sky": _sky,
    "magnitudes": _magnitudes,
    "image": _image,
    "doubled": _doubled,
}


def _band(rows: Rows, *, band: int) -> tuple[np.ndarray, np.ndarray]:
    """One band as stored, and as magnitudes."""
    column = rows.columns[band]
    raw = np.full(len(rows), np.nan) if column is None else np.array(column[:])
    return raw, rows._band(raw)


def _outside(values: np.ndarray, span: tuple[float, float]) -> np.ndarray:
    return (values < span[0]) | (values > span[1])


def _are_same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two columns hold the same values, more than a few of them."""
    return np.array_equal(one, other, equal_nan=True) and len(np.unique(one[:N_CODES])) > 2


def counted(values: np.ndarray) -> str:
    """Name different values, the most frequent first, with how often each occurs."""
    different, counts = np.unique(values, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    shown = [f"{v:g}" if float(f"{v:g}") == v else str(v) for v in different[order[:6]]]
    return _listed([f"{value} ({counts[k]:,} times)" for value, k in zip(shown, order, strict=False)])


def _listed(words: list[str]) -> str:
    return ", ".join(words[:5]) + (", …" if len(words) > 5 else "")
