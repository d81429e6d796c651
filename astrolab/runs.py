"""Run folders: everything a study made, and everything needed to know how.

::

    runs/lora_vs_transfer/2026-11-21T07-35-12-3fa9c1d2/
        run.json              parameters, versions, data digests, one record a fit, status
        notebook.ipynb        the executed notebook        report.html  the same, self-contained
        predictions.parquet   one row a galaxy, arm, seed  scores.csv   computed from it, no GPU needed
        histories.csv         losses and rates an epoch
        figures/              PNG and PDF of each figure
        models/<arm>-s<seed>/ weights (safetensors), model card
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from filelock import FileLock, Timeout

from astrolab.errors import ConfigError, RunError
from astrolab.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from astrolab.datasets.scaling import Scaling
    from astrolab.datasets.splits import Splits
    from astrolab.datasets.survey import Survey
    from astrolab.models.adapt import Adapted
    from astrolab.trainers.config import TrainConfig
    from astrolab.trainers.loop import FitResult

_RECORDED_PACKAGES = ("astrolab", "torch", "torchvision", "peft", "accelerate", "numpy", "pandas", "astropy")


def runs_dir() -> Path:
    """Return the folder that holds all runs: ``$ASTROLAB_RUNS_DIR``, or ``runs`` here.

    Returns
    -------
    Path
    """
    return Path(os.environ.get("ASTROLAB_RUNS_DIR", "runs")).resolve()


def parameters_digest(study: str, *, parameters: Mapping[str, Any]) -> str:
    """Return eight hexadecimal digits that name a study with its parameters.

    Parameters
    ----------
    study : str
    parameters : mapping
        JSON-able values.

    Returns
    -------
    str
    """
    text = json.dumps([study, version("astrolab"), dict(parameters)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


@dataclass
class Run:
    """An open run folder; use :func:`open_run` to get one.

    Attributes
    ----------
    folder : Path
    record : dict
        What stands in ``run.json``.
    """

    folder: Path
    record: dict[str, Any]
    _lock: FileLock = field(repr=False)
    _opened: float = field(default_factory=time.monotonic, repr=False)

    def __repr__(self) -> str:
        fits = len(self.record["fits"])
        return f"Run {self.record['study']} · {self.record['status']} · {fits} fits · {self.folder}"

    def fit(
        self,
        adapted: Adapted,
        *,
        arm: str,
        seed: int,
        sample: Splits,
        scaling: Scaling,
        config: TrainConfig,
    ) -> FitResult:
        """Train a network in this run: resumed if it was cut off, returned at once if it had finished.

        Parameters
        ----------
        adapted : Adapted
            Network and plan from :func:`astrolab.adapt`.
        arm : str
            Name of the bar it will be in the figures.
        seed : int
        sample : Splits
            Its train part is learned, its validation part decides when to stop.
        scaling : Scaling
        config : TrainConfig

        Returns
        -------
        FitResult
            With the best weights, which are also saved under ``models/<arm>-s<seed>``.
        """
        from astrolab.models.saving import save_model
        from astrolab.trainers.loop import fit

        key = f"{arm}-s{seed}"
        result = fit(
            adapted,
            train=sample.train,
            validation=sample.validation,
            scaling=scaling,
            config=config,
            checkpoint=self.folder / "checkpoints" / f"{key}.safetensors",
            description=f"{arm} (seed {seed})",
        )
        save_model(result.adapted, directory=self.folder / "models" / key)
        scaling.save(self.folder / "models" / key / "scaling.json")
        self._record_fit(key, arm=arm, seed=seed, train=sample.train, result=result)
        return result

    def _record_fit(self, key: str, *, arm: str, seed: int, train: Survey, result: FitResult) -> None:
        self.record["fits"][key] = {
            "arm": arm,
            "seed": seed,
            "trained_on": train.name,
            "simulated": train.provenance.simulated,
            "n_train": len(train),
            "train_digest": train.digest,
            "n_trainable": result.n_trainable,
            "n_epochs": result.n_epochs,
            "best_epoch": result.best_epoch,
            "stopped": result.stopped,
            "n_seen": result.n_seen,
            "time_s": result.time_s,
            "peak_memory_bytes": result.peak_memory_bytes,
            "config": result.config.to_dict(),
            "history": result.history.to_dict("list"),
        }
        self._write()

    @property
    def costs(self) -> pd.DataFrame:
        """What each fit cost: one row an arm and seed."""
        columns = ["arm", "seed", "trained_on", "n_train", "n_trainable", "n_epochs", "best_epoch", "stopped"]
        columns += ["n_seen", "time_s", "peak_memory_bytes"]
        return pd.DataFrame([{c: fit[c] for c in columns} for fit in self.record["fits"].values()], columns=columns)

    @property
    def histories(self) -> pd.DataFrame:
        """Losses and learning rate of every epoch of every fit."""
        tables = [
            pd.DataFrame(fit["history"]).assign(arm=fit["arm"], seed=fit["seed"], simulated=fit["simulated"])
            for fit in self.record["fits"].values()
            if fit["history"]["epoch"]
        ]
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["epoch", "arm", "seed"])

    def record_surveys(self, surveys: Mapping[str, Survey]) -> None:
        """Note which data this run stands on.

        Parameters
        ----------
        surveys : mapping of str to Survey
            Role in the study, and survey.
        """
        self.record["surveys"] = {
            role: {"repr": repr(survey), "n": len(survey), "digest": survey.digest, **asdict(survey.provenance)}
            for role, survey in surveys.items()
        }
        self._write()

    def save_figure(self, name: str, *, figure: Figure | Axes) -> None:
        """Save a figure as PNG (200 dpi) and PDF under ``figures/``.

        Parameters
        ----------
        name : str
            File name without extension.
        figure : Figure or Axes
        """
        canvas = getattr(figure, "figure", figure)
        for suffix, options in (("png", {"dpi": 200}), ("pdf", {"dpi": 300, "metadata": {"CreationDate": None}})):
            path = self.folder / "figures" / f"{name}.{suffix}"
            with write_atomically(path) as part:
                canvas.savefig(part, format=suffix, bbox_inches="tight", **options)

    def save_table(self, name: str, *, table: pd.DataFrame) -> None:
        """Save a table as CSV.

        Parameters
        ----------
        name : str
            File name without extension.
        table : DataFrame
        """
        with write_atomically(self.folder / f"{name}.csv") as part:
            table.to_csv(part, index=False)

    def save_predictions(self, table: pd.DataFrame) -> None:
        """Save the predictions table from which every score can be computed again.

        Parameters
        ----------
        table : DataFrame
            From :func:`astrolab.predict`.
        """
        from astrolab.predictions import save_predictions

        save_predictions(table, path=self.folder / "predictions.parquet")

    def finish(self, *, scores: pd.DataFrame) -> None:
        """Write scores, histories and the final record, and drop the checkpoints.

        Parameters
        ----------
        scores : DataFrame
            From :func:`astrolab.score`.
        """
        self.save_table("scores", table=scores)
        self.save_table("histories", table=self.histories)
        self.save_table("costs", table=self.costs)
        for checkpoint in (self.folder / "checkpoints").glob("*.safetensors"):
            checkpoint.unlink()
        self.record["time_s"] = self.record.get("time_s", 0.0) + time.monotonic() - self._opened
        self.record["status"] = "finished"
        self._write()
        self._lock.release()

    def _write(self) -> None:
        with write_atomically(self.folder / "run.json") as part:
            part.write_text(json.dumps(self.record, indent=1, default=str), encoding="utf-8")


def open_run(*, study: str, parameters: Mapping[str, Any], directory: str | Path = "") -> Run:
    """Open the run folder of a study: a new one, or the unfinished one with the same parameters.

    Parameters
    ----------
    study : str
    parameters : mapping
        From :func:`astrolab.read_parameters`.
    directory : str or Path, optional
        Where the run lives; by default a folder under :func:`runs_dir` named by time and digest.

    Returns
    -------
    Run

    Raises
    ------
    RunError
        If another process is in the folder, or it holds a run with other parameters.
    """
    digest = parameters_digest(study, parameters=parameters)
    folder = Path(directory) if directory else _unfinished(study, digest) or new_run_folder(study, digest=digest)
    folder.mkdir(parents=True, exist_ok=True)
    lock = _hold(folder)
    record = _read_record(folder) or _new_record(study, parameters, digest)
    if record["digest"] != digest:
        raise _other_parameters(folder, record, parameters)
    run = Run(folder, record, lock)
    run.record["status"] = "running"
    run._write()
    return run


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
    return _unfinished(study, parameters_digest(study, parameters=parameters))


def _unfinished(study: str, digest: str) -> Path | None:
    for folder in sorted((runs_dir() / study).glob(f"*-{digest}"), reverse=True):
        record = _read_record(folder)
        if record and record["status"] != "finished":
            return folder
    return None


def _hold(folder: Path) -> FileLock:
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunError(
            "A run folder was opened.",
            received=f"{folder}, where another process is at work",
            remedy="Wait for it to end, stop it, or give this run a folder of its own (run_dir).",
        ) from None
    return lock


def _read_record(folder: Path) -> dict[str, Any] | None:
    path = folder / "run.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _new_record(study: str, parameters: Mapping[str, Any], digest: str) -> dict[str, Any]:
    return {
        "study": study,
        "digest": digest,
        "status": "running",
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "parameters": dict(parameters),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _RECORDED_PACKAGES}},
        "platform": platform.platform(),
        "n_cores": os.cpu_count(),
        "surveys": {},
        "fits": {},
    }


def _other_parameters(folder: Path, record: Mapping[str, Any], parameters: Mapping[str, Any]) -> RunError:
    before = record["parameters"]
    changed = [
        f"{k}: {before.get(k)!r} → {parameters.get(k)!r}" for k in parameters if before.get(k) != parameters.get(k)
    ]
    return RunError(
        f"The run folder {folder.name} was opened to go on with a run.",
        received="; ".join(changed) or f"a run of astrolab {record['versions']['astrolab']}",
        available="the parameters it was started with",
        remedy="Give the changed run a new folder, or set the parameters back.",
    )


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
    record = _read_record(Path(folder))
    if record is None:
        raise ConfigError(
            "A run was read.",
            received=f"{folder}, which holds no run.json",
            remedy="Give the folder of a run, such as runs/<study>/<time>-<digest>.",
        )
    return record
