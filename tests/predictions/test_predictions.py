"""The predictions table: joined, read label by label, kept."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from bit_flips import require_every_flip_refused

from astrolab.errors import (
    ConfigError,
    CorruptFileError,
    DataNotFoundError,
    DiskFullError,
    PredictionError,
    SchemaError,
)
from astrolab.predictions import (
    KEYS,
    concat_predictions,
    join_fits,
    keep_common_seeds,
    labels_of,
    load_predictions,
    one_label,
    predictions_table,
    quantity_of,
    save_predictions,
    task_of,
)
from astrolab.tasks import REDSHIFT, Quantity, Task, find_quantity, make_task

LARGE_ID = 2**53 + 1  # the first integer that a float64 cannot hold
STARS = make_task([find_quantity("feh"), find_quantity("alpha_fe"), Quantity("teff", unit="K")])


def _table(ids, *, task=REDSHIFT):
    values = dict.fromkeys(task.label_names, np.linspace(0.1, 1, len(ids)))
    return predictions_table(truth=values, pred=values, object_id=ids, task=task, survey="tiny")


def test_a_table_is_made_of_arrays():
    table = predictions_table(truth={"z": [0.5]}, pred={"z": [0.4], "feh": [0.1]}, survey="s", fraction=0.1)
    assert list(table) == [*KEYS, "truth.z", "pred.z", "truth.feh", "pred.feh", "simulated", "fraction"]
    assert table["truth.feh"].isna().all() and table.loc[0, ["survey", "arm", "seed", "object_id"]].tolist() == [
        "s",
        "",
        0,
        0,
    ]
    assert task_of(table).label_names == ("z", "feh")


def test_one_label_is_read_with_plain_columns():
    table = _table(np.arange(4), task=STARS).assign(**{"truth.alpha_fe": [0.1, np.nan, 0.3, np.nan], "i_mag": 20.0})
    first = one_label(table)
    assert (first["label"] == "feh").all() and first["truth"].equals(table["truth.feh"]) and len(first) == 4
    second = one_label(table, label="alpha_fe")
    assert second["truth"].tolist() == [0.1, 0.3] and second["pred"].tolist() == table["pred.alpha_fe"][[0, 2]].tolist()
    assert len(one_label(table, label="alpha_fe", unknown=True)) == 4 and task_of(second) == STARS
    with pytest.raises(PredictionError, match="feh, alpha_fe, teff"):
        one_label(table, label="z")
    with pytest.raises(PredictionError, match="object_id"):
        one_label(table[["object_id"]])


def test_an_error_of_reconstruction_is_read_like_a_label():
    table = predictions_table(truth={}, pred={}, errors={"image": np.array([0.2, 0.3])})
    assert labels_of(table) == ("error.image",)
    plain = one_label(table, label="error.image")
    assert (plain["truth"] == 0).all() and plain["pred"].equals(table["error.image"])
    assert quantity_of("error.image", task=task_of(table)).words == "reconstruction error of the image"


def test_a_table_that_has_lost_its_task_has_that_of_its_labels():
    table = _table(np.arange(2))
    table.attrs = {}
    assert task_of(table) == REDSHIFT
    assert task_of(table.rename(columns={"truth.z": "truth.x", "pred.z": "pred.x"})).labels == (Quantity("x"),)


def test_stacking_keeps_integers_and_turns_mixtures_to_exact_text():
    integers, text = _table(np.array([LARGE_ID, 5])), _table(np.array(["tiny:1", "tiny:2"]))
    assert concat_predictions([integers, integers])["object_id"].dtype == np.int64
    stacked = concat_predictions([integers, text], arm="lora", seed=3, fraction=0.1)
    assert stacked["object_id"].tolist() == [str(LARGE_ID), "5", "tiny:1", "tiny:2"]
    assert set(stacked["arm"]) == {"lora"} and set(stacked["seed"]) == {3} and set(stacked["fraction"]) == {0.1}


def test_stacking_refuses_floats_nothing_and_overwriting():
    with pytest.raises(PredictionError, match="float64"):
        concat_predictions([_table(np.array([1.0, 2.0]))])
    with pytest.raises(PredictionError, match="no table"):
        concat_predictions([])
    with pytest.raises(ConfigError, match="survey"):
        concat_predictions([_table(np.array([1, 2]))], survey="other")


def test_the_task_comes_along_and_different_tasks_are_not_stacked():
    one, lost = _table(np.arange(2)), _table(np.arange(2))
    lost.attrs = {}
    one.attrs["digest"] = "abc"
    assert concat_predictions([lost, one]).attrs == {"task": REDSHIFT.to_dict()}
    with pytest.raises(PredictionError, match=r"redshift \(z\); feh\+alpha_fe\+teff \(feh, alpha_fe, teff\)"):
        concat_predictions([one, _table(np.arange(2), task=STARS)])
    with pytest.raises(PredictionError, match="other ranges"):
        concat_predictions([one, _table(np.arange(2), task=REDSHIFT.with_scored(z=(0, 1)))])


def test_models_may_have_some_seeds_in_common_or_none():
    table = pd.DataFrame({"arm": ["lora", "lora", "full"], "seed": [0, 1, 1]})
    assert keep_common_seeds(table)["seed"].tolist() == [1, 1]
    assert keep_common_seeds(table.query("arm != 'lora' or seed == 0")).empty and keep_common_seeds(table.head(0)).empty


@pytest.mark.parametrize("task", [REDSHIFT, STARS.with_scored(feh=(-2.0, 0.0)), Task("x", (Quantity("x", outlier=1),))])
def test_saved_tables_come_back_to_the_last_bit(tmp_path, task):
    integers, text = _table(np.array([LARGE_ID, 5]), task=task), _table(np.array(["tiny:1"]), task=task)
    for table in (concat_predictions([integers, text], arm="lora"), integers):
        path = save_predictions(table, path=tmp_path / "run" / "predictions.parquet", metadata={"digest": "abc"})
        loaded = load_predictions(path)
        pd.testing.assert_frame_equal(loaded, table, check_exact=True)
        assert loaded.attrs["digest"] == "abc" and task_of(loaded) == task
        assert task_of(concat_predictions([loaded, table])) == task
    assert [file.name for file in path.parent.iterdir()] == ["predictions.parquet"]


def test_units_stand_in_the_schema(tmp_path):
    path = save_predictions(_table(np.arange(3), task=STARS), path=tmp_path / "table.parquet")
    schema = pq.read_schema(path)
    assert {schema.field(f"{side}.teff").metadata[b"unit"] for side in ("truth", "pred")} == {b"K"}
    assert schema.field("pred.feh").metadata[b"unit"] == b"dex" and schema.field("object_id").metadata is None


def test_one_flipped_bit_of_a_saved_table_is_refused(tmp_path):
    table = _table(np.array([f"tiny:{number}" for number in range(2000)])).assign(i_mag=np.nan)
    path = save_predictions(table, path=tmp_path / "predictions.parquet", metadata={"digest": "abc"})
    require_every_flip_refused(path, load=lambda: load_predictions(path), error=CorruptFileError, n=80)


def test_a_full_disk_leaves_the_old_file_whole(tmp_path, monkeypatch):
    path = save_predictions(_table(np.array([1, 2])), path=tmp_path / "predictions.parquet")

    def full(table, where, **_):
        where.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("astrolab.predictions.pq.write_table", full)
    with pytest.raises(DiskFullError, match=r"predictions\.parquet"):
        save_predictions(_table(np.array([3, 4])), path=path)
    assert load_predictions(path)["object_id"].tolist() == [1, 2]
    assert [file.name for file in tmp_path.iterdir()] == ["predictions.parquet"]


def test_reading_says_what_is_wrong(tmp_path):
    with pytest.raises(DataNotFoundError):
        load_predictions(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("not a table")
    with pytest.raises(CorruptFileError):
        load_predictions(tmp_path / "text.parquet")
    _table(np.array([1, 2])).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(CorruptFileError, match="save_predictions keeps it"):
        load_predictions(tmp_path / "other.parquet")
    with pytest.raises(SchemaError, match="object_id"):
        save_predictions(pd.DataFrame({"pred.z": [1.0]}), path=tmp_path / "new.parquet")
    with pytest.raises(SchemaError, match=r"pred\.<label>"):
        save_predictions(_table(np.arange(2)).drop(columns=["truth.z", "pred.z"]), path=tmp_path / "new.parquet")


def _fit(label, fold, *, ids, cut_short):
    rng = np.random.default_rng(fold)
    truth = {label: rng.normal(size=len(ids))}
    identity = {"arm": "lora", "fit": f"lora-learned{label}-fold{fold}-s0", "survey": "tiny", "cut_short": cut_short}
    task = make_task([find_quantity(label)])
    pred = {label: truth[label] + 0.1}
    table = predictions_table(truth=truth, pred=pred, object_id=ids, task=task, **identity, learned=label, fold=fold)
    return table.assign(teff=5000.0)


def test_fits_of_one_label_and_one_fold_each_are_one_model():
    parts = {("feh", 0): [3, 1], ("alpha_fe", 0): [1, 3], ("feh", 1): [2], ("alpha_fe", 1): [2]}
    tables = [
        _fit(label, fold, ids=ids, cut_short=label == "feh" and fold == 1) for (label, fold), ids in parts.items()
    ]
    joined = join_fits(tables, over=["learned", "fold"])
    assert task_of(joined).label_names == ("feh", "alpha_fe") and labels_of(joined) == ("feh", "alpha_fe")
    assert joined["object_id"].tolist() == [3, 1, 2], "the order of the first label"
    assert joined["fit"].unique().tolist() == ["lora-s0"] and not {"learned", "fold"} & set(joined)
    by_id = joined.set_index("object_id")
    assert sorted(by_id.index) == [1, 2, 3] and by_id["cut_short"].to_dict() == {3: False, 1: False, 2: True}
    for label in ("feh", "alpha_fe"):
        alone = pd.concat([table for table in tables if f"pred.{label}" in table]).set_index("object_id")
        assert by_id[f"pred.{label}"].sort_index().equals(alone[f"pred.{label}"].sort_index())
    assert (by_id["teff"] == 5000).all()
