"""One fit, or the best of several that differ in their learning rate: the same number of trials for every arm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from astrolab.errors import TrainingError

if TYPE_CHECKING:
    from astrolab.datasets.scaling import Scaling
    from astrolab.datasets.splits import Splits
    from astrolab.models.adapt import Adapted
    from astrolab.trainers.config import TrainConfig
    from astrolab.trainers.loop import FitResult


@dataclass(frozen=True)
class Trials:
    """What was tried, and which of it won."""

    best: FitResult
    log: tuple[dict[str, Any], ...]


def run_trials(
    adapted: Adapted,
    *,
    configs: Sequence[TrainConfig],
    checkpoints: Sequence[Path],
    sample: Splits,
    scaling: Scaling,
    description: str,
) -> Trials:
    """Train with each configuration, and keep the fit that validates best.

    Of several configurations, one whose loss stops being finite has lost, and is logged as such. A second process
    that wants the checkpoint of one waits until it is complete.
    """
    from astrolab.trainers.loop import fit

    results, log, failure = [], [], None
    for number, (config, checkpoint) in enumerate(zip(configs, checkpoints, strict=True)):
        name = description if len(configs) == 1 else f"{description} · rate {number + 1} of {len(configs)}"
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(checkpoint.with_suffix(".lock")):
                result = fit(
                    adapted,
                    train=sample.train,
                    validation=sample.validation,
                    scaling=scaling,
                    config=config,
                    checkpoint=checkpoint,
                    description=name,
                )
        except TrainingError as error:
            failure = error
            log.append(_entry(config, stopped=f"diverged: {error.received}"))
        else:
            results.append(result)
            log.append(_entry(config, result=result, stopped=result.stopped))
    if failure and not results:
        raise failure
    return Trials(min(results, key=lambda result: result.selected_loss or 0.0), tuple(log))


def _entry(config: TrainConfig, *, stopped: str, result: FitResult | None = None) -> dict[str, Any]:
    return {
        "learning_rate": config.learning_rate,
        "validation_loss": result.selected_loss if result else None,
        "n_epochs": result.n_epochs if result else 0,
        "n_seen": result.n_seen if result else 0,
        "time_s": result.time_s if result else 0.0,
        "stopped": stopped,
    }
