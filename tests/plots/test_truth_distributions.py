from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from astrolab.errors import PredictionError
from astrolab.plots import plot_truth_distributions


def test_a_galaxy_counts_once_however_many_arms_have_seen_it(predictions):
    ax = plot_truth_distributions(predictions)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert all("150 galaxies" in label for label in labels) and len(labels) == 2
    assert "simulated twin surveys" in ax.get_title(loc="left")


def test_draws_surveys_with_their_medians():
    z = np.linspace(0.1, 1.9, 101)
    survey = SimpleNamespace(
        name="galaxiesml", labels=pd.DataFrame({"z": z}), provenance=SimpleNamespace(simulated=False)
    )
    ax = plot_truth_distributions([survey])
    assert ax.lines[0].get_xdata()[0] == pytest.approx(1.0)
    assert "median 1.00" in ax.get_legend().get_texts()[0].get_text()
    assert "simulated" not in ax.get_title(loc="left")
    # A filled step goes round the histogram: bin heights twice, and their sum is all galaxies but the longest tail.
    heights = ax.patches[-1].get_xy()[:, 1]
    assert heights.max() < 0.05


def test_draws_into_given_axes_and_refuses_nothing(predictions):
    from matplotlib.pyplot import subplots

    ax = subplots()[1]
    assert plot_truth_distributions(predictions, ax=ax) is ax
    with pytest.raises(PredictionError, match="none"):
        plot_truth_distributions([])
