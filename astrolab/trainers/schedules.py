"""How the learning rate falls."""

from __future__ import annotations

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from astrolab.trainers.config import TrainConfig

PLATEAU_THRESHOLD = 1.0e-4
SMALLEST_STEP = 1.0e-8


def plateau_schedule(optimizer: Optimizer, *, config: TrainConfig) -> ReduceLROnPlateau:
    """Multiply the learning rate by a factor when the validation loss stops falling.

    "Stops falling" means no fall by more than 1e-4 of its best value in more than `plateau_patience` epochs. A change
    of the rate by 1e-8 or less is refused, hence the published "final learning rate 1e-8".
    """
    return ReduceLROnPlateau(
        optimizer,
        mode="min",
        factor=config.plateau_factor,
        patience=config.plateau_patience,
        threshold=PLATEAU_THRESHOLD,
        threshold_mode="rel",
        eps=SMALLEST_STEP,
    )
