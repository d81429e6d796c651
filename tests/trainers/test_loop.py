import json
import os
import re
import signal
import socket
import sys
import time
from dataclasses import replace
from multiprocessing import get_context

import numpy as np
import pandas as pd
import pytest
import torch
from astrolab.models.digests import digest
from safetensors import safe_open

from astrolab.errors import (
    AstrolabWarning,
    CheckpointError,
    ConfigError,
    PixelError,
    PlanError,
    SchemaError,
    TrainingError,
)
from astrolab.models.adapt import adapt
from astrolab.trainers.loop import fit, fit_digest

TIMELESS = ["epoch", "train_loss", "validation_loss", "ema", "learning_rate"]


def same_history(one, two):
    pd.testing.assert_frame_equal(one.history[TIMELESS], two.history[TIMELESS], check_exact=True)
    return digest(one.adapted.network) == digest(two.adapted.network)


def test_it_learns_and_counts_what_it_cost(case):
    config = case.config.with_changes(epochs=25, batch_size=8, learning_rate=0.02)
    result = fit(case.mlp, **case.arguments(case.mlp, config=config))
    assert result.history["validation_loss"].iloc[-1] < 0.5 * result.history["validation_loss"].iloc[0]
    assert (result.n_epochs, result.n_seen, result.stopped) == (25, 25 * 45, "all epochs done")
    assert result.n_trainable == sum(p.numel() for p in case.mlp.parameters())
    assert result.time_s > 0 and result.peak_memory_bytes > 0 and not result.adapted.network.training


@pytest.mark.parametrize("strategy", ["scratch", "head", "layers", "lora", "residual", "full"])
def test_every_strategy_trains_what_its_plan_says_and_nothing_else(case, strategy):
    start = case.adapted(strategy)
    before = digest(start.network)
    result = fit(start, **case.arguments(case.cnn, config=case.config.with_changes(epochs=1)))
    assert digest(start.network) == before
    start_weights = dict(start.network.named_parameters())
    moved = {name for name, p in result.adapted.network.named_parameters() if not torch.equal(p, start_weights[name])}
    assert moved <= start.plan.trainable and moved
    if strategy != "residual":
        assert moved == start.plan.trainable
    assert result.n_trainable == start.plan.n_trainable


def test_zero_shot_returns_at_once(case):
    start = case.adapted("zero_shot")
    result = fit(start, **case.arguments(case.cnn))
    assert result.adapted is start and result.stopped == "nothing to train"


@pytest.mark.parametrize("augment", ["none", "dihedral"])
def test_streamed_and_held_runs_are_the_same_to_the_last_bit(case, augment):
    results = [
        fit(case.adapted("lora"), **case.arguments(case.cnn, config=case.config.with_changes(**changes)))
        for changes in (
            {"storage": "stream", "augment": augment, "epochs": 2},
            {"storage": "device", "augment": augment, "epochs": 2},
        )
    ]
    assert same_history(*results)


def test_the_seed_alone_decides_and_other_randomness_is_left_alone(case):
    arguments = case.arguments(case.cnn, config=case.config.with_changes(epochs=1))
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one = fit(case.cnn, **arguments)
    assert torch.equal(torch.rand(3), expected)
    assert same_history(one, fit(case.cnn, **arguments))
    other = fit(case.cnn, **arguments | {"config": case.config.with_changes(epochs=1, seed=1)})
    assert not np.array_equal(one.history["train_loss"], other.history["train_loss"])


class StallingRows:
    """Rows that never come, once read often enough for three epochs and a bit."""

    def __init__(self, rows):
        self.rows, self.shape, self.dtype, self.n_reads = rows, rows.shape, rows.dtype, 0

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        self.n_reads += 1
        if self.n_reads > 1 + 3 * 3 + 1:
            time.sleep(600)
        return self.rows[index]


@pytest.fixture(scope="module")
def server():
    """Forks processes that have imported everything and used no thread yet."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["astrolab.trainers.loop"])
    return context


def train_until_killed(case, checkpoint):
    stalling = replace(case.train, inputs={"image": StallingRows(case.train.inputs["image"])})
    config = case.config.with_changes(storage="stream")
    fit(case.adapted("layers"), **case.arguments(case.cnn, train=stalling, config=config, checkpoint=checkpoint))


def epoch_of(checkpoint):
    if not checkpoint.is_file():
        return 0
    with safe_open(checkpoint, framework="pt") as file:
        return json.loads(file.metadata()["astrolab_training"])["epoch"]


def test_a_killed_run_goes_on_to_the_same_history(case, tmp_path, server):
    checkpoint = tmp_path / "run.safetensors"
    child = server.Process(target=train_until_killed, args=(case, checkpoint))
    child.start()
    while epoch_of(checkpoint) < 3 and child.is_alive():
        time.sleep(0.05)
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert (child.exitcode, epoch_of(checkpoint)) == (-signal.SIGKILL, 3)
    resumed = fit(case.adapted("layers"), **case.arguments(case.cnn, checkpoint=checkpoint))
    assert same_history(resumed, fit(case.adapted("layers"), **case.arguments(case.cnn)))
    assert resumed.n_seen == 4 * 45


def train_together(case, rank, port, folder, model):
    """Set what `accelerate launch` or `torchrun` sets in each of its processes, and train."""
    of_all = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "ACCELERATE_USE_CPU": "true"}
    os.environ.update(of_all | {"RANK": str(rank), "LOCAL_RANK": str(rank)})
    result = fit(model, **case.arguments(case.mlp, checkpoint=folder / "run.safetensors"))
    assert result.circumstances["n_processes"] == 2
    result.history.to_json(folder / f"history-{rank}.json", double_precision=15)


@pytest.mark.parametrize("adapter", [None, "loha"])
def test_two_processes_take_the_steps_of_one(case, tmp_path, server, adapter):
    model = adapt(case.mlp, strategy="lora", adapter=adapter) if adapter else case.mlp
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = [server.Process(target=train_together, args=(case, rank, port, tmp_path, model)) for rank in (0, 1)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    alone = fit(model, **case.arguments(case.mlp)).history
    for rank in (0, 1):
        together = pd.read_json(tmp_path / f"history-{rank}.json")
        pd.testing.assert_frame_equal(together[TIMELESS], alone[TIMELESS], rtol=1e-6, check_dtype=False)
    with pytest.warns(AstrolabWarning, match="n_processes 2 → 1"):
        reused = fit(model, **case.arguments(case.mlp, checkpoint=tmp_path / "run.safetensors"))
    assert reused.circumstances["n_processes"] == 2


@pytest.mark.parametrize("adapter", ["lora", "loha", "lokr"])
def test_one_adapter_alone_gets_a_gradient_in_every_step(case, adapter):
    adapted = adapt(case.mlp, strategy="lora", adapter=adapter, targets=("input",), dropout=0.9)
    assert fit(adapted, **case.arguments(case.mlp)).n_epochs == case.config.epochs


def test_a_finished_run_is_returned_without_training(case, tmp_path, monkeypatch):
    arguments = case.arguments(case.mlp, checkpoint=tmp_path / "run.safetensors")
    first = fit(case.mlp, **arguments)
    monkeypatch.setattr("astrolab.trainers.loop._train", None)
    assert same_history(first, fit(case.mlp, **arguments))


def test_a_run_goes_on_on_another_device_of_the_same_kind(case, tmp_path):
    arguments = case.arguments(case.mlp, checkpoint=tmp_path / "run.safetensors")
    first = fit(case.mlp, **arguments)
    moved = fit(case.mlp, **arguments | {"config": case.config.with_changes(device="cpu:0")})
    assert same_history(first, moved) and first.peak_memory_bytes == moved.peak_memory_bytes


def test_checkpoints_may_be_rarer_and_the_last_is_always_written(case, tmp_path):
    config = case.config.with_changes(epochs=3)
    path = tmp_path / "run.safetensors"
    fit(case.mlp, **case.arguments(case.mlp, config=config, checkpoint=path, checkpoint_every=2))
    with safe_open(path, framework="pt") as file:
        assert json.loads(file.metadata()["astrolab_training"])["epoch"] == 3


def test_a_checkpoint_of_another_run_is_refused(case, tmp_path):
    path = tmp_path / "run.safetensors"
    fit(case.mlp, **case.arguments(case.mlp, checkpoint=path))
    others = {
        "config.learning_rate": (case.mlp, {"config": case.config.with_changes(learning_rate=0.5)}),
        "data.galaxies.train": (case.mlp, {"train": case.train.take(slice(40))}),
        "network.strategy.name": (adapt(case.mlp, strategy="head"), {}),
    }
    for what, (network, changes) in others.items():
        arguments = case.arguments(case.mlp, checkpoint=path, **changes)
        with pytest.raises(CheckpointError, match=what):
            fit(network, **arguments)
    held_elsewhere = case.arguments(case.mlp, checkpoint=path, config=case.config.with_changes(storage="stream"))
    assert fit(case.mlp, **held_elsewhere).n_epochs == 4


def test_a_plan_that_does_not_hold_stops_before_the_first_step(case):
    start = case.adapted("layers")
    next(p for p in start.network.parameters() if not p.requires_grad).requires_grad_(True)
    with pytest.raises(PlanError):
        fit(start, **case.arguments(case.cnn))


def test_bad_values_stop_before_the_first_step(case):
    pixels = case.train.inputs["image"].copy()
    pixels[0, 0, 0, 0] = np.inf
    with pytest.raises(PixelError):
        fit(case.cnn, **case.arguments(case.cnn, train=replace(case.train, inputs={"image": pixels})))
    unlabelled = replace(case.validation, labels=case.validation.labels * np.nan)
    with pytest.raises(SchemaError):
        fit(case.cnn, **case.arguments(case.cnn, validation=unlabelled))


def test_divergence_names_epoch_and_rate_and_keeps_the_last_good_checkpoint(case, tmp_path, monkeypatch):
    path = tmp_path / "run.safetensors"
    losses = iter([0.9, 0.8, float("nan")])
    monkeypatch.setattr("astrolab.trainers.loop.validate", lambda *args, **kwargs: next(losses))
    with pytest.raises(TrainingError, match=r"Epoch 3(?s:.*)rate of 0\.01(?s:.*)up to 2 are kept"):
        fit(case.mlp, **case.arguments(case.mlp, checkpoint=path))
    with safe_open(path, framework="pt") as file:
        assert json.loads(file.metadata()["astrolab_training"])["epoch"] == 2


@pytest.mark.parametrize("select", ["best_ema", "best_raw", "last"])
def test_the_history_marks_the_epoch_whose_weights_were_kept(case, select):
    config = case.config.with_changes(select=select, learning_rate=0.1)
    result = fit(case.mlp, **case.arguments(case.mlp, config=config))
    assert result.history.loc[result.history["is_kept"], "epoch"].tolist() == [result.best_epoch]
    if select == "best_raw":
        assert result.best_epoch == result.history["epoch"][result.history["validation_loss"].idxmin()]


def test_training_labels_are_clamped_and_validation_labels_are_not(case):
    def loss_of(**labels):
        surveys = {}
        for name, z in labels.items():
            survey = getattr(case, name)
            one_high = np.where(np.arange(len(survey)) == 0, z, 1.0)
            surveys[name] = replace(survey, labels=pd.DataFrame({"z": one_high}))
        config = case.config.with_changes(epochs=1, learning_rate=1e-12)
        return fit(case.mlp, **case.arguments(case.mlp, config=config, **surveys)).history.iloc[0]

    at = loss_of(train=4.0, validation=4.0)
    with pytest.warns(AstrolabWarning) as caught:
        beyond = loss_of(train=9.0, validation=9.0)
    (train, validation) = (str(warning.message) for warning in caught)
    assert "1 of 45 outside, from 1 to 9 the label_clamp 0 … 4. Training clamps" in train
    assert "1 of 20 outside" in validation and "as they are" in validation
    assert at["train_loss"] == pytest.approx(beyond["train_loss"], abs=1e-6)
    assert at["validation_loss"] != pytest.approx(beyond["validation_loss"], abs=1e-4)


def test_channels_last_changes_the_rounding_only(case):
    config = case.config.with_changes(epochs=1)
    one = fit(case.cnn, **case.arguments(case.cnn, config=config))
    other = fit(case.cnn, **case.arguments(case.cnn, config=config.with_changes(channels_last=True)))
    np.testing.assert_allclose(other.history["train_loss"], one.history["train_loss"], rtol=1e-3)
    assert all(p.is_contiguous() for p in other.adapted.network.parameters())


def test_a_compiled_network_trains_to_the_same_numbers_but_for_rounding(case, monkeypatch):
    compiled, compile_network = [], torch.compile

    def without_a_compiler(network, *, dynamic, mode):  # the same graphs, run operation by operation
        compiled.append((network, mode))
        return compile_network(network, backend="aot_eager", dynamic=dynamic)

    monkeypatch.setattr(torch, "compile", without_a_compiler)
    config = case.config.with_changes(epochs=2)
    plain = fit(case.mlp, **case.arguments(case.mlp, config=config))
    assert not compiled
    result = fit(case.mlp, **case.arguments(case.mlp, config=config.with_changes(compile=True)))
    assert [mode for _, mode in compiled] == [None] and result.adapted.network is compiled[0][0]
    pd.testing.assert_frame_equal(result.history[TIMELESS], plain.history[TIMELESS], rtol=1e-4)
    weights = dict(plain.adapted.network.state_dict())
    for name, tensor in result.adapted.network.state_dict().items():
        torch.testing.assert_close(tensor, weights[name], rtol=1e-3, atol=1e-4)


def test_anywhere_but_at_a_terminal_a_fit_says_one_line(case, capsys, monkeypatch):
    arguments = case.arguments(case.mlp, progress=True, description="lora (seed 3)")
    fit(case.mlp, **arguments)
    shown = capsys.readouterr()
    assert shown.out == "" and re.fullmatch(r"lora \(seed 3\): epoch 4 of 4, .*lr 1e-02, \S+ s/epoch\n", shown.err)
    monkeypatch.setattr("astrolab.trainers.progress.LINE_EVERY_S", 0.0)
    fit(case.mlp, **arguments)
    assert capsys.readouterr().err.count("\n") == 4


def test_at_a_terminal_a_bar_goes_to_stderr_under_its_own_name(case, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    fit(case.mlp, **case.arguments(case.mlp, progress=True, description="lora (seed 3)"))
    shown = capsys.readouterr()
    assert shown.out == "" and "lora (seed 3)" in shown.err and "4/4" in shown.err and "lr=1e-02" in shown.err


@pytest.mark.parametrize("strategy", ["full", "lora"])
def test_a_batch_of_one_is_refused_where_batchnorm_needs_a_spread(case, strategy):
    config = case.config.with_changes(batch_size=1, epochs=1)
    with pytest.raises(ConfigError, match=r"batch_size=1(?s:.*)BatchNorm(?s:.*)batchnorm='freeze'"):
        fit(case.adapted(strategy), **case.arguments(case.cnn, config=config))
    few = {"train": case.train.take(slice(3)), "config": config}
    for start, network in ((case.adapted(strategy, batchnorm="freeze"), case.cnn), (case.mlp, case.mlp)):
        assert fit(start, **case.arguments(network, **few)).n_seen == 3


def test_a_run_is_found_again_under_other_circumstances(case, tmp_path):
    """What was asked for names a run; where it was computed is reported as it was, and said."""
    path = tmp_path / "run.safetensors"
    arguments = case.arguments(case.cnn, checkpoint=path, config=case.config.with_changes(epochs=1))
    surveys = {name: arguments[name] for name in ("train", "validation", "scaling")}
    first = fit(case.cnn, **arguments)
    elsewhere = case.config.with_changes(epochs=1, channels_last=True, storage="stream", device="cpu:0")
    with pytest.warns(AstrolabWarning, match=r"was trained under other circumstances: channels_last False → True\."):
        reused = fit(case.cnn, **arguments | {"config": elsewhere})
    assert reused.circumstances == first.circumstances and not first.circumstances["channels_last"]
    start = case.adapted()
    digests = {fit_digest(start, **surveys, config=one) for one in (arguments["config"], elsewhere)}
    assert len(digests) == 1
    asked = {fit_digest(start, **surveys, config=elsewhere.with_changes(precision=p)) for p in ("auto", "bfloat16")}
    assert len(asked | digests) == 3


def test_a_run_that_goes_on_elsewhere_keeps_both_circumstances(case, tmp_path, monkeypatch):
    path = tmp_path / "run.safetensors"
    arguments = case.arguments(case.mlp, checkpoint=path)
    losses = iter([0.9, 0.8, float("nan")])
    with monkeypatch.context() as patched, pytest.raises(TrainingError):
        patched.setattr("astrolab.trainers.loop.validate", lambda *args, **kwargs: next(losses))
        fit(case.mlp, **arguments)
    n_threads = torch.get_num_threads()
    monkeypatch.setattr(torch, "get_num_threads", lambda: n_threads + 1)
    with pytest.warns(
        AstrolabWarning, match=f"goes on under other circumstances: n_threads {n_threads} → {n_threads + 1}"
    ):
        resumed = fit(case.mlp, **arguments)
    assert resumed.circumstances["n_threads"] == n_threads + 1
    assert resumed.circumstances["resumed_from"]["n_threads"] == n_threads
    assert fit(case.mlp, **arguments).circumstances == resumed.circumstances
