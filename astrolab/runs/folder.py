"""An open run folder: what a study is written into while it runs."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from filelock import FileLock, Timeout

from astrolab.errors import RunError
from astrolab.files import remove, write_atomically
from astrolab.runs.fits import cost_table, describe_fit, fit_key, history_table
from astrolab.runs.records import (
    RECORD,
    new_record,
    new_run_folder,
    parameters_digest,
    read_record,
    unfinished_run,
)
from astrolab.runs.store import stored_fit
from astrolab.runs.trials import run_trials

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from astrolab.datasets.scaling import Scaling
    from astrolab.datasets.splits import Splits
    from astrolab.datasets.survey import Survey
    from astrolab.models.adapt import Adapted
    from astrolab.trainers.config import TrainConfig
    from astrolab.trainers.loop import FitResult


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
        learning_rates: Sequence[float] = (),
        condition: Mapping[str, Any] | None = None,
        shared: bool = False,
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
        learning_rates : sequence of float, optional
            Rates to try, from :func:`astrolab.trial_rates`, each with the whole budget of `config`; the lowest
            validation loss wins, and every trial is recorded. Without any, the rate of `config`.
        condition : mapping, optional
            What else tells this fit from the others of its arm, e.g. ``{"fraction": 0.25}``: columns of the costs and
            histories.
        shared : bool
            Take the fit from the run store if any run has made the very same before, and leave it there for others.

        Returns
        -------
        FitResult
            With the best weights, which are also saved under ``models/<arm>-<condition>-s<seed>``.

        Raises
        ------
        ConfigError
            If the arm or a condition cannot be part of a file name.
        """
        from astrolab.models.saving import save_model

        key = fit_key(arm, seed=seed, condition=condition or {})
        configs = [config.with_changes(learning_rate=rate) for rate in learning_rates] or [config]
        if shared:
            checkpoints = [stored_fit(adapted, sample=sample, scaling=scaling, config=one) for one in configs]
        else:
            names = [key, *(f"{key}-rate{one.learning_rate:g}" for one in configs[1:])]
            checkpoints = [self.folder / "checkpoints" / f"{name}.safetensors" for name in names]
        reused = shared and all(path.is_file() for path in checkpoints)
        trials = run_trials(
            adapted, configs=configs, checkpoints=checkpoints, sample=sample, scaling=scaling, description=key
        )
        save_model(trials.best.adapted, directory=self.folder / "models" / key)
        scaling.save(self.folder / "models" / key / "scaling.json")
        told = {"arm": arm, "seed": seed, "condition": dict(condition or {}), "reused": reused}
        self.record["fits"][key] = told | describe_fit(trials, train=sample.train)
        self._write()
        return trials.best

    @property
    def costs(self) -> pd.DataFrame:
        """What each fit cost: one row an arm, condition and seed."""
        return cost_table(self.record)

    @property
    def histories(self) -> pd.DataFrame:
        """Losses and learning rate of every epoch of every fit."""
        return history_table(self.record)

    def record_surveys(self, surveys: Mapping[str, Survey]) -> None:
        """Note which data this run stands on.

        Parameters
        ----------
        surveys : mapping of str to Survey
            Role in the study, and survey.
        """
        self.record["surveys"] = {
            role: {**asdict(survey.provenance), "repr": repr(survey), "n": len(survey), "digest": survey.digest}
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

    def finish(self, *, scores: pd.DataFrame | None = None) -> None:
        """Write scores, histories and the final record, and drop the checkpoints.

        Parameters
        ----------
        scores : DataFrame, optional
            From :func:`astrolab.score`; a study that only looks has none.
        """
        if scores is not None:
            self.save_table("scores", table=scores)
        if self.record["fits"]:
            self.save_table("histories", table=self.histories)
            self.save_table("costs", table=self.costs)
        remove(self.folder / "checkpoints")
        self.record["time_s"] = self.record.get("time_s", 0.0) + time.monotonic() - self._opened
        self.record["status"] = "finished"
        self._write()
        self._lock.release(force=True)

    def _write(self) -> None:
        with write_atomically(self.folder / RECORD) as part:
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
        If another process is in the folder, or it holds a run with other parameters or of other code.
    """
    digest = parameters_digest(study, parameters=parameters)
    found = Path(directory) if directory else unfinished_run(study, digest=digest)
    folder = found or new_run_folder(study, digest=digest)
    folder.mkdir(parents=True, exist_ok=True)
    lock = _hold(folder)
    record = read_record(folder) or new_record(study, parameters=parameters)
    if record["digest"] != digest:
        raise _other_parameters(folder, record, parameters)
    run = Run(folder, record, lock)
    run.record["status"] = "running"
    run._write()
    return run


def _hold(folder: Path) -> FileLock:
    lock = FileLock(folder / ".lock", is_singleton=True)  # a cell that is run again in one kernel finds its own lock
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunError(
            "A run folder was opened.",
            received=f"{folder}, where another process is at work",
            remedy="Wait for it to end, stop it, or give this run a folder of its own (run_dir).",
        ) from None
    return lock


def _other_parameters(folder: Path, record: Mapping[str, Any], parameters: Mapping[str, Any]) -> RunError:
    before = record["parameters"]
    changed = [
        f"{k}: {before.get(k)!r} → {parameters.get(k)!r}" for k in parameters if before.get(k) != parameters.get(k)
    ]
    return RunError(
        f"The run folder {folder.name} was opened to go on with a run.",
        received="; ".join(changed) or f"astrolab {record['versions']['astrolab']} with other code that trains",
        available="the parameters and the code it was started with",
        remedy="Give the changed run a new folder, or set the parameters back.",
    )
