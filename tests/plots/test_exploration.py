import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba_array

from astrolab.datasets.survey import Provenance, Survey
from astrolab.errors import UnknownNameError
from astrolab.exploring import match_models, score_galaxies, with_deviations
from astrolab.plots.cutouts import galaxy_picture
from astrolab.plots.exploration import axis_label, cloud_ranges, plot_exploration, reference_lines
from astrolab.plots.point_colours import colour_galaxies


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


def legend_of(figure):
    return [text.get_text() for ax in figure.axes if ax.get_legend() for text in ax.get_legend().get_texts()]


def test_of_many_selected_galaxies_some_are_drawn_by_chance_and_the_title_says_so(galaxies):
    many = pd.concat([galaxies.sort_values("truth")] * 200, ignore_index=True).sort_values("truth", ignore_index=True)
    rows = np.arange(25_000)
    figure, again = (plot_exploration(many, rows=rows) for _ in range(2))
    drawn, same = (figure.axes[0].collections[1].get_offsets()[:, 0] for figure in (figure, again))
    assert len(drawn) == 20_000 and (drawn == same).all()
    assert drawn.max() == many["truth"][rows].max(), "not the first 20,000"
    assert "20,000 of 25,000 selected ones drawn" in figure.get_suptitle()
    assert "selected: 25,000" in legend_of(figure)


def test_galaxies_outside_a_slice_are_not_drawn_and_nothing_is_called_selected(galaxies):
    inside = (galaxies["truth"] < 1.0).to_numpy()
    figure = plot_exploration(galaxies, inside=inside)
    (drawn,) = figure.axes[0].collections
    np.testing.assert_allclose(drawn.get_offsets()[:, 0], galaxies["truth"][inside])
    n_outliers = int(galaxies["is_outlier"][inside].sum())
    assert legend_of(figure)[:2] == [f"not an outlier: {inside.sum() - n_outliers}", f"outlier: {n_outliers}"]
    assert not any("selected" in text for text in legend_of(figure))


def test_colours_can_stand_for_a_column(galaxies):
    measured = galaxies.assign(i_mag=np.where(np.arange(len(galaxies)) < 3, np.nan, np.linspace(18, 24, len(galaxies))))
    figure = plot_exploration(measured, colour="i_mag")
    (drawn,) = figure.axes[0].collections
    colours = colour_galaxies(measured, by="i_mag")
    np.testing.assert_allclose(drawn.get_facecolors()[:, :3], to_rgba_array(list(colours.of_points))[:, :3])
    (legend,) = [ax.get_legend() for ax in figure.axes if ax.get_legend()]
    assert legend.get_title().get_text() == "Colour: i magnitude (mag)"
    assert "not measured: 3" in legend_of(figure)


def test_long_titles_are_broken_between_their_parts(galaxies, others):
    parts = [f"part number {number}" for number in range(20)]
    matched = match_models(galaxies, others=others)
    names = ["LoRA · run 2026-11-21T10-50-47-f7ba4308", "zero-shot · run 2026-11-22T10-50-47-0123abcd"]
    figure = plot_exploration(matched, models=names, title=" · ".join(parts))
    assert figure.get_suptitle().replace("\n", " · ").startswith(" · ".join(parts))
    figure.draw_without_rendering()
    room = figure.bbox.padded(1)
    assert room.contains(*figure._suptitle.get_window_extent().max)
    left, right = (ax.title.get_window_extent() for ax in figure.axes[:2])
    assert left.x1 < right.x0, "names do not run into each other"


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
