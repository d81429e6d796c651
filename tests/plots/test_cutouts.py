import numpy as np
import pandas as pd
import pytest

from astrolab.datasets.survey import Provenance, Survey
from astrolab.errors import ConfigError, SchemaError, UnknownNameError
from astrolab.plots import plot_cutouts
from astrolab.plots.cutouts import GAINS, band_pictures, colour_picture, galaxy_picture

BANDS = ("hsc-g", "hsc-r", "hsc-i", "hsc-z", "hsc-y")


def blob(size=32, *, peak=100.0, x=0.0, y=0.0):
    place = np.arange(size) - (size - 1) / 2
    return peak * np.exp(-((place[None, :] - x) ** 2 + (place[:, None] - y) ** 2) / 18)


@pytest.fixture
def survey():
    random = np.random.default_rng(0)
    images = random.normal(size=(3, 5, 32, 32)).astype(np.float32) + blob().astype(np.float32)
    return Survey(
        name="twin-galaxiesml",
        inputs={"image": images},
        labels=pd.DataFrame({"z": [0.1, 0.2, 0.3]}),
        ids=np.array([11, 12, 13]),
        bands=BANDS,
        catalogue={},
        sky_deg=None,
        published_split=None,
        provenance=Provenance(survey="twin-galaxiesml", title="twin", simulated=True),
    )


def test_a_galaxy_with_the_white_colours_comes_out_grey():
    flux = {"r": 1 / GAINS[1], "g": 1 / GAINS[2], "i": 1 / GAINS[0]}
    noise = 0.001 * np.random.default_rng(0).normal(size=(32, 32))
    stamp = np.stack([blob() * flux[letter] + noise for letter in "gri"])
    picture = colour_picture(stamp, bands=BANDS[:3]).astype(int)
    assert picture.shape == (32, 32, 3) and picture.max() > 200
    assert np.ptp(picture[12:20, 12:20], axis=2).max() <= 2


def test_red_is_the_reddest_of_three_bands_and_colour_does_not_fade_in_the_core():
    stamp = np.stack([0.2 * blob(), 0.5 * blob(), blob()]) + 0.01 * np.random.default_rng(0).normal(size=(3, 32, 32))
    picture = colour_picture(stamp, bands=("sdss-g", "sdss-r", "sdss-i")).astype(float)
    core, wing = picture[15, 15], picture[15, 22]
    assert core[0] > core[1] > core[2]
    np.testing.assert_allclose(core[2] / core[0], wing[2] / wing[0], atol=0.12)


def test_pictures_stand_upright():
    """Row 0 of a stamp is the lowest, row 0 of a picture the highest."""
    stamp = np.stack([blob(x=8, y=-8)] * 5) + 0.01 * np.random.default_rng(0).normal(size=(5, 32, 32))
    for picture in (band_pictures(stamp)[2], colour_picture(stamp, bands=BANDS).sum(axis=2)):
        y, x = np.nonzero(picture > 0.8 * picture.max())
        assert y.mean() == pytest.approx(23.5, abs=1) and x.mean() == pytest.approx(23.5, abs=1)


def test_each_band_has_its_own_stretch_and_survives_missing_pixels():
    stamp = np.stack([blob(peak=peak) for peak in (1.0, 1000.0)]) + np.random.default_rng(0).normal(
        size=(2, 32, 32)
    ) * [
        [[0.01]],
        [[10.0]],
    ]
    stamp[0, 3, 3] = np.nan
    grey = band_pictures(np.nan_to_num(stamp))
    assert grey.dtype == np.uint8 and grey.max(axis=(1, 2)).tolist() == [255, 255]
    np.testing.assert_allclose(grey[0].mean(), grey[1].mean(), atol=4)


def test_a_sheet_shows_the_galaxies_asked_for_in_their_order(survey):
    figure = plot_cutouts(survey, object_ids=[13, 11], captions=["one", "two"], n_columns=2)
    drawn = [ax for ax in figure.axes if ax.images]
    assert [ax.get_title(loc="left") for ax in drawn] == ["one", "two"]
    expected = galaxy_picture(np.asarray(survey.inputs["image"][2]), bands=BANDS)
    np.testing.assert_array_equal(drawn[0].images[0].get_array(), expected)
    assert expected.shape == (32 * 5 + 32, 32 * 5, 3)
    assert "simulated" in figure.get_suptitle()


def test_captions_are_the_labels_unless_given(survey):
    figure = plot_cutouts(survey, n_max=2)
    assert [ax.get_title(loc="left") for ax in figure.axes if ax.images] == ["z = 0.100", "z = 0.200"]


def test_what_cannot_be_drawn_is_refused(survey):
    with pytest.raises(SchemaError, match="14"):
        plot_cutouts(survey, object_ids=[14])
    with pytest.raises(ConfigError, match="2 galaxies and 1 captions"):
        plot_cutouts(survey, object_ids=[11, 12], captions=["one"])
    with pytest.raises(UnknownNameError, match="image"):
        plot_cutouts(Survey(**{**vars(survey), "inputs": {}}))
