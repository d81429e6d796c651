import numpy as np
import pandas as pd
import pytest

from astrolab.errors import PredictionError
from astrolab.metrics import compare_models
from astrolab.plots import plot_comparison
from astrolab.plots.style import FAINT, arm_looks


@pytest.fixture(scope="module")
def comparisons(predictions):
    return compare_models(predictions, metrics=["scatter", "bias"], n_bootstrap=50)


def _texts(figure):
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


def _marks(ax):
    return [line for line in ax.lines if line.get_marker() == "o"]


def test_every_pair_has_a_mark_and_an_interval_in_every_panel(comparisons):
    figure = plot_comparison(comparisons, metric="scatter")
    assert len(figure.axes) == 2
    scatter = comparisons[comparisons["metric"] == "scatter"]
    for ax, survey in zip(figure.axes, ("twin-transferz", "twin-galaxiesml"), strict=True):
        rows = scatter[scatter["survey"] == survey]
        assert [line.get_xdata()[0] for line in _marks(ax)] == pytest.approx(rows["difference"].tolist())
        whiskers = [line.get_xdata() for line in ax.lines if len(line.get_xdata()) == 2 and line.get_lw() > 1]
        np.testing.assert_allclose(whiskers, rows[["low", "high"]])
        low, high = ax.get_xlim()
        assert low < rows["low"].min() and rows["high"].max() < high and low == -high


def test_the_better_one_gives_the_colour_and_the_undecided_is_hollow(comparisons):
    rows = comparisons.query("metric == 'scatter' and survey == 'twin-galaxiesml'").copy()
    rows.iloc[0, rows.columns.get_loc("better")] = "undecided"
    (ax,) = plot_comparison(rows, metric="scatter").axes
    looks = arm_looks(["zero_shot", "lora", "mine"])
    colours = [line.get_markeredgecolor() for line in _marks(ax)]
    assert colours[0] == FAINT and _marks(ax)[0].get_markerfacecolor() == "white"
    assert colours[1:] == [looks[name].colour for name in rows["better"].iloc[1:]]


def test_says_what_the_intervals_are_and_that_galaxies_are_simulated(comparisons):
    texts = _texts(plot_comparison(comparisons, metric="bias"))
    assert "95% interval, for all 3 together; mean over 2 seeds" in texts
    assert any("simulated twin surveys" in text for text in texts)
    assert any("|bias|" in text for text in texts)
    alone = comparisons.assign(correction="none", n_seeds=1, simulated=False)
    texts = _texts(plot_comparison(alone, metric="bias", title="Mine"))
    assert "95% interval" in texts and "Mine" in texts


def test_what_cannot_be_drawn_is_refused(comparisons):
    with pytest.raises(PredictionError, match="scatter, bias"):
        plot_comparison(comparisons, metric="loss")
    with pytest.raises(PredictionError, match="several for the same"):
        plot_comparison(pd.concat([comparisons, comparisons]))


def test_a_difference_far_beyond_the_others_is_written_at_the_edge(comparisons):
    rows = comparisons.query("metric == 'scatter' and survey == 'twin-galaxiesml'").copy()
    rows.loc[rows.index[1], ["low", "difference", "high"]] = [-9.1, -9.0, -8.9]
    (ax,) = plot_comparison(rows).axes
    assert ax.get_xlim()[1] < 1 and len(_marks(ax)) == 2
    assert "◂ −9" in [text.get_text() for text in ax.texts]


def test_models_that_do_not_differ_can_be_drawn(comparisons):
    same = comparisons.assign(difference=0.0, low=0.0, high=0.0, better="undecided")
    assert np.isfinite(plot_comparison(same).axes[0].get_xlim()).all()
