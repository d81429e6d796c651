import numpy as np
import pytest

from astrolab.datasets.scaling import fit_scaling
from astrolab.errors import ConfigError, SchemaError, UnknownNameError
from astrolab.exploring.answers import answer, stamp_size
from astrolab.models.adapt import adapt
from astrolab.models.network import InputRecord
from astrolab.models.registry import make_model
from astrolab.predictions import predict


def test_one_galaxy_gets_the_answer_that_predict_gives_it(survey):
    network = make_model("redshift_cnn", n_bands=3, seed=0, width=8).eval()
    adapted = adapt(network, strategy="zero_shot")
    scaling = fit_scaling(survey)
    expected = predict(adapted, survey=survey, scaling=scaling)["pred"][1]
    stamp = {"inputs": {"image": np.asarray(survey.inputs["image"][1])}, "bands": survey.bands}
    assert answer(network, scaling=scaling, **stamp) == pytest.approx(expected, rel=1e-5)
    assert answer(adapted, scaling=scaling, **stamp) == pytest.approx(expected, rel=1e-5)


def test_a_missing_input_and_other_bands_are_refused(survey):
    network = make_model("redshift_cnn", n_bands=3, seed=0, width=8).eval()
    scaling = fit_scaling(survey)
    with pytest.raises(UnknownNameError, match="magnitudes"):
        answer(network, scaling=scaling, inputs={"magnitudes": np.zeros(3)}, bands=survey.bands)
    with pytest.raises(SchemaError, match="band"):
        answer(network, scaling=scaling, inputs={"image": np.zeros((5, 16, 16))}, bands=survey.bands)


def test_as_many_other_bands_or_the_same_in_another_order_are_refused(survey):
    network = make_model("redshift_cnn", n_bands=3, seed=0, width=8).eval()
    scaling, stamp = fit_scaling(survey), {"image": np.asarray(survey.inputs["image"][1])}
    for bands in (("sdss-g", "sdss-r", "sdss-i"), survey.bands[::-1]):
        with pytest.raises(SchemaError, match=f"galaxy in {', '.join(bands)}") as caught:
            answer(network, scaling=scaling, inputs=stamp, bands=bands)
        assert ", ".join(survey.bands) in caught.value.available


def trained_at(size, *, network):
    adapted = adapt(network, strategy="zero_shot")
    adapted.network.trained_on = InputRecord("image", ("g",) * 3, "nJy", None, (3, size, size))
    return adapted


def test_networks_are_shown_stamps_of_the_size_that_they_were_trained_on(survey):
    network = make_model("redshift_cnn", n_bands=3, seed=0, width=8).eval()
    scaling = fit_scaling(survey)
    of_32, of_64 = ((trained_at(size, network=network), scaling) for size in (32, 64))
    unknown = (network, scaling)
    assert stamp_size({}) is None and stamp_size({"a": unknown}) is None
    assert stamp_size({}, asked=16) == 16 and stamp_size({"a": unknown}, asked=16) == 16
    assert stamp_size({"a": of_32, "b": unknown}) == 32 == stamp_size({"a": of_32}, asked=32)
    with pytest.raises(ConfigError, match=r"stamps of 64 px[\s\S]*a: 32 px"):
        stamp_size({"a": of_32, "b": unknown}, asked=64)
    with pytest.raises(ConfigError, match="a: 32 px, b: 64 px"):
        stamp_size({"a": of_32, "b": of_64})
