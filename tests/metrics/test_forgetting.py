"""Models whose errors are known, so that what they gain and forget is known too."""

import numpy as np
import pandas as pd
import pytest

from astrolab.errors import PredictionError
from astrolab.metrics import score
from astrolab.metrics.forgetting import measure_forgetting

WIDTHS = {"new": {"zero_shot": 0.1, "lora": 0.04, "full": 0.03}, "old": {"zero_shot": 0.05, "lora": 0.06, "full": 0.1}}


def make_predictions(*, n=300, noise=0.0, seeds=(0,)):
    rng = np.random.default_rng(0)
    tables = []
    for survey, widths in WIDTHS.items():
        truth, shape = rng.uniform(0.3, 1.5, n), rng.normal(size=n)
        for arm, width in widths.items():
            for seed in seeds:
                dz = width * (shape + noise * rng.normal(size=n))
                columns = {"object_id": np.arange(n), "truth": truth, "pred": truth + (1 + truth) * dz}
                tables.append(pd.DataFrame(columns).assign(survey=survey, arm=arm, seed=seed, simulated=True))
    return pd.concat(tables, ignore_index=True)


def test_gain_and_forgetting_are_differences_to_the_model_that_was_not_moved():
    predictions = make_predictions()
    table = measure_forgetting(predictions, old="old", new="new", n_bootstrap=100).set_index("arm")
    scatter = score(predictions, metrics=["scatter"], n_bootstrap=0).set_index(["survey", "arm"])["value"]
    for arm in ("lora", "full"):
        row = table.loc[arm]
        assert row["gain"] == pytest.approx(scatter["new", "zero_shot"] - scatter["new", arm])
        assert row["forgetting"] == pytest.approx(scatter["old", arm] - scatter["old", "zero_shot"])
        assert row["on_new"] == pytest.approx(scatter["new", arm])
        assert 0 < row["gain_low"] < row["gain"] < row["gain_high"]
        assert row["on_old"] == pytest.approx(scatter["old", arm])
        assert row["on_old_low"] < row["on_old"] < row["on_old_high"]
    base = table.loc["zero_shot"]
    assert table.index[0] == "zero_shot" and (base["gain"], base["forgetting"]) == (0, 0)
    assert (base["forgetting_low"], base["forgetting_high"]) == (0, 0)


def test_the_intervals_are_paired():
    """Errors of one shape: a difference is a fixed share of the reference's scatter, in every resample."""
    row = measure_forgetting(make_predictions(), old="old", new="new").set_index("arm").loc["full"]
    share = (row["forgetting_high"] - row["forgetting_low"]) / row["forgetting"]
    alone = score(make_predictions().query("arm == 'zero_shot' and survey == 'old'"), metrics=["scatter"]).iloc[0]
    assert share == pytest.approx((alone["high"] - alone["low"]) / alone["value"], rel=0.15)


def test_seeds_are_averaged_and_their_spread_widens_the_intervals():
    predictions = make_predictions(noise=0.5, seeds=(0, 1, 2))
    fixed, sampled = (
        measure_forgetting(predictions, old="old", new="new", seeds=how, n_bootstrap=300).set_index("arm").loc["lora"]
        for how in ("fixed", None)
    )
    assert sampled["n_seeds"] == 3 and sampled["gain"] == fixed["gain"]
    assert sampled["gain_high"] - sampled["gain_low"] > fixed["gain_high"] - fixed["gain_low"]


def test_where_larger_is_better_a_gain_is_still_positive():
    row = measure_forgetting(make_predictions(), old="old", new="new", metric="r2", n_bootstrap=20).set_index("arm")
    assert row.loc["full", "gain"] > 0 and row.loc["full", "forgetting"] > 0


def test_biases_of_uncertain_sign_may_be_of_opposite_sign():
    """Errors that models share then move one towards zero and the other away from it: by two errors of one of them."""
    rng = np.random.default_rng(1)
    n, truth, noise = 400, rng.uniform(0.3, 1.5, 400), rng.normal(0, 0.1, 400)
    noise -= noise.mean()
    columns = {"object_id": np.arange(n), "truth": truth, "seed": 0, "simulated": True}
    predictions = pd.concat(
        pd.DataFrame(columns | {"pred": truth + (1 + truth) * (offset + noise)}).assign(survey=survey, arm=arm)
        for survey in ("new", "old")
        for arm, offset in (("zero_shot", 0.004), ("lora", 0.003))
    )
    settings = {"old": "old", "new": "new", "metric": "bias_mean", "level": 0.95}
    row = measure_forgetting(predictions, **settings).set_index("arm").loc["lora"]
    assert row["gain"] == pytest.approx(0.001)
    assert row["gain_high"] - row["gain_low"] == pytest.approx(2 * 1.96 * 2 * 0.1 / np.sqrt(n), rel=0.1)


def test_surveys_and_references_that_are_not_there_are_named():
    with pytest.raises(PredictionError, match="no predictions for older"):
        measure_forgetting(make_predictions(), old="older", new="new")
    with pytest.raises(PredictionError, match="base"):
        measure_forgetting(make_predictions(), old="old", new="new", reference="base")
