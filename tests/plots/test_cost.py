import pandas as pd
import pytest

from astrolab.errors import PredictionError
from astrolab.plots import plot_cost

COSTS = pd.DataFrame({"arm": ["zero_shot", "lora", "lora", "mine"], "n_trainable": [0, 100, 300, 10_000]})


def test_every_arm_stands_at_its_cost_and_score(scores):
    figure = plot_cost(scores, costs=COSTS, surveys=["twin-transferz"])
    points = {tuple(line.get_xydata()[0]) for line in figure.axes[0].lines if len(line.get_xdata()) == 1}
    rows = scores.query("metric == 'scatter' and survey == 'twin-transferz'").groupby("arm")["value"].mean()
    expected = {(0, rows["zero_shot"]), (200, rows["lora"]), (10_000, rows["mine"])}
    for point in expected:
        assert any(found == pytest.approx(point) for found in points)


def test_an_arm_that_costs_nothing_is_still_seen(scores):
    ax = plot_cost(scores, costs=COSTS).axes[0]
    assert ax.get_xlim()[0] < 0 and ax.get_xscale() == "symlog"
    assert ax.get_xlabel() == "trainable parameters"


def test_arms_without_a_cost_are_named(scores):
    with pytest.raises(PredictionError, match="mine, zero_shot"):
        plot_cost(scores, costs=COSTS.query("arm == 'lora'"))
    with pytest.raises(PredictionError, match="time_s"):
        plot_cost(scores, costs=COSTS, cost="time_s")
