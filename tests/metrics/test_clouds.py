"""The discrepancy of two samples of points against a double loop, a closed form and the meaning of a p-value."""

import numpy as np
import pytest
import scipy.stats

from astrolab import measure_mmd
from astrolab.errors import ConfigError, PredictionError
from astrolab.metrics import clouds


def draw(n, *, shift=0.0, seed=0):
    return np.random.default_rng(seed).normal(shift, 1.0, (n, 2))


@pytest.mark.parametrize("bandwidth", ["pooled", "reference", 0.7])
def test_it_is_the_unbiased_estimate_of_a_double_loop(bandwidth, monkeypatch):
    monkeypatch.setattr(clouds, "_ROWS", 7)
    x, y = draw(23, shift=0.4), draw(31, seed=1)
    found = measure_mmd(x, reference=y, bandwidth=bandwidth, n_permutations=0)
    of = {"pooled": np.concatenate([x, y]), "reference": y}.get(bandwidth)
    if of is not None:
        apart = [np.hypot(*(of[i] - of[j])) for i in range(len(of)) for j in range(i)]
        assert found.bandwidth == pytest.approx(np.median(apart), rel=1e-12)

    def mean(a, b):
        pairs = [(p, q) for i, p in enumerate(a) for j, q in enumerate(b) if a is not b or i != j]
        return np.mean([np.exp(-((p - q) ** 2).sum() / (2 * found.bandwidth**2)) for p, q in pairs])

    assert found.squared == pytest.approx(mean(x, x) + mean(y, y) - 2 * mean(x, y), rel=1e-10)
    assert found.value == pytest.approx(np.sqrt(found.squared)) and found.p_value == 1


def test_it_is_that_of_two_gaussians():
    """⟨k⟩ of Gaussians of unit spread in two dimensions, moved by m: exp(-m² / 2 (h² + 2)) h² / (h² + 2)."""
    h, m = 1.3, np.hypot(0.5, 0.5)
    expected = 2 * h**2 / (h**2 + 2) * (1 - np.exp(-(m**2) / (2 * (h**2 + 2))))
    trials = [
        measure_mmd(draw(500, shift=0.5, seed=k), reference=draw(800, seed=100 + k), bandwidth=h, n_permutations=0)
        for k in range(20)
    ]
    squared = [found.squared for found in trials]
    assert np.mean(squared) == pytest.approx(expected, abs=4 * np.std(squared) / np.sqrt(20))
    assert np.std(squared) < 0.3 * expected


def test_p_values_of_equal_distributions_are_uniform_and_those_of_others_are_small():
    found = [measure_mmd(draw(30, seed=k), reference=draw(40, seed=1000 + k), n_permutations=99) for k in range(200)]
    assert scipy.stats.kstest([one.p_value for one in found], "uniform").pvalue > 0.01
    assert 0.3 < np.mean([one.squared < 0 for one in found]) < 0.8 and min(one.value for one in found) == 0
    assert measure_mmd(draw(100, shift=0.8), reference=draw(100, seed=1), n_permutations=99).p_value == 0.01


def test_unknown_values_and_impossible_bandwidths_are_refused():
    holed = draw(9)
    holed[3, 1] = np.nan
    for points in (holed, draw(1), draw(9)[:, :1]):
        with pytest.raises(PredictionError, match="two points or more"):
            measure_mmd(points, reference=draw(9))
    for reference, bandwidth in ((draw(9), "median"), (draw(9), 0.0), (np.zeros((9, 2)), "reference")):
        with pytest.raises(ConfigError, match="bandwidth"):
            measure_mmd(draw(9), reference=reference, bandwidth=bandwidth)
