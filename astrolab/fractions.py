"""Which fits a study of data fractions is made of, and how long each may train."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from astrolab.arms import ARMS, Arm
from astrolab.errors import ConfigError

if TYPE_CHECKING:
    from astrolab.trainers.config import TrainConfig


def fraction_grid(arms: Sequence[Arm], *, fractions: Sequence[float]) -> tuple[tuple[Arm, float], ...]:
    """Pair every arm with every fraction of the fine-tuning set, smallest fraction first.

    At fraction 0 there is nothing to learn from: every arm that starts from the base model, or from the pre-training
    survey, *is* the base model there, under its own name. An arm that starts from random numbers on the fine-tuning
    set alone has no such point.

    Parameters
    ----------
    arms : sequence of Arm
        From :func:`astrolab.choose_arms`.
    fractions : sequence of float
        In [0, 1], three or more of them above 0: fewer make no curve.

    Returns
    -------
    tuple of (Arm, float)
        The arm's ``sample`` is ``"nothing"`` at fraction 0.

    Raises
    ------
    ConfigError
        If the fractions are not different numbers from 0 to 1, if they make no curve, or an arm does not train at all.

    Examples
    --------
    >>> grid = fraction_grid([ARMS["lora"], ARMS["scratch"]], fractions=[0, 0.1, 0.5, 1])
    >>> [(arm.name, arm.adapt["strategy"], fraction) for arm, fraction in grid][:3]
    [('lora', 'zero_shot', 0.0), ('lora', 'lora', 0.1), ('scratch', 'scratch', 0.1)]
    """
    wanted = sorted(float(fraction) for fraction in fractions)
    n_above = sum(fraction > 0 for fraction in wanted)
    if n_above < 3 or len(set(wanted)) < len(wanted) or not 0 <= wanted[0] <= wanted[-1] <= 1:
        raise ConfigError(
            "Fractions of the fine-tuning set were chosen, for curves.",
            received=", ".join(map(str, fractions)) or "none",
            available="different numbers from 0 to 1, three or more of them above 0",
            remedy="Give e.g. [0, 0.1, 0.25, 0.5, 1]: through two points runs only a straight line.",
        )
    idle = [arm.name for arm in arms if arm.sample == "nothing"]
    if idle:
        raise ConfigError(
            "Arms were chosen for a study of data fractions.",
            received=f"{', '.join(idle)}, which trains on nothing",
            remedy="Leave it out, and put 0 among the fractions: every curve then starts from the base model.",
        )
    at_zero = {"adapt": ARMS["zero_shot"].adapt, "sample": "nothing", "learning_rate": 0.0}
    return tuple(
        (arm if fraction else replace(arm, **at_zero), fraction)
        for fraction in wanted
        for arm in arms
        if fraction or not _starts_from_nothing(arm)
    )


def stretch_epochs(config: TrainConfig, *, n_train: int, n_full: int) -> TrainConfig:
    """Give a fit on few galaxies as many steps as one on all of them: more of everything that is counted in epochs.

    Parameters
    ----------
    config : TrainConfig
        For a fit on `n_full` galaxies.
    n_train, n_full : int
        Galaxies there are, and galaxies of the whole training set.

    Returns
    -------
    TrainConfig

    Raises
    ------
    ConfigError
        If there is no galaxy, or there are more than in the whole set.

    Examples
    --------
    >>> from astrolab.trainers.config import TrainConfig
    >>> stretch_epochs(TrainConfig(epochs=8, patience=None, batch_size=50), n_train=200, n_full=1000).epochs
    40
    """
    if not 0 < n_train <= n_full:
        raise ConfigError(
            "A fit on few galaxies was to get as many steps as one on all of them.",
            received=f"n_train={n_train:,}, n_full={n_full:,}",
            available="n_train from 1 to n_full",
            remedy="Give the sizes of the fraction and of the whole training set.",
        )
    steps, steps_full = (math.ceil(n / config.batch_size) for n in (n_train, n_full))
    in_epochs = {name: getattr(config, name) for name in ("epochs", "patience", "plateau_patience", "ema_span")}
    return config.with_changes(**{name: n and math.ceil(n * steps_full / steps) for name, n in in_epochs.items()})


def _starts_from_nothing(arm: Arm) -> bool:
    return arm.adapt["strategy"] == "scratch" and arm.sample == "finetune"
