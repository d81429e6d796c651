"""Which folders hold a run, and which folder may be replaced by a gallery."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from astrolab.errors import ConfigError, DataNotFoundError, RunError
from astrolab.runs.records import RECORD

MARK = "gallery.json"
SITE_CONTENT = frozenset({"index.html", "style.css", "runs", MARK})
_SIGNS_OF_A_RUN = frozenset(
    {RECORD, "notebook.ipynb", "notebook.partial.ipynb", "report.html", "predictions.parquet", "scores.csv"}
)


def find_run_folders(runs: str | Path | Iterable[str | Path]) -> list[Path]:
    """Find every folder that holds a run, whole or damaged, below the folders given.

    Parameters
    ----------
    runs : path, or iterable of paths
        Run folders, or folders that hold them at any depth. Galleries and hidden folders are not searched.

    Returns
    -------
    list of Path
        Each once, resolved, in alphabetical order.

    Raises
    ------
    DataNotFoundError
        If a folder does not exist.
    RunError
        If there is no run.
    """
    roots = [Path(runs)] if isinstance(runs, str | Path) else [Path(root) for root in runs]
    for root in roots:
        if not root.is_dir():
            raise DataNotFoundError(
                "Runs were looked for.",
                received=f"{root}, which is no folder",
                remedy="Give the folder that holds the runs; `astrolab run` writes into runs/ where it is started.",
            )
    found = sorted({folder for root in roots for folder in _search(root.resolve())})
    if not found:
        raise RunError(
            "Runs were looked for.",
            received=f"no run in {', '.join(str(root) for root in roots) or 'no folder'}",
            remedy="Make one: astrolab run lora_vs_transfer --preset smoke",
        )
    return found


def _search(root: Path) -> Iterator[Path]:
    for path, folders, files in os.walk(root):
        if _SIGNS_OF_A_RUN & set(files):
            yield Path(path)
            folders.clear()
        elif MARK in files:
            folders.clear()
        else:
            folders[:] = [name for name in folders if not name.startswith(".")]


def require_replaceable(out: Path, *, folders: Iterable[Path]) -> None:
    """Refuse to write a gallery over anything but an older gallery or nothing.

    Parameters
    ----------
    out : Path
        Where the gallery shall be.
    folders : iterable of Path
        The run folders that it will show.

    Raises
    ------
    ConfigError
        If `out` is a file, holds anything that no gallery holds, or holds a run to be shown.
    """
    remedy = "Give --out a folder that does not exist yet, is empty, or is an older gallery."
    if out.exists() and not out.is_dir():
        raise ConfigError("A gallery was to be written.", received=f"{out}, which is a file", remedy=remedy)
    content = {path.name for path in out.iterdir()} if out.is_dir() else set()
    foreign = sorted(content - SITE_CONTENT) if MARK in content else sorted(content)
    inside = [str(folder) for folder in folders if folder.is_relative_to(out.resolve())]
    if foreign or inside:
        named = ", ".join((foreign or inside)[:4])
        raise ConfigError(
            "A gallery was to be written; it replaces all that is in its folder.",
            received=f"{out}, which holds {named}{' …' if len(foreign or inside) > 4 else ''}",
            remedy=remedy,
        )
