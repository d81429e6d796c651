import io

import numpy as np
import pandas as pd
import pytest
from drawn import assert_nothing_is_cut, legend_of, predict

from astrolab.errors import PredictionError, UnknownNameError
from astrolab.metrics import Resampling, score
from astrolab.plots import plot_label_plane, plot_prediction_density
from astrolab.plots.predictions import axis_label, cloud_ranges, reference_lines
from astrolab.predictions import concat_predictions, predictions_table
from astrolab.tasks import QUANTITIES, Quantity

Z, FEH = QUANTITIES["z"], QUANTITIES["feh"]


def test_deviations_are_named_in_the_unit_of_their_quantity():
    labels = [axis_label("deviation", quantity=quantity) for quantity in (Z, FEH)]
    assert labels == ["(predicted − true) / (1 + true)", "predicted − true [Fe/H] (dex)"]
    words = {line.text for quantity in (Z, FEH) for line in reference_lines(quantity, x_range=(0, 1))}
    assert "outlier, 0.15 (1 + z)" in words


def test_one_panel_for_each_arm_and_survey_holds_the_objects_of_one_seed(predictions):
    figure = plot_prediction_density(predictions, limits=(0, 2), objects="galaxies")
    panels = [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]
    assert len(panels) == 3 * 2
    assert [ax.collections[0].get_array().sum() for ax in panels] == [150] * 6
    assert figure.axes[-1].get_ylabel() == "galaxies in a cell"
    assert figure.get_supxlabel() == "true redshift"
    for drawn in (figure, plot_prediction_density(predictions, arms=["lora"], surveys=["twin-galaxiesml"])):
        assert_nothing_is_cut(drawn)


def test_at_most_four_panels_stand_in_a_row_and_each_names_its_arm_and_its_test_set(predictions):
    some = predictions.query("arm == 'lora' and seed == 0")
    many = pd.concat([some.assign(arm=f"arm {number}", cut_short=number == 4) for number in range(7)])
    many.attrs = predictions.attrs
    figure = plot_prediction_density(many, limits=(0, 2))
    panels = [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]
    names = [f"arm {number}{' †' * (number == 4)}" for number in range(7)]
    assert [ax.get_title(loc="center") for ax in panels] == [*names, *names]
    lines = {round(ax.get_position().y0, 3): [] for ax in panels}
    for ax in panels:
        lines[round(ax.get_position().y0, 3)].append(ax.get_ylabel())
    assert [len(line) for line in lines.values()] == [4, 3, 4, 3]
    assert [line[0] for line in lines.values()] == ["TransferZ twin"] * 2 + ["GalaxiesML twin"] * 2
    assert figure.get_size_inches()[0] <= 7.2 and legend_of(figure) == ["cut short: its loss still fell"]
    assert_nothing_is_cut(figure)


def test_many_arms_have_smaller_panels_and_a_figure_that_fits_a_page(predictions):
    some = predictions.query("arm == 'lora' and seed == 0")
    many = pd.concat([some.assign(arm=f"arm {number}") for number in range(14)])
    many.attrs = predictions.attrs
    figure = plot_prediction_density(many, limits=(0, 2))
    width, height = figure.get_size_inches()
    assert width <= 7.2 and height <= 9 and len(figure.axes) == 29
    assert_nothing_is_cut(figure)


def test_numbers_in_a_panel_are_its_scores(predictions):
    chosen = {"arms": ["lora"], "surveys": ["twin-galaxiesml"], "seed": 1}
    figure = plot_prediction_density(predictions, metrics=["scatter"], **chosen)
    rows = predictions.query("arm == 'lora' and survey == 'twin-galaxiesml' and seed == 1")
    value, n = score(rows, metrics=["scatter"], resampling=Resampling(n=0))[["value", "n"]].iloc[0]
    assert figure.axes[0].texts[0].get_text() == f"n {n:g}\nscatter {value:.3f}"


def test_lines_mark_equality_and_the_outlier_cut_of_the_quantity(predictions, stars):
    equal, below, above = plot_prediction_density(predictions, limits=(0, 2)).axes[0].lines
    np.testing.assert_allclose(equal.get_ydata(), equal.get_xdata())
    z = above.get_xdata()
    np.testing.assert_allclose(above.get_ydata(), z + 0.15 * (1 + z))
    np.testing.assert_allclose(below.get_ydata(), z - 0.15 * (1 + z))
    _, below, above = plot_prediction_density(stars, label="teff").axes[0].lines
    np.testing.assert_allclose(above.get_ydata() - below.get_ydata(), 400.0)
    figure = plot_prediction_density(stars)
    assert len(figure.axes[0].lines) == 1, "a metallicity has no outlier cut"
    assert figure.get_supylabel() == "predicted [Fe/H] (dex)"


def test_axes_hold_truths_and_predictions_and_start_at_zero_for_a_redshift_only(predictions, stars):
    assert plot_prediction_density(predictions).axes[0].get_xlim()[0] == 0.0
    low, high = plot_prediction_density(stars).axes[0].get_xlim()
    assert low < -1.5 and high > 0.3
    far = predict(np.linspace(-1, 0, 50), residuals=1.0, label="feh")
    assert plot_prediction_density(far).axes[0].get_ylim()[1] > 0.9


def test_an_unknown_truth_is_not_drawn(stars):
    figure = plot_prediction_density(stars, label="alpha_fe", limits=(-1, 1))
    assert figure.axes[0].collections[0].get_array().sum() == 40


def test_dense_layers_do_not_swell_a_pdf(predictions):
    file = io.BytesIO()
    plot_prediction_density(predictions, arms=["lora"]).savefig(file, format="pdf", dpi=100)
    assert len(file.getvalue()) < 120_000


def test_an_unknown_seed_is_refused(predictions):
    with pytest.raises(PredictionError, match="7"):
        plot_prediction_density(predictions, seed=7)


def test_lines_are_what_lsst_asks_in_units_of_one_plus_z():
    lines = {line.text: line for line in reference_lines(Z, x_range=(0.0, 2.0))}
    x, y = lines["LSST scatter, 0.02 (1 + z)"].vertices.T
    np.testing.assert_allclose(np.abs(y - x), 0.02 * (1 + x))
    flat = [line.vertices[:, 1].tolist() for line in reference_lines(Z, x_range=(0.0, 2.0), axis="deviation")]
    assert [0.003, 0.003] in flat and [-0.15, -0.15] in flat and [0.0, 0.0] in flat
    assert len(reference_lines(FEH, x_range=(-2.0, 0.5))) == 1, "LSST asks nothing of a metallicity"
    teff = Quantity("teff", unit="K", outlier=200.0)
    assert [line.text for line in reference_lines(teff, x_range=(3e3, 9e3))] == ["equality", *["outlier, 200 K"] * 2]


def test_axes_of_a_cloud_hold_the_truth_with_a_margin_and_most_deviations(predictions):
    table = predict(np.linspace(0.1, 2.0, 100), residuals=np.linspace(-0.1, 0.1, 100))
    table = table.rename(columns={"truth.z": "truth"}).assign(deviation=np.linspace(-0.1, 0.1, 100))
    (low, high), same = cloud_ranges(table, quantity=Z)
    assert (low, high) == same and low < 0.1 and high > 2.0
    assert cloud_ranges(table, quantity=Z, axis="deviation")[1] == pytest.approx((-0.25, 0.25))
    wild = table.assign(deviation=lambda table: 50 * table["deviation"])
    assert cloud_ranges(wild, quantity=Z, axis="deviation")[1] == pytest.approx((-0.6, 0.6))
    assert cloud_ranges(wild, quantity=FEH, axis="deviation")[1][1] > 4
    with pytest.raises(UnknownNameError, match="deviation"):
        cloud_ranges(table, quantity=Z, axis="deviaton")


def test_the_plane_of_two_labels_shows_the_truth_each_arm_and_how_far_it_is_from_the_reference():
    rng = np.random.default_rng(0)
    truth = {"feh": rng.normal(-0.5, 0.5, 400), "alpha_fe": rng.normal(0.1, 0.1, 400)}
    tables = []
    for arm, shift in (("full", 0.0), ("lora", 0.3)):
        pred = {"feh": truth["feh"] + shift, "alpha_fe": truth["alpha_fe"]}
        identity = {"arm": arm, "survey": "twin-desi", "simulated": True}
        tables.append(predictions_table(truth=truth, pred=pred, **identity))
    reference = pd.DataFrame({"feh": rng.normal(-0.5, 0.5, 600), "alpha_fe": rng.normal(0.1, 0.1, 600)})
    plane = {"x": "feh", "y": "alpha_fe", "reference": reference, "survey": "twin-desi", "objects": "stars"}
    figure = plot_label_plane(concat_predictions(tables), **plane, limits=((-3, 2), (-1, 1)))
    above, below = figure.axes[:3], figure.axes[3:]
    assert [ax.collections[0].get_array().sum() for ax in above] == [400] * 3
    for ax in below:
        assert np.nanmax(ax.collections[0].get_array().filled(0), axis=0).max() == 1
    words = [ax.texts[0].get_text() for ax in above]
    p_values = [float(text.rsplit(" ", 1)[1]) for text in words]
    assert words[0] == words[1] and p_values[0] > 0.05 and p_values[2] == pytest.approx(1 / 201, abs=1e-3)
    assert figure.get_supxlabel() == "[Fe/H] (dex)" and figure.get_supylabel() == "[α/Fe] (dex)"
    assert_nothing_is_cut(figure)
