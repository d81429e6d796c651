import numpy as np
import pandas as pd
import pytest

from astrolab.errors import PredictionError, SchemaError, UnknownNameError
from astrolab.exploring import gather_predictions
from astrolab.exploring.exploration import Exploration, surveys_by_name
from astrolab.metrics.scoring import score


@pytest.fixture
def view(predictions, survey):
    return Exploration(predictions, surveys={survey.name: survey}, z_range=None)


def test_starts_with_the_first_model_and_all_galaxies(view):
    assert view.values["arm"] == "tl" and view.what == "all"
    assert view.rows.tolist() == [0, 1, 2]
    assert {"deviation", "ra", "dec", "i_half_light_radius"} <= set(view.galaxies)


def test_a_selection_is_scored_beside_the_whole(view, predictions):
    view.select([1, 2])
    scores = view.scores
    assert list(scores) == [(0, "selection"), (0, "all")]
    for what, part in ("selection", [1, 2]), ("all", [0, 1, 2]):
        rows = predictions.query("arm == 'tl'").iloc[part]
        expected = score(rows, metrics=["scatter"], z_range=None, n_bootstrap=0)["value"].item()
        assert scores[0, what].set_index("metric").loc["scatter", "value"] == pytest.approx(expected)


def test_slices_cut_the_selection_too(view):
    view.select([1, 2])
    view.slice({"i_cmodel_mag": (19.5, 20.5)})
    assert view.rows.tolist() == [1] and view.what == "selection"
    view.select([])
    assert view.rows.tolist() == [1] and view.what == "slice"
    assert view.outliers.tolist() == []
    view.slice({})
    assert view.outliers.tolist() == [2] and view.what == "all"


def test_the_same_galaxies_of_another_model_stay_selected(view):
    view.select([2])
    view.slice({"truth": (0.9, 1.1)})
    view.choose(arm="lora")
    assert view.galaxies["pred"].tolist() == [0.8, 1.2, 1.1]
    assert view.rows.tolist() == [2] and view.inside.tolist() == [False, True, True]


def test_other_galaxies_start_afresh(predictions):
    other = predictions.assign(survey="combo", object_id=predictions["object_id"] + 10)
    view = Exploration(pd.concat([predictions, other], ignore_index=True))
    view.select([2])
    view.choose(survey="combo")
    assert view.what == "all" and view.survey is None


def test_a_second_model_is_scored_too(view):
    view.compare_with("lora")
    view.select([2])
    assert list(view.scores) == [(0, "selection"), (1, "selection"), (0, "all"), (1, "all")]
    tl, lora = (view.scores[number, "selection"].set_index("metric")["value"] for number in (0, 1))
    assert tl["bias"] == pytest.approx(0.8) and lora["bias"] == pytest.approx(0.05)
    assert view.galaxies["verdict"].tolist() == ["farther", "about the same", "nearer"]
    view.compare_with(None)
    assert "verdict" not in view.galaxies


def test_any_other_model_on_the_test_set_can_be_the_second(predictions):
    runs = pd.concat([predictions.assign(run="A"), predictions.assign(run="B", seed=1, pred=1.0)], ignore_index=True)
    view = Exploration(runs, z_range=None)
    assert list(view.others) == ["lora", "run=B, seed=1", "run=B, arm=lora, seed=1"]
    view.compare_with({"run": "B", "seed": 1})
    assert view.galaxies["pred_other"].tolist() == [1.0, 1.0, 1.0]
    assert view.other == view.others["run=B, seed=1"]
    assert view.about.endswith("pred_other of run=B, seed=1")
    with pytest.raises(PredictionError, match="the same model twice"):
        view.compare_with("tl")
    with pytest.raises(PredictionError, match="no galaxy has"):
        view.compare_with({"run": "B"})


def test_tables_without_arms_are_compared_by_the_names_they_were_given(predictions):
    tl, lora = (predictions.query(f"arm == '{arm}'").drop(columns=["arm", "seed"]) for arm in ("tl", "lora"))
    view = Exploration(gather_predictions({"base": tl, "adapted": lora}), z_range=None)
    assert list(view.others) == ["adapted"]
    view.compare_with("adapted")
    assert view.galaxies["pred_other"].tolist() == lora["pred"].tolist()


def test_the_second_model_comes_along_and_is_left_where_there_is_none(predictions):
    runs = [predictions.assign(run="A"), predictions.assign(run="B", pred=1.0), predictions[:3].assign(run="C")]
    other = predictions.assign(run="D", object_id=predictions["object_id"] + [0, 0, 0, 7, 7, 7])
    view = Exploration(pd.concat([*runs, other], ignore_index=True), z_range=None)
    view.compare_with("lora")
    view.choose(run="B")
    assert view.other == {"run": "B", "survey": "twin-galaxiesml", "arm": "lora", "seed": 0, "label": "z"}
    for change in ({"run": "C"}, {"run": "D"}, {"arm": "lora"}):
        view.choose(run="A", arm="tl")
        view.compare_with("lora")
        view.choose(**change)
        assert view.other is None and "verdict" not in view.galaxies
        assert change.items() <= view.values.items()


def test_the_table_has_ids_and_positions_brightest_outliers_first(view):
    table = view.table(view.listed(2))
    assert table["object_id"].tolist() == [2**55 + 3, 2**55 + 2]
    np.testing.assert_allclose(table["ra"], [150.2, 150.1])
    assert table.columns[-2:].tolist() == ["i_cmodel_mag", "i_half_light_radius"]


def test_only_slices_that_leave_galaxies_out_are_cuts_and_a_file_says_which(view):
    view.slice({"truth": (0.9, 9.0), "i_cmodel_mag": (18.9, 21.1)})
    assert view.cuts == {"truth": (0.9, 1.0)} and view.cuts_in_words == ["0.9 ≤ true redshift ≤ 1"]
    view.compare_with("lora")
    assert view.about == (
        "slice of survey=twin-galaxiesml, arm=tl, seed=0, label=z; pred_other of arm=lora; 0.9 <= truth <= 1"
    )


def test_an_empty_slice_has_no_scores_and_no_galaxies(view):
    view.slice({"truth": (0.6, 0.7)})
    assert view.rows.size == 0 and view.listed(5).size == 0
    assert view.scores[0, "slice"]["n"].eq(0).all()


def test_what_does_not_fit_is_refused(predictions, survey):
    with pytest.raises(SchemaError, match="does not hold"):
        Exploration(predictions.assign(object_id=range(6)), surveys={survey.name: survey})
    with pytest.raises(UnknownNameError, match="lora"):
        Exploration(predictions).compare_with("lorra")


def test_a_view_stays_where_it_was_after_an_error(view):
    view.select([1])
    with pytest.raises(UnknownNameError):
        view.compare_with("nothing like it")
    assert view.other is None and view.rows.tolist() == [1]


def test_surveys_are_found_by_name_however_they_come(survey):
    names = ["twin-galaxiesml", "combo"]
    for given in (survey, [survey], {"twin-galaxiesml": survey}):
        assert surveys_by_name(given, predicted=names) == {"twin-galaxiesml": survey}
    assert surveys_by_name(None, predicted=names) == {}
    with pytest.raises(PredictionError, match="predictions of combo"):
        surveys_by_name(survey, predicted=["combo"])
