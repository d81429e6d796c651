"""The audit counts what brute force counts, and stops what leaks."""

import numpy as np
import pytest

from astrolab.datasets.leaks import audit_leaks, clear_training, drop_common
from astrolab.datasets.splits import Splits, split
from astrolab.errors import LeakError


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
    assert not audit.is_clean and repr(audit) == "leak audit of 4 train/test pairs: up to 7 in common"
    with pytest.raises(LeakError, match=r"7 of 50 galaxies of 'b' are in train 'a' by id") as caught:
        audit.require_clean()
    assert "drop_common" in caught.value.remedy


def test_dropping_what_is_common_cleans(leaky):
    train, test = leaky
    cleaned = drop_common(train, against=[test])
    assert len(cleaned) == 80 - 7 - 5 - 3
    audit = audit_leaks(train={"a": cleaned}, test={"b": test})
    assert audit.require_clean() is audit
    assert repr(audit) == "leak audit of 1 train/test pairs: no galaxy in common"
    assert len(drop_common(train, against=[])) == 80


def test_the_radius_is_an_argument(leaky):
    train, test = leaky
    table = audit_leaks(train={"a": train}, test={"b": test}, radius_arcsec=1.2).table
    assert table.set_index("by").loc["sky", "n_common"] == 10


def test_what_cannot_be_compared_is_not_called_clean_silently(make_survey):
    a = make_survey(name="a", sky_deg=None)
    b = make_survey(name="b", scheme="sdss", inputs={})
    audit = audit_leaks(train={"a": a}, test={"b": b})
    assert not audit.table["comparable"].any() and audit.table["n_common"].isna().all()
    assert repr(audit).endswith("no galaxy in common, 1 pairs that cannot be compared")
    assert not audit.is_clean
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
