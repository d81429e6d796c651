import numpy as np
import pytest

from astrolab.errors import PredictionError
from astrolab.metrics import score_slices
from astrolab.plots import plot_score_by_slice


@pytest.fixture(scope="module")
def slices(predictions):
    edges = [0, 0.7, 1.4, 2]
    return score_slices(predictions, column="truth", edges=edges, metrics=["scatter", "bias"], n_bootstrap=10)


def test_lines_are_the_means_over_seeds_at_the_medians_of_the_slices(slices):
    figure = plot_score_by_slice(slices, arms=["lora"])
    line = next(line for line in figure.axes[0].lines if line.get_label() == "LoRA")
    rows = slices.query("arm == 'lora' and survey == 'twin-transferz' and metric == 'scatter'")
    expected = rows.groupby("slice_low")[["slice_median", "value"]].mean()
    np.testing.assert_allclose(line.get_xydata(), expected.to_numpy())


def test_says_what_was_sliced_and_names_every_arm(slices):
    figure = plot_score_by_slice(slices, metric="bias")
    assert "bias along true redshift · simulated twin surveys" in figure.get_suptitle()
    assert figure.axes[0].get_xlabel() == "true redshift"
    named = [text.get_text().strip() for text in figure.legends[0].get_texts()]
    assert [name for name in named if name] == ["zero-shot", "LoRA", "mine"]


def test_scores_without_slices_are_refused(scores):
    with pytest.raises(PredictionError, match="score_slices"):
        plot_score_by_slice(scores)
