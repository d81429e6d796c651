import numpy as np
import pytest

from astrolab.errors import UnknownNameError
from astrolab.plots import plot_colour_redshift


def test_each_panel_holds_the_galaxies_with_both_magnitudes_and_every_median(two_surveys):
    figure = plot_colour_redshift(two_surveys, bands=("hsc-g", "i"))
    for survey, ax in zip(two_surveys, figure.axes, strict=True):
        mags = survey.inputs["magnitudes"][:]
        measured = np.isfinite(mags[:, [0, 2]]).all(axis=1)
        points = ax.collections[0].get_offsets()
        np.testing.assert_allclose(points[:, 0], survey.labels["z"][measured])
        np.testing.assert_allclose(points[:, 1], (mags[:, 0] - mags[:, 2])[measured])
        assert str(measured.sum()) in ax.get_title(loc="left")
        assert ax.get_ylabel() == ("g − i (mag)" if ax is figure.axes[0] else "")
    medians = [line.get_ydata() for line in figure.axes[0].lines]
    assert np.median(medians[0]) == pytest.approx(1.0, abs=0.2)  # g - i of the first survey, see the fixture
    assert np.median(medians[2]) == pytest.approx(0.4, abs=0.2)


def test_a_band_that_is_not_there_is_named(two_surveys):
    with pytest.raises(UnknownNameError, match="hsc-g"):
        plot_colour_redshift(two_surveys, bands=("u", "g"))
