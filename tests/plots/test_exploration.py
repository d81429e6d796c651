import numpy as np
import pandas as pd
import pytest

from astrolab.datasets.survey import Provenance, Survey
from astrolab.errors import UnknownNameError
from astrolab.exploring import match_models, score_galaxies, with_deviations
from astrolab.plots.cutouts import galaxy_picture
from astrolab.plots.exploration import axis_label, cloud_ranges, group_colours, plot_exploration, reference_lines


@pytest.fixture
def galaxies(predictions):
    return with_deviations(predictions.query("arm == 'lora' and seed == 0 and survey == 'twin-galaxiesml'"))


@pytest.fixture
def others(predictions):
    return predictions.query("arm == 'zero_shot' and seed == 0 and survey == 'twin-galaxiesml'")


def test_lines_are_what_lsst_asks_in_units_of_one_plus_z():
    lines = {line.text: line for line in reference_lines("z", x_range=(0.0, 2.0))}
    x, y = lines["LSST scatter, 0.02 (1 + z)"].vertices.T
    np.testing.assert_allclose(np.abs(y - x), 0.02 * (1 + x))
    flat = [line.vertices[:, 1].tolist() for line in reference_lines("z", x_range=(0.0, 2.0), axis="deviation")]
    assert [0.003, 0.003] in flat and [-0.15, -0.15] in flat and [0.0, 0.0] in flat
    assert len(reference_lines("feh", x_range=(-2.0, 0.5))) == 1, "LSST asks nothing of a metallicity"


def test_axes_hold_the_truth_with_a_margin_and_most_deviations(galaxies):
    (low, high), same = cloud_ranges(galaxies)
    assert (low, high) == same and low < galaxies["truth"].min() and high > galaxies["truth"].max()
    _, (down, up) = cloud_ranges(galaxies, axis="deviation")
    assert down == -up and 0.25 <= up <= 0.6
    wild = galaxies.assign(deviation=lambda table: 50 * table["deviation"])
    assert cloud_ranges(wild, axis="deviation")[1] == (-0.6, 0.6)
    with pytest.raises(UnknownNameError, match="deviation"):
        cloud_ranges(galaxies, axis="deviaton")


def test_axis_labels_have_units():
    assert axis_label("pred", label="feh") == "predicted [Fe/H] (dex)"
    assert axis_label("deviation", label="z") == "(predicted − true) / (1 + true)"
    assert axis_label("deviation", label="feh") == "predicted − true [Fe/H] (dex)"


def test_groups_are_outliers_or_what_changed(galaxies, others):
    groups, colours = group_colours(galaxies)
    assert (groups == "outlier").sum() == galaxies["is_outlier"].sum()
    matched = match_models(galaxies, others=others)
    groups, colours = group_colours(matched)
    assert list(colours) == list(groups.categories) == ["nearer", "about the same", "farther"]


def test_a_figure_shows_the_cloud_the_selection_and_its_scores(galaxies):
    rows = np.flatnonzero(galaxies["truth"] < 1.0)
    sides = {"selection": score_galaxies(galaxies, rows=rows), "all": score_galaxies(galaxies)}
    figure = plot_exploration(galaxies, rows=rows, sides=sides, models=["LoRA"])
    cloud = figure.axes[0]
    drawn, chosen = cloud.collections
    assert len(drawn.get_offsets()) == 150 and len(chosen.get_offsets()) == len(rows)
    np.testing.assert_allclose(chosen.get_offsets()[:, 0], galaxies["truth"].to_numpy()[rows])
    assert cloud.get_xlabel() == "true redshift" and cloud.get_title() == "LoRA"
    written = {cell.get_text().get_text() for cell in figure.axes[1].tables[0].get_celld().values()}
    assert f"{sides['selection']['value'][1]:.4f}" in written
    assert "simulated" in figure.get_suptitle()


def test_two_models_have_a_cloud_each_of_the_same_galaxies(galaxies, others):
    matched = match_models(galaxies, others=others)
    figure = plot_exploration(matched, models=["LoRA", "zero-shot"], axis="deviation")
    left, right = (np.asarray(ax.collections[0].get_offsets()) for ax in figure.axes[:2])
    np.testing.assert_allclose(left[:, 0], right[:, 0])
    limits = figure.axes[0].get_ylim()
    np.testing.assert_allclose(right[:, 1], np.clip(matched["deviation_other"], *limits))


def test_large_samples_are_thinned_and_the_title_says_so(galaxies):
    many = pd.concat([galaxies] * 200, ignore_index=True)
    figure = plot_exploration(many)
    assert len(figure.axes[0].collections[0].get_offsets()) == 20_000
    assert "20,000 of 30,000 galaxies drawn" in figure.get_suptitle()


def test_cut_outs_stand_below_where_there_are_pixels(galaxies):
    n = len(galaxies)
    survey = Survey(
        name="twin-galaxiesml",
        inputs={"image": np.random.default_rng(0).normal(size=(n, 3, 8, 8)).astype(np.float32)},
        labels=pd.DataFrame({"z": galaxies["truth"].to_numpy()}),
        ids=galaxies["object_id"].to_numpy(),
        bands=("g", "r", "i"),
        catalogue={},
        sky_deg=None,
        published_split=None,
        provenance=Provenance(survey="twin-galaxiesml", title="twin", simulated=True),
    )
    figure = plot_exploration(galaxies, survey=survey, listed=[5, 7, 9])
    (strip,) = [ax for ax in figure.axes if ax.images]
    expected = galaxies.iloc[[5, 7, 9]]
    assert [text.get_text() for text in strip.texts] == [
        f"{row.truth:.2f} → {row.pred:.2f}".replace("-", "−") for row in expected.itertuples()
    ]
    pixels = strip.images[0].get_array()
    for number, row in enumerate((5, 7, 9)):
        picture = galaxy_picture(survey.inputs["image"][row], bands=survey.bands)
        left = round(strip.texts[number].get_position()[0])
        np.testing.assert_array_equal(pixels[:, left : left + picture.shape[1]], picture)
    assert not [ax for ax in plot_exploration(galaxies, listed=[5]).axes if ax.images]
