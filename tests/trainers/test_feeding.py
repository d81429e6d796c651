from dataclasses import replace

import numpy as np
import pytest
import torch

from astrolab.errors import PixelError
from astrolab.trainers import feeding
from astrolab.trainers.feeding import batches_in_order, dihedral_codes, make_feed, shuffled_batches
from astrolab.trainers.hardware import Hardware

HELD = Hardware("cpu", "float32", channels_last=False, storage="device", storage_dtype="float16", n_processes=1)
BATCHES = [np.array([4, 0, 9]), np.array([7, 7]), np.array([1])]


def feed_of(survey, case, **changes):
    truth = survey.labels["z"].to_numpy(np.float32)
    hardware = replace(HELD, **changes)
    return make_feed(survey, input_name="image", truth=truth, scaling=case.image_scaling, hardware=hardware)


def test_an_epoch_holds_every_galaxy_once_in_an_order_of_its_own():
    epochs = [shuffled_batches(45, batch_size=16, seed=0, epoch=epoch) for epoch in (1, 1, 2)]
    assert [len(batch) for batch in epochs[0]] == [16, 16, 13]
    orders = [np.concatenate(batches) for batches in epochs]
    assert all(sorted(order) == list(range(45)) for order in orders)
    assert np.array_equal(orders[0], orders[1]) and not np.array_equal(orders[0], orders[2])


def test_a_last_batch_of_one_galaxy_joins_the_one_before():
    def sizes(n, **options):
        return [len(batch) for batch in shuffled_batches(n, seed=0, epoch=1, **options)]

    assert sizes(33, batch_size=16) == [16, 17]
    assert sizes(34, batch_size=16) == [16, 16, 2]
    assert sizes(35, batch_size=16, n_processes=2) == [16, 19]
    assert sizes(3, batch_size=1) == [1, 1, 1]
    assert [len(batch) for batch in batches_in_order(np.arange(33), batch_size=16)] == [16, 16, 1]


def test_every_symmetry_is_drawn_and_depends_on_the_epoch():
    codes = dihedral_codes(800, seed=0, epoch=1)
    assert np.bincount(codes, minlength=8).min() > 60
    assert not np.array_equal(codes, dihedral_codes(800, seed=0, epoch=2))


@pytest.mark.parametrize("channels_last", [False, True])
def test_streamed_and_held_batches_are_the_same_to_the_last_bit(case, channels_last, monkeypatch):
    monkeypatch.setattr(feeding, "CHUNK_BYTES", 7 * 4 * 3 * 8 * 8)
    held = feed_of(case.train, case, channels_last=channels_last)
    streamed = feed_of(case.train, case, channels_last=channels_last, storage="stream")
    assert len(held) == len(streamed) == 45
    for index, one, two in zip(BATCHES, held.batches(BATCHES), streamed.batches(BATCHES), strict=True):
        assert torch.equal(one[0], two[0]) and torch.equal(one[1], two[1])
        assert one[0].stride() == two[0].stride() and one[0].dtype == torch.float16
        expected = case.image_scaling.apply(case.train.inputs["image"][index])
        np.testing.assert_allclose(one[0].float(), expected, rtol=6e-4, atol=1e-6)
        np.testing.assert_array_equal(one[1], case.train.labels["z"].to_numpy(np.float32)[index])


@pytest.mark.parametrize("storage", ["device", "stream"])
def test_pixels_that_are_no_numbers_are_counted_and_named(case, storage):
    pixels = case.train.inputs["image"].copy()
    pixels[5, 1, 2, 2], pixels[9, 0, 0, 0] = np.nan, -np.inf
    with pytest.raises(PixelError, match="2 of them: 1005, 1009"):
        feed_of(replace(case.train, inputs={"image": pixels}), case, storage=storage)


def test_reading_leaves_the_survey_as_it_is(case):
    before = case.train.inputs["image"].copy()
    list(feed_of(case.train, case).batches(BATCHES))
    np.testing.assert_array_equal(case.train.inputs["image"], before)
