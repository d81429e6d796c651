import numpy as np
import pandas as pd
import pytest

from astrolab.errors import ConfigError
from astrolab.plots import plot_depth


@pytest.fixture
def imaging():
    table = pd.DataFrame({"band": ["hsc-g", "hsc-i"], "fwhm_arcsec": [0.8, np.nan], "depth_mag": [26.5, np.nan]})
    table = table.assign(stated_fwhm_arcsec=[0.7, 0.6], stated_depth_mag=[26.6, 26.2], simulated=True)
    other = table.assign(survey="galaxiesml", stated_fwhm_arcsec=np.nan, stated_depth_mag=np.nan, simulated=False)
    return pd.concat([table.assign(survey="twin-transferz"), other])


def test_measured_is_filled_and_stated_is_hollow_at_their_values(imaging):
    figure = plot_depth(imaging)
    sharp, deep = figure.axes
    filled, hollow = sharp.lines[:2]
    np.testing.assert_allclose(filled.get_ydata(), [0.8, np.nan])
    np.testing.assert_allclose(hollow.get_ydata(), [0.7, 0.6])
    assert hollow.get_markerfacecolor() == "white" != filled.get_markerfacecolor()
    np.testing.assert_allclose(deep.lines[1].get_ydata(), [26.6, 26.2])
    assert [tick.get_text() for tick in sharp.get_xticklabels()] == ["g", "i"]
    assert "arcsec" in sharp.get_ylabel() and "AB mag" in deep.get_ylabel()
    assert "simulated" in figure.get_suptitle()


def test_a_table_without_a_number_is_refused(imaging):
    empty = imaging.assign(fwhm_arcsec=np.nan, depth_mag=np.nan, stated_fwhm_arcsec=np.nan, stated_depth_mag=np.nan)
    with pytest.raises(ConfigError, match="without a number"):
        plot_depth(empty)
