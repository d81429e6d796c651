"""The explorer is driven as a browser drives it: by setting traits and clicking."""

import base64
import dataclasses
import io
import re

import numpy as np
import pandas as pd
import pytest
from astropy.table import Table
from observed_stars import predicted, stars
from PIL import Image

from astrolab import explore_predictions
from astrolab.errors import PredictionError
from astrolab.files import disk_full
from astrolab.plots.explorers import colour_points
from astrolab.plots.surveys import colour_picture
from astrolab.predictions import KEYS, save_predictions
from astrolab.tasks import REDSHIFT
from astrolab.widgets.parts import BLANK


@pytest.fixture
def explorer(predictions, survey, tmp_path):
    return explore_predictions(predictions, survey=survey, directory=tmp_path, n_cutouts=5, n_listed=8)


def lasso(explorer, rows):
    """What the browser sends when somebody draws a lasso."""
    explorer.go_live()
    explorer.clouds[0].widget.selection = np.asarray(rows, dtype="uint32")


def test_a_lasso_scores_pictures_and_lists_the_selected_galaxies(explorer, predictions):
    lasso(explorer, [3, 4, 5, 20, 21])
    part = predictions.query("survey == 'twin-galaxiesml' and arm == 'tl' and seed == 0").iloc[[3, 4, 5, 20, 21]]
    scored = part[part["truth.z"].between(0.3, 1.5)]
    value = np.median((scored["pred.z"] - scored["truth.z"]) / (1 + scored["truth.z"]))
    scores = explorer.places["scores"].value
    assert f"{value:.4f}".replace("-", "−") in scores
    assert "selection" in scores and "all" in scores
    assert set(explorer.table()["object_id"]) == set(part["object_id"])
    assert explorer.places["cutouts"].value.count("<figure") == 5
    assert "5 of 40 galaxies in the selection" in explorer.places["status"].value
    for number in part["object_id"]:
        assert str(number) in explorer.places["galaxies"].value


def test_a_click_selects_one_galaxy_and_clearing_all(explorer):
    lasso(explorer, [7])
    assert explorer.view.rows.tolist() == [7]
    lasso(explorer, [])
    assert explorer.view.what == "all" and len(explorer.table()) == 8


def test_buttons_select_by_keyboard(explorer):
    outliers, shown, _, clear = explorer.actions.children
    outliers.click()
    dz = explorer.view.objects["deviation"].abs()
    assert explorer.view.rows.tolist() == np.flatnonzero(dz > 0.15).tolist() != []
    clear.click()
    assert explorer.view.what == "all"
    explorer.slices["truth"].value = (0.2, 0.6)
    shown.click()
    truth = explorer.view.objects["truth"].to_numpy()
    assert explorer.view.selected.tolist() == np.flatnonzero(truth <= 0.6).tolist()


def test_sliders_hide_galaxies_in_the_cloud_and_score_the_rest(explorer):
    explorer.go_live()
    explorer.slices["i_mag"].value = (18.0, 20.0)
    magnitudes = explorer.view.objects["i_mag"].to_numpy()
    expected = np.flatnonzero((magnitudes >= 18) & (magnitudes <= 20))
    assert explorer.view.rows.tolist() == expected.tolist()
    assert explorer.clouds[0].widget.filter.tolist() == expected.tolist()
    assert "slice" in explorer.places["scores"].value
    assert list(explorer.slices) == ["truth", "i_mag", "i_half_light_radius"]


def test_dropdowns_choose_what_is_drawn(explorer, predictions):
    explorer.arm.value = "lora"
    explorer.seed.value = 1
    expected = predictions.query("survey == 'twin-galaxiesml' and arm == 'lora' and seed == 1")["pred.z"]
    assert explorer.view.objects["pred"].tolist() == expected.tolist()
    drawn = explorer.clouds[0].scatter.y_data.to_numpy()
    low, high = drawn.min(), drawn.max()  # points beyond the axes are drawn on their edge
    np.testing.assert_allclose(drawn, np.clip(expected, low, high), atol=1e-6)
    assert low == pytest.approx(expected.min()) and 1.5 < high <= expected.max()
    explorer.axis.value = "deviation"
    np.testing.assert_allclose(explorer.clouds[0].scatter.y_data, explorer.view.objects["deviation"], atol=1e-6)


def test_a_choice_that_no_galaxy_has_gives_way(explorer):
    explorer.arm.value, explorer.seed.value = "lora", 1
    explorer.survey.value = "twin-transferz"
    assert (explorer.arm.value, explorer.seed.value) == ("tl", 0)
    assert len(explorer.view.objects) == 10
    assert "No pictures: pass the survey of twin-transferz" in explorer.places["cutouts"].value


def test_two_models_stand_side_by_side_with_what_changed_coloured(explorer):
    explorer.go_live()
    assert len(explorer.cloud_row.children) == 1
    lasso(explorer, [1, 2, 3])
    explorer.compare.value = "lora"
    assert len(explorer.cloud_row.children) == 2
    left, right = (cloud.scatter for cloud in explorer.clouds[:2])
    np.testing.assert_allclose(left.x_data, right.x_data)
    verdicts = explorer.view.objects["verdict"].tolist()
    assert left.color_data.tolist() == right.color_data.tolist() == verdicts
    assert explorer.clouds[1].widget.selection.tolist() == [1, 2, 3]
    scores = explorer.places["scores"].value
    assert all(text in scores for text in ("transfer learning · selection", "LoRA · selection", "LoRA · all"))
    assert "nearer" in explorer.places["legend"].value


def test_the_second_cloud_is_hidden_not_rebuilt_and_two_are_smaller(explorer):
    """A cloud that leaves the page is destroyed in the browser, and everything it is told later is an error there."""
    explorer.go_live()
    explorer.compare.value = "lora"
    places, second = explorer.cloud_row.children, explorer.clouds[1].widget
    assert [cloud.widget.width for cloud in explorer.clouds[:2]] == [330, 330]
    explorer.compare.value = ""
    assert explorer.cloud_row.children == places
    assert [place.layout.display for place in places] == [None, "none"]
    assert (explorer.clouds[0].widget.width, explorer.clouds[0].widget.height) == (440, 440)
    drawn = second.points
    explorer.survey.value = "twin-transferz"
    explorer.select(np.array([1]))
    assert second.points is drawn and not len(second.selection), "nobody sees it"
    explorer.survey.value = "twin-galaxiesml"
    explorer.compare.value = "lora"
    assert explorer.cloud_row.children == places and explorer.clouds[1].widget is second
    assert [place.layout.display for place in places] == [None, None]


def test_a_comparison_that_is_not_possible_is_said_and_undone(predictions, survey):
    fewer = predictions[(predictions["arm"] != "lora") | (predictions["object_id"] % 2 == 0)]
    explorer = explore_predictions(fewer, survey=survey)
    explorer.compare.value = "lora"
    assert "objects, 20 in common" in explorer.places["status"].value
    assert explorer.compare.value == "" and explorer.view.other is None
    explorer.arm.value = "lora"
    assert len(explorer.view.objects) == 20


def test_tables_straight_from_predict_are_compared_under_their_names(predictions):
    chosen = predictions.query("survey == 'twin-galaxiesml' and seed == 0")
    base, adapted = (chosen.query(f"arm == '{arm}'").assign(run="", fit="", trained_on="") for arm in ("tl", "lora"))
    base, adapted = base.assign(arm="", strategy=""), adapted.assign(strategy="lora")
    explorer = explore_predictions({"base": base, "adapted": adapted})
    (other,) = (value for _, value in explorer.compare.options if value)
    explorer.compare.value = other
    assert explorer.view.objects["pred_other"].tolist() == adapted["pred.z"].tolist()
    assert "run base and LoRA · run adapted on GalaxiesML twin" in explorer.places["title"].value
    scores = explorer.places["scores"].value
    assert "run base · all" in scores and "LoRA · run adapted · all" in scores


def test_a_model_is_compared_with_itself_of_another_seed_or_fraction(predictions):
    tables = [predictions.assign(fraction=fraction) for fraction in (0.1, 1.0)]
    both = pd.concat(tables, ignore_index=True)
    explorer = explore_predictions(both.assign(**{"pred.z": both["pred.z"] + both["fraction"]}))
    offered = {value: label for label, value in explorer.compare.options}
    assert len(offered) == 8 and "tl" not in offered, "the first model is not among the others"
    assert offered["lora"] == "LoRA" and offered["seed=1"] == "transfer learning · seed 1"
    explorer.compare.value = "fraction=1.0"
    apart = explorer.view.objects["pred_other"] - explorer.view.objects["pred"]
    np.testing.assert_allclose(apart, 0.9)
    names = ["transfer learning · fraction 0.1", "transfer learning · fraction 1"]
    assert f"{names[0]} and {names[1]} on GalaxiesML twin · seed 0" in explorer.places["title"].value
    assert all(f"{name} · all" in explorer.places["scores"].value for name in names)
    explorer.seed.value = 1
    assert explorer.compare.value == "fraction=1.0", "the second model comes along"
    assert explorer.view.other["seed"] == 1


def test_a_comparison_that_a_run_does_not_have_is_left_and_said(predictions):
    runs = {"A": predictions, "B": predictions.query("arm == 'tl'")}
    explorer = explore_predictions(runs)
    explorer.compare.value = "lora"
    explorer.run.value = "B"
    assert (explorer.run.value, explorer.compare.value) == ("B", "") and explorer.view.other is None
    assert "No longer compared with LoRA" in explorer.places["status"].value
    explorer.run.value = "A"
    assert "No longer" not in explorer.places["status"].value
    explorer.compare.value = "lora"
    explorer.arm.value = "lora"
    assert explorer.view.other is None and "lora" not in dict(map(reversed, explorer.compare.options))


def test_titles_say_which_run_fraction_and_seed_it_is(predictions):
    runs = {name: predictions.assign(direction="forward", fraction=0.1) for name in ("A", "B")}
    runs["C"] = predictions.assign(direction="back", fraction=1.0)
    explorer = explore_predictions(runs)
    for run, direction, fraction in (("A", "forward", "0.1"), ("C", "back", "1")):
        explorer.run.value = run
        named = f"run {run} · direction {direction} · fraction {fraction} · seed 0"
        assert explorer.summary == f"transfer learning on GalaxiesML twin · {named} · simulated objects"
        assert explorer.summary in explorer.places["title"].value
        assert f"Predictions on GalaxiesML twin · {named}" in explorer.figure().get_suptitle()


def test_a_lasso_in_the_second_cloud_selects_in_the_first(explorer):
    explorer.compare.value = "lora"
    explorer.go_live()
    explorer.clouds[1].widget.selection = np.array([5, 6], dtype="uint32")
    assert explorer.clouds[0].widget.selection.tolist() == [5, 6]
    assert explorer.view.rows.tolist() == [5, 6]


def test_colour_can_stand_for_a_magnitude_and_what_is_not_measured_is_grey(predictions, survey):
    magnitudes = np.array(survey.inputs["magnitudes"])
    magnitudes[5:10] = np.nan
    inputs = {"image": survey.inputs["image"], "magnitudes": magnitudes}
    explorer = explore_predictions(predictions, survey=dataclasses.replace(survey, inputs=inputs))
    explorer.colour.value = "i_mag"
    drawn = explorer.clouds[0].scatter.color_data
    expected = colour_points(explorer.view.objects, by="i_mag")
    assert drawn.tolist() == expected.groups.tolist()
    assert set(drawn[5:10]) == {"not measured"} and "not measured" not in set(drawn[10:])
    legend = explorer.places["legend"].value
    assert "i magnitude (mag)" in legend and "not measured: 5" in legend


def test_the_legend_counts_the_galaxies_inside_the_slices(explorer):
    explorer.slices["truth"].value = (0.2, 0.5)
    inside = explorer.view.objects[explorer.view.inside]
    n_outliers = int(inside["is_outlier"].sum())
    legend = explorer.places["legend"].value
    assert f"not an outlier: {len(inside) - n_outliers}<" in legend and f">outlier: {n_outliers}<" in legend


def test_the_figure_shows_what_the_explorer_shows(explorer):
    explorer.slices["truth"].value = (0.2, 0.6)
    explorer.colour.value = "i_mag"
    figure = explorer.figure()
    (drawn,) = figure.axes[0].collections
    assert drawn.get_offsets()[:, 0].tolist() == explorer.view.objects["truth"][explorer.view.inside].tolist()
    assert "0.2 ≤ true redshift ≤ 0.6" in figure.get_suptitle()
    (legend,) = [ax.get_legend() for ax in figure.axes if ax.get_legend()]
    assert legend.get_title().get_text() == "Colour: i magnitude (mag)"
    assert not any("selected" in text.get_text() for text in legend.get_texts())
    explorer.select(np.arange(3))
    _, chosen = explorer.figure().axes[0].collections
    assert len(chosen.get_offsets()) == 3


def test_the_lines_of_lsst_are_drawn(explorer):
    explorer.axis.value = "deviation"
    levels = {round(line.vertices[0][1], 4) for line in explorer.clouds[0].scatter.annotations()["annotations"]}
    assert levels == {0.0, 0.003, -0.003, 0.02, -0.02, 0.15, -0.15}


def test_the_selection_is_saved_with_units(explorer, tmp_path):
    lasso(explorer, [3, 4])
    explorer.filename.value = "mine"
    for button in explorer.export.children[1:3]:
        button.click()
    assert "saved as" in explorer.places["status"].value
    table = Table.read(tmp_path / "mine.ecsv")
    assert sorted(table["object_id"]) == [2**55 + 4, 2**55 + 5]
    assert str(table["ra"].unit) == "deg"
    assert len(Table.read(tmp_path / "mine.csv", format="ascii.csv")) == 2


def test_a_selection_without_a_name_gets_one(explorer, tmp_path):
    explorer.filename.value = ""
    explorer.export.children[1].click()
    assert (tmp_path / "selection.csv").is_file()


def test_what_cannot_be_saved_is_said(explorer, tmp_path):
    (tmp_path / "file").write_text("in the way")
    explorer.filename.value = "file/below"
    explorer.export.children[1].click()
    assert "Not saved" in explorer.places["status"].value


def test_a_full_disk_is_said_and_a_file_that_is_replaced_too(explorer, monkeypatch):
    button = explorer.export.children[1]
    button.click()
    assert "in place of" not in explorer.places["status"].value
    button.click()
    assert "saved as" in explorer.places["status"].value and "in place of" in explorer.places["status"].value

    def full(*_, path, **__):
        raise disk_full(path)

    monkeypatch.setattr("astrolab.exploring.gathering.save_selection", full)
    button.click()
    assert "Not saved" in explorer.places["status"].value and "MB free" in explorer.places["status"].value


def test_names_with_numbers_do_not_fall_on_one_file(explorer, tmp_path):
    for name in ("z_0.3", "z_0.7"):
        explorer.filename.value = name
        explorer.export.children[1].click()
        explorer.snapshot(tmp_path / f"look_{name}")
    kept = ["look_z_0.3.csv", "look_z_0.3.png", "look_z_0.7.csv", "look_z_0.7.png", "z_0.3.csv", "z_0.7.csv"]
    assert sorted(path.name for path in tmp_path.iterdir()) == kept


def test_selections_of_a_run_folder_are_kept_in_it(predictions, tmp_path):
    kept(predictions, folder=tmp_path)
    explorer = explore_predictions(str(tmp_path))
    explorer.compare.value = "lora"
    explorer.slices["truth"].value = (0.2, 0.6)
    explorer.export.children[2].click()
    (comment,) = Table.read(tmp_path / "selections" / "selection.ecsv").meta["comments"]
    assert "slice of survey=twin-galaxiesml, arm=tl" in comment
    assert "arm=lora" in comment and "0.2 <= truth <= 0.6" in comment


def test_a_snapshot_is_a_figure_and_a_table(explorer, tmp_path):
    lasso(explorer, [3, 4, 5])
    image, table = explorer.snapshot(tmp_path / "look.png")
    assert image.read_bytes()[:4] == b"\x89PNG" and image.stat().st_size > 20_000
    rows = table.read_text(encoding="utf-8").splitlines()
    assert len(rows) == 4 and rows[0].startswith("object_id,ra,dec,truth,pred,deviation")


def test_a_snapshot_keeps_every_selected_galaxy_and_lists_those_on_the_page_first(explorer, tmp_path):
    lasso(explorer, range(30))
    _, path = explorer.snapshot(tmp_path / "look")
    table = pd.read_csv(path)
    assert sorted(table["object_id"]) == sorted(explorer.view.objects["object_id"][:30])
    assert table["object_id"][:8].tolist() == explorer.table()["object_id"].tolist()


def test_clouds_are_called_by_what_they_show(explorer):
    assert explorer.page.cloud_names == ["transfer learning: predicted redshift against true redshift, 40 galaxies"]
    explorer.compare.value, explorer.axis.value = "lora", "deviation"
    deviation = "(predicted − true) / (1 + true) against true redshift, 40 galaxies"
    assert explorer.page.cloud_names == [f"transfer learning: {deviation}", f"LoRA: {deviation}"]


def test_every_control_says_what_it_is_and_can_be_found(explorer):
    found = set()
    for control in [*explorer.choosers.values(), explorer.compare, explorer.axis, explorer.colour, explorer.filename]:
        assert control.description
        found |= set(control._dom_classes)
    for control in [*explorer.actions.children, *explorer.slices.values()]:
        assert control.description
        found |= set(control._dom_classes)
    assert {"astrolab-arm", "astrolab-compare", "astrolab-slice-magnitude", "astrolab-select-outliers"} <= found


def test_a_table_without_pixels_seeds_or_anything_kept_is_enough(predictions):
    bare = predictions.query("arm == 'tl' and seed == 0 and survey == 'twin-galaxiesml'").drop(columns=["seed", "arm"])
    explorer = explore_predictions(bare.rename(columns={"truth.z": "truth.feh", "pred.z": "pred.feh"}))
    assert list(explorer.slices) == ["truth"] and explorer.choosers["label"].layout.display == "none"
    assert "rms error" in explorer.places["scores"].value and "LSST asks" not in explorer.places["scores"].value
    assert explorer.figure().axes


def test_labels_are_chosen_and_objects_of_unknown_truth_counted(votes):
    explorer = explore_predictions(votes)
    assert explorer.label.layout.display is None and dict(explorer.label.options) == {"bar": "bar", "edge": "edge"}
    assert explorer.page.cloud_names == ["full fine-tuning: predicted bar against true bar, 40 objects"]
    explorer.label.value = "edge"
    assert "All 20 objects. The truth of 20 others is unknown." in explorer.places["status"].value
    assert explorer.page.cloud_names == ["full fine-tuning: predicted edge against true edge, 20 objects"]
    assert explorer.slices["truth"].description == "true edge"
    known = votes["truth.edge"].dropna()
    np.testing.assert_allclose(explorer.clouds[0].scatter.x_data, known, atol=0.02)
    assert explorer.figure().axes[0].get_xlabel() == "true edge"


def test_spectra_without_labels_are_explored_by_how_badly_they_are_reconstructed(spectra):
    survey, predictions = spectra
    explorer = explore_predictions(predictions, survey=survey)
    error = "reconstruction error of the spectrum"
    assert explorer.page.cloud_names == [f"from scratch: {error} against snr magnitude (mag), 40 stars"]
    assert [value for _, value in explorer.axis.options] == ["pred", "snr_mag"] and list(explorer.slices) == [
        "pred",
        "snr_mag",
    ]
    assert explorer.places["cutouts"].value.count("data:image/svg+xml") == 12
    assert "Spectra, 1 to 12 of 40, brightest outliers first" in explorer.places["cutouts"].value
    assert explorer.stretch.layout.display == "none", "there is nothing to stretch"
    assert "→" not in explorer.places["cutouts"].value, "there is no truth"
    lasso(explorer, [3, 4])
    assert "2 of 40 stars in the selection" in explorer.places["status"].value
    mean = predictions["error.spectrum"][[3, 4]].mean()
    assert f"{mean:.4f}" in explorer.places["scores"].value
    ax = explorer.figure().axes[0]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("snr magnitude (mag)", error) and not ax.lines


def test_surveys_that_were_not_predicted_are_refused(predictions, survey):
    with pytest.raises(PredictionError, match="other"):
        explore_predictions(predictions, survey={"other": survey})


def kept(predictions, *, folder, task=REDSHIFT):
    whole = predictions.assign(**{name: "" for name in KEYS if name not in predictions})
    whole.attrs = {"task": task.to_dict()}
    save_predictions(whole, path=folder / "predictions.parquet")


def test_runs_are_scored_in_the_range_of_their_task(predictions, tmp_path):
    kept(predictions, folder=tmp_path, task=REDSHIFT.with_scored(z=(0.2, 0.3)))
    explorer = explore_predictions(tmp_path)
    assert "Scored: 0.2 &lt; true redshift ≤ 0.3" in explorer.places["scores"].value
    assert all(scores["n"].gt(0).all() for scores in explorer.view.scores.values())
    for source in (tmp_path, iter([tmp_path])):
        other = explore_predictions(source, task=REDSHIFT)
        assert "Scored: 0.3 &lt; true redshift ≤ 1.5" in other.places["scores"].value


def hover(explorer, number, row):
    """What the browser is answered when the mouse rests on a point."""
    said = []
    widget = explorer.clouds[number].widget
    widget.send = said.append
    widget._handle_custom_msg({"type": "tooltip", "index": row, "preview": "picture", "properties": []}, [])
    (card,) = said
    return card


def test_the_object_under_the_mouse_shows_its_picture_its_id_and_what_each_model_makes_of_it(explorer, survey):
    explorer.compare.value = "lora"
    explorer.go_live()
    one = explorer.view.objects.iloc[7]
    for number, column in enumerate(("pred", "pred_other")):
        card = hover(explorer, number, 7)
        assert list(card["properties"].values()) == [str(2**55 + 8), f"{one['truth']:.3f} → {one[column]:.3f}"]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(card["preview"].partition("base64,")[2]))))
    np.testing.assert_array_equal(
        pixels, colour_picture(survey.inputs["image"][7], channels=("hsc-g", "hsc-r", "hsc-i"))
    )


def test_an_object_without_a_picture_has_a_card_too(predictions, spectra):
    explorer = explore_predictions(predictions)
    explorer.go_live()
    assert hover(explorer, 0, 3)["preview"] == BLANK
    survey, errors = spectra
    stars = explore_predictions(errors, survey=survey)
    stars.go_live()
    card = hover(stars, 0, 3)
    assert card["preview"].startswith("data:image/svg") and "→" not in card["properties"]["true → predicted"]


def test_every_column_of_numbers_can_be_the_colour_or_the_vertical_axis(predictions):
    kept = predictions.assign(snr=np.arange(len(predictions), dtype=float), kind="E", constant=1.0)
    explorer = explore_predictions(kept)
    assert [value for _, value in explorer.axis.options] == ["pred", "deviation", "both", "snr"]
    assert [value for _, value in explorer.colour.options] == ["", "snr", "truth", "pred", "deviation"]
    explorer.axis.value, explorer.colour.value = "snr", "deviation"
    np.testing.assert_allclose(explorer.clouds[0].scatter.y_data, explorer.view.objects["snr"], rtol=1e-6)
    assert explorer.page.cloud_names == ["transfer learning: snr against true redshift, 40 objects"]
    assert "deviation" in explorer.places["legend"].value and "equality" not in explorer.places["legend"].value
    explorer.seed.value = 1
    assert (explorer.axis.value, explorer.colour.value) == ("snr", "deviation"), "what was chosen stays"
    assert explorer.figure().axes[0].get_ylabel() == "snr"


def test_predictions_and_deviations_of_two_models_are_four_clouds(explorer):
    explorer.go_live()
    explorer.axis.value = "both"
    assert len(explorer.cloud_row.children) == 2
    explorer.compare.value = "lora"
    drawn = [cloud.scatter.y_data for cloud in explorer.clouds]
    for y, column in zip(drawn, ("pred", "pred_other", "deviation", "deviation_other"), strict=True):
        expected = explorer.view.objects[column]
        np.testing.assert_allclose(y, np.clip(expected, y.min(), y.max()), atol=1e-6)
    lasso(explorer, [1, 2])
    assert all(cloud.widget.selection.tolist() == [1, 2] for cloud in explorer.clouds)
    labels = [ax.get_ylabel() for ax in explorer.figure().axes[:4]]
    assert labels == ["predicted redshift"] * 2 + ["(predicted − true) / (1 + true)"] * 2


def test_clouds_follow_the_room_that_the_page_has(explorer):
    explorer.go_live()
    explorer.page.room = [840, 700]
    assert explorer.clouds[0].widget.height == explorer.clouds[0].widget.width == 290


def test_another_model_changes_the_cloud_in_place(explorer):
    explorer.go_live()
    (place,) = explorer.cloud_row.children
    assert place.children[0].value == "<b>transfer learning</b>"
    explorer.arm.value = "lora"
    assert explorer.cloud_row.children == (place,)
    assert place.children[0].value == "<b>LoRA</b>"


def test_runs_of_several_studies_are_explored_together(predictions):
    fractions = predictions.assign(fraction=0.5)
    explorer = explore_predictions({"arms": predictions.assign(direction="forward"), "curves": fractions})
    assert explorer.fraction.value == "–"
    explorer.run.value = "curves"
    assert (explorer.fraction.value, explorer.direction.value) == (0.5, "–")
    explorer.compare.value = "lora"
    assert len(explorer.view.objects) == len(explorer.view.objects.dropna(subset="pred_other"))


def test_a_choice_made_while_the_cloud_draws_is_drawn_with_its_selection(explorer, predictions):
    explorer.go_live()
    explorer.page.drawn = explorer.page.asked
    explorer.arm.value = "lora"
    explorer.select(np.array([3, 5]))
    explorer.arm.value = "tl"
    assert explorer.page.is_waited_for
    explorer.page.drawn = explorer.page.asked
    expected = predictions.query("survey == 'twin-galaxiesml' and arm == 'tl' and seed == 0")["pred.z"]
    drawn = explorer.clouds[0].scatter.y_data.to_numpy()
    np.testing.assert_allclose(drawn, np.clip(expected, drawn.min(), drawn.max()), atol=1e-6)
    assert list(explorer.clouds[0].widget.selection) == [3, 5]


def test_an_expression_selects_adds_and_takes_away_and_what_is_none_is_said(explorer):
    explorer.where.value = "truth < 0.5"
    near = np.flatnonzero(explorer.view.objects["truth"] < 0.5)
    assert explorer.view.selected.tolist() == near.tolist()
    explorer.where.value = "selected or truth > 1.5"
    assert set(explorer.view.selected) == set(near) | set(np.flatnonzero(explorer.view.objects["truth"] > 1.5))
    explorer.where.value = "selected and truth >= 0.5"
    kept = explorer.view.selected.tolist()
    assert kept == np.flatnonzero(explorer.view.objects["truth"] > 1.5).tolist()
    for wrong in ("redshift < 1", "truth", "truth <", "truth < 'a'"):
        explorer.where.value = wrong
        assert "by an expression" in explorer.places["status"].value and "deviation" in explorer.places["status"].value
        assert explorer.view.selected.tolist() == kept


def test_selections_are_undone_one_after_the_other(explorer):
    undo = explorer.actions.children[2]
    for rows in ([1], [1, 2], [1, 2], [7]):
        lasso(explorer, rows)
    for rows in ([1, 2], [1], [], []):
        undo.click()
        assert explorer.view.selected.tolist() == explorer.clouds[0].widget.selection.tolist() == rows
    lasso(explorer, [30])
    explorer.survey.value = "twin-transferz"
    undo.click()
    assert explorer.view.what == "all", "these are other galaxies"


def test_the_table_sorts_every_galaxy_in_view_and_the_pictures_with_it(explorer):
    hear = explorer.page._handle_custom_msg
    objects = explorer.view.objects
    for descending in (False, True):
        hear({"sort": "i_mag"}, [])
        expected = objects.sort_values("i_mag", ascending=not descending)["object_id"][:8].tolist()
        assert explorer.table()["object_id"].tolist() == expected
        shown = explorer.places["cutouts"].value
        assert all(str(number) in shown for number in expected[:5])
        assert ("highest" if descending else "lowest") + " i magnitude (mag) first" in shown
    hear({"sort": "i_mag"}, [])
    assert explorer.table()["is_outlier"].iloc[0] and "brightest outliers first" in explorer.places["cutouts"].value
    explorer.compare.value = "lora"
    hear({"sort": "pred_other"}, [])
    explorer.compare.value = ""
    assert len(explorer.table()) == 8, "the column is gone"


def test_a_row_lights_its_point_in_every_cloud_and_enter_selects_it(explorer):
    explorer.compare.value = "lora"
    explorer.go_live()
    explorer.page._handle_custom_msg({"light": 7}, [])
    assert [cloud.widget.hovering for cloud in explorer.clouds[:2]] == [7, 7]
    for rows in ([7], []):
        explorer.page._handle_custom_msg({"toggle": 7}, [])
        assert explorer.view.selected.tolist() == rows


def test_pictures_have_pages_and_a_stretch(explorer):
    previous, following = explorer.pages.children[0].children
    ids = [str(number) for number in explorer.table()["object_id"]]

    def is_shown():
        return [number in explorer.places["cutouts"].value for number in ids]

    assert is_shown() == [True] * 5 + [False] * 3
    following.click()
    assert is_shown() == [False] * 5 + [True] * 3 and "6 to 10 of 40" in explorer.places["cutouts"].value
    usual = explorer.places["cutouts"].value
    explorer.stretch.value = 0.25
    assert explorer.places["cutouts"].value != usual and is_shown() == [False] * 5 + [True] * 3
    for _ in range(9):
        following.click()
    assert "36 to 40 of 40" in explorer.places["cutouts"].value
    previous.click()
    assert "31 to 35 of 40" in explorer.places["cutouts"].value
    lasso(explorer, [3, 4])
    assert "1 to 2 of 2" in explorer.places["cutouts"].value


def test_the_figure_is_saved_beside_the_selection(explorer, tmp_path):
    explorer.export.children[3].click()
    assert Image.open(tmp_path / "selection.png").size[0] > 1000
    assert "Figure saved as" in explorer.places["status"].value


def test_galaxies_outside_the_scored_range_are_said_to_have_no_score(explorer):
    truth = explorer.view.objects["truth"].to_numpy()
    assert truth[0] < 0.3 < truth[20]
    lasso(explorer, [0, 20])
    assert "Not scored: 1 of them, outside 0.3 &lt; true redshift ≤ 1.5" in explorer.places["status"].value
    lasso(explorer, [20])
    assert "Not scored" not in explorer.places["status"].value


def test_all_is_said_only_where_all_are_in_view(explorer):
    explorer.slices["truth"].value = (0.2, 0.6)
    assert [what for _, what in explorer.view.scores] == ["slice", "whole test set"]
    lasso(explorer, [3, 4])
    assert [what for _, what in explorer.view.scores] == ["selection", "slice"]
    n_scored = explorer.view.objects["truth"].between(0.3, 0.6).sum()
    assert explorer.view.scores[0, "slice"]["n"].iloc[0] == n_scored


def test_a_second_model_can_be_chosen_while_the_first_cloud_draws(explorer):
    explorer.go_live()
    explorer.page.drawn = explorer.page.asked
    explorer.axis.value = "deviation"
    explorer.compare.value = "lora"
    assert explorer.page.is_waited_for and len(explorer.cloud_row.children) == 1
    explorer.go_live()
    assert len(explorer.cloud_row.children) == 1, "there is nothing to show yet"
    explorer.page.drawn = explorer.page.asked
    assert [place.children[0].value for place in explorer.cloud_row.children] == [
        "<b>transfer learning</b>",
        "<b>LoRA</b>",
    ]
    np.testing.assert_allclose(explorer.clouds[1].scatter.y_data, explorer.view.objects["deviation_other"], atol=1e-6)


def test_stars_are_explored_by_two_labels_in_a_regime_of_one(tmp_path):
    """Ids are text with zeros in front; the second label is unknown for some stars."""
    survey = stars(is_bridged=True)
    explorer = explore_predictions(predicted(survey), survey=[survey, stars(is_bridged=False)], directory=tmp_path)
    explorer.go_live()
    assert explorer.arm.description == "Arm" and explorer.places["cutouts"].value.count("<figure") == 12
    assert "farthest outliers first" in explorer.places["cutouts"].value, "no magnitude is known"
    explorer.compare.value = "lora"
    explorer.label.value = "alpha_fe"
    explorer.axis.value = "deviation_difference"
    (cloud,) = explorer.page.cloud_names
    said = "zero-shot − LoRA: deviation difference (dex) against true [α/Fe] (dex), 30 stars"
    assert cloud == said and explorer.compare.value == "lora"
    objects = explorer.view.objects
    expected = (objects["deviation"] - objects["deviation_other"]).to_numpy()
    np.testing.assert_allclose(explorer.clouds[0].scatter.y_data, expected, atol=0.01)
    explorer.where.value = "feh < -1"
    n = int((survey.labels["feh"] < -1)[survey.labels["alpha_fe"].notna()].sum())
    assert f"{n} of 30 stars in the selection. The truth of 10 others is unknown." in explorer.places["status"].value
    assert "R²" in explorer.places["scores"].value and "$" not in explorer.places["scores"].value
    figure = explorer.figure()
    assert figure.axes[0].get_title() == "zero-shot − LoRA" and len(figure.axes[0].lines) == 1
    assert "galax" not in re.sub('src="[^"]*"', "", " ".join(place.value for place in explorer.places.values()))
    explorer.export.children[1].click()
    kept = pd.read_csv(tmp_path / "selection.csv", dtype={"object_id": str}, comment="#")
    assert set(kept["object_id"]) == set(objects["object_id"].iloc[explorer.view.selected]) and len(kept) == n


def test_the_star_under_the_mouse_shows_what_the_model_sees():
    survey = stars(is_bridged=True)
    explorer = explore_predictions(predicted(survey), survey=[survey, stars(is_bridged=False)])
    explorer.go_live()
    card = hover(explorer, 0, 3)
    assert next(iter(card["properties"].values())) == "0023"
    drawing = base64.b64decode(card["preview"].partition("base64,")[2]).decode()
    assert "as the model sees it" in drawing and "as observed" not in drawing, "the card is small"
