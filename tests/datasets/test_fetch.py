import gzip
import hashlib
import io
import json
import logging
import multiprocessing
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest
from local_server import serve

from astrolab.datasets import downloading, fetch
from astrolab.datasets.manifests import load_manifest, parse_manifest
from astrolab.errors import (
    AstrolabWarning,
    ChecksumError,
    ConfigError,
    DataNotFoundError,
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


@pytest.fixture(autouse=True)
def data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROLAB_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(downloading, "WAIT_S", 0.0)
    return tmp_path / "data"


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
    image = {"key": "image", "bands": ["g"]}
    table = {"name": "sky", "title": "Sky", "version": "v2", "kind": "images", "image": image, "files": files}
    table |= {"format": {"format": layout}} if layout else {}
    return parse_manifest(table, where="sky.toml", folder=folder)


def test_files_arrive_under_name_and_version(server, data_folder):
    paths = fetch.fetch(survey(server), progress=False)
    assert paths == [data_folder / "sky" / "v2" / "train.h5", data_folder / "sky" / "v2" / "test.h5"]
    assert [path.read_bytes() for path in paths] == list(CONTENT.values())
    assert fetch.locate(survey(server)) == paths


def test_one_split_is_fetched_alone(server):
    assert [path.name for path in fetch.fetch(survey(server), split="test", progress=False)] == ["test.h5"]
    with pytest.raises(DataNotFoundError, match="astrolab data fetch sky"):
        fetch.locate(survey(server))
    with pytest.raises(ConfigError, match="train"):
        fetch.fetch(survey(server), split="validation")


def test_a_fetched_file_is_not_asked_for_again(server):
    fetch.fetch(survey(server), progress=False)
    n_requests = len(server.requests)
    fetch.fetch(survey(server), progress=False)
    assert len(server.requests) == n_requests == 2


def test_an_unknown_hash_is_trusted_once_and_held_to_ever_after(server, caplog, data_folder):
    (path, _) = fetch.fetch(survey(server), progress=False)
    assert "trusted on first use" in caplog.text
    records = json.loads((data_folder / "sky" / "v2" / "hashes.json").read_text())
    assert records["train.h5"]["hash"] == "sha256:" + hashlib.sha256(CONTENT["train"]).hexdigest()

    path.write_bytes(b"damaged on this disk")
    fetch.fetch(survey(server), progress=False)
    assert path.read_bytes() == CONTENT["train"]

    path.unlink()
    server.files["train.h5"] = hdf5(seed=7)
    with pytest.raises(ChecksumError, match="astrolab data fetch sky --forget"):
        fetch.fetch(survey(server), progress=False)
    assert not path.exists()
    fetch.fetch(survey(server), progress=False, forget=True)
    assert path.read_bytes() == server.files["train.h5"]
    fetch.fetch(survey(server), progress=False)


def test_a_published_hash_is_not_forgotten(server):
    with pytest.raises(ChecksumError, match="newer version"):
        fetch.fetch(survey(server, md5=32 * "0"), progress=False, forget=True)


def test_a_published_hash_is_checked(server):
    with pytest.raises(ChecksumError, match="md5:" + 32 * "0"):
        fetch.fetch(survey(server, md5=32 * "0"), progress=False)


def test_a_file_under_its_other_name_is_found(server, data_folder):
    folder = data_folder / "sky" / "v2"
    folder.mkdir(parents=True)
    for name, content in CONTENT.items():
        (folder / f"old_{name}.h5").write_bytes(content)
    assert [path.name for path in fetch.locate(survey(server))] == ["old_train.h5", "old_test.h5"]
    fetch.fetch(survey(server), progress=False)
    assert not server.requests


def test_a_users_own_files_are_read_in_place_and_never_replaced(server, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    (own / "train.h5").write_bytes(b"mine")
    paths = fetch.fetch(survey(server, folder=own), progress=False)
    assert paths[0] == own / "train.h5" and paths[0].read_bytes() == b"mine"
    with pytest.raises(ChecksumError):
        fetch.fetch(survey(server, folder=own, md5=32 * "0"), split="train", progress=False)
    assert (own / "train.h5").read_bytes() == b"mine"


def test_a_link_out_of_the_folder_is_refused(server, data_folder, tmp_path):
    folder = data_folder / "sky" / "v2"
    folder.mkdir(parents=True)
    (tmp_path / "elsewhere.h5").write_bytes(b"secret")
    (folder / "train.h5").symlink_to(tmp_path / "elsewhere.h5")
    with pytest.raises(ManifestError, match="outside"):
        fetch.locate(survey(server))
    with pytest.raises(ManifestError, match="outside"):
        fetch.fetch(survey(server))


def test_a_whole_folder_may_be_a_link(server, data_folder, tmp_path):
    (tmp_path / "big disk").mkdir()
    (data_folder / "sky").mkdir(parents=True)
    (data_folder / "sky" / "v2").symlink_to(tmp_path / "big disk")
    fetch.fetch(survey(server), progress=False)
    assert (tmp_path / "big disk" / "train.h5").read_bytes() == CONTENT["train"]


def _fetch_in_process(address, data, start):
    os.environ["ASTROLAB_DATA_DIR"] = data
    server = type("Address", (), {"url": lambda self, path: f"{address}/{path}"})()
    start.wait(timeout=60)
    fetch.fetch(survey(server), progress=False)


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
        list(pool.map(lambda _: fetch.fetch(survey(server), progress=False), range(8)))
    assert len(server.requests) == 2


def test_a_file_that_another_process_fetches_is_waited_for_and_that_is_said(server, data_folder, caplog):
    folder = data_folder / "sky" / "v2"
    folder.mkdir(parents=True)
    held, done = threading.Event(), threading.Event()

    def hold():
        with fetch.FileLock(folder / ".train.h5.lock"):
            held.set()
            time.sleep(0.2)
            done.set()

    threading.Thread(target=hold).start()
    held.wait()
    fetch.fetch(survey(server), split="train", progress=False)
    assert done.is_set()
    assert "train.h5 is being fetched by another process" in caplog.text


def test_a_lock_file_that_a_killed_process_left_holds_nobody(server, data_folder, caplog):
    folder = data_folder / "sky" / "v2"
    folder.mkdir(parents=True)
    (folder / ".train.h5.lock").touch()
    with caplog.at_level(logging.WARNING):
        fetch.fetch(survey(server), split="train", progress=False)
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
        fetch.fetch(manifest, split="train", progress=False)
    folder = data_folder / "sky" / "v2"
    assert {path.name for path in folder.iterdir()} <= {".train.h5.lock"}
    server.files["train.h5"] = KINDS[kind]
    (path,) = fetch.fetch(manifest, split="train", progress=False)
    assert path.read_bytes() == KINDS[kind]


@pytest.mark.parametrize("wrong", [PAGE, CONTENT["train"][:3000], b"CDF\x01" + bytes(100)])
def test_a_redirect_to_a_page_or_a_file_cut_short_goes_on_to_the_next_mirror(server, wrong):
    server.files["elsewhere"] = wrong
    server.redirects["first.h5"] = server.url("elsewhere")
    manifest = survey(server, urls=[server.url("first.h5"), server.url("train.h5")])
    (path,) = fetch.fetch(manifest, split="train", progress=False)
    assert path.read_bytes() == CONTENT["train"]
    with pytest.raises(DownloadError, match=r"first\.h5"):
        fetch.fetch(survey(server, urls=[server.url("first.h5")]), split="test", progress=False)


def test_a_page_that_lies_under_the_name_already_is_replaced(server, data_folder):
    folder = data_folder / "sky" / "v2"
    folder.mkdir(parents=True)
    (folder / "train.h5").write_bytes(PAGE)
    (path,) = fetch.fetch(survey(server), split="train", progress=False)
    assert path.read_bytes() == CONTENT["train"]


def test_a_file_of_another_size_than_published_is_refused(server):
    with pytest.raises(DownloadError, match=r"where 5 are published"):
        fetch.fetch(survey(server, bytes=5), split="train", progress=False)


GOOD = "sha256:" + hashlib.sha256(CONTENT["train"]).hexdigest()
TORN = ["", "{", "null", "[]", "5", '{"train.h5": 5}', '{"train.h5": {"hash": 5}}', '{"train.h5": {"hash": "x:y"}}']


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("torn", [*TORN, b"\xff\xfe"])
def test_torn_notes_of_hashes_are_said_and_learned_again(server, data_folder, torn, published):
    manifest = survey(server, **({"sha256": GOOD.removeprefix("sha256:")} if published else {}))
    (path,) = fetch.fetch(manifest, split="train", progress=False)
    notes = data_folder / "sky" / "v2" / "hashes.json"
    notes.write_bytes(torn if isinstance(torn, bytes) else torn.encode())
    with pytest.warns(AstrolabWarning, match=r"hashes\.json is damaged"):
        fetch.fetch(manifest, split="train", progress=False)
    assert json.loads(notes.read_text())["train.h5"]["hash"] == GOOD
    fetch.fetch(manifest, split="train", progress=False)
    assert path.read_bytes() == CONTENT["train"]


@pytest.mark.parametrize("place", ["data", "data/sky", "data/sky/v2/train.h5", "data/sky/v2/hashes.json"])
def test_a_folder_that_cannot_be_written_to_is_named(server, tmp_path, place):
    """Whatever is in the way: root may write everywhere, so that a wrong kind of entry stands for a read-only one."""
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    is_folder = place.endswith((".h5", ".json"))
    (tmp_path / place).mkdir() if is_folder else (tmp_path / place).write_text("")
    with pytest.raises(ConfigError, match="ASTROLAB_DATA_DIR"):
        fetch.fetch(survey(server), split="train", progress=False)


def test_files_that_were_proven_are_found_in_a_folder_that_cannot_be_written_to(server, data_folder):
    (path,) = fetch.fetch(survey(server), split="train", progress=False)
    lock = path.with_name(".train.h5.lock")
    lock.unlink(missing_ok=True)
    lock.mkdir()
    assert fetch.fetch(survey(server), split="train", progress=False) == [path]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_data_folder_is_named(server, data_folder):
    data_folder.mkdir(mode=0o500)
    with pytest.raises(ConfigError, match="ASTROLAB_DATA_DIR"):
        fetch.fetch(survey(server), progress=False)


def test_what_cannot_be_downloaded_says_what_to_do(tmp_path):
    table = {
        "name": "own",
        "title": "Own",
        "version": "1",
        "kind": "images",
        "image": {"key": "image", "bands": ["g"]},
        "files": [{"path": "a.h5"}],
    }
    with pytest.raises(DataNotFoundError, match=r"Put the files into"):
        fetch.fetch(parse_manifest(table, where="own.toml", folder=tmp_path))
    with pytest.raises(DataNotFoundError, match=r"about 23\.7 GB"):
        fetch.locate(load_manifest("galaxiesml"))


def test_a_recipe_is_the_files_of_its_members():
    with pytest.raises(DataNotFoundError, match="transferz"):
        fetch.locate("combo")
