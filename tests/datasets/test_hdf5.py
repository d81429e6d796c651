"""HDF5 files of every layout give the rows that were written; damaged ones are refused in plain words."""

import os
from multiprocessing.reduction import ForkingPickler

import h5py
import numpy as np
import pytest

from astrolab.datasets.hdf5 import H5Rows, open_h5
from astrolab.datasets.rows import ColumnRows, MappedRows, Rows, StackedRows
from astrolab.errors import CorruptFileError, DataNotFoundError, SchemaError

VALUES = np.random.default_rng(0).normal(size=(23, 5, 7, 7)).astype("float32")
ORDERS = [slice(None), slice(3, 20, 4), [5, 5, 22, 0, -1], np.arange(23) % 3 == 0, np.zeros(0, int)]


@pytest.fixture(params=["contiguous", "chunked", "compressed", "userblock"])
def file(request, tmp_path):
    path = tmp_path / "rows.hdf5"
    options = {
        "chunked": {"chunks": (4, 5, 7, 7)},
        "compressed": {"chunks": (6, 1, 7, 7), "compression": "gzip"},
    }.get(request.param, {})
    with h5py.File(path, "w", userblock_size=512 if request.param == "userblock" else 0) as f:
        f.create_dataset("image", data=VALUES, **options)
        f["name"] = np.array([[b"M31"], [b"M33"], [b"NGC 5"]], dtype="S8")
        f["text"] = ["α", "β", "γ"]
    return path


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_every_layout_reads_the_rows_asked(file, order):
    rows = H5Rows(file, key="image")
    assert isinstance(rows, Rows)
    assert rows.shape == VALUES.shape and rows.dtype == VALUES.dtype
    np.testing.assert_array_equal(rows[order], VALUES[order])


def test_a_pickle_holds_no_file_and_reads_the_same(file):
    rows = H5Rows(file, key="image")
    rows[:1]
    sent = ForkingPickler.dumps(rows)
    assert len(sent) < 1000
    np.testing.assert_array_equal(ForkingPickler.loads(sent)[[7, 2]], VALUES[[7, 2]])


def test_a_forked_process_opens_its_own_file(file):
    rows = H5Rows(file, key="text")
    rows[:1]
    before = rows._source
    rows._process = os.getpid() + 1
    assert [text.decode() for text in rows[[1]]] == ["β"]
    assert rows._source is not before


def test_contiguous_rows_are_memory_mapped_and_chunks_are_read_once(tmp_path, monkeypatch):
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as f:
        f["flat"] = VALUES
        f.create_dataset("chunked", data=VALUES, chunks=(5, 5, 7, 7))
    assert isinstance(H5Rows(path, key="flat")._mapped, MappedRows)
    slabs = []
    read = h5py.Dataset.__getitem__
    monkeypatch.setattr(h5py.Dataset, "__getitem__", lambda self, index: slabs.append(index) or read(self, index))
    H5Rows(path, key="chunked")[[22, 3, 1, 21, 3]]
    assert slabs == [slice(1, 4), slice(21, 23)]


def test_text_columns_are_decoded_and_flattened(file):
    assert list(ColumnRows(H5Rows(file, key="name"))[[2, 0]]) == ["NGC 5", "M31"]
    assert list(ColumnRows(H5Rows(file, key="text"))[:]) == ["α", "β", "γ"]


def test_integers_never_pass_through_float(tmp_path):
    ids = np.array([2**53 + 1, 2**62 + 3, -(2**61) - 1])
    with h5py.File(tmp_path / "a.hdf5", "w") as f:
        f["id"] = ids[:, None]
    column = ColumnRows(H5Rows(tmp_path / "a.hdf5", key="id"))
    stacked = StackedRows([column, column])
    assert stacked[:].dtype == np.int64
    np.testing.assert_array_equal(stacked[:], np.tile(ids, 2))


def test_bad_files_say_what_they_are(tmp_path):
    whole = tmp_path / "whole.hdf5"
    with h5py.File(whole, "w") as f:
        f["image"] = VALUES
    content = whole.read_bytes()
    cases = {"cut short": content[: len(content) // 2], "not HDF5": b"<html>503</html>" * 9, "empty file": b""}
    for words, wrong in cases.items():
        path = tmp_path / "wrong.hdf5"
        path.write_bytes(wrong)
        with pytest.raises(CorruptFileError, match=words):
            open_h5(path)
    with pytest.raises(DataNotFoundError):
        open_h5(tmp_path / "nowhere.hdf5")
    with pytest.raises(SchemaError, match="available: image"):
        H5Rows(whole, key="pixels")


def test_a_damaged_chunk_is_a_corrupt_file(tmp_path):
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as f:
        f.create_dataset("image", data=VALUES, chunks=(23, 5, 7, 7), compression="gzip")
        begin = f["image"].id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[begin : begin + 400] = bytes(400)
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match="damaged"):
        H5Rows(path, key="image")[:3]
