"""How weights move: the optimiser with a learning rate for each stage, and how the rates change."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from astrolab.errors import require_known
from astrolab.trainers.config import Schedule, TrainConfig

MOMENTUM = 0.9


def make_optimiser(
    trained: Mapping[str, nn.Parameter], *, config: TrainConfig, stages: Mapping[str, tuple[str, ...]]
) -> Optimizer:
    """Make the optimiser of some named parameters, those of a stage with a rate of its own in a group of their own."""
    for stage in config.stage_rates:
        require_known("stage of the network", name=stage, names=stages)
    rates = config.stage_rates
    groups: dict[str, dict[str, Any]] = {"": {"params": [], "lr": config.learning_rate}}
    for name, parameter in trained.items():
        stage = next((stage for stage in rates if _is_in(name, modules=stages[stage])), "")
        groups.setdefault(stage, {"params": [], "lr": rates.get(stage)})["params"].append(parameter)
    used = [group for group in groups.values() if group["params"]]
    fused = next(iter(trained.values())).device.type in ("cpu", "cuda")
    if config.optimiser == "sgd":
        return SGD(used, momentum=MOMENTUM, nesterov=True, weight_decay=config.weight_decay, fused=fused)
    kind = {"adam": Adam, "adamw": AdamW}[config.optimiser]
    return kind(used, betas=config.betas, weight_decay=config.weight_decay, fused=fused)


def _is_in(parameter: str, *, modules: tuple[str, ...]) -> bool:
    plain = parameter.removeprefix("base_model.model.").removeprefix("base.")  # as peft and a correction name them
    return any(plain == module or plain.startswith(f"{module}.") for module in modules)


class Rates:
    """The learning rates of an optimiser along a schedule: after every step, or after every epoch (`plateau`)."""

    def __init__(self, optimiser: Optimizer, *, schedule: Schedule, n_steps: int):
        self.optimiser, self.schedule, self.n_steps = optimiser, schedule, n_steps
        self.first = [group["lr"] for group in optimiser.param_groups]
        self.plateau = None
        if schedule.name == "plateau":
            # As published, torch's defaults: a fall by less than 1e-4 of the loss is none, a rate changes by more than
            # 1e-8 or not at all (hence the "final learning rate 1e-8").
            self.plateau = ReduceLROnPlateau(optimiser, factor=schedule.factor, patience=schedule.patience)

    def before_step(self, step: int) -> None:
        """Set the rates of a step, counted from 0."""
        if self.plateau is None:
            share = scheduled_share(self.schedule, step=step, n_steps=self.n_steps)
            for group, first in zip(self.optimiser.param_groups, self.first, strict=True):
                group["lr"] = first * share

    def after_epoch(self, validation_loss: float) -> None:
        """Lower the rates where the validation loss has stopped falling."""
        if self.plateau is not None:
            self.plateau.step(validation_loss)

    def state(self) -> dict[str, Any]:
        """Give what changes, as JSON values."""
        return {
            "rates": [group["lr"] for group in self.optimiser.param_groups],
            "plateau": None if self.plateau is None else self.plateau.state_dict(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` gave."""
        if self.plateau is not None:
            self.plateau.load_state_dict(state["plateau"])
        for group, rate in zip(self.optimiser.param_groups, state["rates"], strict=True):
            group["lr"] = rate


def scheduled_share(schedule: Schedule, *, step: int, n_steps: int) -> float:
    """Give the share of its first rate that a step has.

    `cosine`: up in a straight line, then down along half a cosine to the floor (Loshchilov & Hutter 2017,
    arXiv:1608.03983). `cyclic`: triangles between the floor and the rate (Smith 2017, arXiv:1506.01186).
    """
    floor, place = schedule.floor_frac, step / max(n_steps, 1)
    if schedule.name == "cosine":
        warmup = schedule.warmup_frac
        if place < warmup:
            return min((step + 1) / (warmup * n_steps), 1.0)
        return floor + (1 - floor) * (1 + math.cos(math.pi * (place - warmup) / (1 - warmup))) / 2
    if schedule.name == "cyclic":
        phase = place * schedule.cycles % 1
        return floor + (1 - floor) * (1 - abs(2 * phase - 1))
    return 1.0
