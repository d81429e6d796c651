"""Names and records of run folders: where they are, and what ``run.json`` says."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import warnings
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from astrolab.errors import AstrolabWarning, ConfigError, CorruptFileError, RunError
from astrolab.files import write_atomically
from astrolab.runs.code import code_digest
from astrolab.runs.shapes import RECORD_SHAPE, misfits

RECORD = "run.json"
_RECORDED_PACKAGES = ("astrolab", "torch", "torchvision", "peft", "accelerate", "numpy", "pandas", "astropy")


def runs_dir() -> Path:
    """Return the folder that holds all runs: ``$ASTROLAB_RUNS_DIR``, or ``runs`` here."""
    return Path(os.environ.get("ASTROLAB_RUNS_DIR", "runs")).resolve()


def parameters_digest(study: str, *, parameters: Mapping[str, Any]) -> str:
    """Return eight hexadecimal digits that name a study with its parameters, and the code that every fit uses.

    A run that was cut off goes on only under the same name. The network's own code is in the names of its fits: they
    are made anew where it has changed. Library versions and the machine are circumstances, and part of no name.
    """
    text = json.dumps([study, code_digest(), dict(parameters)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def new_run_folder(study: str, *, digest: str) -> Path:
    """Return the name of a new run folder, by time and digest."""
    return runs_dir() / study / f"{datetime.now():%Y-%m-%dT%H-%M-%S}-{digest}"


def find_unfinished(study: str, *, parameters: Mapping[str, Any]) -> Path | None:
    """Return the folder of a run with these parameters that was cut off, if there is one."""
    return unfinished_run(study, digest=parameters_digest(study, parameters=parameters))


def unfinished_run(study: str, *, digest: str) -> Path | None:
    """Return the newest folder of a run of this digest that was cut off, if there is one."""
    for folder in sorted((runs_dir() / study).glob(f"*-{digest}"), reverse=True):
        try:
            record = read_record(folder)
        except CorruptFileError:
            continue
        if record and record["status"] != "finished":
            return folder
    return None


def make_run_folder(folder: Path) -> None:
    """Make a run folder, and refuse one that cannot be written into before anything is computed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise RunError(
            "A run folder was to be made, or gone on with.",
            received=f"{folder}, which cannot be written into ({error.strerror})",
            remedy="Set ASTROLAB_RUNS_DIR to a folder that you may write into, or give this run one (run_dir).",
        ) from error


def read_record(folder: Path) -> dict[str, Any] | None:
    """Return the content of ``run.json``, or None where a folder has none; CorruptFileError if it cannot be trusted."""
    path = folder / RECORD
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        wrong = list(islice(misfits(record, shape=RECORD_SHAPE), 3))
    except (OSError, ValueError, RecursionError) as error:
        wrong = [str(error)]
    if wrong:
        raise CorruptFileError(
            f"The record of the run {folder} was read.",
            received=f"{RECORD} is damaged, or of another version of astrolab: {', '.join(wrong)}",
            remedy="Take the file from a copy of the run, or run the study again.",
        )
    return record


def write_record(folder: Path, *, record: Mapping[str, Any]) -> None:
    """Write ``run.json``."""
    with write_atomically(folder / RECORD) as part:
        part.write_text(json.dumps(record, indent=1, default=str), encoding="utf-8")


def new_record(study: str, *, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of a run that begins now: what names it, and apart the circumstances it begins under."""
    return {
        "study": study,
        "digest": parameters_digest(study, parameters=parameters),
        "status": "running",
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "parameters": dict(parameters),
        "code": code_digest()[:8],
        "circumstances": _circumstances(),
        "time_s": 0.0,
        "surveys": {},
        "fits": {},
    }


def _circumstances() -> dict[str, Any]:
    versions = {"python": platform.python_version(), **{name: version(name) for name in _RECORDED_PACKAGES}}
    return {"platform": platform.platform(), "n_cores": os.cpu_count(), "versions": versions}


def warn_of_other_circumstances(record: Mapping[str, Any]) -> None:
    """Say where a run goes on under other circumstances than those it began under."""
    here = _circumstances()
    if record["circumstances"] == here:
        return
    from astrolab.trainers.hardware import differing_circumstances  # slow to import, and seldom needed

    changed = differing_circumstances(record["circumstances"], here=here)
    if changed:
        text = f"The run of {record['study']} goes on under other circumstances: {', '.join(changed)}. "
        text += "What it makes from here on equals what it would have made before to rounding, not to the bit."
        warnings.warn(text, AstrolabWarning, stacklevel=3)


def load_record(folder: str | Path) -> dict[str, Any]:
    """Read the record of a run; ConfigError if the folder holds none."""
    record = read_record(Path(folder))
    if record is None:
        raise ConfigError(
            "A run was read.",
            received=f"{folder}, which holds no run.json",
            remedy="Give the folder of a run, such as runs/<study>/<time>-<digest>.",
        )
    return record
