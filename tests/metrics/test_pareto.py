import numpy as np
import pandas as pd
import pytest

from astrolab.errors import ConfigError, PredictionError
from astrolab.metrics.pareto import front_steps, pareto_front


def test_on_a_quarter_circle_all_are_on_the_front_and_nothing_outside_is():
    angles = np.linspace(0, np.pi / 2, 9)
    circle = 1 - np.stack([np.cos(angles), np.sin(angles)], axis=1)
    outside = circle + 0.2
    table = pd.DataFrame(np.concatenate([circle, outside]), columns=["a", "b"], index=range(10, 28))
    front = pareto_front(table, columns=["a", "b"])
    assert front.tolist() == [True] * 9 + [False] * 9 and front.index.tolist() == list(range(10, 28))


def test_random_points_agree_with_the_definition_one_by_one():
    table = pd.DataFrame(np.random.default_rng(0).integers(0, 6, size=(60, 3)), columns=["a", "b", "c"])
    rows = table.to_numpy().tolist()
    expected = [
        not any(all(q <= p for q, p in zip(other, row, strict=True)) and other != row for other in rows) for row in rows
    ]
    assert pareto_front(table, columns=["a", "b", "c"]).tolist() == expected
    assert 0 < sum(expected) < 60


def test_one_column_has_its_smallest_value_only():
    table = pd.DataFrame({"a": [2.0, 1.0, 1.0]})
    assert pareto_front(table, columns=["a"]).tolist() == [False, True, True]


def test_what_has_no_number_is_refused():
    table = pd.DataFrame({"a": [1.0, np.nan]})
    with pytest.raises(PredictionError, match="without a number in a"):
        pareto_front(table, columns=["a"])
    with pytest.raises(PredictionError, match="no b"):
        pareto_front(table, columns=["b"])
    with pytest.raises(ConfigError, match="no column"):
        pareto_front(table, columns=[])


def test_no_point_of_the_front_lies_above_the_staircase():
    points = np.array([[0.0, 3.0], [1.0, 2.0], [4.0, 0.5]])
    steps = front_steps(points[[2, 0, 1]])
    assert (np.diff(steps[:, 0]) >= 0).all() and (np.diff(steps[:, 1]) <= 0).all()
    assert steps[::2].tolist() == points.tolist()
