"""What moving a model gains on the new survey and costs on the old one, both against the model that was not moved."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from astrolab.errors import PredictionError
from astrolab.metrics.comparing import default_groups
from astrolab.metrics.grouping import Z_RANGE, ZRange
from astrolab.metrics.metric import find_metric
from astrolab.metrics.pairing import Panel, iterate_panels
from astrolab.metrics.resamples import Resamples, Seeds, resample_models


def measure_forgetting(
    predictions: pd.DataFrame,
    *,
    old: str,
    new: str,
    reference: str = "zero_shot",
    column: str = "arm",
    metric: str = "scatter",
    by: Sequence[str] | None = None,
    z_range: ZRange = Z_RANGE,
    n_bootstrap: int = 1000,
    seed: int = 0,
    level: float = 0.68,
    seeds: Seeds | None = None,
) -> pd.DataFrame:
    """Say how much each model gained on the new survey and how much it forgot of the old one.

    Both are differences to the reference on the same galaxies, with paired intervals: ``gain`` is positive where the
    model is better on the new survey, ``forgetting`` is positive where it is worse on the old one.

    Parameters
    ----------
    predictions : DataFrame
        Columns ``survey``, ``object_id``, ``truth``, ``pred``, `column`, those of `by`, and ``seed`` where there are
        several.
    old, new : str
        Names of the two test surveys.
    reference : str
        The model before it was moved: a value of `column`.
    column : str
        Column that tells the models apart.
    metric : str
        Id of a registered metric; of one whose best value is zero, sizes are compared.
    by, z_range, n_bootstrap, seed, level
        As for :func:`astrolab.metrics.compare_models`; `by` never includes the survey.
    seeds : {"fixed", "sampled"}, optional
        As for :func:`astrolab.metrics.compare_models`; by default ``"sampled"`` where there are several seeds.

    Returns
    -------
    DataFrame
        One row a model, the reference first: columns `by`, `column`, ``metric``, ``on_new`` and ``on_old`` (how bad it
        is, averaged over seeds; smaller is better, whatever the metric), ``gain``, ``forgetting``, each of these four
        with its ``_low`` and ``_high``, ``n_new``, ``n_old`` (galaxies), ``n_seeds`` and ``simulated``.

    Raises
    ------
    PredictionError
        If a survey or the reference is not in the table, or the models were not applied to the same galaxies.
    UnknownNameError
        If the metric does not exist.
    """
    _require_surveys(predictions, names=(old, new))
    by = default_groups(predictions, column=column) if by is None else by
    by = [name for name in by if name not in (column, "survey")]
    models = [reference, *(name for name in predictions[column].unique() if name != reference)]
    resampling = {"n_bootstrap": n_bootstrap, "seed": seed, "seeds": seeds}
    sides = [
        [
            _resample(panel, metric=metric, **resampling)
            for panel in iterate_panels(
                predictions[predictions["survey"] == survey], models=models, column=column, by=by, z_range=z_range
            )
        ]
        for survey in (new, old)
    ]
    rows = []
    for on_new, on_old in zip(*sides, strict=True):
        measured = {
            "on_new": _levels(on_new, level=level),
            "on_old": _levels(on_old, level=level),
            "gain": _differences(on_new, sign=-1, level=level),
            "forgetting": _differences(on_old, sign=1, level=level),
        }
        standing = {"n_new": len(on_new.panel), "n_old": len(on_old.panel), "n_seeds": on_new.panel.n_seeds}
        standing["simulated"] = on_new.panel.simulated or on_old.panel.simulated
        for place, model in enumerate(models):
            about = on_new.panel.key | {column: model, "metric": metric}
            rows.append(about | _named({name: values[place] for name, values in measured.items()}) | standing)
    return pd.DataFrame(rows)


def _require_surveys(predictions: pd.DataFrame, *, names: Sequence[str]) -> None:
    there = list(predictions["survey"].unique()) if "survey" in predictions else []
    missing = [name for name in names if name not in there]
    if missing:
        raise PredictionError(
            "What a model gained and forgot was to be measured on two surveys.",
            received=f"no predictions for {', '.join(missing)}",
            available=", ".join(there) or "a table without a column 'survey'",
            remedy="Predict every model on the old and on the new test survey.",
        )


def _resample(panel: Panel, *, metric: str, n_bootstrap: int, seed: int, seeds: Seeds | None) -> Resamples:
    how = seeds or ("sampled" if panel.n_seeds > 1 else "fixed")
    return resample_models(panel, metrics=[find_metric(metric)], n_bootstrap=n_bootstrap, seed=seed, seeds=how)[0]


def _levels(resamples: Resamples, *, level: float) -> np.ndarray:
    """How bad each model is, with its interval: shape (n_models, 3)."""
    return _with_intervals(resamples, np.eye(len(resamples.sizes)), level=level)


def _differences(resamples: Resamples, *, sign: int, level: float) -> np.ndarray:
    """Difference of each model to the first, with its interval: shape (n_models, 3)."""
    every = np.eye(len(resamples.sizes))
    return _with_intervals(resamples, sign * (every - every[0]), level=level)


def _with_intervals(resamples: Resamples, contrasts: np.ndarray, *, level: float) -> np.ndarray:
    measured = contrasts @ resamples.sizes + 0.0  # no negative zero for the first
    return np.stack([measured, *resamples.intervals(contrasts, level=level)], axis=1)


def _named(measured: dict[str, np.ndarray]) -> dict[str, float]:
    ends = ("", "_low", "_high")
    return {f"{name}{end}": float(v) for name, values in measured.items() for end, v in zip(ends, values, strict=True)}
