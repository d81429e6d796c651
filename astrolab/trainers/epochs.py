"""One pass over the galaxies: training, and validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from astrolab.models.adapt import Adapted, set_train_mode
from astrolab.trainers.augmentation import turn_and_mirror
from astrolab.trainers.config import TrainConfig
from astrolab.trainers.feeding import Feed, batches_in_order, dihedral_codes, shuffled_batches
from astrolab.trainers.hardware import Hardware
from astrolab.trainers.losses import find_loss
from astrolab.trainers.state import TrainingState


@dataclass(frozen=True)
class Workbench:
    """What stays the same from epoch to epoch."""

    config: TrainConfig
    hardware: Hardware
    accelerator: Accelerator

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return torch.device(self.hardware.device)

    def shares(self, batches: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Give this process its part of every batch."""
        return [batch[self.accelerator.process_index :: self.hardware.n_processes] for batch in batches]

    def loss_sum(self, model: nn.Module, *, inputs: Tensor, truth: Tensor) -> Tensor:
        """Sum the loss over the galaxies of a batch."""
        if self.config.compile:
            torch.compiler.cudagraph_mark_step_begin()
        half = self.hardware.precision == "bfloat16"
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=half):
            pred = model(inputs.to(torch.bfloat16 if half else torch.float32))
        return find_loss(self.config.loss)(pred.float(), truth=truth).sum()

    def mean_of_batch_means(self, sums: Sequence[Tensor], *, batches: Sequence[np.ndarray]) -> float:
        """Average the batch means over an epoch, as the published code does; a small last batch counts as a whole one."""
        totals = self.accelerator.reduce(torch.stack(list(sums)), reduction="sum").cpu().double()
        return float((totals / torch.tensor([len(batch) for batch in batches])).mean())


def train_epoch(
    adapted: Adapted, *, model: nn.Module, state: TrainingState, feed: Feed, bench: Workbench, epoch: int
) -> float:
    """Take one step a batch, in an order and with dropout masks that depend on the seed and the epoch alone.

    With several processes each takes its share of the same batches and gradients are averaged over all galaxies, so
    the steps are those of one process. (Dropout masks differ, and BatchNorm sees each process's own share.)
    """
    config, n_processes = bench.config, bench.hardware.n_processes
    batches = shuffled_batches(
        len(feed), batch_size=config.batch_size, seed=config.seed, epoch=epoch, n_processes=n_processes
    )
    shares = bench.shares(batches)
    codes = dihedral_codes(len(feed), seed=config.seed, epoch=epoch) if config.augment == "dihedral" else None
    set_train_mode(adapted)
    torch.manual_seed(_dropout_seed(config.seed, epoch=epoch, process=bench.accelerator.process_index))
    sums = []
    for batch, share, (inputs, truth) in zip(batches, shares, feed.batches(shares), strict=True):
        if codes is not None:
            inputs = turn_and_mirror(inputs, codes=torch.from_numpy(codes[share]).to(inputs.device))
        total = bench.loss_sum(model, inputs=inputs, truth=truth)
        bench.accelerator.backward(total * (n_processes / len(batch)))
        clip_grad_norm_(state.trained.values(), config.clip_norm)
        state.optimizer.step()
        state.optimizer.zero_grad()
        sums.append(total.detach())
    state.n_seen += len(feed)
    return bench.mean_of_batch_means(sums, batches=batches)


@torch.no_grad()
def validate(network: nn.Module, *, feed: Feed, bench: Workbench) -> float:
    """Measure the loss on the validation survey."""
    network.eval()
    if bench.hardware.n_processes > 1:
        for buffer in network.buffers():
            broadcast(buffer)
    batches = batches_in_order(np.arange(len(feed)), batch_size=bench.config.batch_size)
    sums = [
        bench.loss_sum(network, inputs=inputs, truth=truth) if len(truth) else torch.zeros((), device=bench.device)
        for inputs, truth in feed.batches(bench.shares(batches))
    ]
    return bench.mean_of_batch_means(sums, batches=batches)


def _dropout_seed(seed: int, *, epoch: int, process: int) -> int:
    return int(np.random.SeedSequence((seed, epoch, process)).generate_state(1)[0])
