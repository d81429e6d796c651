"""Two models on the same galaxies: which one scores better, and does the difference outlast resampling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from astrolab.errors import PredictionError
from astrolab.metrics.bootstrap import bootstrap, percentile_interval
from astrolab.metrics.grouping import DEFAULT_METRICS, Z_RANGE, ZRange, groups_of, iterate_groups, require_scorable
from astrolab.metrics.metric import Metric, find_metric


def paired_difference(
    predictions: pd.DataFrame,
    *,
    a: str,
    b: str,
    column: str = "arm",
    metrics: Sequence[str] = DEFAULT_METRICS,
    by: Sequence[str] | None = None,
    z_range: ZRange = Z_RANGE,
    n_bootstrap: int = 1000,
    seed: int = 0,
    level: float = 0.68,
) -> pd.DataFrame:
    """Say how much worse model ``a`` scores than ``b`` on the same galaxies, with paired bootstrap intervals.

    The difference is ``value_a - value_b``, of absolute values where the best value is zero, and with its sign turned
    where larger is better: **negative means that a is better**, for every metric.

    Parameters
    ----------
    predictions : DataFrame
        Columns ``object_id``, ``truth``, ``pred``, `column`, and those of `by`.
    a, b : str
        Two values of `column`.
    column : str
        Column that tells the models apart.
    metrics, by, z_range, n_bootstrap, seed, level
        As for :func:`astrolab.metrics.score`; `by` never includes `column`.

    Returns
    -------
    DataFrame
        Columns `by`, ``metric``, ``a``, ``b``, ``value_a``, ``value_b``, ``difference``, ``low``, ``high``,
        ``a_better_frac`` (fraction of resamples), ``better`` (the name of the better one, or ``"undecided"`` where the
        interval holds zero), ``n``.

    Raises
    ------
    PredictionError
        If a model is not in the table, or the two were not applied to the same galaxies.
    """
    chosen = [find_metric(name) for name in metrics]
    by = [name for name in (groups_of(predictions) if by is None else by) if name != column]
    require_scorable(predictions, columns=[*by, column, "object_id"])
    rows = []
    for (key, left), (_, right) in _pairs(predictions, a=a, b=b, column=column, by=by, z_range=z_range):
        samples = [(one["truth"].to_numpy(float), one["pred"].to_numpy(float)) for one in (left, right)]
        spread = bootstrap(samples, metrics=chosen, n_resamples=n_bootstrap, seed=seed)
        for j, metric in enumerate(chosen):
            values = [metric(truth=truth, pred=pred) for truth, pred in samples]
            difference = _compare(metric, values=values, spread=spread[:, j], names=(a, b), level=level)
            rows.append(key | {"metric": metric.id, "a": a, "b": b} | difference | {"n": len(left)})
    return pd.DataFrame(rows)


def _pairs(
    predictions: pd.DataFrame, *, a: str, b: str, column: str, by: list[str], z_range: ZRange
) -> Iterator[tuple[tuple[dict, pd.DataFrame], tuple[dict, pd.DataFrame]]]:
    """The same galaxies, in the same order, as model `a` and as model `b` saw them."""
    sides = []
    for name in (a, b):
        of_model = predictions[predictions[column] == name]
        if of_model.empty:
            raise PredictionError(
                f"Models {a!r} and {b!r} were to be compared.",
                received=f"no row where {column} is {name!r}",
                available=", ".join(map(str, predictions[column].unique())),
                remedy="Name two of the models above.",
            )
        groups = iterate_groups(of_model, by=by, z_range=z_range)
        sides.append({tuple(key.values()): (key, group.sort_values("object_id")) for key, group in groups})
    left, right = sides
    for group in left.keys() & right.keys():
        ids = [side[group][1]["object_id"].to_numpy() for side in sides]
        if len(np.unique(ids[0])) < len(ids[0]) or not np.array_equal(*ids):
            raise PredictionError(
                f"Models {a!r} and {b!r} were to be compared on the same galaxies.",
                received=f"{len(ids[0]):,} and {len(ids[1]):,} rows that are not one for each galaxy, in {group}",
                remedy="Predict both on the same survey; with several seeds, group by seed.",
            )
    if left.keys() != right.keys():
        raise PredictionError(
            f"Models {a!r} and {b!r} were to be compared on the same galaxies.",
            received=f"groups that only one of them has: {sorted(map(str, left.keys() ^ right.keys()))}",
            remedy="Predict both on the same surveys and seeds.",
        )
    return ((left[group], right[group]) for group in left)


def _compare(
    metric: Metric, *, values: list[float], spread: np.ndarray, names: tuple[str, str], level: float
) -> dict[str, float | str]:
    resampled = np.subtract(*metric.badness(spread))
    low, high = percentile_interval(resampled, level=level)
    if low <= 0 <= high:
        better = "undecided"
    else:
        better = names[0] if high < 0 else names[1]
    return {
        "value_a": values[0],
        "value_b": values[1],
        "difference": float(np.subtract(*metric.badness(np.array(values)))),
        "low": float(low),
        "high": float(high),
        "a_better_frac": float(np.mean(resampled < 0)),
        "better": better,
    }
