"""From a name to a `Survey`: find the files, or simulate them, or fetch them; then read and check them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from astrolab.datasets.checking import Part, as_read, report
from astrolab.datasets.fetching import locate, prove, recorded_hash, survey_dir
from astrolab.datasets.manifest import Manifest, load_manifest
from astrolab.datasets.overlap import combine
from astrolab.datasets.reading import read_file
from astrolab.datasets.splits import subsample
from astrolab.datasets.survey import Survey, choose, digest_joined, stack_surveys
from astrolab.errors import ConfigError


def load_survey(
    name_or_path: str | Path | Manifest,
    *,
    n: int | None = None,
    seed: int = 0,
    image_size: int | None = None,
    directory: str | Path | None = None,
    where: str = "",
) -> Survey:
    """Open a survey by name, or by the path of a manifest; pixels stay on disk until they are asked for.

    Parameters
    ----------
    name_or_path : str, path or Manifest
        A name from ``astrolab data list``, or a manifest of your own, ``"my.toml"``.
    n, seed : int
        How many objects, and which. A twin is simulated with this many; of a real survey a reproducible part is chosen;
        by default the twin's usual number, or everything. Of a recipe of twins it is the total, with common objects.
    image_size : int, optional
        Side of the images (px); a size between those on disk is cut from the centre of the next larger.
    directory : path, optional
        Where the files lie, or the twin is to be kept, instead of the data folder.
    where : str, optional
        Which objects, by labels, channels and other columns: ``"z > 0.01 and `sdss-r` < 17.8"``; else the manifest's.

    Raises
    ------
    DataNotFoundError
        Where files are not here; says how to get them.
    CorruptFileError, SchemaError, ChecksumError
        Where files cannot be read, are not what the manifest says, or hold what cannot be. What is only suspected is
        an `AstrolabWarning` with counts: impossible magnitudes are NaN, objects with nothing measured are left out.
    """
    manifest = load_manifest(name_or_path)
    if n is not None and n < 1:
        asked = f"{manifest.objects.capitalize()} of {manifest.name!r} were asked for."
        raise ConfigError(asked, received=f"n={n}", remedy="Ask for n >= 1.")
    options = {"n": n, "seed": seed, "image_size": image_size, "directory": directory}
    load = _load_recipe if manifest.recipe else _simulate if manifest.twin else _load_files
    survey, where = load(manifest, **options), where or manifest.where
    survey = choose(survey, where=where) if where else survey
    if n is not None and not is_twin(manifest):
        survey = subsample(survey, n=n, seed=seed)
    name = manifest.name if isinstance(name_or_path, Manifest) else str(name_or_path)
    if name.endswith(".toml") and Path(name).expanduser().is_file():
        name = str(Path(name).expanduser().absolute())  # what asks for the same survey from any folder
    again = {"name_or_path": name, **options, "directory": directory and str(directory), "where": where}
    return replace(survey, provenance=replace(survey.provenance, loading=again))


def is_twin(manifest: Manifest) -> bool:
    """Whether a survey is made as large as asked: a twin, or a recipe of twins."""
    return all(load_manifest(one).twin for one in (manifest.recipe.members if manifest.recipe else [manifest]))


def _simulate(manifest: Manifest, *, n: int | None, seed: int, image_size: int | None, directory) -> Survey:
    from astrolab.datasets.twins import simulate_survey  # brings torch, which files do not need

    n, size = n or manifest.twin.n, image_size or manifest.twin.knobs.get("image_size")
    on_disk = manifest.size_on_disk(size)
    paths = simulate_survey(manifest, n=n, seed=seed, directory=directory, image_size=on_disk)
    survey = _read_checked(manifest, paths=paths, image_size=size)
    knobs = {**manifest.twin.knobs, "n": n, "seed": seed}
    return replace(survey, provenance=replace(survey.provenance, knobs=knobs))


def _load_files(manifest: Manifest, *, n: int | None, seed: int, image_size: int | None, directory) -> Survey:
    paths = locate(manifest, size=image_size, directory=directory and Path(directory))
    return _read_checked(manifest, paths=paths, image_size=image_size)


def _read_checked(manifest: Manifest, *, paths: Sequence[Path], image_size: int | None) -> Survey:
    """Read files that are the published ones, say what is wrong with their values, and join them."""
    checked, home = [], survey_dir(manifest)
    for path in paths:
        entry = manifest.entry_for(path)
        fetched = recorded_hash(manifest, entry=entry) if path.is_relative_to(home) else None
        prove(path, known_hash=entry.known_hash or fetched)
        survey = read_file(path, manifest=manifest, image_size=image_size)
        checked.append(Part(survey, manifest, entry, every_pixel=False))
    report(checked, name=manifest.name)
    parts = [as_read(part) for part in checked]
    provenance = replace(
        parts[0].provenance,
        files=tuple(file for part in parts for file in part.provenance.files),
        digest=partial(digest_joined, [(part.provenance.digest, part.ids) for part in parts]),
    )
    return stack_surveys(parts, name=manifest.name, provenance=provenance)


def _load_recipe(manifest: Manifest, *, n: int | None, seed: int, **options: object) -> Survey:
    members = [load_manifest(name) for name in manifest.recipe.members]
    are_twins, surveys = is_twin(manifest), []
    for member in members:
        share = max(round(n * member.twin.n / sum(one.twin.n for one in members)), 1) if are_twins and n else None
        surveys.append(load_survey(member, n=share, seed=seed, **options))
    survey = combine(surveys, keep=manifest.recipe.keep, name=manifest.name)
    keys = tuple(dict.fromkeys((*manifest.citation.keys, *survey.provenance.citation)))
    said = {"title": manifest.title, "version": manifest.version, "fractions": manifest.split}
    return replace(survey, provenance=replace(survey.provenance, citation=keys, **said))
