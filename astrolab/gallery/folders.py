"""Which folder may be replaced by a gallery."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from astrolab.errors import ConfigError
from astrolab.runs.finding import GALLERY_MARK

SITE_CONTENT = frozenset({"index.html", "style.css", "runs", GALLERY_MARK})


def require_replaceable(out: Path, *, folders: Iterable[Path]) -> None:
    """Refuse to write a gallery over anything but an older gallery or nothing, or over a run that it will show."""
    remedy = "Give --out a folder that does not exist yet, is empty, or is an older gallery."
    if out.exists() and not out.is_dir():
        raise ConfigError("A gallery was to be written.", received=f"{out}, which is a file", remedy=remedy)
    content = {path.name for path in out.iterdir()} if out.is_dir() else set()
    foreign = sorted(content - SITE_CONTENT) if GALLERY_MARK in content else sorted(content)
    inside = [str(folder) for folder in folders if folder.is_relative_to(out.resolve())]
    if foreign or inside:
        named = ", ".join((foreign or inside)[:4])
        raise ConfigError(
            "A gallery was to be written; it replaces all that is in its folder.",
            received=f"{out}, which holds {named}{' …' if len(foreign or inside) > 4 else ''}",
            remedy=remedy,
        )
