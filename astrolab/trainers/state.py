"""Everything that changes while a network is trained, how it is written down, and what training gives back."""

from __future__ import annotations

import copy
import json
import math
import resource
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from astrolab.errors import CheckpointError
from astrolab.files import DIGEST_PLACE, digest_fault, require_space, write_atomically, write_digest
from astrolab.models.adapt import Adapted
from astrolab.trainers.config import TrainConfig
from astrolab.trainers.optimising import Rates, make_optimiser

FORMAT = 4
CONVERGED = "no better smoothed validation loss"
LATE, STILL_FALLING = 0.1, 0.01
HEADER = "astrolab_training"
HISTORY = ("epoch", "step", "train_loss", "validation_loss", "ema", "learning_rate", "time_s", "is_kept")
_PLAIN = ("history", "n_steps", "n_seen", "peak_memory_bytes", "stopped", "circumstances")  # of a state: JSON values


def smoothed(loss: float, *, before: float | None, config: TrainConfig) -> float:
    """Smooth a validation loss v with what it was one epoch before: w v + (1 - w) e, w = 2 / (n + 1) for n epochs.

    The published code, n = 10, has the two coefficients exchanged, w = 9/11, which hardly smooths (`TrainConfig.ema`).
    """
    weight = 2 / (config.ema_span + 1)
    weight = weight if config.ema == "corrected" else 1 - weight
    return loss if before is None else weight * loss + (1 - weight) * before


def best_epoch(history: Sequence[Mapping[str, float]], *, select: str) -> int:
    """Number the epoch whose weights are the ones to keep: the first of the lowest loss, or the last."""
    column = {"best_ema": "ema", "best_raw": "validation_loss"}.get(select)
    return len(history) if column is None else 1 + min(range(len(history)), key=lambda k: history[k][column])


class TrainingState:
    """What changes in a training run of at most `n_steps` steps; frozen parameters are those of the network before."""

    def __init__(self, adapted: Adapted, *, config: TrainConfig, n_steps: int):
        self.trained = {name: p for name, p in adapted.network.named_parameters() if p.requires_grad}
        self._buffers = dict(adapted.network.named_buffers())
        self._config = config
        self.optimiser = make_optimiser(self.trained, config=config, stages=adapted.network.stages)
        self.rates = Rates(self.optimiser, schedule=config.schedule, n_steps=n_steps)
        self.history: list[dict[str, float]] = []
        self.n_steps = self.n_seen = 0
        self.peak_memory_bytes = 0
        self.stopped: str | None = None
        self.circumstances: dict[str, Any] = {}
        self._best: dict[str, Tensor] = {}
        self.path: list[dict[str, Tensor]] = []
        self._keep_place()

    @property
    def weights(self) -> dict[str, Tensor]:
        """Trained parameters and buffers, by name, as they are now."""
        return {name: tensor.detach() for name, tensor in {**self.trained, **self._buffers}.items()}

    @property
    def learning_rate(self) -> float:
        """The rate of the last step, or of the next where rates change with the epochs."""
        return self.optimiser.param_groups[0]["lr"]

    def end_epoch(self, *, train_loss: float, validation_loss: float, time_s: float) -> None:
        """Record an epoch: smoothing, best weights, learning rate, whether to stop."""
        epoch, config = len(self.history) + 1, self._config
        ema = smoothed(validation_loss, before=self.history[-1]["ema"] if self.history else None, config=config)
        losses = {"train_loss": train_loss, "validation_loss": validation_loss, "ema": ema}
        last = {"epoch": epoch, "step": self.n_steps, **losses, "learning_rate": self.learning_rate, "time_s": time_s}
        self.history.append(last)
        if best_epoch(self.history, select=config.select) == epoch:
            self._best = {name: tensor.clone() for name, tensor in self.weights.items()}
        self._keep_place()
        self.rates.after_epoch(validation_loss)
        since_best = epoch - best_epoch(self.history, select="best_ema")
        if config.patience is not None and since_best >= config.patience and self.n_steps >= config.min_steps:
            self.stopped = f"{CONVERGED} for {config.patience} epochs"
        elif epoch == config.epochs:
            self.stopped = "all epochs done"
        elif self.n_steps == config.n_steps:
            self.stopped = "all steps done"

    def _keep_place(self) -> None:
        if self._config.keep_path:
            self.path.append({name: tensor.clone() for name, tensor in self.weights.items()})

    def load_best(self) -> int:
        """Put the selected weights into the network, and give the epoch they are of."""
        _copy(self._best, into=self.weights)
        return best_epoch(self.history, select=self._config.select)

    def to_header(self) -> dict[str, Any]:
        """Give what is not a tensor, as JSON-able values."""
        plain = {name: getattr(self, name) for name in _PLAIN} | {"history": list(self.history)}
        return {**plain, "epoch": len(self.history), "rates": self.rates.state()}

    def to_tensors(self) -> dict[str, Tensor]:
        """Give weights, best weights and optimiser state by name."""
        moments = {
            f"optimiser.{key}.{name}": value
            for name, parameter in self.trained.items()
            for key, value in self.optimiser.state.get(parameter, {}).items()
        }
        weights = {f"weights.{name}": tensor for name, tensor in self.weights.items()}
        path = {f"path{k}.{name}": tensor for k, each in enumerate(self.path) for name, tensor in each.items()}
        return moments | weights | path | {f"best.{name}": tensor for name, tensor in self._best.items()}

    def restore(self, header: dict[str, Any], *, tensors: dict[str, Tensor]) -> None:
        """Go back to the state written down."""
        weights = self.weights
        self._best = {name: torch.empty_like(tensor) for name, tensor in weights.items()}
        _copy(_under("weights.", tensors=tensors), into=weights)
        _copy(_under("best.", tensors=tensors), into=self._best)
        n_kept = header["epoch"] + 1 if self._config.keep_path else 0
        self.path = [_under(f"path{k}.", tensors=tensors) for k in range(n_kept)]
        for place, tensor in _under("optimiser.", tensors=tensors).items():
            key, _, name = place.partition(".")
            parameter = self.trained[name]
            if key == "step":
                value = tensor.to(parameter.device if self.optimiser.param_groups[0]["fused"] else "cpu")
            else:
                value = torch.empty_like(parameter).detach().copy_(tensor)
            self.optimiser.state[parameter][key] = value
        self.rates.restore(header["rates"])
        for name in _PLAIN:
            setattr(self, name, header[name])


def _under(prefix: str, *, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _copy(tensors: dict[str, Tensor], *, into: dict[str, Tensor]) -> None:
    for name, place in into.items():
        place.copy_(tensors[name])


@dataclass(frozen=True)
class Checkpoint:
    """Where a training run is written down, if anywhere: a whole file or none, tied to what it was made with."""

    path: Path | None
    identity: Mapping[str, Any]

    def save(self, state: TrainingState) -> None:
        """Write a training run down; a reader sees the old file or the new one, never half."""
        if self.path is None:
            return
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.to_tensors().items()}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        require_space(self.path, needed_bytes=sum(tensor.nbytes for tensor in tensors.values()))
        header = {"made_with": {"format": FORMAT, **self.identity}, **state.to_header(), "file_digest": DIGEST_PLACE}
        with write_atomically(self.path) as part:
            save_file(tensors, part, metadata={HEADER: json.dumps(header)})
            write_digest(part)

    def restore(self, state: TrainingState) -> None:
        """Bring a training run to where it was written down, after proof that the file is whole and of the same run."""
        if self.path is None or not self.path.is_file():
            return
        if fault := digest_fault(self.path):
            raise self._unusable(fault)
        with safe_open(self.path, framework="pt", device="cpu") as file:
            header = json.loads(file.metadata()[HEADER])
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        if different := list(differences(header["made_with"], other={"format": FORMAT, **self.identity})):
            raise self._unusable("a checkpoint of another run; " + "; ".join(different))
        state.restore(header, tensors=tensors)

    def _unusable(self, received: str) -> CheckpointError:
        remedy = f"Ask for the run as it was, or move {self.path} away to train from the beginning."
        return CheckpointError(f"Training was to go on from {self.path.name}.", received=received, remedy=remedy)


def differences(there: Mapping[str, Any], *, other: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Name what differs between two nested mappings: one in the checkpoint, the other as asked for now."""
    for name in sorted({*there, *other}):
        was, now = there.get(name), other.get(name)
        if isinstance(was, Mapping) and isinstance(now, Mapping):
            yield from differences(was, other=now, prefix=f"{prefix}{name}.")
        elif was != now:
            yield f"{prefix}{name} was {_short(was)}, is {_short(now)}"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 24 else text[:12] + "…"


@dataclass(frozen=True, eq=False, repr=False)
class FitResult:
    """A trained network, how it got there, and what it cost; `fit` is its key in the run that asked for it."""

    adapted: Adapted
    history: pd.DataFrame
    stopped: str
    config: TrainConfig
    best_epoch: int = 0
    n_steps: int = 0
    n_seen: int = 0
    peak_memory_bytes: int = 0
    circumstances: Mapping[str, Any] = field(default_factory=dict)
    fit: str = ""
    path: tuple[Mapping[str, Tensor], ...] = ()

    def along(self) -> Iterator[Adapted]:
        """Give the network as it was at the start and after each epoch, where training was to keep its path."""
        for weights in self.path:
            network = copy.deepcopy(self.adapted.network)
            network.load_state_dict(weights, strict=False)  # what is frozen is not in it
            yield replace(self.adapted, network=network)

    @property
    def n_epochs(self) -> int:
        """Number of epochs trained."""
        return len(self.history)

    @property
    def cut_short(self) -> bool:
        """Whether training ended before the validation loss did: its lowest smoothed value still fell by over 1 %.

        Over the last `patience` epochs, or a tenth of all. Where the schedule takes the learning rate to its floor
        (`cosine`, `cyclic`), the end is its own.
        """
        has_end = self.stopped.startswith(CONVERGED) or self.config.schedule.name in ("cosine", "cyclic")
        if self.history.empty or has_end:
            return False
        lowest, late = self.history["ema"].cummin(), self.config.patience or math.ceil(LATE * self.n_epochs)
        before = lowest.iloc[max(self.n_epochs - late - 1, 0)]
        return bool(before - lowest.iloc[-1] > STILL_FALLING * abs(before))

    @property
    def time_s(self) -> float:
        """Seconds in all epochs."""
        return float(self.history["time_s"].sum())

    @property
    def n_trainable(self) -> int:
        """Number of parameters that trained."""
        return self.adapted.plan.n_trainable

    @property
    def selected_loss(self) -> float | None:
        """Validation loss at the selected epoch, smoothed if that was the choice; None where nothing was trained."""
        if self.best_epoch == 0:
            return None
        column = "ema" if self.config.select == "best_ema" else "validation_loss"
        return float(self.history.set_index("epoch").loc[self.best_epoch, column])

    def __repr__(self) -> str:
        best = "" if self.best_epoch == 0 else f" · best epoch {self.best_epoch}"
        return f"{self.adapted!r} · {self.n_epochs} epochs ({self.stopped}){best} · {self.time_s:,.0f} s"


def reset_peak_memory(device: torch.device) -> None:
    """Begin to measure the largest memory in use anew, where the system allows it: on CUDA and on Linux."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets the "high water mark" of the resident set


def peak_memory_bytes(device: torch.device) -> int:
    """Measure the largest memory in use since the last reset: of a CUDA device, or else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
