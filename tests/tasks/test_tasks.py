"""Tasks are data: they survive JSON, and a quantity says what an error of it is."""

import json
from dataclasses import replace

import numpy as np
import pytest

from astrolab.errors import ConfigError, UnknownNameError
from astrolab.tasks import ABUNDANCES, QUANTITIES, REDSHIFT, Quantity, Question, Task, find_quantity, make_task


def test_the_error_of_a_redshift_is_in_units_of_one_plus_z():
    truth, pred = np.array([0.0, 1.0]), np.array([0.3, 1.3])
    assert QUANTITIES["z"].residual(truth=truth, pred=pred) == pytest.approx([0.3, 0.15])
    assert QUANTITIES["feh"].residual(truth=truth, pred=pred) == pytest.approx([0.3, 0.3])


@pytest.mark.parametrize("name", ["z", "feh"])
def test_lines_of_constant_error_are_where_the_residual_says(name):
    quantity, truth = QUANTITIES[name], np.linspace(0, 2, 5)
    assert quantity.residual(truth=truth, pred=quantity.moved(truth, residual=0.15)) == pytest.approx([0.15] * 5)


def test_the_lower_end_of_a_scored_range_and_the_unknown_are_not_scored():
    assert QUANTITIES["z"].is_scored(np.array([0.3, 0.31, 1.5, 1.51, np.nan])).tolist() == [
        False,
        True,
        True,
        False,
        False,
    ]
    assert QUANTITIES["feh"].is_scored(np.array([-3.0, np.nan])).tolist() == [True, False]


def test_a_task_survives_json():
    tree = (Question("smooth", ("yes", "no")), Question("edge", ("yes",), ("smooth", ("no",))))
    labels = [find_quantity(name, possible=(0, 1)) for question in tree for name in question.labels]
    task = make_task(labels, questions=tree)
    assert Task.from_dict(json.loads(json.dumps(task.to_dict()))) == task
    assert Task.from_dict(json.loads(json.dumps(REDSHIFT.to_dict()))) == REDSHIFT


def test_labels_find_their_task_and_keep_their_own_ranges():
    nearby = find_quantity("z", scored=(0.0, 0.3))
    assert make_task([nearby]) == REDSHIFT.with_scored(z=(0.0, 0.3))


@pytest.mark.parametrize("names", [("feh",), ("alpha_fe",), ("feh", "alpha_fe"), ("alpha_fe", "feh")])
def test_abundances_are_judged_as_abundances_one_or_both(names):
    task = make_task([find_quantity(name, unit="dex") for name in names])
    assert task == replace(ABUNDANCES, labels=tuple(QUANTITIES[name] for name in names))
    assert (task.headline, task.metrics) == ("sigma_clipped", ("bias", "sigma_clipped", "rmse", "r2"))


@pytest.mark.parametrize("names", [("feh", "teff"), ("mass",), ()])
def test_other_labels_are_plain_regression(names):
    task = make_task([find_quantity(name) for name in names])
    assert (task.headline, task.loss, task.label_names) == ("rmse", "mse", names)


def test_what_cannot_be_is_refused():
    with pytest.raises(ConfigError, match="low < high"):
        Quantity("z", scored=(1.0, 0.0))
    with pytest.raises(ConfigError, match="every label once"):
        Task("twice", (Quantity("a"), Quantity("a")))
    with pytest.raises(UnknownNameError, match="label of the task"):
        REDSHIFT.with_scored(zz=(0.0, 1.0))
