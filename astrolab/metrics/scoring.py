"""Predictions table in, tidy table of scores out: every published number passes through here."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd

from astrolab.errors import AstrolabWarning, ConfigError, PredictionError
from astrolab.metrics.metric import Metric, Sample, find_metric
from astrolab.metrics.resampling import Resampling, evaluate, intervals
from astrolab.predictions import FLAGS, GROUP_KEYS, MODEL_KEYS, labels_of, quantity_of, task_of, truth_and_pred
from astrolab.tasks import Quantity, Task

Across = Literal["each", "macro", "pooled"]

_MEASURED = ("value", "low", "high", "n", *FLAGS)
CUT_SHORT, SCORED = " †", "Predictions were to be scored."
SCORES, SLICES = Resampling(), Resampling(n=200)


def groups_of(predictions: pd.DataFrame) -> list[str]:
    """Return the columns that tell models, test sets and conditions apart in this table."""
    return [name for name in GROUP_KEYS if name in predictions]


def default_metrics(task: Task, *, headline: bool = False) -> tuple[str, ...]:
    """Return the metrics of a task, or its headline only; for a network without labels the mean error."""
    return ("mae",) if not task.labels else (task.headline,) if headline else task.metrics


def choose_quantities(
    predictions: pd.DataFrame,
    *,
    labels: Sequence[str] | None = None,
    task: Task | None = None,
    columns: Sequence[str] = (),
) -> dict[str, Quantity]:
    """Give the quantities of the labels that are scored, by default all, of a table that can be scored."""
    labels = labels_of(predictions) if labels is None else labels
    missing = [name for name in columns if name not in predictions]
    if missing or not labels:
        raise _unscorable(
            f"a table without {', '.join(missing) or 'pred.<label>'}",
            available=", ".join(map(str, predictions.columns)),
            remedy="Pass the table that `predict` returned, and group by columns it has.",
        )
    for label in labels:
        require_numbers(predictions, label=label, asked=SCORED)
    if len(predictions) and all(np.isnan(truth_and_pred(predictions, label=label)[0]).all() for label in labels):
        received = f"{len(predictions):,} rows, all of unknown {' and '.join(labels)}"
        raise _unscorable(received, remedy="Score a survey whose labels are known; predictions are in pred.<label>.")
    if "object_id" in predictions and not predictions["object_id"].is_unique:
        keys = [name for name in dict.fromkeys((*GROUP_KEYS, "object_id", *columns)) if name in predictions]
        if n_doubled := int(predictions.duplicated(keys).sum()):
            received = f"{n_doubled:,} rows that repeat another one: the same {', '.join(keys)}"
            raise _unscorable(received, remedy="Stack each table once, and name the arm, seed and run of each.")
    task = task_of(predictions) if task is None else task
    return {label: quantity_of(label, task=task) for label in labels}


def _unscorable(received: str, *, remedy: str, available: str = "") -> PredictionError:
    return PredictionError(SCORED, received=received, available=available, remedy=remedy)


def require_numbers(predictions: pd.DataFrame, *, label: str, asked: str) -> None:
    """Refuse predictions that are not finite, and truths that are infinite; an unknown truth is NaN."""
    truth, pred = truth_and_pred(predictions, label=label)
    for name, bad in {f"truth.{label}": np.isinf(truth), f"pred.{label}": ~np.isfinite(pred)}.items():
        if bad.any():
            received = f"{bad.sum():,} of {len(bad):,} rows where {name} is not a finite number"
            remedy = "Find out why; an object without a prediction is not left out as if it were not there."
            raise PredictionError(asked, received=received, remedy=remedy)


def iterate_groups(predictions: pd.DataFrame, *, by: Sequence[str]) -> Iterator[tuple[dict[str, object], pd.DataFrame]]:
    """Give the rows of each group, in the order in which groups first appear."""
    by = list(by)
    grouped = predictions.groupby(by, sort=False, dropna=False, observed=True) if by else [((), predictions)]
    for values, rows in grouped:
        yield dict(zip(by, values, strict=True)), rows


def mark_scored(rows: pd.DataFrame, *, quantity: Quantity, key: Mapping[str, object]) -> np.ndarray:
    """Mark the rows of a group whose true value is known and in the range that is scored."""
    truth, _ = truth_and_pred(rows, label=quantity.name)
    scored = quantity.is_scored(truth)
    if not scored.any() and not np.isnan(truth).all():
        name = ", ".join(f"{column}={value}" for column, value in key.items()) or "the table"
        received = f"no object with {quantity.name} in {quantity.scored} among the {len(rows):,} of {name}"
        remedy = "Score another range, or all objects (None), with task=task.with_scored(...)."
        raise _unscorable(received, remedy=remedy)
    return scored


def _samples(
    rows: pd.DataFrame, *, quantities: Mapping[str, Quantity], across: Across, key: Mapping[str, object]
) -> Iterator[tuple[str, list[Sample], int]]:
    """Give what each score of a group is taken of: its label, its samples, and the number of objects in them."""
    objects = np.arange(len(rows))
    if "object_id" in rows and not rows["object_id"].is_unique:
        keys = [name for name in ("survey", "object_id") if name in rows]
        objects = rows.groupby(keys, sort=False, dropna=False, observed=True).ngroup().to_numpy()
    scored = {label: mark_scored(rows, quantity=quantity, key=key) for label, quantity in quantities.items()}
    samples = {}
    for label, inside in scored.items():
        truth, pred = truth_and_pred(rows, label=label)
        samples[label] = Sample(truth[inside], pred[inside], quantities[label])
    if across == "each":
        for label, sample in samples.items():
            found, numbers = np.unique(objects[scored[label]], return_inverse=True)
            n = len(found)
            yield label, [replace(sample, objects=numbers) if n < len(sample) else sample], n
        return
    inside, numbers = np.any(list(scored.values()), axis=0), np.full(len(rows), -1)
    found, numbers[inside] = np.unique(objects[inside], return_inverse=True)
    parts = [replace(sample, objects=numbers[scored[label]]) for label, sample in samples.items()]
    if across == "pooled":
        quantity = replace(parts[0].quantity, name="pooled", words="all labels")
        truth, pred, numbers = (np.concatenate([getattr(p, n) for p in parts]) for n in ("truth", "pred", "objects"))
        parts = [Sample(truth, pred, quantity, numbers)]
    yield across, parts, len(found)


def _require_alike(quantities: Sequence[Quantity], *, across: Across, metrics: Sequence[Metric]) -> None:
    """Refuse to put labels together whose residuals, or values of a metric, are not of one kind."""
    kinds = {
        "each": set(),
        "macro": {tuple(metric.unit_of(quantity) for metric in metrics) for quantity in quantities},
        "pooled": {(quantity.error, quantity.unit, quantity.outlier) for quantity in quantities},
    }
    if len(kinds.get(across, (1, 2))) > 1:
        asked = f"Labels were to be scored, across={across!r}."
        received = ", ".join(f"{quantity.axis} ({quantity.error})" for quantity in quantities)
        available = '"each"; "macro" of labels of one unit; "pooled" of labels of one kind of residual'
        remedy = "Score each label, or name labels of one kind in `labels`, or metrics without a unit."
        raise ConfigError(asked, received=received, available=available, remedy=remedy)


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

    Intervals are bootstrap percentiles, those of rates binomial; an object is drawn with all its labels. Scores are not
    weighted. An unknown truth is left out, for its label only. A warning says where arms have other objects.

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
        Columns that separate groups. By default those that tell models, test sets and conditions apart; ``()`` pools
        everything.
    task : Task, optional
        By default that of the table. ``task.with_scored(z=(0.0, 0.3))`` scores objects of other *true* values.
    resampling : Resampling
        Number of resamples, their seed, and the level of the intervals.

    Returns
    -------
    DataFrame
        Columns `by`, ``label`` (or ``"macro"``, ``"pooled"``), ``metric``, ``value``, ``low``, ``high``, ``n``
        (objects), and `FLAGS` where the predictions have them. A label that is unknown throughout a group has the
        value NaN and n = 0.

    Raises
    ------
    PredictionError
        If the table lacks a column, repeats a row, holds no truth at all or predictions that are no numbers, or no true
        value of a group is in the range that is scored.
    ConfigError
        If a metric does not exist for a quantity, or labels cannot be put together.

    Examples
    --------
    >>> table = pd.DataFrame({"arm": "lora", "truth.z": [0.5, 1.0, 1.0], "pred.z": [0.5, 1.0, 1.2]})
    >>> score(table, metrics=["bias_mean"], resampling=Resampling(n=0)).drop(columns=["low", "high"]).round(3)
        arm label     metric  value  n
    0  lora     z  bias_mean  0.033  3
    """
    by = groups_of(predictions) if by is None else by
    task = task_of(predictions) if task is None else task
    chosen = [find_metric(name) for name in (default_metrics(task) if metrics is None else metrics)]
    quantities = choose_quantities(predictions, labels=labels, task=task, columns=by)
    _require_alike(list(quantities.values()), across=across, metrics=chosen)
    scored = [
        (key, rows, *samples)
        for key, rows in iterate_groups(predictions, by=by)
        for samples in _samples(rows, quantities=quantities, across=across, key=key)
    ]
    _warn_of_other_objects(predictions, by=list(by), quantities=quantities)
    groups, n_objects = [one[3] for one in scored], [one[4] for one in scored]
    limits = intervals(groups, metrics=chosen, n_objects=n_objects, resampling=resampling)
    made = []
    for (key, rows, label, parts, n), of_group in zip(scored, limits, strict=True):
        about = {"n": n} | {flag: bool(rows[flag].any()) for flag in FLAGS if flag in rows}
        for metric, (low, high) in zip(chosen, of_group, strict=True):
            value = {"value": evaluate(parts, metric=metric), "low": low, "high": high}
            made.append(key | {"label": label, "metric": metric.id} | value | about)
    return pd.DataFrame(made)


def _warn_of_other_objects(predictions: pd.DataFrame, *, by: list[str], quantities: Mapping[str, Quantity]) -> None:
    """Say which arms are scored on different objects of one test set: side by side, their scores mislead."""
    if "arm" not in by or "object_id" not in predictions or predictions["arm"].nunique() < 2:
        return
    ids = pd.util.hash_pandas_object(predictions["object_id"], index=False).to_numpy()
    test = [name for name in by if name not in MODEL_KEYS]
    for label, quantity in quantities.items():
        scored = quantity.is_scored(truth_and_pred(predictions, label=label)[0])
        hashed = predictions[by].assign(sum=np.where(scored, ids, 0), n=scored)
        sums = hashed.groupby(by, sort=False, dropna=False, observed=True).sum().reset_index()
        for where, arms in iterate_groups(sums, by=test):
            if len(arms[["sum", "n"]].drop_duplicates()) > 1:
                counts = arms.groupby("arm", sort=False)["n"].unique()
                words = ", ".join(f"{arm} {'/'.join(f'{n:,}' for n in some)}" for arm, some in counts.items())
                words = f"{' '.join([*map(str, where.values()), label]).strip()}: {words}"
                advice = "Their scores cannot be read side by side; compare_models compares on the same objects only."
                text = f"Arms are scored on different objects of {words}. {advice}"
                warnings.warn(text, AstrolabWarning, stacklevel=3)


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
        Of the slices ``(low, high]``, ascending; the first slice holds its lower edge too.
    metrics, labels, by, task, resampling
        As for :func:`score`.
    n_min : int
        Slices with fewer objects are left out: their scatter would say more about chance than about the model.

    Returns
    -------
    DataFrame
        As from :func:`score`, with ``slice_column``, ``slice_low``, ``slice_high`` and ``slice_median`` (of objects).

    Raises
    ------
    PredictionError
        If no slice holds `n_min` objects.
    """
    edges = np.asarray(edges, dtype=float)
    if len(edges) < 2 or not (np.diff(edges) > 0).all():
        asked, received = f"Slices of {column!r} were asked for.", f"edges {edges.tolist()}"
        raise ConfigError(asked, received=received, remedy="Give ascending edges.")
    by = groups_of(predictions) if by is None else list(by)
    task = task_of(predictions) if task is None else task
    needs = by if column == "truth" else [*by, column]
    tables = []
    for label, quantity in choose_quantities(predictions, labels=labels, task=task, columns=needs).items():
        truth, _ = truth_and_pred(predictions, label=label)
        values = truth if column == "truth" else predictions[column].to_numpy(float)
        whole = replace(quantity, scored=None)
        scored = (whole if column in ("truth", f"truth.{label}") else quantity).is_scored(truth)
        number = np.where(values == edges[0], 0, np.searchsorted(edges, values, side="left") - 1)
        inside, keys = scored & (number >= 0) & (number < len(edges) - 1), [*by, "slice"]
        sliced = predictions.assign(slice=number, slice_median=values)[inside]
        sliced = sliced[sliced.groupby(keys, dropna=False)["slice"].transform("size") >= n_min]
        if not sliced.empty:
            how = {"metrics": default_metrics(task) if metrics is None else metrics, "resampling": resampling}
            scores = score(sliced, labels=[label], by=keys, task=Task(label, (whole,)), **how)
            medians = sliced.groupby(keys, dropna=False)["slice_median"].median().reset_index()
            tables.append(scores.merge(medians, on=keys, how="left"))
    if not tables:
        asked, received = f"Slices of {column!r} were to be scored.", f"no slice with {n_min} objects"
        raise PredictionError(asked, received=received, remedy="Use wider slices or a smaller n_min.")
    scores = pd.concat(tables, ignore_index=True)
    low, high = edges[scores["slice"]], edges[scores["slice"] + 1]
    return scores.drop(columns="slice").assign(slice_column=column, slice_low=low, slice_high=high)


def summarise_seeds(scores: pd.DataFrame) -> pd.DataFrame:
    """Average the scores of :func:`score` over training seeds: one value with one interval for each group.

    The interval says where another network on other objects would be: of several seeds it holds their standard
    deviation and the interval over objects (averaged over seeds, of 68 % by default), added in squares.
    """
    scores = scores if "seed" in scores else scores.assign(seed=0)
    scores = scores.assign(**{flag: False for flag in FLAGS if flag not in scores})
    by = [name for name in scores.columns if name not in ("run", "fit", "seed", *_MEASURED)]
    if scores.duplicated([*by, "seed"]).any():
        received, remedy = "several scores of one seed", "Keep the column that tells them apart when scoring (`by`)."
        raise PredictionError("Scores were to be averaged over seeds.", received=received, remedy=remedy)
    scores = scores.assign(below=scores["value"] - scores["low"], above=scores["high"] - scores["value"])
    means = {name: (name, "mean") for name in ("value", "below", "above")} | {"std": ("value", "std")}
    kept = {name: (name, how) for name, how in {"n": "min", **dict.fromkeys(FLAGS, "any")}.items() if name in scores}
    grouped = scores.groupby(by, sort=False, dropna=False, observed=True)
    summary = grouped.agg(**means, n_seeds=("seed", "nunique"), **kept).reset_index()
    several = summary["n_seeds"] > 1
    for side, sign, end in (("below", -1, "low"), ("above", 1, "high")):
        both = np.hypot(summary[side].fillna(0.0), summary["std"])
        summary[end] = summary["value"] + sign * summary[side].mask(several, both)
    return summary.drop(columns=["below", "above"])


def describe_spread(n_seeds: pd.Series) -> str:
    """Say in words what the intervals of :func:`summarise_seeds` are, for rows of any numbers of seeds."""
    fewest, most = int(n_seeds.min()), int(n_seeds.max())
    if most == 1:
        return "bootstrap interval over objects"
    if fewest == 1:
        return "spread over objects and seeds where there are several, else bootstrap interval over objects"
    return f"spread over objects and {most if fewest == most else f'{fewest} to {most}'} seeds"


def is_best(summary: pd.DataFrame) -> pd.Series:
    """Say of each row whether its arm alone is the best of its group, by the metric's own sign."""
    badness = pd.Series(0.0, index=summary.index)
    for name, rows in summary.groupby("metric"):
        badness[rows.index] = find_metric(name).badness(rows["value"])
    groups = [summary[name] for name in summary if name not in (*MODEL_KEYS, *_MEASURED, "std", "n_seeds")]
    first = badness == badness.groupby(groups, dropna=False).transform("min")
    n_first, n = (values.groupby(groups, dropna=False).transform("sum") for values in (first, first | True))
    return first & (n_first == 1) & (n > 1)


def tabulate_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """Return scores as a table to read: one row a test set and arm, one column a metric, ``value ± spread``.

    Labels, fractions, scales and directions that are several have rows of their own. The best arm of each group carries
    a star, one that was cut short (whose validation loss still fell at its last step) a dagger. ± is half the interval
    of :func:`summarise_seeds`. The column ``n`` is there where arms are not scored on equally many objects.
    """
    summary = summarise_seeds(scores)
    summary["arm"] = summary["arm"].mask(summary["cut_short"], summary["arm"] + CUT_SHORT)
    apart = ("direction", "label", "survey", "split", "fraction", "scale")
    several = [name for name in apart if name in summary and summary[name].nunique(dropna=False) > 1]
    rows = [name for name in apart if name == "survey" or name in several] + ["arm"]
    if "trained_on" in summary and summary.duplicated([*rows, "metric"]).any():
        rows.insert(-1, "trained_on")
    cells = summary.assign(text=[_cell(row) for row in summary.assign(best=is_best(summary)).itertuples()])
    table = cells.pivot(index=rows, columns="metric", values="text")
    ranks = {name: {value: rank for rank, value in enumerate(summary[name].unique())} for name in rows}
    groups = summary[rows].drop_duplicates()
    order = pd.MultiIndex.from_frame(groups.sort_values(rows, key=lambda values: values.map(ranks[values.name])))
    counts = summary.groupby(rows, dropna=False)[["n_seeds"]].max()
    if "n" in summary and (summary.groupby(rows[:-1], dropna=False)["n"].nunique() > 1).any():
        counts["n"] = summary.groupby(rows, dropna=False)["n"].min()
    return table.loc[order, list(summary["metric"].unique())].join(counts)


def format_scores(scores: pd.DataFrame, *, width: int | None = None) -> str:
    """Return :func:`tabulate_scores` as plain text for a terminal (of so many columns), with what its signs mean."""
    table = tabulate_scores(scores)
    words = f"* best of its column;  ±: {describe_spread(table['n_seeds'])}"
    if "cut_short" in scores and scores["cut_short"].any():
        words += f";  {CUT_SHORT.strip()} cut short: its validation loss still fell at its last step"
    if "simulated" in scores and scores["simulated"].any():
        words += ";  simulated twin surveys"
    table = table if table["n_seeds"].nunique() > 1 else table.drop(columns="n_seeds")
    lines = table.rename_axis(columns=None).to_string(line_width=width).splitlines()
    return "\n".join([*(line.rstrip() for line in lines), words])


def _cell(row: object) -> str:
    return f"{row.value:.4f} ± {(row.high - row.low) / 2:.4f} {'*' if row.best else ' '}"
