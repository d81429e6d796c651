from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from drawn import assert_nothing_is_cut, legend_of
from matplotlib.pyplot import subplots

from astrolab.errors import ConfigError, UnknownNameError
from astrolab.plots import (
    plot_colour_redshift,
    plot_depth,
    plot_galaxies,
    plot_magnitude_distributions,
    plot_truth_distributions,
)
from astrolab.plots.surveys import GAINS, band_pictures, choose_objects, colour_picture, magnitudes_in, object_picture
from astrolab.tasks import Quantity, Task, make_task

BANDS = ("hsc-g", "hsc-r", "hsc-i", "hsc-z", "hsc-y")


def test_an_object_counts_once_however_many_arms_have_seen_it(predictions):
    ax = plot_truth_distributions(predictions, objects="galaxies")
    labels = legend_of(ax.figure)
    assert all("150 galaxies" in label for label in labels[:2]) and labels[2:] == ["scored"]
    assert "simulated twin surveys" in ax.get_title(loc="left") and ax.get_xlabel() == "true redshift"
    assert_nothing_is_cut(ax.figure)


def test_truths_of_surveys_are_drawn_where_they_are_known_with_their_medians(two_surveys):
    task = Task("stars", (Quantity("feh", "[Fe/H]", "dex"),))
    feh = np.where(np.arange(90) < 60, np.linspace(-2, 0, 90), np.nan)
    stars = replace(two_surveys[0], name="desi", labels=pd.DataFrame({"feh": feh}), task=task, objects="stars")
    ax = plot_truth_distributions([stars])
    assert ax.lines[0].get_xdata()[0] == pytest.approx(np.nanmedian(feh))
    assert legend_of(ax.figure) == [f"DESI · 60 stars, median {np.nanmedian(feh):.2f}"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("[Fe/H] (dex)", "fraction of stars")
    assert not [text for text in ax.texts if text.get_text() == "scored"], "all metallicities are"
    heights = ax.patches[0].get_xy()[:, 1]
    assert heights.max() < 0.1


def test_truths_are_drawn_into_given_axes_and_nothing_is_refused(predictions, two_surveys):
    _, axes = subplots(1, 2)
    assert plot_truth_distributions(predictions, ax=axes[0]) is axes[0]
    assert axes[0].get_legend() and not axes[0].figure.legends
    with pytest.raises(ConfigError, match="none"):
        plot_truth_distributions([])
    with pytest.raises(UnknownNameError, match="no labels"):
        plot_truth_distributions([replace(two_surveys[0], labels=pd.DataFrame(index=range(90)), task=make_task([]))])


def test_each_panel_holds_the_objects_with_both_magnitudes_and_every_median(two_surveys):
    figure = plot_colour_redshift(two_surveys, bands=("hsc-g", "i"))
    for survey, ax in zip(two_surveys, figure.axes, strict=True):
        mags = survey.inputs["magnitudes"][:]
        measured = np.isfinite(mags[:, [0, 2]]).all(axis=1)
        points = ax.collections[0].get_offsets()
        np.testing.assert_allclose(points[:, 0], survey.labels["z"][measured])
        np.testing.assert_allclose(points[:, 1], (mags[:, 0] - mags[:, 2])[measured])
        assert str(measured.sum()) in ax.get_title(loc="center")
        assert ax.get_ylabel() == ("g − i (mag)" if ax is figure.axes[0] else "")
    assert "Colour against redshift" in figure.get_suptitle()
    medians = [line.get_ydata() for line in figure.axes[0].lines]
    assert np.median(medians[0]) == pytest.approx(1.0, abs=0.2)  # g - i of the first survey, see the fixture
    assert np.median(medians[2]) == pytest.approx(0.4, abs=0.2)
    for drawn in (figure, plot_colour_redshift(two_surveys[:1], bands=("g", "r"))):
        assert_nothing_is_cut(drawn)


def test_a_band_is_found_by_name_and_by_letter_or_named_where_it_is_not_there(two_surveys):
    survey = two_surveys[0]
    expected = survey.inputs["magnitudes"][:, 1]
    np.testing.assert_array_equal(magnitudes_in(survey, band="hsc-r"), expected)
    np.testing.assert_array_equal(magnitudes_in(survey, band="r"), expected)
    with pytest.raises(UnknownNameError, match="hsc-i"):
        plot_colour_redshift(two_surveys, bands=("u", "g"))


def test_every_band_has_a_panel_with_the_median_of_each_survey(two_surveys):
    figure = plot_magnitude_distributions(two_surveys)
    assert [ax.get_xlabel() for ax in figure.axes] == [f"{letter} (mag)" for letter in "gri"]
    for number, ax in enumerate(figure.axes):
        drawn = [line.get_xdata()[0] for line in ax.lines]
        assert drawn == pytest.approx([np.nanmedian(s.inputs["magnitudes"][:, number]) for s in two_surveys])
    assert "simulated twin surveys" in figure.get_suptitle() and "GalaxiesML twin · 90" in legend_of(figure)
    assert figure.axes[0].get_ylabel() == "fraction of galaxies"
    one = plot_magnitude_distributions(two_surveys, bands=["i"])
    assert len(one.axes) == 1
    for drawn in (figure, one):
        assert_nothing_is_cut(drawn)


def test_empty_surveys_are_refused(two_surveys):
    empty = two_surveys[0].take(slice(0, 0))
    for surveys, word in ([], "none"), ([empty], "an empty one"):
        with pytest.raises(ConfigError, match=word):
            plot_magnitude_distributions(surveys)


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
    assert_nothing_is_cut(figure)


def test_imaging_without_a_number_is_refused(imaging):
    empty = imaging.assign(fwhm_arcsec=np.nan, depth_mag=np.nan, stated_fwhm_arcsec=np.nan, stated_depth_mag=np.nan)
    with pytest.raises(ConfigError, match="without a number"):
        plot_depth(empty)


def blob(size=32, *, peak=100.0, x=0.0, y=0.0):
    place = np.arange(size) - (size - 1) / 2
    return peak * np.exp(-((place[None, :] - x) ** 2 + (place[:, None] - y) ** 2) / 18)


def test_a_galaxy_with_the_white_colours_comes_out_grey():
    flux = {"r": 1 / GAINS[1], "g": 1 / GAINS[2], "i": 1 / GAINS[0]}
    noise = 0.001 * np.random.default_rng(0).normal(size=(32, 32))
    stamp = np.stack([blob() * flux[letter] + noise for letter in "gri"])
    picture = colour_picture(stamp, channels=BANDS[:3]).astype(int)
    assert picture.shape == (32, 32, 3) and picture.max() > 200
    assert np.ptp(picture[12:20, 12:20], axis=2).max() <= 2


def test_red_is_the_reddest_of_three_bands_and_colour_does_not_fade_in_the_core():
    stamp = np.stack([0.2 * blob(), 0.5 * blob(), blob()]) + 0.01 * np.random.default_rng(0).normal(size=(3, 32, 32))
    picture = colour_picture(stamp, channels=("sdss-g", "sdss-r", "sdss-i")).astype(float)
    core, wing = picture[15, 15], picture[15, 22]
    assert core[0] > core[1] > core[2]
    np.testing.assert_allclose(core[2] / core[0], wing[2] / wing[0], atol=0.12)


def test_what_is_in_red_green_and_blue_already_is_shown_as_it_is():
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    stamp = picture.transpose(2, 0, 1)
    np.testing.assert_array_equal(colour_picture(stamp, channels=("red", "green", "blue")), picture)
    np.testing.assert_array_equal(colour_picture(stamp[::-1] / 255, channels=("blue", "green", "red")), picture)
    np.testing.assert_array_equal(object_picture(stamp, channels=("red", "green", "blue")), picture)


def test_pictures_stand_upright():
    """Row 0 of a stamp is the lowest, row 0 of a picture the highest."""
    stamp = np.stack([blob(x=8, y=-8)] * 5) + 0.01 * np.random.default_rng(0).normal(size=(5, 32, 32))
    for picture in (band_pictures(stamp, channels=BANDS)[2], colour_picture(stamp, channels=BANDS).sum(axis=2)):
        y, x = np.nonzero(picture > 0.8 * picture.max())
        assert y.mean() == pytest.approx(23.5, abs=1) and x.mean() == pytest.approx(23.5, abs=1)


def test_each_band_has_its_own_stretch_and_survives_missing_pixels():
    noise = np.random.default_rng(0).normal(size=(2, 32, 32)) * [[[0.01]], [[10.0]]]
    stamp = np.stack([blob(peak=peak) for peak in (1.0, 1000.0)]) + noise
    stamp[0, 3, 3] = np.nan
    grey = band_pictures(stamp, channels=BANDS[:2])
    assert grey.dtype == np.uint8 and grey.max(axis=(1, 2)).tolist() == [255, 255]
    np.testing.assert_allclose(grey[0].mean(), grey[1].mean(), atol=4)


def test_objects_are_spread_over_the_quantiles_or_taken_from_an_end(two_surveys):
    survey = two_surveys[0]
    z = survey.labels["z"].to_numpy()
    numbers, values = choose_objects(survey, by="z", order="spread", n=3)
    np.testing.assert_array_equal(values, z[numbers])
    np.testing.assert_allclose(values, np.quantile(z, [1 / 6, 3 / 6, 5 / 6]), atol=0.05)
    assert list(choose_objects(survey, by="z", order="lowest", n=2)[1]) == sorted(z)[:2]
    assert list(choose_objects(survey, by="z", order="highest", n=2)[1]) == sorted(z)[:-3:-1]


def test_what_was_not_measured_is_not_chosen_and_few_objects_are_all_shown(two_surveys):
    few = two_surveys[0].take(slice(0, 4))
    assert len(choose_objects(few, by="i", order="spread", n=8)[0]) == 3
    assert len(choose_objects(few, by="size", order="spread", n=8)[0]) == 4


def test_one_row_a_survey_with_what_orders_them_above(two_surveys):
    figure = plot_galaxies(two_surveys, by="z", n_galaxies=3)
    shown = [ax for ax in figure.axes if ax.images]
    assert len(shown) == 6
    values = choose_objects(two_surveys[0], by="z", order="spread", n=3)[1]
    assert [ax.get_title(loc="left") for ax in shown[:3]] == [f"z = {value:.2f}" for value in values]
    assert [strip.get_suptitle() for strip in figure.subfigs] == ["GalaxiesML twin", "TransferZ twin"]
    assert "simulated twin surveys" in figure.get_suptitle()


def test_ends_of_a_magnitude_are_bright_and_faint_and_of_anything_else_low_and_high(two_surveys):
    def title(**options):
        return plot_galaxies(two_surveys, n_galaxies=2, **options).get_suptitle()

    assert "Brightest in i" in title(by="i", order="lowest")
    assert "Highest size" in title(by="size", order="highest")
    assert "Lowest z" in title(by="z", order="lowest") and "Galaxies by z" in title(by="z")


def test_orders_and_quantities_that_are_not_there_are_named(two_surveys):
    with pytest.raises(UnknownNameError, match="spread"):
        plot_galaxies(two_surveys, by="z", order="random")
    with pytest.raises(UnknownNameError, match="size"):
        plot_galaxies(two_surveys, by="sise")
    with pytest.raises(UnknownNameError, match="band, y, x"):
        plot_galaxies([replace(two_surveys[0], inputs={}, specs={})], by="z")
