"""Make a user's own survey known by name, after checking its manifest thoroughly against its files."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Mapping
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np

from astrolab.datasets.fetch import find_file, prove
from astrolab.datasets.loading import read_survey
from astrolab.datasets.manifests import (
    FileEntry,
    Magnitudes,
    Manifest,
    load_manifest,
    manifest_error,
    register,
    shipped_manifests,
)
from astrolab.datasets.probing import in_one_line, read_or_probe
from astrolab.datasets.rows import Rows
from astrolab.datasets.survey import Survey
from astrolab.datasets.verify import finite_checks, value_checks
from astrolab.errors import AstrolabError, ChecksumError, ManifestError

MAG_SENTINELS = (-9999.0, -999.0, -99.9, -99.0, -9.99, -1.0, 0.0, 99.0, 99.9, 999.0, 9999.0, 1e20)
FLUX_SENTINELS = (-9999.0, -999.0, -99.0)
PLAUSIBLE_MEDIAN_MAG = (0.0, 40.0)
N_SAMPLED = 512
_log = logging.getLogger(__name__)


def import_survey(path: str | Path, *, directory: str | Path | None = None) -> Manifest:
    """Check a user's survey against its manifest and, if all is well, make it known by its name.

    The files stay where they are. Importing again replaces what was known under the name.

    Parameters
    ----------
    path : str or Path
        The manifest, a ``.toml`` file; see ``data_manifests/README.md``.
    directory : str or Path, optional
        Where the files are, if not beside the manifest.

    Returns
    -------
    Manifest

    Raises
    ------
    ManifestError
        If anything is wrong with the manifest or between it and the files; all problems are named.
    """
    path = Path(path).expanduser()
    manifest = load_manifest(path)
    folder = Path(directory).expanduser().absolute() if directory else manifest.folder
    manifest = replace(manifest, folder=folder)
    problems = list(_problems(manifest))
    if problems:
        raise manifest_error(str(path), problems=problems)
    register(manifest, text=path.read_text(encoding="utf-8"))
    return manifest


def _problems(manifest: Manifest) -> Iterator[str]:
    if manifest.name in shipped_manifests():
        yield f"name: {manifest.name!r} is a survey that comes with astrolab; choose another"
    if manifest.recipe:
        yield from _unknown_members(manifest)
    surveys = {}
    for entry in manifest.files:
        found = yield from _file_problems(manifest, entry)
        if found is not None:
            surveys[entry] = found
    if manifest.id:
        yield from _shared_ids(surveys)


def _unknown_members(manifest: Manifest) -> Iterator[str]:
    for member in manifest.recipe.members:
        try:
            load_manifest(member)
        except AstrolabError as error:
            yield f"[recipe] members: {in_one_line(error)}"


def _file_problems(manifest: Manifest, entry: FileEntry) -> Generator[str, None, Survey | None]:
    """Yield what is wrong with one file; return what it was read as, if it could be."""
    try:
        path = find_file(manifest, entry=entry)
    except ManifestError as error:
        yield f"{entry.path}: {in_one_line(error)}"
        return None
    if path is None:
        if entry.urls or manifest.twin:
            _log.warning("%s is not here yet and was not checked", entry.path)
        else:
            yield f"{entry.path}: no such file in {manifest.folder}"
        return None
    try:
        prove(path, known_hash=entry.known_hash)
    except ChecksumError as error:
        yield f"{entry.path}: {in_one_line(error)}"
    survey, problems = read_or_probe(path, manifest=manifest)
    if survey is not None:
        problems = list(_content_problems(survey, path, manifest, entry))
    yield from (f"{entry.path}: {problem}" for problem in problems)
    return survey


def _content_problems(survey: Survey, path: Path, manifest: Manifest, entry: FileEntry) -> Iterator[str]:
    sample = survey.take(np.unique(np.linspace(0, len(survey) - 1, N_SAMPLED).astype(int)))
    for check, ok, detail in (*value_checks(survey, manifest=manifest, entry=entry), *finite_checks(sample)):
        if not ok:
            yield f"{check}: {detail}"
    if "image" in survey.inputs:
        yield from _empty_bands(sample)
    if manifest.magnitudes:
        columns = read_survey(manifest.as_stored(), paths=[path], image_size=entry.size).catalogue
        yield from _doubtful_magnitudes(columns, manifest.magnitudes)
    if survey.sky_deg is not None:
        yield from _impossible_positions(survey.sky_deg, manifest)


def _empty_bands(survey: Survey) -> Iterator[str]:
    is_empty = ~np.any(np.asarray(survey.inputs["image"][:]) != 0, axis=(0, 2, 3))
    for band in np.asarray(survey.bands)[is_empty]:
        yield f"[image] {band}: every pixel of {len(survey):,} images is zero"


def _doubtful_magnitudes(columns: Mapping[str, Rows], magnitudes: Magnitudes) -> Iterator[str]:
    is_flux = not magnitudes.unit.endswith("mag")
    for band, column in zip(magnitudes.bands, magnitudes.columns, strict=True):
        values = np.asarray(columns[column][:])
        declared = np.isin(values, np.asarray(magnitudes.missing, dtype=values.dtype))
        measured = values[np.isfinite(values) & ~declared]
        where = f"[magnitudes] {band} (column {column!r})"
        if not len(measured):
            yield f"{where}: not one value is measured"
            continue
        suspect = _looks_missing(measured, is_flux)
        if suspect.any():
            listed = _counted(measured[suspect])
            yield f"{where}: looks like 'not measured' but is not under missing = {list(magnitudes.missing)}: {listed}"
        median = float(np.median(measured[~suspect])) if not suspect.all() else np.nan
        if not is_flux and not PLAUSIBLE_MEDIAN_MAG[0] < median < PLAUSIBLE_MEDIAN_MAG[1]:
            yield f"{where}: the median is {median:.4g}, which is no magnitude; is the unit {magnitudes.unit!r} right?"


def _looks_missing(measured: np.ndarray, is_flux: bool) -> np.ndarray:
    sentinels = FLUX_SENTINELS if is_flux else MAG_SENTINELS
    return np.isin(measured, np.asarray(sentinels, dtype=measured.dtype))


def _counted(values: np.ndarray) -> str:
    different, counts = np.unique(values, return_counts=True)
    listed = [f"{value:g} ({n:,} times)" for value, n in zip(different, counts, strict=True)]
    return ", ".join(listed[:5]) + (", …" if len(listed) > 5 else "")


def _impossible_positions(sky_deg: np.ndarray, manifest: Manifest) -> Iterator[str]:
    for name, values, low, high in (("ra", sky_deg[:, 0], 0, 360), ("dec", sky_deg[:, 1], -90, 90)):
        n_outside = int(np.sum((values < low) | (values > high)))
        if n_outside:
            column = getattr(manifest.sky, name)
            yield f"[sky] {name} (column {column!r}): {n_outside:,} values outside [{low}, {high}] deg"


def _shared_ids(surveys: dict[FileEntry, Survey]) -> Iterator[str]:
    for (first, one), (second, other) in combinations(surveys.items(), 2):
        common = np.intersect1d(one.ids, other.ids) if first.size == second.size else ()
        if len(common):
            yield f"[id]: {len(common):,} ids are both in {first.path} and in {second.path}, e.g. {common[0]}"
