"""A fingerprint of the code that makes weights out of galaxies."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
_CODE_THAT_TRAINS = ("models", "trainers", "datasets/scaling.py")
_PACKAGES_THAT_TRAIN = ("torch", "torchvision", "peft", "accelerate")


@cache
def code_digest(package: Path = PACKAGE) -> str:
    """Return SHA-256 over astrolab's own code that trains, and over the versions of the libraries that do.

    Parameters
    ----------
    package : Path, optional
        The folder of the package.

    Returns
    -------
    str
    """
    total = hashlib.sha256(" ".join(f"{name} {version(name)}" for name in _PACKAGES_THAT_TRAIN).encode())
    for part in _CODE_THAT_TRAINS:
        path = package / part
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            total.update(f"{file.relative_to(package).as_posix()}\n".encode() + file.read_bytes())
    return total.hexdigest()
