import numpy as np
import pandas as pd
import pytest

from astrolab.errors import PredictionError
from astrolab.metrics import describe_spread, format_scores, is_best, summarise_seeds, with_intervals
from astrolab.metrics.summary import tabulate_scores


@pytest.fixture
def scores():
    values = {("lora", 0): 0.02, ("lora", 1): 0.04, ("full", 0): -0.01, ("full", 1): -0.01}
    rows = [
        {"arm": arm, "seed": seed, "survey": "s", "metric": "bias", "value": v} for (arm, seed), v in values.items()
    ]
    return pd.DataFrame(rows).assign(low=-1.0, high=1.0, n=100, simulated=True)


def test_seeds_become_a_mean_a_spread_and_a_count(scores):
    summary = summarise_seeds(scores).set_index("arm")
    assert summary.loc["lora", "mean"] == pytest.approx(0.03)
    assert summary.loc["lora", "std"] == pytest.approx(np.std([0.02, 0.04], ddof=1))
    assert summary["n_seeds"].tolist() == [2, 2] and summary["simulated"].all()
    assert np.isnan(summarise_seeds(scores.query("seed == 0"))["std"]).all()


def test_seeds_are_never_averaged_over_something_else(scores):
    with pytest.raises(PredictionError, match="one seed"):
        summarise_seeds(pd.concat([scores, scores]))
    with pytest.raises(PredictionError, match="seed"):
        summarise_seeds(scores.drop(columns="seed"))


def test_one_seed_keeps_its_bootstrap_interval(scores):
    one = with_intervals(scores.query("seed == 0"))
    assert one[["low", "high"]].to_numpy().tolist() == [[-1, 1], [-1, 1]]
    several = with_intervals(scores).set_index("arm")
    assert several.loc["lora", "high"] == pytest.approx(0.03 + np.std([0.02, 0.04], ddof=1))


def test_the_best_bias_is_the_one_nearest_zero(scores):
    summary = with_intervals(scores)
    assert summary[is_best(summary)]["arm"].tolist() == ["full"]
    assert not is_best(summary[summary["arm"] == "full"]).any(), "nobody is the best of one"


def test_the_terminal_table_says_what_it_shows(scores):
    lines = format_scores(scores).splitlines()
    assert lines[0] == "s (simulated)"
    assert lines[2].split() == ["lora", "0.0300", "±", "0.0141"]
    assert lines[3].split() == ["full", "-0.0100", "±", "0.0000", "*"]
    assert "2 seeds" in lines[-1]


def test_the_table_to_read_has_a_row_for_each_test_set_and_arm_with_a_star_on_the_best():
    rows = [("full", "a", 0.05), ("full", "b", 0.02), ("lora", "a", 0.03), ("lora", "b", 0.04)]
    scores = pd.DataFrame(rows, columns=["arm", "survey", "value"]).assign(metric="scatter", direction="forward")
    table = tabulate_scores(scores.assign(low=scores["value"] - 0.01, high=scores["value"] + 0.01))
    assert list(table.index) == [("a", "full"), ("a", "lora"), ("b", "full"), ("b", "lora")]
    assert [text.strip() for text in table["scatter"]] == [
        "0.0500 ± 0.0100",
        "0.0300 ± 0.0100 *",
        "0.0200 ± 0.0100 *",
        "0.0400 ± 0.0100",
    ]
    assert (table["n_seeds"] == 1).all()


@pytest.fixture
def curves():
    """Scores of two arms at two fractions: the better one changes."""
    rows = [("full", 0.1, 0.05), ("full", 1.0, 0.02), ("lora", 0.1, 0.03), ("lora", 1.0, 0.04)]
    scores = pd.DataFrame(rows, columns=["arm", "fraction", "value"]).assign(metric="scatter", survey="s")
    return scores.assign(low=scores["value"] - 0.01, high=scores["value"] + 0.01)


def test_arms_compete_within_a_fraction(curves):
    table = tabulate_scores(curves)
    assert list(table.index) == [("s", 0.1, "full"), ("s", 0.1, "lora"), ("s", 1.0, "full"), ("s", 1.0, "lora")]
    assert [text.endswith("*") for text in table["scatter"]] == [False, True, True, False]
    assert list(tabulate_scores(curves.query("fraction == 1")).index) == [("s", "full"), ("s", "lora")]


def test_the_terminal_has_a_block_for_each_fraction(curves):
    text = format_scores(curves)
    assert "s · fraction 0.1\n" in text and "s · fraction 1.0\n" in text


@pytest.mark.parametrize(
    ("n_seeds", "words"),
    [
        ([1, 1], "bootstrap interval"),
        ([3, 3], "spread over 3 seeds"),
        ([2, 3], "spread over 2 to 3 seeds"),
        ([3, 1], "spread over seeds where there are several, else bootstrap interval"),
    ],
)
def test_the_spread_is_named_after_all_rows_not_after_the_best_furnished(n_seeds, words):
    assert describe_spread(pd.Series(n_seeds)) == words


def test_the_terminal_says_which_arm_has_how_many_seeds_where_they_differ(scores):
    lines = format_scores(scores.query("arm == 'lora' or seed == 0")).splitlines()
    assert lines[1].split()[-1] == "n_seeds"
    assert [line.split()[-1] for line in lines[2:4]] == ["2", "1"]
    assert lines[-1].endswith("spread over seeds where there are several, else bootstrap interval")
    assert "n_seeds" not in format_scores(scores)
