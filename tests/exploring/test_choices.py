import numpy as np
import pandas as pd
import pytest

from astrolab.errors import PredictionError, UnknownNameError
from astrolab.exploring.choices import ABSENT, Choices


def test_options_are_in_the_order_of_the_table(predictions):
    choices = Choices.of(predictions)
    assert choices.options["arm"] == ("tl", "lora")
    assert choices.options["seed"] == (0,)
    assert "direction" not in choices.options


def test_gives_the_rows_that_a_query_gives(predictions):
    found = Choices.of(predictions.sample(frac=1, random_state=1)).galaxies(arm="lora")
    expected = predictions.query("arm == 'lora'").set_index("object_id")["pred"]
    pd.testing.assert_series_equal(found.set_index("object_id")["pred"].sort_index(), expected)
    assert list(found.index) == [0, 1, 2]


def test_a_choice_left_open_is_named(predictions):
    with pytest.raises(PredictionError, match=r"arm: tl, lora"):
        Choices.of(predictions).galaxies(survey="twin-galaxiesml")


def test_unknown_values_and_columns_are_refused(predictions):
    choices = Choices.of(predictions)
    with pytest.raises(UnknownNameError, match="lora"):
        choices.galaxies(arm="lorra")
    with pytest.raises(UnknownNameError, match="seed"):
        choices.galaxies(sead=0)
    with pytest.raises(PredictionError, match="without object_id"):
        Choices.of(predictions.drop(columns="object_id"))
    with pytest.raises(PredictionError, match="without rows"):
        Choices.of(predictions.iloc[:0])


@pytest.mark.parametrize("column", ["truth", "pred"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_galaxies_without_a_number_are_refused(predictions, column, value):
    predictions.loc[4, column] = value
    with pytest.raises(PredictionError, match=f"1 of 6 rows where {column} is NaN or infinite") as caught:
        Choices.of(predictions)
    assert caught.value.remedy


def test_a_combination_that_is_not_there_is_refused_and_the_nearest_found(predictions):
    second = predictions[predictions["arm"] == "lora"].assign(seed=1)
    choices = Choices.of(pd.concat([predictions, second], ignore_index=True))
    with pytest.raises(PredictionError, match="no galaxy has"):
        choices.galaxies(arm="tl", seed=1)
    assert choices.complete(arm="tl", seed=1)["seed"] == 0
    assert choices.complete(seed=1, arm="tl") == {"survey": "twin-galaxiesml", "arm": "lora", "seed": 1, "label": "z"}


def test_studies_with_other_columns_meet_in_one_table(predictions):
    fractions = predictions.assign(run="b", fraction=0.5)
    choices = Choices.of(pd.concat([predictions.assign(run="a", direction="forward"), fractions]))
    assert choices.options["fraction"] == (ABSENT, 0.5)
    assert choices.complete(run="b")["direction"] == ABSENT
    assert choices.galaxies(run="a", arm="lora", direction="forward", fraction=ABSENT)["fraction"].isna().all()
