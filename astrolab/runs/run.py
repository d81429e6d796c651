"""An open run folder: where a study's fits, predictions, figures and tables go while it runs."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from astrolab.errors import RunError, TrainingError
from astrolab.files import remove, write_atomically
from astrolab.runs.record import (
    as_link,
    code_digest,
    cost_table,
    describe_fit,
    describe_survey,
    find_unfinished,
    fit_key,
    history_table,
    load_record,
    made_under,
    make_run_folder,
    new_record,
    new_run_folder,
    parameters_digest,
    read_record,
    runs_dir,
    warn_of_other_circumstances,
    write_record,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from astrolab.datasets.scaling import Scaling
    from astrolab.datasets.splits import Splits
    from astrolab.datasets.survey import Survey
    from astrolab.models.adapt import Adapted
    from astrolab.models.network import Network
    from astrolab.runs.moving import Move
    from astrolab.trainers.config import TrainConfig
    from astrolab.trainers.loop import FitResult

REPORT_FOLLOWS = "ASTROLAB_REPORT_FOLLOWS"  # to a kernel: the folder that is finished when its report is
STORE = "store"
SMALL = 1000  # test objects: below, intervals are wide and single objects count
SAMPLES = ("pretrain", "finetune", "union")  # of a move: what a baseline learns


@dataclass
class Run:
    """An open run folder, from :func:`open_run`; ``record`` is what is in its ``run.json``."""

    folder: Path
    record: dict[str, Any]
    _lock: FileLock = field(repr=False)
    _opened: float = field(default_factory=time.monotonic, repr=False)

    def __repr__(self) -> str:
        record = self.record
        parts = [record["study"], record["status"], f"{len(record['fits'])} fits", made_under(record), str(self.folder)]
        return "Run " + " · ".join(filter(None, parts))

    def _repr_html_(self) -> str | None:
        """The same with links to what is there to read, but not in a report, which is in another folder."""
        kept = [path for kind in ("report.html", "*.csv", "selections/*") for path in sorted(self.folder.glob(kind))]
        html = f"<p>{escape(repr(self))}</p><p>{' · '.join(map(as_link, kept))}</p>"
        return None if REPORT_FOLLOWS in os.environ else html

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
            What the fit starts from; it is copied, never changed.
        adapt : mapping
            Arguments of :func:`astrolab.adapt` but the seed, e.g. ``{"strategy": "lora"}``.
        seed : int
            Of everything random in this fit; the seed of `config` does not count.
        sample : Splits
            Its train part is learned, its validation part decides when to stop.
        learning_rates : sequence of float, optional
            Rates to try, each with the whole budget of `config`, whose own does not count then; the lowest validation
            loss wins, and every trial is recorded.
        condition : mapping, optional
            What else tells this fit from the others of its arm, e.g. ``{"fraction": 0.25}``: columns of all tables.
        shared : bool
            Take the fit from the run store if any run has made the very same before, and leave it there for others.

        Returns
        -------
        FitResult
            With the best weights, also saved under ``models/<fit>``; ``fit`` is ``<arm>-<condition>-s<seed>``.
        """
        from astrolab.models.adapt import adapt as arrange
        from astrolab.models.saving import save_model
        from astrolab.trainers.predicting import fit_reference

        condition = dict(condition or {})
        key, code = fit_key(arm, seed=seed, condition=condition), code_digest(type(network))
        adapted = arrange(network, **{**adapt, "seed": seed})
        config = config.with_changes(seed=seed)
        configs = [config.with_changes(learning_rate=rate) for rate in learning_rates] or [config]
        data = {"train": sample.train, "validation": sample.validation, "scaling": scaling}
        if shared:
            checkpoints = [_stored_fit(adapted, data, config=one, code=code) for one in configs]
        else:  # by other code of the network it is another fit
            names = [f"{key}-{code[:8]}", *(f"{key}-{code[:8]}-rate{one.learning_rate:g}" for one in configs[1:])]
            checkpoints = [self.folder / "checkpoints" / f"{name}.safetensors" for name in names]
        reused = shared and all(path.is_file() for path in checkpoints)
        best, trials = _run_trials(adapted, data, configs=configs, checkpoints=checkpoints, description=key)
        model = fit_reference(best.adapted, **data) if adapted.plan.n_trainable else best.adapted
        save_model(model, directory=self.folder / "models" / key)
        scaling.save(self.folder / "models" / key / "scaling.json")
        identity = {"arm": arm, "seed": seed, "condition": condition, "code": code[:8], "reused": reused}
        self.record["fits"][key] = identity | describe_fit(best, trials=trials, train=sample.train)
        self._write()
        return replace(best, fit=key)

    def predict(self, fitted: FitResult, *, survey: Survey, scaling: Scaling, keep: Sequence[str] = ()) -> pd.DataFrame:
        """Predict a test set with a fit of this run; the table says of every row which run and fit it is of.

        Parameters
        ----------
        fitted : FitResult
            From :meth:`fit` of this run; RunError for any other.
        scaling : Scaling
            The input scaling that it was trained with.
        keep : sequence of str
            Labels or catalogue columns to carry along.

        Returns
        -------
        DataFrame
            As from :func:`astrolab.predict`, with ``run``, ``fit``, ``arm`` and ``seed`` of the fit, its conditions as
            columns, and the ``direction`` of the run's move, if it has one.
        """
        from astrolab.predictions import concat_predictions
        from astrolab.trainers.predicting import predict

        fit = self.record["fits"].get(fitted.fit)
        if fit is None:
            raise RunError(
                f"A fit of {self.folder.name} was to predict {survey.name}.",
                received=f"{fitted.fit!r}" if fitted.fit else "a fit that was made outside of a run",
                available=", ".join(self.record["fits"]) or "no fits yet",
                remedy="Pass what run.fit returned, or use astrolab.predict.",
            )
        table = predict(fitted.adapted, survey=survey, scaling=scaling, keep=keep)
        move = {name: self.record["move"][name] for name in ("direction",) if name in self.record["move"]}
        identity = {"run": self.folder.name, "fit": fitted.fit, "arm": fit["arm"], "seed": fit["seed"]}
        identity |= {"strategy": fit["strategy"]["name"], "cut_short": fit["cut_short"]}
        return concat_predictions([table], **identity, **move, **fit["condition"])

    def predict_baselines(
        self,
        kinds: Sequence[str],
        *,
        move: Move,
        inputs: Sequence[str],
        seed: int,
        keep: Sequence[str] = (),
        tests: Sequence[Survey] = (),
        condition: Mapping[str, Any] | None = None,
    ) -> list[pd.DataFrame]:
        """Fit classical models on either survey and on both, and predict every test set of a move.

        Parameters
        ----------
        kinds : sequence of str
            ``"trees"``, ``"knn"``, ``"ridge"``: see :class:`astrolab.models.baselines.Baseline`.
        inputs : sequence of str
            Inputs of the network beside them; a kind is left out that can read none of these.
        tests : sequence of Survey, optional
            Test sets, by default those of the move.

        Returns
        -------
        list of DataFrame
            As from :meth:`predict`; the arms are ``trees-pretrain``, ``trees-finetune``, ``trees-union``, ...
        """
        import pandas as pd

        from astrolab.datasets.scaling import fit_scaling
        from astrolab.models.adapt import adapt as arrange
        from astrolab.models.baselines import BASELINES, Baseline
        from astrolab.trainers.config import TrainConfig
        from astrolab.trainers.state import FitResult

        tables = []
        for kind, name in product(kinds, SAMPLES):
            sample = move.sample(name)
            read = BASELINES[kind].reads({one: sample.train.specs[one] for one in inputs})
            if not read:
                continue
            begun, scaling = time.monotonic(), fit_scaling(sample.train, inputs=read)
            shapes = {one: sample.train.inputs[one].shape[1:] for one in read}
            baseline = Baseline(inputs=shapes, task=move.surveys["pretrain"].task, kind=kind)
            adapted = arrange(baseline.learn(sample.train, scaling=scaling, seed=seed), strategy="zero_shot", seed=seed)
            history = pd.DataFrame({"epoch": [], "time_s": []})
            condition = dict(condition or {})
            key = fit_key(f"{kind}-{name}", seed=seed, condition=condition)
            fitted = FitResult(adapted, history, "fitted at once", TrainConfig(), n_seen=len(sample.train), fit=key)
            identity = {"arm": f"{kind}-{name}", "seed": seed, "condition": condition, "code": "", "reused": False}
            described = describe_fit(fitted, trials=[], train=sample.train)
            described |= {"strategy": {"name": kind}, "time_s": time.monotonic() - begun}
            self.record["fits"][key] = identity | described
            tables += [self.predict(fitted, survey=test, scaling=scaling, keep=keep) for test in tests or move.tests]
        self._write()
        return tables

    @property
    def costs(self) -> pd.DataFrame:
        """What each fit cost: one row an arm, condition and seed."""
        return cost_table(self.record)

    @property
    def histories(self) -> pd.DataFrame:
        """Losses and learning rate of every epoch of every fit."""
        return history_table(self.record)

    def record_surveys(self, surveys: Mapping[str, Survey]) -> None:
        """Note the data of this run by their role in the study, and the task, where their labels are the same."""
        self.record["surveys"] = {role: describe_survey(survey) for role, survey in surveys.items()}
        tasks = {survey.task.label_names: survey.task for survey in reversed(surveys.values())}
        self.record["task"] = tasks.popitem()[1].to_dict() if len(tasks) == 1 else {}
        self._write()

    def record_move(self, move: Move) -> None:
        """Note between which surveys models are moved: :func:`astrolab.reload_move` makes them ready again."""
        self.record["move"] = dict(move.settings)
        self.record_surveys(move.surveys)

    def record_finding(self, comparison: pd.DataFrame, *, question: str) -> None:
        """Note what the run answers to its question: the head of its report, and the last lines in the terminal.

        The comparison is of :func:`astrolab.compare_models`. What asks for caution is named: few objects, one seed,
        fits that were cut short.
        """
        from astrolab.metrics import describe_comparison

        n, n_seeds = int(comparison["n"].min()), int(comparison["n_seeds"].min())
        short = dict.fromkeys(fit["arm"] for fit in self.record["fits"].values() if fit["cut_short"])
        caution = [f"Small run: {n:,} test objects in the smallest set."] if n < SMALL else []
        caution += ["One seed: about these networks, not about the method."] if n_seeds == 1 else []
        caution += [f"Cut short, still improving at the last step: {', '.join(short)}."] if short else []
        sentences = describe_comparison(comparison)
        self.record["finding"] = {"question": question, "sentences": sentences, "caution": " ".join(caution)}
        self._write()

    def save_figure(self, name: str, *, figure: Figure | Axes) -> None:
        """Save a figure, or the figure of some axes, as PNG (200 dpi) and PDF under ``figures/``."""
        canvas = getattr(figure, "figure", figure)
        for suffix, options in (("png", {"dpi": 200}), ("pdf", {"dpi": 300, "metadata": {"CreationDate": None}})):
            path = self.folder / "figures" / f"{name}.{suffix}"
            with write_atomically(path) as part:
                canvas.savefig(part, format=suffix, bbox_inches="tight", **options)

    def save_table(self, name: str, *, table: pd.DataFrame) -> None:
        """Save a table as ``<name>.csv``."""
        with write_atomically(self.folder / f"{name}.csv") as part:
            table.to_csv(part, index=False)

    def save_predictions(self, tables: Sequence[pd.DataFrame], *, over: Sequence[str] = ()) -> pd.DataFrame:
        """Stack the tables of :meth:`predict`, save them as one, and return it: every score can be computed from it.

        `over` names conditions of fits that are one model together, such as one fit a label or a fold.
        """
        from astrolab.predictions import concat_predictions, join_fits, save_predictions

        table = join_fits(tables, over=over) if over else concat_predictions(tables)
        save_predictions(table, path=self.folder / "predictions.parquet")
        return table

    def finish(self, *, scores: pd.DataFrame | None = None) -> None:
        """Write scores (a study that only looks has none), histories, costs and the final record; drop the checkpoints.

        Under ``astrolab run`` it is only ``computed`` then, and keeps its checkpoints until its report is written.
        """
        if scores is not None:
            self.save_table("scores", table=scores)
        if self.record["fits"]:
            self.save_table("histories", table=self.histories)
            self.save_table("costs", table=self.costs)
        self.record["status"] = "computed"
        self._write()
        if os.environ.get(REPORT_FOLLOWS) != str(self.folder):
            complete_run(self.folder)
            self.record["status"] = "finished"
        self._lock.release(force=True)

    def _write(self) -> None:
        now = time.monotonic()
        self.record["time_s"], self._opened = self.record["time_s"] + now - self._opened, now
        write_record(self.folder, record=self.record)


def complete_run(folder: Path) -> None:
    """Call a run finished that has computed everything, and drop the checkpoints, which it no longer needs."""
    record = load_record(folder)
    if record["status"] == "computed":
        write_record(folder, record=record | {"status": "finished"})
        remove(folder / "checkpoints")


def current_status(folder: Path, *, record: Mapping[str, Any]) -> str:
    """Say where a run stands: as its record says, but that one which no process works on any more was interrupted."""
    if record["status"] != "running":
        return record["status"]
    try:
        with FileLock(folder / ".lock", timeout=0):
            return "interrupted"
    except OSError:  # it is held, or in a folder of somebody else, whose record must be believed
        return "running"


def end_run(folder: Path, *, status: str) -> None:
    """Note how a run ended that no process works on any more, where it has not computed everything."""
    record = read_record(folder)
    if record and current_status(folder, record=record) == "interrupted":
        write_record(folder, record=record | {"status": status})


def _stored_fit(adapted: Adapted, data: Mapping[str, Any], *, config: TrainConfig, code: str) -> Path:
    """Where the run store keeps a fit: under a digest of all its outcome depends on, so that no entry is ever stale."""
    from astrolab.trainers.loop import fit_digest

    name = hashlib.sha256(f"{fit_digest(adapted, **data, config=config)} {code}".encode()).hexdigest()[:20]
    return runs_dir() / STORE / f"{name}.safetensors"


def _run_trials(
    adapted: Adapted,
    data: Mapping[str, Any],
    *,
    configs: Sequence[TrainConfig],
    checkpoints: Sequence[Path],
    description: str,
) -> tuple[FitResult, list[dict[str, Any]]]:
    """Train with each configuration: the fit that validates best, and what was tried, those that diverged included."""
    from astrolab.trainers.loop import fit

    results, log, failure = [], [], None
    for number, (config, checkpoint) in enumerate(zip(configs, checkpoints, strict=True)):
        name = description if len(configs) == 1 else f"{description} · rate {number + 1} of {len(configs)}"
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        result = None
        try:
            with FileLock(checkpoint.with_suffix(".lock")):  # another process that wants this fit waits for it
                result = fit(adapted, **data, config=config, checkpoint=checkpoint, description=name)
            results.append(result)
        except TrainingError as error:
            failure = error
        tried = {"learning_rate": config.learning_rate, "validation_loss": getattr(result, "selected_loss", None)}
        tried |= {name: getattr(result, name, 0) for name in ("n_epochs", "n_seen", "time_s")}
        log.append(tried | {"stopped": result.stopped if result else f"diverged: {failure.received}"})
    if failure and not results:
        raise failure
    return min(results, key=lambda result: result.selected_loss or 0.0), log


def open_run(*, study: str, parameters: Mapping[str, Any], directory: str | Path = "") -> Run:
    """Open the run folder of a study: a new one, or the unfinished one with the same parameters.

    Parameters
    ----------
    study : str
        Any name; that of the notebook's file, without a number in front.
    parameters : mapping
        From :func:`astrolab.read_parameters`.
    directory : str or Path, optional
        Where the run lives; by default a folder under ``$ASTROLAB_RUNS_DIR``, or ``runs``, named by time and digest.

    Raises
    ------
    ParameterError
        If parameters do not fit each other or the surveys; all of them are named.
    RunError
        If the folder cannot be written into, another process is in it, or its run has other parameters or other code.
        Other circumstances (versions, machine) are a warning.
    CorruptFileError
        If its record is damaged.
    """
    from astrolab.runs.clashes import require_agreement  # reads data: whoever only names a run does not wait for it

    require_agreement(parameters, study=study)
    digest = parameters_digest(study, parameters=parameters)
    found = Path(directory) if directory else find_unfinished(study, digest=digest)
    folder = found or new_run_folder(study, digest=digest)
    make_run_folder(folder)
    lock = hold_folder(folder)
    record = read_record(folder) or new_record(study, parameters=parameters)
    if record["digest"] != digest:
        before = record["parameters"]
        changed = [f"{k}: {before.get(k)!r} → {now!r}" for k, now in parameters.items() if before.get(k) != now]
        raise RunError(
            f"The run folder {folder.name} was opened to go on with a run.",
            received="; ".join(changed) or "other code that trains",
            available="the parameters and the code it was started with",
            remedy="Give the changed run a new folder, or set the parameters back.",
        )
    warn_of_other_circumstances(record)
    run = Run(folder, record, lock)
    run.record["status"] = "running"
    run._write()
    return run


def hold_folder(folder: Path) -> FileLock:
    """Take the lock of a run folder, or refuse one in which another process is at work."""
    lock = FileLock(folder / ".lock", is_singleton=True)  # a cell that is run again in one kernel finds its own lock
    try:
        lock.acquire(timeout=1)  # whoever asks for the status of a run holds its lock for a moment
    except Timeout:
        asked = "A run folder was opened."
        remedy = "Wait for it to end, stop it, or give this run a folder of its own (run_dir)."
        raise RunError(asked, received=f"{folder}, where another process is at work", remedy=remedy) from None
    return lock
