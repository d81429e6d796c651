import numpy as np
import pytest

from astrolab.errors import PredictionError
from astrolab.plots import plot_forgetting


@pytest.mark.parametrize("metric", ["scatter", "bias", "catastrophic_rate"])
def test_the_best_of_each_column_is_bold_and_the_palest(scores, metric):
    ax = plot_forgetting(scores, metric=metric)
    bold = {text.xy for text in ax.texts if text.get_weight() == "bold"}
    colours = np.asarray(ax.images[0].get_array())
    assert {column for column, _ in bold} == {0, 1}
    for column, row in bold:
        assert colours[row, column] == colours[:, column].min()


def test_cells_hold_the_mean_over_seeds(scores):
    ax = plot_forgetting(scores, arms=["lora"], surveys=["twin-transferz"])
    value = scores.query("arm == 'lora' and survey == 'twin-transferz' and metric == 'scatter'")["value"].mean()
    assert ax.texts[0].get_text() == f"{value:.4f}"
    assert "simulated twin surveys" in ax.get_title(loc="left")


def test_a_metric_that_was_not_scored_is_refused(scores):
    with pytest.raises(PredictionError, match="r2"):
        plot_forgetting(scores, metric="r2")


def test_metrics_of_which_more_is_better_are_drawn_too(predictions):
    from astrolab.metrics import score

    ax = plot_forgetting(score(predictions, metrics=["r2"], n_bootstrap=0), metric="r2")
    bold = next(text for text in ax.texts if text.get_weight() == "bold")
    assert float(bold.get_text()) == max(float(text.get_text()) for text in ax.texts[::2] if text.xy[0] == bold.xy[0])
