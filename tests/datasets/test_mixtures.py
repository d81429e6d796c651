"""Surveys joined: every galaxy kept by concat, every galaxy once by combine."""

import numpy as np
import pytest

from astrolab.datasets.mixtures import combine, combine_splits, concat
from astrolab.datasets.splits import PARTS, split
from astrolab.errors import SchemaError, UnknownNameError


def test_concat_keeps_order_ids_and_says_who_is_who(make_survey):
    a = make_survey(n=3, name="a", first_id=2**60)
    b = make_survey(n=2, name="b", seed=1, first_id=2**60 + 10, sky_deg=None)
    both = concat([a, b], name="both")
    np.testing.assert_array_equal(both.ids, [*a.ids, *b.ids])
    np.testing.assert_array_equal(both.inputs["image"][[4, 0]], [b.inputs["image"][1], a.inputs["image"][0]])
    assert list(both.table("member")["member"]) == ["a"] * 3 + ["b"] * 2
    assert np.isnan(both.sky_deg[3:]).all() and np.isfinite(both.sky_deg[:3]).all()
    assert both.provenance.id_scheme == "hsc-pdr2"
    assert both.digest != concat([b, a], name="both").digest


def test_ids_of_different_schemes_stay_different(make_survey):
    a, b = make_survey(n=2, name="a", first_id=5), make_survey(n=2, name="b", first_id=5, scheme="sdss")
    both = concat([a, b], name="both")
    assert list(both.ids) == ["hsc-pdr2:5", "hsc-pdr2:6", "sdss:5", "sdss:6"]
    assert both.provenance.id_scheme == "hsc-pdr2+sdss"


def test_a_mixture_with_a_twin_is_simulated(make_survey):
    real = make_survey(n=2, name="real")
    twin = make_survey(n=2, name="twin")
    object.__setattr__(twin.provenance, "simulated", True)
    assert concat([real, twin], name="both").provenance.simulated


def test_combine_follows_the_recipe_of_combo(make_survey):
    """The published numbers in small: n = n_a + n_b - n_common, the row and the split of the kept survey."""
    faint = make_survey(n=100, name="transferz", first_id=1000, published_split=np.repeat(["train", "test"], 50))
    sky = np.random.default_rng(1).uniform(10, 11, size=(60, 2))
    sky[20] = faint.sky_deg[3] + [0, 0.5 / 3600]  # one more galaxy in common, under another id
    parts = np.repeat(["test", "train"], 30)
    bright = make_survey(n=60, name="galaxiesml", seed=1, first_id=1090, sky_deg=sky, published_split=parts)
    combo = combine([faint, bright], keep="galaxiesml")
    assert len(combo) == 100 + 60 - 11
    assert len(set(combo.ids.tolist())) == len(combo)
    table = combo.table("member").set_index("object_id")
    assert (table.loc[1090:1099, "member"] == "galaxiesml").all()
    np.testing.assert_array_equal(table.loc[1090:1099, "z"], bright.labels["z"][:10])
    assert (combo.published_split == "test").sum() == 30 + 50 - 10
    assert 1003 not in table.index


def test_combine_refuses_what_it_cannot_compare(make_survey):
    images = {"image": np.zeros((3, 5, 8, 8), np.float32)}
    a = make_survey(n=3, name="a", sky_deg=None, inputs=images)
    b = make_survey(n=3, name="b", scheme="sdss", inputs=images)
    with pytest.raises(SchemaError, match="allow_unknown_overlap"):
        combine([a, b], keep="a")
    with pytest.raises(UnknownNameError):
        combine([a, b], keep="c")


def test_surveys_that_do_not_fit_are_refused(make_survey):
    survey = make_survey(n=3, name="a")
    swapped = make_survey(n=3, name="b", bands=("hsc-r", "hsc-g", "hsc-i", "hsc-z", "hsc-y"))
    with pytest.raises(SchemaError, match="in the same order"):
        concat([survey, swapped], name="both")
    renamed = make_survey(n=3, name="b", labels=survey.labels.rename(columns={"z": "z_phot"}))
    with pytest.raises(SchemaError, match="labels"):
        concat([survey, renamed], name="both")
    larger = make_survey(n=3, name="b", inputs={"image": np.zeros((3, 5, 9, 9), np.float32)})
    with pytest.raises(SchemaError, match="image_size"):
        concat([survey, larger], name="both")
    with pytest.raises(SchemaError):
        concat([], name="none")


def test_identical_magnitudes_are_one_galaxy_where_nothing_else_can_be_compared(make_survey):
    a = make_survey(n=5, name="a", sky_deg=None)
    b = make_survey(
        n=5,
        name="b",
        seed=1,
        scheme="sdss",
        inputs={**a.inputs, "magnitudes": a.inputs["magnitudes"][::-1] + np.array([[0], [0], [1], [1], [1]])},
    )
    assert len(combine([a, b], keep="a")) == 5 + 3


def test_a_union_of_splits_is_the_union_part_by_part(make_survey):
    faint, bright = make_survey(n=90, name="faint"), make_survey(n=90, name="bright", seed=1, first_id=10**17)
    parts = [split(faint), split(bright)]
    union = combine_splits(parts, keep="bright")
    for part in PARTS:
        expected = [*getattr(parts[0], part).ids, *getattr(parts[1], part).ids]
        np.testing.assert_array_equal(getattr(union, part).ids, expected)
