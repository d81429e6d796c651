import numpy as np
import pytest

from astrolab.datasets.scaling import fit_scaling
from astrolab.errors import SchemaError, UnknownNameError
from astrolab.exploring.answers import answer
from astrolab.models.adapt import adapt
from astrolab.models.registry import make_model
from astrolab.predictions import predict


def test_one_galaxy_gets_the_answer_that_predict_gives_it(survey):
    network = make_model("redshift_cnn", n_bands=3, seed=0, width=8).eval()
    adapted = adapt(network, strategy="zero_shot")
    scaling = fit_scaling(survey)
    expected = predict(adapted, survey=survey, scaling=scaling)["pred"][1]
    stamp = {"image": np.asarray(survey.inputs["image"][1])}
    assert answer(network, scaling=scaling, inputs=stamp) == pytest.approx(expected, rel=1e-5)
    assert answer(adapted, scaling=scaling, inputs=stamp) == pytest.approx(expected, rel=1e-5)


def test_a_missing_input_and_other_bands_are_refused(survey):
    network = make_model("redshift_cnn", n_bands=3, seed=0, width=8).eval()
    scaling = fit_scaling(survey)
    with pytest.raises(UnknownNameError, match="magnitudes"):
        answer(network, scaling=scaling, inputs={"magnitudes": np.zeros(3)})
    with pytest.raises(SchemaError, match="band"):
        answer(network, scaling=scaling, inputs={"image": np.zeros((5, 16, 16))})
