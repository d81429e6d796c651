import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from astrolab.metrics import find_metric


@pytest.mark.parametrize(
    ("name", "independent"),
    [
        ("rmse", root_mean_squared_error),
        ("mae", mean_absolute_error),
        ("r2", r2_score),
        ("pearson_r2", lambda truth, pred: scipy.stats.pearsonr(truth, pred).statistic ** 2),
    ],
)
def test_agrees_with_an_independent_implementation(name, independent):
    rng = np.random.default_rng(0)
    truth = rng.normal(-1.2, 0.5, 300)
    pred = 0.3 + 0.7 * truth + rng.normal(0, 0.1, 300)
    assert find_metric(name)(truth=truth, pred=pred) == pytest.approx(independent(truth, pred), rel=1e-12)


def test_the_two_r_squared_differ_for_an_offset():
    truth = np.linspace(0, 1, 50)
    assert find_metric("pearson_r2")(truth=truth, pred=truth + 1) == pytest.approx(1)
    assert find_metric("r2")(truth=truth, pred=truth + 1) < 0
