"""A fingerprint of the code that makes weights out of galaxies."""

from __future__ import annotations

import inspect
from functools import cache
from pathlib import Path

from astrolab.files import source_digest

PACKAGE = Path(__file__).resolve().parents[1]
_MODELS = ("adapt", "adapters", "digests", "network", "plan", "residual", "strategies", "targets")
CODE_THAT_TRAINS = ("trainers", *(f"models/{name}.py" for name in _MODELS), "datasets/scaling.py")


@cache
def code_digest(network: type | None = None, *, package: Path = PACKAGE) -> str:
    """Return SHA-256 of astrolab's code that trains, and of the module of one network where it is given.

    Comments and docstrings, other networks and the versions of libraries do not count: who changes or adds one has
    not changed what a run made of this code would give.
    """
    paths = [package / part for part in CODE_THAT_TRAINS]
    files = [file for path in paths for file in (sorted(path.rglob("*.py")) if path.is_dir() else [path])]
    own = [package / Path(inspect.getfile(network)).resolve().relative_to(PACKAGE)] if network is not None else []
    return source_digest([*files, *own])
