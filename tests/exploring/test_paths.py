import numpy as np
import pandas as pd
import pytest

from astrolab.datasets.scaling import fit_scaling
from astrolab.errors import ConfigError, PredictionError, SchemaError, UnknownNameError
from astrolab.exploring.paths import AdapterPath, answer, stamp_size
from astrolab.models.network import TrainingRecord
from astrolab.models.registry import make_model
from astrolab.tasks import REDSHIFT, Quantity, make_task


@pytest.fixture
def along():
    """Predictions that move linearly from far too large to right, on two surveys."""
    random = np.random.default_rng(0)
    tables = []
    for survey, n in (("twin-transferz", 80), ("twin-galaxiesml", 120)):
        truth = random.uniform(0.2, 1.8, n)
        for scale in (1.0, 0.0, 0.5):
            pred = truth + (1 - scale) * 0.1 * (1 + truth)
            columns = {"survey": survey, "object_id": np.arange(n), "truth.z": truth, "pred.z": pred}
            tables.append(pd.DataFrame(columns | {"scale": scale, "simulated": True}).sample(frac=1, random_state=n))
    return pd.concat(tables, ignore_index=True)


def test_predictions_between_two_scales_lie_on_the_line_between(along):
    path = AdapterPath.of(along)
    assert path.scales.tolist() == [0.0, 0.5, 1.0] and path.simulated
    objects = path.surveys["twin-galaxiesml"]
    for scale in (0.0, 0.3, 0.5, 0.9, 1.0):
        expected = objects.truth + (1 - scale) * 0.1 * (1 + objects.truth)
        np.testing.assert_allclose(path.predictions_at(scale, survey="twin-galaxiesml"), expected)


def test_scores_of_both_surveys_move_at_once(along):
    scores = AdapterPath.of(along).scores_at(0.75).set_index(["survey", "metric"])
    for survey in ("twin-transferz", "twin-galaxiesml"):
        assert scores.loc[(survey, "bias"), "value"] == pytest.approx(0.025)
        assert scores.loc[(survey, "bias"), "base"] == pytest.approx(0.1)
        assert scores.loc[(survey, "bias"), "adapted"] == pytest.approx(0.0, abs=1e-12)
        assert scores.loc[(survey, "scatter"), "value"] == pytest.approx(0.0, abs=1e-12)


def test_a_path_may_go_beyond_the_adapted_network(along):
    beyond = along[along["scale"] == 1.0].assign(scale=1.5)
    beyond["pred.z"] = beyond["truth.z"] - 0.05 * (1 + beyond["truth.z"])
    scores = AdapterPath.of(pd.concat([along, beyond])).scores_at(1.5).set_index(["survey", "metric"])
    row = scores.loc[("twin-transferz", "bias")]
    np.testing.assert_allclose([row["value"], row["base"], row["adapted"]], [-0.05, 0.1, 0.0], atol=1e-12)


def test_other_labels_have_the_metrics_of_their_task_and_unknown_truths_are_left_out(along):
    renamed = along.rename(columns={"truth.z": "truth.feh", "pred.z": "pred.feh"})
    renamed.loc[renamed["object_id"] == 7, "truth.feh"] = np.nan
    path = AdapterPath.of(renamed, task=make_task([Quantity("feh")]))
    scores = path.scores_at(0.0).set_index(["survey", "metric"])["value"]
    survey = path.surveys["twin-transferz"]
    assert scores["twin-transferz", "rmse"] == pytest.approx(np.sqrt(np.mean((0.1 * (1 + survey.truth)) ** 2)))
    assert len(survey.truth) == 79 and 7 not in survey.object_id
    assert path.quantity.name == "feh" and set(path.scores["metric"]) == {"bias", "sigma_clipped", "rmse"}


def test_tables_that_are_no_path_are_refused(along):
    for table, said in (
        (along.drop(columns="scale"), "without scale"),
        (along[along["scale"] == 0], "1 scale"),
        (along.drop(index=7), "exactly once"),
        (pd.concat([along, along.assign(seed=1)]), "exactly once"),
    ):
        with pytest.raises(PredictionError, match=said):
            AdapterPath.of(table)
    with pytest.raises(PredictionError, match="no object with truth"):
        AdapterPath.of(along, task=REDSHIFT.with_scored(z=(3.0, 4.0)))


@pytest.fixture
def asked(survey):
    """A network, its scaling, and what a galaxy of the survey gives it."""
    network = make_model("cnn", survey=survey, seed=0, width=8).eval()
    image = np.asarray(survey.inputs["image"][1])
    channels = survey.specs["image"].channels
    return network, fit_scaling(survey), {"inputs": {"image": image}, "channels": {"image": channels}}


def test_one_object_gets_the_answer_that_the_network_gives_to_all(asked, survey):
    import torch

    network, scaling, stamp = asked
    with torch.inference_mode():
        raw = torch.from_numpy(np.array(survey.inputs["image"][:], dtype=np.float32))
        expected = network(scaling.apply({"image": raw}))[1, 0].item()
    assert answer(network, label="z", scaling=scaling, **stamp) == pytest.approx(expected, rel=1e-5)


def test_a_missing_input_another_label_and_other_channels_are_refused(asked):
    network, scaling, stamp = asked
    with pytest.raises(UnknownNameError, match="magnitudes"):
        answer(network, label="z", scaling=scaling, inputs={"magnitudes": np.zeros(3)}, channels={"magnitudes": ()})
    with pytest.raises(UnknownNameError, match="label"):
        answer(network, label="feh", scaling=scaling, **stamp)
    (fitted,) = stamp["channels"].values()
    for channels in (("sdss-g", "sdss-r", "sdss-i"), fitted[::-1], (*fitted, "hsc-y")):
        with pytest.raises(SchemaError, match=f"image in {', '.join(channels)}") as caught:
            answer(network, label="z", scaling=scaling, inputs=stamp["inputs"], channels={"image": channels})
        assert ", ".join(fitted) in caught.value.available


def test_networks_are_shown_stamps_of_the_size_that_they_were_trained_on(asked, survey):
    def trained_at(size):
        network = make_model("cnn", survey=survey, seed=0, width=8)
        network.trained_on = TrainingRecord("s", {"image": survey.specs["image"]}, {"image": (3, size, size)})
        return network, asked[1]

    unknown = asked[:2]
    assert stamp_size({}) is None and stamp_size({"a": unknown}) is None
    assert stamp_size({}, asked=16) == 16 and stamp_size({"a": unknown}, asked=16) == 16
    assert stamp_size({"a": trained_at(32), "b": unknown}) == 32 == stamp_size({"a": trained_at(32)}, asked=32)
    with pytest.raises(ConfigError, match=r"stamps of 64 px[\s\S]*a: 32 px"):
        stamp_size({"a": trained_at(32), "b": unknown}, asked=64)
    with pytest.raises(ConfigError, match="a: 32 px, b: 64 px"):
        stamp_size({"a": trained_at(32), "b": trained_at(64)})
