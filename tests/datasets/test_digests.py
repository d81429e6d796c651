"""Data is known by all that is read, once: any value changes its digest, another place of the files does not."""

import hashlib
import os
import time

import h5py
import numpy as np
import pytest

from astrolab.datasets import digests
from astrolab.datasets.digests import digest_file, digest_rows, read_content
from astrolab.datasets.formats import read_contents
from astrolab.datasets.loading import load_survey
from astrolab.datasets.manifest import Format
from astrolab.datasets.overlap import audit_leaks
from astrolab.datasets.rows import CroppedRows, StackedRows, TakenRows


def rows_in(path):
    return read_contents(path, layout=Format(format="hdf5"), arrays={"image": 4})[1]["image"].rows


@pytest.fixture
def images():
    return np.random.default_rng(0).normal(size=(240, 5, 8, 8)).astype(np.float32)


@pytest.fixture
def write(tmp_path, monkeypatch, images):
    """A file that has been left alone for a while, and how often its rows are really read."""
    monkeypatch.setenv("ASTROLAB_DATA_DIR", str(tmp_path / "data"))
    reads = []
    read = digests._read
    monkeypatch.setattr(digests, "_read", lambda rows: reads.append(len(rows)) or read(rows))

    def make(values=images, *, name="a.h5", age_s=60):
        path = tmp_path / name
        with h5py.File(path, "w") as file:
            file["image"] = values
        os.utime(path, times=(time.time() - age_s,) * 2)
        return rows_in(path)

    make.reads = reads
    return make


def test_a_row_is_known_by_its_bytes_and_a_stamp_by_its_extremes(write, images):
    content = read_content(write())
    assert [bytes(h) for h in content.hashes] == [
        hashlib.sha256(row.tobytes()).digest()[:16].rstrip(b"\0") for row in images
    ]
    np.testing.assert_array_equal(content.low, images.min(axis=(2, 3)))
    np.testing.assert_array_equal(content.high, images.max(axis=(2, 3)))


def test_files_are_read_once_while_they_stay_as_they_are(write, images):
    rows = write()
    first = read_content(rows)
    np.testing.assert_array_equal(read_content(TakenRows(rows, numbers=np.array([7, 3]))).hashes, first.hashes[[7, 3]])
    assert write.reads == [240]
    changed = images.copy()
    changed[1, 0, 0, 0] += 1
    assert (read_content(write(changed, age_s=50)).hashes != first.hashes).nonzero()[0].tolist() == [1]
    assert write.reads == [240, 240]
    read_content(write(name="young.h5", age_s=0))
    read_content(rows_in(rows.path.with_name("young.h5")))
    assert write.reads == [240] * 4, "a file written this moment may change again without its date showing it"


def test_a_few_galaxies_of_a_large_file_do_not_cost_all_of_it(write):
    read_content(TakenRows(write(), numbers=np.arange(10)))
    assert write.reads == [10]


def test_what_is_read_counts_not_where_from(write, images, make_survey):
    on_disk = write()
    stacked = StackedRows([write(images[:100], name="b.h5"), write(images[100:], name="c.h5")])

    def digest(rows):
        return digest_rows(make_survey(len(rows), inputs={"image": rows}), input_name="image")

    same = {digest(rows) for rows in (images, on_disk, stacked)}
    assert len(same) == 1
    other = [images * 2, images.astype("f8"), images[::-1], CroppedRows(on_disk, size=6), images.reshape(240, 5, 4, 16)]
    other += [images[:239]]
    assert len({digest(rows) for rows in other} | same) == 7


def test_any_training_image_that_changes_shows(write, images, make_survey):
    """Sixteen probes of 240 images missed a change of the 201 others."""
    survey = make_survey(240, inputs={"image": write()})
    changed = images.copy()
    changed[np.arange(240) % 15 != 0] += 1
    other = make_survey(240, inputs={"image": write(changed, name="b.h5")})
    assert digest_rows(survey, input_name="image") != digest_rows(other, input_name="image")


def test_a_damaged_note_of_a_digest_is_not_believed(write, tmp_path):
    path = write().path
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    assert digest_file(path) == digest_file(path) == expected
    (note,) = (tmp_path / "data" / "digests").iterdir()
    for place in range(0, note.stat().st_size, 7):
        content = bytearray(note.read_bytes())
        content[place] ^= 4
        note.write_bytes(content)
        assert digest_file(path) == expected
    assert digest_file(path, algorithm="md5") == hashlib.md5(path.read_bytes()).hexdigest()


def test_a_folder_that_cannot_be_written_stops_nothing(write, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ASTROLAB_DATA_DIR", str(tmp_path / "file" / "below"))
    assert len(read_content(write()).hashes) == 240


def test_the_digest_of_a_survey_sees_the_middle_of_a_large_file(tmp_path, write_published, images_manifest):
    manifest = images_manifest(tmp_path, files=["train.hdf5"], sizes=[64])
    columns = write_published(tmp_path / "train.hdf5", n=24)
    before = load_survey(manifest).digest
    assert load_survey(manifest).digest == before
    columns["image"][11, 2, 30, 30] += 1
    write_published(tmp_path / "train.hdf5", n=24, image=columns["image"])
    assert load_survey(manifest).digest != before


def test_the_same_pixels_in_train_and_test_are_a_leak(make_survey, write, images):
    train = make_survey(60, scheme="a", sky_deg=None, inputs={"image": images[:60]})
    stamps = images[60:100].copy()
    stamps[:4] = images[10:14]
    test = make_survey(40, seed=1, scheme="b", sky_deg=None, inputs={"image": write(stamps)})
    table = audit_leaks(train={"a": train}, test={"b": test}).table.set_index("by")
    assert table.loc["inputs", "n_common"] == 4 and not table.loc["id", "comparable"]
    blank = make_survey(3, sky_deg=None, scheme="c", inputs={"image": np.zeros((3, 5, 8, 8), np.float32)})
    assert audit_leaks(train={"c": blank}, test={"c": blank}).table.set_index("by").loc["inputs", "n_common"] == 0
