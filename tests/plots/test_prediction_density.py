import io

import numpy as np
import pytest

from astrolab.errors import PredictionError
from astrolab.metrics import score
from astrolab.plots import plot_prediction_density


def test_one_panel_for_each_arm_and_survey_holds_the_galaxies_of_one_seed(predictions):
    figure = plot_prediction_density(predictions, z_max=2.0)
    panels = [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]
    assert len(panels) == 3 * 2
    assert [ax.collections[0].get_array().sum() for ax in panels] == [150] * 6


def test_numbers_in_a_panel_are_its_scores(predictions):
    chosen = {"arms": ["lora"], "surveys": ["twin-galaxiesml"], "seed": 1}
    figure = plot_prediction_density(predictions, metrics=["scatter"], **chosen)
    rows = predictions.query("arm == 'lora' and survey == 'twin-galaxiesml' and seed == 1")
    value = score(rows, metrics=["scatter"], n_bootstrap=0)["value"].item()
    assert figure.axes[0].texts[0].get_text() == f"scatter {value:.3f}"


def test_lines_mark_equality_and_the_outlier_cut(predictions):
    equal, below, above = plot_prediction_density(predictions, z_max=2.0).axes[0].lines
    np.testing.assert_allclose(equal.get_ydata(), equal.get_xdata())
    z = above.get_xdata()
    np.testing.assert_allclose(above.get_ydata(), z + 0.15 * (1 + z))
    np.testing.assert_allclose(below.get_ydata(), z - 0.15 * (1 + z))


def test_dense_layers_do_not_swell_a_pdf(predictions):
    file = io.BytesIO()
    plot_prediction_density(predictions, arms=["lora"]).savefig(file, format="pdf", dpi=100)
    assert len(file.getvalue()) < 120_000


def test_an_unknown_seed_is_refused(predictions):
    with pytest.raises(PredictionError, match="seed 7"):
        plot_prediction_density(predictions, seed=7)
