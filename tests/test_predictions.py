from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from bit_flips import require_every_flip_refused

from astrolab.datasets.scaling import Scaling, fit_scaling
from astrolab.datasets.survey import Provenance, Survey
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
from astrolab.models.adapt import adapt, merge
from astrolab.models.interpolation import interpolate
from astrolab.models.registry import make_model
from astrolab.models.saving import load_model, save_model
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


def stamps(*, size=8, scale=0.2, unit="nJy"):
    rng = np.random.default_rng(0)
    return Survey(
        name="sky",
        inputs={"image": rng.normal(size=(40, 2, size, size)).astype("f4"), "magnitudes": rng.normal(size=(40, 2))},
        labels=pd.DataFrame({"z": rng.uniform(0, 1, 40)}),
        ids=np.arange(40),
        bands=("g", "r"),
        catalogue={},
        sky_deg=None,
        published_split=None,
        provenance=Provenance("sky", "sky", image_unit=unit, pixel_scale_arcsec=scale, magnitude_unit="mag"),
    )


@pytest.fixture(scope="module")
def trained():
    from astrolab.trainers.config import TrainConfig
    from astrolab.trainers.loop import fit

    survey, network = stamps(), make_model("redshift_cnn", n_bands=2, seed=0, width=4, hidden=(4,))
    options = {"config": TrainConfig(epochs=1, batch_size=16, device="cpu", precision="float32"), "progress": False}
    options |= {"train": survey, "validation": survey, "scaling": fit_scaling(survey)}
    return lambda adapted=network, **changes: fit(adapted, **options | changes).adapted


def test_a_survey_of_other_pixels_than_trained_on_is_refused(trained):
    adapted, scaling = trained(), fit_scaling(stamps(unit=""))
    copies = [adapted.network, merge(adapted), adapt(adapted.network, strategy="lora"), trained(adapted)]
    for model in (adapted, *copies, interpolate(copies[0], adapted=copies[1], scale=0.5)):
        for changes, remedy in (
            ({"size": 12}, "image_size=8"),
            ({"scale": 0.396}, "resample it to 0.2 arcsec"),
            ({"unit": "counts"}, "convert it to nJy"),
        ):
            with pytest.raises(SchemaError, match=remedy):
                predict(model, survey=stamps(**changes), scaling=scaling, device="cpu")
        for fitting in ({}, {"scale": None}, {"unit": ""}, {"scale": 0.20001}):
            assert len(predict(model, survey=stamps(**fitting), scaling=scaling, device="cpu")) == 40
    untrained = adapt(adapted.network, strategy="scratch")
    assert untrained.trained_on is None and len(predict(untrained, survey=stamps(size=12), scaling=scaling)) == 40


@pytest.mark.parametrize("strategy", ["full", "lora", "residual", "zero_shot"])
def test_what_a_network_was_trained_on_is_what_it_last_learned_from(strategy, trained, tmp_path):
    base, finer = trained().network, stamps(scale=0.1)
    adapted = adapt(base, strategy=strategy)
    assert adapted.trained_on.pixel_scale_arcsec == 0.2
    again = trained(adapted, train=finer, validation=finer)
    assert again.trained_on == replace(base.trained_on, pixel_scale_arcsec=0.2 if strategy == "zero_shot" else 0.1)
    assert base.trained_on.shape == (2, 8, 8) and base.trained_on.bands == ("g", "r")
    loaded = load_model(save_model(again, directory=tmp_path / "model", base=base))
    assert loaded.trained_on == again.trained_on and adapted.trained_on == base.trained_on
    if strategy != "residual":
        assert merge(loaded).trained_on == again.trained_on


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
    with pytest.raises(SchemaError, match="truth"):
        save_predictions(pd.DataFrame({"pred": [1.0]}), path=tmp_path / "new.parquet")
