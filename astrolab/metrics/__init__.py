"""Predictions table in, scores out. Pure numpy; every metric carries its formula and where it comes from."""

from astrolab.metrics import photoz, regression
from astrolab.metrics.comparing import compare_models, paired_difference
from astrolab.metrics.forgetting import measure_forgetting
from astrolab.metrics.grouping import DEFAULT_METRICS, Z_RANGE
from astrolab.metrics.metric import Metric, find_metric, list_metrics, metrics_page, register
from astrolab.metrics.pareto import front_steps, pareto_front
from astrolab.metrics.plateau import estimate_plateau
from astrolab.metrics.ratios import compare_ratio
from astrolab.metrics.requirements import REQUIREMENTS, Requirement
from astrolab.metrics.scoring import score, score_slices
from astrolab.metrics.summary import describe_spread, format_scores, is_best, summarise_seeds, with_intervals

__all__ = [
    "DEFAULT_METRICS",
    "REQUIREMENTS",
    "Z_RANGE",
    "Metric",
    "Requirement",
    "compare_models",
    "compare_ratio",
    "describe_spread",
    "estimate_plateau",
    "find_metric",
    "format_scores",
    "front_steps",
    "is_best",
    "list_metrics",
    "measure_forgetting",
    "metrics_page",
    "paired_difference",
    "pareto_front",
    "photoz",
    "register",
    "regression",
    "score",
    "score_slices",
    "summarise_seeds",
    "with_intervals",
]
