import csv
import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from astropy.table import Table
from astropy.units import deg, mag

from astrolab.errors import ConfigError, DataNotFoundError, PredictionError, UnknownNameError
from astrolab.exploring.columns import describe_objects
from astrolab.exploring.gathering import (
    ABSENT,
    Choices,
    gather_predictions,
    save_selection,
    selection_file,
    selections_folder,
    surveys_by_name,
)
from astrolab.predictions import KEYS, one_label, save_predictions, task_of
from astrolab.tasks import REDSHIFT


def kept(table, *, path, task=REDSHIFT):
    """Write a table with all its key columns, as a run does."""
    whole = table.assign(**{name: "" for name in KEYS if name not in table})
    whole.attrs = {"task": task.to_dict()}
    return save_predictions(whole, path=path / "predictions.parquet")


@pytest.fixture
def folders(predictions, tmp_path):
    for name in ("first", "second"):
        kept(predictions, path=tmp_path / name)
    return tmp_path / "first", tmp_path / "second"


def test_a_run_its_folder_and_its_file_are_the_same(predictions, folders):
    assert gather_predictions(predictions) is predictions
    sources = [SimpleNamespace(folder=folders[0]), folders[0], str(folders[0] / "predictions.parquet")]
    for source in sources:
        assert gather_predictions(source)[list(predictions)].equals(predictions)


def test_a_ledger_reads_its_predictions_itself(predictions):
    ledger = SimpleNamespace(predictions=lambda: predictions)
    assert gather_predictions(ledger) is predictions


def test_several_runs_are_told_apart_by_name(predictions, folders):
    by_key = gather_predictions({"mine": predictions, "theirs": folders[1]})
    assert by_key["run"].value_counts().to_dict() == {"mine": 6, "theirs": 6}
    by_folder = gather_predictions(iter([SimpleNamespace(folder=folders[0]), folders[1]]))
    assert by_folder["run"].unique().tolist() == ["first", "second"]
    assert by_folder["object_id"].dtype == "int64"


def test_runs_whose_folders_have_one_name_are_told_apart_by_where_they_are(predictions, tmp_path):
    for place, part in (("a", predictions.query("arm == 'tl'")), ("b", predictions.query("arm == 'lora'"))):
        kept(part, path=tmp_path / place / "same")
    folders = [tmp_path / "a" / "same", tmp_path / "b" / "same"]
    for sources in (folders, [str(folder / "predictions.parquet") for folder in folders]):
        table = gather_predictions(sources)
        assert table.groupby("run", sort=False)["arm"].unique().map(list).tolist() == [["tl"], ["lora"]]
    assert gather_predictions(folders)["run"].unique().tolist() == ["a/same", "b/same"]
    assert len(gather_predictions([folders[0], str(folders[0])])) == 3, "one run, named twice"


def test_anything_else_is_refused(predictions, tmp_path):
    for source in (7, [predictions]):
        with pytest.raises(PredictionError, match="predictions table"):
            gather_predictions(source)
    with pytest.raises(PredictionError, match="no run"):
        gather_predictions([])
    with pytest.raises(DataNotFoundError):
        gather_predictions(tmp_path / "nothing")


def test_the_task_comes_with_the_run_and_runs_scored_differently_need_one(predictions, tmp_path):
    for name, high in (("first", 1.5), ("second", 2.0)):
        kept(predictions, path=tmp_path / name, task=REDSHIFT.with_scored(z=(0.2, high)))
    first, second = tmp_path / "first", tmp_path / "second"
    for source in (first, [first], {"one": first, "mine": predictions}):
        assert task_of(gather_predictions(source)).quantity("z").scored == (0.2, 1.5)
    with pytest.raises(ConfigError, match=r"z 0\.2 to 1\.5 in first; z 0\.2 to 2 in second"):
        gather_predictions([first, second])
    table = gather_predictions([first, second], task=REDSHIFT)
    assert len(table) == 12 and task_of(table) == REDSHIFT


def test_options_are_in_the_order_of_the_table(predictions):
    choices = Choices.of(predictions)
    assert choices.options["arm"] == ("tl", "lora") and choices.options["seed"] == (0,)
    assert choices.options["label"] == ("z",) and "direction" not in choices.options


def test_columns_that_follow_from_others_are_no_choice(predictions):
    named = predictions.assign(fit=predictions["arm"] + "-s0", strategy=predictions["arm"], trained_on="old")
    assert not {"fit", "strategy", "trained_on"} & set(Choices.of(named).options)
    bases = pd.concat([named, named.assign(trained_on="new", fit="x")], ignore_index=True)
    options = Choices.of(bases).options
    assert options["trained_on"] == ("old", "new") and not {"fit", "strategy"} & set(options)
    refits = pd.concat([named, named.assign(fit=named["fit"] + "-again")], ignore_index=True)
    assert len(Choices.of(refits).options["fit"]) == 4


def test_gives_the_rows_that_a_query_gives(predictions):
    found = Choices.of(predictions.sample(frac=1, random_state=1)).objects(arm="lora")
    expected = predictions.query("arm == 'lora'").set_index("object_id")["pred.z"].rename("pred")
    pd.testing.assert_series_equal(found.set_index("object_id")["pred"].sort_index(), expected)
    assert list(found.index) == [0, 1, 2]


def test_every_label_is_a_choice_of_its_own(votes):
    choices = Choices.of(votes)
    for label in "ab":
        np.testing.assert_array_equal(choices.objects(label=label)["truth"], votes[f"truth.{label}"])
    assert choices.complete(label="b")["label"] == "b"


def test_unknown_values_and_columns_are_refused(predictions):
    choices = Choices.of(predictions)
    with pytest.raises(UnknownNameError, match="lora"):
        choices.objects(arm="lorra")
    with pytest.raises(UnknownNameError, match="seed"):
        choices.objects(sead=0)
    with pytest.raises(PredictionError, match="without object_id, pred"):
        Choices.of(predictions.drop(columns=["object_id", "pred.z"]))
    with pytest.raises(PredictionError, match="without rows"):
        Choices.of(predictions.iloc[:0])


@pytest.mark.parametrize(("column", "value"), [("truth.z", np.inf), ("pred.z", np.inf), ("pred.z", np.nan)])
def test_objects_without_a_number_are_refused(predictions, column, value):
    predictions.loc[4, column] = value
    with pytest.raises(PredictionError, match=f"1 of 6 rows where {column} is not a finite number") as caught:
        Choices.of(predictions)
    assert caught.value.remedy


def test_a_combination_that_is_not_there_is_refused_and_the_nearest_found(predictions):
    second = predictions[predictions["arm"] == "lora"].assign(seed=1)
    choices = Choices.of(pd.concat([predictions, second], ignore_index=True))
    with pytest.raises(PredictionError, match="no object has"):
        choices.objects(arm="tl", seed=1)
    assert choices.complete(arm="tl", seed=1)["seed"] == 0
    assert choices.complete(seed=1, arm="tl") == {"survey": "twin-galaxiesml", "arm": "lora", "seed": 1, "label": "z"}


def test_studies_with_other_columns_meet_in_one_table(predictions):
    fractions = predictions.assign(run="b", fraction=0.5)
    choices = Choices.of(pd.concat([predictions.assign(run="a", direction="forward"), fractions]))
    assert choices.options["fraction"] == (ABSENT, 0.5)
    assert choices.complete(run="b")["direction"] == ABSENT
    assert choices.objects(run="a", arm="lora", direction="forward", fraction=ABSENT)["fraction"].isna().all()


def test_surveys_are_found_by_name_however_they_come(survey):
    names = ["twin-galaxiesml", "combo"]
    for given in (survey, [survey], {"twin-galaxiesml": survey}):
        assert surveys_by_name(given, predicted=names) == {"twin-galaxiesml": survey}
    assert surveys_by_name(None, predicted=names) == {}
    as_read = dataclasses.replace(survey)
    both = surveys_by_name([survey, as_read], predicted=names)
    assert both == {"twin-galaxiesml": survey, "twin-galaxiesml, as read": as_read}
    with pytest.raises(PredictionError, match="predictions of combo"):
        surveys_by_name(survey, predicted=["combo"])


def test_ecsv_keeps_every_digit_and_the_units(predictions, survey, tmp_path):
    objects = describe_objects(one_label(predictions.query("arm == 'tl'")), survey=survey)
    path = save_selection(objects, path=tmp_path / "selection.ecsv", comment="three galaxies")
    table = Table.read(path)
    assert table["object_id"].tolist() == objects["object_id"].tolist()
    assert table["ra"].unit == deg and table["i_cmodel_mag"].unit == mag and table["pred"].unit is None
    assert table["pred"].tolist() == objects["pred"].tolist()
    assert table.meta["comments"] == ["three galaxies"]


def test_csv_is_plain(predictions, tmp_path):
    path = save_selection(predictions, path=tmp_path / "selection.csv")
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["object_id"]) for row in rows] == predictions["object_id"].tolist()
    assert [row["arm"] for row in rows] == predictions["arm"].tolist()
    assert list(tmp_path.iterdir()) == [path]


def test_selections_of_a_run_lie_in_its_folder_however_it_is_given(predictions, tmp_path):
    expected = tmp_path / "selections"
    for run in (SimpleNamespace(folder=tmp_path), tmp_path, str(tmp_path)):
        assert selections_folder(run) == expected
    for nothing in (predictions, {"mine": tmp_path}, [tmp_path], tmp_path / "predictions.parquet"):
        assert selections_folder(nothing) == Path()


def test_names_keep_their_dots_and_get_one_ending(tmp_path):
    names = {"z_0.3": "z_0.3.ecsv", "mine.csv": "mine.ecsv", "mine.ecsv": "mine.ecsv", " ": "selection.ecsv"}
    assert {name: selection_file(name, folder=tmp_path, ending=".ecsv").name for name in names} == names
