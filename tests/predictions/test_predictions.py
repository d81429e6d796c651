"""The predictions table: made by networks of one label, of several and of none; joined, read, kept."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from bit_flips import require_every_flip_refused

from astrolab.errors import (
    ConfigError,
    CorruptFileError,
    DataNotFoundError,
    DiskFullError,
    PixelError,
    PredictionError,
    SchemaError,
    UnknownNameError,
)
from astrolab.predictions import (
    KEYS,
    concat_predictions,
    keep_common_seeds,
    labels_of,
    load_predictions,
    one_label,
    predict,
    predictions_table,
    quantity_of,
    save_predictions,
    task_of,
)
from astrolab.tasks import REDSHIFT, Quantity, Task, find_quantity, make_task

LARGE_ID = 2**53 + 1  # the first integer that a float64 cannot hold
STARS = make_task([find_quantity("feh"), find_quantity("alpha_fe"), Quantity("teff", unit="K")])


class Sum(torch.nn.Module):
    """Predicts from the sum of the magnitudes and the mean of the image, through layers whose mode matters."""

    inputs = ("magnitudes", "image")
    trained_on = None

    def __init__(self, task=REDSHIFT):
        super().__init__()
        self.task = task
        self.scale = torch.nn.Parameter(torch.ones(()))
        self.dropout = torch.nn.Dropout(0.5)
        self.frozen_norm = torch.nn.BatchNorm1d(3).eval()

    def forward(self, inputs):
        assert not self.training
        total = self.dropout(inputs["magnitudes"]).sum(dim=1) + inputs["image"].mean(dim=(1, 2, 3))
        return self.scale * total[:, None] * torch.arange(1, len(self.task.labels) + 1)

    def reconstruct(self, inputs, mask):
        assert mask is None and not self.training
        return {"magnitudes": inputs["magnitudes"] + 1, "image": 0 * inputs["image"]}


class Doubling:
    def require_fits(self, survey):
        if survey.name == "other":
            raise SchemaError("Scaled.", received="other channels", remedy="none")

    def apply(self, inputs):
        return {name: 2 * values for name, values in inputs.items()}


@pytest.fixture
def survey():
    rng = np.random.default_rng(0)
    n = 23
    labels = {"z": rng.uniform(0, 2, n), "z_err": rng.uniform(0, 0.1, n), "feh": rng.normal(size=n)}
    labels["feh"][3] = np.nan
    image, magnitudes = rng.normal(size=(n, 2, 4, 4)), rng.normal(size=(n, 3))
    return type("FakeSurvey", (SimpleNamespace,), {"__len__": lambda self: n})(
        name="tiny",
        part="test",
        inputs={"magnitudes": magnitudes.astype(np.float32), "image": image.astype(np.float32)},
        labels=pd.DataFrame(labels),
        ids=LARGE_ID + np.arange(n)[::-1],
        catalogue={"i_mag": rng.uniform(18, 25, n)},
        provenance=SimpleNamespace(simulated=True),
    )


def _predict(model, survey, **settings):
    return predict(model, survey=survey, scaling=Doubling(), device="cpu", **settings)


@pytest.mark.parametrize("batch_size", [1, 7, 23, 1000])
def test_predicts_every_object_in_order_whatever_the_batch(survey, batch_size):
    table = _predict(Sum(), survey, batch_size=batch_size, keep=["i_mag", "z_err"])
    assert list(table) == [*KEYS, "truth.z", "pred.z", "simulated", "i_mag", "z_err"]
    inputs = survey.inputs
    expected = 2 * (inputs["magnitudes"].sum(axis=1) + inputs["image"].mean(axis=(1, 2, 3)))
    np.testing.assert_allclose(table["pred.z"], expected, rtol=1e-5)
    assert table["object_id"].dtype == np.int64
    np.testing.assert_array_equal(table["object_id"], survey.ids)
    np.testing.assert_array_equal(table["truth.z"], survey.labels["z"])
    np.testing.assert_array_equal(table["i_mag"], survey.catalogue["i_mag"])
    assert table["simulated"].all() and (table["split"] == "test").all() and (table["survey"] == "tiny").all()
    assert task_of(table) == REDSHIFT


def test_every_label_has_its_columns_and_an_unknown_truth_is_nan(survey):
    table = _predict(Sum(STARS), survey)
    assert labels_of(table) == ("feh", "alpha_fe", "teff") and task_of(table) == STARS
    np.testing.assert_allclose(table["pred.teff"], 3 * table["pred.feh"], rtol=1e-6)
    assert table["truth.feh"].isna().sum() == 1 and table["truth.alpha_fe"].isna().all(), "the survey has no alpha_fe"


def test_a_network_without_labels_has_an_error_for_each_input(survey):
    table = _predict(Sum(make_task([])), survey)
    assert labels_of(table) == ("error.magnitudes", "error.image")
    np.testing.assert_allclose(table["error.magnitudes"], 1, rtol=1e-5)
    np.testing.assert_allclose(table["error.image"], (4 * survey.inputs["image"] ** 2).mean(axis=(1, 2, 3)), rtol=1e-5)
    plain = one_label(table, label="error.image")
    assert (plain["truth"] == 0).all() and plain["pred"].equals(table["error.image"])
    assert quantity_of("error.image", task=task_of(table)).words == "reconstruction error of the image"


def test_the_model_is_named_and_gives_back_every_mode(survey):
    network = Sum().train()
    network.frozen_norm.eval()
    network.trained_on = SimpleNamespace(survey="big", require_same=lambda survey: None)
    table = _predict(SimpleNamespace(network=network, strategy="lora", seed=3), survey)
    named = table[["run", "fit", "arm", "strategy", "seed", "trained_on"]].drop_duplicates()
    assert named.to_numpy().tolist() == [["", "", "lora", "lora", 3, "big"]]
    assert network.training and network.dropout.training and not network.frozen_norm.training


def test_a_survey_that_is_not_like_the_one_trained_on_is_refused_before_anything_is_predicted(survey):
    network = Sum()

    def refuse(survey):
        raise SchemaError("Trained.", received="other pixels", remedy="none")

    network.trained_on = SimpleNamespace(survey="big", require_same=refuse)
    with pytest.raises(SchemaError, match="other pixels"):
        _predict(network, survey)
    survey.name = "other"
    with pytest.raises(SchemaError, match="other channels"):
        _predict(Sum(), survey)


def test_inputs_that_are_not_finite_are_named_and_modes_given_back(survey):
    network = Sum().train()
    survey.inputs["magnitudes"][5, 1] = np.inf
    with pytest.raises(PixelError, match=f"magnitudes.*{survey.ids[5]}"):
        _predict(network, survey)
    assert network.training


def test_text_ids_stay_text(survey):
    survey.ids = np.array([f"tiny:{i}" for i in range(len(survey))])
    assert _predict(Sum(), survey)["object_id"].tolist() == survey.ids.tolist()


def test_what_a_network_answers_is_checked(survey):
    network = Sum()
    network.scale.data.fill_(float("nan"))
    with pytest.raises(PredictionError, match="23 of 23"):
        _predict(network, survey)
    network = Sum()
    network.forward = lambda inputs: inputs["magnitudes"][:, :2]
    with pytest.raises(PredictionError, match=r"\(23, 2\)"):
        _predict(network, survey)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"keep": ["colour"]}, UnknownNameError),
        ({"keep": ["pred.z"]}, ConfigError),
        ({"keep": ["survey"]}, ConfigError),
        ({"keep": ["scale"]}, ConfigError),  # a condition: each of its values would be scored by itself
        ({"batch_size": 0}, ConfigError),
    ],
)
def test_refuses_what_the_survey_does_not_have(survey, arguments, error):
    with pytest.raises(error):
        _predict(Sum(), survey, **arguments)


def test_an_input_the_survey_lacks_is_named(survey):
    del survey.inputs["image"]
    with pytest.raises(UnknownNameError, match="magnitudes"):
        _predict(Sum(), survey)


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
    with pytest.raises(CorruptFileError, match="keep it with save_predictions"):
        load_predictions(tmp_path / "other.parquet")
    with pytest.raises(SchemaError, match="object_id"):
        save_predictions(pd.DataFrame({"pred.z": [1.0]}), path=tmp_path / "new.parquet")
    with pytest.raises(SchemaError, match=r"pred\.<label>"):
        save_predictions(_table(np.arange(2)).drop(columns=["truth.z", "pred.z"]), path=tmp_path / "new.parquet")
