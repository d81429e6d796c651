import numpy as np
import pandas as pd
import pytest

from astrolab.errors import PredictionError
from astrolab.metrics import paired_difference


def _predictions(*, n=400, seed=0, widths=(("lora", 0.02), ("full", 0.04)), offsets=(("lora", 0.0), ("full", 0.0))):
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0.3, 1.5, n)
    difficulty = rng.normal(0, 1, n)  # the same galaxies are hard for every model
    tables = []
    for arm, width in widths:
        dz = dict(offsets)[arm] + width * (difficulty + 0.1 * rng.normal(0, 1, n))
        columns = {
            "survey": "s",
            "arm": arm,
            "object_id": np.arange(n),
            "truth": truth,
            "pred": truth + (1 + truth) * dz,
        }
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def test_negative_means_that_a_is_better():
    result = paired_difference(_predictions(), a="lora", b="full", metrics=["scatter", "bias", "r2"], n_bootstrap=200)
    scatter = result.set_index("metric").loc["scatter"]
    assert scatter["difference"] == pytest.approx(scatter["value_a"] - scatter["value_b"])
    assert scatter["difference"] < scatter["high"] < 0
    assert scatter["better"] == "lora" and scatter["a_better_frac"] == 1
    r2 = result.set_index("metric").loc["r2"]
    assert r2["value_a"] > r2["value_b"] and r2["difference"] < 0 and r2["better"] == "lora"


def test_bias_is_compared_by_its_size():
    predictions = _predictions(widths=(("lora", 0.01), ("full", 0.01)), offsets=(("lora", -0.05), ("full", 0.02)))
    row = paired_difference(predictions, a="lora", b="full", metrics=["bias"], n_bootstrap=100).iloc[0]
    assert row["value_a"] < 0 and row["difference"] == pytest.approx(0.03, abs=0.005) and row["better"] == "full"


def test_pairing_sees_what_separate_intervals_cannot():
    predictions = _predictions(widths=(("lora", 0.050), ("full", 0.052)), n=800)
    row = paired_difference(predictions, a="lora", b="full", metrics=["scatter_std"], n_bootstrap=300, level=0.95).iloc[
        0
    ]
    assert row["better"] == "lora"
    assert row["high"] - row["low"] < 0.002  # separate intervals are each about 0.005 wide


def test_order_of_rows_does_not_matter():
    predictions = _predictions()
    shuffled = predictions.sample(frac=1, random_state=0)
    settings = {"a": "lora", "b": "full", "metrics": ["scatter"], "n_bootstrap": 50}
    pd.testing.assert_frame_equal(paired_difference(predictions, **settings), paired_difference(shuffled, **settings))


def test_the_same_model_twice_is_undecided():
    predictions = pd.concat([_predictions().query("arm == 'lora'").assign(arm=arm) for arm in ("x", "y")])
    row = paired_difference(predictions, a="x", b="y", metrics=["scatter"], n_bootstrap=50).iloc[0]
    assert row["better"] == "undecided" and row["difference"] == 0


def test_different_galaxies_are_refused():
    predictions = _predictions()
    with pytest.raises(PredictionError, match="same galaxies"):
        paired_difference(predictions.drop(index=0), a="lora", b="full")
    with pytest.raises(PredictionError, match="lora, full"):
        paired_difference(predictions, a="lora", b="combo")
    with pytest.raises(PredictionError, match="only one of them"):
        extra = predictions.query("arm == 'lora'").assign(survey="other")
        paired_difference(pd.concat([predictions, extra]), a="lora", b="full")
