"""When to stop: no new best smoothed validation loss for a while."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from astrolab.trainers.config import TrainConfig


@dataclass(frozen=True)
class Stopping:
    r"""The smoothed validation loss so far, the best epochs so far, and whether it is time to stop.

    The smoothing is :math:`e_t = w\,v_t + (1 - w)\,e_{t-1}` with :math:`e_1 = v_1`. An average over n epochs has
    :math:`w = 2 / (n + 1)`; the published code, n = 10, has the two coefficients exchanged, :math:`w = 9/11`, which
    hardly smooths. Both are offered by name in `TrainConfig.ema`.

    >>> stopping = Stopping(newest_weight=0.5, patience=2).after(1.0).after(0.0)
    >>> stopping.ema, stopping.best_ema_epoch, stopping.is_over
    (0.5, 2, False)
    """

    newest_weight: float
    patience: int | None
    epoch: int = 0
    ema: float | None = None
    best_ema: float | None = None
    best_ema_epoch: int = 0
    best_raw: float | None = None
    best_raw_epoch: int = 0

    @classmethod
    def from_config(cls, config: TrainConfig) -> Stopping:
        """Begin with nothing seen."""
        weight = 2 / (config.ema_span + 1)
        return cls(newest_weight=weight if config.ema == "corrected" else 1 - weight, patience=config.patience)

    def after(self, validation_loss: float) -> Stopping:
        """Give the state one epoch later."""
        weight, epoch = self.newest_weight, self.epoch + 1
        ema = validation_loss if self.ema is None else weight * validation_loss + (1 - weight) * self.ema
        later = replace(self, epoch=epoch, ema=ema)
        if self.best_ema is None or ema < self.best_ema:
            later = replace(later, best_ema=ema, best_ema_epoch=epoch)
        if self.best_raw is None or validation_loss < self.best_raw:
            later = replace(later, best_raw=validation_loss, best_raw_epoch=epoch)
        return later

    @property
    def is_over(self) -> bool:
        """Whether the patience is used up."""
        return self.patience is not None and self.epoch - self.best_ema_epoch >= self.patience

    def best_epoch(self, select: str) -> int:
        """Number the epoch whose weights are the ones to keep."""
        return {"best_ema": self.best_ema_epoch, "best_raw": self.best_raw_epoch, "last": self.epoch}[select]

    def to_dict(self) -> dict:
        """Give the state as JSON-able values; ``Stopping(**state)`` gives it back."""
        return asdict(self)
