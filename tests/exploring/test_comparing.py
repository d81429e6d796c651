import numpy as np
import pytest

from astrolab.errors import PredictionError
from astrolab.exploring.comparing import VERDICTS, match_models


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


def test_other_galaxies_are_refused(predictions):
    tl, lora = split(predictions)
    with pytest.raises(PredictionError, match="3 and 2 galaxies, 2 in common"):
        match_models(tl, others=lora.iloc[:2])
    with pytest.raises(PredictionError, match="twice"):
        match_models(tl, others=lora.iloc[[0, 0, 1]])
