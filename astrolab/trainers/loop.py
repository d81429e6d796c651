"""The training loop: a network and two surveys become a `FitResult`."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from hashlib import sha256
from math import isfinite
from pathlib import Path
from time import perf_counter
from typing import Any

import pandas as pd
import torch
from accelerate import Accelerator
from torch import nn
from tqdm import tqdm

from astrolab.datasets.scaling import Scaling
from astrolab.datasets.survey import Survey
from astrolab.errors import ConfigError, TrainingError
from astrolab.models.adapt import Adapted, adapt
from astrolab.models.digests import digest
from astrolab.models.network import InputRecord, Network
from astrolab.trainers.checkpoints import Checkpoint
from astrolab.trainers.config import TrainConfig
from astrolab.trainers.data import TrainingData, survey_labels
from astrolab.trainers.epochs import Workbench, train_epoch, validate
from astrolab.trainers.feeding import Feed, make_feed
from astrolab.trainers.hardware import choose_hardware
from astrolab.trainers.results import HISTORY, FitResult, peak_memory_bytes, reset_peak_memory, untrained_result
from astrolab.trainers.state import TrainingState


def fit(
    adapted: Adapted | Network,
    *,
    train: Survey,
    validation: Survey,
    scaling: Scaling,
    config: TrainConfig,
    checkpoint: Path | None = None,
    checkpoint_every: int = 1,
    progress: bool = True,
    description: str | None = None,
) -> FitResult:
    """Train an adapted network on one survey, watched on another, and give back the best weights.

    Same arguments, same result: the order of the galaxies, the dropout masks and the augmentation depend on
    ``config.seed`` and the epoch alone, whether the surveys are held on the device or streamed, whether the run was
    killed and resumed or not. (On a GPU to rounding: cuDNN is held to deterministic kernels, but the gradient of the
    pooling layer adds in any order.)

    Parameters
    ----------
    adapted : Adapted or Network
        From `adapt`; a plain network trains in full. It is copied, never changed.
    train, validation : Survey
    scaling : Scaling
        Of the inputs, fitted on a train survey.
    config : TrainConfig
    checkpoint : Path, optional
        A safetensors file. Where it exists, training goes on from it; where it is of a finished run, the result is
        returned without training.
    checkpoint_every : int, optional
        Epochs from one checkpoint to the next; a resumed run repeats at most so many, to the same result.
    progress : bool, optional
        Show a bar over the epochs on stderr.
    description : str, optional
        What the bar is called.

    Returns
    -------
    FitResult

    Raises
    ------
    PlanError
        If what would train is not what the plan says, or something frozen has moved.
    SchemaError, PixelError, EmptySplitError
        If the surveys do not fit the network, or hold values that are no numbers.
    CheckpointError
        If the checkpoint is damaged or of another run.
    TrainingError
        If a loss is no longer finite; the last good checkpoint is kept.

    Notes
    -----
    Called in a script under ``accelerate launch --num_processes 4``, each process takes its share of every batch on a
    GPU of its own (on CPUs: ``ACCELERATE_USE_CPU=true accelerate launch --multi_gpu ...``, or ``torchrun``). The steps
    are those of one process, except that dropout masks differ and that BatchNorm sees the local share of a batch.
    """
    start = adapt(adapted, strategy="full") if isinstance(adapted, Network) else adapted
    start.plan.assert_holds(start.network)
    data = TrainingData(train=train, validation=validation, scaling=scaling)
    data.require_fit(start.network, config=config)
    if start.plan.n_trainable == 0:
        return untrained_result(start, config=config)
    bench = _workbench(start, data=data, config=config)
    identity = _identity(start, data=data, bench=bench)
    with torch.random.fork_rng(devices=[bench.device] if bench.device.type == "cuda" else []):
        trained = replace(start, network=_placed(copy.deepcopy(start.network), bench=bench))
        state = TrainingState(trained, config=config)
        trained.plan.assert_holds(trained.network, optimizer=state.optimizer)
        kept = Checkpoint(Path(checkpoint) if checkpoint else None, every=checkpoint_every, identity=identity)
        kept.restore(state)
        if state.stopped is None:
            reset_peak_memory(bench.device)
            with (
                _bar(description or start.strategy, state=state, bench=bench, is_shown=progress) as bar,
                torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=True),
            ):
                _train(trained, data=data, state=state, bench=bench, kept=kept, bar=bar)
        best_epoch = state.load_best()
    trained.network.to(memory_format=torch.contiguous_format).eval()
    trained.network.trained_on = InputRecord.of(train, input_name=trained.network.input_name)
    start.plan.assert_untouched(trained.network, before=start.plan.frozen_digests(start.network))
    return _result(trained, state=state, bench=bench, best_epoch=best_epoch)


def fit_digest(adapted: Adapted, *, train: Survey, validation: Survey, scaling: Scaling, config: TrainConfig) -> str:
    """Fingerprint everything that the outcome of `fit` depends on, but the code: equal digests, equal weights.

    Parameters
    ----------
    adapted : Adapted
    train, validation : Survey
    scaling : Scaling
    config : TrainConfig

    Returns
    -------
    str
        SHA-256 over the weights, the strategy, the galaxies, the scaling, the configuration and the hardware.
    """
    data = TrainingData(train=train, validation=validation, scaling=scaling)
    data.require_fit(adapted.network, config=config)
    bench = _workbench(adapted, data=data, config=config)
    return sha256(json.dumps(_identity(adapted, data=data, bench=bench), sort_keys=True).encode()).hexdigest()


def _train(
    adapted: Adapted, *, data: TrainingData, state: TrainingState, bench: Workbench, kept: Checkpoint, bar: tqdm
) -> None:
    train = _feed(data.train, adapted=adapted, data=data, bench=bench, clamp=bench.config.label_clamp)
    validation = _feed(data.validation, adapted=adapted, data=data, bench=bench, clamp=None)
    network = _compiled(adapted.network, bench=bench)
    model = bench.accelerator.prepare_model(network, device_placement=False)
    while state.stopped is None:
        begun, epoch = perf_counter(), len(state.history) + 1
        train_loss = train_epoch(adapted, model=model, state=state, feed=train, bench=bench, epoch=epoch)
        validation_loss = validate(network, feed=validation, bench=bench)
        _require_finite(train_loss, validation_loss=validation_loss, state=state, kept=kept)
        bar.set_postfix(train=f"{train_loss:.4f}", validation=f"{validation_loss:.4f}", lr=f"{state.learning_rate:.0e}")
        bar.update()
        time_s = perf_counter() - begun
        state.end_epoch(
            train_loss=train_loss, validation_loss=validation_loss, time_s=time_s, epochs=bench.config.epochs
        )
        state.peak_memory_bytes = max(state.peak_memory_bytes, peak_memory_bytes(bench.device))
        if bench.accelerator.is_main_process:
            kept.save(state)


def _workbench(adapted: Adapted, *, data: TrainingData, config: TrainConfig) -> Workbench:
    accelerator = Accelerator(mixed_precision="no")
    hardware = choose_hardware(
        config,
        accelerator=accelerator,
        row_shape=data.row_shape(adapted.network.input_name),
        n_rows=len(data.train) + len(data.validation),
        scaling=data.scaling,
    )
    if hardware.n_processes > 1 and config.batch_size < 2 * hardware.n_processes:
        raise ConfigError(
            f"{hardware.n_processes} processes were to share batches of {config.batch_size} galaxies.",
            received=f"batch_size={config.batch_size}",
            available=f"at least {2 * hardware.n_processes}",
            remedy="Use larger batches, or fewer processes.",
        )
    return Workbench(config=config, hardware=hardware, accelerator=accelerator)


def _identity(adapted: Adapted, *, data: TrainingData, bench: Workbench) -> dict[str, Any]:
    """Everything that the history depends on: not where inputs are held, nor which of several GPUs this process has."""
    hardware = bench.hardware.to_dict()
    return {
        "config": {name: value for name, value in bench.config.to_dict().items() if name not in hardware},
        "hardware": {name: v for name, v in hardware.items() if name != "storage"} | {"device": bench.device.type},
        "data": data.digests(label=bench.config.label),
        "network": {"digest": digest(adapted.network), "strategy": adapted.settings.to_dict()},
    }


def _placed(network: nn.Module, *, bench: Workbench) -> nn.Module:
    network.to(bench.device)
    return network.to(memory_format=torch.channels_last) if bench.hardware.channels_last else network


def _compiled(network: nn.Module, *, bench: Workbench) -> nn.Module:
    if not bench.config.compile:
        return network
    torch.compiler.reset()  # torch compiles a few networks a process, and then goes on uncompiled without a word
    return torch.compile(network, dynamic=False, mode="reduce-overhead" if bench.device.type == "cuda" else None)


def _feed(
    survey: Survey, *, adapted: Adapted, data: TrainingData, bench: Workbench, clamp: tuple[float, float] | None
) -> Feed:
    labels = survey_labels(survey, label=bench.config.label)
    return make_feed(
        survey,
        input_name=adapted.network.input_name,
        truth=labels if clamp is None else labels.clip(*clamp),
        scaling=data.scaling,
        hardware=bench.hardware,
    )


def _require_finite(train_loss: float, *, validation_loss: float, state: TrainingState, kept: Checkpoint) -> None:
    if not (isfinite(train_loss) and isfinite(validation_loss)):
        epoch = len(state.history) + 1
        where = "" if kept.path is None else f" Epochs up to {len(state.history)} are kept in {kept.path}."
        raise TrainingError(
            f"Epoch {epoch} of training was to end with finite losses.",
            received=f"training loss {train_loss}, validation loss {validation_loss} "
            f"at a learning rate of {state.learning_rate:g}",
            remedy=f"Use a smaller learning rate, or precision='float32'.{where}",
        )


def _bar(description: str, *, state: TrainingState, bench: Workbench, is_shown: bool) -> tqdm:
    return tqdm(
        desc=description,
        total=bench.config.epochs,
        initial=len(state.history),
        unit="epoch",
        disable=not (is_shown and bench.accelerator.is_main_process),
    )


def _result(adapted: Adapted, *, state: TrainingState, bench: Workbench, best_epoch: int) -> FitResult:
    history = pd.DataFrame(state.history, columns=HISTORY)
    history["is_kept"] = history["epoch"] == best_epoch
    return FitResult(
        adapted=adapted,
        history=history,
        best_epoch=best_epoch,
        n_epochs=len(history),
        stopped=state.stopped,
        time_s=float(history["time_s"].sum()),
        n_seen=state.n_seen,
        n_trainable=adapted.plan.n_trainable,
        peak_memory_bytes=state.peak_memory_bytes,
        config=bench.config,
        hardware=bench.hardware,
    )
