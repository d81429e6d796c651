"""Critical values against closed forms of Tukey's and Dunnett's problems; standard errors against textbook ones."""

import numpy as np
import pytest
import scipy.stats

from astrolab.errors import ConfigError
from astrolab.metrics import find_metric
from astrolab.metrics.pairing import Panel
from astrolab.metrics.resamples import critical_values, in_standard_errors, require_choices, resample_models

PAIRS = [(i, j) for i in range(5) for j in range(i)]


def _panel(dz, *, n_seeds=1):
    truth = np.zeros(dz.shape[1])
    models = tuple("abcdef"[: len(dz) // n_seeds])
    return Panel({}, models, n_seeds, [(truth, one) for one in dz], simulated=False)


def test_all_pairs_of_independent_models_reach_as_far_as_tukeys_range():
    normal = np.random.default_rng(0).standard_normal((5, 40_000))
    scaled = np.array([normal[i] - normal[j] for i, j in PAIRS]) / np.sqrt(2)
    reach = critical_values(scaled, level=0.95, correction="max_t")
    tukey = scipy.stats.studentized_range.ppf(0.95, 5, np.inf) / np.sqrt(2)
    np.testing.assert_allclose(reach, tukey, rtol=0.01)
    alone = critical_values(scaled, level=0.95, correction="none")
    np.testing.assert_allclose(alone, scipy.stats.norm.ppf(0.975), rtol=0.02)


def test_all_against_one_reach_as_far_as_dunnetts():
    normal = np.random.default_rng(1).standard_normal((5, 40_000))
    reach = critical_values((normal[1:] - normal[0]) / np.sqrt(2), level=0.95, correction="max_t")[0]
    correlation = np.full((4, 4), 0.5) + 0.5 * np.eye(4)
    inside = scipy.stats.multivariate_normal(cov=correlation, seed=0).cdf([reach] * 4, lower_limit=[-reach] * 4)
    assert inside == pytest.approx(0.95, abs=0.004)


def test_standard_errors_are_those_of_paired_means():
    rng = np.random.default_rng(2)
    dz = rng.normal([[0.12], [0.15]], 0.1, (2, 400)) + rng.normal(0, 0.3, 400)
    (made,) = resample_models(_panel(dz), metrics=[find_metric("bias_mean")], n_bootstrap=4000, seed=0)
    np.testing.assert_allclose(made.covariance, np.cov(dz) / 400, rtol=0.1)
    np.testing.assert_allclose(made.sizes, np.abs(dz.mean(axis=1)))


def test_a_negative_bias_moves_with_the_sign_it_has():
    rng = np.random.default_rng(3)
    dz = rng.normal(0.05, 0.1, 300)
    (made,) = resample_models(_panel(np.array([dz, -dz])), metrics=[find_metric("bias")], n_bootstrap=100, seed=0)
    np.testing.assert_allclose(made.deviations[0], made.deviations[1], atol=1e-12)
    assert made.values[0, 0] == -made.values[1, 0]


def test_biases_of_unknown_sign_may_lie_off_by_the_sum_of_their_errors():
    """Mean of the product of two sizes of correlated normal numbers: Nabeya 1951, Ann. Inst. Stat. Math. 3, 2."""
    rng = np.random.default_rng(5)
    dz = rng.normal([[0.0], [0.0], [0.5]], 0.1, (3, 400)) + rng.normal(0, 0.2, 400)
    dz[:2] -= dz[:2].mean(axis=1, keepdims=True) - 0.001
    (made,) = resample_models(_panel(dz), metrics=[find_metric("bias_mean")], n_bootstrap=8000, seed=0)
    covariance = np.cov(dz) / 400
    errors = np.sqrt(np.diag(covariance))
    r = np.minimum(covariance / np.outer(errors, errors), 1)
    product = np.outer(errors, errors) * 2 / np.pi * (np.sqrt(1 - r**2) + r * np.arcsin(r))
    np.testing.assert_allclose(made.covariance, np.where(np.eye(3), covariance, -product), rtol=0.06)
    contrasts = np.array([made.contrast(a="a", b="b"), made.contrast(a="c", b="a", times=2.0)])
    a, b, c = made.deviations
    np.testing.assert_allclose(made.moves(contrasts), [np.abs(a) + np.abs(b), np.abs(c) + 2 * np.abs(a)])
    np.testing.assert_allclose(made.errors(contrasts), np.sqrt(np.mean(made.moves(contrasts) ** 2, axis=1)), rtol=1e-3)
    assert made.is_loose(np.eye(3)).tolist() == [True, True, False]


def test_networks_of_one_model_may_have_biases_of_opposite_sign():
    noise = np.random.default_rng(6).normal(0, 0.1, 400)
    (made,) = resample_models(
        _panel(np.array([noise + 0.001, noise - 0.001]), n_seeds=2),
        metrics=[find_metric("bias_mean")],
        n_bootstrap=2000,
        seed=0,
    )
    low, high = made.intervals(np.eye(1), level=0.95)
    assert high - low == pytest.approx(2 * scipy.stats.norm.ppf(0.975) * 0.1 / np.sqrt(400), rel=0.1)


def test_a_fraction_that_is_zero_still_has_an_error():
    (made,) = resample_models(
        _panel(np.zeros((2, 200))), metrics=[find_metric("catastrophic_rate")], n_bootstrap=50, seed=0
    )
    contrast = np.array([1, -1])
    bonett_price = np.sqrt(2) / 202  # (n12 + 1 + n21 + 1) / (n + 2)**2 without a discordant pair
    assert np.sqrt(contrast @ made.covariance @ contrast) == pytest.approx(bonett_price)


def test_other_training_seeds_add_the_spread_of_a_mean_with_students_tails():
    rng = np.random.default_rng(4)
    offsets = np.array([0.10, 0.13, 0.16, 0.11, 0.15])
    galaxies = rng.normal(0, 1e-6, 500)
    panel = _panel(offsets[:, None] + galaxies, n_seeds=5)
    metric = [find_metric("bias_mean")]
    (made,) = resample_models(panel, metrics=metric, n_bootstrap=20_000, seed=0, seeds="sampled")
    error = offsets.std(ddof=1) / np.sqrt(5)
    assert np.sqrt(made.covariance[0, 0]) == pytest.approx(error, rel=1e-3)
    reach = critical_values(made.deviations / error, level=0.95, correction="none")
    assert reach[0] == pytest.approx(scipy.stats.t(4).ppf(0.975), rel=0.03)
    with pytest.raises(ConfigError, match="one seed"):
        resample_models(_panel(np.ones((2, 9))), metrics=metric, n_bootstrap=9, seed=0, seeds="sampled")


def test_what_no_resample_moves_has_no_error():
    scaled = in_standard_errors(np.array([0.0, 2.0, 6.0]), errors=np.array([0.0, 0.0, 3.0]), of_nothing=np.inf)
    assert scaled.tolist() == [np.inf, np.inf, 2.0]


@pytest.mark.parametrize(
    "wrong", [{"level": 95}, {"correction": "bonferroni"}, {"seeds": "random"}, {"n_bootstrap": 1}]
)
def test_settings_outside_their_choices_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        require_choices(**wrong)
