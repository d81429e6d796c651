from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from astrolab.datasets.scaling import Scaling
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
from astrolab.predictions import concat_predictions, load_predictions, predict, save_predictions

LARGE_ID = 2**53 + 1  # the first integer that a float64 cannot hold


class Sum(torch.nn.Module):
    """Predicts the sum of the magnitudes, through layers whose mode matters."""

    input_name = "magnitudes"

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))
        self.dropout = torch.nn.Dropout(0.5)
        self.frozen_norm = torch.nn.BatchNorm1d(3).eval()

    def forward(self, inputs):
        assert not self.training
        return self.scale * self.dropout(inputs).sum(dim=1)


class Doubling:
    def require_fits(self, survey):
        pass

    def apply(self, inputs):
        return 2 * inputs


@pytest.fixture
def survey():
    rng = np.random.default_rng(0)
    n = 23
    return type(
        "FakeSurvey",
        (SimpleNamespace,),
        {"__len__": lambda self: n},
    )(
        name="tiny",
        inputs={"magnitudes": rng.normal(size=(n, 3)).astype(np.float32)},
        labels=pd.DataFrame({"z": rng.uniform(0, 2, n), "z_err": rng.uniform(0, 0.1, n)}),
        ids=LARGE_ID + np.arange(n)[::-1],
        catalogue={"i_mag": rng.uniform(18, 25, n)},
        provenance=SimpleNamespace(simulated=True),
    )


def test_a_survey_in_other_bands_is_refused_before_anything_is_predicted(survey):
    survey.bands, survey.unit_of = ("sdss-g", "sdss-r", "sdss-i"), lambda name: ""
    scaling = Scaling("none", input_name="magnitudes", bands=survey.bands, centre=(0,) * 3, width=(1,) * 3)
    assert len(predict(Sum(), survey=survey, scaling=scaling, device="cpu")) == 23
    survey.bands = ("hsc-g", "hsc-r", "hsc-i")
    with pytest.raises(SchemaError, match="hsc-g"):
        predict(Sum(), survey=survey, scaling=scaling, device="cpu")


@pytest.mark.parametrize("batch_size", [1, 7, 23, 1000])
def test_predicts_every_object_in_order_whatever_the_batch(survey, batch_size):
    table = predict(
        Sum(), survey=survey, scaling=Doubling(), batch_size=batch_size, device="cpu", keep=["i_mag", "z_err"]
    )
    assert list(table) == ["survey", "object_id", "label", "truth", "pred", "simulated", "i_mag", "z_err"]
    np.testing.assert_allclose(table["pred"], 2 * survey.inputs["magnitudes"].sum(axis=1), rtol=1e-6)
    assert table["object_id"].dtype == np.int64
    np.testing.assert_array_equal(table["object_id"], survey.ids)
    np.testing.assert_array_equal(table["truth"], survey.labels["z"])
    np.testing.assert_array_equal(table["i_mag"], survey.catalogue["i_mag"])
    assert table["simulated"].all()


def test_unwraps_an_adapted_network_and_gives_back_every_mode(survey):
    network = Sum().train()
    network.frozen_norm.eval()
    predict(SimpleNamespace(network=network), survey=survey, scaling=Doubling())
    assert network.training and network.dropout.training and not network.frozen_norm.training


def test_gives_back_the_mode_after_an_error(survey):
    network = Sum().train()
    survey.inputs["magnitudes"][5, 1] = np.inf
    with pytest.raises(PixelError, match=str(survey.ids[5])):
        predict(network, survey=survey, scaling=Doubling())
    assert network.training


def test_text_ids_stay_text(survey):
    survey.ids = np.array([f"tiny:{i}" for i in range(len(survey))])
    assert predict(Sum(), survey=survey, scaling=Doubling())["object_id"].tolist() == survey.ids.tolist()


def test_nan_predictions_are_an_error_that_counts_them(survey):
    network = Sum()
    network.scale.data.fill_(float("nan"))
    with pytest.raises(PredictionError, match="23 of 23"):
        predict(network, survey=survey, scaling=Doubling())


def test_a_network_with_two_outputs_is_refused(survey):
    network = Sum()
    network.forward = lambda inputs: inputs[:, :2]
    with pytest.raises(PredictionError, match=r"\(23, 2\)"):
        predict(network, survey=survey, scaling=Doubling())


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"label": "feh"}, UnknownNameError),
        ({"keep": ["colour"]}, UnknownNameError),
        ({"keep": ["pred"]}, ConfigError),
        ({"batch_size": 0}, ConfigError),
    ],
)
def test_refuses_what_the_survey_does_not_have(survey, arguments, error):
    with pytest.raises(error):
        predict(Sum(), survey=survey, scaling=Doubling(), **arguments)


def test_an_input_the_survey_lacks_is_named(survey):
    network = Sum()
    network.input_name = "image"
    with pytest.raises(UnknownNameError, match="magnitudes"):
        predict(network, survey=survey, scaling=Doubling())


def _table(ids):
    n = len(ids)
    values = np.linspace(0.1, 1, n)
    return pd.DataFrame({"survey": "tiny", "object_id": ids, "label": "z", "truth": values, "pred": values + 1e-17})


def test_stacking_keeps_integers_and_turns_mixtures_to_exact_text():
    integers, text = _table(np.array([LARGE_ID, 5])), _table(np.array(["tiny:1", "tiny:2"]))
    assert concat_predictions([integers, integers])["object_id"].dtype == np.int64
    stacked = concat_predictions([integers, text], arm="lora", seed=3)
    assert stacked["object_id"].tolist() == [str(LARGE_ID), "5", "tiny:1", "tiny:2"]
    assert set(stacked["arm"]) == {"lora"} and set(stacked["seed"]) == {3}


def test_stacking_refuses_floats_nothing_and_overwriting():
    with pytest.raises(PredictionError, match="float64"):
        concat_predictions([_table(np.array([1.0, 2.0]))])
    with pytest.raises(PredictionError, match="no table"):
        concat_predictions([])
    with pytest.raises(ConfigError, match="survey"):
        concat_predictions([_table(np.array([1, 2]))], survey="other")


def test_saved_tables_come_back_to_the_last_bit(tmp_path):
    stacked = concat_predictions([_table(np.array([LARGE_ID, 5])), _table(np.array(["tiny:1"]))], arm="lora")
    for table in (stacked, _table(np.array([LARGE_ID, 5]))):
        path = save_predictions(table, path=tmp_path / "run" / "predictions.parquet", metadata={"digest": "abc"})
        loaded = load_predictions(path)
        pd.testing.assert_frame_equal(loaded, table, check_exact=True)
        assert loaded.attrs == {"digest": "abc"}
    assert [file.name for file in path.parent.iterdir()] == ["predictions.parquet"]


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
    pd.DataFrame({"pred": [1.0]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(SchemaError, match="object_id"):
        load_predictions(tmp_path / "other.parquet")
    with pytest.raises(SchemaError, match="truth"):
        save_predictions(pd.DataFrame({"pred": [1.0]}), path=tmp_path / "new.parquet")
