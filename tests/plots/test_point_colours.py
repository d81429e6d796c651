import numpy as np
import pandas as pd
import pytest

from astrolab.exploring import match_models, with_deviations
from astrolab.plots.point_colours import GOOD, N_SHADES, SAME, colour_galaxies


@pytest.fixture
def galaxies():
    columns = {"object_id": range(5), "label": "z", "truth": 1.0, "pred": [1.0, 1.1, 2.0, 1.0, 3.0]}
    return with_deviations(pd.DataFrame(columns | {"i_mag": [18.0, np.nan, 20.0, 22.0, np.inf]}))


def test_groups_are_outliers_or_what_changed(galaxies):
    outliers = colour_galaxies(galaxies)
    assert list(outliers.groups == "outlier") == galaxies["is_outlier"].tolist()
    assert list(outliers.colours) == list(outliers.groups.categories) == ["not an outlier", "outlier"]
    assert outliers.heading(["LoRA"]) == ""
    changed = colour_galaxies(match_models(galaxies, others=galaxies.assign(pred=1.0)))
    assert changed.groups.tolist() == ["about the same", "nearer", "nearer", "about the same", "nearer"]
    assert changed.heading(["tl", "LoRA"]) == "Beside tl, LoRA is …"
    assert changed.of_points.tolist() == [SAME, GOOD, GOOD, SAME, GOOD]


def test_a_legend_counts_the_galaxies_that_are_shown(galaxies):
    colours = colour_galaxies(galaxies)
    assert list(colours.legend()) == ["not an outlier: 3", "outlier: 2"]
    inside = np.array([True, False, True, False, False])
    assert list(colours.legend(inside=inside)) == ["not an outlier: 1", "outlier: 1"]


def test_what_was_not_measured_is_grey_and_nothing_else_is(galaxies):
    colours = colour_galaxies(galaxies, by="i_mag")
    points = colours.of_points
    assert points[1] == points[4] == SAME and SAME not in points[[0, 2, 3]]
    assert points[[0, 2, 3]].tolist() == [colours.colours[f"shade {k}"] for k in (0, N_SHADES // 2, N_SHADES - 1)]
    assert list(colours.legend()) == ["≤ 18.08", "20", "≥ 21.92", "not measured: 2"]
    assert list(colours.legend(inside=np.arange(5) == 0)) == ["≤ 18.08", "20", "≥ 21.92"]
    assert colours.heading(["LoRA"]) == "Colour: i magnitude (mag)"
    channels = np.array([[int(colour[k : k + 2], 16) for k in (1, 3, 5)] for colour in colours.colours.values()])
    spread = channels.max(axis=1) - channels.min(axis=1)
    assert spread[:-1].min() > 60 and spread[-1] == 0, "no shade can be taken for the grey"


def test_shades_of_one_value_and_of_none():
    for values in ([5.0] * 4, [5.0] * 99 + [7.0], [np.nan, np.nan]):
        n = len(values)
        table = pd.DataFrame({"label": "z", "truth": [1.0] * n, "pred": [1.0] * n, "mag": values})
        assert len(colour_galaxies(with_deviations(table), by="mag").of_points) == n
