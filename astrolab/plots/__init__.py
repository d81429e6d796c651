"""Tables in, figures out: data first, all else by keyword, Axes or a Figure back.

A table that lacks what is to be drawn, or holds several values for one place, is refused with a `PredictionError`.
"""
# ruff: noqa: F401

from astrolab.plots.explorers import plot_adapter_path
from astrolab.plots.landscapes import plot_landscape
from astrolab.plots.predictions import plot_label_plane, plot_prediction_density
from astrolab.plots.scores import (
    plot_comparison,
    plot_data_fractions,
    plot_forgetting,
    plot_metrics,
    plot_score_by_slice,
)
from astrolab.plots.style import publication_style
from astrolab.plots.surveys import (
    plot_colour_redshift,
    plot_depth,
    plot_galaxies,
    plot_magnitude_distributions,
    plot_spectra,
    plot_truth_distributions,
)
from astrolab.plots.training import plot_cost, plot_pareto, plot_training_curves
