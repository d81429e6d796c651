import numpy as np
import pandas as pd
import pytest

from astrolab.errors import PredictionError
from astrolab.exploring.choices import Choices
from astrolab.exploring.comparing import (
    VERDICTS,
    difference,
    match_models,
    other_models,
    short_name,
)


def split(predictions):
    return predictions.query("arm == 'tl'"), predictions.query("arm == 'lora'")


def test_the_other_model_is_nearer_or_farther_galaxy_by_galaxy(predictions):
    tl, lora = split(predictions)
    matched = match_models(tl, others=lora.iloc[::-1])
    np.testing.assert_allclose(matched["pred_other"], [0.8, 1.2, 1.1])
    np.testing.assert_allclose(matched["change"], [0.2, 0.0, -0.75])
    assert matched["verdict"].tolist() == ["farther", "about the same", "nearer"]
    assert tuple(matched["verdict"].cat.categories) == VERDICTS


def test_small_changes_do_not_count(predictions):
    tl, lora = split(predictions)
    assert match_models(tl, others=lora, at_least=0.5)["verdict"].tolist() == [
        "about the same",
        "about the same",
        "nearer",
    ]


def test_others_are_all_models_of_the_test_set_the_nearest_first(predictions):
    runs = [predictions.assign(run="A", fraction=fraction) for fraction in (0.1, 1.0)]
    elsewhere = predictions.assign(run="A", fraction=1.0, survey="combo")
    choices = Choices.of(pd.concat([*runs, elsewhere], ignore_index=True))
    values = choices.complete(arm="lora", fraction=1.0, survey="twin-galaxiesml")
    others = other_models(choices, values=values)
    assert [difference(values, other=other) for other in others] == [
        {"arm": "tl"},
        {"fraction": 0.1},
        {"arm": "tl", "fraction": 0.1},
    ]
    assert [short_name(values, other=other) for other in others] == ["tl", "fraction=0.1", "arm=tl, fraction=0.1"]


def test_one_id_with_two_labels_is_not_one_galaxy(predictions):
    tl, lora = split(predictions)
    match_models(tl, others=lora.assign(truth=lora["truth"].astype("float32")))
    with pytest.raises(PredictionError, match="another true value for 1 of 3 ids"):
        match_models(tl, others=lora.assign(truth=[0.5, 1.0, 1.1]))


def test_other_galaxies_are_refused(predictions):
    tl, lora = split(predictions)
    with pytest.raises(PredictionError, match="3 and 2 galaxies, 2 in common"):
        match_models(tl, others=lora.iloc[:2])
    with pytest.raises(PredictionError, match="twice"):
        match_models(tl, others=lora.iloc[[0, 0, 1]])
