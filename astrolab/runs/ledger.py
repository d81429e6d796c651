"""The ledger: any number of runs in one table, with what every number cost and stands on."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from astrolab.errors import AstrolabWarning, ConfigError, RunError, unknown_name
from astrolab.files import write_atomically
from astrolab.metrics.grouping import GROUPS
from astrolab.predictions import concat_predictions, load_predictions
from astrolab.presets import recognise_preset
from astrolab.runs.finding import FoundRun, describe_skipped, find_runs
from astrolab.runs.fits import cost_table, made_under
from astrolab.runs.latex import scores_as_latex

_MEASURED = ("metric", "value", "low", "high", "n", "simulated")
_MAY_DIFFER = ("seeds", "strategies", "direction")  # between runs of one experiment
_OF_A_RUN = ("run", "experiment", "study", "preset", "started", "status")


@dataclass(frozen=True)
class Ledger:
    """What any number of runs measured, spent and stood on; from :func:`load_ledger`.

    Attributes
    ----------
    table : DataFrame
        One row a run, fit, test survey and metric: ``run``, ``experiment`` (runs of one experiment have the same data
        and settings; they differ in seeds, arms and direction at most), ``study``, ``preset``, ``started``, ``status``,
        ``fit`` (empty where none belongs to a score), the columns of the scores (empty where a study has none of a
        kind, e.g. no ``fraction``), what the fit cost, ``digest.<role>`` of every survey, and every notebook parameter
        as ``p.<name>`` (lists and dicts as JSON).
    fits : DataFrame
        One row a fit, with or without scores; base models too.
    trials : DataFrame
        One row a learning rate tried; ``kept`` says which one won.
    runs : DataFrame
        One row a run, finished or not.
    skipped : DataFrame
        Folders that look like runs and could not be read, and why.
    """

    table: pd.DataFrame
    fits: pd.DataFrame
    trials: pd.DataFrame
    runs: pd.DataFrame
    skipped: pd.DataFrame

    def __repr__(self) -> str:
        counts = {"unfinished": int((self.runs["status"] != "finished").sum()), "skipped": len(self.skipped)}
        notes = ", ".join(f"{n} {what}" for what, n in counts.items() if n)
        runs = f"{len(self.runs)} runs of {self.runs['study'].nunique()} studies" + (f" ({notes})" if notes else "")
        return f"Ledger: {runs} · {len(self.fits)} fits · {len(self.table):,} scores"

    @property
    def scores(self) -> pd.DataFrame:
        """Scores as from :func:`astrolab.score`, with columns ``study`` and ``experiment``; of :meth:`newest` runs."""
        table = self.newest().table
        columns = [name for name in GROUPS if name in table and table[name].notna().any()]
        return table[["study", "experiment", *columns, *_MEASURED]]

    def where(self, expression: str = "", **conditions: Any) -> Ledger:
        """Return the part of the ledger that meets some conditions.

        Parameters
        ----------
        expression : str, optional
            A comparison of columns of :attr:`table`, as in :meth:`pandas.DataFrame.query`, e.g.
            ``"metric == 'scatter' and value < 0.05 and p.epochs >= 8"``.
        **conditions
            Columns of :attr:`table` with the value, or list of values, they must have, e.g. ``arm=["tl", "lora"]``.

        Returns
        -------
        Ledger
            Fits are kept if they meet the conditions, or if a condition is not about fits, if a row of the table that
            is left stands on them.

        Raises
        ------
        UnknownNameError
            If there is no such column.
        ConfigError
            If the expression is none, or does not say yes or no of each row.
        """
        table, fits = self.table, self.fits
        for name, wanted in conditions.items():
            if name not in table:
                raise unknown_name("column of the ledger", name=name, names=table.columns)
            values = list(wanted) if pd.api.types.is_list_like(wanted) else [wanted]
            table = table[table[name].isin(values)]
            fits = fits[fits[name].isin(values)] if name in fits else _behind(fits, table)
        if expression:
            query = re.sub(r"(?<![`\w.])((?:p|digest)\.\w+)", r"`\1`", expression)
            table = table[_ask(table, query, expression=expression)]
            asks_of_fits = _names(query) <= {re.sub(r"\W", "_", name) for name in fits.columns}
            fits = fits[_ask(fits, query, expression=expression)] if asks_of_fits else _behind(fits, table)
        if not (expression or conditions):
            return self
        left = set(table["run"]) | set(fits["run"])
        runs = self.runs[self.runs["run"].isin(left)]
        return replace(self, table=table, fits=fits, trials=_behind(self.trials, fits), runs=runs)

    def newest(self) -> Ledger:
        """Return runs with scores, without what a later run of the same experiment has repeated: same arm, same seed.

        Returns
        -------
        Ledger
            Arms and seeds of several runs of one experiment can then be pooled: none stands in it twice.

        Raises
        ------
        RunError
            If no run has scores.
        """
        self._require_scores()
        table = _latest(self.table)
        fits = _latest(self.fits[self.fits["run"].isin(table["run"])])
        runs = self.runs[self.runs["run"].isin(table["run"])]
        return replace(self, table=table, fits=fits, trials=_behind(self.trials, fits), runs=runs)

    @property
    def folders(self) -> list[Path]:
        """Folders of the runs that the table stands on."""
        return [Path(folder) for folder in self.runs.loc[self.runs["run"].isin(self.table["run"]), "folder"]]

    def predictions(self) -> pd.DataFrame:
        """Read the predictions behind the table, run by run.

        Returns
        -------
        DataFrame
            The predictions that the scores of this ledger were computed from, with columns ``run`` and ``experiment``.

        Warns
        -----
        AstrolabWarning
            If fits of one experiment were made under different circumstances (device, precision, threads, versions).

        Raises
        ------
        DataNotFoundError
            If a run has scores but no predictions.
        RunError
            If the table is empty.
        """
        self._require_scores()
        _warn_of_circumstances(_behind(self.fits, self.table))
        folders = self.runs.set_index("run")["folder"]
        parts = []
        for (run, experiment), rows in self.table.groupby(["run", "experiment"], sort=False):
            part = load_predictions(Path(folders[run]) / "predictions.parquet")
            shared = [name for name in GROUPS if name in part and name in rows and rows[name].notna().any()]
            part = part.merge(rows[shared].drop_duplicates(), on=shared)
            parts.append(part.assign(run=run, experiment=experiment))
        return concat_predictions(parts)

    def _require_scores(self) -> None:
        if self.table.empty:
            raise RunError(
                "Scores of runs were to be looked at.",
                received="a ledger without any",
                available=f"runs without scores: {', '.join(self.runs['run']) or 'none'}",
                remedy="Ask for less, or make a run: `astrolab run lora_vs_transfer --preset smoke` takes a minute.",
            )

    def save(self, path: str | Path, *, metrics: Sequence[str] | None = None) -> Path:
        """Write the ledger to a file, in the format of its suffix.

        Parameters
        ----------
        path : path
            ``.csv`` or ``.parquet`` for the whole table, ``.tex`` for a table of values and intervals as papers print
            it (booktabs).
        metrics : sequence of str, optional
            Those to write; by default all.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        ConfigError
            If the suffix is none of these.
        """
        path = Path(path)
        chosen = self if metrics is None else self.where(metric=list(metrics))
        writers = {
            ".csv": lambda part: chosen.table.to_csv(part, index=False),
            ".parquet": lambda part: chosen.table.to_parquet(part, index=False),
            ".tex": lambda part: part.write_text(scores_as_latex(chosen.scores), encoding="utf-8"),
        }
        if path.suffix not in writers:
            raise ConfigError(
                "The ledger was to be written to a file.",
                received=path.name,
                available=", ".join(writers),
                remedy="Give the file one of these suffixes.",
            )
        with write_atomically(path) as part:
            writers[path.suffix](part)
        return path


def load_ledger(directories: str | Path | Sequence[str | Path] | None = None) -> Ledger:
    """Collect any number of runs into one ledger.

    Parameters
    ----------
    directories : path or sequence of paths, optional
        Run folders, or folders that hold some, however deep; by default :func:`astrolab.runs.runs_dir`.

    Returns
    -------
    Ledger

    Raises
    ------
    DataNotFoundError
        If a directory does not exist.
    RunError
        If there is no run in any of them.
    """
    found, skipped = find_runs(directories)
    runs = pd.DataFrame([_describe_run(run) for run in found])
    fits = pd.concat([_describe_fits(run) for run in found], ignore_index=True)
    trials = pd.DataFrame(
        [trial for run in found for trial in _describe_trials(run)], columns=["run", "fit", *_TRIAL_COLUMNS]
    )
    tables = [_describe_scores(run, fits[fits["run"] == run.name]) for run in found if run.scores is not None]
    columns = ["run", "fit", *GROUPS, *_MEASURED]
    scores = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)
    scores = scores.assign(**{name: np.nan for name in columns if name not in scores})
    told = pd.DataFrame([_standing(run) for run in found])
    table = _run_first(scores.merge(told, on="run", how="left"))
    fits = _run_first(fits.merge(told, on="run", how="left"))
    return Ledger(table, fits, trials, runs, describe_skipped(skipped))


def _run_first(table: pd.DataFrame) -> pd.DataFrame:
    return table[[*_OF_A_RUN, *(name for name in table if name not in _OF_A_RUN)]]


_TRIAL_COLUMNS = ("learning_rate", "validation_loss", "kept", "n_epochs", "n_seen", "time_s", "stopped")


def _describe_run(run: FoundRun) -> dict[str, Any]:
    surveys = run.record["surveys"].values()
    return _identity(run) | {
        "n_fits": len(run.record["fits"]),
        "n_scores": 0 if run.scores is None else len(run.scores),
        "simulated": any(survey.get("simulated", False) for survey in surveys),
        "run_time_s": run.record["time_s"],
        "version": run.record["circumstances"]["versions"].get("astrolab", ""),
        "made_under": made_under(run.record),
        "folder": str(run.folder),
    }


def _identity(run: FoundRun) -> dict[str, Any]:
    record = run.record
    return {
        "run": run.name,
        "experiment": _experiment(record),
        "study": record["study"],
        "preset": recognise_preset(record["study"], parameters=record["parameters"]),
        "started": record["started"],
        "status": record["status"],
    }


def _experiment(record: dict[str, Any]) -> str:
    """Eight hexadecimal digits that runs share which differ in training seeds, arms and direction at most."""
    parameters = {name: value for name, value in record["parameters"].items() if name not in _MAY_DIFFER}
    told = [record["study"], parameters, sorted(str(survey.get("digest")) for survey in record["surveys"].values())]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:8]


def _standing(run: FoundRun) -> dict[str, Any]:
    digests = {f"digest.{role}": survey.get("digest", "") for role, survey in run.record["surveys"].items()}
    parameters = {
        f"p.{name}": json.dumps(value) if isinstance(value, (list, dict)) else value
        for name, value in run.record["parameters"].items()
    }
    return _identity(run) | digests | parameters


def _describe_fits(run: FoundRun) -> pd.DataFrame:
    costs = cost_table(run.record)
    keys = list(run.record["fits"])
    told = {name: [run.record["fits"][key][name] for key in keys] for name in ("train_digest", "simulated")}
    told["circumstances"] = [json.dumps(run.record["fits"][key]["circumstances"]) for key in keys]
    costs.insert(0, "fit", pd.Series(keys, dtype=object))
    costs.insert(0, "run", run.name)
    return costs.assign(**told)


def _describe_trials(run: FoundRun) -> list[dict[str, Any]]:
    rows = []
    for key, fit in run.record["fits"].items():
        kept = fit["config"]["learning_rate"]
        for trial in fit["trials"] if fit["n_trainable"] else ():
            row = {"run": run.name, "fit": key, "kept": trial["learning_rate"] == kept}
            rows.append(row | {name: trial[name] for name in _TRIAL_COLUMNS if name != "kept"})
    return rows


def _describe_scores(run: FoundRun, fits: pd.DataFrame) -> pd.DataFrame:
    """Scores of a run, each with the fit it belongs to and what that cost."""
    scores = run.scores
    conditions = {name for fit in run.record["fits"].values() for name in fit["condition"]}
    keys = [name for name in scores if name in conditions | {"arm", "seed", "fraction", "scale"}]
    models = scores[keys].drop_duplicates()
    belongs = [_fit_of(row, run.record["fits"]) for row in models.to_dict("records")]
    scores = scores.merge(models.assign(fit=belongs), on=keys, how="left").assign(run=run.name)
    costs = fits.drop(columns=[name for name in (*keys, "run", "simulated") if name in fits])
    return scores.merge(costs, on="fit", how="left")


def _fit_of(model: dict[str, Any], fits: dict[str, Any]) -> str:
    """The fit that a score belongs to: same arm and seed, and the most of its conditions; empty if there is none."""
    fitting = {
        key: len(fit["condition"])
        for key, fit in fits.items()
        if fit["arm"] == model["arm"]
        and fit["seed"] == model["seed"]
        and all(name in model and model[name] == value for name, value in fit["condition"].items())
    }
    best = [key for key, n in fitting.items() if n == max(fitting.values())]
    return best[0] if len(best) == 1 else ""


def _latest(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of the last run that has this arm and seed of its experiment."""
    keys = [name for name in ("experiment", "p.direction", "arm", "seed") if name in frame]
    ordered = frame.sort_values("started", kind="stable")
    last = ordered.groupby(keys, dropna=False)["run"].transform("last")
    return frame[(ordered["run"] == last).reindex(frame.index)]


def _warn_of_circumstances(fits: pd.DataFrame) -> None:
    """Say where fits that are compared equal each other only to rounding, because other machines made them."""
    trained = fits[fits["n_trainable"] > 0]
    for experiment, texts in trained.groupby("experiment", sort=False)["circumstances"]:
        if texts.nunique() == 1:
            continue
        from astrolab.trainers.hardware import differing_circumstances  # slow to import, and seldom needed

        first, *others = map(json.loads, texts.unique())
        different = {words for other in others for words in differing_circumstances(first, here=other)}
        if different:
            text = f"Fits of experiment {experiment} were made under different circumstances: "
            text += f"{', '.join(sorted(different))}. Part of what tells them apart may be rounding."
            warnings.warn(text, AstrolabWarning, stacklevel=4)


def _behind(fits: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """The fits that rows of a table stand on."""
    kept = set(zip(table["run"], table["fit"], strict=True))
    # An array, not a list: an empty list would choose no columns instead of no rows.
    return fits[np.array([pair in kept for pair in zip(fits["run"], fits["fit"], strict=True)], dtype=bool)]


def _names(query: str) -> set[str]:
    plain = re.sub(r"`([^`]+)`", lambda match: re.sub(r"\W", "_", match[1]), query)
    return {node.id for node in ast.walk(ast.parse(plain, mode="eval")) if isinstance(node, ast.Name)}


def _ask(frame: pd.DataFrame, query: str, *, expression: str) -> pd.Series:
    """Say of each row whether an expression holds."""
    reason = "it does not say yes or no of each row"
    try:
        answer = frame.eval(query, engine="python")
    except (SyntaxError, ValueError, TypeError, KeyError, AttributeError, NotImplementedError, NameError) as error:
        answer, reason = None, str(error)
    if not isinstance(answer, pd.Series) or answer.dtype != bool:
        raise ConfigError(
            "Rows of the ledger were to be chosen by an expression.",
            received=f"{expression!r}: {reason}",
            available=", ".join(map(str, frame.columns)),
            remedy="Write a comparison of columns, e.g. \"arm == 'lora' and metric == 'scatter' and p.epochs >= 8\".",
        )
    return answer
