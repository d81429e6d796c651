"""Which objects an epoch holds."""

import numpy as np
import pytest

from astrolab.errors import ConfigError, UnknownNameError
from astrolab.trainers.config import Sampler
from astrolab.trainers.sampling import (
    batches_in_order,
    count_batches,
    epoch_rows,
    epoch_size,
    sampler_keys,
    training_batches,
)


def rows_of(sampler, *, n=45, keys=None, epoch=1, seed=0):
    rows = epoch_rows(sampler, n=n, keys=keys, epoch=epoch, seed=seed)
    assert len(rows) == epoch_size(sampler, n=n, epoch=epoch)
    return rows


@pytest.mark.parametrize("sampler", [Sampler(), Sampler(name="chunked", chunk=7)], ids=lambda sampler: sampler.name)
def test_an_epoch_holds_every_object_once_in_an_order_of_its_own(sampler):
    one, again, other, seeded = (rows_of(sampler, epoch=e, seed=s) for e, s in ((1, 0), (1, 0), (2, 0), (1, 1)))
    assert sorted(one) == list(range(45)) and np.array_equal(one, again)
    assert not np.array_equal(one, other) and not np.array_equal(one, seeded)


def test_chunks_are_read_whole():
    rows = rows_of(Sampler(name="chunked", chunk=7))
    changes = np.flatnonzero(np.diff(rows // 7))
    assert len(changes) == 6, "seven chunks, one after the other"


@pytest.mark.parametrize("cumulative", [True, False])
def test_a_curriculum_begins_with_the_largest_keys(cumulative):
    keys = np.random.default_rng(0).uniform(size=30)
    sampler = Sampler(name="staged", column="confidence", epochs=(2, 1, 3), cumulative=cumulative)
    by_key = np.argsort(-keys)
    for epoch, stage in ((1, 0), (2, 0), (3, 1), (4, 2), (9, 2)):
        expected = by_key[0 if cumulative else 10 * stage : 10 * stage + 10]
        assert sorted(rows_of(sampler, n=30, keys=keys, epoch=epoch)) == sorted(expected)


def test_groups_are_drawn_as_often_as_each_other():
    keys = np.repeat([0, 1, 2], [5, 10, 45])
    rows = rows_of(Sampler(name="balanced", column="member"), n=60, keys=keys)
    assert np.bincount(keys[rows]).tolist() == [20, 20, 20]
    assert np.bincount(rows)[:5].tolist() == [4] * 5 and np.bincount(rows)[15:].max() == 1


def test_keys_are_numbers_to_stage_by_and_any_column_to_balance(case):
    by_text = sampler_keys(Sampler(name="balanced", column="member"), survey=case.train)
    assert np.bincount(by_text).tolist() == [9, 36]
    staged = Sampler(name="staged", column="z", epochs=(1, 1))
    np.testing.assert_array_equal(sampler_keys(staged, survey=case.train), case.train.labels["z"])
    with pytest.raises(ConfigError, match=r"galaxies of mock(?s:.*)text"):
        sampler_keys(staged.model_copy(update={"column": "member"}), survey=case.train)
    with pytest.raises(UnknownNameError, match="confidence"):
        sampler_keys(staged.model_copy(update={"column": "confidense"}), survey=case.train)
    assert sampler_keys(Sampler(), survey=case.train) is None


def test_a_last_batch_of_one_object_joins_the_one_before():
    def sizes(n, **options):
        return [len(batch) for batch in training_batches(np.arange(n), **options)]

    assert sizes(45, batch_size=16) == [16, 16, 13]
    assert sizes(33, batch_size=16) == [16, 17]
    assert sizes(34, batch_size=16) == [16, 16, 2]
    assert sizes(35, batch_size=16, n_processes=2) == [16, 19]
    assert sizes(3, batch_size=1) == [1, 1, 1]
    assert [len(batch) for batch in batches_in_order(np.arange(33), batch_size=16)] == [16, 16, 1]


@pytest.mark.parametrize("n_processes", [1, 3])
def test_batches_are_counted_without_being_made(n_processes):
    for n in range(1, 30):
        made = training_batches(np.arange(n), batch_size=4, n_processes=n_processes)
        assert count_batches(n, batch_size=4, n_processes=n_processes) == len(made)
