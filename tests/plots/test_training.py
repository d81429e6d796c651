import numpy as np
import pandas as pd
import pytest
from drawn import assert_nothing_is_cut, legend_of
from matplotlib.collections import PathCollection
from matplotlib.text import Text

from astrolab.errors import PredictionError
from astrolab.plots import plot_cost, plot_pareto, plot_training_curves

COSTS = pd.DataFrame({"arm": ["zero_shot", "lora", "lora", "mine"], "n_trainable": [0, 100, 300, 10_000]})
COSTS["time_s"] = [0.0, 3.0, 5.0, 70.0]


@pytest.fixture
def history():
    tables = []
    for arm in ("lora", "full", "mine", "residual", "scratch"):
        for seed in (0, 1):
            epoch = np.arange(1, 11)
            loss = (epoch - 7.0) ** 2 / 100 + 0.1
            columns = {
                "arm": arm,
                "seed": seed,
                "epoch": epoch,
                "step": 25 * epoch,
                "train_loss": loss - 0.05,
                "validation_loss": loss,
            }
            rates = {"is_kept": epoch == 8, "learning_rate": np.where(epoch < 6, 1e-3, 1e-4)}
            tables.append(pd.DataFrame(columns | rates).assign(cut_short=arm == "full" and seed == 1))
    return pd.concat(tables, ignore_index=True)


def test_marks_the_weights_kept_and_the_steps_of_the_rate(history):
    ax = plot_training_curves(history).axes[0]
    stars = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "*"]
    steps = [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == ":"]
    assert stars == [200, 200] and steps == [150]
    assert ax.texts[0].get_text() == "rate $10^{-3}$ → $10^{-4}$"


def test_one_panel_for_each_arm_and_no_empty_one(history):
    figure = plot_training_curves(history)
    assert len(figure.axes) == 5
    assert [ax.get_xlabel() for ax in figure.axes] == ["", "", "step", "step", "step"]
    alone = plot_training_curves(history, arms=["mine"])
    assert len(alone.axes) == 1
    for drawn in (figure, alone):
        assert_nothing_is_cut(drawn)


def test_an_arm_with_a_fit_cut_short_carries_a_dagger_that_the_legend_explains(history):
    figure = plot_training_curves(history)
    assert [ax.get_title(loc="center") for ax in figure.axes if "†" in ax.get_title(loc="center")] == [
        "full fine-tuning †"
    ]
    assert "cut short: its loss still fell" in legend_of(figure)
    assert "cut short: its loss still fell" not in legend_of(plot_training_curves(history, arms=["lora"]))


@pytest.mark.parametrize("n_steps", [2, 8, 1500, 100_000])
def test_few_steps_are_seen_and_many_have_short_numbers(history, n_steps):
    run = history.query("arm == 'lora' and seed == 0").tail(2).assign(step=[n_steps // 2, n_steps], is_kept=False)
    (ax,) = plot_training_curves(run).axes
    train, validation = (line for line in ax.lines if len(line.get_xdata()) == 2)
    assert train.get_marker() == validation.get_marker() == "."
    assert ax.get_xlim()[0] == 0 and ax.get_xlim()[1] > n_steps
    ticks = [(place, text.get_text()) for place, text in zip(ax.get_xticks(), ax.get_xticklabels(), strict=True)]
    seen = [words for place, words in ticks if place <= ax.get_xlim()[1]]
    assert 3 <= len(seen) <= 5 and max(map(len, seen)) <= 4
    assert seen[-1] == {2: "2", 8: "8", 1500: "1.5k", 100_000: "100k"}[n_steps]


def test_losses_far_apart_get_a_logarithmic_axis(history):
    assert plot_training_curves(history).axes[0].get_yscale() == "log"
    assert plot_training_curves(history.assign(train_loss=0.1, validation_loss=0.2)).axes[0].get_yscale() == "linear"
    negative = plot_training_curves(history.assign(train_loss=history["train_loss"] - 1))
    assert negative.axes[0].get_yscale() == "linear"


def test_the_history_of_one_run_is_enough(history):
    run = history.query("arm == 'lora' and seed == 0").drop(columns=["arm", "seed"])
    assert plot_training_curves(run).axes[0].get_title(loc="center") == "this run"


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


def test_every_arm_stands_at_its_cost_and_score(scores):
    short = scores.assign(cut_short=scores["arm"] == "lora")
    figure = plot_cost(short, costs=COSTS, surveys=["twin-transferz"])
    rows = scores.query("metric == 'scatter' and survey == 'twin-transferz'").groupby("arm")["value"].mean()
    assert [ax.get_xlabel() for ax in figure.axes] == ["trainable parameters", "training time (s)"]
    for ax, paid in zip(figure.axes, ((0, 200, 10_000), (0, 4, 70)), strict=True):
        points = {tuple(line.get_xydata()[0]) for line in ax.lines if len(line.get_xdata()) == 1}
        for point in zip(paid, rows[["zero_shot", "lora", "mine"]], strict=True):
            assert any(found == pytest.approx(point) for found in points)
    notes = {"cut short: its loss still fell", "LSST requirement"}
    assert set(legend_of(figure)) == {"zero-shot", "LoRA †", "mine", *notes}
    assert_nothing_is_cut(figure)


def test_an_arm_that_costs_nothing_is_still_seen(scores):
    ax = plot_cost(scores, costs=COSTS).axes[0]
    assert ax.get_xlim()[0] < 0 and ax.get_xscale() == "symlog"
    assert ax.get_xlabel() == "trainable parameters"


def test_arms_without_a_cost_are_named(scores):
    with pytest.raises(PredictionError, match="zero_shot, mine"):
        plot_cost(scores, costs=COSTS.query("arm == 'lora'"))
    with pytest.raises(PredictionError, match="time_s"):
        plot_cost(scores, costs=COSTS.drop(columns="time_s"))


ROWS = [
    ("zero_shot", "base", "base", 0.0, 0.10, 0.0, False),
    ("a", "lora", "all r2", 0.01, 0.06, 4.0, False),
    ("b", "lora", "block1 r9", 0.02, 0.07, 8.0, False),
    ("c", "unfrozen layers", "block4", 0.03, 0.03, 16.0, True),
]
COLUMNS = ["arm", "family", "variant", "forgetting", "on_finetune", "time_s", "not_at_the_budget"]


@pytest.fixture
def table():
    table = pd.DataFrame(ROWS, columns=COLUMNS).assign(label="z", metric="scatter", simulated=True)
    for name in ("on_finetune", "forgetting"):
        table[f"{name}_low"], table[f"{name}_high"] = table[name] - 0.002, table[name] + 0.004
    return table


def scatters(ax):
    return [collection for collection in ax.collections if isinstance(collection, PathCollection)]


def test_every_model_stands_at_its_two_scores_with_its_cost_as_area(table):
    ax = plot_pareto(table, pretrain="twin-transferz", finetune="twin-galaxiesml")
    marks = {tuple(mark.get_offsets()[0]): mark.get_sizes()[0] for mark in scatters(ax)}
    assert marks.keys() == {(0.01, 0.06), (0.02, 0.07), (0.03, 0.03)}
    assert marks[0.02, 0.07] == pytest.approx(marks[0.03, 0.03] / 2) == pytest.approx(2 * marks[0.01, 0.06])
    assert "TransferZ twin" in ax.get_xlabel() and "GalaxiesML twin" in ax.get_ylabel()
    assert "simulated" in ax.get_title(loc="left")


def test_the_staircase_goes_through_those_that_no_other_beats(table):
    ax = plot_pareto(table)
    (steps,) = [line for line in ax.lines if line.get_drawstyle() == "steps-post"]
    np.testing.assert_array_equal(steps.get_xydata(), [[0, 0.1], [0.01, 0.06], [0.03, 0.03]])


def test_error_bars_are_those_of_the_score_and_of_the_forgetting(table):
    bars = [line.get_xydata() for line in plot_pareto(table).lines if len(line.get_xydata()) == 2]
    for expected in ([[0.008, 0.06], [0.014, 0.06]], [[0.01, 0.058], [0.01, 0.064]]):
        assert any(np.allclose(bar, expected) for bar in bars)


def test_who_forgets_far_more_is_on_the_axis_and_does_not_squeeze_the_others(table):
    ax = plot_pareto(table.assign(forgetting=[0.0, 0.01, 0.02, 0.9]))
    assert ax.get_xscale() == "symlog" and ax.get_xlim()[1] > 0.9
    marks = [mark.get_offsets()[0] for mark in scatters(ax)]
    across = ax.transAxes.inverted().transform(ax.transData.transform(sorted(map(tuple, marks))))[:, 0]
    assert across[1] - across[0] > 0.1, "0.01 and 0.02 are told apart beside 0.9"


def test_scores_far_apart_get_a_logarithmic_axis(table):
    assert plot_pareto(table).get_yscale() == "linear"
    assert plot_pareto(table.assign(on_finetune=[0.7, 0.06, 0.07, 0.03])).get_yscale() == "log"


def test_labels_do_not_cover_one_another_even_where_marks_are_near(table):
    near = table.assign(forgetting=[0.0, 0.0100, 0.0101, 0.0102], on_finetune=[0.1, 0.0600, 0.0601, 0.0602])
    ax = plot_pareto(near)
    boxes = [Text.get_window_extent(text) for text in ax.texts]  # without the line to the mark
    assert [text.get_text() for text in ax.texts] == ["all r2", "block1 r9", "block4"]
    assert not any(boxes[i].overlaps(boxes[j]) for i in range(3) for j in range(i))


def test_labels_stand_beside_error_bars(table):
    ax = plot_pareto(table)
    labels = [Text.get_window_extent(text) for text in ax.texts]
    bars = [line.get_window_extent() for line in ax.lines if line.get_alpha() == 0.45]
    assert len(bars) == 6
    assert not any(label.overlaps(bar.padded(1)) for label in labels for bar in bars)


def test_families_and_hollow_marks_are_explained(table):
    ax = plot_pareto(table, hollow="not_at_the_budget")
    hollow = [tuple(mark.get_offsets()[0]) for mark in scatters(ax) if mark.get_facecolor()[0, :3].min() == 1]
    assert hollow == [(0.03, 0.03)]
    words = [text.get_text() for text in ax.figure.legends[0].get_texts()]
    assert {"LoRA", "unfrozen layers", "not at the budget", "base model"} <= set(words)


def test_what_is_missing_is_named(table):
    with pytest.raises(PredictionError, match="n_seen"):
        plot_pareto(table, cost="n_seen")
