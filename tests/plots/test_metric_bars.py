import numpy as np
import pandas as pd
import pytest

from astrolab.errors import PredictionError
from astrolab.plots import plot_metric_bars
from astrolab.published import load_published


def _texts(figure):
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


def _bars(ax):
    return [patch.get_height() for container in ax.containers for patch in container if hasattr(patch, "get_height")]


def test_bars_are_the_means_over_seeds(scores):
    figure = plot_metric_bars(scores, metrics=["scatter"], surveys=["twin-galaxiesml"], arms=["lora", "zero_shot"])
    rows = scores.query("metric == 'scatter' and survey == 'twin-galaxiesml'")
    means = rows.groupby("arm")["value"].mean()
    assert sorted(_bars(figure.axes[0])) == pytest.approx(sorted([means["lora"], means["zero_shot"]]))


def test_says_what_is_simulated_what_the_bars_are_and_marks_one_best_in_each_group(scores):
    texts = _texts(plot_metric_bars(scores))
    assert any("simulated twin surveys" in text for text in texts)
    assert "spread over 2 seeds" in texts and "LSST requirement" in texts
    assert texts.count("★") >= 3 * 2
    assert not any("printed" in text for text in texts)


def test_printed_values_stand_at_the_bars_of_their_arm(scores):
    published = load_published("lora_vs_transfer", direction="forward")
    figure = plot_metric_bars(scores, metrics=["scatter"], published=published)
    marks = [line.get_ydata()[0] for line in figure.axes[0].lines if line.get_marker() in "D^v"]
    values = published.set_index(["arm", "survey", "metric"])["value"]
    expected = [
        values[arm, survey, "scatter"] for arm in ("zero_shot", "lora") for survey in ("transferz", "galaxiesml")
    ]
    assert sorted(marks) == pytest.approx(sorted(expected))
    assert any("measured on other data" in text for text in _texts(figure))


def test_a_bar_far_longer_than_the_others_is_cut_and_labelled():
    arms = {"zero_shot": 0.010, "lora": 0.012, "full": 0.015, "tl_published": -0.2}
    rows = [{"arm": arm, "survey": "galaxiesml", "metric": "bias", "value": value} for arm, value in arms.items()]
    scores = pd.DataFrame(rows)
    figure = plot_metric_bars(scores.assign(low=scores["value"] - 1e-3, high=scores["value"] + 1e-3), metrics=["bias"])
    assert figure.axes[0].get_ylim()[1] < 0.03
    assert any("−0.2" in text for text in _texts(figure))
    assert not any("simulated" in text for text in _texts(figure))


def test_two_scores_for_one_bar_are_refused(scores):
    both = pd.concat([scores.assign(direction="forward"), scores.assign(direction="reverse")])
    with pytest.raises(PredictionError, match="direction"):
        plot_metric_bars(both)


def test_scores_without_intervals_can_be_drawn(scores):
    assert plot_metric_bars(scores.assign(low=np.nan, high=np.nan).query("seed == 0"))


def test_surveys_that_the_paper_did_not_use_have_no_printed_values(scores):
    published = load_published("lora_vs_transfer", direction="forward")
    assert not any("printed" in text for text in _texts(plot_metric_bars(scores, published=published.iloc[:0])))
    own = scores.assign(survey=scores["survey"].str.replace("twin-", "my-"))
    assert not any("printed" in text for text in _texts(plot_metric_bars(own, published=published)))


def test_stars_stay_inside_the_axis_where_every_bar_is_zero_and_an_interval_is_long():
    names = [(arm, survey) for survey in ("a", "b") for arm in ("full", "lora")]
    scores = pd.DataFrame(names, columns=["arm", "survey"]).assign(metric="catastrophic_rate", value=0.0, low=0.0)
    ax = plot_metric_bars(scores.assign(high=[1e-4, 1e-4, 0.1, 0.1]), metrics=["catastrophic_rate"]).axes[0]
    stars = [text.xy[1] for text in ax.texts if text.get_text() == "★"]
    assert len(stars) == 4
    assert max(stars) <= ax.get_ylim()[1]


def test_error_bars_of_one_seed_are_not_called_a_spread(scores):
    words = "spread over seeds where there are several, else interval over galaxies"
    assert words in _texts(plot_metric_bars(scores.query("arm == 'lora' or seed == 0")))
