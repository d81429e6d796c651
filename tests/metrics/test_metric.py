from pathlib import Path

import numpy as np
import pytest

from astrolab.errors import ConfigError, UnknownNameError
from astrolab.metrics import Metric, find_metric, list_metrics, metrics_page, register

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"


def _metric(**changes):
    settings = {
        "id": "max_error",
        "label": "largest error",
        "formula": r"\max|\hat z - z|",
        "reference": "none",
        "sign": "lower",
        "unit": "1",
        "function": lambda *, truth, pred: np.max(np.abs(pred - truth)),
    }
    return Metric(**settings | changes)


def test_one_name_and_one_formula_for_each_metric():
    formulas = [find_metric(name).formula for name in list_metrics()]
    assert len(set(formulas)) == len(formulas)
    assert all(find_metric(name).id == name and find_metric(name).reference for name in list_metrics())


def test_a_second_meaning_of_a_name_is_refused():
    with pytest.raises(ConfigError, match="bias"):
        register(_metric(id="bias"))


def test_a_wrong_sign_is_refused():
    with pytest.raises(ConfigError, match="smaller"):
        _metric(sign="smaller")


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'scatter'"):
        find_metric("scater")


@pytest.mark.parametrize(("name", "best"), [("bias", 0.01), ("scatter", -0.03), ("r2", 0.02)])
def test_the_smallest_badness_is_the_best_value(name, best):
    values = np.array([0.01, -0.03, 0.02])
    assert values[np.argmin(find_metric(name).badness(values))] == best


def test_the_documentation_page_is_in_step():
    assert PAGE.read_text(encoding="utf-8") == metrics_page()
