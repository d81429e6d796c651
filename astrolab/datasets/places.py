"""Where surveys live on disk, and the rule that no manifest may point outside its folder."""

from __future__ import annotations

import os
from pathlib import Path

import pooch

from astrolab.errors import ManifestError


def data_dir() -> Path:
    """Return the folder that holds every survey on this machine.

    Returns
    -------
    Path
        ``$ASTROLAB_DATA_DIR`` if set, else the cache folder of the operating system. It need not exist yet.
    """
    return Path(os.environ.get("ASTROLAB_DATA_DIR") or pooch.os_cache("astrolab")).expanduser().absolute()


def registry_dir() -> Path:
    """Return the folder of the manifests that this user has imported; it need not exist yet."""
    return data_dir() / "manifests"


def inside(folder: Path, *, path: str) -> Path:
    """Return a survey's file inside its folder, refusing one that leads out of it through a link."""
    whole = folder / path
    if not whole.resolve().is_relative_to(folder.resolve()):
        raise ManifestError(
            f"The file {path!r} of a manifest was asked for.",
            received=f"it leads to {whole.resolve()}, outside {folder}",
            remedy="Put the file itself there, or import the manifest with --directory set to the file's own folder.",
        )
    return whole
