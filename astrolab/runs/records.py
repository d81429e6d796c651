"""Names and records of run folders: where they are, and what ``run.json`` says."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from astrolab.errors import ConfigError
from astrolab.runs.code import code_digest

RECORD = "run.json"
_RECORDED_PACKAGES = ("astrolab", "torch", "torchvision", "peft", "accelerate", "numpy", "pandas", "astropy")


def runs_dir() -> Path:
    """Return the folder that holds all runs: ``$ASTROLAB_RUNS_DIR``, or ``runs`` here.

    Returns
    -------
    Path
    """
    return Path(os.environ.get("ASTROLAB_RUNS_DIR", "runs")).resolve()


def parameters_digest(study: str, *, parameters: Mapping[str, Any]) -> str:
    """Return eight hexadecimal digits that name a study with its parameters, and the code that trains.

    A run that was cut off goes on only under the same name: never half of it with other code.

    Parameters
    ----------
    study : str
    parameters : mapping
        JSON-able values.

    Returns
    -------
    str
    """
    text = json.dumps([study, version("astrolab"), code_digest(), dict(parameters)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def new_run_folder(study: str, *, digest: str) -> Path:
    """Return the name of a new run folder, by time and digest.

    Parameters
    ----------
    study : str
    digest : str

    Returns
    -------
    Path
    """
    return runs_dir() / study / f"{datetime.now():%Y-%m-%dT%H-%M-%S}-{digest}"


def find_unfinished(study: str, *, parameters: Mapping[str, Any]) -> Path | None:
    """Return the folder of a run with these parameters that was cut off, if there is one.

    Parameters
    ----------
    study : str
    parameters : mapping

    Returns
    -------
    Path or None
    """
    return unfinished_run(study, digest=parameters_digest(study, parameters=parameters))


def unfinished_run(study: str, *, digest: str) -> Path | None:
    """Return the newest folder of a run of this digest that was cut off, if there is one.

    Parameters
    ----------
    study : str
    digest : str
        From :func:`parameters_digest`.

    Returns
    -------
    Path or None
    """
    for folder in sorted((runs_dir() / study).glob(f"*-{digest}"), reverse=True):
        record = read_record(folder)
        if record and record["status"] != "finished":
            return folder
    return None


def read_record(folder: Path) -> dict[str, Any] | None:
    """Return the content of ``run.json``, or None where a folder has none.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    dict or None
    """
    path = folder / RECORD
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def new_record(study: str, *, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of a run that begins now.

    Parameters
    ----------
    study : str
    parameters : mapping

    Returns
    -------
    dict
    """
    return {
        "study": study,
        "digest": parameters_digest(study, parameters=parameters),
        "status": "running",
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "parameters": dict(parameters),
        "code": code_digest()[:8],
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _RECORDED_PACKAGES}},
        "platform": platform.platform(),
        "n_cores": os.cpu_count(),
        "surveys": {},
        "fits": {},
    }


def load_record(folder: str | Path) -> dict[str, Any]:
    """Read the record of a run.

    Parameters
    ----------
    folder : str or Path

    Returns
    -------
    dict
        The content of ``run.json``.

    Raises
    ------
    ConfigError
        If the folder holds no run.
    """
    record = read_record(Path(folder))
    if record is None:
        raise ConfigError(
            "A run was read.",
            received=f"{folder}, which holds no run.json",
            remedy="Give the folder of a run, such as runs/<study>/<time>-<digest>.",
        )
    return record
