import numpy as np
import pandas as pd
import pytest
from scipy.stats import median_abs_deviation

from astrolab.exploring.deviations import with_deviations
from astrolab.exploring.selection import brightest_outliers_first, inside_slices, score_galaxies


@pytest.fixture
def many():
    random = np.random.default_rng(3)
    truth = random.uniform(0.1, 2.0, 500)
    pred = truth + (1 + truth) * 0.05 * random.standard_t(2, 500)
    return pd.DataFrame({"label": "z", "truth": truth, "pred": pred, "object_id": np.arange(500)})


def test_scores_of_a_selection_are_those_of_its_galaxies(many):
    rows = np.flatnonzero(many["truth"] < 1.0)
    scores = score_galaxies(many, rows=rows, z_range=(0.3, 1.5)).set_index("metric")
    part = many[(many["truth"] > 0.3) & (many["truth"] < 1.0)]
    dz = (part["pred"] - part["truth"]) / (1 + part["truth"])
    assert scores.loc["bias", "value"] == pytest.approx(np.median(dz))
    assert scores.loc["scatter", "value"] == pytest.approx(median_abs_deviation(dz, scale="normal"), rel=1e-4)
    assert scores.loc["outlier_rate", "value"] == pytest.approx((dz.abs() > 0.15).mean())
    assert scores["n"].tolist() == [len(part)] * 4
    assert (scores["low"] <= scores["value"]).all() and (scores["value"] <= scores["high"]).all()
    assert scores.loc["bias", "limit"] == 0.003 and np.isnan(scores.loc["outlier_rate", "limit"])


def test_a_mask_and_row_numbers_mean_the_same(many):
    mask = (many["truth"] > 0.8).to_numpy()
    pd.testing.assert_frame_equal(score_galaxies(many, rows=mask), score_galaxies(many, rows=np.flatnonzero(mask)))


def test_an_empty_selection_has_no_scores_instead_of_an_error(many):
    scores = score_galaxies(many, rows=np.array([], dtype=int))
    assert scores["n"].eq(0).all() and scores["value"].isna().all()


def test_one_galaxy_has_a_bias_but_no_scatter_and_a_handful_no_resampled_interval(many):
    one = score_galaxies(many, rows=np.array([7]), z_range=None).set_index("metric")
    dz = (many["pred"] - many["truth"])[7] / (1 + many["truth"][7])
    assert one.loc["bias", "value"] == pytest.approx(dz) and np.isnan(one.loc["scatter", "value"])
    assert one["n"].eq(1).all() and one.loc[["bias", "scatter"], ["low", "high"]].isna().all(axis=None)
    assert one.loc["outlier_rate", ["value", "low", "high"]].notna().all(), "a rate's interval is binomial"
    for n, has_interval in ((2, False), (9, False), (10, True)):
        some = score_galaxies(many, rows=np.arange(n), z_range=None).set_index("metric")
        assert some["value"].notna().all()
        assert some.loc[["bias", "scatter"], ["low", "high"]].notna().all(axis=None) == has_interval
    assert np.isnan(score_galaxies(many, rows=np.array([7]), metrics=["scatter"], z_range=None)["value"].item())


def test_one_galaxy_with_another_label_has_errors_but_no_correlation(many, recwarn):
    one = score_galaxies(many.assign(label="feh"), rows=np.array([7])).set_index("metric")["value"]
    assert one[["rmse", "mae"]].notna().all() and one[["r2", "pearson_r2"]].isna().all()
    assert not recwarn.list


def test_other_labels_are_scored_whole_with_their_own_metrics(many):
    scores = score_galaxies(many.assign(label="feh")).set_index("metric")
    rms = np.sqrt(((many["pred"] - many["truth"]) ** 2).mean())
    assert scores.loc["rmse", "value"] == pytest.approx(rms) and scores.loc["rmse", "n"] == 500


def test_large_samples_are_scored_without_resampling(many):
    large = pd.concat([many] * 50, ignore_index=True)
    scores = score_galaxies(large, z_range=None)
    assert scores["n"].eq(25_000).all() and scores["low"].isna().all() and scores["value"].notna().all()


def test_slices_hold_both_their_ends():
    galaxies = pd.DataFrame({"truth": [0.1, 0.2, 0.3, 0.4], "i_mag": [20.0, np.nan, 22.0, 23.0]})
    assert inside_slices(galaxies, ranges={"truth": (0.2, 0.3)}).tolist() == [False, True, True, False]
    assert inside_slices(galaxies, ranges={"i_mag": (20.0, 22.0)}).tolist() == [True, False, True, False]
    whole = {"truth": (0.1, 0.4), "i_mag": (20.0, 23.0)}
    assert inside_slices(galaxies, ranges=whole).all(), "a range of everything leaves nothing out"


def test_bright_outliers_come_first_then_what_is_farthest_off(predictions):
    galaxies = pd.DataFrame(
        {
            "label": "z",
            "truth": 1.0,
            "pred": [1.1, 3.0, 2.0, 1.2],
            "i_mag": [15.0, 22.0, 20.0, 15.0],
            "object_id": range(4),
        }
    )
    assert brightest_outliers_first(with_deviations(galaxies)).tolist() == [2, 1, 3, 0]
    without = with_deviations(galaxies.drop(columns="i_mag"))
    assert brightest_outliers_first(without).tolist() == [1, 2, 3, 0]
    assert brightest_outliers_first(without, n=1).tolist() == [1]
