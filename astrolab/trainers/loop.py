"""The training loop: a network and two surveys become a `FitResult`."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from itertools import count
from math import isfinite
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, broadcast
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from astrolab.datasets.scaling import Scaling
from astrolab.datasets.survey import Survey
from astrolab.errors import AstrolabWarning, ConfigError, TrainingError
from astrolab.models.adapt import Adapted, adapt, set_train_mode
from astrolab.models.adapters import to_channels_last
from astrolab.models.network import Network, TrainingRecord, digest
from astrolab.progress import Progress
from astrolab.trainers.config import CIRCUMSTANTIAL, TrainConfig
from astrolab.trainers.feeding import Feed, TrainingData, dihedral_codes, make_feed, turn_and_mirror
from astrolab.trainers.hardware import (
    RESUMED_FROM,
    ComparedWithFloat32,
    Hardware,
    choose_hardware,
    describe_circumstances,
    differing_circumstances,
)
from astrolab.trainers.objectives import VALIDATION, Batch, draw_seeds, make_objective
from astrolab.trainers.sampling import (
    batches_in_order,
    count_batches,
    epoch_rows,
    epoch_size,
    sampler_keys,
    training_batches,
)
from astrolab.trainers.state import HISTORY, Checkpoint, FitResult, TrainingState, peak_memory_bytes, reset_peak_memory


def fit(
    adapted: Adapted | Network,
    *,
    train: Survey,
    validation: Survey,
    scaling: Scaling,
    config: TrainConfig,
    checkpoint: Path | None = None,
    progress: bool = True,
    description: str | None = None,
) -> FitResult:
    r"""Train an adapted network on one survey, watched on another, and give back the best weights.

    Same arguments, same result, whether the surveys are held on the device or streamed, whether the run was killed and
    resumed or not: to the bit under equal `FitResult.circumstances` (device, precision, threads, processes, versions),
    to the tolerance of floating-point numbers under others. (On a GPU always to that tolerance: cuDNN is held to
    deterministic kernels, but the gradient of the pooling layer adds in any order.)

    Parameters
    ----------
    adapted : Adapted or Network
        From `adapt`; a plain network trains in full. It is copied, never changed. Its task says what it learns: an
        unknown label (NaN) counts for nothing, others as the weights of the survey say.
    scaling : Scaling
        Of the inputs that the network reads, fitted on a train survey.
    checkpoint : Path, optional
        A safetensors file, written after each epoch. Where it exists, training goes on from it; where it is of a
        finished run, the result is returned without training. Other circumstances than then are warned about.
    progress : bool, optional
        Show a bar over the epochs on stderr, or a line at the end where that is no terminal.
    description : str, optional
        What the bar is called.

    Raises
    ------
    PlanError
        If what would train is not what the plan says, or something frozen has moved.
    SchemaError, PixelError, EmptySplitError
        If the surveys do not fit the network, or hold values that are no numbers.
    ModelError, UnknownNameError
        If the network cannot meet the objective, or has no stage of that name.
    ConfigError
        If more than a few labels lie outside ``label_clamp``; if BatchNorm would see batches of one object; if the
        device is not there, or cannot be trusted with bfloat16 that was asked for.
    CheckpointError
        If the checkpoint is damaged or of another run.
    TrainingError
        If a loss is no longer finite; the last good checkpoint is kept.

    Notes
    -----
    With the loss :math:`\ell_{ik}` and the weight :math:`w_{ik}` of label k of object i, a step makes
    :math:`\sum w_{ik} \ell_{ik} / \sum w_{ik}` over its batch small; the loss of an epoch is the mean of its steps'.

    Under ``accelerate launch --num_processes 4`` each process takes its share of every batch on a GPU of its own (on
    CPUs: ``ACCELERATE_USE_CPU=true accelerate launch --multi_gpu ...``, or ``torchrun``). The steps are those of one
    process, except that dropout masks differ and that BatchNorm sees the local share of a batch.
    """
    start = adapt(adapted, strategy="full") if isinstance(adapted, Network) else adapted
    start.plan.assert_holds(start.network)
    data = _proven_data(start, train=train, validation=validation, scaling=scaling, config=config)
    if start.plan.n_trainable == 0:
        return FitResult(start, pd.DataFrame(columns=HISTORY), "nothing to train", config)
    bench = _workbench(start, data=data, config=config)
    identity = _identity(start, data=data, config=config)
    with torch.random.fork_rng(devices=[bench.device] if bench.device.type == "cuda" else []):
        network = copy.deepcopy(start.network).to(bench.device)
        trained = replace(
            start, network=to_channels_last(network) if bench.hardware.channels_last else network, reference=None
        )
        state = TrainingState(trained, config=config, n_steps=bench.budget[1])
        trained.plan.assert_holds(trained.network, optimizer=state.optimiser)
        kept = Checkpoint(Path(checkpoint) if checkpoint else None, identity=identity)
        kept.restore(state)
        _compare_circumstances(state, bench=bench, description=description or start.strategy)
        if state.stopped is None:
            reset_peak_memory(bench.device)
            is_shown = progress and bench.accelerator.is_main_process
            shown = Progress(description or start.strategy, state=state, epochs=bench.budget[0], is_shown=is_shown)
            with shown, torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=True):
                _train(trained, state=state, bench=bench, kept=kept, shown=shown)
        best_epoch = state.load_best()
    trained.network.to(memory_format=torch.contiguous_format).eval()
    trained.network.trained_on = TrainingRecord.of(train, inputs=data.inputs)
    start.plan.assert_untouched(trained.network, before=start.plan.frozen_digests(start.network))
    history = pd.DataFrame(state.history, columns=HISTORY)
    history["is_kept"] = history["epoch"] == best_epoch
    counted = {"n_steps": state.n_steps, "n_seen": state.n_seen, "peak_memory_bytes": state.peak_memory_bytes}
    counted |= {"circumstances": state.circumstances, "path": tuple(state.path)}
    return FitResult(trained, history, state.stopped, config, best_epoch, **counted)


def fit_digest(adapted: Adapted, *, train: Survey, validation: Survey, scaling: Scaling, config: TrainConfig) -> str:
    """Fingerprint weights, strategy, data, scaling and configuration: equal digests, equal `FitResult` to rounding."""
    data = _proven_data(adapted, train=train, validation=validation, scaling=scaling, config=config)
    return sha256(json.dumps(_identity(adapted, data=data, config=config), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Workbench:
    """What stays the same from epoch to epoch."""

    config: TrainConfig
    data: TrainingData
    hardware: Hardware
    accelerator: Accelerator
    keys: np.ndarray | None = None

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return torch.device(self.hardware.device)

    @cached_property
    def budget(self) -> tuple[int, int]:
        """Numbers of epochs and of steps after which training ends."""
        n_steps, config = 0, self.config
        for epoch in count(1):
            n_steps += config.epoch_steps or self._pass_steps(epoch)
            if config.n_steps is not None and n_steps >= config.n_steps:
                return epoch, config.n_steps
            if epoch == config.epochs:
                return epoch, n_steps

    def segments(self, *, done: int) -> Iterator[tuple[int, int, list[np.ndarray]]]:
        """Give the epoch after `done` steps, which may begin or end within a pass: passes, first batches, batches."""
        number, first = 1, done
        while first >= self._pass_steps(number):
            first, number = first - self._pass_steps(number), number + 1
        left = min(self.config.epoch_steps or self._pass_steps(number), self.budget[1] - done)
        while left > 0:
            batches = self.pass_batches(number)[first : first + left]
            yield number, first, batches
            left, first, number = left - len(batches), 0, number + 1

    def pass_batches(self, number: int) -> list[np.ndarray]:
        """Give the row numbers of every batch of a pass over the training survey, numbered from 1."""
        config, n = self.config, len(self.data.train)
        rows = epoch_rows(config.sampler, n=n, keys=self.keys, epoch=number, seed=config.seed)
        return training_batches(rows, batch_size=config.batch_size, n_processes=self.hardware.n_processes)

    def _pass_steps(self, number: int) -> int:
        size = epoch_size(self.config.sampler, n=len(self.data.train), epoch=number)
        return count_batches(size, batch_size=self.config.batch_size, n_processes=self.hardware.n_processes)

    def shares(self, batches: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Give this process its part of every batch."""
        return [batch[self.accelerator.process_index :: self.hardware.n_processes] for batch in batches]

    def loss_sum(self, model: nn.Module, *, batch: Batch) -> Tensor:
        """Sum the weighted losses of a batch."""
        if self.config.compile:
            torch.compiler.cudagraph_mark_step_begin()
        half = self.hardware.precision == "bfloat16"
        dtype = torch.bfloat16 if half else torch.float32
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=half):
            seen = replace(batch, inputs={name: values.to(dtype) for name, values in batch.inputs.items()})
            losses = self.data.objective(model, seen)
        return (losses * batch.weight).sum()

    def mean_of_batch_means(self, sums: Sequence[Tensor], *, weights: Sequence[float]) -> float:
        """Average the batch means over an epoch, as the published code does: a small last batch counts as a whole."""
        if not sums:
            return float("nan")
        totals = self.accelerator.reduce(torch.stack(list(sums)), reduction="sum").cpu().double()
        return float((totals / torch.tensor(weights, dtype=torch.float64)).mean())


def train_epoch(adapted: Adapted, *, model: nn.Module, state: TrainingState, feed: Feed, bench: Workbench) -> float:
    """Take one step a batch, but for those in which nothing is known; what is drawn depends on seed and pass alone."""
    config, sums, weights = bench.config, [], []
    set_train_mode(adapted)
    for number, first, batches in bench.segments(done=state.n_steps):
        codes = None
        if bench.data.are_turned(config):
            codes = torch.from_numpy(dihedral_codes(len(feed), seed=config.seed, epoch=number)).to(bench.device)
        seeds = draw_seeds(len(feed), stream=(config.seed, number))
        begins = (first,) if first else ()
        dropout = np.random.SeedSequence((config.seed, number, bench.accelerator.process_index, *begins))
        torch.manual_seed(int(dropout.generate_state(1)[0]))
        for rows, batch in zip(batches, feed.batches(bench.shares(batches), seeds=seeds), strict=True):
            state.rates.before_step(state.n_steps)
            state.n_steps, state.n_seen = state.n_steps + 1, state.n_seen + len(rows)
            weight = feed.weight_of(rows)
            if weight == 0:
                continue
            total = bench.loss_sum(model, batch=batch if codes is None else _turned(batch, codes=codes))
            bench.accelerator.backward(total * (bench.hardware.n_processes / weight))
            clip_grad_norm_(state.trained.values(), config.clip_norm)
            state.optimiser.step()
            state.optimiser.zero_grad()
            sums.append(total.detach())
            weights.append(weight)
    return bench.mean_of_batch_means(sums, weights=weights)


def _turned(batch: Batch, *, codes: Tensor) -> Batch:
    mine = codes[batch.rows]
    turned = {n: turn_and_mirror(v, codes=mine) if v.ndim == 4 else v for n, v in batch.inputs.items()}
    return replace(batch, inputs=turned)


@torch.no_grad()
def validate(network: nn.Module, *, feed: Feed, bench: Workbench) -> float:
    """Measure the loss on the validation survey."""
    network.eval()
    if bench.hardware.n_processes > 1:
        for buffer in network.buffers():
            broadcast(buffer)
    in_order = batches_in_order(np.arange(len(feed)), batch_size=bench.config.batch_size)
    weights = {k: weight for k, rows in enumerate(in_order) if (weight := feed.weight_of(rows)) > 0}
    shares = bench.shares([in_order[k] for k in weights])
    sums = [
        bench.loss_sum(network, batch=batch) if len(batch.rows) else torch.zeros((), device=bench.device)
        for batch in feed.batches(shares, seeds=draw_seeds(len(feed), stream=VALIDATION))
    ]
    return bench.mean_of_batch_means(sums, weights=list(weights.values()))


def _train(adapted: Adapted, *, state: TrainingState, bench: Workbench, kept: Checkpoint, shown: Progress) -> None:
    data, hardware = bench.data, bench.hardware
    train = make_feed(data.train, data=data, hardware=hardware, clamp=bench.config.label_clamp)
    validation = make_feed(data.validation, data=data, hardware=hardware)
    if bench.device.type == "cpu" and hardware.precision == "bfloat16":
        _require_sound_bfloat16(adapted, train=train, validation=validation, bench=bench)
    network = data.objective.model(adapted.network)
    if bench.config.compile:
        torch.compiler.reset()  # torch compiles a few networks a process, and then goes on uncompiled without a word
        mode = "reduce-overhead" if bench.device.type == "cuda" else None
        network = torch.compile(network, dynamic=False, mode=mode)
    model = bench.accelerator.prepare_model(network, device_placement=False)
    while state.stopped is None:
        begun = perf_counter()
        train_loss = train_epoch(adapted, model=model, state=state, feed=train, bench=bench)
        validation_loss = validate(network, feed=validation, bench=bench)
        _require_finite(train_loss, validation_loss=validation_loss, state=state, kept=kept)
        state.end_epoch(train_loss=train_loss, validation_loss=validation_loss, time_s=perf_counter() - begun)
        state.peak_memory_bytes = max(state.peak_memory_bytes, peak_memory_bytes(bench.device))
        if bench.accelerator.is_main_process:
            kept.save(state)
        shown.after_epoch(state)


def _require_sound_bfloat16(adapted: Adapted, *, train: Feed, validation: Feed, bench: Workbench) -> None:
    """Refuse bfloat16 where a product of a copy of this network is not sound, at any batch size that it will meet."""
    adapted = copy.deepcopy(adapted)
    model = bench.data.objective.model(adapted.network)
    in_order = batches_in_order(np.arange(len(validation)), batch_size=bench.config.batch_size)
    with ComparedWithFloat32(adapted.network):
        set_train_mode(adapted)
        for batch in _one_of_each_size(train, batches=bench.shares(bench.pass_batches(1))):
            bench.loss_sum(model, batch=batch).backward()
        adapted.network.eval()
        with torch.no_grad():
            for batch in _one_of_each_size(validation, batches=bench.shares(in_order)):
                bench.loss_sum(model, batch=batch)


def _one_of_each_size(feed: Feed, *, batches: Sequence[np.ndarray]) -> Iterator[Batch]:
    chosen = list({len(batch): batch for batch in batches if len(batch)}.values())
    return feed.batches(chosen, seeds=draw_seeds(len(feed), stream=VALIDATION))


def _proven_data(
    adapted: Adapted, *, train: Survey, validation: Survey, scaling: Scaling, config: TrainConfig
) -> TrainingData:
    objective = make_objective(config, network=adapted.network)
    data = TrainingData(train, validation, scaling, adapted.network.inputs, objective)
    data.require_fit(config)
    return data


def _workbench(adapted: Adapted, *, data: TrainingData, config: TrainConfig) -> Workbench:
    learns_both_ways = bool(adapted.network.labels) and hasattr(adapted.network, "reconstruct")  # of which one is idle
    parallel = DistributedDataParallelKwargs(find_unused_parameters=learns_both_ways)
    accelerator = Accelerator(mixed_precision="no", kwargs_handlers=[parallel])
    hardware = choose_hardware(config, accelerator=accelerator, has_images=bool(data.images), n_bytes=data.n_bytes)
    bench = Workbench(config, data, hardware, accelerator, keys=sampler_keys(config.sampler, survey=data.train))
    survey, n_processes = data.train, hardware.n_processes
    least = 2 if adapted.plan.batchnorm == "update" else 1
    smallest = min(len(batch) for batch in bench.pass_batches(1))
    if smallest < least * n_processes:
        why = " for the spread that BatchNorm divides by" if least == 2 else ""
        raise ConfigError(
            f"A network was to be trained on {len(survey):,} {survey.objects} in {n_processes} processes.",
            received=f"batch_size={config.batch_size}: a batch of {smallest}",
            available=f"batches of at least {least * n_processes}: {least} a process{why}",
            remedy="Use a larger batch_size or fewer processes"
            + (", or adapt(..., batchnorm='freeze')." if least == 2 else "."),
        )
    return bench


def _identity(adapted: Adapted, *, data: TrainingData, config: TrainConfig) -> dict[str, Any]:
    """What names the result: everything that was asked for and changes it by more than rounding."""
    left_out = (*CIRCUMSTANTIAL, *(["precision"] if config.precision == "auto" else []))
    spec = adapted.network.spec
    options = {name: value for name, value in spec.options.items() if name != "task"}
    network = {"name": spec.name, "options": options, "digest": digest(adapted.network)}
    return {
        "config": {name: value for name, value in config.to_dict().items() if name not in left_out},
        "data": data.identity(config),
        "network": {**network, "strategy": adapted.settings.to_dict()},
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
