import errno
import gzip
import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections import namedtuple

import numpy as np
import pytest
from local_server import serve

from astrolab.datasets import downloading
from astrolab.datasets.downloading import download
from astrolab.errors import ChecksumError, CorruptFileError, DiskFullError, DownloadError

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
MD5 = "md5:" + hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(downloading, "WAIT_S", 0.0)
    monkeypatch.setattr(downloading, "CHUNK_BYTES", 10_000)
    with serve() as server:
        server.files["a.hdf5"] = CONTENT
        yield server


def fetch(server, target, *, urls=("a.hdf5",), known_hash=SHA256, **options):
    return download([server.url(u) for u in urls], target=target, known_hash=known_hash, progress=False, **options)


@pytest.mark.parametrize("known_hash", [SHA256, MD5, None])
def test_a_file_arrives_whole_under_its_name(server, tmp_path, known_hash):
    target = tmp_path / "survey.hdf5"
    fetch(server, target, known_hash=known_hash)
    assert target.read_bytes() == CONTENT
    assert [p.name for p in tmp_path.iterdir()] == ["survey.hdf5"]


def test_a_cut_line_is_continued_where_it_broke(server, tmp_path):
    server.broken_after["a.hdf5"] = 200_000
    fetch(server, tmp_path / "a.hdf5")
    assert (tmp_path / "a.hdf5").read_bytes() == CONTENT
    (_, first), (_, second) = server.requests
    assert first is None
    begin = int(second.removeprefix("bytes=").rstrip("-"))
    assert 0 < begin <= 200_000
    assert sum(server.sent) < 1.5 * len(CONTENT)


def test_an_earlier_attempt_is_continued_by_the_next(server, tmp_path, monkeypatch):
    monkeypatch.setattr(downloading, "N_TRIES", 1)
    server.broken_after["a.hdf5"] = 200_000
    with pytest.raises(DownloadError, match="kept"):
        fetch(server, tmp_path / "a.hdf5", known_hash=None)
    assert not (tmp_path / "a.hdf5").exists()
    fetch(server, tmp_path / "a.hdf5", known_hash=None)
    assert (tmp_path / "a.hdf5").read_bytes() == CONTENT
    assert server.requests[-1][1].startswith("bytes=")


def test_a_server_that_ignores_ranges_sends_everything_again(server, tmp_path):
    server.ranges = False
    server.broken_after["a.hdf5"] = 200_000
    fetch(server, tmp_path / "a.hdf5")
    assert (tmp_path / "a.hdf5").read_bytes() == CONTENT


def test_a_part_of_another_version_is_not_continued(server, tmp_path, monkeypatch):
    monkeypatch.setattr(downloading, "N_TRIES", 1)
    server.files["a.hdf5"], server.broken_after["a.hdf5"] = CONTENT[::-1], 200_000
    with pytest.raises(DownloadError):
        fetch(server, tmp_path / "a.hdf5", known_hash=None)
    server.files["a.hdf5"], server.etag = CONTENT, '"2"'
    fetch(server, tmp_path / "a.hdf5", known_hash=None)
    assert (tmp_path / "a.hdf5").read_bytes() == CONTENT


def test_a_part_from_a_bad_mirror_does_not_spoil_the_good_one(server, tmp_path, monkeypatch):
    monkeypatch.setattr(downloading, "N_TRIES", 1)
    server.files["bad.hdf5"], server.broken_after["bad.hdf5"] = CONTENT[::-1], 200_000
    fetch(server, tmp_path / "a.hdf5", urls=("bad.hdf5", "a.hdf5"))
    assert (tmp_path / "a.hdf5").read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_dropped(server, tmp_path):
    (tmp_path / ".a.hdf5.part").write_bytes(CONTENT + b"more")
    (tmp_path / ".a.hdf5.part.json").write_text('{"url": "another", "validator": null}')
    fetch(server, tmp_path / "a.hdf5")
    assert (tmp_path / "a.hdf5").read_bytes() == CONTENT


@pytest.mark.parametrize("first", ["absent.hdf5", "wrong.hdf5", "forbidden.hdf5", "failing.hdf5", "ragged.hdf5"])
def test_mirrors_are_tried_in_order(server, tmp_path, first):
    server.files["wrong.hdf5"] = b"something else"
    server.status |= {"forbidden.hdf5": 403, "failing.hdf5": 500, "ragged.hdf5": 416}
    fetch(server, tmp_path / "a.hdf5", urls=(first, "a.hdf5"))
    assert (tmp_path / "a.hdf5").read_bytes() == CONTENT
    assert [path for path, _ in server.requests] == [first, "a.hdf5"]


def test_a_wrong_hash_leaves_nothing_behind(server, tmp_path):
    server.files["a.hdf5"] = b"something else"
    with pytest.raises(ChecksumError, match=SHA256):
        fetch(server, tmp_path / "a.hdf5")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("elsewhere", ["http://[::1", "ftp://example.org/a", "//", "http://127.0.0.1:9/a", "a.hdf5"])
def test_a_redirect_to_nowhere_or_in_a_circle_is_no_answer(server, tmp_path, elsewhere):
    server.redirects["a.hdf5"] = elsewhere
    with pytest.raises(DownloadError, match="no answer with the file"):
        fetch(server, tmp_path / "a.hdf5")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("note", ["", "{", "null", "[1]", '"x"', "{}", '{"url": 1, "validator": []}', "ß", "€"])
def test_a_torn_note_beside_a_part_stops_nothing(server, tmp_path, note):
    (tmp_path / ".a.hdf5.part").write_bytes(CONTENT[:1000])
    (tmp_path / ".a.hdf5.part.json").write_text(note, encoding="latin-1" if note == "ß" else "utf-8")
    fetch(server, tmp_path / "a.hdf5", known_hash=None)
    assert (tmp_path / "a.hdf5").read_bytes() == CONTENT


@pytest.mark.parametrize("validator", ["\n", " x", "€", "é", None, 5, ""])
def test_a_note_whose_validator_no_header_can_hold_stops_nothing(server, tmp_path, validator):
    (tmp_path / ".a.hdf5.part").write_bytes(CONTENT[:1000])
    (tmp_path / ".a.hdf5.part.json").write_text(json.dumps({"url": server.url("a.hdf5"), "validator": validator}))
    fetch(server, tmp_path / "a.hdf5", known_hash=None)
    assert (tmp_path / "a.hdf5").read_bytes() == CONTENT


@pytest.mark.parametrize("length", [len(CONTENT) + 7, "many"])
def test_a_content_length_that_is_not_true_leaves_nothing_under_the_name(server, tmp_path, length):
    server.headers["a.hdf5"] = {"Content-Length": length, "Connection": "close"}
    target = tmp_path / "a.hdf5"
    for _ in range(2):
        if length == "many":
            fetch(server, target)
            assert target.read_bytes() == CONTENT
        else:
            with pytest.raises(DownloadError, match="7 more expected"):
                fetch(server, target)
            assert not target.exists()


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_what_a_server_packs_is_unpacked_and_what_is_stored_packed_stays_so(server, tmp_path, name):
    packed = gzip.compress(CONTENT)
    server.files[name] = packed
    server.headers[name] = {"Content-Encoding": "gzip"}
    fetch(server, tmp_path / name, urls=(name,), known_hash=None)
    assert (tmp_path / name).read_bytes() == (packed if name.endswith(".gz") else CONTENT)


def test_a_file_of_another_kind_is_refused_and_the_next_mirror_asked(server, tmp_path):
    server.files["page.hdf5"] = b"<html>"

    def recognise(part):
        if part.read_bytes().startswith(b"<"):
            raise CorruptFileError("x", received="a page", remedy="x")

    with pytest.raises(DownloadError, match=r"page\.hdf5: a page"):
        fetch(server, tmp_path / "a.hdf5", urls=("page.hdf5",), recognise=recognise)
    assert not list(tmp_path.iterdir())
    fetch(server, tmp_path / "a.hdf5", urls=("page.hdf5", "a.hdf5"), recognise=recognise, known_hash=None)
    assert (tmp_path / "a.hdf5").read_bytes() == CONTENT


def test_no_mirror_answers(server, tmp_path):
    with pytest.raises(DownloadError, match="404") as caught:
        download(
            [server.url("absent"), "http://127.0.0.1:9/nobody"], target=tmp_path / "a", known_hash=None, progress=False
        )
    assert "127.0.0.1:9" in str(caught.value)


def test_a_full_disk_is_noticed_before_anything_is_asked(server, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")(10**9, 10**9 - 1000, 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DiskFullError, match="ASTROLAB_DATA_DIR"):
        fetch(server, tmp_path / "a.hdf5", expected_bytes=len(CONTENT))
    assert not server.requests


def test_a_full_disk_is_noticed_when_the_server_says_the_size(server, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")(10**9, 10**9 - 1000, 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DiskFullError):
        fetch(server, tmp_path / "a.hdf5")
    assert not (tmp_path / "a.hdf5").exists()


def test_a_disk_that_fills_up_while_writing(server, tmp_path, monkeypatch):
    write = downloading.ResumingDownloader._write

    def full(self, response, **options):
        write(self, response, **options)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(downloading.ResumingDownloader, "_write", full)
    with pytest.raises(DiskFullError):
        fetch(server, tmp_path / "a.hdf5")
    assert not (tmp_path / "a.hdf5").exists()


def test_a_killed_process_is_continued_by_the_next(server, tmp_path, monkeypatch):
    monkeypatch.setattr(downloading, "CHUNK_BYTES", 1 << 20)
    content = 12 * CONTENT
    server.files["a.hdf5"], server.stalled_after["a.hdf5"] = content, len(content) - 1000
    code = "import sys, pathlib; from astrolab.datasets.downloading import download; "
    code += "download([sys.argv[1]], target=pathlib.Path(sys.argv[2]), known_hash=None, progress=False)"
    process = subprocess.Popen([sys.executable, "-c", code, server.url("a.hdf5"), str(tmp_path / "a.hdf5")])
    part = tmp_path / ".a.hdf5.part"
    for _ in range(600):
        if part.exists() and part.stat().st_size >= 2 << 20:
            break
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert not (tmp_path / "a.hdf5").exists()
    fetch(server, tmp_path / "a.hdf5", known_hash=None)
    assert (tmp_path / "a.hdf5").read_bytes() == content
    assert int(server.requests[-1][1].removeprefix("bytes=").rstrip("-")) >= 2 << 20
