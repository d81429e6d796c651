"""Objects in common are those that brute force finds; leaks are stopped; joined surveys neither lose nor double any."""

from dataclasses import replace
from types import SimpleNamespace

import astropy.units as u
import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import angular_separation

from astrolab.datasets.overlap import (
    audit_leaks,
    clear_training,
    combine,
    combine_splits,
    concat,
    drop_common,
    in_common,
    rows_of,
)
from astrolab.datasets.splits import PARTS, Splits, split
from astrolab.datasets.survey import qualified_ids
from astrolab.errors import LeakError, SchemaError, UnknownNameError


def test_ids_carry_their_scheme_once(make_survey):
    assert qualified_ids(make_survey(n=1))[0] == f"hsc-pdr2:{2**53 + 1}"
    text = make_survey(n=2, ids=np.array(["a:f:0", "b:7"]), scheme="a+b")
    assert list(qualified_ids(text)) == ["a:f:0", "b:7"]


def test_neighbouring_huge_ids_are_not_confused(make_survey):
    survey = make_survey(n=4, first_id=2**62)
    other = make_survey(n=4, first_id=2**62 + 3)
    assert list(in_common(survey, other=other, by="id")) == [False, False, False, True]


def test_a_number_and_its_text_in_a_mixture_are_one_id(make_survey):
    survey = make_survey(n=2, first_id=5)
    mixture = concat([make_survey(n=1, first_id=6), make_survey(n=1, first_id=5, scheme="sdss")], name="mixture")
    assert list(in_common(survey, other=mixture, by="id")) == [False, True]
    assert list(in_common(mixture, other=survey, by="id")) == [True, False]


def test_positions_match_within_the_radius_also_at_the_pole_and_across_zero(make_survey):
    random = np.random.default_rng(3)
    places = [(0.0, 10.0), (120.0, 89.9999), (200.0, -45.0)]
    near = np.concatenate([np.array(place) + random.normal(scale=4e-4, size=(40, 2)) for place in places])
    sky = np.stack([near[:, 0] % 360, np.clip(near[:, 1], -90, 90)], axis=1)
    survey = make_survey(n=60, sky_deg=sky[::2])
    other = make_survey(n=60, sky_deg=sky[1::2])
    ra, dec = np.deg2rad(survey.sky_deg).T
    ra_other, dec_other = np.deg2rad(other.sky_deg).T
    distance = angular_separation(ra[:, None], dec[:, None], ra_other, dec_other) * u.rad
    brute = (distance <= 1 * u.arcsec).any(axis=1)
    assert 5 < brute.sum() < 55
    np.testing.assert_array_equal(in_common(survey, other=other, by="sky"), brute)


def test_unknown_positions_match_nothing(make_survey):
    sky = np.array([[150.0, 2.0], [np.nan, np.nan]])
    survey = make_survey(n=2, sky_deg=sky)
    assert list(in_common(survey, other=survey, by="sky")) == [True, False]
    nowhere = make_survey(n=2, sky_deg=np.full((2, 2), np.nan))
    assert not in_common(survey, other=nowhere, by="sky").any()


def test_identical_magnitudes_are_found_but_not_where_none_was_measured(make_survey):
    magnitudes = np.random.default_rng(0).normal(22, 1, size=(3, 5)).astype(np.float32)
    magnitudes[1, 2], magnitudes[2] = np.nan, np.nan
    survey = make_survey(n=3, inputs={"magnitudes": magnitudes})
    assert list(in_common(survey, other=survey, by="inputs")) == [True, True, False]
    other = make_survey(n=3, inputs={"magnitudes": magnitudes + np.float32(1e-5)})
    assert not in_common(survey, other=other, by="inputs").any()


def test_what_cannot_be_compared_is_said_so(make_survey):
    survey = make_survey(n=3)
    other = make_survey(n=3, scheme="sdss-dr8", sky_deg=None, inputs={})
    assert [in_common(survey, other=other, by=by) for by in ("id", "sky", "inputs")] == [None] * 3


def test_rows_are_found_by_id_in_the_order_asked(make_survey):
    survey = make_survey(n=4, first_id=2**62)
    assert rows_of(survey, object_ids=[2**62 + 3, 2**62]).tolist() == [3, 0]
    assert rows_of(survey, object_ids=np.array([str(2**62 + 1)])).tolist() == [1]
    text = make_survey(n=2, ids=np.array(["a:f:0", "b:7"]), scheme="a+b")
    assert rows_of(text, object_ids=np.array(["b:7"])).tolist() == [1]


def test_a_survey_indexes_its_ids_once_however_often_it_is_asked(make_survey, monkeypatch):
    survey, made = make_survey(n=4, first_id=2**62), []
    counting = SimpleNamespace(Index=lambda ids: made.append(ids) or pd.Index(ids))
    monkeypatch.setattr("astrolab.datasets.overlap.pd", counting)
    for wanted in ([2**62 + 3], np.array([str(2**62 + 1)])) * 3:
        rows_of(survey, object_ids=wanted)
    assert len(made) == 2, "once as numbers and once as text"
    assert rows_of(survey.take([3, 2]), object_ids=[2**62 + 2]).tolist() == [1], "other galaxies, another index"


def test_an_id_that_is_not_there_once_is_refused(make_survey):
    with pytest.raises(SchemaError, match="1 ids that it does not hold exactly once, such as 7"):
        rows_of(make_survey(n=4, first_id=2**62), object_ids=[2**62, 7])
    with pytest.raises(SchemaError, match="exactly once"):
        rows_of(make_survey(n=2, ids=np.array([5, 5])), object_ids=[5])


def magnitudes_of(survey, values, **changes):
    specs = {"magnitudes": survey.specs["magnitudes"]}
    return replace(survey, inputs={"magnitudes": values.astype(np.float32)}, specs=specs, **changes)


@pytest.mark.parametrize("ids", [["10000.0", "10001.0", "10002.0"], ["J1000+02", "J1000+03", "J1000+04"]])
def test_none_in_common_is_unknown_where_ids_are_written_in_different_ways(make_survey, ids):
    numbers = make_survey(n=3, first_id=10_000, sky_deg=None)
    words = make_survey(n=3, ids=np.array(ids), sky_deg=None, seed=1)
    audit = audit_leaks(train={"a": numbers}, test={"b": words})
    assert audit.unknown == [("a", "b")] and audit.leaks.empty
    also = make_survey(n=3, ids=np.array([*ids[:2], "10001"]), sky_deg=None, seed=1)
    assert in_common(also, other=numbers, by="id").tolist() == [False, False, True]


def test_none_in_common_is_unknown_where_no_value_could_match(make_survey):
    values = np.random.default_rng(0).normal(22, 1, size=(50, 5))
    survey = magnitudes_of(make_survey(n=50), values)
    rounded = magnitudes_of(make_survey(n=50, seed=1), np.round(values, 2))
    unmeasured = magnitudes_of(make_survey(n=50, seed=1), np.full((50, 5), np.nan))
    vega = replace(survey, specs={"magnitudes": replace(survey.specs["magnitudes"], unit="Vega mag")})
    assert [in_common(survey, other=other, by="inputs") for other in (rounded, unmeasured, vega)] == [None] * 3
    other = magnitudes_of(make_survey(n=50, seed=1), values + 0.1)
    assert in_common(survey, other=other, by="inputs").sum() == 0


@pytest.fixture
def leaky(make_survey):
    """A train and a test set with 7 ids, 5 positions and 3 sets of magnitudes in common, of different galaxies."""
    train = make_survey(n=80, name="train", first_id=1000)
    test = make_survey(n=50, name="test", seed=1, first_id=1073)
    sky = test.sky_deg.copy()
    sky[20:25] = train.sky_deg[:5] + np.array([0, 0.9 / 3600])
    sky[25:30] = train.sky_deg[5:10] + np.array([0, 1.1 / 3600])
    magnitudes = test.inputs["magnitudes"].copy()
    magnitudes[40:43] = train.inputs["magnitudes"][30:33]
    inputs = {"image": test.inputs["image"], "magnitudes": magnitudes}
    return train, make_survey(n=50, name="test", seed=1, first_id=1073, sky_deg=sky, inputs=inputs)


def test_counts_are_those_of_brute_force(leaky):
    train, test = leaky
    table = audit_leaks(train={"a": train}, test={"b": test}).table.set_index("by")
    by_id = sum(i in set(train.ids.tolist()) for i in test.ids.tolist())
    offset = test.sky_deg[:, None] - train.sky_deg
    offset[..., 0] *= np.cos(np.deg2rad(test.sky_deg[:, None, 1]))
    by_sky = (np.hypot(*offset.T).min(axis=0) * 3600 < 1).sum()
    equal = (test.inputs["magnitudes"][:, None] == train.inputs["magnitudes"]).all(axis=2)
    assert dict(table["n_common"]) == {"id": by_id, "sky": by_sky, "inputs": equal.any(axis=1).sum()}
    assert dict(table["n_common"]) == {"id": 7, "sky": 5, "inputs": 3}
    assert table["comparable"].all() and (table["n_train"] == 80).all() and (table["n_test"] == 50).all()


def test_every_pair_is_compared_and_a_leak_stops_the_run(leaky, make_survey):
    train, test = leaky
    clean = make_survey(n=10, seed=5, first_id=5000)
    audit = audit_leaks(train={"a": train, "c": clean}, test={"b": test, "c": clean.take(slice(0))})
    assert len(audit.table) == 2 * 2 * 3
    assert not audit.leaks.empty and repr(audit) == "leak audit of 4 train/test pairs: up to 7 in common"
    with pytest.raises(LeakError, match=r"7 of 50 objects of 'b' are in train 'a' by id") as caught:
        audit.require_clean()
    assert "drop_common" in caught.value.remedy


def test_dropping_what_is_common_cleans(leaky):
    train, test = leaky
    cleaned = drop_common(train, against=[test])
    assert len(cleaned) == 80 - 7 - 5 - 3
    audit = audit_leaks(train={"a": cleaned}, test={"b": test})
    assert audit.require_clean() is audit
    assert repr(audit) == "leak audit of 1 train/test pairs: no object in common"
    assert len(drop_common(train, against=[])) == 80


def test_what_cannot_be_compared_is_not_called_clean_silently(make_survey):
    a = make_survey(name="a", sky_deg=None)
    b = make_survey(name="b", scheme="sdss", inputs={})
    audit = audit_leaks(train={"a": a}, test={"b": b})
    assert not audit.table["comparable"].any() and audit.table["n_common"].isna().all()
    assert repr(audit).endswith("no object in common, 1 pairs that cannot be compared")
    assert audit.unknown or not audit.leaks.empty
    with pytest.raises(LeakError, match="no way to know for train 'a' and test 'b'"):
        audit.require_clean()
    assert audit.require_clean(allow_unknown=True) is audit


def test_a_leak_is_never_allowed(leaky, make_survey):
    train, test = leaky
    stranger = make_survey(name="c", scheme="sdss", inputs={}, sky_deg=None)
    audit = audit_leaks(train={"a": train, "c": stranger}, test={"b": test})
    assert audit.unknown == [("c", "b")]
    with pytest.raises(LeakError, match="are in train 'a' by id"):
        audit.require_clean(allow_unknown=True)


def test_a_split_does_not_leak(make_survey):
    survey = make_survey(n=600)
    parts = split(survey)
    audit_leaks(train={"train": parts.train}, test={"test": parts.test, "validation": parts.validation}).require_clean()


def test_training_and_validation_are_cleared_and_the_test_part_is_left_alone(leaky):
    train, test = leaky
    cleared = clear_training(Splits(train, train, test), against=[test])
    assert [len(part) for part in cleared] == [65, 65, 50]
    assert cleared.test is test


def test_concat_keeps_order_ids_and_says_who_is_who(make_survey):
    a = make_survey(n=3, name="a", first_id=2**60)
    b = make_survey(n=2, name="b", seed=1, first_id=2**60 + 10, sky_deg=None)
    both = concat([a, b], name="both")
    np.testing.assert_array_equal(both.ids, [*a.ids, *b.ids])
    np.testing.assert_array_equal(both.inputs["image"][[4, 0]], [b.inputs["image"][1], a.inputs["image"][0]])
    assert both.column("member").tolist() == ["a"] * 3 + ["b"] * 2
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
    table = pd.DataFrame({"z": combo.column("z"), "member": combo.column("member")}, index=combo.ids)
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
    swapped = survey.as_channels("hsc-r", "hsc-g", "hsc-i", "hsc-z", "hsc-y", input_name="image")
    with pytest.raises(SchemaError, match="as_channels"):
        concat([survey, swapped], name="both")
    renamed = make_survey(n=3, name="b", labels=survey.labels.rename(columns={"z": "z_phot"}))
    with pytest.raises(SchemaError, match="labels"):
        concat([survey, renamed], name="both")
    larger = make_survey(n=3, name="b", inputs={"image": np.zeros((3, 5, 9, 9), np.float32)})
    with pytest.raises(SchemaError, match="image_size"):
        concat([survey, larger], name="both")


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
