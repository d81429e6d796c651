"""Rows are those that were written, in the order asked, however they are put together."""

from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest

from astrolab.datasets.rows import (
    CroppedRows,
    MappedRows,
    Rows,
    StackedRows,
    TakenRows,
    row_numbers,
    stack_rows,
    take_rows,
)
from astrolab.errors import SchemaError

VALUES = np.random.default_rng(0).normal(size=(23, 5, 7, 7)).astype("float32")
ORDERS = [slice(None), slice(3, 20, 4), [5, 5, 22, 0, -1], np.arange(23) % 3 == 0, np.zeros(0, int)]


@pytest.fixture(params=["<f4", ">f4"])
def mapped(request, tmp_path):
    """The values in a file, after a header of 12 bytes."""
    (tmp_path / "values.dat").write_bytes(bytes(12) + VALUES.astype(request.param).tobytes())
    return MappedRows(tmp_path / "values.dat", offset=12, shape=VALUES.shape, dtype=np.dtype(request.param))


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_mapped_rows_are_those_asked_for_in_the_byte_order_of_the_machine(mapped, order):
    assert isinstance(mapped, Rows) and mapped.dtype == np.dtype("=f4")
    assert mapped[order].dtype.isnative
    np.testing.assert_array_equal(mapped[order], VALUES[order])


def test_a_pickle_of_mapped_rows_holds_no_values(mapped):
    mapped[:1]
    sent = ForkingPickler.dumps(mapped)
    assert len(sent) < 1000
    np.testing.assert_array_equal(ForkingPickler.loads(sent)[[7, 2]], VALUES[[7, 2]])


def test_rows_compose(mapped):
    taken = TakenRows(TakenRows(mapped, numbers=np.array([9, 4, 22])), numbers=np.array([2, 0]))
    assert taken.rows is mapped
    stacked = StackedRows([taken, VALUES[:3]])
    cropped = CroppedRows(stacked, size=4)
    expected = np.concatenate([VALUES[[22, 9]], VALUES[:3]])
    np.testing.assert_array_equal(stacked[[4, 0, 0, 2]], expected[[4, 0, 0, 2]])
    np.testing.assert_array_equal(np.asarray(cropped), expected[..., 1:5, 1:5])


@pytest.mark.parametrize(("full", "size"), [(127, 64), (127, 63), (64, 32), (64, 63), (5, 5)])
def test_the_central_pixel_stays_central(full, size):
    image = np.zeros((1, 1, full, full))
    image[0, 0, full // 2, full // 2] = 1
    assert CroppedRows(image, size=size)[:][0, 0, size // 2, size // 2] == 1


def test_plain_numbers_are_taken_and_stacked_at_once_and_cannot_be_written():
    taken = take_rows(np.arange(5), numbers=np.array([3, 1]))
    stacked = stack_rows([taken, np.arange(2)])
    assert list(stacked) == [3, 1, 0, 1]
    for array in (taken, stacked):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 7


@pytest.mark.parametrize("index", [[23], [-24], [0.5], np.ones(5, bool)])
def test_a_row_that_is_not_there_is_refused(index):
    with pytest.raises(IndexError):
        row_numbers(index, n_rows=23)


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(SchemaError, match="at most 4"):
        CroppedRows(np.zeros((2, 5, 4, 6)), size=5)
