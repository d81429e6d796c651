"""The training loop: a network and two surveys become a `FitResult`."""

from __future__ import annotations

import copy
import json
import warnings
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

from astrolab.datasets.scaling import Scaling
from astrolab.datasets.survey import Survey
from astrolab.errors import AstrolabWarning, ConfigError, TrainingError
from astrolab.models.adapt import Adapted, adapt
from astrolab.models.digests import digest
from astrolab.models.network import InputRecord, Network
from astrolab.trainers.arithmetic import require_sound_bfloat16
from astrolab.trainers.checkpoints import Checkpoint
from astrolab.trainers.config import CIRCUMSTANTIAL, TrainConfig
from astrolab.trainers.data import TrainingData, survey_labels
from astrolab.trainers.epochs import Workbench, train_epoch, validate
from astrolab.trainers.feeding import Feed, make_feed, shuffled_batches
from astrolab.trainers.hardware import (
    RESUMED_FROM,
    choose_hardware,
    describe_circumstances,
    differing_circumstances,
)
from astrolab.trainers.progress import Progress
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
    killed and resumed or not. It is the same to the bit under equal `FitResult.circumstances` (device, precision,
    threads, processes, versions), and to the tolerance of floating-point numbers under others. (On a GPU always to
    that tolerance: cuDNN is held to deterministic kernels, but the gradient of the pooling layer adds in any order.)

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
        returned without training. Circumstances other than those it was written under are warned about.
    checkpoint_every : int, optional
        Epochs from one checkpoint to the next; a resumed run repeats at most so many, to the same result.
    progress : bool, optional
        Show a bar over the epochs on stderr, or a line now and then where that is no terminal.
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
    ConfigError
        If more than a few labels lie outside ``label_clamp``; if BatchNorm would see batches of one galaxy; if the
        device is not there, or cannot be trusted with bfloat16 that was asked for.
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
    identity = _identity(start, data=data, config=config)
    with torch.random.fork_rng(devices=[bench.device] if bench.device.type == "cuda" else []):
        trained = replace(start, network=_placed(copy.deepcopy(start.network), bench=bench))
        state = TrainingState(trained, config=config)
        trained.plan.assert_holds(trained.network, optimizer=state.optimizer)
        kept = Checkpoint(Path(checkpoint) if checkpoint else None, every=checkpoint_every, identity=identity)
        kept.restore(state)
        _compare_circumstances(state, bench=bench, description=description or start.strategy)
        if state.stopped is None:
            reset_peak_memory(bench.device)
            is_shown = progress and bench.accelerator.is_main_process
            with (
                Progress(description or start.strategy, state=state, epochs=config.epochs, is_shown=is_shown) as shown,
                torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=True),
            ):
                _train(trained, data=data, state=state, bench=bench, kept=kept, shown=shown)
        best_epoch = state.load_best()
    trained.network.to(memory_format=torch.contiguous_format).eval()
    trained.network.trained_on = InputRecord.of(train, input_name=trained.network.input_name)
    start.plan.assert_untouched(trained.network, before=start.plan.frozen_digests(start.network))
    return _result(trained, state=state, config=config, best_epoch=best_epoch)


def fit_digest(adapted: Adapted, *, train: Survey, validation: Survey, scaling: Scaling, config: TrainConfig) -> str:
    """Fingerprint weights, strategy, data, scaling and configuration: equal digests, equal `FitResult` to rounding."""
    data = TrainingData(train=train, validation=validation, scaling=scaling)
    data.require_fit(adapted.network, config=config)
    return sha256(json.dumps(_identity(adapted, data=data, config=config), sort_keys=True).encode()).hexdigest()


def _train(
    adapted: Adapted, *, data: TrainingData, state: TrainingState, bench: Workbench, kept: Checkpoint, shown: Progress
) -> None:
    train = _feed(data.train, adapted=adapted, data=data, bench=bench, clamp=bench.config.label_clamp)
    validation = _feed(data.validation, adapted=adapted, data=data, bench=bench, clamp=None)
    if bench.device.type == "cpu" and bench.hardware.precision == "bfloat16":
        require_sound_bfloat16(adapted, train=train, validation=validation, bench=bench)
    network = _compiled(adapted.network, bench=bench)
    model = bench.accelerator.prepare_model(network, device_placement=False)
    while state.stopped is None:
        begun, epoch = perf_counter(), len(state.history) + 1
        train_loss = train_epoch(adapted, model=model, state=state, feed=train, bench=bench, epoch=epoch)
        validation_loss = validate(network, feed=validation, bench=bench)
        _require_finite(train_loss, validation_loss=validation_loss, state=state, kept=kept)
        time_s = perf_counter() - begun
        state.end_epoch(
            train_loss=train_loss, validation_loss=validation_loss, time_s=time_s, epochs=bench.config.epochs
        )
        state.peak_memory_bytes = max(state.peak_memory_bytes, peak_memory_bytes(bench.device))
        if bench.accelerator.is_main_process:
            kept.save(state)
        shown.after_epoch(state)


def _workbench(adapted: Adapted, *, data: TrainingData, config: TrainConfig) -> Workbench:
    accelerator = Accelerator(mixed_precision="no")
    hardware = choose_hardware(
        config,
        accelerator=accelerator,
        row_shape=data.row_shape(adapted.network.input_name),
        n_rows=len(data.train) + len(data.validation),
        scaling=data.scaling,
    )
    _require_batches(adapted, n=len(data.train), config=config, n_processes=hardware.n_processes)
    return Workbench(config=config, hardware=hardware, accelerator=accelerator)


def _require_batches(adapted: Adapted, *, n: int, config: TrainConfig, n_processes: int) -> None:
    """Refuse batches too small for every process to have a galaxy, or two where BatchNorm needs a spread."""
    least = 2 if adapted.plan.batchnorm == "update" else 1
    batches = shuffled_batches(n, batch_size=config.batch_size, seed=config.seed, epoch=1, n_processes=n_processes)
    smallest = min(len(batch) for batch in batches)
    if smallest < least * n_processes:
        why = " for the spread that BatchNorm divides by" if least == 2 else ""
        raise ConfigError(
            f"A network was to be trained on {n:,} galaxies in {n_processes} processes.",
            received=f"batch_size={config.batch_size}: a batch of {smallest}",
            available=f"batches of at least {least * n_processes}: {least} a process{why}",
            remedy="Use a larger batch_size or fewer processes"
            + (", or adapt(..., batchnorm='freeze')." if least == 2 else "."),
        )


def _identity(adapted: Adapted, *, data: TrainingData, config: TrainConfig) -> dict[str, Any]:
    """What names the result: everything that was asked for and changes it by more than rounding."""
    left_out = (*CIRCUMSTANTIAL, *(["precision"] if config.precision == "auto" else []))
    return {
        "config": {name: value for name, value in config.to_dict().items() if name not in left_out},
        "data": data.digests(label=config.label),
        "network": {"digest": digest(adapted.network), "strategy": adapted.settings.to_dict()},
    }


def _compare_circumstances(state: TrainingState, *, bench: Workbench, description: str) -> None:
    """Note where training happens from now on, and say so where it was begun or done elsewhere."""
    there, here = state.circumstances, describe_circumstances(bench.hardware, compiled=bench.config.compile)
    changed = differing_circumstances(there, here=here)
    if changed:
        warnings.warn(
            f"{description} {'goes on' if state.stopped is None else 'was trained'} under other circumstances: "
            f"{', '.join(changed)}. The same result is promised to rounding there, not to the bit.",
            AstrolabWarning,
            stacklevel=3,
        )
    if state.stopped is None and (changed or not there):
        state.circumstances = {**here, RESUMED_FROM: there} if changed else here


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


def _result(adapted: Adapted, *, state: TrainingState, config: TrainConfig, best_epoch: int) -> FitResult:
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
        config=config,
        circumstances=state.circumstances,
    )
