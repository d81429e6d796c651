"""Predictions table in, tidy table of scores out: every published number passes through here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from astrolab.errors import ConfigError, PredictionError
from astrolab.metrics.bootstrap import intervals
from astrolab.metrics.grouping import (
    DEFAULT_METRICS,
    Z_RANGE,
    ZRange,
    groups_of,
    iterate_groups,
    require_scorable,
    within,
)
from astrolab.metrics.metric import find_metric
from astrolab.metrics.summary import format_scores, summarise_seeds, tabulate_scores

__all__ = ["format_scores", "score", "score_slices", "summarise_seeds", "tabulate_scores"]


def score(
    predictions: pd.DataFrame,
    *,
    metrics: Sequence[str] = DEFAULT_METRICS,
    by: Sequence[str] | None = None,
    z_range: ZRange = Z_RANGE,
    n_bootstrap: int = 1000,
    seed: int = 0,
    level: float = 0.68,
) -> pd.DataFrame:
    """Score predictions against truth, one row for each group and metric, with intervals over galaxies.

    Intervals are bootstrap percentiles; those of fractions are binomial.

    Parameters
    ----------
    predictions : DataFrame
        Columns ``truth`` and ``pred``, and those of `by`.
    metrics : sequence of str
        Ids of registered metrics.
    by : sequence of str, optional
        Columns that separate groups. By default those of ``direction, arm, fraction, scale, seed, survey, label`` that
        the table has, so that nothing is pooled unasked; ``()`` pools everything.
    z_range : (float, float), optional
        Score galaxies with *true* redshift in ``(low, high]``; None scores all.
    n_bootstrap : int
        Number of resamples; 0 leaves the intervals empty.
    seed : int
        Seed of the resampling. Groups of the same galaxies in the same order share their resamples.
    level : float
        Probability inside the interval.

    Returns
    -------
    DataFrame
        Columns `by`, ``metric``, ``value``, ``low``, ``high``, ``n`` (galaxies), and ``simulated`` where the
        predictions have it.

    Raises
    ------
    PredictionError
        If the table lacks a column, holds NaN or infinite values, or a group is empty in `z_range`.
    UnknownNameError
        If a metric does not exist.

    Examples
    --------
    >>> table = pd.DataFrame({"arm": "lora", "truth": [0.5, 1.0, 1.0], "pred": [0.5, 1.0, 1.2]})
    >>> score(table, metrics=["bias_mean"], n_bootstrap=0)[["arm", "metric", "value", "n"]].round(3)
        arm     metric  value  n
    0  lora  bias_mean  0.033  3
    """
    chosen = [find_metric(name) for name in metrics]
    by = groups_of(predictions) if by is None else list(by)
    require_scorable(predictions, columns=by)
    groups = list(iterate_groups(predictions, by=by, z_range=z_range))
    samples = [(group["truth"].to_numpy(float), group["pred"].to_numpy(float)) for _, group in groups]
    limits = intervals(samples, metrics=chosen, n_resamples=n_bootstrap, seed=seed, level=level)
    rows = []
    for (key, group), (truth, pred), of_group in zip(groups, samples, limits, strict=True):
        about = {"n": len(group)} | ({"simulated": bool(group["simulated"].any())} if "simulated" in group else {})
        for metric, (low, high) in zip(chosen, of_group, strict=True):
            value = {"value": metric(truth=truth, pred=pred), "low": low, "high": high}
            rows.append(key | {"metric": metric.id} | value | about)
    return pd.DataFrame(rows)


def score_slices(
    predictions: pd.DataFrame,
    *,
    column: str,
    edges: Sequence[float],
    metrics: Sequence[str] = DEFAULT_METRICS,
    by: Sequence[str] | None = None,
    z_range: ZRange = Z_RANGE,
    n_min: int = 20,
    n_bootstrap: int = 200,
    seed: int = 0,
    level: float = 0.68,
) -> pd.DataFrame:
    """Score predictions in slices of redshift, magnitude or any other column.

    Parameters
    ----------
    predictions : DataFrame
        As for :func:`score`, with the numeric `column`.
    column : str
        What is sliced, e.g. ``"truth"``. Slices of the truth are scored whole: `z_range` does not cut them.
    edges : sequence of float
        Edges of the slices ``(low, high]``, ascending; the first slice holds its lower edge too. Galaxies beyond the
        edges, or without a value, are in no slice.
    metrics, by, z_range, n_bootstrap, seed, level
        As for :func:`score`.
    n_min : int
        Slices with fewer galaxies are left out: their scatter would say more about chance than about the model.

    Returns
    -------
    DataFrame
        As from :func:`score`, with ``slice_column``, ``slice_low``, ``slice_high`` and ``slice_median`` (of the
        galaxies in it).

    Raises
    ------
    ConfigError
        If the edges do not ascend.
    PredictionError
        If no slice holds `n_min` galaxies.
    """
    edges = np.asarray(edges, dtype=float)
    if len(edges) < 2 or not (np.diff(edges) > 0).all():
        raise ConfigError(
            f"Slices of {column!r} were asked for.", received=f"edges {edges.tolist()}", remedy="Give ascending edges."
        )
    by = groups_of(predictions) if by is None else list(by)
    require_scorable(predictions, columns=[*by, column])
    if column != "truth":
        predictions = within(predictions, z_range=z_range)
    values = predictions[column].to_numpy(float)
    number = np.where(values == edges[0], 0, np.searchsorted(edges, values, side="left") - 1)
    sliced = predictions.assign(slice=number)[(number >= 0) & (number < len(edges) - 1)]
    sizes = sliced.groupby([*by, "slice"], dropna=False)["truth"].transform("size")
    sliced = sliced[sizes >= n_min]
    if sliced.empty:
        raise PredictionError(
            f"Slices of {column!r} were to be scored.",
            received=f"no slice with {n_min} galaxies",
            remedy="Use wider slices or a smaller n_min.",
        )
    keys = [*by, "slice"]
    scores = score(sliced, metrics=metrics, by=keys, z_range=None, n_bootstrap=n_bootstrap, seed=seed, level=level)
    medians = sliced.groupby(keys, dropna=False)[column].median().rename("slice_median").reset_index()
    scores = scores.merge(medians, on=keys, how="left")
    low, high = edges[scores["slice"]], edges[scores["slice"] + 1]
    return scores.drop(columns="slice").assign(slice_column=column, slice_low=low, slice_high=high)
