"""What networks answer about a survey: predictions, paths between networks, embeddings."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from astrolab.datasets.scaling import fit_scaling
from astrolab.errors import (
    CheckpointError,
    ConfigError,
    ModelError,
    PixelError,
    PredictionError,
    SchemaError,
    UnknownNameError,
)
from astrolab.models.adapt import adapt, merge
from astrolab.models.network import Network
from astrolab.models.paths import interpolate
from astrolab.models.registry import make_model
from astrolab.models.saving import load_model, save_model
from astrolab.predictions import KEYS, labels_of, task_of
from astrolab.trainers import predicting
from astrolab.trainers.loop import fit
from astrolab.trainers.predicting import N_REFERENCE, embed, fit_reference, predict, predict_path

LARGE_ID = 2**53 + 1  # the first integer that a float64 cannot hold


def predicted(case, model, **changes):
    return predict(model, **{"survey": case.validation, "scaling": case.scaling, "device": "cpu"} | changes)


def scaled(case, survey):
    return case.scaling.apply({name: torch.tensor(survey.inputs[name]) for name in survey.specs})


@pytest.mark.parametrize("name", ["cnn", "mlp", "two"])
@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_predicts_every_object_in_order_whatever_the_batch(case, name, batch_size):
    network = getattr(case, name)
    survey = replace(case.validation, ids=LARGE_ID + np.arange(20)[::-1], part="test")
    table = predicted(case, network, survey=survey, batch_size=batch_size, keep=["confidence"])
    assert list(table) == [*KEYS, "truth.z", "pred.z", "simulated", "confidence"]
    expected = copy.deepcopy(network).eval()(scaled(case, survey)).detach()[:, 0]
    np.testing.assert_allclose(table["pred.z"], expected, rtol=1e-4, atol=1e-6)
    assert table["object_id"].dtype == np.int64 and table["pred.z"].dtype == np.float64
    np.testing.assert_array_equal(table["object_id"], survey.ids)
    np.testing.assert_array_equal(table["truth.z"], survey.labels["z"])
    assert table["simulated"].all() and (table["split"] == "test").all() and (table["survey"] == "mock").all()
    assert task_of(table) == network.task


def test_every_label_has_its_columns_and_an_unknown_truth_is_nan(case):
    three = case.with_labels(case.train, feh=np.zeros(45), alpha_fe=np.zeros(45), teff=np.zeros(45))
    network = make_model("mlp", survey=three, seed=0)
    feh = np.where(np.arange(20) == 3, np.nan, 0.1)
    table = predicted(case, network, survey=case.with_labels(case.validation, feh=feh))
    assert labels_of(table) == ("feh", "alpha_fe", "teff") and task_of(table) == three.task
    assert table["truth.feh"].isna().sum() == 1 and table["truth.alpha_fe"].isna().all(), "the survey has no alpha_fe"


def test_a_network_without_labels_has_an_error_for_each_input_the_same_in_any_batch(case):
    tables = [predicted(case, case.autoencoder, batch_size=n) for n in (3, 20)]
    assert labels_of(tables[0]) == ("error.magnitudes",)
    np.testing.assert_allclose(tables[0]["error.magnitudes"], tables[1]["error.magnitudes"], rtol=1e-5)
    more = copy.deepcopy(case.autoencoder)
    more.mask_ratio = 0.99
    assert not np.allclose(predicted(case, more)["error.magnitudes"], tables[0]["error.magnitudes"])
    values = scaled(case, case.validation)["magnitudes"]
    everything = {"magnitudes": torch.ones_like(values, dtype=torch.bool)}
    filled = more.reconstruct({"magnitudes": values}, everything)["magnitudes"].detach()
    expected = (filled - values).square().mean(dim=1)
    np.testing.assert_allclose(predicted(case, more)["error.magnitudes"], expected, rtol=1e-5)


def test_the_model_is_named_and_gives_back_every_mode(case):
    adapted = case.adapted("lora", seed=3)
    adapted.network.train()
    frozen = next(m for m in adapted.network.modules() if isinstance(m, torch.nn.BatchNorm2d)).eval()
    named = predicted(case, adapted)[["run", "fit", "arm", "strategy", "seed", "trained_on"]].drop_duplicates()
    assert named.to_numpy().tolist() == [["", "", "lora", "lora", 3, ""]]
    assert adapted.network.training and not frozen.training
    assert predicted(case, case.cnn)["seed"].unique().tolist() == [-1]


def test_what_a_network_was_last_trained_on_travels_with_it_and_other_pixels_are_refused(case, tmp_path):
    config = case.config.with_changes(epochs=1)
    base = fit(case.cnn, **case.arguments(config=config)).adapted.network
    again = fit(adapt(base, strategy="lora"), **case.arguments(train=replace(case.train, name="new"), config=config))
    assert (base.trained_on.survey, again.adapted.network.trained_on.survey) == ("mock", "new")
    loaded = load_model(save_model(again.adapted, directory=tmp_path / "model", base=base))
    cropped = {**case.validation.inputs, "image": case.validation.inputs["image"][..., :6, :6]}
    other = replace(case.validation, inputs=cropped)
    for model in (again.adapted, loaded, merge(loaded), interpolate(base, adapted=loaded, scale=0.5)):
        assert (predicted(case, model)["trained_on"] == "new").all()
        with pytest.raises(SchemaError, match="image_size=8"):
            predicted(case, model, survey=other)
    assert predicted(case, loaded)["pred.z"].equals(predicted(case, again.adapted)["pred.z"])
    assert len(predicted(case, adapt(base, strategy="scratch"), survey=other)) == 20, "it has learned from nothing yet"


def test_inputs_that_are_not_finite_are_named_and_modes_given_back(case):
    pixels = case.validation.inputs["image"].copy()
    pixels[5, 0, 1, 1] = np.inf
    network = copy.deepcopy(case.cnn).train()
    with pytest.raises(PixelError, match=r"image.*2005"):
        predicted(case, network, survey=replace(case.validation, inputs={**case.validation.inputs, "image": pixels}))
    assert network.training


def test_what_a_network_answers_is_checked(case):
    network = copy.deepcopy(case.mlp)
    network.forward = lambda inputs: inputs["magnitudes"][:, :2]
    with pytest.raises(PredictionError, match=r"\(20, 2\)"):
        predicted(case, network)
    network.forward = lambda inputs: inputs["magnitudes"][:, :1] * np.nan
    with pytest.raises(PredictionError, match="NaN or infinity for 20 of 20"):
        predicted(case, network)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"keep": ["colour"]}, UnknownNameError),
        ({"keep": ["pred.z"]}, ConfigError),
        ({"keep": ["survey"]}, ConfigError),
        ({"keep": ["scale"]}, ConfigError),  # a condition: each of its values would be scored by itself
    ],
)
def test_refuses_what_the_survey_does_not_have(case, arguments, error):
    with pytest.raises(error):
        predicted(case, case.mlp, **arguments)


@pytest.fixture(scope="module")
def moved(case):
    """An adapted network of which only the output layer moves: predictions are a straight line in the scale."""
    adapted = adapt(case.mlp, strategy="layers", layers=["classifier.3"])
    with torch.no_grad():
        adapted.network.classifier[-1].weight.add_(torch.linspace(-1, 1, case.mlp.classifier[-1].in_features))
    return adapted


def test_predictions_move_along_a_straight_line(case, moved):
    surveys, scales = [case.train, replace(case.validation, name="new")], [0, 0.25, 1, 1.5]
    where = {"scales": scales, "surveys": surveys, "scaling": case.scaling, "device": "cpu"}
    table = predict_path(case.mlp, adapted=moved, keep=["confidence"], **where)
    assert len(table) == 4 * (45 + 20) and table["scale"].dtype == float and "confidence" in table
    assert (table["arm"] == "layers").all() and (table["strategy"] == "layers").all()
    for survey in surveys:
        ends = [predicted(case, end, survey=survey)["pred.z"].to_numpy() for end in (case.mlp, moved)]
        rows = table[table["survey"] == survey.name]
        for scale in scales:
            found = rows.loc[rows["scale"] == scale, "pred.z"]
            np.testing.assert_allclose(found, ends[0] + scale * (ends[1] - ends[0]), atol=1e-5)


def test_paths_that_are_none_are_refused(case, moved):
    where = {"scaling": case.scaling, "surveys": [case.train]}
    with pytest.raises(PredictionError, match="no table"):
        predict_path(case.mlp, adapted=moved, scales=[], **where)
    with pytest.raises(PredictionError, match="no table"):
        predict_path(case.mlp, adapted=moved, scales=[0, 1], **where | {"surveys": []})
    with pytest.raises(ModelError, match="residual"):
        predict_path(case.mlp, adapted=adapt(case.mlp, strategy="residual"), scales=[0, 1], **where)


def test_embeddings_are_a_survey_that_a_head_learns_from(case):
    train, validation = (embed(case.two, survey=one, scaling=case.scaling) for one in (case.train, case.validation))
    hidden = copy.deepcopy(case.two).eval().embed(scaled(case, case.train)).detach()
    np.testing.assert_allclose(train.inputs["embedding"], hidden, rtol=1e-4, atol=1e-5)
    assert train.labels.equals(case.train.labels) and train.ids is not None and tuple(train.specs) == ("embedding",)
    assert train.digest != case.train.digest
    head = make_model("mlp", survey=train, seed=0, hidden=(8, 8))
    arguments = case.arguments(train=train, validation=validation, config=case.config.with_changes(epochs=1))
    assert fit(head, **arguments | {"scaling": fit_scaling(train)}).n_epochs == 1


def test_embeddings_are_kept_by_model_and_data(case, monkeypatch, tmp_path):
    monkeypatch.setenv("ASTROLAB_DATA_DIR", str(tmp_path))
    adapted = case.adapted("lora")
    first = embed(adapted, survey=case.train, scaling=case.scaling)
    (path,) = (tmp_path / "embeddings").iterdir()
    kept = path.read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(predicting, "_answers", None)
        again = embed(adapted, survey=case.train, scaling=case.scaling)
    np.testing.assert_array_equal(first.inputs["embedding"], again.inputs["embedding"])
    path.write_bytes(kept[:-1])
    embed(adapted, survey=case.train, scaling=case.scaling)
    assert path.read_bytes() == kept, "a damaged file is made anew"
    other = case.adapted("lora", alpha=1)
    for model, survey in ((other, case.train), (adapted, case.train.take(np.arange(45)[::-1])), (case.cnn, case.train)):
        embed(model, survey=survey, scaling=case.scaling)
    assert len(list((tmp_path / "embeddings").iterdir())) == 4


class AsTheyAre(Network):
    """Its hidden features are the scaled magnitudes, so that distances are known."""

    name = "as_they_are"

    def __init__(self, *, inputs, task):
        super().__init__(inputs=inputs, task=task, stages={"head": ("output",)})
        self.output = torch.nn.Linear(inputs["magnitudes"][0], len(task.labels))

    def embed(self, inputs):
        return inputs["magnitudes"]

    def read_out(self, hidden):
        return self.output(hidden)


@pytest.fixture(scope="module")
def cloud(case):
    """A model that knows a Gaussian cloud of magnitudes, and what draws more of it, moved by some sigma."""
    rng = np.random.default_rng(0)

    def draw(n, *, moved=0.0):
        magnitudes = 20 + [1.0, 0.1, 3.0] * rng.normal([moved, 0, 0], 1, (n, 3))
        inputs, specs = {"magnitudes": magnitudes.astype("f4")}, {"magnitudes": case.train.specs["magnitudes"]}
        labels = case.train.labels.sample(n, replace=True, random_state=0, ignore_index=True)
        survey = replace(case.train, inputs=inputs, specs=specs, labels=labels, ids=np.arange(n), catalogue={})
        return replace(survey, weights=None)

    train, validation = draw(5000), draw(2000)
    scaling = fit_scaling(train)
    network = AsTheyAre(inputs={"magnitudes": (3,)}, task=train.task)
    data = {"train": train, "validation": validation, "scaling": scaling}
    return fit_reference(adapt(network, strategy="zero_shot"), **data), draw, scaling


def test_one_in_a_hundred_of_like_objects_is_flagged_and_nearly_all_of_others(cloud):
    model, draw, scaling = cloud
    same, moved, far = (predict(model, survey=draw(4000, moved=sigma), scaling=scaling) for sigma in (0, 2, 6))
    assert 0.005 < same["unlike"].mean() < 0.018, "1 %, but for the 2,000 held-out and 4,000 other objects drawn"
    steps = np.linspace(0, 1, 21)
    found = (same["typicality"].to_numpy()[:, None] <= steps).mean(axis=0)
    assert np.abs(found - steps).max() < 0.04, "uniform"
    assert 0.03 < moved["unlike"].mean() < 0.5 and far["unlike"].mean() > 0.95
    assert (far["typicality"] < 0.01).equals(far["unlike"])


def test_distances_are_those_of_the_nearest_training_object_whatever_the_units_of_a_feature(cloud):
    from scipy.spatial import cKDTree

    model, draw, scaling = cloud
    features, held_out = (model.reference[name].numpy() for name in ("features", "held_out"))
    assert len(features) == N_REFERENCE and (np.diff(held_out) >= 0).all()
    survey, width = draw(300, moved=1), features.std(axis=0)
    hidden = scaling.apply(survey.inputs)["magnitudes"]
    distance, _ = cKDTree(features / width).query(hidden / width)
    expected = (held_out[None] >= distance[:, None] * (1 - 1e-6)).mean(axis=1)
    np.testing.assert_allclose(predict(model, survey=survey, scaling=scaling)["typicality"], expected, atol=2e-3)


def test_fainter_objects_and_those_with_a_band_missing_are_flagged_more_often_than_test_objects(cloud):
    model, draw, _ = cloud

    def galaxies(n, *, fainter=0.0, lost=()):
        """Colours vary less than magnitudes, as those of galaxies do."""
        survey = draw(n)
        magnitudes = survey.inputs["magnitudes"] @ np.array([[1, 1, 1], [1, 0, -1], [0, 0.02, 0]], dtype="f4") + fainter
        magnitudes[:, lost] = np.nan
        specs = {"magnitudes": replace(survey.specs["magnitudes"], unit="AB mag")}
        return replace(survey, inputs={"magnitudes": magnitudes}, specs=specs)

    train = galaxies(4000)
    scaling = fit_scaling(train)
    assert scaling.inputs["magnitudes"].may_miss
    model = fit_reference(replace(model, reference=None), train=train, validation=galaxies(900), scaling=scaling)
    surveys = [galaxies(1000), galaxies(1000, fainter=3), galaxies(1000, lost=[1])]
    same, fainter, lost = (predict(model, survey=survey, scaling=scaling)["unlike"].mean() for survey in surveys)
    assert same < 0.03 and min(fainter, lost) > 0.3


def test_a_reference_is_saved_with_its_model_and_ends_with_more_training(case, tmp_path):
    arguments = case.arguments(config=case.config.with_changes(epochs=1))
    data = {name: arguments[name] for name in ("train", "validation", "scaling")}
    model = fit_reference(fit(case.adapted("lora"), **arguments).adapted, **data)
    table = predicted(case, model)
    assert list(table)[-3:] == ["simulated", "typicality", "unlike"] and table["unlike"].dtype == bool
    assert "unlike" not in predicted(case, fit(model, **arguments).adapted), (
        "what it learned from is something else now"
    )
    folder = save_model(model, directory=tmp_path / "model", base=case.cnn)
    assert predicted(case, load_model(folder)).equals(table)
    (folder / "reference.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match="reference"):
        load_model(folder)


def test_a_survey_without_labels_is_predicted_with_unknown_truth(case):
    bare = case.with_labels(case.validation)
    table = predicted(case, case.mlp, survey=bare)
    assert table["truth.z"].isna().all() and table["pred.z"].equals(predicted(case, case.mlp)["pred.z"])
    assert task_of(table) == case.mlp.task
