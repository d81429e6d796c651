"""Predictions table in, tidy table of scores out: every published number passes through here."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from astrolab.errors import AstrolabWarning, ConfigError, PredictionError
from astrolab.metrics.metric import Metric, Sample, find_metric
from astrolab.metrics.resampling import Resampling, evaluate, intervals
from astrolab.predictions import (
    CONDITIONS,
    KEYS,
    MODEL_KEYS,
    TEST_KEYS,
    labels_of,
    quantity_of,
    task_of,
    truth_and_pred,
)
from astrolab.tasks import Quantity, Task

Across = Literal["each", "macro", "pooled"]

_MEASURED = ("value", "low", "high", "n", "simulated")
_OF_ONE_SEED = ("run", "fit", "seed")  # columns that differ between the training seeds of an arm
SCORES, SLICES = Resampling(), Resampling(n=200)


def groups_of(predictions: pd.DataFrame) -> list[str]:
    """Return the columns that tell models, test sets and conditions apart in this table."""
    return [name for name in (*MODEL_KEYS, *TEST_KEYS, *CONDITIONS) if name in predictions]


@dataclass(frozen=True)
class Scope:
    """What is scored of a predictions table: some labels of a task, by some metrics, in some groups."""

    labels: tuple[str, ...]
    quantities: Mapping[str, Quantity]
    metrics: tuple[Metric, ...]
    by: tuple[str, ...]

    @classmethod
    def of(
        cls,
        predictions: pd.DataFrame,
        *,
        labels: Sequence[str] | None,
        metrics: Sequence[str] | None,
        by: Sequence[str],
        task: Task | None,
        needs: Sequence[str] = (),
    ) -> Scope:
        """Fill in what was not asked for, and refuse a table that cannot be scored."""
        task = task_of(predictions) if task is None else task
        labels = tuple(labels_of(predictions) if labels is None else labels)
        metrics = default_metrics(task) if metrics is None else metrics
        require_scorable(predictions, labels=labels, columns=[*by, *needs])
        quantities = {label: quantity_of(label, task=task) for label in labels}
        return cls(labels, quantities, tuple(map(find_metric, metrics)), tuple(by))

    def groups(self, predictions: pd.DataFrame) -> Iterator[tuple[dict[str, object], pd.DataFrame]]:
        """Give the rows of each group, in the order in which groups first appear."""
        by = list(self.by)
        grouped = predictions.groupby(by, sort=False, dropna=False, observed=True) if by else [((), predictions)]
        for values, rows in grouped:
            yield dict(zip(by, values, strict=True)), rows

    def scored(self, rows: pd.DataFrame, *, label: str, key: Mapping[str, object]) -> np.ndarray:
        """Mark the rows whose true value is known and in the range that is scored."""
        truth, _ = truth_and_pred(rows, label=label)
        quantity = self.quantities[label]
        scored = quantity.is_scored(truth)
        if not scored.any() and not np.isnan(truth).all():
            name = ", ".join(f"{column}={value}" for column, value in key.items()) or "the table"
            raise PredictionError(
                "Predictions were to be scored.",
                received=f"no object with {label} in {quantity.scored} among the {len(rows):,} of {name}",
                remedy=f"Widen the range: task=task.with_scored({label}=None) scores all objects.",
            )
        return scored


def default_metrics(task: Task) -> tuple[str, ...]:
    """Return the metrics of a task; the mean error of a network without labels."""
    return task.metrics if task.labels else ("mae",)


def require_scorable(predictions: pd.DataFrame, *, labels: Sequence[str], columns: Sequence[str] = ()) -> None:
    """Refuse a table that lacks columns, holds a row twice, or whose truths and predictions are not all numbers."""
    missing = [name for name in columns if name not in predictions]
    if missing or not labels:
        raise PredictionError(
            "Predictions were to be scored.",
            received=f"a table without {', '.join(missing) or 'pred.<label>'}",
            available=", ".join(map(str, predictions.columns)),
            remedy="Pass the table that `predict` returned, and group by columns it has.",
        )
    for label in labels:
        truth, pred = truth_and_pred(predictions, label=label)
        for name, bad in {f"truth.{label}": np.isinf(truth), f"pred.{label}": ~np.isfinite(pred)}.items():
            if bad.any():
                raise PredictionError(
                    "Predictions were to be scored.",
                    received=f"{bad.sum():,} of {len(bad):,} rows where {name} is not a finite number",
                    remedy="Find out why; an object without a prediction is not scored as if it were not there.",
                )
    if "object_id" in predictions and not predictions["object_id"].is_unique:
        keys = [name for name in dict.fromkeys((*KEYS, *CONDITIONS, *columns)) if name in predictions]
        n_doubled = int(predictions.duplicated(keys).sum())
        if n_doubled:
            raise PredictionError(
                "Predictions were to be scored.",
                received=f"{n_doubled:,} rows that repeat another one: the same {', '.join(keys)}",
                remedy="Score each prediction once: stack each table once, and name the arm, seed and run of each.",
            )


def _parts(
    rows: pd.DataFrame, *, scope: Scope, across: Across, key: Mapping[str, object]
) -> Iterator[tuple[str, list[Sample], int]]:
    """Give what each score of a group is taken of: its label, its samples, and the number of objects in them."""
    objects = _number_objects(rows)
    scored = {label: scope.scored(rows, label=label, key=key) for label in scope.labels}
    samples = {}
    for label, inside in scored.items():
        truth, pred = truth_and_pred(rows, label=label)
        samples[label] = Sample(truth[inside], pred[inside], scope.quantities[label])
    if across == "each":
        for label, sample in samples.items():
            numbers, n = _renumber(objects[scored[label]])
            repeats = n < len(sample)
            yield label, [replace(sample, objects=numbers) if repeats else sample], n
        return
    inside = np.any(list(scored.values()), axis=0)
    numbers = np.full(len(rows), -1)
    numbers[inside], n = _renumber(objects[inside])
    parts = [replace(sample, objects=numbers[scored[label]]) for label, sample in samples.items()]
    yield across, [_pool(parts)] if across == "pooled" else parts, n


def _number_objects(rows: pd.DataFrame) -> np.ndarray:
    """Numbers that are the same for rows of the same object."""
    if "object_id" not in rows or rows["object_id"].is_unique:
        return np.arange(len(rows))
    keys = [name for name in ("survey", "object_id") if name in rows]
    return rows.groupby(keys, sort=False, dropna=False, observed=True).ngroup().to_numpy()


def _renumber(objects: np.ndarray) -> tuple[np.ndarray, int]:
    found, numbers = np.unique(objects, return_inverse=True)
    return numbers, len(found)


def _pool(parts: Sequence[Sample]) -> Sample:
    quantity = replace(parts[0].quantity, name="pooled", words="all labels")
    truth, pred, objects = (np.concatenate([getattr(p, name) for p in parts]) for name in ("truth", "pred", "objects"))
    return Sample(truth, pred, quantity, objects)


def _require_alike(scope: Scope, *, across: Across) -> None:
    """Refuse to put labels together whose residuals, or values of a metric, are not of one kind."""
    kinds = {
        "each": set(),
        "macro": {tuple(metric.unit_of(q) for metric in scope.metrics) for q in scope.quantities.values()},
        "pooled": {(q.error, q.unit, q.outlier) for q in scope.quantities.values()},
    }
    if across not in kinds:
        raise ConfigError(
            "Labels were to be scored.",
            received=f"across={across!r}",
            available=", ".join(kinds),
            remedy='Use "each" for a score of each label.',
        )
    if len(kinds[across]) > 1:
        raise ConfigError(
            f"Labels were to be scored together, across={across!r}.",
            received="labels of different units or kinds of residuals: "
            + ", ".join(f"{q.axis} ({q.error})" for q in scope.quantities.values()),
            remedy="Score each label, or name labels of one kind in `labels`, or metrics without a unit.",
        )


def score(
    predictions: pd.DataFrame,
    *,
    metrics: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
    across: Across = "each",
    by: Sequence[str] | None = None,
    task: Task | None = None,
    resampling: Resampling = SCORES,
) -> pd.DataFrame:
    """Score predictions against truth, one row for each group, label and metric, with intervals over objects.

    Intervals are bootstrap percentiles; those of rates are binomial. Objects are drawn with all their labels. Scores
    are not weighted. An unknown truth is left out, for its label only.

    Parameters
    ----------
    predictions : DataFrame
        Columns ``truth.<label>`` and ``pred.<label>`` (or ``error.<input>``), ``object_id``, and those of `by`.
    metrics : sequence of str, optional
        Ids of registered metrics; by default those of the task.
    labels : sequence of str, optional
        By default all.
    across : {"each", "macro", "pooled"}
        A score of each label; the mean of these over labels; or the score of the residuals of all labels together.
    by : sequence of str, optional
        Columns that separate groups. By default those of `KEYS` (without ``object_id``) and of ``direction, fraction,
        scale`` that the table has, so that nothing is pooled unasked; ``()`` pools everything.
    task : Task, optional
        By default that of the table. ``task.with_scored(z=(0.0, 0.3))`` scores objects of other *true* values.
    resampling : Resampling
        Number of resamples, their seed, and the level of the intervals.

    Returns
    -------
    DataFrame
        Columns `by`, ``label`` (or ``"macro"``, ``"pooled"``), ``metric``, ``value``, ``low``, ``high``, ``n``
        (objects), and ``simulated`` where the predictions have it. A label that is unknown throughout a group has the
        value NaN and n = 0.

    Raises
    ------
    PredictionError
        If the table lacks a column, repeats a row, holds NaN or infinite predictions, or no true value of a group is in
        the range that is scored.
    ConfigError
        If a metric does not exist for a quantity, or labels cannot be put together.
    UnknownNameError
        If a metric or label does not exist.

    Warns
    -----
    AstrolabWarning
        If arms are scored on different objects of one test set.

    Examples
    --------
    >>> table = pd.DataFrame({"arm": "lora", "truth.z": [0.5, 1.0, 1.0], "pred.z": [0.5, 1.0, 1.2]})
    >>> score(table, metrics=["bias_mean"], resampling=Resampling(n=0)).drop(columns=["low", "high"]).round(3)
        arm label     metric  value  n
    0  lora     z  bias_mean  0.033  3
    """
    by = groups_of(predictions) if by is None else by
    scope = Scope.of(predictions, labels=labels, metrics=metrics, by=by, task=task)
    _require_alike(scope, across=across)
    scored = [
        (key, rows, *parts)
        for key, rows in scope.groups(predictions)
        for parts in _parts(rows, scope=scope, across=across, key=key)
    ]
    _warn_of_other_objects(predictions, scope=scope)
    groups, n_objects = [one[3] for one in scored], [one[4] for one in scored]
    limits = intervals(groups, metrics=scope.metrics, n_objects=n_objects, resampling=resampling)
    made = []
    for (key, rows, label, parts, n), of_group in zip(scored, limits, strict=True):
        about = {"n": n} | ({"simulated": bool(rows["simulated"].any())} if "simulated" in rows else {})
        for metric, (low, high) in zip(scope.metrics, of_group, strict=True):
            value = {"value": evaluate(parts, metric=metric), "low": low, "high": high}
            made.append(key | {"label": label, "metric": metric.id} | value | about)
    return pd.DataFrame(made)


def _warn_of_other_objects(predictions: pd.DataFrame, *, scope: Scope) -> None:
    """Say which arms are scored on different objects of one test set: side by side, their scores mislead."""
    if "arm" not in scope.by or "object_id" not in predictions or predictions["arm"].nunique() < 2:
        return
    ids = pd.util.hash_pandas_object(predictions["object_id"], index=False).to_numpy()
    test = [name for name in scope.by if name not in (*MODEL_KEYS, *CONDITIONS)]
    for label in scope.labels:
        truth, _ = truth_and_pred(predictions, label=label)
        scored = scope.quantities[label].is_scored(truth)
        hashed = predictions[list(scope.by)].assign(sum=np.where(scored, ids, 0), n=scored)
        sums = hashed.groupby(list(scope.by), sort=False, dropna=False, observed=True).sum().reset_index()
        for where, arms in sums.groupby(test, sort=False, dropna=False) if test else [((), sums)]:
            if len(arms[["sum", "n"]].drop_duplicates()) > 1:
                counts = arms.groupby("arm", sort=False)["n"].unique()
                words = ", ".join(f"{arm} {'/'.join(f'{n:,}' for n in some)}" for arm, some in counts.items())
                name = " ".join([*map(str, where), label]).strip()
                warnings.warn(
                    f"Arms are scored on different objects of {name}: {words}. Their "
                    "scores cannot be read side by side; compare_models compares on the same objects only.",
                    AstrolabWarning,
                    stacklevel=3,
                )


def score_slices(
    predictions: pd.DataFrame,
    *,
    column: str,
    edges: Sequence[float],
    metrics: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
    by: Sequence[str] | None = None,
    task: Task | None = None,
    n_min: int = 20,
    resampling: Resampling = SLICES,
) -> pd.DataFrame:
    """Score predictions in slices of the truth, a magnitude or any other column.

    Parameters
    ----------
    predictions : DataFrame
        As for :func:`score`, with the numeric `column`.
    column : str
        What is sliced; ``"truth"`` is the true value of the label that is scored. Slices of the truth are scored
        whole, whatever range the task scores.
    edges : sequence of float
        Edges of the slices ``(low, high]``, ascending; the first slice holds its lower edge too. Objects beyond the
        edges, or without a value, are in no slice.
    metrics, labels, by, task, resampling
        As for :func:`score`.
    n_min : int
        Slices with fewer objects are left out: their scatter would say more about chance than about the model.

    Returns
    -------
    DataFrame
        As from :func:`score`, with ``slice_column``, ``slice_low``, ``slice_high`` and ``slice_median`` (of the
        objects in it).

    Raises
    ------
    ConfigError
        If the edges do not ascend.
    PredictionError
        If no slice holds `n_min` objects.
    """
    edges = np.asarray(edges, dtype=float)
    if len(edges) < 2 or not (np.diff(edges) > 0).all():
        raise ConfigError(
            f"Slices of {column!r} were asked for.", received=f"edges {edges.tolist()}", remedy="Give ascending edges."
        )
    by = groups_of(predictions) if by is None else list(by)
    needs = () if column == "truth" else (column,)
    scope = Scope.of(predictions, labels=labels, metrics=metrics, by=by, task=task, needs=needs)
    tables = []
    for label, quantity in scope.quantities.items():
        truth, _ = truth_and_pred(predictions, label=label)
        values = truth if column == "truth" else predictions[column].to_numpy(float)
        whole = replace(quantity, scored=None) if column in ("truth", f"truth.{label}") else quantity
        number = np.where(values == edges[0], 0, np.searchsorted(edges, values, side="left") - 1)
        inside = whole.is_scored(truth) & (number >= 0) & (number < len(edges) - 1)
        sliced = predictions.assign(slice=number, slice_median=values)[inside]
        keys = [*by, "slice"]
        sliced = sliced[sliced.groupby(keys, dropna=False)["slice"].transform("size") >= n_min]
        if sliced.empty:
            continue
        names = [metric.id for metric in scope.metrics]
        one = Task(label, (replace(whole, scored=None),))
        scores = score(sliced, metrics=names, labels=[label], by=keys, task=one, resampling=resampling)
        medians = sliced.groupby(keys, dropna=False)["slice_median"].median().reset_index()
        tables.append(scores.merge(medians, on=keys, how="left"))
    if not tables:
        raise PredictionError(
            f"Slices of {column!r} were to be scored.",
            received=f"no slice with {n_min} objects",
            remedy="Use wider slices or a smaller n_min.",
        )
    scores = pd.concat(tables, ignore_index=True)
    low, high = edges[scores["slice"]], edges[scores["slice"] + 1]
    return scores.drop(columns="slice").assign(slice_column=column, slice_low=low, slice_high=high)


def summarise_seeds(scores: pd.DataFrame) -> pd.DataFrame:
    """Average scores over training seeds: mean, spread and how many seeds.

    Parameters
    ----------
    scores : DataFrame
        From :func:`score`, with a ``seed`` column.

    Returns
    -------
    DataFrame
        The grouping columns without ``run``, ``fit`` and ``seed``, ``metric``, ``mean``, ``std`` (sample standard
        deviation over seeds, NaN for one seed), ``n_seeds``, and ``n`` (the fewest objects) and ``simulated`` where the
        scores have them.

    Raises
    ------
    PredictionError
        If there is no ``seed`` column, or a seed appears twice in a group.
    """
    if "seed" not in scores:
        raise PredictionError(
            "Scores were to be averaged over seeds.",
            received=f"a table with columns {', '.join(scores.columns)}",
            remedy="Score predictions that carry a seed column.",
        )
    by = [name for name in scores.columns if name not in (*_OF_ONE_SEED, *_MEASURED)]
    if scores.duplicated([*by, "seed"]).any():
        raise PredictionError(
            "Scores were to be averaged over seeds.",
            received="several scores of one seed in one group",
            remedy="Keep the column that tells them apart when scoring (`by`).",
        )
    kept = {"n": ("n", "min"), "simulated": ("simulated", "any")}
    kept = {name: how for name, how in kept.items() if name in scores}
    grouped = scores.groupby(by, sort=False, dropna=False, observed=True)
    return grouped.agg(mean=("value", "mean"), std=("value", "std"), n_seeds=("seed", "nunique"), **kept).reset_index()


def with_intervals(scores: pd.DataFrame) -> pd.DataFrame:
    """Return one value with one interval for each group: over seeds where there are several, else the bootstrap's.

    >>> scores = pd.DataFrame({"arm": "lora", "seed": [0, 1], "metric": "bias", "value": [0.1, 0.3]})
    >>> scores = scores.assign(low=0.0, high=1.0)
    >>> with_intervals(scores)[["arm", "metric", "value", "n_seeds"]]
        arm metric  value  n_seeds
    0  lora   bias    0.2        2
    """
    scores = scores if "seed" in scores else scores.assign(seed=0)
    scores = scores if "simulated" in scores else scores.assign(simulated=False)
    summary = summarise_seeds(scores)
    by = [name for name in summary.columns if name not in ("mean", "std", "n_seeds", "n", "simulated")]
    one = scores.drop_duplicates(by)[[*by, "low", "high"]]
    summary = summary.merge(one, on=by, how="left").rename(columns={"mean": "value"})
    one_seed = summary["n_seeds"] == 1
    return summary.assign(
        low=summary["low"].where(one_seed, summary["value"] - summary["std"]),
        high=summary["high"].where(one_seed, summary["value"] + summary["std"]),
    ).drop(columns="std")


def describe_spread(n_seeds: pd.Series, *, otherwise: str = "bootstrap interval") -> str:
    """Say in words what the interval of :func:`with_intervals` is, of rows that need not have the same number of seeds.

    >>> describe_spread(pd.Series([3, 3]))
    'spread over 3 seeds'
    >>> describe_spread(pd.Series([3, 1]))
    'spread over seeds where there are several, else bootstrap interval'
    """
    fewest, most = int(n_seeds.min()), int(n_seeds.max())
    if most == 1:
        return otherwise
    if fewest == 1:
        return f"spread over seeds where there are several, else {otherwise}"
    return f"spread over {most} seeds" if fewest == most else f"spread over {fewest} to {most} seeds"


def is_best(summary: pd.DataFrame, *, column: str = "arm") -> pd.Series:
    """Say of each row whether it is the best of its group, by the metric's own sign; alone it is not."""
    badness = pd.Series(0.0, index=summary.index)
    for name, rows in summary.groupby("metric"):
        badness[rows.index] = find_metric(name).badness(rows["value"])
    of_models = [name for name in MODEL_KEYS if name != "arm"]
    competing = [name for name in summary.columns if name not in (column, *of_models, *_MEASURED, "n_seeds")]
    rivals = badness.groupby([summary[name] for name in competing], dropna=False)
    return (badness == rivals.transform("min")) & (rivals.transform("size") > 1)


def tabulate_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """Return scores as a table to read: one row a test set and arm, one column a metric, ``value ± spread``.

    Where arms are scored for several labels, or at several fractions or scales, each of these has rows of its own.

    Parameters
    ----------
    scores : DataFrame
        From :func:`score`.

    Returns
    -------
    DataFrame of str
        The best arm of a test set (and fraction, and scale) carries a star. ± is half the bootstrap interval or, with
        several seeds, their standard deviation; the column ``n_seeds`` says how many. Where arms are not scored on
        equally many objects, the column ``n`` says on how many.
    """
    summary = with_intervals(scores)
    several = [
        name for name in ("direction", "label", "survey", "split", *CONDITIONS[1:]) if _is_several(summary, name)
    ]
    rows = [*dict.fromkeys((*several[:2], "survey", *several)), "arm"]
    cells = summary.assign(text=[_cell(row) for row in summary.assign(best=is_best(summary)).itertuples()])
    table = cells.pivot(index=rows, columns="metric", values="text")
    ranks = {name: {value: rank for rank, value in enumerate(summary[name].unique())} for name in rows}
    groups = summary[rows].drop_duplicates()
    order = pd.MultiIndex.from_frame(groups.sort_values(rows, key=lambda values: values.map(ranks[values.name])))
    counts = summary.groupby(rows)[["n_seeds"]].max()
    if "n" in summary and (summary.groupby(rows[:-1])["n"].nunique() > 1).any():
        counts["n"] = summary.groupby(rows)["n"].min()
    return table.loc[order, list(summary["metric"].unique())].join(counts)


def format_scores(scores: pd.DataFrame) -> str:
    """Return :func:`tabulate_scores` as plain text for a terminal, with what its signs mean.

    Parameters
    ----------
    scores : DataFrame
        From :func:`score`.

    Returns
    -------
    str

    Examples
    --------
    >>> scores = pd.DataFrame({"arm": ["full", "lora"], "survey": "galaxiesml", "metric": "scatter",
    ...                        "value": [0.05, 0.03], "low": [0.04, 0.02], "high": [0.06, 0.04]})
    >>> print(format_scores(scores))
                              scatter
    survey     arm
    galaxiesml full  0.0500 ± 0.0100
               lora  0.0300 ± 0.0100 *
    * best of its column;  ±: bootstrap interval
    """
    table = tabulate_scores(scores)
    words = f"* best of its column;  ±: {describe_spread(table['n_seeds'])}"
    if "simulated" in scores and scores["simulated"].any():
        words += ";  simulated surveys"
    table = table if table["n_seeds"].nunique() > 1 else table.drop(columns="n_seeds")
    lines = table.rename_axis(columns=None).to_string().splitlines()
    return "\n".join([*(line.rstrip() for line in lines), words])


def _is_several(summary: pd.DataFrame, name: str) -> bool:
    return name in summary and summary[name].nunique(dropna=False) > 1


def _cell(row: object) -> str:
    return f"{row.value:.4f} ± {(row.high - row.low) / 2:.4f} {'*' if row.best else ' '}"
