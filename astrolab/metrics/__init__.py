"""Predictions table in, scores out. Pure numpy; every metric carries its formula and where it comes from."""

# ruff: noqa: F401  (all names here are the face of the room)
from astrolab.metrics import photoz, regression  # they register their metrics
from astrolab.metrics.clouds import measure_mmd
from astrolab.metrics.comparing import (
    Ratio,
    compare_models,
    describe_comparison,
    estimate_plateau,
    iterate_panels,
    measure_forgetting,
    pareto_front,
    ratio_intervals,
)
from astrolab.metrics.metric import Metric, Sample, find_metric, list_metrics, register
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
