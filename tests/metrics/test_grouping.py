import numpy as np
import pandas as pd
import pytest

from astrolab.errors import PredictionError
from astrolab.metrics.grouping import groups_of, iterate_groups, require_scorable, within

TABLE = pd.DataFrame({"arm": ["lora", "full"] * 3, "truth": [0.3, 0.4, 1.5, 1.6, 1.0, 0.2], "pred": 0.5})


def test_the_range_is_open_below_and_closed_above():
    assert within(TABLE, z_range=(0.3, 1.5))["truth"].tolist() == [0.4, 1.5, 1.0]
    assert within(TABLE, z_range=None) is TABLE


def test_groups_come_in_the_order_of_the_table():
    groups = list(iterate_groups(TABLE, by=["arm"], z_range=(0.3, 1.5)))
    assert [key for key, _ in groups] == [{"arm": "lora"}, {"arm": "full"}]
    assert [len(galaxies) for _, galaxies in groups] == [2, 1]
    assert groups_of(TABLE) == ["arm"]


def test_fractions_and_scales_are_told_apart():
    table = TABLE.assign(fraction=[0.1, 0.1, 1, 1, 1, 1], scale=1.0, seed=0)
    assert groups_of(table) == ["arm", "fraction", "scale", "seed"]


def test_a_group_without_galaxies_is_an_error_that_names_it():
    with pytest.raises(PredictionError, match="arm=full"):
        list(iterate_groups(TABLE, by=["arm"], z_range=(0.9, 1.55)))


@pytest.mark.parametrize("column", ["truth", "pred"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_a_number_is_counted_not_dropped(column, value):
    with pytest.raises(PredictionError, match=f"1 of 6 rows where {column}"):
        require_scorable(TABLE.assign(**{column: [value, 1, 1, 1, 1, 1]}), columns=[])


def test_a_missing_column_is_named():
    with pytest.raises(PredictionError, match="without seed"):
        require_scorable(TABLE, columns=["seed"])
