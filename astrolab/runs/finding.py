"""Which folders are runs, and which look like one but cannot be read."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from astrolab.errors import CorruptFileError, DataNotFoundError, RunError
from astrolab.files import short_names
from astrolab.predictions import FLAGS
from astrolab.runs.record import RECORD, load_record, read_record, runs_dir
from astrolab.runs.run import STORE, current_status

_NUMBERS = ("seed", "value", "low", "high", "n")
_WORDS = ("arm", "survey", "label", "metric")
_LEFT_BY_A_RUN = ("scores.csv", "predictions.parquet", "report.html", "notebook.ipynb", "notebook.partial.ipynb")
GALLERY_MARK = "gallery.json"
_Directories = str | Path | Sequence[str | Path] | None


@dataclass(frozen=True)
class FoundRun:
    """A run folder that could be read; its name has as many parents as tell it from others, scores may be missing."""

    name: str
    folder: Path
    record: dict[str, Any]
    scores: pd.DataFrame | None


def find_run(study: str, *, directory: str | Path = "") -> Path:
    """Find a finished run of a study: the folder named, or the newest under ``$ASTROLAB_RUNS_DIR``, or ``runs``.

    RunError if there is none, or the folder holds an unfinished run, or one of another study.
    """
    if directory:
        folder = Path(directory).resolve()
        record = load_record(folder)
        if record["study"] != study or record["status"] != "finished":
            received = f"{folder}, a run of {record['study']!r} that is {record['status']}"
            remedy = "Name the folder of another run, or run the same command again to let it go on."
            raise RunError(f"A finished run of {study!r} was asked for.", received=received, remedy=remedy)
        return folder
    found, _ = find_runs() if runs_dir().is_dir() and any(runs_dir().iterdir()) else ([], {})
    finished = [run for run in found if run.record["study"] == study and run.record["status"] == "finished"]
    if not finished:
        asked = f"The newest finished run of {study!r} was asked for."
        available = ", ".join(sorted({run.record["study"] for run in found})) or "no runs at all"
        remedy = f"Run it first: `astrolab run {study} --preset smoke` takes a minute."
        raise RunError(asked, received=f"{runs_dir()}, which holds none", available=available, remedy=remedy)
    return finished[-1].folder


def find_runs(directories: _Directories = None) -> tuple[list[FoundRun], dict[Path, str]]:
    """Find every run in some directories by the time they were started, and why other folders cannot be read as one."""
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


def find_run_folders(directories: _Directories = None) -> list[Path]:
    """Find every folder that holds a run, whole or damaged, however deep, but in the run store and in galleries."""
    directories = runs_dir() if directories is None else directories
    roots = [Path(d) for d in ([directories] if isinstance(directories, str | Path) else directories)]
    missing = [root for root in roots if not root.is_dir()]
    if missing:
        remedy = "Make a run first: `astrolab run lora_vs_transfer --preset smoke`; or name another folder."
        raise DataNotFoundError("Runs were looked for.", received=f"no folder {missing[0]}", remedy=remedy)
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
    except CorruptFileError as error:
        return error.received
    if record is None:
        return f"it has files of a run but no {RECORD}: it ended before its first cell was through, or lost it"
    record["status"] = current_status(folder, record=record)
    path = folder / "scores.csv"
    if not path.is_file():
        return record, None
    try:
        scores = pd.read_csv(path)
    except (OSError, ValueError) as error:  # pandas' own errors of parsing are ValueErrors
        return f"{path.name} is damaged: {error}"
    wrong = _misfits(scores)
    if wrong:
        return f"{path.name} is damaged, or of another version of astrolab: {wrong}"
    return record, scores.assign(fit=scores["fit"].fillna("").astype(str))


def _misfits(scores: pd.DataFrame) -> str:
    """What columns of scores lack, or hold that they cannot; empty if nothing."""
    lacking = [name for name in ("run", "fit", *_WORDS, *_NUMBERS, *FLAGS) if name not in scores]
    if lacking:
        return f"it has no column {', '.join(lacking)}"
    are_words = {name: pd.api.types.is_string_dtype(scores[name]) and scores[name].notna().all() for name in _WORDS}
    are_numbers = {name: pd.api.types.is_numeric_dtype(scores[name]) for name in _NUMBERS}
    are_right = are_words | are_numbers | {name: scores[name].dtype == bool for name in FLAGS}
    return ", ".join(f"{name} holds {scores[name].dtype}" for name, is_right in are_right.items() if not is_right)


def _no_runs(places: Sequence[Path], *, reasons: Mapping[Path, str] | None = None) -> RunError:
    where = ", ".join(map(str, places)) or "no folder"
    why = "; ".join(f"{folder.name}: {reason}" for folder, reason in (reasons or {}).items())
    received = f"{where}, where no folder holds a run that can be read" + (f" ({why})" if why else "")
    remedy = "Make a run first: `astrolab run lora_vs_transfer --preset smoke` takes a minute."
    return RunError("Runs were looked for.", received=received, available="folders with a run.json", remedy=remedy)
