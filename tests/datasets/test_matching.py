"""Galaxies in common are those that brute force finds."""

from dataclasses import replace
from types import SimpleNamespace

import astropy.units as u
import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import angular_separation

from astrolab.datasets.leaks import audit_leaks
from astrolab.datasets.matching import in_common, qualified_ids, rows_of
from astrolab.datasets.mixtures import concat
from astrolab.errors import SchemaError, UnknownNameError


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
    with pytest.raises(UnknownNameError):
        in_common(survey, other=other, by="name")


def test_rows_are_found_by_id_in_the_order_asked(make_survey):
    survey = make_survey(n=4, first_id=2**62)
    assert rows_of(survey, object_ids=[2**62 + 3, 2**62]).tolist() == [3, 0]
    assert rows_of(survey, object_ids=np.array([str(2**62 + 1)])).tolist() == [1]
    text = make_survey(n=2, ids=np.array(["a:f:0", "b:7"]), scheme="a+b")
    assert rows_of(text, object_ids=np.array(["b:7"])).tolist() == [1]


def test_a_survey_indexes_its_ids_once_however_often_it_is_asked(make_survey, monkeypatch):
    survey, made = make_survey(n=4, first_id=2**62), []
    counting = SimpleNamespace(Index=lambda ids: made.append(ids) or pd.Index(ids))
    monkeypatch.setattr("astrolab.datasets.matching.pd", counting)
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
    return replace(survey, inputs={"magnitudes": values.astype(np.float32)}, **changes)


@pytest.mark.parametrize("ids", [["10000.0", "10001.0", "10002.0"], ["J1000+02", "J1000+03", "J1000+04"]])
def test_none_in_common_is_unknown_where_ids_are_written_in_different_ways(make_survey, ids):
    numbers = make_survey(n=3, first_id=10_000, sky_deg=None)
    words = make_survey(n=3, ids=np.array(ids), sky_deg=None, seed=1)
    audit = audit_leaks(train={"a": numbers}, test={"b": words})
    assert audit.unknown == [("a", "b")] and not audit.is_clean
    also = make_survey(n=3, ids=np.array([*ids[:2], "10001"]), sky_deg=None, seed=1)
    assert in_common(also, other=numbers, by="id").tolist() == [False, False, True]


def test_none_in_common_is_unknown_where_no_value_could_match(make_survey):
    values = np.random.default_rng(0).normal(22, 1, size=(50, 5))
    survey = magnitudes_of(make_survey(n=50), values)
    rounded = magnitudes_of(make_survey(n=50, seed=1), np.round(values, 2))
    unmeasured = magnitudes_of(make_survey(n=50, seed=1), np.full((50, 5), np.nan))
    vega = replace(survey, provenance=replace(survey.provenance, magnitude_unit="Vega mag"))
    assert [in_common(survey, other=other, by="inputs") for other in (rounded, unmeasured, vega)] == [None] * 3
    other = magnitudes_of(make_survey(n=50, seed=1), values + 0.1)
    assert in_common(survey, other=other, by="inputs").sum() == 0
