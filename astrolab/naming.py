"""Names of folders that tell them apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def short_names(paths: Sequence[Path]) -> dict[Path, str]:
    """Name each path by its last part, with as many parents as it takes to be the only one of its name.

    >>> root = Path.cwd()
    >>> list(short_names([root / "a" / "same", root / "b" / "same", root / "other"]).values())
    ['a/same', 'b/same', 'other']
    """
    names = {}
    for path in paths:
        others = [other.parts for other in paths if other != path]
        n = 1
        while n < len(path.parts) and any(parts[-n:] == path.parts[-n:] for parts in others):
            n += 1
        names[path] = "/".join(path.parts[-n:])
    return names
