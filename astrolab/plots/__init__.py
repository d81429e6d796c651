"""Tables in, figures out: data first, everything else by keyword, Axes or a Figure back."""

from astrolab.plots.adapter_path import plot_adapter_path
from astrolab.plots.colour_redshift import plot_colour_redshift
from astrolab.plots.comparison import plot_comparison
from astrolab.plots.cost import plot_cost
from astrolab.plots.cutouts import plot_cutouts
from astrolab.plots.data_fractions import plot_data_fractions
from astrolab.plots.depth import plot_depth
from astrolab.plots.forgetting import plot_forgetting
from astrolab.plots.galaxies import plot_galaxies
from astrolab.plots.magnitudes import plot_magnitude_distributions
from astrolab.plots.metric_bars import plot_metric_bars
from astrolab.plots.pareto import plot_pareto
from astrolab.plots.prediction_density import plot_prediction_density
from astrolab.plots.score_slices import plot_score_by_slice
from astrolab.plots.style import publication_style
from astrolab.plots.training_curves import plot_training_curves
from astrolab.plots.truth_distributions import plot_truth_distributions

__all__ = [
    "plot_adapter_path",
    "plot_colour_redshift",
    "plot_comparison",
    "plot_cost",
    "plot_cutouts",
    "plot_data_fractions",
    "plot_depth",
    "plot_forgetting",
    "plot_galaxies",
    "plot_magnitude_distributions",
    "plot_metric_bars",
    "plot_pareto",
    "plot_prediction_density",
    "plot_score_by_slice",
    "plot_training_curves",
    "plot_truth_distributions",
    "publication_style",
]
