"""Several models on the same galaxies: which one scores better, and does it outlast resampling and many looks.

The intervals are those of :mod:`astrolab.metrics.resamples`; a family is one test survey and one metric.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
import scipy.stats

from astrolab.errors import ConfigError
from astrolab.metrics.grouping import DEFAULT_METRICS, Z_RANGE, ZRange, groups_of
from astrolab.metrics.metric import find_metric
from astrolab.metrics.pairing import iterate_panels
from astrolab.metrics.resamples import (
    Correction,
    Resamples,
    Seeds,
    critical_values,
    describe_pair,
    describe_standing,
    in_standard_errors,
    largest_deviation,
    require_choices,
    resample_models,
)

HEADLINE_METRICS = ("bias", "scatter", "catastrophic_rate")


def compare_models(
    predictions: pd.DataFrame,
    *,
    models: Sequence[str] | None = None,
    reference: str | None = None,
    column: str = "arm",
    metrics: Sequence[str] = HEADLINE_METRICS,
    by: Sequence[str] | None = None,
    z_range: ZRange = Z_RANGE,
    n_bootstrap: int = 2000,
    seed: int = 0,
    level: float = 0.95,
    correction: Correction = "max_t",
    seeds: Seeds = "fixed",
) -> pd.DataFrame:
    """Compare models pair by pair on the same galaxies, with intervals that hold for all pairs together.

    The difference is ``value_a - value_b``, of absolute values where the best value is zero, and with its sign turned
    where larger is better: **negative means that a is better**, for every metric. Where the sign of a bias is not
    certain, its interval allows for either, and is wider: see :mod:`astrolab.metrics.resamples`.

    Several training seeds of a model are averaged in each resample of galaxies, the same galaxies for all. What is
    averaged is how bad each network is: biases of opposite sign do not cancel.

    Parameters
    ----------
    predictions : DataFrame
        Columns ``object_id``, ``truth``, ``pred``, `column`, and those of `by`.
    models : sequence of str, optional
        Values of `column`, in the order in which pairs are made; by default all.
    reference : str, optional
        Compare each model with this one only: fewer comparisons, narrower intervals.
    column : str
        Column that tells the models apart.
    metrics, z_range, n_bootstrap, seed
        As for :func:`astrolab.metrics.score`.
    by : sequence of str, optional
        Columns that separate groups; by default those of the table that :func:`~astrolab.metrics.score` uses, without
        `column` and ``seed``. With ``seed`` among them each seed is compared by itself.
    level : float
        Probability that all intervals of a group and metric hold.
    correction : {"max_t", "none"}
        ``"none"``: each interval by itself holds at this level, and among many some do not.
    seeds : {"fixed", "sampled"}
        What the intervals are about: the networks at hand, on other galaxies of the same kind; or networks that other
        training seeds would give, which adds the spread over seeds with the tails of Student's t.

    Returns
    -------
    DataFrame
        Columns `by`, ``metric``, ``a``, ``b``, ``value_a``, ``value_b`` (means over seeds), ``difference``, ``low``,
        ``high``, ``p_value`` (adjusted for the family where the intervals are), ``a_better_frac`` (of resamples),
        ``better`` (the name of the better one, or ``"undecided"`` where the interval holds zero), ``n`` (galaxies),
        ``n_seeds``, ``seed_std`` (spread of the difference over seeds, NaN for one), ``n_comparisons`` (in the
        family), ``simulated``, ``level`` and ``correction``.

    Raises
    ------
    PredictionError
        If a model is not in the table, or the models were not applied to the same galaxies.
    ConfigError
        If there are fewer than two models, or a setting is not one of its choices.
    UnknownNameError
        If a metric does not exist.
    """
    chosen = [find_metric(name) for name in metrics]
    pairs = _choose_pairs(predictions, models=models, reference=reference, column=column)
    names = list(dict.fromkeys(name for pair in pairs for name in pair))
    require_choices(level=level, correction=correction, seeds=seeds)
    rows = []
    by = default_groups(predictions, column=column) if by is None else [name for name in by if name != column]
    for panel in iterate_panels(predictions, models=names, column=column, by=by, z_range=z_range):
        for family in resample_models(panel, metrics=chosen, n_bootstrap=n_bootstrap, seed=seed, seeds=seeds):
            rows += _compare_family(family, pairs=pairs, level=level, correction=correction)
    return pd.DataFrame(rows).assign(level=level, correction=correction)


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
    """Say how much worse model ``a`` scores than ``b`` on the same galaxies: two models, seed by seed.

    :func:`compare_models` of one pair, where nothing needs a correction.

    Parameters
    ----------
    predictions : DataFrame
        As for :func:`compare_models`.
    a, b : str
        Two values of `column`.
    column, metrics, z_range, n_bootstrap, seed, level
        As for :func:`compare_models`.
    by : sequence of str, optional
        Columns that separate groups, by default with ``seed`` where the table has it.

    Returns
    -------
    DataFrame
        As from :func:`compare_models`.

    Raises
    ------
    PredictionError
        If a model is not in the table, or the two were not applied to the same galaxies.
    """
    by = groups_of(predictions) if by is None else by
    settings = {"by": by, "z_range": z_range, "n_bootstrap": n_bootstrap, "seed": seed, "level": level}
    return compare_models(predictions, models=(a, b), column=column, metrics=metrics, **settings)


def default_groups(predictions: pd.DataFrame, *, column: str) -> list[str]:
    """Return the columns that separate comparisons: those of scores, without the models and their seeds."""
    return [name for name in groups_of(predictions) if name not in (column, "seed")]


def _choose_pairs(
    predictions: pd.DataFrame, *, models: Sequence[str] | None, reference: str | None, column: str
) -> list[tuple[str, str]]:
    names = list(predictions[column].unique()) if models is None and column in predictions else list(models or ())
    if reference is not None:
        return [(name, reference) for name in names if name != reference] or _refuse_pairs(names)
    return list(combinations(dict.fromkeys(names), 2)) or _refuse_pairs(names)


def _refuse_pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    raise ConfigError(
        "Models were to be compared with one another.",
        received=", ".join(map(repr, names)) or "no model",
        remedy="Name two models or more, or a reference that is not the only one.",
    )


def _compare_family(
    family: Resamples, *, pairs: Sequence[tuple[str, str]], level: float, correction: Correction
) -> list[dict[str, object]]:
    contrasts = np.array([family.contrast(a=a, b=b) for a, b in pairs])
    differences, errors = contrasts @ family.sizes, family.errors(contrasts)
    scaled = in_standard_errors(family.moves(contrasts), errors=errors[:, None])
    reach = critical_values(scaled, level=level, correction=correction)
    if family.metric.is_fraction:
        reach = np.maximum(reach, scipy.stats.norm.ppf((1 + level) / 2))
    seen = np.where(differences == 0, 0.0, in_standard_errors(np.abs(differences), errors=errors, of_nothing=np.inf))
    beyond = (largest_deviation(scaled, correction=correction) >= seen[:, None]).sum(axis=1)
    p_values = (1 + beyond) / (1 + scaled.shape[1])
    rows = []
    for j, (a, b) in enumerate(pairs):
        low, high = differences[j] - reach[j] * errors[j], differences[j] + reach[j] * errors[j]
        by_seed = family.badness[family.index(a)] - family.badness[family.index(b)]
        measured = describe_pair(family, a=a, b=b) | {
            "difference": differences[j],
            "low": low,
            "high": high,
            "p_value": p_values[j],
            "a_better_frac": float(np.mean(differences[j] + contrasts[j] @ family.deviations < 0)),
            "better": "undecided" if low <= 0 <= high else a if high < 0 else b,
        }
        rows.append(measured | describe_standing(family, by_seed=by_seed, n_comparisons=len(pairs)))
    return rows
