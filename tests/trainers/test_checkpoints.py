import pytest
import torch
from bit_flips import require_every_flip_refused
from safetensors.torch import save_file

from astrolab import files
from astrolab.errors import CheckpointError, DiskFullError
from astrolab.trainers.checkpoints import differences, read_checkpoint, write_checkpoint

IDENTITY = {"config": {"seed": 0, "epochs": 3}, "data": {"galaxies": {"train": "abc"}}}
HEADER = {"identity": IDENTITY, "history": [{"train_loss": 0.1 + 0.2}], "best": float("inf")}
TENSORS = {"a": torch.arange(6.0).reshape(2, 3).T, "n": torch.tensor(3)}


@pytest.fixture
def path(tmp_path):
    write_checkpoint(tmp_path / "new" / "run.safetensors", header=HEADER, tensors=TENSORS)
    return tmp_path / "new" / "run.safetensors"


def test_it_reads_back_to_the_last_bit(path):
    header, tensors = read_checkpoint(path, identity=IDENTITY)
    assert HEADER.items() <= header.items()
    assert tensors.keys() == TENSORS.keys() and all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_another_run_is_refused_with_what_differs(path):
    other = {"config": {"seed": 1, "epochs": 3}, "data": {"galaxies": {"train": "xyz"}}}
    with pytest.raises(CheckpointError, match=r"config\.seed was 0, is 1; data\.galaxies\.train was abc, is xyz"):
        read_checkpoint(path, identity=other)
    assert list(differences({"a": 1}, other={"b": "x" * 64})) == ["a was 1, is None", f"b was None, is {'x' * 12}…"]


def test_a_damaged_or_foreign_file_is_refused(path):
    whole = path.read_bytes()
    for content in (whole[:-5], whole[:20], b"", b"not a checkpoint"):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match="damaged"):
            read_checkpoint(path, identity=IDENTITY)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="not written by this version"):
        read_checkpoint(path, identity=IDENTITY)


def test_one_flipped_bit_is_refused(path):
    require_every_flip_refused(path, load=lambda: read_checkpoint(path, identity=IDENTITY), error=CheckpointError)


def test_a_full_disk_keeps_the_previous_checkpoint(path, monkeypatch):
    before = path.read_bytes()
    monkeypatch.setattr(files.shutil, "disk_usage", lambda folder: files.shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(DiskFullError):
        write_checkpoint(path, header=HEADER, tensors=TENSORS)
    assert path.read_bytes() == before
