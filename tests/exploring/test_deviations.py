import numpy as np
import pandas as pd
from scipy.stats import median_abs_deviation

from astrolab.exploring.deviations import is_redshift, with_deviations


def test_a_redshift_is_off_in_units_of_one_plus_z(predictions):
    tl = with_deviations(predictions.query("arm == 'tl'"))
    np.testing.assert_allclose(tl["deviation"], [0.0, 0.1, 0.8])
    assert tl["is_outlier"].tolist() == [False, False, True]


def test_any_other_label_is_off_by_the_difference_and_clipped_at_three_sigma():
    random = np.random.default_rng(0)
    truth = random.normal(size=400)
    error = np.where(np.arange(400) == 7, 1.0, 0.05 * random.normal(size=400))
    galaxies = with_deviations(pd.DataFrame({"label": "feh", "truth": truth, "pred": truth + error}))
    np.testing.assert_allclose(galaxies["deviation"], error, atol=1e-12)
    sigma = median_abs_deviation(error, scale="normal")  # scipy's factor is 1.4826 to five digits
    expected = np.abs(error - np.median(error)) > 3 * sigma
    assert galaxies["is_outlier"].tolist() == expected.tolist() and galaxies["is_outlier"][7]


def test_redshifts_are_known_by_their_label():
    assert is_redshift("z") and not is_redshift("feh")
