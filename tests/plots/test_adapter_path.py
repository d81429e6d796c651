import numpy as np
import pandas as pd
import pytest

from astrolab.plots.adapter_path import plot_adapter_path, scale_spans


@pytest.fixture
def scores():
    rows = [
        {"scale": scale, "survey": survey, "metric": metric, "value": value + shift * scale}
        for survey, shift in (("twin-transferz", 0.02), ("twin-galaxiesml", -0.03))
        for metric, value in (("bias", 0.01), ("scatter", 0.06))
        for scale in (1.0, 0.0, 0.5)
    ]
    return pd.DataFrame(rows)


def test_each_metric_has_a_panel_and_each_survey_a_line_along_the_scale(scores):
    figure = plot_adapter_path(scores)
    assert [ax.get_ylabel() for ax in figure.axes] == ["bias", "scatter"]
    curve = figure.axes[1].lines[1]
    np.testing.assert_allclose(curve.get_xdata(), [0.0, 0.5, 1.0])
    np.testing.assert_allclose(curve.get_ydata(), [0.06, 0.045, 0.03])
    assert curve.get_label() == "GalaxiesML twin"


def test_galaxies_at_a_scale_stand_below_and_the_scale_is_marked(scores):
    truth = np.linspace(0.2, 1.8, 30)
    clouds = {name: (truth, truth + 0.1) for name in ("twin-transferz", "twin-galaxiesml")}
    figure = plot_adapter_path(scores, scale=0.25, clouds=clouds, simulated=True)
    assert len(figure.axes) == 4
    assert 0.25 in [line.get_xdata()[0] for line in figure.axes[0].lines]
    points = figure.axes[2].collections[0].get_offsets()
    np.testing.assert_allclose(points[:10, 1], truth[:10] + 0.1)
    assert "scale 0.25" in figure.get_suptitle() and "simulated" in figure.get_suptitle()


def test_spans_find_the_scales_in_the_picture(scores):
    figure = plot_adapter_path(scores)
    for ax, (left, right, top, bottom) in zip(figure.axes, scale_spans(figure, low=0.0, high=1.0), strict=True):
        to_data = ax.transData.inverted()
        for fraction, scale in ((left, 0.0), (right, 1.0)):
            pixel = figure.transFigure.transform((fraction, 1.0 - bottom))
            assert to_data.transform(pixel)[0] == pytest.approx(scale, abs=1e-6)
        assert 0 < top < bottom < 1


def test_bands_are_the_spread_over_seeds_and_the_scores_say_what_is_simulated(scores):
    seeds = [scores.assign(seed=seed, value=scores["value"] + 0.002 * seed, simulated=True) for seed in (0, 1)]
    figure = plot_adapter_path(pd.concat(seeds).assign(low=0.0, high=1.0, n=50))
    ax = figure.axes[1]
    np.testing.assert_allclose(ax.lines[1].get_ydata(), [0.061, 0.046, 0.031])
    edges = ax.collections[1].get_paths()[0].vertices[:, 1]
    assert edges.max() == pytest.approx(0.061 + np.std([0, 0.002], ddof=1))
    assert "simulated" in figure.get_suptitle()
