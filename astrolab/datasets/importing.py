"""Make a user's own survey known by name, after checking its manifest thoroughly against its files."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from astrolab.datasets.checking import CHECKS
from astrolab.datasets.manifests import Manifest, load_manifest, manifest_error, register, shipped_manifests
from astrolab.datasets.probing import in_one_line
from astrolab.datasets.verify import check_files
from astrolab.errors import AstrolabError, AstrolabWarning

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
    far = {entry.path for entry in manifest.files if entry.urls or manifest.twin}
    for file, kind, ok, detail in check_files(manifest, entries=manifest.files):
        if kind == "present" and not ok and file in far:
            _log.warning("%s is not here yet and was not checked", file)
        elif kind == "present" and not ok:
            yield f"{file}: no such file in {manifest.folder}"
        elif not ok:
            yield f"{file}: {detail}"
        elif kind in CHECKS and detail:
            warnings.warn(f"{file}: {detail}", AstrolabWarning, stacklevel=4)


def _unknown_members(manifest: Manifest) -> Iterator[str]:
    for member in manifest.recipe.members:
        try:
            load_manifest(member)
        except AstrolabError as error:
            yield f"[recipe] members: {in_one_line(error)}"
