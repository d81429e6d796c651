"""Columns become labels, ids and magnitudes without losing a digit."""

import astropy.units as u
import numpy as np
import pytest

from astrolab.datasets.columns import MagnitudeRows


@pytest.mark.parametrize(("unit", "of"), [("nJy", u.nJy), ("uJy", u.uJy), ("nanomaggy", 3631e-9 * u.Jy)])
def test_fluxes_become_the_magnitudes_that_astropy_gives(unit, of):
    flux = np.array([0.3, 1.0, 12_345.6])
    found = MagnitudeRows([flux], unit=unit)[:][:, 0]
    np.testing.assert_allclose(found, (flux * of).to_value(u.ABmag), atol=2e-4)


def test_a_flux_that_is_not_positive_has_no_magnitude():
    assert list(np.isnan(MagnitudeRows([np.array([-1.0, 0.0, 1.0])], unit="nJy")[:][:, 0])) == [True, True, False]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, ">f4", np.int64])
def test_sentinels_become_nan_in_any_type(dtype):
    column = np.array([-99.9, 20, 99, -99.9]).astype(dtype)
    found = MagnitudeRows([column, None], missing=[float(column[0]), -99.9, 99.0])[:]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(found), [[True, True], [False, True], [True, True], [True, True]])


def test_infinity_is_missing_too():
    assert np.isnan(MagnitudeRows([np.array([np.inf, -np.inf, np.nan])])[:]).all()
