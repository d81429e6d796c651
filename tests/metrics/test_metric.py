"""Metrics against astropy, scipy, scikit-learn and closed forms, on published predictions where they are at hand."""

from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from astropy.stats import biweight_location, biweight_midvariance, mad_std, sigma_clip
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from astrolab.errors import ConfigError, UnknownNameError
from astrolab.metrics import (
    REQUIREMENTS,
    Metric,
    Sample,
    find_metric,
    find_requirement,
    list_metrics,
    register,
)
from astrolab.tasks import QUANTITIES, find_quantity

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
Z, FEH = QUANTITIES["z"], QUANTITIES["feh"]


@pytest.fixture(scope="module")
def published(shared_data):
    """Predictions of Luo et al. on the real GalaxiesML test set, true redshift in (0.3, 1.5]."""
    table = np.loadtxt(shared_data / "galaxiesml_published" / "LSTM_MDNz_GalaxiesML_pred_z.dat", skiprows=1)
    pred, truth = table[:, 0], table[:, 1]
    inside = (truth > 0.3) & (truth <= 1.5)
    return truth[inside], pred[inside]


@pytest.fixture(scope="module")
def heavy_tails():
    rng = np.random.default_rng(1)
    truth = rng.uniform(0.3, 1.5, 999)
    return truth, truth + 0.1 * rng.standard_t(2, 999)


INDEPENDENT = {
    "bias": lambda t, p, d: np.percentile(d, 50),
    "bias_mean": lambda t, p, d: d.sum() / d.size,
    "scatter": lambda t, p, d: mad_std(d),
    "scatter_uncentred": lambda t, p, d: scipy.stats.median_abs_deviation(
        d, center=lambda *_, **__: 0.0, scale="normal"
    ),
    "scatter_std": lambda t, p, d: scipy.stats.tstd(d) * np.sqrt(1 - 1 / d.size),
    "sigma_clipped": lambda t, p, d: sigma_clip(d).std(),
    "catastrophic_rate": lambda t, p, d: 1 - scipy.stats.percentileofscore(np.abs(p - t), 1.0) / 100,
    "outlier_rate": lambda t, p, d: 1 - scipy.stats.percentileofscore(np.abs(d), 0.15) / 100,
    "loss": lambda t, p, d: np.mean(d**2 / (d**2 + 0.15**2)),
    "biweight_bias": lambda t, p, d: biweight_location(d),
    "biweight_scatter": lambda t, p, d: np.sqrt(biweight_midvariance(d)),
    "rmse_dz": lambda t, p, d: np.linalg.norm(d) / np.sqrt(d.size),
    "rmse": lambda t, p, d: root_mean_squared_error(t, p),
    "mae": lambda t, p, d: mean_absolute_error(t, p),
    "r2": lambda t, p, d: r2_score(t, p),
    "pearson_r2": lambda t, p, d: scipy.stats.pearsonr(t, p).statistic ** 2,
}
PLAIN = [name for name in INDEPENDENT if name not in ("catastrophic_rate", "outlier_rate", "loss")]


@pytest.mark.parametrize("name", INDEPENDENT)
@pytest.mark.parametrize("sample", ["published", "heavy_tails"])
def test_redshifts_agree_with_an_independent_implementation(name, sample, request):
    truth, pred = request.getfixturevalue(sample)
    expected = INDEPENDENT[name](truth, pred, (pred - truth) / (1 + truth))
    # 1.4826 is the published factor; astropy and scipy use 1.482602...
    assert find_metric(name)(Sample(truth, pred, Z)) == pytest.approx(expected, rel=3e-6, abs=1e-12)


@pytest.mark.parametrize("name", PLAIN)
def test_the_residual_of_an_abundance_is_a_plain_difference(name, heavy_tails):
    truth, pred = heavy_tails
    expected = INDEPENDENT[name](truth, pred, pred - truth)
    assert find_metric(name)(Sample(truth, pred, FEH)) == pytest.approx(expected, rel=3e-6, abs=1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_clipping_is_that_of_astropy_to_rounding(seed):
    """Tails heavy enough that all five rounds clip, and stop before nothing is left to clip."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(-2.5, 0.5, 2000)
    sample = Sample(truth, truth + 0.1 * rng.standard_t(1.2, 2000), FEH)
    clipped, to_the_end = (sigma_clip(sample.residual, maxiters=rounds).std() for rounds in (5, None))
    assert find_metric("sigma_clipped")(sample) == pytest.approx(clipped, rel=1e-12)
    assert clipped > 1.01 * to_the_end


def test_every_metric_has_an_independent_implementation():
    assert set(INDEPENDENT) == set(list_metrics())


def test_recovers_a_known_bias_and_scatter():
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.3, 1.5, 200_000)
    sample = Sample(truth, truth + (1 + truth) * rng.normal(0.01, 0.02, truth.size), Z)
    assert find_metric("bias")(sample) == pytest.approx(0.01, abs=2e-4)
    assert find_metric("scatter")(sample) == pytest.approx(0.02, abs=2e-4)
    assert find_metric("biweight_scatter")(sample) == pytest.approx(0.02, abs=4e-4)
    # The centred scatter does not see the bias, the one about zero does.
    assert find_metric("scatter_uncentred")(sample) > 0.0215


def test_the_catastrophic_cut_is_not_divided_by_one_plus_z():
    sample = Sample(np.array([1.4, 1.4]), np.array([2.5, 2.3]), Z)
    assert find_metric("catastrophic_rate")(sample) == 0.5
    assert find_metric("outlier_rate")(sample) == 1.0


def test_the_outlier_cut_is_that_of_the_quantity():
    truth, pred = np.zeros(4), np.array([0.0, 0.05, 0.2, 0.4])
    rates = {
        cut: find_metric("outlier_rate")(Sample(truth, pred, find_quantity("z", outlier=cut))) for cut in (0.1, 0.3)
    }
    assert rates == {0.1: 0.5, 0.3: 0.25}
    for name, received in {"outlier_rate": "outlier", "loss": "outlier", "catastrophic_rate": "redshift"}.items():
        with pytest.raises(ConfigError, match=received):
            find_metric(name)(Sample(truth, pred, FEH))


def test_perfect_predictions_score_zero_throughout():
    truth = np.linspace(0.3, 1.5, 11)
    names = [name for name in list_metrics() if "r2" not in name]
    assert all(find_metric(name)(Sample(truth, truth.copy(), Z)) == 0 for name in names)


def test_the_two_r_squared_differ_for_an_offset():
    truth = np.linspace(0, 1, 50)
    sample = Sample(truth, truth + 1, FEH)
    assert find_metric("pearson_r2")(sample) == pytest.approx(1)
    assert find_metric("r2")(sample) < 0


def test_the_unit_of_a_metric_is_that_of_what_it_measures():
    units = {name: (find_metric(name).unit_of(Z), find_metric(name).unit_of(FEH)) for name in ("scatter", "rmse", "r2")}
    assert units == {"scatter": ("", "dex"), "rmse": ("", "dex"), "r2": ("", "")}


def _metric(**changes):
    about = {"id": "max_error", "label": "largest error", "formula": r"\max|\delta|", "reference": "none"}
    return Metric(**about | {"function": lambda sample: np.max(np.abs(sample.residual))} | changes)


def test_one_name_and_one_formula_for_each_metric():
    formulas = [find_metric(name).formula for name in list_metrics()]
    assert len(set(formulas)) == len(formulas)
    assert all(find_metric(name).id == name and find_metric(name).reference for name in list_metrics())
    with pytest.raises(ConfigError, match="bias"):
        register(_metric(id="bias"))


def test_wrong_signs_and_unknown_names_are_refused():
    with pytest.raises(ConfigError, match="smaller"):
        _metric(sign="smaller")
    with pytest.raises(UnknownNameError, match="Did you mean 'scatter'"):
        find_metric("scater")


@pytest.mark.parametrize(("name", "best"), [("bias", 0.01), ("scatter", -0.03), ("r2", 0.02)])
def test_the_smallest_badness_is_the_best_value(name, best):
    values = np.array([0.01, -0.03, 0.02])
    assert values[np.argmin(find_metric(name).badness(values))] == best


def test_the_lsst_limits_are_those_of_the_text_not_of_the_misprint_and_of_redshifts_only():
    assert [find_requirement(name, label="z").limit for name in ("bias", "scatter")] == [0.003, 0.02]
    assert "misprint" in find_requirement("bias", label="z").note
    assert find_requirement("bias", label="feh") is None
    assert all(find_metric(one.metric) and one.reference for one in REQUIREMENTS)


BETTER = {"lower": "smaller", "higher": "larger", "zero": "nearer 0"}
DELTA = {"plain": r"$\hat y - y$", "per_one_plus": r"$(\hat y - y)/(1 + y)$"}


def _row_of_quantity(quantity):
    words = f"{quantity.words} ({quantity.unit})" if quantity.unit else quantity.words
    scored = "all" if quantity.scored is None else "${:g} < y \\le {:g}$".format(*quantity.scored)
    cut = "none" if quantity.outlier is None else f"{quantity.outlier:g}"
    return f"| `{quantity.name}` | {words} | {DELTA[quantity.error]} | {scored} | {cut} |"


def _row_of_metric(metric):
    formula = metric.formula.replace("|", r" \vert ")  # a bare bar would end the table cell
    return f"| `{metric.id}` | ${formula}$ | {BETTER[metric.sign]} | {metric.unit} | {metric.reference} |"


def test_the_documentation_page_is_in_step():
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    metrics = [_row_of_metric(find_metric(name)) for name in list_metrics()]
    assert rows == [*map(_row_of_quantity, QUANTITIES.values()), *metrics]
