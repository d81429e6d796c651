"""Curves whose plateau is known in closed form."""

import numpy as np
import pandas as pd
import pytest

from astrolab.errors import ConfigError, PredictionError
from astrolab.metrics import estimate_plateau
from astrolab.metrics.plateau import find_plateau

FRACTIONS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)


def make_predictions(width, *, fractions=FRACTIONS, n=300, noise=0.0, seeds=(0,), arm="lora"):
    """Errors of one shape, `width(fraction)` wide: the scatter follows the width, whatever the galaxies."""
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.3, 1.5, n)
    shape = rng.normal(size=n)
    tables = []
    for fraction in fractions:
        for seed in seeds:
            dz = width(fraction) * (shape + noise * rng.normal(size=n))
            columns = {"object_id": np.arange(n), "truth": truth, "pred": truth + (1 + truth) * dz}
            tables.append(pd.DataFrame(columns).assign(fraction=fraction, seed=seed))
    return pd.concat(tables, ignore_index=True).assign(arm=arm, survey="s", simulated=True)


def ramp(fraction):
    """Falls in a straight line to half its width at 0.5, and stays there."""
    return 0.1 - 0.1 * min(fraction, 0.5)


def saturating(fraction):
    return 0.02 + 0.08 * np.exp(-fraction / 0.2)


def test_a_ramp_flattens_where_nine_tenths_of_it_are_done():
    row = estimate_plateau(make_predictions(ramp), n_bootstrap=100).iloc[0]
    assert row["plateau"] == pytest.approx(0.45) and row["straight"] == pytest.approx(0.9)
    assert (row["low"], row["high"]) == (pytest.approx(0.45), pytest.approx(0.45))  # in every resample: it is paired
    assert row["gains_frac"] == 1 and row["gain_low"] <= row["gain"] <= row["gain_high"]
    assert row["n"] == 300 and row["n_seeds"] == 1 and row["simulated"]
    later = estimate_plateau(make_predictions(ramp), tolerance=0.02, n_bootstrap=10).iloc[0]
    assert later["plateau"] == pytest.approx(0.49)


def test_an_exponential_flattens_where_its_formula_says():
    fractions = tuple(np.linspace(0, 1, 41))
    row = estimate_plateau(make_predictions(saturating, fractions=fractions, n=60), n_bootstrap=20).iloc[0]
    expected = -0.2 * np.log(1 - 0.9 * (1 - np.exp(-5)))
    assert row["plateau"] == pytest.approx(expected, abs=1e-3)  # what linear interpolation leaves


def test_the_interval_holds_the_truth_and_shrinks_with_more_galaxies():
    few, many = (
        estimate_plateau(make_predictions(ramp, n=n, noise=0.4, seeds=(0, 1, 2)), seeds="fixed").iloc[0]
        for n in (150, 2400)
    )
    assert 0 < many["high"] - many["low"] < 0.6 * (few["high"] - few["low"])
    assert many["low"] - 0.1 < 0.45 < many["high"] + 0.1
    assert many["n_seeds"] == 3


def test_networks_of_other_seeds_may_flatten_elsewhere():
    predictions = make_predictions(ramp, noise=0.4, seeds=(0, 1, 2))
    at_hand, sampled = (estimate_plateau(predictions, seeds=seeds).iloc[0] for seeds in ("fixed", None))
    assert sampled["gain_high"] - sampled["gain_low"] > at_hand["gain_high"] - at_hand["gain_low"]


def test_a_curve_without_gain_says_so():
    worse = estimate_plateau(make_predictions(lambda fraction: 0.05 + 0.02 * fraction), n_bootstrap=50).iloc[0]
    assert np.isnan(worse["plateau"]) and np.isnan(worse["low"]) and worse["gains_frac"] == 0 and worse["gain"] < 0
    flat = estimate_plateau(make_predictions(lambda fraction: 0.05, noise=0.5), n_bootstrap=200).iloc[0]
    assert 0.02 < flat["gains_frac"] < 0.98


def test_what_falls_back_has_not_flattened():
    curves = np.array([[1.0, 1.0], [0.05, 0.5], [0.6, 0.5], [0.0, 1.2]])
    places = np.array([0.0, 0.2, 0.6, 1.0])
    reached = find_plateau(curves, places=places, tolerance=0.1)
    assert reached[0] == pytest.approx(0.6 + 0.4 * (0.6 - 0.1) / 0.6) and np.isnan(reached[1])


def test_each_arm_has_its_own_curve_and_fractions():
    arms = [
        make_predictions(ramp),
        make_predictions(ramp, arm="scratch", fractions=[f for f in FRACTIONS if f]),
    ]
    table = estimate_plateau(pd.concat(arms), n_bootstrap=10).set_index("arm")
    assert table["plateau"].to_dict() == {"lora": pytest.approx(0.45), "scratch": pytest.approx(0.46)}


def test_a_larger_score_may_be_the_better_one():
    row = estimate_plateau(make_predictions(ramp), metric="r2", n_bootstrap=20).iloc[0]
    assert row["gain"] > 0 and 0 < row["plateau"] < 0.5


def test_too_few_fractions_and_bad_tolerances_are_refused():
    with pytest.raises(PredictionError, match="three fractions"):
        estimate_plateau(make_predictions(ramp, fractions=(0.0, 1.0)))
    with pytest.raises(ConfigError, match=r"tolerance=1\.0"):
        estimate_plateau(make_predictions(ramp), tolerance=1.0)
