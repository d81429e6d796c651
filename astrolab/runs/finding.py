"""Which folders are runs, and which look like one but cannot be read."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from astrolab.errors import DataNotFoundError, RunError
from astrolab.files import short_names
from astrolab.runs.fits import COSTS
from astrolab.runs.records import RECORD, read_record, runs_dir
from astrolab.runs.store import STORE

_RECORD_KEYS = ("study", "digest", "status", "started", "parameters", "versions", "surveys", "fits")
_DERIVED_COSTS = ("learning_rate", "n_trials", "search_time_s")
_FIT_KEYS = ("arm", "seed", "condition", "simulated", "train_digest", "config", "trials", "history")
_SCORE_COLUMNS = ("arm", "seed", "survey", "metric", "value", "low", "high", "n", "simulated")
_LEFT_BY_A_RUN = ("scores.csv", "predictions.parquet", "report.html", "notebook.ipynb", "notebook.partial.ipynb")
GALLERY_MARK = "gallery.json"


@dataclass(frozen=True)
class FoundRun:
    """A run folder whose record and scores could be read.

    Attributes
    ----------
    name : str
        Its folder's name, with as many parents as it takes to tell it from the others.
    folder : Path
    record : dict
        The content of ``run.json``.
    scores : DataFrame or None
        The content of ``scores.csv``; None if the study has none, or has not come that far.
    """

    name: str
    folder: Path
    record: dict[str, Any]
    scores: pd.DataFrame | None


def find_runs(
    directories: str | Path | Sequence[str | Path] | None = None,
) -> tuple[list[FoundRun], dict[Path, str]]:
    """Find every run in some directories, however deep.

    Parameters
    ----------
    directories : path or sequence of paths, optional
        Run folders, or folders that hold some; by default :func:`astrolab.runs.runs_dir`. The run store is no run.

    Returns
    -------
    runs : list of FoundRun
        By the time they were started.
    skipped : dict of Path to str
        Folders that look like runs and cannot be read as one, and why not.

    Raises
    ------
    DataNotFoundError
        If a directory does not exist.
    RunError
        If there is no run in any of them.
    """
    folders = find_run_folders(directories)
    found, skipped = [], {}
    for folder in folders:
        outcome = _read_run(folder)
        if isinstance(outcome, str):
            skipped[folder] = outcome
        else:
            found.append((folder, *outcome))
    if not found:
        raise _no_runs(folders, reasons=skipped)
    names = short_names([folder for folder, _, _ in found])
    runs = [FoundRun(names[folder], folder, record, scores) for folder, record, scores in found]
    return sorted(runs, key=lambda run: (run.record["started"], run.name)), skipped


def find_run_folders(directories: str | Path | Sequence[str | Path] | None = None) -> list[Path]:
    """Find every folder that holds a run, whole or damaged, in some directories, however deep.

    Parameters
    ----------
    directories : path or sequence of paths, optional
        Run folders, or folders that hold some; by default :func:`astrolab.runs.runs_dir`. The run store, galleries and
        hidden folders are not searched.

    Returns
    -------
    list of Path
        Each once, resolved, in alphabetical order.

    Raises
    ------
    DataNotFoundError
        If a directory does not exist.
    RunError
        If there is no run in any of them.
    """
    if directories is None:
        directories = runs_dir()
    roots = [Path(d) for d in ([directories] if isinstance(directories, str | Path) else directories)]
    missing = [root for root in roots if not root.is_dir()]
    if missing:
        raise DataNotFoundError(
            "Runs were looked for.",
            received=f"no folder {missing[0]}",
            remedy="Make a run first: `astrolab run lora_vs_transfer --preset smoke`; or name another folder.",
        )
    folders = sorted({folder for root in roots for folder in _search(root.resolve())})
    if not folders:
        raise _no_runs(roots)
    return folders


def _search(root: Path) -> list[Path]:
    """Folders with a record, and the deepest of those that have only other files of a run."""
    whole, suspects = [], []
    for place, inside, files in os.walk(root):
        if RECORD in files:
            whole.append(Path(place))
        elif GALLERY_MARK not in files and set(_LEFT_BY_A_RUN) & set(files):
            suspects.append(Path(place))
        if {RECORD, GALLERY_MARK} & set(files):
            inside.clear()
        inside[:] = [name for name in inside if name != STORE and not name.startswith(".")]
    # A table or a notebook that somebody saved above the runs does not make their folder a damaged run.
    above = {parent for folder in (*whole, *suspects) for parent in folder.parents}
    return whole + [folder for folder in suspects if folder not in above]


def _read_run(folder: Path) -> tuple[dict[str, Any], pd.DataFrame | None] | str:
    """Record and scores of a run, or why they cannot be read."""
    try:
        record = read_record(folder)
    except ValueError as error:
        return f"{RECORD} is damaged: {error}"
    if record is None:
        return f"it has files of a run but no {RECORD}: it ended before its first cell was through, or lost it"
    if not isinstance(record, dict) or not all(key in record for key in _RECORD_KEYS):
        return f"{RECORD} is not a record of astrolab: it has not all of {', '.join(_RECORD_KEYS)}"
    wanted = (*_FIT_KEYS, *(name for name in COSTS if name not in _DERIVED_COSTS))
    lacking = [key for key in wanted if any(key not in fit for fit in record["fits"].values())]
    if lacking:
        made_by = record["versions"].get("astrolab", "unknown")
        return f"its fits were recorded without {', '.join(lacking)}, by another version of astrolab ({made_by})"
    return _with_scores(folder, record)


def _with_scores(folder: Path, record: dict[str, Any]) -> tuple[dict[str, Any], pd.DataFrame | None] | str:
    path = folder / "scores.csv"
    if not path.is_file():
        return record, None
    try:
        scores = pd.read_csv(path)
    except ValueError as error:  # pandas' own errors of parsing are ValueErrors
        return f"{path.name} is damaged: {error}"
    lacking = [name for name in _SCORE_COLUMNS if name not in scores]
    return f"{path.name} has no column {', '.join(lacking)}" if lacking else (record, scores)


def _no_runs(places: Sequence[Path], *, reasons: Mapping[Path, str] | None = None) -> RunError:
    where = ", ".join(map(str, places)) or "no folder"
    why = "; ".join(f"{folder.name}: {reason}" for folder, reason in (reasons or {}).items())
    return RunError(
        "Runs were looked for.",
        received=f"{where}, where no folder holds a run that can be read" + (f" ({why})" if why else ""),
        available="folders with a run.json",
        remedy="Make a run first: `astrolab run lora_vs_transfer --preset smoke` takes a minute.",
    )


def describe_skipped(skipped: dict[Path, str]) -> pd.DataFrame:
    """Return a table of the folders that look like runs and could not be read.

    Parameters
    ----------
    skipped : dict of Path to str
        From :func:`find_runs`.

    Returns
    -------
    DataFrame
        Columns ``folder`` and ``reason``.
    """
    return pd.DataFrame([(str(folder), reason) for folder, reason in skipped.items()], columns=["folder", "reason"])
