"""astrolab: move neural networks between astronomical surveys, and compare the ways of doing it.

The public names, in the order of the flow; each arrow of it is one function::

    load_survey → split → fit_scaling → make_model → adapt → fit → predict → score → plot_*
    └── prepare_move ──┘                             └── Run.fit, Run.predict ──┘

Names are loaded when first used (PEP 562), so that ``import astrolab`` stays light: no torch, no matplotlib.
"""

from __future__ import annotations

import os
from importlib import import_module
from importlib.metadata import version as _version
from typing import Any

# Read when torch is loaded: on a busy machine, threads that wait by spinning steal the time of those they wait for.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_HOMES = {
    "astrolab.tasks": ("InputSpec", "Quantity", "Task", "find_quantity", "make_task"),
    "astrolab.datasets.survey": ("Survey", "describe_surveys"),
    "astrolab.datasets.loading": ("load_survey",),
    "astrolab.datasets.manifest": ("data_dir", "list_manifests", "load_manifest"),
    "astrolab.datasets.splits": ("Splits", "split", "subsample", "take_fraction"),
    "astrolab.datasets.overlap": (
        "audit_leaks",
        "combine",
        "combine_splits",
        "concat",
    ),
    "astrolab.datasets.scaling": ("Scaling", "fit_scaling"),
    "astrolab.datasets.imaging": ("measure_imaging", "resample"),
    "astrolab.datasets.spectra": ("Bridge", "bridge_spectra", "common_resolution"),
    "astrolab.datasets.checking": ("import_survey", "verify_survey"),
    "astrolab.datasets.fetching": ("fetch",),
    "astrolab.models.network": ("Network",),
    "astrolab.models.registry": ("choose_model", "make_model", "register_model"),
    "astrolab.models.adapt": ("adapt", "merge"),
    "astrolab.models.arms": (
        "ARMS",
        "adapter_arms",
        "choose_arms",
        "count_trainable",
        "describe_arms",
        "fraction_grid",
        "layer_arms",
        "trial_rates",
    ),
    "astrolab.models.paths": ("interpolate",),
    "astrolab.models.saving": ("load_model", "save_model"),
    "astrolab.trainers.config": ("TrainConfig",),
    "astrolab.trainers.loop": ("fit",),
    "astrolab.trainers.predicting": ("embed", "fit_reference", "predict", "predict_path"),
    "astrolab.predictions": (
        "concat_predictions",
        "load_predictions",
        "one_label",
        "predictions_table",
        "save_predictions",
        "task_of",
    ),
    "astrolab.metrics.clouds": ("measure_mmd",),
    "astrolab.metrics.comparing": ("compare_models", "estimate_plateau", "measure_forgetting"),
    "astrolab.metrics.resampling": ("Resampling",),
    "astrolab.metrics.scoring": (
        "format_scores",
        "score",
        "score_slices",
        "tabulate_scores",
    ),
    "astrolab.landscapes": ("loss_landscape", "plane_through", "random_plane", "sharpness"),
    "astrolab.plots": (
        "plot_colour_redshift",
        "plot_adapter_path",
        "plot_comparison",
        "plot_cost",
        "plot_data_fractions",
        "plot_depth",
        "plot_forgetting",
        "plot_galaxies",
        "plot_label_plane",
        "plot_landscape",
        "plot_magnitude_distributions",
        "plot_metrics",
        "plot_pareto",
        "plot_prediction_density",
        "plot_score_by_slice",
        "plot_spectra",
        "plot_training_curves",
        "plot_truth_distributions",
        "publication_style",
    ),
    "astrolab.widgets": ("explore_adapter", "explore_landscape", "explore_predictions", "explore_twin"),
    "astrolab.parameters": ("read_parameters",),
    "astrolab.runs.run": ("Run", "open_run"),
    "astrolab.runs.moving": ("Move", "prepare_move", "reload_model", "reload_move"),
    "astrolab.runs.finding": ("find_run",),
    "astrolab.runs.ledger": ("Ledger", "compare_arms", "describe_pairs", "load_ledger", "summarise_costs"),
    "astrolab.studies.beside": (
        "compare_runs_with_paper",
        "compare_with_paper",
        "describe_counterpart",
        "describe_counterparts",
        "load_counterpart",
        "load_published",
    ),
    "astrolab.studies.claims": ("CLAIMS", "check_claims"),
    "astrolab.studies.running": ("run_study",),
    "astrolab.gallery": ("write_gallery",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__version__ = _version("astrolab")
__all__ = sorted([*_HOME, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'astrolab' has no attribute {name!r}; it has: {', '.join(__all__)}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
