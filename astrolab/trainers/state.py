"""Everything that changes while a network is trained, and how it is written down."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam

from astrolab.errors import CheckpointError
from astrolab.models.adapt import Adapted
from astrolab.trainers.config import TrainConfig
from astrolab.trainers.schedules import plateau_schedule
from astrolab.trainers.stopping import Stopping


class TrainingState:
    """Weights, optimiser, schedule, early stopping and history of one training run.

    Only what can change is kept: trained parameters and buffers. Frozen parameters belong to the network it began with.
    """

    def __init__(self, adapted: Adapted, *, config: TrainConfig):
        self.trained = {name: p for name, p in adapted.network.named_parameters() if p.requires_grad}
        self._buffers = dict(adapted.network.named_buffers())
        self._select = config.select
        fused = next(iter(self.trained.values())).device.type in ("cpu", "cuda")
        self.optimizer = Adam(
            self.trained.values(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=fused
        )
        self.schedule = plateau_schedule(self.optimizer, config=config)
        self.stopping = Stopping.from_config(config)
        self.history: list[dict[str, float]] = []
        self.n_seen = 0
        self.peak_memory_bytes = 0
        self.stopped: str | None = None
        self.circumstances: dict[str, Any] = {}
        self._best: dict[str, Tensor] = {}

    @property
    def weights(self) -> dict[str, Tensor]:
        """Trained parameters and buffers, by name, as they are now."""
        return {name: tensor.detach() for name, tensor in {**self.trained, **self._buffers}.items()}

    @property
    def learning_rate(self) -> float:
        """The rate of the next step."""
        return self.optimizer.param_groups[0]["lr"]

    def end_epoch(self, *, train_loss: float, validation_loss: float, time_s: float, epochs: int) -> None:
        """Record an epoch: smoothing, best weights, learning rate, whether to stop (at the latest after `epochs`)."""
        epoch = len(self.history) + 1
        self.stopping = self.stopping.after(validation_loss)
        losses = {"train_loss": train_loss, "validation_loss": validation_loss, "ema": self.stopping.ema}
        self.history.append({"epoch": epoch, **losses, "learning_rate": self.learning_rate, "time_s": time_s})
        if self.stopping.best_epoch(self._select) == epoch:
            self._best = {name: tensor.clone() for name, tensor in self.weights.items()}
        self.schedule.step(validation_loss)
        if self.stopping.is_over:
            self.stopped = f"no better smoothed validation loss for {self.stopping.patience} epochs"
        elif epoch == epochs:
            self.stopped = "all epochs done"

    def load_best(self) -> int:
        """Put the selected weights into the network, and give the epoch they are of."""
        _copy(self._best, into=self.weights)
        return self.stopping.best_epoch(self._select)

    def to_header(self) -> dict[str, Any]:
        """Give what is not a tensor, as JSON-able values."""
        return {
            "epoch": len(self.history),
            "learning_rate": self.learning_rate,
            "schedule": self.schedule.state_dict(),
            "stopping": self.stopping.to_dict(),
            "history": list(self.history),
            "n_seen": self.n_seen,
            "peak_memory_bytes": self.peak_memory_bytes,
            "stopped": self.stopped,
            "circumstances": self.circumstances,
        }

    def to_tensors(self) -> dict[str, Tensor]:
        """Give weights, best weights and optimiser state by name."""
        adam = {
            f"adam.{name}.{key}": value
            for name, parameter in self.trained.items()
            for key, value in self.optimizer.state[parameter].items()
        }
        weights = {f"weights.{name}": tensor for name, tensor in self.weights.items()}
        return adam | weights | {f"best.{name}": tensor for name, tensor in self._best.items()}

    def restore(self, header: dict[str, Any], *, tensors: dict[str, Tensor]) -> None:
        """Go back to the state written down."""
        weights = self.weights
        self._best = {name: torch.empty_like(tensor) for name, tensor in weights.items()}
        _copy(_under("weights.", tensors=tensors), into=weights)
        _copy(_under("best.", tensors=tensors), into=self._best)
        for name, parameter in self.trained.items():
            moments = {key: torch.empty_like(parameter) for key in ("exp_avg", "exp_avg_sq")}
            state = {"step": torch.zeros((), device=parameter.device if self._is_fused else "cpu"), **moments}
            _copy(_under(f"adam.{name}.", tensors=tensors), into=state)
            self.optimizer.state[parameter] = {key: tensor.detach() for key, tensor in state.items()}
        self.schedule.load_state_dict(header["schedule"])
        self.optimizer.param_groups[0]["lr"] = header["learning_rate"]
        self.stopping = Stopping(**header["stopping"])
        self.history, self.n_seen, self.stopped = header["history"], header["n_seen"], header["stopped"]
        self.peak_memory_bytes, self.circumstances = header["peak_memory_bytes"], header["circumstances"]

    @property
    def _is_fused(self) -> bool:
        return bool(self.optimizer.param_groups[0]["fused"])


def _under(prefix: str, *, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


@torch.no_grad()
def _copy(tensors: dict[str, Tensor], *, into: dict[str, Tensor]) -> None:
    wrong = sorted(
        name
        for name in {*tensors, *into}
        if name not in tensors or name not in into or tensors[name].shape != into[name].shape
    )
    if wrong:
        raise CheckpointError(
            "Training was to go on from a checkpoint.",
            received=f"{len(wrong)} tensors missing, unknown or of another shape: {', '.join(wrong[:5])}",
            remedy="Move the checkpoint away to train from the beginning.",
        )
    for name, tensor in tensors.items():
        into[name].copy_(tensor)
