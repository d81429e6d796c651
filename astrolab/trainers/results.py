"""What a training run gives back."""

from __future__ import annotations

import resource
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from astrolab.models.adapt import Adapted
from astrolab.trainers.config import TrainConfig

HISTORY = ("epoch", "train_loss", "validation_loss", "ema", "learning_rate", "time_s", "is_kept")


@dataclass(frozen=True, eq=False, repr=False)
class FitResult:
    """A trained network, how it got there, and what it cost."""

    adapted: Adapted
    history: pd.DataFrame
    best_epoch: int
    n_epochs: int
    stopped: str
    time_s: float
    n_seen: int
    n_trainable: int
    peak_memory_bytes: int
    config: TrainConfig
    circumstances: dict[str, Any]

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


def untrained_result(adapted: Adapted, *, config: TrainConfig) -> FitResult:
    """Give the result for a plan in which nothing trains, with an empty history."""
    return FitResult(
        adapted=adapted,
        history=pd.DataFrame(columns=HISTORY),
        best_epoch=0,
        n_epochs=0,
        stopped="nothing to train",
        time_s=0.0,
        n_seen=0,
        n_trainable=0,
        peak_memory_bytes=peak_memory_bytes(torch.device("cpu")),
        config=config,
        circumstances={},
    )


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
