"""The ledger: any number of runs in one table, with what every number cost; its arms compared and summed up."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from astrolab.errors import AstrolabWarning, ConfigError, RunError, require_known
from astrolab.files import write_atomically
from astrolab.metrics import compare_models, describe_spread, find_metric, is_best, summarise_seeds
from astrolab.metrics.scoring import CUT_SHORT
from astrolab.parameters import recognise_preset
from astrolab.predictions import FLAGS, GROUP_KEYS, concat_predictions, keep_common_seeds, load_predictions
from astrolab.runs.finding import FoundRun, find_runs
from astrolab.runs.record import cost_table, made_under, real_survey

_MEASURED = ("label", "metric", "value", "low", "high", "n", *FLAGS)
_MAY_DIFFER = ("seeds", "arms", "direction")  # between runs of one experiment
_OF_A_RUN = ("run", "experiment", "study", "preset", "started", "status")
_TRIAL = ("learning_rate", "validation_loss", "kept", "n_epochs", "n_seen", "time_s", "stopped")
COUNTS = ("n_train", "n_trainable", "n_trials", "n_seen")
PARTS = ["study", "experiment", "direction"]  # whose arms are compared
_COMPARED = ("survey", "label", "metric", "a", "b", "value_a", "value_b", "difference", "low", "high", "better")
_WHOLE = "not fraction < 1 and not scale < 1 and not scale > 1"  # NaN, where a study has none, is not below 1


@dataclass(frozen=True)
class Ledger:
    """What any number of runs measured, and at what cost; from :func:`load_ledger`.

    Attributes
    ----------
    table : DataFrame
        One row a run, fit, test survey, label and metric: what the run is (runs of one ``experiment`` have the same
        data, task and settings), the columns of the scores, what the fit cost, ``real_survey`` (which a twin stands
        for), ``moved_from`` and ``moved_to`` (real surveys, too), ``digest.<role>`` of every survey, and every notebook
        parameter as ``p.<name>`` (lists and dicts as JSON).
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
        columns = [name for name in GROUP_KEYS if name in table and table[name].notna().any()]
        return table[["study", "experiment", *columns, *_MEASURED]]

    def where(self, expression: str = "", **conditions: Any) -> Ledger:
        """Return the part of the ledger that meets some conditions; of fits without scores, those that meet them too.

        Parameters
        ----------
        expression : str, optional
            A comparison of columns of :attr:`table`, as in :meth:`pandas.DataFrame.query`, e.g.
            ``"metric == 'scatter' and value < 0.05 and p.epochs >= 8"``.
        **conditions
            Columns of :attr:`table` with the value, or list of values, they must have, e.g. ``arm=["tl", "lora"]``.

        Raises
        ------
        UnknownNameError
            If there is no such column.
        ConfigError
            If the expression is none, does not say yes or no of each row, or calls something.
        """
        table, fits = self.table, self.fits
        for name, wanted in conditions.items():
            require_known("column of the ledger", name=name, names=table.columns)
            values = list(wanted) if pd.api.types.is_list_like(wanted) else [wanted]
            table = table[table[name].isin(values)]
            fits = fits[fits[name].isin(values)] if name in fits else _behind(fits, table)
        if expression:
            table = table[_holds(table, expression=expression)]
            try:
                fits = fits[_holds(fits, expression=expression)]
            except ConfigError:  # it names a column that only scores have
                fits = _behind(fits, table)
        if not (expression or conditions):
            return self
        return self._with(table, fits)

    def newest(self) -> Ledger:
        """Return runs with scores, without arms and seeds that a later run of the same experiment has repeated.

        RunError if no run has scores.
        """
        self._require_scores()
        table = _latest(self.table)
        return self._with(table, _latest(self.fits[self.fits["run"].isin(table["run"])]))

    def _with(self, table: pd.DataFrame, fits: pd.DataFrame) -> Ledger:
        runs = self.runs[self.runs["run"].isin({*table["run"], *fits["run"]})]
        return replace(self, table=table, fits=fits, trials=_behind(self.trials, fits), runs=runs)

    def predictions(self) -> pd.DataFrame:
        """Read the predictions that the scores of this ledger were computed from, with the column ``experiment``.

        PredictionError if the runs are of different tasks, or score different ranges of the truth; a warning if fits of
        one experiment were made under different circumstances (device, precision, threads, versions).
        """
        self._require_scores()
        _warn_of_circumstances(_behind(self.fits, self.table))
        folders = self.runs.set_index("run")["folder"]
        parts = []
        for (run, experiment), rows in self.table.groupby(["run", "experiment"], sort=False):
            part = load_predictions(Path(folders[run]) / "predictions.parquet").assign(run=run)
            shared = [name for name in GROUP_KEYS if name in part and name in rows and rows[name].notna().any()]
            of_rows = part.merge(rows[shared].drop_duplicates(), on=shared).assign(experiment=experiment)
            of_rows.attrs = part.attrs
            parts.append(of_rows)
        return concat_predictions(parts)

    def _require_scores(self) -> None:
        if self.table.empty:
            asked = "Scores of runs were to be looked at."
            available = f"runs without scores: {', '.join(self.runs['run']) or 'none'}"
            remedy = "Ask for less, or make a run: `astrolab run lora_vs_transfer --preset smoke` takes a minute."
            raise RunError(asked, received="a ledger without any", available=available, remedy=remedy)

    def save(self, path: str | Path, *, metrics: Sequence[str] | None = None) -> Path:
        """Write the ledger, or some metrics of it, to a ``.csv``, ``.parquet`` or ``.tex`` file, and return the file.

        The latter is a table of values and intervals as papers print it (booktabs).
        """
        path = Path(path)
        chosen = self if metrics is None else self.where(metric=list(metrics))
        writers = {
            ".csv": lambda part: chosen.table.to_csv(part, index=False),
            ".parquet": lambda part: chosen.table.to_parquet(part, index=False),
            ".tex": lambda part: part.write_text(scores_as_latex(chosen.scores), encoding="utf-8"),
        }
        require_known("suffix of the ledger's file", name=path.suffix, names=writers)
        with write_atomically(path) as part:
            writers[path.suffix](part)
        return path


def load_ledger(directories: str | Path | Sequence[str | Path] | None = None) -> Ledger:
    """Collect runs into one table; a damaged one is skipped, listed with the reason, and stops no other.

    Parameters
    ----------
    directories : path, or sequence of paths, optional
        Run folders, or folders that hold some, however deep; by default ``$ASTROLAB_RUNS_DIR``, or ``runs``. RunError
        if there is no run in any of them.
    """
    found, skipped = find_runs(directories)
    runs = pd.DataFrame([_describe_run(run) for run in found])
    fits = pd.concat([_describe_fits(run) for run in found], ignore_index=True)
    trials = pd.DataFrame([row for run in found for row in _describe_trials(run)], columns=["run", "fit", *_TRIAL])
    tables = [_describe_scores(run, fits[fits["run"] == run.name]) for run in found if run.scores is not None]
    columns = [*GROUP_KEYS, *_MEASURED, "real_survey"]
    scores = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)
    scores = scores.assign(**{name: np.nan for name in columns if name not in scores})
    of_runs = pd.DataFrame([_settings(run) for run in found])
    table, fits = (one.merge(of_runs, on="run", how="left") for one in (scores, fits))
    table, fits = (one[[*_OF_A_RUN, *one.columns.drop(list(_OF_A_RUN))]] for one in (table, fits))
    reasons = [(str(folder), reason) for folder, reason in skipped.items()]
    return Ledger(table, fits, trials, runs, pd.DataFrame(reasons, columns=["folder", "reason"]))


def _describe_run(run: FoundRun) -> dict[str, Any]:
    surveys = run.record["surveys"].values()
    return _identity(run) | {
        "n_fits": len(run.record["fits"]),
        "n_scores": 0 if run.scores is None else len(run.scores),
        "simulated": any(survey["simulated"] for survey in surveys),
        "run_time_s": run.record["time_s"],
        "version": run.record["circumstances"]["versions"].get("astrolab", ""),
        "made_under": made_under(run.record),
        "folder": str(run.folder),
    }


def _identity(run: FoundRun) -> dict[str, Any]:
    """Names of a run; runs of one experiment differ in training seeds, arms and direction at most."""
    record = run.record
    parameters = {name: value for name, value in record["parameters"].items() if name not in _MAY_DIFFER}
    digests = sorted(survey["digest"] for survey in record["surveys"].values())
    shared = json.dumps([record["study"], parameters, record["task"], digests], sort_keys=True)
    return {
        "run": run.name,
        "experiment": hashlib.sha256(shared.encode()).hexdigest()[:8],
        "study": record["study"],
        "preset": recognise_preset(record["study"], parameters=record["parameters"]),
        "started": record["started"],
        "status": record["status"],
    }


def _settings(run: FoundRun) -> dict[str, Any]:
    record = run.record
    digests = {f"digest.{role}": survey["digest"] for role, survey in record["surveys"].items()}
    moved = {"moved_from": real_survey(record, role="pretrain"), "moved_to": real_survey(record, role="finetune")}
    plain = {k: json.dumps(v) if isinstance(v, list | dict) else v for k, v in record["parameters"].items()}
    return _identity(run) | moved | digests | {f"p.{name}": value for name, value in plain.items()}


def _describe_fits(run: FoundRun) -> pd.DataFrame:
    costs = cost_table(run.record)
    fits = run.record["fits"]
    more = {name: [fit[name] for fit in fits.values()] for name in ("train_digest", "simulated")}
    more["circumstances"] = [json.dumps(fit["circumstances"]) for fit in fits.values()]
    if "direction" not in costs:
        costs["direction"] = run.record["move"].get("direction", np.nan)
    costs.insert(0, "fit", pd.Series(list(fits), dtype=object))
    costs.insert(0, "run", run.name)
    return costs.assign(**more)


def _describe_trials(run: FoundRun) -> Iterator[dict[str, Any]]:
    for key, fit in run.record["fits"].items():
        kept = fit["config"]["learning_rate"]
        for trial in fit["trials"] if fit["n_trainable"] else ():
            row = {"run": run.name, "fit": key, "kept": trial["learning_rate"] == kept}
            yield row | {name: trial.get(name) for name in _TRIAL if name != "kept"}


def _describe_scores(run: FoundRun, fits: pd.DataFrame) -> pd.DataFrame:
    """Scores of a run, each with what its fit cost."""
    real = {survey["name"]: survey["twin_of"] or survey["name"] for survey in run.record["surveys"].values()}
    scores = run.scores.assign(run=run.name, real_survey=run.scores["survey"].replace(real))
    costs = fits.drop(columns=[name for name in fits if name in scores and name not in ("run", "fit")])
    return scores.merge(costs, on=["run", "fit"], how="left")


def _latest(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of the last run that has this arm and seed of its experiment."""
    ordered = frame.sort_values("started", kind="stable")
    last = ordered.groupby(["experiment", "direction", "arm", "seed"], dropna=False)["run"].transform("last")
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
            text += f"{', '.join(sorted(different))}. Part of the difference between them may be rounding."
            warnings.warn(text, AstrolabWarning, stacklevel=4)


def _behind(fits: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """The fits of rows of a table."""
    kept = set(zip(table["run"], table["fit"], strict=True))
    # An array, not a list: an empty list would choose no columns instead of no rows.
    return fits[np.array([pair in kept for pair in zip(fits["run"], fits["fit"], strict=True)], dtype=bool)]


def _holds(frame: pd.DataFrame, *, expression: str) -> pd.Series:
    """Say of each row whether an expression holds; one that calls something is refused."""
    reason, answer = "it does not say yes or no of each row", None
    try:
        plain = re.sub(r"`[^`]+`", "column", expression)
        if any(isinstance(node, ast.Call | ast.MatMult) for node in ast.walk(ast.parse(plain, mode="eval"))):
            reason = "it calls something"
        else:
            query = re.sub(r"(?<![`\w.])((?:p|digest)\.\w+)", r"`\1`", expression)
            answer = frame.eval(query, engine="python")
    except (SyntaxError, ValueError, TypeError, KeyError, AttributeError, NotImplementedError, NameError) as error:
        reason = str(error)
    if not isinstance(answer, pd.Series) or answer.dtype != bool:
        asked = "Rows of the ledger were to be chosen by an expression."
        received = f"{expression!r}: {reason}"
        remedy = "Write a comparison of columns, e.g. \"arm == 'lora' and metric == 'scatter' and p.epochs >= 8\"."
        raise ConfigError(asked, received=received, available=", ".join(map(str, frame.columns)), remedy=remedy)
    return answer


def summarise_costs(ledger: Ledger) -> pd.DataFrame:
    """Return what each arm cost, in the mean over its training seeds; base models too.

    Parameters
    ----------
    ledger : Ledger
        From :func:`astrolab.load_ledger`; only its newest runs with scores count. Directions, and fractions of the
        fine-tuning set, are kept apart.

    Returns
    -------
    DataFrame
        ``study``, ``experiment``, ``direction`` and ``fraction`` (each only where any of the fits has one), ``arm``,
        ``n_seeds``, ``n_train`` (objects), ``n_trainable`` (parameters), ``n_trials`` (learning rates), ``n_seen``
        (objects, one counted once an epoch), ``time_s`` (of the fit that was kept), ``search_time_s`` (of all trials)
        and ``peak_memory_MB``.
    """
    fits = ledger.newest().fits
    fits = fits.assign(peak_memory_MB=fits["peak_memory_bytes"] / 1e6)
    several = [name for name in ("direction", "fraction") if name in fits and fits[name].notna().any()]
    grouped = fits.groupby(["study", "experiment", *several, "arm"], sort=False, dropna=False)
    # Beside a run without fits these columns hold numbers as objects.
    means = grouped[[*COUNTS, "time_s", "search_time_s", "peak_memory_MB"]].mean().astype(float)
    means.insert(0, "n_seeds", grouped["seed"].nunique())
    return means.reset_index()


def compare_arms(ledger: Ledger, *, arms: Sequence[str] | None = None, **settings: Any) -> pd.DataFrame:
    """Compare every pair of arms of each experiment, and of each direction in it, on the same objects.

    Arms are compared at the whole fine-tuning set, on the seeds that all of them have, in the ranges of true values in
    which their experiment was scored; runs that a newer one repeats are left out.

    Parameters
    ----------
    ledger : Ledger
        From :func:`astrolab.load_ledger`.
    arms : sequence of str, optional
        By default all.
    **settings
        As for :func:`astrolab.compare_models`: ``metrics``, ``labels``, ``resampling`` and so on.

    Returns
    -------
    DataFrame
        ``study``, ``experiment``, ``direction`` (NaN where a study has none) and the columns of
        :func:`astrolab.compare_models`; without a row where no experiment has two arms to compare.
    """
    tables = []
    for name, names, part in _candidates(ledger, arms=arms):
        if len(names) > 1 and len(part.table):
            tables.append(compare_models(part.predictions(), **settings).assign(**name))
    compared = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=[*PARTS, *_COMPARED])
    return compared[[*PARTS, *(name for name in compared if name not in PARTS)]]


def describe_pairs(ledger: Ledger, *, arms: Sequence[str] | None = None) -> pd.DataFrame:
    """Say of each experiment and direction which arms :func:`compare_arms` compares (``compared``), or why none."""
    rows = []
    for name, names, part in _candidates(ledger, arms=arms):
        if len(names) < 2:
            words = f"nothing: {names[0]} alone" if names else "nothing: none of the arms that were asked for"
        elif part.table.empty:
            words = f"nothing: {', '.join(names)} have no training seed in common"
        else:
            words = f"every pair of {', '.join(names)}; training seeds: {part.table['seed'].nunique()}"
        rows.append(name | {"compared": words})
    return pd.DataFrame(rows)


def _candidates(ledger: Ledger, *, arms: Sequence[str] | None) -> Iterator[tuple[dict[str, Any], list[str], Ledger]]:
    """Of each experiment and direction its name, its arms, and what these have on the seeds that all of them share."""
    newest = ledger.newest()
    whole = newest.where(_WHOLE, **({} if arms is None else {"arm": list(arms)}))
    for name in newest.table[PARTS].drop_duplicates().to_dict("records"):
        part = whole.where(**name)
        names = list(part.table["arm"].unique())
        seeds = keep_common_seeds(part.table)["seed"].unique() if names else []
        yield name, names, part.where(seed=list(seeds))


_SPECIAL = {"\\": r"\textbackslash{}"} | {character: rf"\{character}" for character in "&%$#_{}"}
_NAMING = ("study", "experiment", "direction", "survey", "label", "fraction", "scale", "arm", "n_seeds")


def scores_as_latex(scores: pd.DataFrame) -> str:
    """Return scores as a LaTeX ``tabular`` that needs the package booktabs."""
    summary = summarise_seeds(scores)
    summary["arm"] = summary["arm"].mask(summary["cut_short"], summary["arm"] + CUT_SHORT)
    summary["cell"] = [_cell(row) for row in summary.assign(best=is_best(summary)).itertuples()]
    metrics = list(summary["metric"].unique())
    several = [name for name in _NAMING if name in summary and summary[name].nunique(dropna=False) > 1]
    naming = [name for name in _NAMING if name in ("survey", "arm") or name in several]
    heads = [*map(_escape, naming), *(_escape(find_metric(name).label) for name in metrics)]
    lines = [rf"\begin{{tabular}}{{{'l' * len(naming)}{'r' * len(metrics)}}}", r"\toprule", _line(heads), r"\midrule"]
    last, group = [""] * len(naming), naming.index("arm")  # what is left of the arm is a group of its own
    for values, rows in summary.groupby(naming, sort=False, dropna=False):
        names = [_escape(_text(value)) for value in values]
        if last[0] and names[:group] != last[:group]:
            lines.append(r"\addlinespace")
        first_change = next(i for i in range(len(names)) if names[: i + 1] != last[: i + 1])
        shown = ["" if i < first_change else name for i, name in enumerate(names)]
        cells = rows.set_index("metric")["cell"]
        lines.append(_line([*shown, *(cells.get(name, "") for name in metrics)]))
        last = names
    spread = describe_spread(summary["n_seeds"])
    note = f"{spread[0].upper()}{spread[1:]}. Bold: best of its group."
    note += f"{CUT_SHORT} Cut short." if summary["cut_short"].any() else ""
    note += " Simulated twin surveys." if summary["simulated"].any() else ""
    lines += [r"\bottomrule", rf"\multicolumn{{{len(heads)}}}{{l}}{{{note}}} \\", r"\end{tabular}", ""]
    return "\n".join(lines)


def _line(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"


def _text(value: object) -> str:
    if pd.isna(value):
        return "--"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _escape(text: str) -> str:
    if text.startswith("$"):  # the label of a metric may be mathematics already
        return text
    return "".join(_SPECIAL.get(character, character) for character in text)


def _cell(row: tuple) -> str:
    above, below = row.high - row.value, row.value - row.low
    number = f"{row.value:.4f}"
    if np.isfinite(above) and f"{above:.4f}" == f"{below:.4f}":
        number += rf" \pm {above:.4f}"
    elif np.isfinite(above):
        number += f"^{{+{above:.4f}}}_{{-{below:.4f}}}"
    return rf"$\mathbf{{{number}}}$" if row.best else f"${number}$"
