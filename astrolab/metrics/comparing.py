"""Several models on the same objects: which one scores better, by how much, and does it outlast many looks.

The mathematics of the intervals are in docs/intervals.md. A family of comparisons is one test set, label and metric.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from astrolab.errors import ConfigError, PredictionError
from astrolab.metrics.metric import Sample, find_metric
from astrolab.metrics.resampling import (
    Panel,
    Resamples,
    Resampling,
    critical_values,
    in_standard_errors,
    largest_deviation,
    percentile_interval,
    resample_models,
)
from astrolab.metrics.scoring import choose_quantities, default_metrics, groups_of, iterate_groups, mark_scored
from astrolab.predictions import MODEL_KEYS, task_of, truth_and_pred
from astrolab.tasks import Quantity, Task

COMPARISON = Resampling(n=2000, level=0.95, seeds="auto")
MOVE = Resampling(seeds="auto")


def iterate_panels(
    predictions: pd.DataFrame,
    *,
    models: Sequence[Any],
    column: str = "arm",
    labels: Sequence[str] | None = None,
    by: Sequence[str] | None = None,
    task: Task | None = None,
) -> Iterator[Panel]:
    """Give the objects of each group and label as every model predicted them, in the same order."""
    by = _separating(predictions, by=by, column=column)
    columns = [*by, column, "object_id"]
    quantities = choose_quantities(predictions, labels=labels, task=task, columns=columns)
    sides = []
    for name in models:
        of_model = predictions[predictions[column] == name]
        if of_model.empty:
            asked, received = f"Model {name!r} was to be compared with others.", f"no row where {column} is {name!r}"
            available = ", ".join(map(str, predictions[column].unique()))
            raise PredictionError(asked, received=received, available=available, remedy="Name models of those above.")
        sides.append({tuple(key.values()): (key, rows) for key, rows in iterate_groups(of_model, by=by)})
    everywhere = set.intersection(*map(set, sides))
    partial = sorted({str(group) for side in sides for group in side} - set(map(str, everywhere)))
    if partial:
        received = f"groups that only some of them have: {', '.join(partial)}"
        raise _incomparable(models, received=received, remedy="Predict all on the same surveys and seeds.")
    for group, (key, _) in sides[0].items():
        for quantity in quantities.values():
            tables = dict(zip(models, (side[group][1] for side in sides), strict=True))
            panel = _make_panel(tables, quantity=quantity, key=key)
            if len(panel):
                yield panel


def _make_panel(tables: dict[Any, pd.DataFrame], *, quantity: Quantity, key: dict[str, object]) -> Panel:
    samples, seeds_of, ids = [], {}, None
    for name, table in tables.items():
        scored = table[mark_scored(table, quantity=quantity, key=key)]
        by_seed = {"all": scored} if "seed" in key or "seed" not in scored else dict(list(scored.groupby("seed")))
        seeds_of[name] = list(by_seed)
        for rows in by_seed.values():
            rows = rows.sort_values("object_id")
            own_ids = rows["object_id"].to_numpy()
            sample = Sample(*truth_and_pred(rows, label=quantity.name), quantity)
            ids, fault = own_ids if ids is None else ids, ""
            if len(np.unique(own_ids)) < len(own_ids) or not np.array_equal(ids, own_ids):
                fault = f"{len(own_ids):,} rows, not one for each"
            elif samples and not np.array_equal(samples[0].truth, sample.truth):
                fault = "other true values for the same ids"
            if fault:
                where = ", ".join(f"{column} {value}" for column, value in key.items()) or "the table"
                remedy = "Predict all on the same survey; name in `by` the columns that tell rows of one object apart."
                raise _incomparable(tables, received=f"for {name!r} in {where}: {fault}", remedy=remedy)
            samples.append(sample)
    n_seeds = len(seeds_of[name])
    if any(seeds != seeds_of[name] for seeds in seeds_of.values()):
        received = f"different seeds ({'; '.join(f'{one}: {seeds}' for one, seeds in seeds_of.items())})"
        remedy = "Compare the seeds that all of them have: keep_common_seeds(predictions)."
        raise _incomparable(tables, received=received, remedy=remedy)
    simulated = any(bool(table["simulated"].any()) for table in tables.values() if "simulated" in table)
    return Panel(key | {"label": quantity.name}, tuple(tables), n_seeds, samples, simulated)


def _separating(predictions: pd.DataFrame, *, by: Sequence[str] | None, column: str) -> list[str]:
    """Columns that separate comparisons: by default test sets and conditions, and arms where `column` is another."""
    of_models = [name for name in MODEL_KEYS if name != "arm"]
    names = [name for name in groups_of(predictions) if name not in of_models] if by is None else by
    return [name for name in names if name != column]


def _incomparable(models: Iterable[Any], *, received: str, remedy: str) -> PredictionError:
    asked = f"Models {', '.join(map(repr, models))} were to be compared on the same objects."
    return PredictionError(asked, received=received, remedy=remedy)


def compare_models(
    predictions: pd.DataFrame,
    *,
    models: Sequence[str] | None = None,
    reference: str | None = None,
    column: str = "arm",
    metrics: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
    by: Sequence[str] | None = None,
    task: Task | None = None,
    resampling: Resampling = COMPARISON,
) -> pd.DataFrame:
    """Compare models pair by pair on the same objects, with intervals that hold for all pairs together.

    The difference is ``value_a - value_b``, of absolute values where the best value is zero, and with its sign turned
    where larger is better: **negative means that a is better**, for every metric. Where the sign of a bias is not
    certain, the interval holds for either: see docs/intervals.md. Training seeds are averaged in each resample of
    objects, the same objects for all: how bad each network is, so that biases of opposite sign do not cancel.

    Parameters
    ----------
    predictions : DataFrame
        As for :func:`score`, with ``object_id`` and `column`.
    models : sequence of str, optional
        Values of `column`, in the order in which pairs are made; by default all.
    reference : str, optional
        Compare each model with this one only: fewer comparisons, narrower intervals.
    column : str
        Column that tells the models apart.
    metrics, labels, task
        As for :func:`score`.
    by : sequence of str, optional
        Columns that separate groups; by default those of test sets and conditions. With ``seed`` among them each seed
        is compared by itself.
    resampling : Resampling
        Also says whether all intervals of a family hold together, and for networks of other training seeds.

    Returns
    -------
    DataFrame
        Columns `by`, ``label``, ``metric``, ``a``, ``b``, ``value_a``, ``value_b`` (means over seeds), ``difference``,
        ``low``, ``high``, ``p_value`` (adjusted for the family where the intervals are), ``a_better_frac`` (of
        resamples), ``better`` (a name, or ``"undecided"`` where the interval holds zero); ``ratio`` (how many times
        worse a is; NaN where larger values are better), ``ratio_low``, ``ratio_high`` (infinite where b may be zero);
        ``n`` (objects), ``n_seeds``, ``seed_std`` (of the difference, NaN for one), ``n_comparisons`` (in the family),
        ``simulated``, ``level`` and ``correction``.

    Raises
    ------
    PredictionError
        If a model is not in the table, or the models were not applied to the same objects.
    """
    task = task_of(predictions) if task is None else task
    chosen = [find_metric(name) for name in (default_metrics(task) if metrics is None else metrics)]
    names = list(predictions[column].unique()) if models is None and column in predictions else list(models or ())
    names = list(dict.fromkeys(names))
    others = [(name, reference) for name in names if name != reference]
    pairs = list(combinations(names, 2)) if reference is None else others
    if not pairs:
        received = ", ".join(map(repr, names)) or "no model"
        remedy = "Name two models or more, or a reference that is not the only one."
        raise ConfigError("Models were to be compared with one another.", received=received, remedy=remedy)
    names = list(dict.fromkeys(name for pair in pairs for name in pair))
    rows = []
    for panel in iterate_panels(predictions, models=names, column=column, labels=labels, by=by, task=task):
        for family in resample_models(panel, metrics=chosen, resampling=resampling):
            rows += _compare_family(family, pairs=pairs)
    return pd.DataFrame(rows).assign(level=resampling.level, correction=resampling.correction)


def describe_comparison(comparison: pd.DataFrame) -> list[str]:
    """Say in a sentence each what rows of :func:`compare_models` found: better, worse or undecided, and by how much."""
    sentences = []
    for row in comparison.to_dict("records"):
        a, b, metric = row["a"], row["b"], find_metric(row["metric"])
        verdict = {a: f"{a} is better than {b}", b: f"{a} is worse than {b}"}
        difference, low, high = (f"{row[name]:.4f}".replace("-", "−") for name in ("difference", "low", "high"))
        parts = [
            f"{metric.label} {row['value_a']:.4f} against {row['value_b']:.4f}",
            f"difference {difference} ({low} to {high}, {100 * row['level']:g} %)",
            f"n = {row['n']:,}",
            "one seed" if row["n_seeds"] == 1 else f"{row['n_seeds']} seeds",
        ]
        said = verdict.get(row["better"], f"undecided between {a} and {b}")
        about = [row.get("survey", "all")] + [row["label"]] * (comparison["label"].nunique() > 1)
        sentences.append(f"{', '.join(about)}: {said}: {', '.join(parts)}.")
    return sentences


def _compare_family(family: Resamples, *, pairs: Sequence[tuple[str, str]]) -> list[dict[str, object]]:
    resampling, panel, means = family.resampling, family.panel, family.values.mean(axis=1)
    contrasts = np.array([family.contrast(a=a, b=b) for a, b in pairs])
    differences, errors, scaled = contrasts @ family.sizes, family.errors(contrasts), family.scaled(contrasts)
    reach = critical_values(scaled, resampling=resampling, are_few=family.metric.is_fraction)
    seen = np.where(differences == 0, 0.0, in_standard_errors(np.abs(differences), errors=errors, without=np.inf))
    beyond = (largest_deviation(scaled, correction=resampling.correction) >= seen[:, None]).sum(axis=1)
    p_values = (1 + beyond) / (1 + scaled.shape[1])
    ratios = [Ratio(family, a, b) for a, b in pairs] if family.metric.sign != "higher" else []
    between = ratio_intervals(ratios, resampling=resampling) if ratios else np.full((len(pairs), 2), np.nan)
    rows = []
    for j, (a, b) in enumerate(pairs):
        low, high = differences[j] - reach[j] * errors[j], differences[j] + reach[j] * errors[j]
        by_seed = contrasts[j] @ family.badness
        measured = {
            "metric": family.metric.id,
            "a": a,
            "b": b,
            "value_a": means[family.index(a)],
            "value_b": means[family.index(b)],
            "difference": differences[j],
            "low": low,
            "high": high,
            "p_value": p_values[j],
            "a_better_frac": float(np.mean(contrasts[j] @ family.resampled_sizes < 0)),
            "better": "undecided" if low <= 0 <= high else a if high < 0 else b,
            "ratio": ratios[j].value if ratios else np.nan,
            "ratio_low": between[j, 0],
            "ratio_high": between[j, 1],
            "n": len(panel),
            "n_seeds": panel.n_seeds,
            "seed_std": float(by_seed.std(ddof=1)) if len(by_seed) > 1 else np.nan,
            "n_comparisons": len(pairs),
            "simulated": panel.simulated,
        }
        rows.append(panel.key | measured)
    return rows


@dataclass(frozen=True)
class Ratio:
    """One metric of model `a` over that of model `b`, on the same objects."""

    family: Resamples
    a: str
    b: str

    @property
    def value(self) -> float:
        """The ratio; infinite, or NaN, where the denominator is zero."""
        above, below = (self.family.sizes[self.family.index(model)] for model in (self.a, self.b))
        return float(above / below) if below else float(np.inf if above else np.nan)

    def scaled(self) -> np.ndarray:
        """How far each resample moves ``a - value * b``, in standard errors, shape (n_resamples,)."""
        if not np.isfinite(self.value):
            return np.zeros(self.family.resampling.n)
        return self.family.scaled(self.family.contrast(a=self.a, b=self.b, times=self.value)[None])[0]

    def interval(self, reach: float) -> tuple[float, float]:
        """Return all c with ``a - c b`` within `reach` errors of zero (Fieller 1954, J. R. Stat. Soc. B 16, 175)."""
        places = [self.family.index(self.a), self.family.index(self.b)]
        above, below = self.family.sizes[places]
        covariance = self.family.covariance(self.family.contrast(a=self.a, b=self.b))
        covariance = reach**2 * covariance[np.ix_(places, places)]
        square, linear = below**2 - covariance[1, 1], above * below - covariance[0, 1]
        constant = above**2 - covariance[0, 0]
        root = np.sqrt(max(linear**2 - square * constant, 0.0))
        low = constant / (linear + root) if constant > 0 else 0.0
        high = (linear + root) / square if square > 0 else np.inf
        return float(low), float(high)


def ratio_intervals(ratios: Sequence[Ratio], *, resampling: Resampling) -> np.ndarray:
    """Return the intervals (n, 2) of a family of ratios, which may be of several surveys and metrics."""
    scaled = np.array([ratio.scaled() for ratio in ratios])
    are_few = [ratio.family.metric.is_fraction or not one.any() for ratio, one in zip(ratios, scaled, strict=True)]
    reaches = critical_values(scaled, resampling=resampling, are_few=are_few)
    return np.array([ratio.interval(reach) for ratio, reach in zip(ratios, reaches, strict=True)])


def measure_forgetting(
    predictions: pd.DataFrame,
    *,
    pretrain: str,
    finetune: str,
    reference: str = "zero_shot",
    column: str = "arm",
    metrics: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
    by: Sequence[str] | None = None,
    task: Task | None = None,
    resampling: Resampling = MOVE,
) -> pd.DataFrame:
    """Say how much each model gained on the fine-tuning survey and forgot of the pre-training survey.

    Both are differences to the reference on the same objects, with paired intervals.

    Parameters
    ----------
    predictions : DataFrame
        As for :func:`compare_models`.
    pretrain, finetune : str
        Names of the two test sets: of the pre-training survey, of the fine-tuning survey.
    reference : str
        The model before it was moved: a value of `column`.
    metrics : sequence of str, optional
        By default those of the task: a model of little scatter may have a large bias on `pretrain`. Of one whose best
        value is zero, sizes are compared.
    column, labels, by, task, resampling
        As for :func:`compare_models`.

    Returns
    -------
    DataFrame
        One row a metric and model, the reference first: columns `by`, ``label``, `column`, ``metric``, ``on_finetune``
        and ``on_pretrain`` (how bad it is, averaged over seeds; smaller is better, whatever the metric), ``gain``
        (positive where better on `finetune`), ``forgetting`` (positive where worse on `pretrain`), each of these four
        with its ``_low`` and ``_high``, ``n_finetune``, ``n_pretrain`` (objects), ``n_seeds`` and ``simulated``.

    Raises
    ------
    PredictionError
        If a survey or the reference is not in the table, or the models were not applied to the same objects.
    """
    surveys = list(predictions["survey"].unique()) if "survey" in predictions else []
    asked = f"What models gained on {finetune} and forgot of {pretrain} was to be measured."
    if not {pretrain, finetune} <= set(surveys):
        received = f"no predictions for {', '.join(name for name in (pretrain, finetune) if name not in surveys)}"
        available = ", ".join(surveys) or "a table without a column 'survey'"
        remedy = "Predict every model on the test sets of both surveys."
        raise PredictionError(asked, received=received, available=available, remedy=remedy)
    task = task_of(predictions) if task is None else task
    chosen = [find_metric(name) for name in (default_metrics(task) if metrics is None else metrics)]
    by = [name for name in _separating(predictions, by=by, column=column) if name != "survey"]
    models = [reference, *(name for name in predictions[column].unique() if name != reference)]
    sides = []
    for survey in (finetune, pretrain):
        rows = predictions[predictions["survey"] == survey]
        panels = iterate_panels(rows, models=models, column=column, labels=labels, by=by, task=task)
        made = (one for panel in panels for one in resample_models(panel, metrics=chosen, resampling=resampling))
        sides.append({(*one.panel.key.values(), one.metric.id): one for one in made})
    if set(sides[0]) != set(sides[1]):
        received = f"groups on one of the two only: {', '.join(map(str, set(sides[0]) ^ set(sides[1])))}"
        remedy = "Predict the same on both, or name in `labels` those that both surveys have."
        raise PredictionError(asked, received=received, remedy=remedy)
    rows = (_forgetting_rows(one, on_pretrain=sides[1][key], column=column) for key, one in sides[0].items())
    return pd.DataFrame(row for of_metric in rows for row in of_metric)


def _forgetting_rows(on_finetune: Resamples, *, on_pretrain: Resamples, column: str) -> Iterator[dict[str, object]]:
    every = np.eye(len(on_finetune.sizes))
    measured = {
        "on_finetune": on_finetune.measure(every),
        "on_pretrain": on_pretrain.measure(every),
        "gain": on_finetune.measure(every[0] - every),
        "forgetting": on_pretrain.measure(every - every[0]),
    }
    for place, model in enumerate(on_finetune.panel.models):
        row = on_finetune.panel.key | {column: model, "metric": on_finetune.metric.id}
        for name, values in measured.items():
            row |= dict(zip((name, f"{name}_low", f"{name}_high"), values[place].tolist(), strict=True))
        row |= {"n_finetune": len(on_finetune.panel), "n_pretrain": len(on_pretrain.panel)}
        row |= {"n_seeds": on_finetune.panel.n_seeds}
        yield row | {"simulated": on_finetune.panel.simulated or on_pretrain.panel.simulated}


def estimate_plateau(
    predictions: pd.DataFrame,
    *,
    metric: str | None = None,
    tolerance: float = 0.1,
    labels: Sequence[str] | None = None,
    by: Sequence[str] | None = None,
    task: Task | None = None,
    resampling: Resampling = MOVE,
) -> pd.DataFrame:
    """Say from which fraction of the data on more data hardly helps, for each arm and test survey.

    The plateau is the smallest fraction, linearly interpolated between measured ones, at which the curve has made
    ``1 - tolerance`` of its gain from the smallest to the largest fraction, and after which it never falls back. Two
    things it cannot say: whether a curve is flat beyond the largest fraction, and whether a curve that never bends has
    a plateau at all: a plateau near ``straight``, where a straight line would have "flattened", is none. Noise between
    neighbouring fractions tends to move the estimate to larger ones.

    The interval is a paired bootstrap: each resample holds the same objects at every fraction, training seeds are
    averaged. Resamples without a gain have no plateau; ``gains_frac`` says how many have one.

    Parameters
    ----------
    predictions : DataFrame
        As for :func:`compare_models`.
    metric : str, optional
        By default the headline of the task; of one whose best value is zero, sizes are followed, and ``low`` and
        ``high`` take the signs that were measured for certain.
    tolerance : float
        Part of the gain that may be missing, in [0, 1).
    labels, by, task, resampling
        As for :func:`compare_models`; curves of different arms are separate.

    Returns
    -------
    DataFrame
        Columns `by`, ``label``, ``metric``, ``plateau``, ``low``, ``high`` (NaN without a gain), ``straight``,
        ``gain`` (how much better the last fraction is than the first), ``gain_low``, ``gain_high``, ``gains_frac`` (of
        resamples), ``tolerance``, ``n`` (objects), ``n_seeds`` and ``simulated``.

    Raises
    ------
    PredictionError
        If a curve has fewer than three fractions, or they were not predicted for the same objects.
    """
    asked = "The plateau of a curve was to be found."
    if not 0 <= tolerance < 1:
        remedy = "Use 0 <= tolerance < 1, e.g. tolerance=0.1: nine tenths of the gain."
        raise ConfigError(asked, received=f"tolerance={tolerance!r}", remedy=remedy)
    task = task_of(predictions) if task is None else task
    found = find_metric(metric or default_metrics(task, headline=True)[0])
    by = _separating(predictions, by=by, column="fraction")
    labels = list(choose_quantities(predictions, labels=labels, task=task, columns=[*by, "fraction"]))
    rows = []
    for _, curve in iterate_groups(predictions, by=by):
        places = np.sort(curve["fraction"].unique())
        if len(places) < 3:
            received = f"fraction = {', '.join(map(str, places))}"
            remedy = "Measure three fractions or more: through two points runs only a straight line."
            raise PredictionError(asked, received=received, remedy=remedy)
        for panel in iterate_panels(curve, models=places, column="fraction", labels=labels, by=by, task=task):
            family = resample_models(panel, metrics=[found], resampling=resampling)[0]
            rows.append(_plateau_row(family, places=places, tolerance=tolerance))
    return pd.DataFrame(rows)


def find_plateau(curves: np.ndarray, *, places: np.ndarray, tolerance: float) -> np.ndarray:
    """Return where each curve has made all but `tolerance` of its gain, for good."""
    gain = curves[0] - curves[-1]
    target, columns = curves[-1] + tolerance * gain, np.arange(curves.shape[1])
    last_short = len(places) - 1 - np.argmax((curves > target)[::-1], axis=0)
    before = np.where(gain > 0, last_short, 0)
    above, below = curves[before, columns], curves[before + 1, columns]
    drop = np.where(gain > 0, above - below, 1.0)
    reached = places[before] + (above - target) / drop * np.diff(places)[before]
    return np.where(gain > 0, reached, np.nan)


def _plateau_row(family: Resamples, *, places: np.ndarray, tolerance: float) -> dict[str, object]:
    sizes, curves = family.sizes[:, None], family.resampled_sizes
    gains, every = curves[0] > curves[-1], np.eye(len(places))
    measured = float(find_plateau(sizes, places=places, tolerance=tolerance)[0])
    reached = find_plateau(curves, places=places, tolerance=tolerance)[gains]
    has_interval = len(reached) and not np.isnan(measured)
    low, high = percentile_interval(reached, level=family.resampling.level) if has_interval else (np.nan, np.nan)
    gain = family.measure(every[:1] - every[-1])[0].tolist()
    return family.panel.key | {
        "metric": family.metric.id,
        "plateau": measured,
        "low": float(low),
        "high": float(high),
        "straight": float(places[0] + (1 - tolerance) * (places[-1] - places[0])),
        **dict(zip(("gain", "gain_low", "gain_high"), gain, strict=True)),
        "gains_frac": float(np.mean(gains)),
        "tolerance": tolerance,
        "n": len(family.panel),
        "n_seeds": family.panel.n_seeds,
        "simulated": family.panel.simulated,
    }


def pareto_front(table: pd.DataFrame, *, columns: Sequence[str]) -> pd.Series:
    """Mark the rows that no other row beats: as small or smaller in every column, and smaller in one."""
    if unknown := [name for name in columns if table[name].isna().any()]:
        asked, received = "The models that no other beats were to be found.", f"rows without {', '.join(unknown)}"
        raise PredictionError(asked, received=received, remedy="Give every model a number in each of these columns.")
    values = table[list(columns)].to_numpy(float)
    no_worse = (values[:, None] <= values[None]).all(axis=2)
    better = (values[:, None] < values[None]).any(axis=2)
    return pd.Series(~(no_worse & better).any(axis=0), index=table.index)
