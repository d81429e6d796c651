"""What a network was trained on travels with it, and other pixels are refused before anything is predicted."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from astrolab.models.interpolation import interpolate

from astrolab.datasets.scaling import fit_scaling
from astrolab.datasets.survey import Provenance, Survey
from astrolab.errors import SchemaError
from astrolab.models.adapt import adapt, merge
from astrolab.models.registry import make_model
from astrolab.models.saving import load_model, save_model
from astrolab.predictions import predict


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
