"""What changes in training: when it stops, how it is written down and comes back, and what it gives."""

import copy
import os
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
import torch
from bit_flips import require_every_flip_refused
from safetensors.torch import save_file

from astrolab import files
from astrolab.errors import CheckpointError, DiskFullError
from astrolab.trainers.config import TrainConfig
from astrolab.trainers.loop import fit
from astrolab.trainers.state import (
    HISTORY,
    Stopping,
    TrainingState,
    differences,
    peak_memory_bytes,
    read_checkpoint,
    reset_peak_memory,
    write_checkpoint,
)

IDENTITY = {"config": {"seed": 0, "epochs": 3}, "data": {"objects": {"train": "abc"}}}
HEADER = {"identity": IDENTITY, "history": [{"train_loss": 0.1 + 0.2}], "best": float("inf")}
TENSORS = {"a": torch.arange(6.0).reshape(2, 3).T, "n": torch.tensor(3)}


def trained_state(case, losses, select="best_ema", **changes):
    """A state after steps with the gradient 1 everywhere, one an epoch."""
    start = case.adapted("layers")
    adapted = replace(start, network=copy.deepcopy(start.network))
    state = TrainingState(adapted, config=case.config.with_changes(select=select, **changes), n_steps=8)
    for loss in losses:
        for parameter in state.trained.values():
            parameter.grad = torch.ones_like(parameter)
        state.rates.before_step(state.n_steps)
        state.optimiser.step()
        state.n_steps += 1
        state.end_epoch(train_loss=0.0, validation_loss=loss, time_s=0.0)
    return adapted, state


def test_only_what_trains_or_is_a_buffer_is_written_down(case):
    adapted, state = trained_state(case, [1.0])
    names = {name.removeprefix("weights.") for name in state.to_tensors() if name.startswith("weights.")}
    assert names == adapted.plan.trainable | {name for name, _ in adapted.network.named_buffers()}


@pytest.mark.parametrize("optimiser", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("schedule", ["plateau", "cosine", "cyclic", "constant"])
def test_it_comes_back_as_it_was_and_goes_on_alike(case, optimiser, schedule):
    changes = {"optimiser": optimiser, "schedule": {"name": schedule}, "stage_rates": {"head": 0.1}}
    _, state = trained_state(case, [1.0, 0.5], **changes)
    _, other = trained_state(case, [], **changes)
    other.restore(state.to_header(), tensors={name: tensor.clone() for name, tensor in state.to_tensors().items()})
    for each in (state, other):
        for parameter in each.trained.values():
            parameter.grad = torch.full_like(parameter, 0.3)
        each.rates.before_step(each.n_steps)
        each.optimiser.step()
        each.end_epoch(train_loss=0.0, validation_loss=0.7, time_s=0.0)
    one, two = state.to_tensors(), other.to_tensors()
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
    assert state.to_header() == other.to_header()


@pytest.mark.parametrize(("select", "epoch"), [("best_ema", 3), ("best_raw", 2), ("last", 3)])
def test_the_selected_weights_come_back(case, select, epoch):
    _, state = trained_state(case, [1.0, 0.1, 0.4], select=select)
    _, as_then = trained_state(case, [1.0, 0.1, 0.4][:epoch])
    assert state.load_best() == epoch
    assert all(torch.equal(tensor, as_then.weights[name]) for name, tensor in state.weights.items())


def test_it_says_why_it_stopped(case):
    assert trained_state(case, [1.0])[1].stopped is None
    assert trained_state(case, [1.0] * 4)[1].stopped == "all epochs done"
    assert trained_state(case, [1.0] * 3, n_steps=3)[1].stopped == "all steps done"


def test_a_tensor_too_few_is_refused(case):
    _, state = trained_state(case, [1.0])
    tensors = state.to_tensors()
    tensors.pop("weights.classifier.0.weight")
    with pytest.raises(CheckpointError, match=r"classifier\.0\.weight"):
        state.restore(state.to_header(), tensors=tensors)


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
    other = {"config": {"seed": 1, "epochs": 3}, "data": {"objects": {"train": "xyz"}}}
    with pytest.raises(CheckpointError, match=r"config\.seed was 0, is 1; data\.objects\.train was abc, is xyz"):
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


def smoothed(losses, ema):
    stopping, found = Stopping.from_config(TrainConfig(ema=ema)), []
    for loss in losses:
        stopping = stopping.after(loss)
        found.append(stopping.ema)
    return np.array(found)


@pytest.mark.parametrize(("ema", "kept"), [("corrected", 9 / 11), ("published", 2 / 11)])
def test_a_step_decays_with_the_weight_of_the_past(ema, kept):
    np.testing.assert_allclose(smoothed([1.0] + [0.0] * 12, ema), kept ** np.arange(13), rtol=1e-12)


def test_the_corrected_average_is_that_of_pandas():
    losses = np.random.default_rng(0).uniform(size=40)
    np.testing.assert_allclose(smoothed(losses, "corrected"), pd.Series(losses).ewm(span=10, adjust=False).mean())


def test_the_span_is_that_of_pandas_too():
    losses, stopping = [1.0, 0.2, 0.6], Stopping.from_config(TrainConfig(ema_span=3))
    for loss in losses:
        stopping = stopping.after(loss)
    assert stopping.ema == pytest.approx(pd.Series(losses).ewm(span=3, adjust=False).mean().iloc[-1])


def test_patience_counts_epochs_since_the_best_smoothed_loss():
    stopping = Stopping(newest_weight=0.5, patience=3)
    over = []
    for loss in [1.0, 0.5, 0.9, 0.9, 0.9]:
        stopping = stopping.after(loss)
        over.append(stopping.is_over)
    assert over == [False, False, False, False, True]
    assert (stopping.best_ema_epoch, stopping.best_raw_epoch, stopping.epoch) == (2, 2, 5)


def test_best_raw_and_best_smoothed_are_kept_apart():
    stopping = Stopping(newest_weight=2 / 11, patience=None)
    for loss in [1.0, 0.1, 0.4, 0.4]:
        stopping = stopping.after(loss)
    assert [stopping.best_epoch(select) for select in ("best_ema", "best_raw", "last")] == [4, 2, 4]
    assert not stopping.is_over
    assert Stopping(**asdict(stopping)) == stopping


def test_nothing_trained_has_an_empty_history(case):
    result = fit(case.adapted("zero_shot"), **case.arguments())
    assert tuple(result.history.columns) == HISTORY and result.history.empty
    assert (result.n_epochs, result.n_seen, result.n_trainable, result.time_s) == (0, 0, 0, 0.0)
    assert "nothing to train" in repr(result)


def test_peak_memory_grows_with_what_is_held():
    before = peak_memory_bytes(torch.device("cpu"))
    held = torch.ones(100_000_000)
    assert 2e7 < before <= peak_memory_bytes(torch.device("cpu"))
    assert peak_memory_bytes(torch.device("cpu")) >= held.nbytes


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="the system keeps no peak to reset")
def test_peak_memory_is_that_since_the_last_reset():
    held = torch.ones(100_000_000)
    with_it = peak_memory_bytes(torch.device("cpu"))
    n_bytes = held.nbytes
    del held
    reset_peak_memory(torch.device("cpu"))
    assert peak_memory_bytes(torch.device("cpu")) < with_it - 0.9 * n_bytes
