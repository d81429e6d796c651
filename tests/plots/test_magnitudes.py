import numpy as np
import pytest

from astrolab.errors import ConfigError, UnknownNameError
from astrolab.plots import plot_magnitude_distributions
from astrolab.plots.magnitudes import magnitudes_in


def test_a_band_is_found_by_name_and_by_letter(two_surveys):
    survey = two_surveys[0]
    expected = survey.inputs["magnitudes"][:, 1]
    np.testing.assert_array_equal(magnitudes_in(survey, band="hsc-r"), expected)
    np.testing.assert_array_equal(magnitudes_in(survey, band="r"), expected)
    with pytest.raises(UnknownNameError, match="hsc-i"):
        magnitudes_in(survey, band="u")


def test_every_band_has_a_panel_with_the_median_of_each_survey(two_surveys):
    figure = plot_magnitude_distributions(two_surveys)
    assert [ax.get_xlabel() for ax in figure.axes] == [f"{letter} (mag)" for letter in "gri"]
    for number, ax in enumerate(figure.axes):
        drawn = [line.get_xdata()[0] for line in ax.lines]
        assert drawn == pytest.approx([np.nanmedian(s.inputs["magnitudes"][:, number]) for s in two_surveys])
    assert "simulated twin surveys" in figure.get_suptitle()
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "GalaxiesML twin · 90" in labels


def test_one_band_is_enough_and_nothing_is_refused(two_surveys):
    assert len(plot_magnitude_distributions(two_surveys, bands=["i"]).axes) == 1
    with pytest.raises(ConfigError, match="none"):
        plot_magnitude_distributions([])
    with pytest.raises(ConfigError, match="without galaxies"):
        plot_magnitude_distributions([two_surveys[0].take(slice(0, 0))])
