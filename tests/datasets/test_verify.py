import h5py
import numpy as np
import pytest
from astrolab.datasets.manifests import parse_manifest
from astrolab.datasets.verify import verify_survey

from astrolab.errors import DataNotFoundError

N = 5
PIXELS = np.random.default_rng(0).normal(size=(N + 1, 2, 8, 8)).astype(np.float32)
SPLITS = ("train", "test")


def write(folder, name, *, first_id=0, **changes):
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        "image": PIXELS[:N],
        "z": np.linspace(0.1, 1, N),
        "object_id": np.arange(N) + first_id,
        **changes,
    }
    with h5py.File(folder / f"{name}.h5", "w") as file:
        for key, values in contents.items():
            file[key] = values


def survey(folder=None, **changes):
    table = {
        **{"name": "sky", "title": "Sky", "version": "1", "kind": "images"},
        "label": {"name": "z", "column": ["z"], "range": [0, 2]},
        "id": {"column": "object_id", "scheme": "sky"},
        "image": {"key": "image", "bands": ["g", "r"], "sizes": [8]},
        "files": [{"path": f"{split}.h5", "split": split, "size": 8, "n": N} for split in SPLITS],
        **changes,
    }
    return parse_manifest(table, where="sky.toml", folder=folder)


def wrong(table):
    return {(row.file, row.check) for row in table.itertuples() if not row.ok}


def test_a_survey_that_is_right(tmp_path):
    for i, split in enumerate(SPLITS):
        write(tmp_path, split, first_id=100 * i)
    table = verify_survey(survey(tmp_path))
    assert list(table.columns) == ["file", "check", "ok", "detail"] and table.ok.all()
    assert set(table.check) >= {"present", "size", "hash", "schema", "rows", "label", "image", "ids"}
    assert "ids in common" in set(table.check)


def test_everything_wrong_is_found_at_once(tmp_path):
    pixels = PIXELS.copy()
    pixels[3, 1, 4, 4] = np.nan
    ids = np.array([0, 1, 1, 2, 3, 4]) + 2**60
    write(tmp_path, "train", image=pixels, z=np.linspace(0.1, 2.5, N + 1), object_id=ids)
    write(tmp_path, "test", first_id=2**60)
    files = [{"path": "train.h5", "split": "train", "size": 8, "n": N, "bytes": 1, "md5": 32 * "0"}]
    table = verify_survey(survey(tmp_path, files=[*files, {"path": "test.h5", "split": "test", "size": 8}]))
    train = {check for file, check in wrong(table) if file == "train.h5"}
    assert train == {"size", "hash", "rows", "label", "image", "ids"}
    assert wrong(table) - {("train.h5", check) for check in train} == {("train.h5 / test.h5", "ids in common")}
    details = table.set_index(["file", "check"]).detail
    assert "6 galaxies, 5 expected" in details["train.h5", "rows"]
    assert "1 ids occur more than once: 1152921504606846977" in details["train.h5", "ids"]
    assert "5 ids are both in train.h5 and in test.h5" in details["train.h5 / test.h5", "ids in common"]


def test_files_that_cannot_be_read(tmp_path):
    write(tmp_path, "train", image=np.ones((N, 3, 8, 8), np.float32))
    (tmp_path / "test.h5").write_bytes(b"")
    table = verify_survey(survey(tmp_path))
    assert wrong(table) == {("train.h5", "schema"), ("test.h5", "schema")}
    assert table.query("check == 'schema'").detail.str.contains("empty file").sum() == 1


def test_an_absent_file_and_an_absent_survey(tmp_path):
    with pytest.raises(DataNotFoundError):
        verify_survey(survey(tmp_path))
    write(tmp_path, "train")
    assert wrong(verify_survey(survey(tmp_path))) == {("test.h5", "present")}


def test_every_realisation_of_a_twin(tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROLAB_DATA_DIR", str(tmp_path))
    twin = survey(simulated=True, twin={"of": "galaxiesml", "simulator": "hsc", "n": 2 * N})
    with pytest.raises(DataNotFoundError, match="astrolab data simulate sky"):
        verify_survey(twin)
    for seed in (0, 1):
        for i, split in enumerate(SPLITS):
            write(tmp_path / "sky" / "1" / f"n10-s{seed}-abcd1234", split, first_id=100 * i)
    table = verify_survey(twin)
    assert table.ok.all()
    assert {"n10-s0-abcd1234/train.h5", "n10-s1-abcd1234/test.h5"} <= set(table.file)
    assert len(verify_survey(twin, directory=tmp_path / "sky" / "1" / "n10-s0-abcd1234")) == len(table) / 2


def test_a_recipe_is_its_members():
    with pytest.raises(DataNotFoundError, match="transferz"):
        verify_survey("combo")
