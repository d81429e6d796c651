"""The fast bootstrap against one that builds every resample; critical values and errors against closed forms."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from astropy.stats import binom_conf_interval

from astrolab.errors import ConfigError
from astrolab.metrics import Panel, Resampling, Sample, find_metric, list_metrics, resample_models
from astrolab.metrics.resampling import (
    Draws,
    Resampled,
    bootstrap,
    critical_values,
    draw,
    in_standard_errors,
    intervals,
    percentile_interval,
    rate_interval,
)
from astrolab.tasks import QUANTITIES

Z = QUANTITIES["z"]
PAIRS = [(i, j) for i in range(5) for j in range(i)]


def _sample(n, *, seed=0, ties=False, objects=None):
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0.3, 1.5, n)
    pred = truth + 0.1 * rng.standard_t(2, n)
    return Sample(truth.round(1), pred.round(1), Z) if ties else Sample(truth, pred, Z, objects)


@pytest.mark.parametrize("name", list_metrics())
@pytest.mark.parametrize(
    ("n", "ties", "objects"),
    [
        (7, False, None),
        (50, False, None),
        (101, False, None),
        (60, True, None),
        (60, False, np.arange(60) // 2),  # two values an object
        (40, False, 3 * np.arange(40)),  # an object whose label is known in a third of cases
    ],
)
def test_equals_the_metric_of_every_resample(name, n, ties, objects):
    sample, metric = _sample(n, ties=ties, objects=objects), find_metric(name)
    (draws,) = draw(n if objects is None else objects.max() + 1, n_resamples=40, seed=3)
    resampled = Resampled(sample, draws=draws)
    one_by_one = resampled.evaluate(replace(metric, on_resamples=False))
    np.testing.assert_allclose(resampled.evaluate(metric), one_by_one, rtol=1e-9, atol=1e-12)


def test_a_resample_without_a_known_label_has_no_value():
    counts = np.array([[0, 0, 2], [1, 1, 0]], dtype=np.uint8)
    resampled = Resampled(_sample(2, objects=np.array([0, 1])), draws=Draws(counts))
    for name in ("bias", "bias_mean", "scatter", "outlier_rate"):
        assert np.isnan(resampled.evaluate(find_metric(name))).tolist() == [True, False]


def test_a_resample_holds_every_object_once_on_average():
    counts = np.concatenate([draws.counts for draws in draw(50, n_resamples=2000, seed=0)])
    assert (counts.sum(axis=1) == 50).all()
    np.testing.assert_allclose(counts.mean(axis=0), 1, atol=0.1)
    assert counts.var() == pytest.approx(1 - 1 / 50, abs=0.02)  # multinomial


def test_resamples_do_not_depend_on_how_many_fit_in_memory(monkeypatch):
    whole = np.concatenate([draws.counts for draws in draw(30, n_resamples=20, seed=5)])
    monkeypatch.setattr("astrolab.metrics.resampling._CELLS_PER_CHUNK", 90)
    parts = [draws.counts for draws in draw(30, n_resamples=20, seed=5)]
    assert len(parts) == 7
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_the_median_of_one_object_is_its_value():
    one = Sample(np.zeros(1), np.array([0.7]), Z)
    resampled = Resampled(one, draws=Draws(np.ones((3, 1), dtype=np.uint8)))
    np.testing.assert_array_equal(resampled.median, 0.7)
    np.testing.assert_allclose(resampled.median_distance(resampled.median), 0, atol=1e-15)


def test_samples_of_one_bootstrap_share_their_objects():
    sample = _sample(80)
    moved = replace(sample, pred=sample.pred + 0.1 * (1 + sample.truth))
    settings = {"metrics": [find_metric("bias_mean")], "n_objects": 80, "n_resamples": 50, "seed": 1}
    a, b = bootstrap([(sample,), (moved,)], **settings)
    np.testing.assert_allclose(b - a, 0.1, rtol=1e-9)


# The expected loss of Gaussian errors of 0.05: quadrature of (1 - 1 / (1 + (x / 0.15)**2)) times their density.
@pytest.mark.parametrize(("name", "true_value"), [("bias", 0.0), ("scatter", 0.05), ("loss", 0.0862291)])
def test_intervals_hold_the_true_value_as_often_as_they_say(name, true_value):
    n_surveys, n, held, rng = 150, 800, 0, np.random.default_rng(7)
    for _ in range(n_surveys):
        groups = [(Sample(np.zeros(n), rng.normal(0, 0.05, n), Z),)]
        ((low, high),) = intervals(
            groups, metrics=[find_metric(name)], n_objects=[n], resampling=Resampling(n=200, level=0.68)
        )[0]
        held += low <= true_value <= high
    # The binomial standard deviation of the coverage is 0.04.
    assert held / n_surveys == pytest.approx(0.68, abs=0.12)


@pytest.mark.parametrize(("hits", "n"), [(0, 300), (3, 300), (150, 300), (300, 300)])
def test_rates_have_the_jeffreys_interval(hits, n):
    expected = binom_conf_interval(hits, n, confidence_level=0.9, interval="jeffreys")
    assert rate_interval(hits / n, n=n, level=0.9) == pytest.approx(tuple(expected), rel=1e-9)


@pytest.mark.parametrize("level", [0.68, 0.95])
def test_the_interval_of_a_rate_holds_the_true_one_as_often_as_it_says(level):
    n, chances = 400, np.linspace(0.01, 0.3, 30)
    limits = np.array([rate_interval(hits / n, n=n, level=level) for hits in range(n + 1)])
    holds = (limits[:, 0] <= chances[:, None]) & (chances[:, None] <= limits[:, 1])
    coverage = (scipy.stats.binom.pmf(np.arange(n + 1), n, chances[:, None]) * holds).sum(axis=1)  # exact
    assert coverage.mean() == pytest.approx(level, abs=0.01)
    assert coverage.min() > level - 0.15  # whole objects make it jump (Brown, Cai & DasGupta 2001, figure 5)


def test_no_outlier_among_few_objects_does_not_mean_none_ever():
    perfect, metrics = Sample(np.ones(100), np.ones(100), Z), [find_metric("outlier_rate"), find_metric("loss")]
    limits = intervals([(perfect,)], metrics=metrics, n_objects=[100], resampling=Resampling(n=10))
    assert limits[0, 0, 0] == 0 and 0 < limits[0, 0, 1] < 0.02
    assert limits[0, 1].tolist() == [0, 0]
    twice = replace(perfect, objects=np.arange(100) // 2)
    doubled = intervals([(twice,)], metrics=metrics, n_objects=[50], resampling=Resampling(n=10))
    assert tuple(doubled[0, 0]) == pytest.approx(rate_interval(0.0, n=50, level=0.68))


def test_intervals_of_samples_of_any_length():
    groups = [(_sample(30),), (_sample(20),), (_sample(30, seed=1),)]
    metrics = [find_metric("scatter"), find_metric("catastrophic_rate")]
    settings = {"metrics": metrics, "resampling": Resampling(n=50, seed=2)}
    limits = intervals(groups, n_objects=[30, 20, 30], **settings)
    for i, group in enumerate(groups):
        np.testing.assert_array_equal(limits[i], intervals([group], n_objects=[len(group[0])], **settings)[0])
    none = {"n_objects": [30, 20, 30], "resampling": Resampling(n=0)}
    assert np.isnan(intervals(groups, metrics=metrics, **none)).all()


def _panel(dz, *, n_seeds=1):
    truth = np.zeros(dz.shape[1])
    models = tuple("abcdef"[: len(dz) // n_seeds])
    return Panel({}, models, n_seeds, [Sample(truth, one, Z) for one in dz], simulated=False)


def _resample(dz, *, metric="bias_mean", n_seeds=1, **settings):
    panel, resampling = _panel(dz, n_seeds=n_seeds), Resampling(**{"level": 0.95} | settings)
    return resample_models(panel, metrics=[find_metric(metric)], resampling=resampling)[0]


def test_all_pairs_of_independent_models_reach_as_far_as_tukeys_range():
    normal = np.random.default_rng(0).standard_normal((5, 40_000))
    scaled = np.array([normal[i] - normal[j] for i, j in PAIRS]) / np.sqrt(2)
    reach = critical_values(scaled, resampling=Resampling(level=0.95))
    tukey = scipy.stats.studentized_range.ppf(0.95, 5, np.inf) / np.sqrt(2)
    np.testing.assert_allclose(reach, tukey, rtol=0.01)
    alone = critical_values(scaled, resampling=Resampling(level=0.95, correction="none"))
    np.testing.assert_allclose(alone, scipy.stats.norm.ppf(0.975), rtol=0.02)


def test_all_against_one_reach_as_far_as_dunnetts():
    normal = np.random.default_rng(1).standard_normal((5, 40_000))
    reach = critical_values((normal[1:] - normal[0]) / np.sqrt(2), resampling=Resampling(level=0.95))[0]
    correlation = np.full((4, 4), 0.5) + 0.5 * np.eye(4)
    inside = scipy.stats.multivariate_normal(cov=correlation, seed=0).cdf([reach] * 4, lower_limit=[-reach] * 4)
    assert inside == pytest.approx(0.95, abs=0.004)


def test_standard_errors_are_those_of_paired_means():
    rng = np.random.default_rng(2)
    dz = rng.normal([[0.12], [0.15]], 0.1, (2, 400)) + rng.normal(0, 0.3, 400)
    made = _resample(dz, n=4000)
    np.testing.assert_allclose(made.covariance(np.array([1.0, -1.0])), np.cov(dz) / 400, rtol=0.1)
    difference = (dz[0] - dz[1]).std(ddof=1) / np.sqrt(400)
    assert made.errors(np.array([[1.0, -1.0]]))[0] == pytest.approx(difference, rel=0.05)
    np.testing.assert_allclose(made.sizes, np.abs(dz.mean(axis=1)))


def test_a_negative_bias_moves_with_the_sign_it_has():
    dz = np.random.default_rng(3).normal(0.05, 0.1, 300)
    made = _resample(np.array([dz, -dz]), metric="bias", n=100)
    np.testing.assert_allclose(made.resampled_sizes[0], made.resampled_sizes[1], atol=1e-12)
    assert made.values[0, 0] == -made.values[1, 0]


def test_biases_of_unknown_sign_may_lie_off_by_the_sum_of_their_errors():
    """Mean of the product of two sizes of correlated normal numbers: Nabeya 1951, Ann. Inst. Stat. Math. 3, 2."""
    rng = np.random.default_rng(5)
    dz = rng.normal([[0.0], [0.0], [0.5]], 0.1, (3, 400)) + rng.normal(0, 0.2, 400)
    dz[:2] -= dz[:2].mean(axis=1, keepdims=True) - 0.001
    made = _resample(dz, n=8000)
    covariance = np.cov(dz) / 400
    (e_a, e_b, e_c), r = np.sqrt(np.diag(covariance)), np.corrcoef(dz)
    product = 2 / np.pi * (np.sqrt(1 - r**2) + r * np.arcsin(r))
    contrasts = np.array([made.contrast(a="a", b="b"), made.contrast(a="c", b="a", times=2.0)])
    expected = [e_a**2 + e_b**2 + 2 * e_a * e_b * product[0, 1], e_c**2 + 4 * e_a**2 + 4 * e_a * e_c * product[0, 2]]
    np.testing.assert_allclose(made.errors(contrasts), np.sqrt(expected), rtol=0.03)
    a, b, c = made.resampled_sizes - made.sizes[:, None]
    np.testing.assert_allclose(made.shifts(contrasts), [np.abs(a) + np.abs(b), np.abs(c) + 2 * np.abs(a)], atol=1e-15)
    assert made.are_certain(np.eye(3)).tolist() == [False, False, True]
    assert made.are_certain(contrasts).tolist() == [False, False]


def test_networks_of_one_model_may_have_biases_of_opposite_sign():
    noise = np.random.default_rng(6).normal(0, 0.1, 400)
    made = _resample(np.array([noise + 0.001, noise - 0.001]), n_seeds=2, n=2000)
    ((_, low, high),) = made.measure(np.eye(1))
    assert high - low == pytest.approx(2 * scipy.stats.norm.ppf(0.975) * 0.1 / np.sqrt(400), rel=0.1)


def test_a_rate_that_is_zero_still_has_an_error():
    made = _resample(np.zeros((2, 200)), metric="catastrophic_rate", n=50)
    bonett_price = np.sqrt(2) / 202  # (n12 + 1 + n21 + 1) / (n + 2)**2 without a discordant pair
    assert made.errors(np.array([[1.0, -1.0]]))[0] == pytest.approx(bonett_price)


def test_other_training_seeds_add_the_spread_of_a_mean_with_students_tails():
    offsets = np.array([0.10, 0.13, 0.16, 0.11, 0.15])
    dz = offsets[:, None] + np.random.default_rng(4).normal(0, 1e-6, 500)
    made = _resample(dz, n_seeds=5, n=20_000, seeds="sampled")
    error = offsets.std(ddof=1) / np.sqrt(5)
    assert made.errors(np.eye(1))[0] == pytest.approx(error, rel=1e-3)
    expected = pytest.approx(scipy.stats.t(4).ppf(0.975), rel=0.03)
    assert np.quantile(made.scaled(np.eye(1)), 0.95) == expected
    assert np.quantile(np.abs(made.resampled_sizes - made.sizes) / error, 0.95) == expected
    with pytest.raises(ConfigError, match="one seed"):
        _resample(np.ones((2, 9)), n=9, seeds="sampled")
    assert not _resample(np.ones((2, 9)), n=9, seeds="auto").seed_covariance.any()


def test_what_no_resample_moves_has_no_error():
    scaled = in_standard_errors(np.array([0.0, 2.0, 6.0]), errors=np.array([0.0, 0.0, 3.0]), without=np.inf)
    assert scaled.tolist() == [np.inf, np.inf, 2.0]


@pytest.mark.parametrize(
    "wrong", [{"level": 68}, {"level": 0}, {"correction": "bonferroni"}, {"seeds": "random"}, {"n": 1}, {"n": -2}]
)
def test_settings_outside_their_choices_are_refused(wrong):
    with pytest.raises(ConfigError, match=f"{next(iter(wrong))}="):
        Resampling(**wrong)


def test_a_comparison_needs_resamples():
    with pytest.raises(ConfigError, match="n=0"):
        _resample(np.ones((2, 9)), n=0)


def test_a_central_interval_holds_its_part_of_the_values():
    assert percentile_interval(np.arange(101.0), level=0.9) == pytest.approx((5, 95))
