"""Where the manifests and notebooks are that come with astrolab, in a checkout or in an installed wheel."""

from __future__ import annotations

from pathlib import Path

from astrolab.errors import DataNotFoundError, unknown_name

SHIPPED = ("data_manifests", "notebooks")
_PACKAGE = Path(__file__).resolve().parent


def shipped_folder(name: str) -> Path:
    """Return the folder of the survey manifests or of the notebooks that come with astrolab.

    >>> shipped_folder("data_manifests").name
    'data_manifests'
    """
    if name not in SHIPPED:
        raise unknown_name("shipped folder", name=name, names=SHIPPED)
    candidates = (_PACKAGE / "_shipped" / name, _PACKAGE.parent / name)
    for folder in candidates:
        if folder.is_dir():
            return folder
    raise DataNotFoundError(
        f"The folder {name!r} that comes with astrolab was asked for.",
        received="no such folder in this installation",
        available=", ".join(str(folder) for folder in candidates),
        remedy="Install astrolab again: python -m pip install --force-reinstall astrolab",
    )
