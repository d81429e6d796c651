import numpy as np
import pytest

from astrolab.errors import UnknownNameError
from astrolab.plots import plot_galaxies
from astrolab.plots.galaxies import choose_galaxies


def test_galaxies_are_spread_over_the_quantiles_or_taken_from_an_end(two_surveys):
    survey = two_surveys[0]
    z = survey.labels["z"].to_numpy()
    numbers, values = choose_galaxies(survey, by="z", order="spread", n=3)
    np.testing.assert_array_equal(values, z[numbers])
    np.testing.assert_allclose(values, np.quantile(z, [1 / 6, 3 / 6, 5 / 6]), atol=0.05)
    assert list(choose_galaxies(survey, by="z", order="lowest", n=2)[1]) == sorted(z)[:2]
    assert list(choose_galaxies(survey, by="z", order="highest", n=2)[1]) == sorted(z)[:-3:-1]


def test_unmeasured_galaxies_are_not_chosen_and_few_galaxies_are_all_shown(two_surveys):
    few = two_surveys[0].take(np.arange(4))
    n_measured = np.isfinite(few.inputs["magnitudes"][:][:, 2]).sum()
    assert n_measured == 3
    assert len(choose_galaxies(few, by="i", order="spread", n=8)[0]) == n_measured
    assert len(choose_galaxies(few, by="size", order="spread", n=8)[0]) == 4


def test_one_row_a_survey_with_what_orders_them_above(two_surveys):
    figure = plot_galaxies(two_surveys, by="z", n_galaxies=3)
    shown = [ax for ax in figure.axes if ax.images]
    assert len(shown) == 6
    values = choose_galaxies(two_surveys[0], by="z", order="spread", n=3)[1]
    assert [ax.get_title(loc="left") for ax in shown[:3]] == [f"z = {value:.2f}" for value in values]
    assert [strip.get_suptitle() for strip in figure.subfigs] == ["GalaxiesML twin", "TransferZ twin"]
    assert "simulated twin surveys" in figure.get_suptitle()


def test_ends_of_a_magnitude_are_bright_and_faint_and_of_anything_else_low_and_high(two_surveys):
    assert "Brightest in i" in plot_galaxies(two_surveys, by="i", order="lowest", n_galaxies=2).get_suptitle()
    assert "Highest size" in plot_galaxies(two_surveys, by="size", order="highest", n_galaxies=2).get_suptitle()
    assert "Lowest z" in plot_galaxies(two_surveys, by="z", order="lowest", n_galaxies=2).get_suptitle()


def test_what_is_not_there_is_named(two_surveys):
    with pytest.raises(UnknownNameError, match="spread"):
        plot_galaxies(two_surveys, by="z", order="random")
    with pytest.raises(UnknownNameError, match="size"):
        plot_galaxies(two_surveys, by="sise")
