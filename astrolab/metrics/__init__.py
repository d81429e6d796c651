"""Predictions table in, scores out. Pure numpy; every metric carries its formula and where it comes from."""

from astrolab.metrics import photoz, regression  # noqa: F401  (they register their metrics)
from astrolab.metrics.comparing import (
    Ratio,
    compare_models,
    estimate_plateau,
    iterate_panels,
    measure_forgetting,
    pareto_front,
    ratio_intervals,
)
from astrolab.metrics.metric import Metric, Sample, find_metric, list_metrics, metrics_page, register
from astrolab.metrics.photoz import REQUIREMENTS, Requirement, find_requirement
from astrolab.metrics.resampling import Panel, Resampling, resample_models
from astrolab.metrics.scoring import (
    describe_spread,
    format_scores,
    is_best,
    score,
    score_slices,
    summarise_seeds,
    tabulate_scores,
)

__all__ = [
    "REQUIREMENTS",
    "Metric",
    "Panel",
    "Ratio",
    "Requirement",
    "Resampling",
    "Sample",
    "compare_models",
    "describe_spread",
    "estimate_plateau",
    "find_metric",
    "find_requirement",
    "format_scores",
    "is_best",
    "iterate_panels",
    "list_metrics",
    "measure_forgetting",
    "metrics_page",
    "pareto_front",
    "ratio_intervals",
    "register",
    "resample_models",
    "score",
    "score_slices",
    "summarise_seeds",
    "tabulate_scores",
]
