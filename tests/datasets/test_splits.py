"""Splits hang on the object id and on nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from astrolab.datasets.overlap import concat
from astrolab.datasets.splits import fnv1a, id_uniform, split, splitmix64, subsample, take_fraction
from astrolab.errors import ConfigError, EmptySplitError, UnknownNameError


def test_the_hash_gives_its_authors_test_vectors():
    """FNV-1a 64: Noll's published vectors (RFC 9923, appendix). SplitMix64: the first outputs for seed 1234567."""
    published = {"": 0xCBF29CE484222325, "a": 0xAF63DC4C8601EC8C, "foobar": 0x85944171F73967E8}
    np.testing.assert_array_equal(fnv1a(list(published)), np.array(list(published.values()), dtype=np.uint64))
    steps = np.uint64(1234567) + np.arange(3, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    np.testing.assert_array_equal(splitmix64(steps), np.array(expected, dtype=np.uint64))


def test_the_split_is_the_same_everywhere_for_ever(make_survey):
    """Pinned from plain-integer arithmetic: a change of these numbers changes everybody's test set."""
    uniform = id_uniform(make_survey(n=3, first_id=36407063378678903), seed=0, stream=1)
    np.testing.assert_allclose(uniform, PINNED, rtol=0, atol=1e-15)


def test_an_id_that_is_text_splits_the_same_everywhere_for_ever(make_survey):
    uniform = id_uniform(make_survey(n=2, ids=np.array(["SDSS J1", "hsc-pdr2:7"])), seed=3, stream=1)
    np.testing.assert_allclose(uniform, [0.44782365797521784, 0.1282386144171188], rtol=0, atol=1e-15)


PINNED = [0.47532433163367327, 0.6443609008251996, 0.4445813786196229]


def test_numbers_are_uniform_and_streams_unrelated(make_survey):
    survey = make_survey(n=20_000, inputs={}, catalogue={})
    a, b, c = (id_uniform(survey, seed=s, stream=t) for s, t in [(0, 1), (1, 1), (0, 2)])
    counts = np.histogram(a, bins=20, range=(0, 1))[0]
    assert ((counts - 1000) ** 2 / 1000).sum() < 44  # chi-squared of 19 degrees of freedom, p = 0.001
    assert abs(np.corrcoef([a, b, c])[np.triu_indices(3, 1)]).max() < 0.03


def test_shares_are_as_asked_and_every_galaxy_is_in_one_part(make_survey):
    survey = make_survey(n=5000, inputs={}, catalogue={})
    parts = split(survey, fractions=(0.7, 0.2, 0.1), seed=3)
    train, validation, test = parts
    assert sorted(np.concatenate([train.ids, validation.ids, test.ids])) == list(survey.ids)
    assert [len(part) / 5000 for part in parts] == pytest.approx([0.7, 0.2, 0.1], abs=0.025)
    assert repr(parts).startswith("train 3,")
    other = split(survey, fractions=(0.7, 0.2, 0.1), seed=4)
    assert set(other.test.ids) != set(test.ids)


def test_a_galaxy_stays_on_its_side_whatever_comes_with_it(make_survey):
    survey = make_survey(n=400)
    test = set(split(survey).test.ids)
    shuffled = survey.take(np.random.default_rng(0).permutation(400))
    assert set(split(shuffled).test.ids) == test
    half = survey.take(slice(0, 400, 2))
    assert set(split(half).test.ids) == test & set(half.ids)
    other = make_survey(n=50, first_id=1, scheme="sdss")
    mixed = split(concat([survey, other], name="both")).test.ids
    assert {int(name.split(":")[1]) for name in mixed if name.startswith("hsc")} == test


def test_shares_are_by_default_those_of_the_manifest(make_survey):
    survey = make_survey(n=2000, inputs={}, catalogue={})
    stated = replace(survey, provenance=replace(survey.provenance, fractions=(0.5, 0.2, 0.3)))
    np.testing.assert_array_equal(split(stated).test.ids, split(survey, fractions=(0.5, 0.2, 0.3)).test.ids)
    np.testing.assert_array_equal(split(stated, fractions=(0.8, 0.1, 0.1)).test.ids, split(survey).test.ids)


def test_rows_of_one_galaxy_are_never_on_two_sides(make_survey):
    survey = make_survey(n=300).take(np.repeat(np.arange(300), 3))
    parts = [set(part.ids) for part in split(survey)]
    assert not parts[0] & parts[1] and not parts[0] & parts[2] and not parts[1] & parts[2]


def test_published_parts_are_honoured(make_survey):
    published = np.array(["train"] * 20 + ["validation"] * 8 + ["test"] * 12)
    survey = make_survey(n=40, published_split=published)
    parts = split(survey)
    np.testing.assert_array_equal(parts.train.ids, survey.ids[:20])
    np.testing.assert_array_equal(parts.test.ids, survey.ids[28:])
    hashed = split(survey, honour_published=False)
    assert set(hashed.test.ids) != set(parts.test.ids)


def test_a_validation_part_is_drawn_from_published_train(make_survey):
    survey = make_survey(n=900, published_split=np.repeat(["test", "train", "train"], 300))
    parts = split(survey)
    np.testing.assert_array_equal(parts.test.ids, survey.ids[:300])
    assert 35 < len(parts.validation) < 105  # 600 / 9
    assert not set(parts.validation.ids) & set(parts.test.ids)


@pytest.mark.parametrize("fractions", [(0.8, 0.2), (0.8, 0.1, 0.2), (1.0, 0.0, 0.0), (0.5, -0.1, 0.6)])
def test_shares_that_cannot_be_are_refused(make_survey, fractions):
    with pytest.raises(ConfigError, match="add up to 1"):
        split(make_survey(), fractions=fractions)


def test_an_empty_part_is_refused(make_survey):
    with pytest.raises(EmptySplitError, match="test 0"):
        split(make_survey(published_split=np.repeat(["train", "validation"], 20)))
    with pytest.raises(EmptySplitError):
        split(make_survey(n=2))


def test_smaller_choices_are_part_of_larger_ones(make_survey):
    survey = make_survey(n=500)
    small, large = subsample(survey, n=50, seed=1), subsample(survey, frac=0.4, seed=1)
    assert len(small) == 50 and len(large) == 200
    assert set(small.ids) < set(large.ids)
    assert (np.diff(small.ids) > 0).all()
    shuffled = survey.take(np.random.default_rng(0).permutation(500))
    assert set(subsample(shuffled, n=50, seed=1).ids) == set(small.ids)
    assert set(subsample(survey, n=50, seed=2).ids) != set(small.ids)
    assert len(subsample(survey, frac=1.0)) == 500


def test_the_choice_does_not_lean_towards_a_split(make_survey):
    survey = make_survey(n=4000, inputs={}, catalogue={})
    part = subsample(survey, frac=0.25)
    assert len(split(part).test) / len(part) == pytest.approx(0.1, abs=0.03)


@pytest.mark.parametrize("options", [{}, {"n": 5, "frac": 0.5}, {"n": 0}, {"n": 41}, {"frac": 1.5}, {"frac": 0.001}])
def test_choices_that_cannot_be_are_refused(make_survey, options):
    with pytest.raises(ConfigError):
        subsample(make_survey(n=40), **options)


def test_fractions_are_nested_and_leave_validation_and_test_alone(make_survey):
    parts = split(make_survey(n=1000, inputs={}, catalogue={}))
    cuts = {frac: take_fraction(parts, frac=frac, seed=7) for frac in (0.1, 0.5, 1.0)}
    chosen = {frac: set(cut.train.ids) for frac, cut in cuts.items()}
    assert chosen[0.1] < chosen[0.5] < chosen[1.0] == set(parts.train.ids)
    assert len(chosen[0.1]) == round(0.1 * len(parts.train))
    assert all(cut.validation is parts.validation and cut.test is parts.test for cut in cuts.values())
    assert set(take_fraction(parts, frac=0.1, seed=8).train.ids) != chosen[0.1]


def test_as_published_the_validation_galaxies_shrink_in_proportion(make_survey):
    parts = split(make_survey(n=1000, inputs={}, catalogue={}))
    half = take_fraction(parts, frac=0.5, seed=7, validation="as_published")
    assert len(half.validation) == round(0.5 * len(parts.validation))
    assert set(half.validation.ids) < set(parts.validation.ids) and half.test is parts.test


@pytest.mark.parametrize(("frac", "validation"), [(0.0, "fixed"), (1.5, "fixed"), (0.5, "shrunk")])
def test_a_fraction_that_is_none_is_refused(make_survey, frac, validation):
    with pytest.raises((ConfigError, UnknownNameError), match="asked for"):
        take_fraction(split(make_survey(n=200)), frac=frac, seed=0, validation=validation)


def test_every_object_is_tested_in_one_fold(make_survey):
    survey = make_survey(n=500)
    folds = [split(survey, fractions=(0.6, 0.3, 0.1), fold=(k, 4)) for k in range(4)]
    assert sorted(np.concatenate([fold.test.ids for fold in folds])) == sorted(survey.ids)
    for fold in folds:
        assert sum(map(len, fold)) == len(survey)
        assert len(fold.test) == pytest.approx(125, abs=40)
        assert len(fold.train) == pytest.approx(2 * len(fold.validation), rel=0.35)
