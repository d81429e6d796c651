"""The fast bootstrap against one that builds every resample, and its intervals against what they promise."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from astropy.stats import binom_conf_interval

from astrolab.errors import ConfigError
from astrolab.metrics import find_metric, list_metrics
from astrolab.metrics.bootstrap import (
    Draws,
    Ordered,
    Resampled,
    bootstrap,
    draw,
    fraction_interval,
    intervals,
    percentile_interval,
)


def _sample(n, *, seed=0, ties=False):
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0.3, 1.5, n)
    pred = truth + 0.1 * rng.standard_t(2, n)
    return (truth.round(1), pred.round(1)) if ties else (truth, pred)


@pytest.mark.parametrize("name", list_metrics())
@pytest.mark.parametrize(("n", "ties"), [(7, False), (50, False), (101, False), (60, True)])
def test_equals_the_metric_of_every_resample(name, n, ties):
    truth, pred = _sample(n, ties=ties)
    (draws,) = draw(n, n_resamples=40, seed=3)
    resampled = Resampled(draws, truth=truth, pred=pred)
    metric = find_metric(name)
    one_by_one = resampled.evaluate(replace(metric, resampled=None))
    np.testing.assert_allclose(resampled.evaluate(metric), one_by_one, rtol=1e-9, atol=1e-12)


def test_a_resample_holds_every_galaxy_once_on_average():
    counts = np.concatenate([draws.counts for draws in draw(50, n_resamples=2000, seed=0)])
    assert (counts.sum(axis=1) == 50).all()
    np.testing.assert_allclose(counts.mean(axis=0), 1, atol=0.1)
    assert counts.var() == pytest.approx(1 - 1 / 50, abs=0.02)  # multinomial


def test_resamples_do_not_depend_on_how_many_fit_in_memory(monkeypatch):
    whole = np.concatenate([draws.counts for draws in draw(30, n_resamples=20, seed=5)])
    monkeypatch.setattr("astrolab.metrics.bootstrap._CELLS_PER_CHUNK", 90)
    parts = [draws.counts for draws in draw(30, n_resamples=20, seed=5)]
    assert len(parts) == 7
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_the_median_of_one_galaxy_is_its_value():
    ordered = Ordered(np.array([0.7]), draws=Draws(np.ones((3, 1), dtype=np.uint8)))
    np.testing.assert_array_equal(ordered.median, 0.7)
    np.testing.assert_allclose(ordered.median_distance(ordered.median), 0, atol=1e-15)


def test_samples_of_one_bootstrap_share_their_galaxies():
    truth, pred = _sample(80)
    metrics = [find_metric("bias_mean")]
    a, b = bootstrap([(truth, pred), (truth, pred + 0.1 * (1 + truth))], metrics=metrics, n_resamples=50, seed=1)
    np.testing.assert_allclose(b - a, 0.1, rtol=1e-9)


def test_samples_of_different_galaxies_are_refused():
    with pytest.raises(ConfigError, match=r"\[5, 6\]"):
        bootstrap([_sample(5), _sample(6)], metrics=[find_metric("bias")])


@pytest.mark.parametrize("level", [0, 1, 68])
def test_an_impossible_level_is_refused(level):
    with pytest.raises(ConfigError, match="level"):
        percentile_interval(np.arange(5.0), level=level)


# The expected loss of Gaussian errors of 0.05: quadrature of (1 - 1 / (1 + (x / 0.15)**2)) times their density.
@pytest.mark.parametrize(("name", "true_value"), [("bias", 0.0), ("scatter", 0.05), ("loss", 0.0862291)])
def test_intervals_hold_the_true_value_as_often_as_they_say(name, true_value):
    n_surveys, n, level = 150, 800, 0.68
    rng = np.random.default_rng(7)
    held = 0
    for _ in range(n_surveys):
        truth = np.zeros(n)
        spread = bootstrap([(truth, rng.normal(0, 0.05, n))], metrics=[find_metric(name)], n_resamples=200)
        low, high = percentile_interval(spread[0, 0], level=level)
        held += low <= true_value <= high
    # The binomial standard deviation of the coverage is 0.04.
    assert held / n_surveys == pytest.approx(level, abs=0.12)


@pytest.mark.parametrize(("hits", "n"), [(0, 300), (3, 300), (150, 300), (300, 300)])
def test_fractions_have_the_jeffreys_interval(hits, n):
    expected = binom_conf_interval(hits, n, confidence_level=0.9, interval="jeffreys")
    assert fraction_interval(hits / n, n=n, level=0.9) == pytest.approx(tuple(expected), rel=1e-9)


@pytest.mark.parametrize("level", [0.68, 0.95])
def test_the_interval_of_a_fraction_holds_the_true_one_as_often_as_it_says(level):
    n, chances = 400, np.linspace(0.01, 0.3, 30)
    limits = np.array([fraction_interval(hits / n, n=n, level=level) for hits in range(n + 1)])
    holds = (limits[:, 0] <= chances[:, None]) & (chances[:, None] <= limits[:, 1])
    coverage = (scipy.stats.binom.pmf(np.arange(n + 1), n, chances[:, None]) * holds).sum(axis=1)  # exact
    assert coverage.mean() == pytest.approx(level, abs=0.01)
    assert coverage.min() > level - 0.15  # whole galaxies make it jump (Brown, Cai & DasGupta 2001, figure 5)


def test_no_outlier_among_few_galaxies_does_not_mean_none_ever():
    truth, pred = np.ones(100), np.ones(100)
    limits = intervals([(truth, pred)], metrics=[find_metric("outlier_rate"), find_metric("loss")], n_resamples=10)
    assert limits[0, 0, 0] == 0 and 0 < limits[0, 0, 1] < 0.02
    assert limits[0, 1].tolist() == [0, 0]


def test_intervals_of_samples_of_any_length():
    samples = [_sample(30), _sample(20), _sample(30, seed=1)]
    metrics = [find_metric("scatter"), find_metric("catastrophic_rate")]
    limits = intervals(samples, metrics=metrics, n_resamples=50, seed=2)
    for i, sample in enumerate(samples):
        np.testing.assert_array_equal(limits[i], intervals([sample], metrics=metrics, n_resamples=50, seed=2)[0])
    assert np.isnan(intervals(samples, metrics=metrics, n_resamples=0)).all()
