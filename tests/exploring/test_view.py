import numpy as np
import pandas as pd
import pytest
from observed_stars import predicted, stars
from scipy.stats import median_abs_deviation

from astrolab.errors import PredictionError, SchemaError, UnknownNameError
from astrolab.exploring.gathering import surveys_by_name
from astrolab.exploring.view import (
    VERDICTS,
    Exploration,
    brightest_outliers_first,
    difference,
    inside_slices,
    match_models,
    score_objects,
    short_name,
    with_deviations,
)
from astrolab.predictions import one_label
from astrolab.tasks import QUANTITIES, REDSHIFT, Quantity, make_task

Z = QUANTITIES["z"]
PLAIN = make_task([Quantity("feh")])
WHOLE = REDSHIFT.with_scored(z=None)


@pytest.fixture
def view(predictions, survey):
    return Exploration(predictions, surveys={survey.name: survey}, task=WHOLE)


@pytest.fixture
def many():
    random = np.random.default_rng(3)
    truth = random.uniform(0.1, 2.0, 500)
    pred = truth + (1 + truth) * 0.05 * random.standard_t(2, 500)
    return pd.DataFrame({"truth": truth, "pred": pred, "object_id": np.arange(500)})


def arms(predictions):
    return [one_label(predictions.query(f"arm == '{arm}'")) for arm in ("tl", "lora")]


# How wrong a prediction is, and which of two.


def test_a_redshift_is_off_in_units_of_one_plus_z(predictions):
    tl = with_deviations(arms(predictions)[0], quantity=Z)
    np.testing.assert_allclose(tl["deviation"], [0.0, 0.1, 0.8])
    assert tl["is_outlier"].tolist() == [False, False, True]


def test_a_quantity_without_a_cut_is_clipped_at_three_sigma():
    random = np.random.default_rng(0)
    truth = random.normal(size=400)
    error = np.where(np.arange(400) == 7, 1.0, 0.05 * random.normal(size=400))
    objects = with_deviations(pd.DataFrame({"truth": truth, "pred": truth + error}), quantity=QUANTITIES["feh"])
    np.testing.assert_allclose(objects["deviation"], error, atol=1e-12)
    sigma = median_abs_deviation(error, scale="normal")  # scipy's factor is 1.4826 to five digits
    expected = np.abs(error - np.median(error)) > 3 * sigma
    assert objects["is_outlier"].tolist() == expected.tolist() and objects["is_outlier"][7]


def test_the_other_model_is_nearer_or_farther_object_by_object(predictions):
    tl, lora = arms(predictions)
    matched = match_models(tl, others=lora.iloc[::-1], quantity=Z)
    np.testing.assert_allclose(matched["pred_other"], [0.8, 1.2, 1.1])
    np.testing.assert_allclose(matched["change"], [0.2, 0.0, -0.75])
    np.testing.assert_allclose(matched["deviation_difference"], [-0.2, 0.0, 0.75])
    assert matched["verdict"].tolist() == ["farther", "about the same", "nearer"]
    assert tuple(matched["verdict"].cat.categories) == VERDICTS


def test_small_changes_do_not_count(predictions):
    tl, lora = arms(predictions)
    same, nearer = "about the same", "nearer"
    slightly = lora.assign(pred=[0.5, 1.201, 1.1])
    assert match_models(tl, others=slightly, quantity=Z)["verdict"].tolist() == [same, same, nearer]
    shifted = [tl.assign(pred=tl["truth"] + d) for d in (np.array([0.0, 0.4, -0.4]), np.array([0.1, 0.5, -0.9]))]
    plain = match_models(shifted[0], others=shifted[1], quantity=Quantity("feh"))
    assert plain["verdict"].tolist() == [same, same, "farther"], "half a sigma of 0.59 is what counts"


def test_another_model_is_called_by_what_it_has_of_its_own():
    first = {"arm": "tl", "seed": 0}
    assert short_name(first, other={"arm": "lora", "seed": 0}) == "lora"
    assert short_name(first, other={"arm": "lora", "seed": 1}) == "arm=lora, seed=1"


def test_others_are_all_models_of_the_test_set_the_nearest_first(predictions):
    runs = [predictions.assign(run="A", fraction=fraction) for fraction in (0.1, 1.0)]
    elsewhere = predictions.assign(run="A", fraction=1.0, survey="combo")
    view = Exploration(pd.concat([*runs, elsewhere], ignore_index=True))
    view.choose(arm="lora", fraction=1.0, survey="twin-galaxiesml")
    others = view.others
    assert {name: difference(view.values, other=other) for name, other in others.items()} == {
        "tl": {"arm": "tl"},
        "fraction=0.1": {"fraction": 0.1},
        "arm=tl, fraction=0.1": {"arm": "tl", "fraction": 0.1},
    }
    assert list(others) == ["tl", "fraction=0.1", "arm=tl, fraction=0.1"]


def test_one_id_with_two_truths_is_not_one_object(predictions):
    tl, lora = arms(predictions)
    match_models(tl, others=lora.assign(truth=lora["truth"].astype("float32")), quantity=Z)
    with pytest.raises(PredictionError, match="another true value for 1 of 3 ids"):
        match_models(tl, others=lora.assign(truth=[0.5, 1.0, 1.1]), quantity=Z)


def test_other_objects_are_refused(predictions):
    tl, lora = arms(predictions)
    with pytest.raises(PredictionError, match="3 and 2 objects, 2 in common"):
        match_models(tl, others=lora.iloc[:2], quantity=Z)
    with pytest.raises(PredictionError, match="twice"):
        match_models(tl, others=lora.iloc[[0, 0, 1]], quantity=Z)


# Some objects: their scores and their order.


def test_scores_of_a_selection_are_those_of_its_objects(many):
    rows = np.flatnonzero(many["truth"] < 1.0)
    scores = score_objects(many, quantity=Z, task=REDSHIFT, rows=rows).set_index("metric")
    part = many[(many["truth"] > 0.3) & (many["truth"] < 1.0)]
    dz = (part["pred"] - part["truth"]) / (1 + part["truth"])
    assert scores.loc["bias", "value"] == pytest.approx(np.median(dz))
    assert scores.loc["scatter", "value"] == pytest.approx(median_abs_deviation(dz, scale="normal"), rel=1e-4)
    assert scores.loc["outlier_rate", "value"] == pytest.approx((dz.abs() > 0.15).mean())
    assert scores["n"].eq(len(part)).all()
    assert (scores["low"] <= scores["value"]).all() and (scores["value"] <= scores["high"]).all()
    assert scores.loc["bias", ["limit", "asked_by"]].tolist() == [0.003, "LSST"]
    assert np.isnan(scores.loc["outlier_rate", "limit"])
    mask = np.isin(np.arange(500), rows)
    by_mask = score_objects(many, quantity=Z, task=REDSHIFT, rows=mask).set_index("metric")
    pd.testing.assert_frame_equal(by_mask, scores)


def test_an_empty_selection_has_no_scores_instead_of_an_error(many):
    scores = score_objects(many, quantity=Z, task=REDSHIFT, rows=np.array([], dtype=int))
    assert scores["n"].eq(0).all() and scores["value"].isna().all()


def test_one_object_has_a_bias_but_no_scatter_and_a_handful_no_resampled_interval(many):
    whole = {"quantity": WHOLE.quantity("z"), "task": WHOLE}
    one = score_objects(many, rows=np.array([7]), **whole).set_index("metric")
    dz = (many["pred"] - many["truth"])[7] / (1 + many["truth"][7])
    assert one.loc["bias", "value"] == pytest.approx(dz) and np.isnan(one.loc["scatter", "value"])
    assert one["n"].eq(1).all() and one.loc[["bias", "scatter"], ["low", "high"]].isna().all(axis=None)
    assert one.loc["outlier_rate", ["value", "low", "high"]].notna().all(), "a rate's interval is binomial"
    for n, has_interval in ((2, False), (9, False), (10, True)):
        some = score_objects(many, rows=np.arange(n), **whole).set_index("metric")
        assert some["value"].notna().all()
        assert some.loc[["bias", "scatter"], ["low", "high"]].notna().all(axis=None) == has_interval


def test_other_labels_are_scored_whole_with_their_own_metrics(many, recwarn):
    by = {"quantity": PLAIN.labels[0], "task": PLAIN}
    scores = score_objects(many, **by).set_index("metric")
    rms = np.sqrt(((many["pred"] - many["truth"]) ** 2).mean())
    assert scores.loc["rmse", "value"] == pytest.approx(rms) and scores.loc["rmse", "n"] == 500
    one = score_objects(many, rows=np.array([7]), **by).set_index("metric")["value"]
    assert one[["rmse", "bias"]].notna().all() and one[["r2", "sigma_clipped"]].isna().all()
    assert not recwarn.list


def test_large_samples_are_scored_without_resampling(many):
    large = pd.concat([many] * 50, ignore_index=True)
    scores = score_objects(large, quantity=WHOLE.quantity("z"), task=WHOLE)
    assert scores["n"].eq(25_000).all() and scores["low"].isna().all() and scores["value"].notna().all()


def test_slices_hold_both_their_ends():
    objects = pd.DataFrame({"truth": [0.1, 0.2, 0.3, 0.4], "i_mag": [20.0, np.nan, 22.0, 23.0]})
    assert inside_slices(objects, ranges={"truth": (0.2, 0.3)}).tolist() == [False, True, True, False]
    assert inside_slices(objects, ranges={"i_mag": (20.0, 22.0)}).tolist() == [True, False, True, False]
    whole = {"truth": (0.1, 0.4), "i_mag": (20.0, 23.0)}
    assert inside_slices(objects, ranges=whole).all(), "a range of everything leaves nothing out"


def test_bright_outliers_come_first_then_what_is_farthest_off():
    objects = pd.DataFrame({"truth": 1.0, "pred": [1.1, 3.0, 2.0, 1.2], "i_mag": [15.0, 22.0, 20.0, 15.0]})
    objects = with_deviations(objects, quantity=Z)
    assert brightest_outliers_first(objects, magnitude="i_mag").tolist() == [2, 1, 3, 0]
    assert brightest_outliers_first(objects).tolist() == [1, 2, 3, 0]


# A place in the table, and the way to another.


def test_starts_with_the_first_model_and_all_objects(view):
    assert view.values["arm"] == "tl" and view.what == "all" and view.word == "galaxies"
    assert view.rows.tolist() == [0, 1, 2]
    assert {"deviation", "ra", "dec", "i_half_light_radius"} <= set(view.objects)


def test_a_selection_is_scored_beside_the_whole(view):
    view.select([1, 2])
    scores = view.scores
    assert list(scores) == [(0, "selection"), (0, "all")]
    for what, dz in ("selection", [0.1, 0.8]), ("all", [0.0, 0.1, 0.8]):
        expected = median_abs_deviation(dz, scale="normal")
        assert scores[0, what].set_index("metric").loc["scatter", "value"] == pytest.approx(expected, rel=1e-4)


def test_slices_cut_the_selection_too(view):
    view.select([1, 2])
    view.slice({"i_cmodel_mag": (19.5, 20.5)})
    assert view.rows.tolist() == [1] and view.what == "selection"
    view.select([])
    assert view.rows.tolist() == [1] and view.what == "slice"
    assert view.outliers.tolist() == []
    view.slice({})
    assert view.outliers.tolist() == [2] and view.what == "all"


def test_the_same_objects_of_another_model_stay_selected(view):
    view.select([2])
    view.slice({"truth": (0.9, 1.1)})
    view.choose(arm="lora")
    assert view.objects["pred"].tolist() == [0.8, 1.2, 1.1]
    assert view.rows.tolist() == [2] and view.inside.tolist() == [False, True, True]


def test_other_objects_start_afresh(predictions):
    other = predictions.assign(survey="combo", object_id=predictions["object_id"] + 10)
    view = Exploration(pd.concat([predictions, other], ignore_index=True))
    view.select([2])
    view.choose(survey="combo")
    assert view.what == "all" and view.survey is None and view.word == "objects"


def test_objects_of_unknown_truth_are_counted_and_no_part_of_it(votes):
    view = Exploration(votes)
    assert (view.values["label"], len(view.objects), view.n_unknown) == ("a", 40, 0)
    view.slice({"truth": (0.0, 0.5)})
    view.select([3])
    view.choose(label="b")
    assert (len(view.objects), view.n_unknown, view.what) == (20, 20, "all")
    np.testing.assert_array_equal(view.objects["object_id"], np.arange(1, 40, 2))
    assert view.scores[0, "all"].set_index("metric").loc["rmse", "n"] == 20 and view.outliers.tolist() == [1]
    with pytest.raises(PredictionError, match="all of unknown truth"):
        Exploration(votes.assign(**{"truth.a": np.nan}))


def test_errors_of_reconstruction_are_explored_as_any_column(reconstructed):
    view = Exploration(reconstructed)
    assert view.x == "g_mag" and [column.name for column in view.slice_columns] == ["pred", "g_mag"]
    mean = view.scores[0, "all"].set_index("metric")["value"]
    assert mean["mae"] == pytest.approx(reconstructed["error.spectrum"].mean())
    assert 5 in view.outliers and set(view.listed(len(view.outliers))) == set(view.outliers)
    assert list(view.table(view.listed(1))) == ["object_id", "error", "is_outlier", "g_mag"]
    assert Exploration(reconstructed.drop(columns="g_mag")).x == "place"


def test_a_second_model_is_scored_too(view):
    view.compare_with("lora")
    view.select([2])
    assert list(view.scores) == [(0, "selection"), (1, "selection"), (0, "all"), (1, "all")]
    tl, lora = (view.scores[number, "selection"].set_index("metric")["value"] for number in (0, 1))
    assert tl["bias"] == pytest.approx(0.8) and lora["bias"] == pytest.approx(0.05)
    assert view.objects["verdict"].tolist() == ["farther", "about the same", "nearer"]
    view.compare_with(None)
    assert "verdict" not in view.objects


def test_any_other_model_on_the_test_set_can_be_the_second(predictions):
    second = predictions.assign(run="B", seed=1, **{"pred.z": 1.0})
    view = Exploration(pd.concat([predictions.assign(run="A"), second], ignore_index=True))
    assert list(view.others) == ["lora", "run=B, seed=1", "run=B, arm=lora, seed=1"]
    view.compare_with({"run": "B", "seed": 1})
    assert view.objects["pred_other"].tolist() == [1.0, 1.0, 1.0]
    assert view.other == view.others["run=B, seed=1"]
    assert view.about.endswith("pred_other of run=B, seed=1")
    with pytest.raises(PredictionError, match="the same model twice"):
        view.compare_with("tl")
    with pytest.raises(PredictionError, match="no object has"):
        view.compare_with({"run": "B"})


def test_the_second_model_comes_along_and_is_left_where_there_is_none(predictions):
    runs = [
        predictions.assign(run="A"),
        predictions.assign(run="B", **{"pred.z": 1.0}),
        predictions[:3].assign(run="C"),
    ]
    other = predictions.assign(run="D", object_id=predictions["object_id"] + [0, 0, 0, 7, 7, 7])
    view = Exploration(pd.concat([*runs, other], ignore_index=True))
    view.compare_with("lora")
    view.choose(run="B")
    assert view.other == {"run": "B", "survey": "twin-galaxiesml", "arm": "lora", "seed": 0, "label": "z"}
    for change in ({"run": "C"}, {"run": "D"}, {"arm": "lora"}):
        view.choose(run="A", arm="tl")
        view.compare_with("lora")
        view.choose(**change)
        assert view.other is None and "verdict" not in view.objects
        assert change.items() <= view.values.items()


def test_the_table_has_ids_and_positions_brightest_outliers_first(view):
    table = view.table(view.listed(2))
    assert table["object_id"].tolist() == [2**55 + 3, 2**55 + 2]
    np.testing.assert_allclose(table["ra"], [150.2, 150.1])
    assert table.columns[-2:].tolist() == ["i_cmodel_mag", "i_half_light_radius"]


def test_only_slices_that_leave_objects_out_are_cuts_and_a_file_says_which(view):
    view.slice({"truth": (0.9, 9.0), "i_cmodel_mag": (18.9, 21.1)})
    assert view.cuts == {"truth": (0.9, 1.0)} and view.cuts_in_words == ["0.9 ≤ true redshift ≤ 1"]
    view.compare_with("lora")
    assert view.about == (
        "slice of survey=twin-galaxiesml, arm=tl, seed=0, label=z; pred_other of arm=lora; 0.9 <= truth <= 1"
    )


def test_an_empty_slice_has_no_scores_and_no_objects(view):
    view.slice({"truth": (0.6, 0.7)})
    assert view.rows.size == 0 and view.listed(5).size == 0
    assert view.scores[0, "slice"]["n"].eq(0).all()


def test_what_does_not_fit_is_refused_and_a_view_stays_where_it_was(view, predictions, survey):
    with pytest.raises(SchemaError, match="does not hold"):
        Exploration(predictions.assign(object_id=range(6)), surveys={survey.name: survey})
    view.select([1])
    with pytest.raises(UnknownNameError, match="lora"):
        view.compare_with("lorra")
    assert view.other is None and view.rows.tolist() == [1]


def test_one_label_is_scored_in_a_regime_of_another():
    survey = stars(is_bridged=True)
    view = Exploration(predicted(survey), surveys={survey.name: survey})
    view.choose(label="alpha_fe")
    assert (len(view.objects), view.n_unknown, view.word) == (30, 10, "stars")
    assert [(one.name, one.label) for one in view.slice_columns] == [
        ("truth", "true [α/Fe] (dex)"),
        ("feh", "true [Fe/H] (dex)"),
    ]
    poor = view.where("feh < -1 and alpha_fe > 0.2")
    known = survey.labels[survey.labels["alpha_fe"].notna()].reset_index(drop=True)
    assert poor.tolist() == known.query("feh < -1 and alpha_fe > 0.2").index.tolist() != []
    view.compare_with("lora")
    view.slice({"feh": (-9.0, -1.0)})
    rows = known["feh"].to_numpy() <= -1
    for number, column in enumerate(("deviation", "deviation_other")):
        rmse = np.sqrt(np.mean(view.objects[column].to_numpy()[rows] ** 2))
        assert view.scores[number, "slice"].set_index("metric").loc["rmse", "value"] == pytest.approx(rmse)
    view.choose(label="feh")
    assert len(view.objects) == 40 and view.where("feh < -1").tolist() == view.where("truth < -1").tolist()


def test_objects_are_pictured_as_they_were_read_and_as_the_model_sees_them():
    bridged, observed = stars(is_bridged=True), stars(is_bridged=False)
    table = predicted(bridged)
    assert Exploration(table, surveys={"twin-desi": bridged}).pictured == (bridged,)
    both = Exploration(table, surveys=surveys_by_name([bridged, observed], predicted=["twin-desi"]))
    assert both.survey is bridged and both.pictured == (observed, bridged)
    assert Exploration(table).pictured == ()
