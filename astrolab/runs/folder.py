"""An open run folder: what a study is written into while it runs."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from filelock import FileLock, Timeout

from astrolab.errors import RunError
from astrolab.files import remove, write_atomically
from astrolab.runs.code import code_digest
from astrolab.runs.fits import cost_table, describe_fit, fit_key, history_table, made_under
from astrolab.runs.records import (
    load_record,
    make_run_folder,
    new_record,
    new_run_folder,
    parameters_digest,
    read_record,
    unfinished_run,
    warn_of_other_circumstances,
    write_record,
)
from astrolab.runs.store import stored_fit
from astrolab.runs.trials import run_trials

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from astrolab.datasets.scaling import Scaling
    from astrolab.datasets.splits import Splits
    from astrolab.datasets.survey import Survey
    from astrolab.models.network import Network
    from astrolab.trainers.config import TrainConfig
    from astrolab.trainers.loop import FitResult

REPORT_FOLLOWS = "ASTROLAB_REPORT_FOLLOWS"  # to a kernel: the folder that is finished when its report is


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
        record = self.record
        parts = [record["study"], record["status"], f"{len(record['fits'])} fits", made_under(record), str(self.folder)]
        return "Run " + " · ".join(filter(None, parts))

    def fit(
        self,
        network: Network,
        *,
        adapt: Mapping[str, Any],
        arm: str,
        seed: int,
        sample: Splits,
        scaling: Scaling,
        config: TrainConfig,
        learning_rates: Sequence[float] = (),
        condition: Mapping[str, Any] | None = None,
        shared: bool = False,
    ) -> FitResult:
        """Adapt and train a network in this run: resumed if it was cut off, returned at once if it had finished.

        Parameters
        ----------
        network : Network
            What the fit starts from. It is copied, never changed.
        adapt : mapping
            How it is adapted: arguments of :func:`astrolab.adapt` but the seed, e.g. ``{"strategy": "lora"}``.
        arm : str
            Name of the bar it will be in the figures.
        seed : int
            Of everything random in this fit: new weights, adapters, the order of the galaxies, dropout, augmentation.
            The seed of `config` does not count.
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
        from astrolab.models.adapt import adapt as arrange
        from astrolab.models.saving import save_model

        key, code = fit_key(arm, seed=seed, condition=condition or {}), code_digest(type(network))
        adapted = arrange(network, **{**adapt, "seed": seed})
        config = config.with_changes(seed=seed)
        configs = [config.with_changes(learning_rate=rate) for rate in learning_rates] or [config]
        if shared:
            checkpoints = [
                stored_fit(adapted, sample=sample, scaling=scaling, config=one, code=code) for one in configs
            ]
        else:  # by other code of the network it is another fit
            names = [f"{key}-{code[:8]}", *(f"{key}-{code[:8]}-rate{one.learning_rate:g}" for one in configs[1:])]
            checkpoints = [self.folder / "checkpoints" / f"{name}.safetensors" for name in names]
        reused = shared and all(path.is_file() for path in checkpoints)
        trials = run_trials(
            adapted, configs=configs, checkpoints=checkpoints, sample=sample, scaling=scaling, description=key
        )
        save_model(trials.best.adapted, directory=self.folder / "models" / key)
        scaling.save(self.folder / "models" / key / "scaling.json")
        told = {"arm": arm, "seed": seed, "condition": dict(condition or {}), "code": code[:8], "reused": reused}
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

        Under ``astrolab run`` the run is only ``computed`` then, and keeps its checkpoints: it is finished when its
        report is.

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
        self.record["time_s"] += time.monotonic() - self._opened
        self.record["status"] = "computed"
        self._write()
        if os.environ.get(REPORT_FOLLOWS) != str(self.folder):
            complete_run(self.folder)
            self.record["status"] = "finished"
        self._lock.release(force=True)

    def _write(self) -> None:
        write_record(self.folder, record=self.record)


def complete_run(folder: Path) -> None:
    """Call a run finished that has computed everything, and drop the checkpoints, which it no longer needs."""
    record = load_record(folder)
    if record["status"] == "computed":
        write_record(folder, record=record | {"status": "finished"})
        remove(folder / "checkpoints")


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
        If the folder cannot be written into, another process is in it, or it holds a run with other parameters or of
        other code.
    CorruptFileError
        If its record is damaged.

    Warns
    -----
    AstrolabWarning
        If the run began under other circumstances: other versions, another machine.
    """
    digest = parameters_digest(study, parameters=parameters)
    found = Path(directory) if directory else unfinished_run(study, digest=digest)
    folder = found or new_run_folder(study, digest=digest)
    make_run_folder(folder)
    lock = _hold(folder)
    record = read_record(folder) or new_record(study, parameters=parameters)
    if record["digest"] != digest:
        raise _other_parameters(folder, record, parameters)
    warn_of_other_circumstances(record)
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
        received="; ".join(changed) or "other code that trains",
        available="the parameters and the code it was started with",
        remedy="Give the changed run a new folder, or set the parameters back.",
    )
