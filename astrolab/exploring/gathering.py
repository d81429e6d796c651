"""Predictions from wherever they are, which models and test sets they hold, and selections of objects as files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from astrolab.datasets.survey import Survey
from astrolab.errors import ConfigError, PredictionError, unknown_name
from astrolab.exploring.columns import column_unit
from astrolab.files import short_names, with_ending, write_atomically
from astrolab.metrics.scoring import require_numbers
from astrolab.predictions import concat_predictions, labels_of, load_predictions, one_label, task_of
from astrolab.tasks import Task

FILE = "predictions.parquet"
EXPLORED = "Predictions were to be explored."
PASS_A_TABLE = "Pass the table that `predict` returned, or the folder of a finished run."
GROUPING = ("run", "direction", "trained_on", "survey", "split", "arm", "strategy", "fraction", "scale", "seed", "fit")
IMPLIED = ("fit", "strategy", "trained_on")  # mostly by the others; chosen only where they are not
ABSENT = "–"  # what a model has in a column that only others have, e.g. `fraction` where several studies meet
FORMATS = {".csv": "ascii.csv", ".ecsv": "ascii.ecsv"}
DEFAULT_NAME, AS_READ = "selection", ", as read"
Surveys = Survey | Mapping[str, Survey] | Iterable[Survey] | None


def gather_predictions(source: Any, *, task: Task | None = None) -> pd.DataFrame:
    """Read predictions from a table, a run or its folder, a ledger, or from several of these.

    Several are kept apart by the column ``run``: their names, or those of their folders. With a `task` all are scored
    by it; else runs that are scored in different ranges are refused.
    """
    table = _gather(source, task=task)
    if task is not None:
        table = table.assign()
        table.attrs = {"task": task.to_dict()}
    return table


def _gather(source: Any, *, task: Task | None) -> pd.DataFrame:
    if isinstance(source, pd.DataFrame):
        return source
    source = getattr(source, "folder", source)  # of an open run
    if hasattr(source, "predictions"):  # a ledger of runs
        return source.predictions()
    if isinstance(source, str | Path):
        path = Path(source)
        return load_predictions(path / FILE if path.is_dir() else path)
    if not isinstance(source, Iterable):
        raise _unknown_source(source)
    named = dict(source) if isinstance(source, Mapping) else _by_name(list(source))
    if not named:
        raise PredictionError(EXPLORED, received="no run", remedy="Pass at least one run or predictions table.")
    tables = {name: gather_predictions(one, task=task) for name, one in named.items()}
    _require_one_range(tables)
    return concat_predictions([table.assign(run=name) for name, table in tables.items()])


def _by_name(sources: list[Any]) -> dict[str, Any]:
    """Sources by the short names of their folders; the same folder twice is one."""
    folders = [getattr(source, "folder", source) for source in sources]
    for folder in folders:
        if not isinstance(folder, str | Path):
            raise _unknown_source(folder)
    places = {Path(os.path.abspath(folder)): source for folder, source in zip(folders, sources, strict=True)}
    names = short_names(list(places))
    return {names[place]: source for place, source in places.items()}


def _require_one_range(tables: Mapping[str, pd.DataFrame]) -> None:
    """Refuse runs of one kind of task whose labels are scored in different ranges of the truth."""
    ranges: dict[str, list[str]] = {}
    tasks = {name: task_of(table) for name, table in tables.items() if "task" in table.attrs}
    for name, task in tasks.items():
        in_words = (f"{q.name} {'{:g} to {:g}'.format(*q.scored) if q.scored else 'throughout'}" for q in task.labels)
        ranges.setdefault(", ".join(in_words), []).append(name)
    if len(ranges) > 1 and len({task.label_names for task in tasks.values()}) == 1:
        raise ConfigError(
            "Predictions of several runs were to be scored as the runs were.",
            received="; ".join(f"{said} in {', '.join(names)}" for said, names in ranges.items()),
            remedy="Say how all of them are scored: task=astrolab.tasks.REDSHIFT.with_scored(z=(low, high)), or None "
            "in place of the range for all objects.",
        )


def _unknown_source(source: Any) -> PredictionError:
    known = "a predictions table, a run or its folder, a ledger, a mapping of names to these, a list of runs"
    return PredictionError(EXPLORED, received=f"a {type(source).__name__}", available=known, remedy=PASS_A_TABLE)


def surveys_by_name(survey: Surveys, *, predicted: Iterable[str]) -> dict[str, Survey]:
    """Give test sets by name, however they were passed; a second one of a name is the first as it was read."""
    if survey is None:
        return {}
    named = dict(survey) if isinstance(survey, Mapping) else {}
    for one in [survey] if isinstance(survey, Survey) else () if named else survey:
        named[one.name + AS_READ * (one.name in named)] = one
    if not set(named) & set(predicted):
        raise PredictionError(
            "Predictions were to be explored with the surveys of their objects.",
            received=f"surveys called {', '.join(named) or 'nothing'}",
            available=f"predictions of {', '.join(predicted)}",
            remedy="Pass the test sets under the names that the predictions have, e.g. survey={name: test}.",
        )
    return named


@dataclass(frozen=True, eq=False)
class Choices:
    """A predictions table, ready to give the objects of any one model on any one test set at once."""

    table: pd.DataFrame
    options: Mapping[str, tuple[Any, ...]]
    rows: Mapping[tuple[Any, ...], np.ndarray]

    @classmethod
    def of(cls, table: pd.DataFrame) -> Choices:
        """Find every combination in a predictions table; ``label`` is the last option, of which every row has all."""
        labels = labels_of(table)
        missing = [name for name in ("survey", "object_id") if name not in table] + ["pred.<label>"] * (not labels)
        if missing or table.empty:
            received = f"a table without {', '.join(missing) or 'rows'}"
            available = ", ".join(map(str, table.columns))
            raise PredictionError(EXPLORED, received=received, available=available, remedy=PASS_A_TABLE)
        for label in labels:
            require_numbers(table, label=label, asked=EXPLORED)
        factors = {name: pd.factorize(table[name], use_na_sentinel=False) for name in GROUPING if name in table}
        shape = tuple(len(values) for _, values in factors.values())
        number = np.ravel_multi_index([codes for codes, _ in factors.values()], shape)
        order = np.argsort(number, kind="stable")
        found, starts = np.unique(number[order], return_index=True)
        codes = dict(zip(factors, np.unravel_index(found, shape), strict=True))
        names = _without_implied(codes)
        values = {name: factors[name][1].tolist() for name in names}
        options = {name: tuple(ABSENT if pd.isna(one) else one for one in known) for name, known in values.items()}
        keys = zip(*([options[name][place] for place in codes[name]] for name in names), strict=True)
        rows = dict(zip(keys, np.split(order, starts[1:]), strict=True))
        return cls(table, options | {"label": labels}, rows)

    def objects(self, **values: Any) -> pd.DataFrame:
        """Give the objects of one model on one test set, with the truth and prediction of one label.

        A column of which nothing is said has its first value.
        """
        for name, value in values.items():
            if name not in self.options:
                raise unknown_name("grouping column", name=name, names=self.options)
            if value not in self.options[name]:
                raise unknown_name(f"{name} of the predictions", name=str(value), names=map(str, self.options[name]))
        *key, label = (values.get(name, known[0]) for name, known in self.options.items())
        if tuple(key) not in self.rows:
            raise PredictionError(
                "The objects of one model on one test set were asked for.",
                received=f"a combination that no object has: {', '.join(f'{n}={v}' for n, v in values.items())}",
                available=f"{len(self.rows)} other combinations",
                remedy="Choose another model, seed or test set.",
            )
        return one_label(self.table.iloc[self.rows[tuple(key)]].reset_index(drop=True), label=label, unknown=True)

    @property
    def combinations(self) -> list[dict[str, Any]]:
        """Every model on every test set, with every label."""
        labels = self.options["label"]
        return [dict(zip(self.options, (*key, label), strict=True)) for key in self.rows for label in labels]

    def complete(self, **wanted: Any) -> dict[str, Any]:
        """Find the combination that exists and is nearest to the one wanted; what is named first weighs most."""
        left = self.combinations
        for name, value in wanted.items():
            left = [one for one in left if one.get(name) == value] or left
        return left[0]


def _without_implied(codes: Mapping[str, np.ndarray]) -> list[str]:
    """The columns that tell combinations apart, without those that follow from the others."""
    names = list(codes)
    for implied in IMPLIED:
        others = [name for name in names if name != implied]
        if implied in names and others:
            n_left = len(np.unique(np.stack([codes[name] for name in others]), axis=1).T)
            names = others if n_left == len(codes[implied]) else names
    return names


def selections_folder(source: Any) -> Path:
    """Give the folder where selections of some predictions are kept: in that of their run, else here."""
    folder = getattr(source, "folder", source)
    is_folder = isinstance(folder, str | Path) and Path(folder).is_dir()
    return Path(folder) / "selections" if is_folder else Path()


def selection_file(name: str, *, folder: Path, ending: str) -> Path:
    """Give the file of a selection of some name."""
    return with_ending(folder / (name.strip() or DEFAULT_NAME), ending=ending, instead_of=FORMATS)


def save_selection(objects: pd.DataFrame, *, path: Path, comment: str = "") -> Path:
    """Write objects as CSV, or as ECSV with units (Enhanced Character-Separated Values, APE 6)."""
    from astropy.table import Table

    columns = {name: values.to_numpy() for name, values in objects.items()}
    columns |= {name: values.astype(str) for name, values in columns.items() if values.dtype.kind not in "iufb"}
    table = Table(columns, units={name: column_unit(name) for name in columns if column_unit(name)})
    if comment:
        table.meta["comments"] = [comment]
    with write_atomically(path) as part:
        table.write(part, format=FORMATS[path.suffix])
    return path
