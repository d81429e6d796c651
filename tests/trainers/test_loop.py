"""From an adapted network and surveys to a result: the published steps, the same to the bit however interrupted."""

import copy
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
from astrolab.models.network import TrainingRecord, digest
from astrolab.models.networks.spectra import SpectrumTransformer
from astrolab.models.registry import make_model
from astrolab.trainers.loop import fit, fit_digest, validate

TIMELESS = ["epoch", "train_loss", "validation_loss", "ema", "learning_rate"]


def same_history(one, two):
    pd.testing.assert_frame_equal(one.history[TIMELESS], two.history[TIMELESS], check_exact=True)
    return digest(one.adapted.network) == digest(two.adapted.network)


def plain_steps(network, case, *, config):
    """The published steps in their plainest form: L2 in the gradient, clip, Adam by its formulas."""
    inputs = case.scaling.inputs["magnitudes"].apply(torch.from_numpy(case.train.inputs["magnitudes"].copy()))
    truth = torch.tensor(case.train.labels["z"].to_numpy(np.float32))
    moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in network.parameters()]
    losses = []
    order = np.random.default_rng((config.seed, 1)).permutation(len(truth))
    for step, batch in enumerate(np.split(order, [16, 32]), start=1):
        pred = network({"magnitudes": inputs[batch]})[:, 0]
        loss = (1 - 1 / (1 + ((pred - truth[batch]) / (1 + truth[batch]) / 0.15) ** 2)).mean()
        gradients = torch.autograd.grad(loss, list(network.parameters()))
        norm = torch.sqrt(sum(g.square().sum() for g in gradients))
        losses.append(loss.item())
        with torch.no_grad():
            for p, g, (m, v) in zip(network.parameters(), gradients, moments, strict=True):
                g = g * min(1.0, config.clip_norm / (norm + 1e-6)) + config.weight_decay * p
                m.mul_(0.9).add_(0.1 * g)
                v.mul_(0.999).add_(0.001 * g.square())
                p -= config.learning_rate * (m / (1 - 0.9**step)) / ((v / (1 - 0.999**step)).sqrt() + 1e-8)
    return np.mean(losses)


@pytest.mark.parametrize("clip_norm", [1.0, 0.01])
def test_an_epoch_takes_the_published_steps(case, clip_norm):
    config = case.config.with_changes(clip_norm=clip_norm, weight_decay=0.1, epochs=1)
    result, expected = fit(case.mlp, **case.arguments(config=config)), copy.deepcopy(case.mlp)
    loss = plain_steps(expected, case, config=config)
    assert result.history["train_loss"].tolist() == pytest.approx([loss], rel=1e-5)
    for mine, theirs in zip(result.adapted.network.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)
    assert result.n_seen == 45


def test_the_validation_loss_is_the_mean_of_the_batch_means(case):
    result = fit(case.mlp, **case.arguments(config=case.config.with_changes(epochs=1)))
    magnitudes = torch.tensor(case.validation.inputs["magnitudes"])
    pred = result.adapted.network(case.scaling.apply({"magnitudes": magnitudes})).detach()[:, 0].numpy()
    truth = case.validation.labels["z"].to_numpy(np.float32)
    losses = 1 - 1 / (1 + ((pred - truth) / (1 + truth) / 0.15) ** 2)
    expected = (losses[:16].mean() + losses[16:].mean()) / 2
    assert result.history["validation_loss"].tolist() == pytest.approx([expected], rel=1e-5)


def three_labels(case, *, fill=np.nan, unknown_frac=0.5):
    """Three labels, two known for a part, one weighted; with a network that predicts them."""
    surveys = {}
    for name in ("train", "validation"):
        survey = getattr(case, name)
        z, rng = survey.labels["z"].to_numpy(), np.random.default_rng(len(survey))
        labels = {"a": z, "b": np.where(rng.uniform(size=len(z)) < unknown_frac, fill, 2 * z), "c": 1 - z}
        weights = pd.DataFrame({"b": rng.integers(0, 40, len(z)).astype(float)})
        surveys[name] = case.with_labels(survey, weights=weights, **labels)
    options = {"inputs": ["magnitudes"], "hidden": (8, 8), "batchnorm": False}
    return surveys, make_model("mlp", survey=surveys["train"], seed=0, **options)


def test_a_step_weighs_each_label_and_leaves_the_unknown_out(case):
    surveys, network = three_labels(case)
    config = case.config.with_changes(epochs=1, learning_rate=1e-12, batch_size=45)
    result = fit(network, **case.arguments(**surveys, config=config))
    for name, survey in surveys.items():
        pred = network(case.scaling.apply({"magnitudes": torch.tensor(survey.inputs["magnitudes"])})).detach().numpy()
        truth, weight = survey.labels.to_numpy(), np.ones((len(survey), 3))
        weight[:, 1] = survey.weights["b"]
        weight[np.isnan(truth)] = 0
        expected = np.nansum(weight * (pred - truth) ** 2) / weight.sum()
        column = "train_loss" if name == "train" else "validation_loss"
        assert result.history[column].tolist() == pytest.approx([expected], rel=1e-5)


def test_the_value_of_what_is_unknown_has_no_effect_and_that_of_the_known_has(case):
    (surveys, network), (known, _) = three_labels(case), three_labels(case, fill=7.0)
    weightless = {}
    for name, survey in known.items():
        is_known = surveys[name].labels[["b"]].notna()
        weightless[name] = replace(survey, weights=survey.weights.where(is_known, 0.0))
    one, two, three = (fit(network, **case.arguments(**each)) for each in (surveys, weightless, known))
    assert same_history(one, two)
    assert not np.array_equal(one.history["train_loss"], three.history["train_loss"])


def test_a_batch_in_which_nothing_is_known_takes_no_step(case):
    (surveys, network), config = three_labels(case), case.config.with_changes(batch_size=2, epochs=1)
    only = {name: replace(s, labels=s.labels.assign(a=np.nan, c=np.nan)) for name, s in surveys.items()}
    for survey in only.values():
        survey.labels.loc[0, ["a", "c"]] = 1.0
    history = fit(network, **case.arguments(**only, config=config)).history
    assert np.isfinite(history[["train_loss", "validation_loss"]].to_numpy()).all()


def test_it_learns_and_counts_what_it_cost(case):
    config = case.config.with_changes(epochs=25, batch_size=8, learning_rate=0.02)
    result = fit(case.mlp, **case.arguments(config=config))
    assert result.history["validation_loss"].iloc[-1] < 0.5 * result.history["validation_loss"].iloc[0]
    assert (result.n_epochs, result.n_seen, result.stopped) == (25, 25 * 45, "all epochs done")
    assert result.n_trainable == sum(p.numel() for p in case.mlp.parameters())
    assert result.time_s > 0 and result.peak_memory_bytes > 0 and not result.adapted.network.training
    assert result.adapted.network.trained_on == TrainingRecord.of(case.train, inputs=["magnitudes"])


@pytest.mark.parametrize("strategy", ["scratch", "head", "layers", "lora", "residual", "full"])
def test_every_strategy_trains_what_its_plan_says_and_nothing_else(case, strategy):
    start = case.adapted(strategy)
    before = digest(start.network)
    result = fit(start, **case.arguments(config=case.config.with_changes(epochs=1)))
    assert digest(start.network) == before
    start_weights = dict(start.network.named_parameters())
    moved = {name for name, p in result.adapted.network.named_parameters() if not torch.equal(p, start_weights[name])}
    assert moved <= start.plan.trainable and moved
    if strategy != "residual":
        assert moved == start.plan.trainable
    assert result.n_trainable == start.plan.n_trainable


def test_zero_shot_returns_at_once(case):
    start = case.adapted("zero_shot")
    result = fit(start, **case.arguments())
    assert result.adapted is start and result.stopped == "nothing to train"


KINDS = {
    "lora": lambda case: (case.adapted("lora"), case.config),
    "two inputs, turned": lambda case: (case.two, case.config.with_changes(augment="dihedral")),
    "cosine": lambda case: (case.mlp, case.config.with_changes(schedule={"name": "cosine", "warmup_frac": 0.2})),
    "staged, by stage": lambda case: (
        adapt(case.mlp, strategy="full"),
        case.config.with_changes(
            sampler={"name": "staged", "column": "confidence", "epochs": [1, 1, 2]},
            schedule={"name": "cyclic", "cycles": 3},
            stage_rates={"head": 1e-3},
            optimiser="sgd",
        ),
    ),
    "balanced, by steps": lambda case: (
        case.mlp,
        case.config.with_changes(sampler={"name": "balanced", "column": "member"}, epochs=None, n_steps=11),
    ),
    "epochs of more than a pass": lambda case: (
        case.mlp,
        case.config.with_changes(epoch_steps=5, epochs=None, n_steps=18),
    ),
    "masked": lambda case: (case.autoencoder, case.masked.with_changes(optimiser="adamw")),
}


@pytest.mark.parametrize("kind", KINDS)
def test_streamed_held_and_resumed_runs_are_the_same_to_the_last_bit(case, kind, tmp_path, monkeypatch):
    network, config = KINDS[kind](case)
    held = fit(network, **case.arguments(config=config))
    assert held.n_epochs == 4 and held.history["train_loss"].nunique() == 4
    assert same_history(held, fit(network, **case.arguments(config=config.with_changes(storage="stream"))))
    arguments = case.arguments(config=config, checkpoint=tmp_path / "run.safetensors")
    validations = iter(range(2))

    def killed_in_the_third(*given, **options):
        next(validations)
        return validate(*given, **options)

    with monkeypatch.context() as patched, pytest.raises(StopIteration):
        patched.setattr("astrolab.trainers.loop.validate", killed_in_the_third)
        fit(network, **arguments)
    assert epoch_of(arguments["checkpoint"]) == 2
    resumed = fit(network, **arguments)
    assert same_history(held, resumed) and resumed.n_seen == held.n_seen and resumed.stopped == held.stopped


def test_training_ends_with_the_last_step_asked_for(case):
    config = case.config.with_changes(n_steps=5, schedule={"name": "cosine"})
    result = fit(case.mlp, **case.arguments(config=config))
    assert (result.n_epochs, result.n_seen, result.stopped) == (2, 45 + 32, "all steps done")
    expected = 0.01 * (1 + np.cos(np.pi * np.array([2, 4]) / 5)) / 2
    np.testing.assert_allclose(result.history["learning_rate"], expected)


def test_epochs_of_a_number_of_steps_pass_through_a_small_survey_again_and_a_large_one_in_parts(case):
    """45 objects in batches of 16 are three steps a pass: the steps of epochs of one pass, looked at elsewhere."""
    by_pass = fit(case.mlp, **case.arguments(config=case.config.with_changes(epochs=4, select="last")))
    for epoch_steps, ends in ((5, [5, 10, 12]), (1, list(range(1, 13))), (12, [12])):
        config = case.config.with_changes(epochs=None, n_steps=12, epoch_steps=epoch_steps, select="last")
        result = fit(case.mlp, **case.arguments(config=config))
        assert result.history["step"].tolist() == ends and result.n_seen == by_pass.n_seen == 4 * 45
        assert digest(result.adapted.network) == digest(by_pass.adapted.network)


def test_augmentation_auto_turns_images_and_leaves_numbers_alone(case):
    config = case.config.with_changes(epochs=1)
    for network, same_as in ((case.cnn, "dihedral"), (case.mlp, "none")):
        one, other = (
            fit(network, **case.arguments(config=config.with_changes(augment=how))) for how in ("auto", same_as)
        )
        assert digest(one.adapted.network) == digest(other.adapted.network)


def test_a_network_learns_to_fill_in_what_is_hidden(case):
    config = case.masked.with_changes(epochs=25, learning_rate=0.02)
    unlabelled = {"train": case.with_labels(case.train), "validation": case.with_labels(case.validation)}
    result = fit(case.autoencoder, **case.arguments(**unlabelled, config=config))
    assert result.history["validation_loss"].iloc[-1] < 0.6 * result.history["validation_loss"].iloc[0]
    labelled = fit(case.autoencoder, **case.arguments(config=config))
    assert same_history(result, labelled), "labels are not looked at"


@pytest.mark.parametrize("adapter", ["lora", "dora"])
def test_every_adapter_trains_with_channels_last(case, adapter):
    config = case.config.with_changes(epochs=1)
    one, other = (
        fit(
            case.adapted("lora", adapter=adapter, dropout=0),
            **case.arguments(config=config.with_changes(channels_last=last)),
        )
        for last in (True, False)
    )
    np.testing.assert_allclose(one.history["train_loss"], other.history["train_loss"], rtol=1e-3)


def test_the_seed_alone_decides_and_other_randomness_is_left_alone(case):
    arguments = case.arguments(config=case.config.with_changes(epochs=1))
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
    stalling = replace(case.train, inputs={**case.train.inputs, "image": StallingRows(case.train.inputs["image"])})
    config = case.config.with_changes(storage="stream")
    fit(case.adapted("layers"), **case.arguments(train=stalling, config=config, checkpoint=checkpoint))


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
    resumed = fit(case.adapted("layers"), **case.arguments(checkpoint=checkpoint))
    assert same_history(resumed, fit(case.adapted("layers"), **case.arguments()))
    assert resumed.n_seen == 4 * 45


def train_together(case, rank, port, folder, model, config):
    """Set what `accelerate launch` or `torchrun` sets in each of its processes, and train."""
    of_all = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "ACCELERATE_USE_CPU": "true"}
    os.environ.update(of_all | {"RANK": str(rank), "LOCAL_RANK": str(rank)})
    result = fit(model, **case.arguments(checkpoint=folder / "run.safetensors", config=config))
    assert result.circumstances["n_processes"] == 2
    result.history.to_json(folder / f"history-{rank}.json", double_precision=15)


@pytest.mark.parametrize("kind", ["full", "loha", "masked", "both ways"])
def test_two_processes_take_the_steps_of_one(case, tmp_path, server, kind):
    model = adapt(case.mlp, strategy="lora", adapter="loha") if kind == "loha" else case.mlp
    model, config = (case.autoencoder, case.masked) if kind == "masked" else (model, case.config)
    if kind == "both ways":  # what reads the labels gets no gradient
        options = {"width": 4, "depth": 1, "heads": 1, "section": 2, "stride": 1}
        model, config = SpectrumTransformer(inputs={"magnitudes": (3,)}, task=case.mlp.task, **options), case.masked
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = [
        server.Process(target=train_together, args=(case, rank, port, tmp_path, model, config)) for rank in (0, 1)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()
    alone = fit(model, **case.arguments(config=config)).history
    for rank in (0, 1):
        together = pd.read_json(tmp_path / f"history-{rank}.json")
        pd.testing.assert_frame_equal(together[TIMELESS], alone[TIMELESS], rtol=1e-6, check_dtype=False)
    with pytest.warns(AstrolabWarning, match="n_processes 2 → 1"):
        reused = fit(model, **case.arguments(checkpoint=tmp_path / "run.safetensors", config=config))
    assert reused.circumstances["n_processes"] == 2


@pytest.mark.parametrize("adapter", ["lora", "loha", "lokr"])
def test_one_adapter_alone_gets_a_gradient_in_every_step(case, adapter):
    adapted = adapt(case.mlp, strategy="lora", adapter=adapter, targets=("stem",), dropout=0.9)
    assert fit(adapted, **case.arguments()).n_epochs == case.config.epochs


def test_a_finished_run_is_returned_without_training(case, tmp_path, monkeypatch):
    arguments = case.arguments(checkpoint=tmp_path / "run.safetensors")
    first = fit(case.mlp, **arguments)
    monkeypatch.setattr("astrolab.trainers.loop._train", None)
    assert same_history(first, fit(case.mlp, **arguments))


def test_a_run_goes_on_on_another_device_of_the_same_kind(case, tmp_path):
    arguments = case.arguments(checkpoint=tmp_path / "run.safetensors")
    first = fit(case.mlp, **arguments)
    moved = fit(case.mlp, **arguments | {"config": case.config.with_changes(device="cpu:0")})
    assert same_history(first, moved) and first.peak_memory_bytes == moved.peak_memory_bytes


def test_a_checkpoint_of_another_run_is_refused(case, tmp_path):
    path = tmp_path / "run.safetensors"
    fit(case.mlp, **case.arguments(checkpoint=path))
    others = {
        "config.learning_rate": (case.mlp, {"config": case.config.with_changes(learning_rate=0.5)}),
        "data.objects.train": (case.mlp, {"train": case.train.take(slice(40))}),
        "network.strategy.name": (adapt(case.mlp, strategy="head"), {}),
    }
    for what, (network, changes) in others.items():
        arguments = case.arguments(checkpoint=path, **changes)
        with pytest.raises(CheckpointError, match=what):
            fit(network, **arguments)
    held_elsewhere = case.arguments(checkpoint=path, config=case.config.with_changes(storage="stream"))
    assert fit(case.mlp, **held_elsewhere).n_epochs == 4


def test_a_plan_that_does_not_hold_stops_before_the_first_step(case):
    start = case.adapted("layers")
    next(p for p in start.network.parameters() if not p.requires_grad).requires_grad_(True)
    with pytest.raises(PlanError):
        fit(start, **case.arguments())


def test_bad_values_stop_before_the_first_step(case):
    pixels = case.train.inputs["image"].copy()
    pixels[0, 0, 0, 0] = np.inf
    with pytest.raises(PixelError):
        fit(case.cnn, **case.arguments(train=replace(case.train, inputs={**case.train.inputs, "image": pixels})))
    unlabelled = replace(case.validation, labels=case.validation.labels * np.nan)
    with pytest.raises(SchemaError):
        fit(case.cnn, **case.arguments(validation=unlabelled))


def test_divergence_names_epoch_and_rate_and_keeps_the_last_good_checkpoint(case, tmp_path, monkeypatch):
    path = tmp_path / "run.safetensors"
    losses = iter([0.9, 0.8, float("nan")])
    monkeypatch.setattr("astrolab.trainers.loop.validate", lambda *args, **kwargs: next(losses))
    with pytest.raises(TrainingError, match=r"Epoch 3(?s:.*)rate of 0\.01(?s:.*)up to 2 are kept"):
        fit(case.mlp, **case.arguments(checkpoint=path))
    with safe_open(path, framework="pt") as file:
        assert json.loads(file.metadata()["astrolab_training"])["epoch"] == 2


@pytest.mark.parametrize("select", ["best_ema", "best_raw", "last"])
def test_the_history_marks_the_epoch_whose_weights_were_kept(case, select):
    config = case.config.with_changes(select=select, learning_rate=0.1)
    result = fit(case.mlp, **case.arguments(config=config))
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
        config = case.config.with_changes(epochs=1, learning_rate=1e-12, label_clamp=(0, 4))
        return fit(case.mlp, **case.arguments(config=config, **surveys)).history.iloc[0]

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
    one = fit(case.cnn, **case.arguments(config=config))
    other = fit(case.cnn, **case.arguments(config=config.with_changes(channels_last=True)))
    np.testing.assert_allclose(other.history["train_loss"], one.history["train_loss"], rtol=1e-3)
    assert all(p.is_contiguous() for p in other.adapted.network.parameters())


def test_a_compiled_network_trains_to_the_same_numbers_but_for_rounding(case, monkeypatch):
    compiled, compile_network = [], torch.compile

    def without_a_compiler(network, *, dynamic, mode):  # the same graphs, run operation by operation
        compiled.append((network, mode))
        return compile_network(network, backend="aot_eager", dynamic=dynamic)

    monkeypatch.setattr(torch, "compile", without_a_compiler)
    config = case.config.with_changes(epochs=2)
    plain = fit(case.mlp, **case.arguments(config=config))
    assert not compiled
    result = fit(case.mlp, **case.arguments(config=config.with_changes(compile=True)))
    assert [mode for _, mode in compiled] == [None] and result.adapted.network is compiled[0][0]
    pd.testing.assert_frame_equal(result.history[TIMELESS], plain.history[TIMELESS], rtol=1e-4)
    weights = dict(plain.adapted.network.state_dict())
    for name, tensor in result.adapted.network.state_dict().items():
        torch.testing.assert_close(tensor, weights[name], rtol=1e-3, atol=1e-4)


def test_anywhere_but_at_a_terminal_a_fit_says_one_line(case, capsys, monkeypatch):
    arguments = case.arguments(progress=True, description="lora (seed 3)")
    fit(case.mlp, **arguments)
    shown = capsys.readouterr()
    assert shown.out == "" and re.fullmatch(r"lora \(seed 3\): epoch 4 of 4, .*lr 1e-02, \S+ s/epoch\n", shown.err)
    monkeypatch.setattr("astrolab.progress.LINE_EVERY_S", 0.0)
    fit(case.mlp, **arguments)
    assert capsys.readouterr().err.count("\n") == 4


def test_at_a_terminal_a_bar_goes_to_stderr_under_its_own_name(case, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "120")
    fit(case.mlp, **case.arguments(progress=True, description="lora (seed 3)"))
    shown = capsys.readouterr()
    assert shown.out == "" and "lora (seed 3)" in shown.err and "4/4" in shown.err and "lr=1e-02" in shown.err


def test_a_bar_is_not_wider_than_the_terminal_that_the_kernel_knows_of(case, capsys, monkeypatch):
    monkeypatch.setenv("ASTROLAB_PROGRESS", "50")
    fit(case.mlp, **case.arguments(progress=True, description="lora-s3"))
    states = [state for state in re.split(r"[\r\n]", capsys.readouterr().err) if state]
    assert "4/4" in states[-1] and {*map(len, states)} == {50}


@pytest.mark.parametrize("strategy", ["full", "lora"])
def test_a_batch_of_one_is_refused_where_batchnorm_needs_a_spread(case, strategy):
    config = case.config.with_changes(batch_size=1, epochs=1)
    with pytest.raises(ConfigError, match=r"batch_size=1(?s:.*)BatchNorm(?s:.*)batchnorm='freeze'"):
        fit(case.adapted(strategy), **case.arguments(config=config))
    few = {"train": case.train.take(slice(3)), "config": config}
    for start in (case.adapted(strategy, batchnorm="freeze"), case.mlp):
        assert fit(start, **case.arguments(**few)).n_seen == 3


def test_a_run_is_found_again_under_other_circumstances(case, tmp_path):
    """What was asked for names a run; where it was computed is reported as it was, and said."""
    path = tmp_path / "run.safetensors"
    arguments = case.arguments(checkpoint=path, config=case.config.with_changes(epochs=1))
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
    arguments = case.arguments(checkpoint=path)
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


def test_the_path_of_training_is_kept_where_that_is_asked_for(case, tmp_path):
    """After k epochs the network is the one that a training of k epochs ends with; a checkpoint keeps the path."""
    config = case.config.with_changes(epochs=3, select="last", keep_path=True)
    arguments = case.arguments(config=config, checkpoint=tmp_path / "run.safetensors")
    result = fit(case.adapted("layers"), **arguments)
    again = fit(case.adapted("layers"), **arguments)
    for way in (result.along(), again.along()):
        assert digest(next(way).network) == digest(case.adapted("layers").network)
        for epochs, there in enumerate(way, start=1):
            shorter = fit(case.adapted("layers"), **case.arguments(config=config.with_changes(epochs=epochs)))
            assert digest(there.network) == digest(shorter.adapted.network)
    assert len(result.path) == len(again.path) == 4 and not fit(case.mlp, **case.arguments()).path
