"""Names and records of run folders: which code and parameters name a run, and what ``run.json`` says of it."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import platform
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from functools import cache
from html import escape
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from types import FunctionType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from astrolab.errors import AstrolabWarning, ConfigError, CorruptFileError, RunError
from astrolab.files import source_digest, write_atomically

if TYPE_CHECKING:
    import pandas as pd

    from astrolab.datasets.survey import Survey
    from astrolab.trainers.loop import FitResult

RECORD = "run.json"
PACKAGE = Path(__file__).resolve().parents[1]
_MODELS = ("adapt", "adapters", "network", "plan")
CODE_THAT_TRAINS = ("trainers", *(f"models/{name}.py" for name in _MODELS), "datasets/scaling.py")
_BESIDE_TRAINING = "predicting.py"  # of the trainers' folder: no weights are made there
_RECORDED_PACKAGES = ("astrolab", "torch", "torchvision", "peft", "accelerate", "numpy", "pandas", "astropy")
_NUMBER = int | float
_QUOTED = 40  # characters of what is wrong
COSTS = (
    *("trained_on", "n_train", "strategy", "learning_rate", "n_trials", "n_trainable", "n_epochs", "best_epoch"),
    *("n_steps", "n_seen", "cut_short", "stopped", "time_s", "search_time_s", "peak_memory_bytes", "reused"),
    *("device", "precision", "n_threads"),
)


def runs_dir() -> Path:
    """Return the folder that holds all runs: ``$ASTROLAB_RUNS_DIR``, or ``runs`` here."""
    return Path(os.environ.get("ASTROLAB_RUNS_DIR", "runs")).resolve()


def as_link(path: Path) -> str:
    """Return a link, for an output of a notebook, to a file of a run; a link that stands for the runs is kept in it."""
    shown, path = Path(os.environ.get("ASTROLAB_RUNS_DIR", "runs")).absolute(), path.resolve()
    path = shown / path.relative_to(runs_dir()) if path.is_relative_to(runs_dir()) else path
    return f'<a href="{quote(os.path.relpath(path))}">{escape(path.name)}</a>'


@cache
def code_digest(network: type | None = None, *, package: Path = PACKAGE) -> str:
    """Return SHA-256 of the code that trains, and of that of one network, without comments and docstrings."""
    paths = [package / part for part in CODE_THAT_TRAINS]
    files = [file for path in paths for file in (sorted(path.rglob("*.py")) if path.is_dir() else [path])]
    files = [file for file in files if file.name != _BESIDE_TRAINING]
    if network is None:
        return source_digest(files)
    own = getattr(sys.modules.get(network.__module__), "__file__", None)
    if own is None:  # defined in a cell of a notebook
        methods = [value for value in vars(network).values() if isinstance(value, FunctionType)]
        text = source_digest(files) + "".join(map(inspect.getsource, methods))
        return hashlib.sha256(text.encode()).hexdigest()
    own = Path(own).resolve()
    return source_digest([*files, package / own.relative_to(PACKAGE) if own.is_relative_to(PACKAGE) else own])


def parameters_digest(study: str, *, parameters: Mapping[str, Any]) -> str:
    """Return eight hexadecimal digits that name a study with its parameters, and the code that every fit uses."""
    text = json.dumps([study, code_digest(), dict(parameters)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def new_run_folder(study: str, *, digest: str) -> Path:
    """Return the name of a new run folder, by time and digest."""
    return runs_dir() / study / f"{datetime.now():%Y-%m-%dT%H-%M-%S}-{digest}"


def find_unfinished(study: str, *, digest: str) -> Path | None:
    """Return the newest folder of a run of this digest that was cut off, if there is one."""
    found = newest_records(study, pattern=f"*-{digest}")
    return next((folder for folder, record in found if record["status"] != "finished"), None)


def newest_records(study: str, *, pattern: str = "*") -> Iterator[tuple[Path, dict[str, Any]]]:
    """Give the runs of a study that can be read, the newest first."""
    for folder in sorted((runs_dir() / study).glob(pattern), reverse=True):
        with suppress(CorruptFileError):
            if record := read_record(folder):
                yield folder, record


def make_run_folder(folder: Path) -> None:
    """Make a run folder, and refuse one that cannot be written into before anything is computed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        received = f"{folder}, which cannot be written into ({error.strerror})"
        remedy = "Set ASTROLAB_RUNS_DIR to a folder that you may write into, or give this run one (run_dir)."
        raise RunError("A run folder was to be made, or gone on with.", received=received, remedy=remedy) from error


# The shape of a value is its type, a list of what its entries are, or its keys (`...`: of any other key); what may
# be None may be absent.
_COLUMN = [_NUMBER | None]
_TRIAL = {
    "learning_rate": _NUMBER | dict,
    **dict.fromkeys(("n_epochs", "n_seen", "time_s"), _NUMBER),
    "validation_loss": _NUMBER | None,
    "stopped": str,
}
_CIRCUMSTANCES = {  # none of a fit that trained nothing
    **dict.fromkeys(("device", "precision"), str | None),
    "n_threads": _NUMBER | None,
    "versions": dict | None,
    "resumed_from": dict | None,
    ...: str | int | float | bool | None,
}
_FIT = {
    **dict.fromkeys(("arm", "trained_on", "train_digest", "stopped"), str),
    **dict.fromkeys(("seed", "n_train", "n_trainable", "n_epochs", "best_epoch", "n_steps", "n_seen"), int),
    **dict.fromkeys(("time_s", "peak_memory_bytes"), _NUMBER),
    **dict.fromkeys(("simulated", "reused", "cut_short"), bool),
    "condition": {...: str | int | float | bool},
    "circumstances": _CIRCUMSTANCES,
    "strategy": {"name": str},
    "config": {"learning_rate": _NUMBER | dict},
    "trials": [_TRIAL],
    "history": {"epoch": _COLUMN, ...: _COLUMN},
}
_SURVEY = {**dict.fromkeys(("name", "twin_of", "repr", "digest"), str), "n": int, "simulated": bool}
_SHAPE = {
    **dict.fromkeys(("study", "digest", "status", "started"), str),
    "time_s": _NUMBER,
    **dict.fromkeys(("parameters", "move"), dict),
    "task": {...: str | list},
    "finding": {...: str | list},
    "circumstances": {"versions": {...: str}},
    "surveys": {...: _SURVEY},
    "fits": {...: _FIT},
}


def _misfits(value: Any, *, shape: Any, name: str = "it") -> Iterator[str]:
    """Say what in some JSON values is not of a shape, e.g. ``study is 7``."""
    if isinstance(shape, Mapping) and isinstance(value, dict):
        absent = (key for key in shape if key is not ... and key not in value)
        yield from (f"{name} lacks {key}" for key in absent if not _may_be_none(shape[key]))
        for key, inside in value.items():
            place = key if name == "it" else f"{name} {key}"
            yield from _misfits(inside, shape=shape.get(key, shape.get(..., object)), name=place)
    elif isinstance(shape, list) and isinstance(value, list):
        for number, inside in enumerate(value):
            yield from _misfits(inside, shape=shape[0], name=f"{name} {number}")
    elif isinstance(shape, Mapping | list) or not isinstance(value, shape):
        yield f"{name} is {json.dumps(value)[:_QUOTED]}"


def _may_be_none(shape: Any) -> bool:
    return not isinstance(shape, Mapping | list) and isinstance(None, shape)


def read_record(folder: Path) -> dict[str, Any] | None:
    """Return the content of ``run.json``, or None where a folder has none; CorruptFileError if it cannot be trusted."""
    path = folder / RECORD
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        wrong = list(islice(_misfits(record, shape=_SHAPE), 3))
        if not wrong:
            datetime.fromisoformat(record["started"])
            histories = {key: fit["history"].values() for key, fit in record["fits"].items()}
            wrong = [
                f"fits {key} history is uneven" for key, columns in histories.items() if len({*map(len, columns)}) > 1
            ]
    except (OSError, ValueError, RecursionError) as error:
        wrong = [str(error)]
    if wrong:
        received = f"{RECORD} is damaged, or of another version of astrolab: {', '.join(wrong)}"
        remedy = "Take the file from a copy of the run, or run the study again."
        raise CorruptFileError(f"The record of the run {folder} was read.", received=received, remedy=remedy)
    return record


def load_record(folder: str | Path) -> dict[str, Any]:
    """Read the record of a run; ConfigError if the folder holds none."""
    record = read_record(Path(folder))
    if record is None:
        remedy = "Give the folder of a run, such as runs/<study>/<time>-<digest>."
        raise ConfigError("A run was read.", received=f"{folder}, which holds no run.json", remedy=remedy)
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
        "task": {},
        "move": {},
        "finding": {},
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


def describe_survey(survey: Survey) -> dict[str, Any]:
    """Return what ``run.json`` says of a survey."""
    own = {"name": survey.name, "repr": repr(survey), "n": len(survey), "digest": survey.digest}
    return asdict(survey.provenance) | own


def describe_fit(best: FitResult, *, trials: list[dict[str, Any]], train: Survey) -> dict[str, Any]:
    """Return what ``run.json`` says of a fit; ``time_s`` is of the one that was kept, when it was made."""
    kept = ("n_trainable", "n_epochs", "best_epoch", "n_steps", "n_seen", "cut_short", "stopped", "time_s")
    return {
        "trained_on": getattr(best.adapted.network.trained_on, "survey", train.name),
        "simulated": train.provenance.simulated,
        "n_train": len(train),
        "train_digest": train.digest,
        "strategy": best.adapted.settings.to_dict(),
        **{name: getattr(best, name) for name in (*kept, "peak_memory_bytes")},
        "circumstances": dict(best.circumstances),
        "config": best.config.to_dict(),
        "trials": trials,
        "history": best.history.to_dict("list"),
    }


def real_survey(record: Mapping[str, Any], *, role: str) -> str:
    """Name the real survey in a role of a run, which its twin stands for too; empty if the run has no such role."""
    survey = record["surveys"].get(role, {})
    return survey.get("twin_of") or survey.get("name", "")


def fit_key(arm: str, *, seed: int, condition: Mapping[str, Any]) -> str:
    """Return the name of a fit within its run, which is also that of its folder, e.g. ``lora-fraction0.25-s0``."""
    key = "-".join([arm, *(f"{name}{value}" for name, value in condition.items()), f"s{seed}"])
    if not re.fullmatch(r"[A-Za-z0-9][\w.+-]*", key, re.ASCII):
        asked = "A fit was to be recorded under the name of its arm, its condition and its seed."
        remedy = "Use these in the names of arms and the values of conditions: they name a folder."
        raise ConfigError(asked, received=repr(key), available="letters, digits, and _ . + -", remedy=remedy)
    return key


def cost_table(record: Mapping[str, Any]) -> pd.DataFrame:
    """Return what each fit of a run cost: one row a fit, ``arm``, ``seed``, its conditions and :data:`COSTS`."""
    import pandas as pd  # here, for a command names its run before it imports what takes a second

    rows = [_identity(fit) | _costs(fit) for fit in record["fits"].values()]
    return pd.DataFrame(rows, columns=[*_identity_columns(record), *COSTS])


def history_table(record: Mapping[str, Any]) -> pd.DataFrame:
    """Return losses and learning rate of a run: one row an epoch and fit, with ``arm``, ``seed`` and conditions."""
    import pandas as pd

    fits = [fit for fit in record["fits"].values() if fit["history"]["epoch"]]
    flags = [{flag: fit[flag] for flag in ("simulated", "cut_short")} for fit in fits]
    tables = [pd.DataFrame(one["history"]).assign(**_identity(one), **so) for one, so in zip(fits, flags, strict=True)]
    if not tables:
        return pd.DataFrame(columns=["epoch", *_identity_columns(record)])
    return pd.concat(tables, ignore_index=True)


def made_under(record: Mapping[str, Any]) -> str:
    """Say what the fits of a run were computed with, e.g. ``"float32 on cpu, 2 threads"``; empty if none trained."""
    table = cost_table(record)
    used = table.loc[table["n_trainable"] > 0, ["precision", "device", "n_threads"]].drop_duplicates()
    return "; ".join(f"{precision} on {device}, {n:g} threads" for precision, device, n in used.itertuples(index=False))


def _identity(fit: Mapping[str, Any]) -> dict[str, Any]:
    return {"arm": fit["arm"], "seed": fit["seed"], **fit["condition"]}


def _identity_columns(record: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(["arm", "seed", *(name for fit in record["fits"].values() for name in fit["condition"])]))


def _costs(fit: Mapping[str, Any]) -> dict[str, Any]:
    rate, is_trained = fit["config"]["learning_rate"], fit["n_trainable"] > 0
    of_search = {
        "strategy": fit["strategy"]["name"],
        "learning_rate": (json.dumps(rate) if isinstance(rate, dict) else rate) if is_trained else None,
        "n_trials": len(fit["trials"]) if is_trained else 0,
        "search_time_s": sum(trial["time_s"] for trial in fit["trials"]),
    }
    known = of_search | {name: fit["circumstances"].get(name) for name in ("device", "precision", "n_threads")}
    return known | {name: fit[name] for name in COSTS if name not in known}
