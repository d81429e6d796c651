"""Files arrive whole, proven and once, whatever servers, disks and other processes do."""

import errno
import gzip
import hashlib
import io
import json
import logging
import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest
from local_server import serve

from astrolab.datasets import fetching
from astrolab.datasets.fetching import download, inside
from astrolab.datasets.manifest import load_manifest, parse_manifest
from astrolab.errors import (
    AstrolabWarning,
    ChecksumError,
    ConfigError,
    CorruptFileError,
    DataNotFoundError,
    DiskFullError,
    DownloadError,
    ManifestError,
)


def hdf5(seed):
    file = io.BytesIO()
    with h5py.File(file, "w") as content:
        content["image"] = np.random.default_rng(seed).normal(size=(20, 1, 16, 16))
    return file.getvalue()


CONTENT = {name: hdf5(seed) for seed, name in enumerate(("train", "test"))}
PAGE = b"<!doctype html><html><body>Please log in</body></html>"


pytestmark = pytest.mark.usefixtures("data_folder")


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(fetching, "WAIT_S", 0.0)


@pytest.fixture
def server():
    with serve() as server:
        server.files.update({f"{name}.h5": content for name, content in CONTENT.items()})
        yield server


def survey(server, *, folder=None, layout=None, **entry):
    files = [
        {"path": f"{n}.h5", "aliases": [f"old_{n}.h5"], "split": n, "urls": [server.url(f"{n}.h5")], **entry}
        for n in CONTENT
    ]
    inputs = {"image": {"key": "image", "channels": ["g"]}}
    table = {"name": "sky", "title": "Sky", "version": "v2", "input": inputs, "files": files}
    table |= {"format": {"format": layout}} if layout else {}
    return parse_manifest(table, where="sky.toml", folder=folder)


def test_files_arrive_under_name_and_version(server, data_folder):
    paths = fetching.fetch(survey(server), progress=False)
    assert paths == [data_folder / "sky" / "v2" / "train.h5", data_folder / "sky" / "v2" / "test.h5"]
    assert [path.read_bytes() for path in paths] == list(CONTENT.values())
    assert fetching.locate(survey(server)) == paths


def test_one_split_is_fetched_alone(server):
    assert [path.name for path in fetching.fetch(survey(server), split="test", progress=False)] == ["test.h5"]
    with pytest.raises(DataNotFoundError, match="astrolab data fetch sky"):
        fetching.locate(survey(server))
    with pytest.raises(ConfigError, match="train"):
        fetching.fetch(survey(server), split="validation")


def test_a_fetched_file_is_not_asked_for_again(server):
    fetching.fetch(survey(server), progress=False)
    n_requests = len(server.requests)
    fetching.fetch(survey(server), progress=False)
    assert len(server.requests) == n_requests == 2


def test_an_unknown_hash_is_trusted_once_and_held_to_ever_after(server, caplog, data_folder):
    (path, _) = fetching.fetch(survey(server), progress=False)
    assert "trusted on first use" in caplog.text
    records = json.loads((data_folder / "sky" / "v2" / "hashes.json").read_text())
    assert records["train.h5"] == "sha256:" + hashlib.sha256(CONTENT["train"]).hexdigest()

    path.write_bytes(b"damaged on this disk")
    fetching.fetch(survey(server), progress=False)
    assert path.read_bytes() == CONTENT["train"]

    path.unlink()
    server.files["train.h5"] = hdf5(seed=7)
    with pytest.raises(ChecksumError, match="astrolab data fetch sky --forget"):
        fetching.fetch(survey(server), progress=False)
    assert not path.exists()
    fetching.fetch(survey(server), progress=False, forget=True)
    assert path.read_bytes() == server.files["train.h5"]
    fetching.fetch(survey(server), progress=False)


def test_a_published_hash_is_not_forgotten(server):
    with pytest.raises(ChecksumError, match="newer version"):
        fetching.fetch(survey(server, md5=32 * "0"), progress=False, forget=True)


def test_a_published_hash_is_checked(server):
    with pytest.raises(ChecksumError, match="md5:" + 32 * "0"):
        fetching.fetch(survey(server, md5=32 * "0"), progress=False)


def test_a_file_under_its_other_name_is_found(server, data_folder):
    folder = data_folder / "sky" / "v2"
    folder.mkdir(parents=True)
    for name, content in CONTENT.items():
        (folder / f"old_{name}.h5").write_bytes(content)
    assert [path.name for path in fetching.locate(survey(server))] == ["old_train.h5", "old_test.h5"]
    fetching.fetch(survey(server), progress=False)
    assert not server.requests


def test_a_users_own_files_are_read_in_place_and_never_replaced(server, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    (own / "train.h5").write_bytes(b"mine")
    paths = fetching.fetch(survey(server, folder=own), progress=False)
    assert paths[0] == own / "train.h5" and paths[0].read_bytes() == b"mine"
    with pytest.raises(ChecksumError):
        fetching.fetch(survey(server, folder=own, md5=32 * "0"), split="train", progress=False)
    assert (own / "train.h5").read_bytes() == b"mine"


def test_a_link_out_of_the_folder_is_refused(server, data_folder, tmp_path):
    folder = data_folder / "sky" / "v2"
    folder.mkdir(parents=True)
    (tmp_path / "elsewhere.h5").write_bytes(b"secret")
    (folder / "train.h5").symlink_to(tmp_path / "elsewhere.h5")
    with pytest.raises(ManifestError, match="outside"):
        fetching.locate(survey(server))
    with pytest.raises(ManifestError, match="outside"):
        fetching.fetch(survey(server))


def test_a_whole_folder_may_be_a_link(server, data_folder, tmp_path):
    (tmp_path / "big disk").mkdir()
    (data_folder / "sky").mkdir(parents=True)
    (data_folder / "sky" / "v2").symlink_to(tmp_path / "big disk")
    fetching.fetch(survey(server), progress=False)
    assert (tmp_path / "big disk" / "train.h5").read_bytes() == CONTENT["train"]


def _fetch_in_process(address, data, start):
    os.environ["ASTROLAB_DATA_DIR"] = data
    server = type("Address", (), {"url": lambda self, path: f"{address}/{path}"})()
    start.wait(timeout=60)
    fetching.fetch(survey(server), progress=False)


def test_two_processes_download_a_file_once(server, data_folder):
    server.delay_s = 0.2
    context = multiprocessing.get_context("spawn")
    start = context.Event()
    both = [context.Process(target=_fetch_in_process, args=(server.address, str(data_folder), start)) for _ in range(2)]
    for process in both:
        process.start()
    start.set()
    for process in both:
        process.join(timeout=60)
    assert [process.exitcode for process in both] == [0, 0]
    assert sorted(path for path, _ in server.requests) == ["test.h5", "train.h5"]
    assert set(json.loads((data_folder / "sky" / "v2" / "hashes.json").read_text())) == {"train.h5", "test.h5"}


def test_many_threads_download_a_file_once(server):
    server.delay_s = 0.05
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: fetching.fetch(survey(server), progress=False), range(8)))
    assert len(server.requests) == 2


def test_a_file_that_another_process_fetches_is_waited_for_and_that_is_said(server, data_folder, caplog):
    folder = data_folder / "sky" / "v2"
    folder.mkdir(parents=True)
    held, done = threading.Event(), threading.Event()

    def hold():
        with fetching.FileLock(folder / ".train.h5.lock"):
            held.set()
            time.sleep(0.2)
            done.set()

    threading.Thread(target=hold).start()
    held.wait()
    fetching.fetch(survey(server), split="train", progress=False)
    assert done.is_set()
    assert "train.h5 is being fetched by another process" in caplog.text


def test_a_lock_file_that_a_killed_process_left_holds_nobody(server, data_folder, caplog):
    folder = data_folder / "sky" / "v2"
    folder.mkdir(parents=True)
    (folder / ".train.h5.lock").touch()
    with caplog.at_level(logging.WARNING):
        fetching.fetch(survey(server), split="train", progress=False)
    assert "another process" not in caplog.text


TABLE = b"id,z\n1,0.5\n"
KINDS = {"hdf5": CONTENT["train"], "csv": TABLE, "fits": b"SIMPLE  =" + bytes(2871), "parquet": b"PAR1", "npz": b"PK"}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("page", [PAGE, b"\xef\xbb\xbf\n <HTML>", b'{"message": "moved"}', b""])
@pytest.mark.parametrize("kind", KINDS)
def test_a_page_in_place_of_a_file_is_refused_before_its_hash_is_recorded(server, data_folder, kind, page, packed):
    manifest = survey(server, layout=None if kind == "hdf5" else kind)
    server.files["train.h5"] = gzip.compress(page) if packed else page
    with pytest.raises(DownloadError, match="a page of text" if page else "nothing that can be read"):
        fetching.fetch(manifest, split="train", progress=False)
    folder = data_folder / "sky" / "v2"
    assert {path.name for path in folder.iterdir()} <= {".train.h5.lock"}
    server.files["train.h5"] = KINDS[kind]
    (path,) = fetching.fetch(manifest, split="train", progress=False)
    assert path.read_bytes() == KINDS[kind]


@pytest.mark.parametrize("wrong", [PAGE, CONTENT["train"][:3000], b"CDF\x01" + bytes(100)])
def test_a_redirect_to_a_page_or_a_file_cut_short_goes_on_to_the_next_mirror(server, wrong):
    server.files["elsewhere"] = wrong
    server.redirects["first.h5"] = server.url("elsewhere")
    manifest = survey(server, urls=[server.url("first.h5"), server.url("train.h5")])
    (path,) = fetching.fetch(manifest, split="train", progress=False)
    assert path.read_bytes() == CONTENT["train"]
    with pytest.raises(DownloadError, match=r"first\.h5"):
        fetching.fetch(survey(server, urls=[server.url("first.h5")]), split="test", progress=False)


def test_a_page_that_lies_under_the_name_already_is_replaced(server, data_folder):
    folder = data_folder / "sky" / "v2"
    folder.mkdir(parents=True)
    (folder / "train.h5").write_bytes(PAGE)
    (path,) = fetching.fetch(survey(server), split="train", progress=False)
    assert path.read_bytes() == CONTENT["train"]


def test_a_file_of_another_size_than_published_is_refused(server):
    with pytest.raises(DownloadError, match=r"where 5 are published"):
        fetching.fetch(survey(server, bytes=5), split="train", progress=False)


GOOD = "sha256:" + hashlib.sha256(CONTENT["train"]).hexdigest()
TORN = ["", "{", "null", "[]", "5", '{"train.h5": 5}', '{"train.h5": "x:y"}']


@pytest.mark.parametrize("torn", [*TORN, b"\xff\xfe"])
def test_torn_notes_of_hashes_are_said_and_learned_again(server, data_folder, torn):
    manifest = survey(server)
    (path,) = fetching.fetch(manifest, split="train", progress=False)
    notes = data_folder / "sky" / "v2" / "hashes.json"
    notes.write_bytes(torn if isinstance(torn, bytes) else torn.encode())
    with pytest.warns(AstrolabWarning, match=r"hashes\.json is damaged"):
        fetching.fetch(manifest, split="train", progress=False)
    assert json.loads(notes.read_text())["train.h5"] == GOOD
    fetching.fetch(manifest, split="train", progress=False)
    assert path.read_bytes() == CONTENT["train"]


@pytest.mark.parametrize("place", ["data", "data/sky", "data/sky/v2/train.h5", "data/sky/v2/hashes.json"])
def test_a_folder_that_cannot_be_written_to_is_named(server, tmp_path, place):
    """Whatever is in the way: root may write everywhere, so that a wrong kind of entry stands for a read-only one."""
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    is_folder = place.endswith((".h5", ".json"))
    (tmp_path / place).mkdir() if is_folder else (tmp_path / place).write_text("")
    with pytest.raises(ConfigError, match="ASTROLAB_DATA_DIR"):
        fetching.fetch(survey(server), split="train", progress=False)


def test_files_that_were_proven_are_found_in_a_folder_that_cannot_be_written_to(server, data_folder):
    (path,) = fetching.fetch(survey(server), split="train", progress=False)
    lock = path.with_name(".train.h5.lock")
    lock.unlink(missing_ok=True)
    lock.mkdir()
    assert fetching.fetch(survey(server), split="train", progress=False) == [path]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_data_folder_is_named(server, data_folder):
    data_folder.mkdir(mode=0o500)
    with pytest.raises(ConfigError, match="ASTROLAB_DATA_DIR"):
        fetching.fetch(survey(server), progress=False)


def test_what_cannot_be_downloaded_says_what_to_do(tmp_path):
    table = {
        "name": "own",
        "title": "Own",
        "version": "1",
        "input": {"image": {"key": "image", "channels": ["g"]}},
        "files": [{"path": "a.h5"}],
    }
    with pytest.raises(DataNotFoundError, match=r"Put the files into"):
        fetching.fetch(parse_manifest(table, where="own.toml", folder=tmp_path))
    with pytest.raises(DataNotFoundError, match=r"about 23\.7 GB"):
        fetching.locate(load_manifest("galaxiesml"))


WHOLE = np.random.default_rng(0).bytes(300_000)
SHA256 = "sha256:" + hashlib.sha256(WHOLE).hexdigest()
MD5 = "md5:" + hashlib.md5(WHOLE).hexdigest()


@pytest.fixture
def mirror(monkeypatch):
    monkeypatch.setattr(fetching, "CHUNK_BYTES", 10_000)
    with serve() as mirror:
        mirror.files["a.hdf5"] = WHOLE
        yield mirror


def bring(mirror, target, *, urls=("a.hdf5",), known_hash=SHA256, **options):
    return download([mirror.url(u) for u in urls], target=target, known_hash=known_hash, progress=False, **options)


@pytest.mark.parametrize("known_hash", [SHA256, MD5, None])
def test_a_file_arrives_whole_under_its_name(mirror, tmp_path, known_hash):
    target = tmp_path / "survey.hdf5"
    bring(mirror, target, known_hash=known_hash)
    assert target.read_bytes() == WHOLE
    assert [p.name for p in tmp_path.iterdir()] == ["survey.hdf5"]


def test_a_cut_line_is_continued_where_it_broke(mirror, tmp_path):
    mirror.broken_after["a.hdf5"] = 200_000
    bring(mirror, tmp_path / "a.hdf5")
    assert (tmp_path / "a.hdf5").read_bytes() == WHOLE
    (_, first), (_, second) = mirror.requests
    assert first is None
    begin = int(second.removeprefix("bytes=").rstrip("-"))
    assert 0 < begin <= 200_000
    assert sum(mirror.sent) < 1.5 * len(WHOLE)


def test_an_earlier_attempt_is_continued_by_the_next(mirror, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "N_TRIES", 1)
    mirror.broken_after["a.hdf5"] = 200_000
    with pytest.raises(DownloadError, match="kept"):
        bring(mirror, tmp_path / "a.hdf5", known_hash=None)
    assert not (tmp_path / "a.hdf5").exists()
    bring(mirror, tmp_path / "a.hdf5", known_hash=None)
    assert (tmp_path / "a.hdf5").read_bytes() == WHOLE
    assert mirror.requests[-1][1].startswith("bytes=")


def test_a_server_that_ignores_ranges_sends_everything_again(mirror, tmp_path):
    mirror.ranges = False
    mirror.broken_after["a.hdf5"] = 200_000
    bring(mirror, tmp_path / "a.hdf5")
    assert (tmp_path / "a.hdf5").read_bytes() == WHOLE


def test_a_part_of_another_version_is_not_continued(mirror, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "N_TRIES", 1)
    mirror.files["a.hdf5"], mirror.broken_after["a.hdf5"] = WHOLE[::-1], 200_000
    with pytest.raises(DownloadError):
        bring(mirror, tmp_path / "a.hdf5", known_hash=None)
    mirror.files["a.hdf5"], mirror.etag = WHOLE, '"2"'
    bring(mirror, tmp_path / "a.hdf5", known_hash=None)
    assert (tmp_path / "a.hdf5").read_bytes() == WHOLE


def test_a_part_from_a_bad_mirror_does_not_spoil_the_good_one(mirror, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "N_TRIES", 1)
    mirror.files["bad.hdf5"], mirror.broken_after["bad.hdf5"] = WHOLE[::-1], 200_000
    bring(mirror, tmp_path / "a.hdf5", urls=("bad.hdf5", "a.hdf5"))
    assert (tmp_path / "a.hdf5").read_bytes() == WHOLE


def test_a_part_longer_than_the_file_is_dropped(mirror, tmp_path):
    (tmp_path / ".a.hdf5.part").write_bytes(WHOLE + b"more")
    (tmp_path / ".a.hdf5.part.json").write_text('{"url": "another", "validator": null}')
    bring(mirror, tmp_path / "a.hdf5")
    assert (tmp_path / "a.hdf5").read_bytes() == WHOLE


@pytest.mark.parametrize("first", ["absent.hdf5", "wrong.hdf5", "forbidden.hdf5", "failing.hdf5", "ragged.hdf5"])
def test_mirrors_are_tried_in_order(mirror, tmp_path, first):
    mirror.files["wrong.hdf5"] = b"something else"
    mirror.status |= {"forbidden.hdf5": 403, "failing.hdf5": 500, "ragged.hdf5": 416}
    bring(mirror, tmp_path / "a.hdf5", urls=(first, "a.hdf5"))
    assert (tmp_path / "a.hdf5").read_bytes() == WHOLE
    assert [path for path, _ in mirror.requests] == [first, "a.hdf5"]


def test_a_wrong_hash_leaves_nothing_behind(mirror, tmp_path):
    mirror.files["a.hdf5"] = b"something else"
    with pytest.raises(ChecksumError, match=SHA256):
        bring(mirror, tmp_path / "a.hdf5")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("elsewhere", ["http://[::1", "ftp://example.org/a", "//", "http://127.0.0.1:9/a", "a.hdf5"])
def test_a_redirect_to_nowhere_or_in_a_circle_is_no_answer(mirror, tmp_path, elsewhere):
    mirror.redirects["a.hdf5"] = elsewhere
    with pytest.raises(DownloadError, match="no answer with the file"):
        bring(mirror, tmp_path / "a.hdf5")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("note", ["", "{", "null", "[1]", '"x"', "{}", '{"url": 1, "validator": []}', "ß", "€"])
def test_a_torn_note_beside_a_part_stops_nothing(mirror, tmp_path, note):
    (tmp_path / ".a.hdf5.part").write_bytes(WHOLE[:1000])
    (tmp_path / ".a.hdf5.part.json").write_text(note, encoding="latin-1" if note == "ß" else "utf-8")
    bring(mirror, tmp_path / "a.hdf5", known_hash=None)
    assert (tmp_path / "a.hdf5").read_bytes() == WHOLE


@pytest.mark.parametrize("validator", ["\n", " x", "€", "é", None, 5, ""])
def test_a_note_whose_validator_no_header_can_hold_stops_nothing(mirror, tmp_path, validator):
    (tmp_path / ".a.hdf5.part").write_bytes(WHOLE[:1000])
    (tmp_path / ".a.hdf5.part.json").write_text(json.dumps({"url": mirror.url("a.hdf5"), "validator": validator}))
    bring(mirror, tmp_path / "a.hdf5", known_hash=None)
    assert (tmp_path / "a.hdf5").read_bytes() == WHOLE


@pytest.mark.parametrize("length", [len(WHOLE) + 7, "many"])
def test_a_content_length_that_is_not_true_leaves_nothing_under_the_name(mirror, tmp_path, length):
    mirror.headers["a.hdf5"] = {"Content-Length": length, "Connection": "close"}
    target = tmp_path / "a.hdf5"
    for _ in range(2):
        if length == "many":
            bring(mirror, target)
            assert target.read_bytes() == WHOLE
        else:
            with pytest.raises(DownloadError, match="7 more expected"):
                bring(mirror, target)
            assert not target.exists()


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_what_a_server_packs_is_unpacked_and_what_is_stored_packed_stays_so(mirror, tmp_path, name):
    packed = gzip.compress(WHOLE)
    mirror.files[name] = packed
    mirror.headers[name] = {"Content-Encoding": "gzip"}
    bring(mirror, tmp_path / name, urls=(name,), known_hash=None)
    assert (tmp_path / name).read_bytes() == (packed if name.endswith(".gz") else WHOLE)


def test_a_file_of_another_kind_is_refused_and_the_next_mirror_asked(mirror, tmp_path):
    mirror.files["page.hdf5"] = b"<html>"

    def recognise(part):
        if part.read_bytes().startswith(b"<"):
            raise CorruptFileError("x", received="a page", remedy="x")

    with pytest.raises(DownloadError, match=r"page\.hdf5: a page"):
        bring(mirror, tmp_path / "a.hdf5", urls=("page.hdf5",), recognise=recognise)
    assert not list(tmp_path.iterdir())
    bring(mirror, tmp_path / "a.hdf5", urls=("page.hdf5", "a.hdf5"), recognise=recognise, known_hash=None)
    assert (tmp_path / "a.hdf5").read_bytes() == WHOLE


def test_no_mirror_answers(mirror, tmp_path):
    with pytest.raises(DownloadError, match="404") as caught:
        download(
            [mirror.url("absent"), "http://127.0.0.1:9/nobody"], target=tmp_path / "a", known_hash=None, progress=False
        )
    assert "127.0.0.1:9" in str(caught.value)


def test_a_full_disk_is_noticed_before_anything_is_asked(mirror, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")(10**9, 10**9 - 1000, 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DiskFullError, match="ASTROLAB_DATA_DIR"):
        bring(mirror, tmp_path / "a.hdf5", expected_bytes=len(WHOLE))
    assert not mirror.requests


def test_a_full_disk_is_noticed_when_the_server_says_the_size(mirror, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")(10**9, 10**9 - 1000, 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DiskFullError):
        bring(mirror, tmp_path / "a.hdf5")
    assert not (tmp_path / "a.hdf5").exists()


def test_a_disk_that_fills_up_while_writing(mirror, tmp_path, monkeypatch):
    write = fetching.ResumingDownloader._write

    def full(self, response, **options):
        write(self, response, **options)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fetching.ResumingDownloader, "_write", full)
    with pytest.raises(DiskFullError):
        bring(mirror, tmp_path / "a.hdf5")
    assert not (tmp_path / "a.hdf5").exists()


def test_a_killed_process_is_continued_by_the_next(mirror, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "CHUNK_BYTES", 1 << 20)
    content = 12 * WHOLE
    mirror.files["a.hdf5"], mirror.stalled_after["a.hdf5"] = content, len(content) - 1000
    code = "import sys, pathlib; from astrolab.datasets.fetching import download; "
    code += "download([sys.argv[1]], target=pathlib.Path(sys.argv[2]), known_hash=None, progress=False)"
    process = subprocess.Popen([sys.executable, "-c", code, mirror.url("a.hdf5"), str(tmp_path / "a.hdf5")])
    part = tmp_path / ".a.hdf5.part"
    for _ in range(600):
        if part.exists() and part.stat().st_size >= 2 << 20:
            break
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert not (tmp_path / "a.hdf5").exists()
    bring(mirror, tmp_path / "a.hdf5", known_hash=None)
    assert (tmp_path / "a.hdf5").read_bytes() == content
    assert int(mirror.requests[-1][1].removeprefix("bytes=").rstrip("-")) >= 2 << 20


def test_links_may_lead_around_inside_but_not_out(tmp_path):
    folder = tmp_path / "survey"
    folder.mkdir()
    (folder / "a").write_text("")
    (folder / "near").symlink_to(folder / "a")
    (tmp_path / "b").write_text("")
    (folder / "far").symlink_to(tmp_path / "b")
    (folder / "up").symlink_to(tmp_path)
    assert inside(folder, path="near") == folder / "near"
    for path in ("far", "up/b"):
        with pytest.raises(ManifestError, match="outside"):
            inside(folder, path=path)
