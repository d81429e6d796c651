import numpy as np
import pandas as pd
import pytest

from astrolab.errors import PredictionError
from astrolab.plots import plot_training_curves


@pytest.fixture
def history():
    tables = []
    for arm in ("lora", "full", "mine", "residual", "scratch"):
        for seed in (0, 1):
            epoch = np.arange(1, 11)
            loss = (epoch - 7.0) ** 2 / 100 + 0.1
            columns = {"arm": arm, "seed": seed, "epoch": epoch, "train_loss": loss - 0.05, "validation_loss": loss}
            rates = {"is_kept": epoch == 8, "learning_rate": np.where(epoch < 6, 1e-3, 1e-4)}
            tables.append(pd.DataFrame(columns | rates))
    return pd.concat(tables, ignore_index=True)


def test_marks_the_weights_kept_and_the_steps_of_the_rate(history):
    ax = plot_training_curves(history).axes[0]
    stars = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "*"]
    steps = [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == ":"]
    assert stars == [8, 8] and steps == [6]
    assert ax.texts[0].get_text() == "rate $10^{-3}$ → $10^{-4}$"


def test_one_panel_for_each_arm_and_no_empty_one(history):
    assert len(plot_training_curves(history).axes) == 5
    assert len(plot_training_curves(history, arms=["mine"]).axes) == 1


def test_the_history_of_one_run_is_enough(history):
    run = history.query("arm == 'lora' and seed == 0").drop(columns=["arm", "seed"])
    assert plot_training_curves(run).axes[0].get_title(loc="left") == "this run"


def test_an_arm_that_did_not_train_is_refused_by_name(history):
    with pytest.raises(PredictionError, match="zero_shot"):
        plot_training_curves(history, arms=["zero_shot"])


def test_no_curve_runs_behind_the_learning_rate(history):
    figure = plot_training_curves(history)
    figure.canvas.draw()
    for ax in figure.axes:
        label = ax.texts[0].get_window_extent()
        highest = max(line.get_ydata().max() for line in ax.lines if line.get_linestyle() == "-")
        assert ax.transData.transform((0, highest))[1] < label.y0
