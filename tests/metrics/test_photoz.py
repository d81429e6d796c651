"""The photo-z metrics against astropy, scipy and closed forms, on real published predictions where they are at hand."""

import numpy as np
import pytest
import scipy.stats
from astropy.stats import biweight_location, biweight_midvariance, mad_std

from astrolab.metrics import find_metric, photoz


@pytest.fixture(scope="module")
def published(shared_data):
    """Predictions of Luo et al. on the real GalaxiesML test set, true redshift in (0.3, 1.5]."""
    table = np.loadtxt(shared_data / "galaxiesml_published" / "LSTM_MDNz_GalaxiesML_pred_z.dat", skiprows=1)
    pred, truth = table[:, 0], table[:, 1]
    inside = (truth > 0.3) & (truth <= 1.5)
    return {"truth": truth[inside], "pred": pred[inside]}


def _independent(name, *, truth, pred):
    dz = (pred - truth) / (1 + truth)
    return {
        "bias": lambda: np.percentile(dz, 50),
        "bias_mean": lambda: dz.sum() / dz.size,
        "scatter": lambda: mad_std(dz),
        "scatter_uncentred": lambda: scipy.stats.median_abs_deviation(dz, center=lambda *_, **__: 0.0, scale="normal"),
        "scatter_std": lambda: scipy.stats.tstd(dz) * np.sqrt(1 - 1 / dz.size),
        "catastrophic_rate": lambda: 1 - scipy.stats.percentileofscore(np.abs(pred - truth), 1.0) / 100,
        "outlier_rate": lambda: 1 - scipy.stats.percentileofscore(np.abs(dz), 0.15) / 100,
        "loss": lambda: np.mean(dz**2 / (dz**2 + 0.15**2)),
        "biweight_bias": lambda: biweight_location(dz),
        "biweight_scatter": lambda: np.sqrt(biweight_midvariance(dz)),
        "rmse_dz": lambda: np.linalg.norm(dz) / np.sqrt(dz.size),
    }[name]()


NAMES = (
    "bias",
    "bias_mean",
    "scatter",
    "scatter_uncentred",
    "scatter_std",
    "catastrophic_rate",
    "outlier_rate",
    "loss",
    "biweight_bias",
    "biweight_scatter",
    "rmse_dz",
)


@pytest.mark.parametrize("name", NAMES)
def test_agrees_with_an_independent_implementation_on_published_predictions(name, published):
    # 1.4826 is the published factor; astropy and scipy use 1.482602...
    assert find_metric(name)(**published) == pytest.approx(_independent(name, **published), rel=3e-6, abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_agrees_with_an_independent_implementation_on_heavy_tails(name):
    rng = np.random.default_rng(1)
    truth = rng.uniform(0.3, 1.5, 999)
    sample = {"truth": truth, "pred": truth + 0.1 * rng.standard_t(2, 999)}
    assert find_metric(name)(**sample) == pytest.approx(_independent(name, **sample), rel=3e-6, abs=1e-12)


def test_recovers_a_known_bias_and_scatter():
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.3, 1.5, 200_000)
    pred = truth + (1 + truth) * rng.normal(0.01, 0.02, truth.size)
    assert photoz.bias(truth=truth, pred=pred) == pytest.approx(0.01, abs=2e-4)
    assert photoz.scatter(truth=truth, pred=pred) == pytest.approx(0.02, abs=2e-4)
    assert photoz.biweight_scatter(truth=truth, pred=pred) == pytest.approx(0.02, abs=4e-4)
    # The centred scatter does not see the bias, the one about zero does.
    assert photoz.scatter_uncentred(truth=truth, pred=pred) > 0.0215


def test_the_catastrophic_cut_is_not_divided_by_one_plus_z():
    truth, pred = np.array([1.4, 1.4]), np.array([2.5, 2.3])
    assert photoz.catastrophic_rate(truth=truth, pred=pred) == 0.5
    assert photoz.outlier_rate(truth=truth, pred=pred) == 1.0


def test_perfect_predictions_score_zero_throughout():
    truth = np.linspace(0.3, 1.5, 11)
    assert all(find_metric(name)(truth=truth, pred=truth.copy()) == 0 for name in NAMES)
