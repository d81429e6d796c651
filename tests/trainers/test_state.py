"""What changes in training: when it stops, how it is written down and comes back, and what it gives."""

import copy
import os
from dataclasses import replace

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
    CONVERGED,
    HISTORY,
    Checkpoint,
    FitResult,
    TrainingState,
    best_epoch,
    differences,
    peak_memory_bytes,
    reset_peak_memory,
    smoothed,
)

IDENTITY = {"config": {"seed": 0, "epochs": 3}, "data": {"objects": {"train": "abc"}}}


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


def test_patience_waits_for_the_least_number_of_steps(case):
    ending = {"patience": 2, "epochs": 9}
    assert len(trained_state(case, [1.0] * 3, **ending)[1].history) == 3
    assert trained_state(case, [1.0] * 3, **ending)[1].stopped.startswith("no better")
    assert trained_state(case, [1.0] * 3, min_steps=4, **ending)[1].stopped is None
    assert trained_state(case, [1.0] * 4, min_steps=4, **ending)[1].stopped.startswith("no better")


@pytest.mark.parametrize(
    ("losses", "changes", "cut_short"),
    [
        (0.9 ** np.arange(20), {}, True),
        (0.9 ** np.arange(20), {"patience": None}, True),
        (0.9 ** np.arange(20), {"schedule": {"name": "cosine"}}, False),
        ([*0.9 ** np.arange(10), *[0.5] * 10], {}, False),
        (1 + 1e-4 * 0.9 ** np.arange(20), {}, False),
    ],
)
def test_a_fit_whose_loss_still_fell_at_its_last_step_was_cut_short(case, losses, changes, cut_short):
    history = pd.DataFrame({"epoch": np.arange(20) + 1, "ema": losses})
    config = TrainConfig(**{"patience": 4} | changes)
    result = FitResult(case.adapted("full"), history, "all steps done", config)
    assert result.cut_short is cut_short
    assert not replace(result, stopped=f"{CONVERGED} for 4 epochs").cut_short


@pytest.fixture
def kept(case, tmp_path):
    checkpoint = Checkpoint(tmp_path / "new" / "run.safetensors", identity=IDENTITY)
    checkpoint.save(trained_state(case, [1.0, 0.5])[1])
    return checkpoint


def test_it_reads_back_to_the_last_bit(case, kept):
    _, state = trained_state(case, [1.0, 0.5])
    _, other = trained_state(case, [])
    kept.restore(other)
    one, two = state.to_tensors(), other.to_tensors()
    assert state.to_header() == other.to_header()
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
    assert [file.name for file in kept.path.parent.iterdir()] == [kept.path.name]


def test_another_run_is_refused_with_what_differs(case, kept):
    other = {"config": {"seed": 1, "epochs": 3}, "data": {"objects": {"train": "xyz"}}}
    with pytest.raises(CheckpointError, match=r"config\.seed was 0, is 1; data\.objects\.train was abc, is xyz"):
        replace(kept, identity=other).restore(trained_state(case, [])[1])
    assert list(differences({"a": 1}, other={"b": "x" * 64})) == ["a was 1, is None", f"b was None, is {'x' * 12}…"]


def test_a_damaged_or_foreign_file_is_refused(case, kept):
    (_, state), whole = trained_state(case, []), kept.path.read_bytes()
    for content in (whole[:-5], whole[:20], b"", b"not a checkpoint"):
        kept.path.write_bytes(content)
        with pytest.raises(CheckpointError, match="damaged"):
            kept.restore(state)
    save_file({"a": torch.zeros(1)}, kept.path)
    with pytest.raises(CheckpointError, match="not written by this version"):
        kept.restore(state)


def test_one_flipped_bit_is_refused(case, kept):
    _, state = trained_state(case, [])
    require_every_flip_refused(kept.path, load=lambda: kept.restore(state), error=CheckpointError)


def test_a_full_disk_keeps_the_previous_checkpoint(case, kept, monkeypatch):
    before = kept.path.read_bytes()
    monkeypatch.setattr(files.shutil, "disk_usage", lambda folder: files.shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(DiskFullError):
        kept.save(trained_state(case, [1.0, 0.4])[1])
    assert kept.path.read_bytes() == before


def all_smoothed(losses, **config):
    found = []
    for loss in losses:
        found.append(smoothed(loss, before=found[-1] if found else None, config=TrainConfig(**config)))
    return np.array(found)


@pytest.mark.parametrize(("ema", "kept"), [("corrected", 9 / 11), ("published", 2 / 11)])
def test_a_step_decays_with_the_weight_of_the_past(ema, kept):
    np.testing.assert_allclose(all_smoothed([1.0] + [0.0] * 12, ema=ema), kept ** np.arange(13), rtol=1e-12)


@pytest.mark.parametrize("span", [3, 10])
def test_the_corrected_average_is_that_of_pandas(span):
    losses = np.random.default_rng(0).uniform(size=40)
    np.testing.assert_allclose(
        all_smoothed(losses, ema_span=span), pd.Series(losses).ewm(span=span, adjust=False).mean()
    )


def test_patience_counts_epochs_since_the_best_smoothed_loss(case):
    changes = {"patience": 3, "ema_span": 3, "epochs": 9}
    losses = [1.0, 0.5, 0.9, 0.9, 0.9]
    assert [trained_state(case, losses[:n], **changes)[1].stopped is None for n in range(6)] == [True] * 5 + [False]


def test_best_raw_and_best_smoothed_are_kept_apart():
    losses = [1.0, 0.1, 0.4, 0.4]
    history = [{"validation_loss": loss, "ema": ema} for loss, ema in zip(losses, all_smoothed(losses), strict=True)]
    assert [best_epoch(history, select=select) for select in ("best_ema", "best_raw", "last")] == [4, 2, 4]


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
