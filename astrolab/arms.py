"""The ways of moving a model that the studies compare, under one name each.

An *arm* is a strategy of :func:`astrolab.adapt` with the sample it trains on and its learning rate: what one bar of
the figures stands for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from types import MappingProxyType
from typing import Any

from astrolab.errors import ConfigError, unknown_name


@dataclass(frozen=True)
class Arm:
    """One way of moving a model from a survey to another."""

    name: str
    words: str
    adapt: Mapping[str, Any] = field(default_factory=dict)
    sample: str = "finetune"
    learning_rate: float = 0.0
    is_published: bool = False
    family: str = ""
    variant: str = ""


def _arm(
    name: str, words: str, *, sample: str = "finetune", learning_rate: float, is_published: bool = False, **adapt: Any
) -> Arm:
    return Arm(name, words, MappingProxyType(adapt), sample, learning_rate, is_published)


ARMS: Mapping[str, Arm] = MappingProxyType(
    {
        arm.name: arm
        for arm in (
            _arm("zero_shot", "the base model, untouched", sample="nothing", learning_rate=0.0, strategy="zero_shot"),
            _arm(
                "tl",
                "transfer learning as described: only the input layer and the regressor train",
                learning_rate=1e-3,
                strategy="layers",
                layers=("input", "regressor"),
            ),
            _arm(
                "tl_published",
                "transfer learning as the published code does it: nothing frozen, steps of 1e-8",
                learning_rate=1e-8,
                is_published=True,
                strategy="full",
            ),
            _arm(
                "lora", "low-rank adapters on every convolution and linear layer", learning_rate=1e-3, strategy="lora"
            ),
            _arm("residual", "frozen network plus a small learned correction", learning_rate=1e-3, strategy="residual"),
            _arm("head", "only the regressor trains", learning_rate=1e-3, strategy="head"),
            _arm("full", "every parameter trains on", learning_rate=1e-4, strategy="full"),
            _arm("scratch", "a fresh network on the fine-tuning set alone", learning_rate=1e-3, strategy="scratch"),
            _arm(
                "combo", "a fresh network on both sets together", sample="union", learning_rate=1e-3, strategy="scratch"
            ),
        )
    }
)


def choose_arms(names: Sequence[str], *, learning_rates: Mapping[str, float] | None = None) -> tuple[Arm, ...]:
    """Return the arms of a comparison, with their learning rates.

    Parameters
    ----------
    names : sequence of str
        Keys of :data:`ARMS`.
    learning_rates : mapping, optional
        Learning rates that replace the defaults, by arm.

    Returns
    -------
    tuple of Arm

    Raises
    ------
    UnknownNameError
        If a name is not an arm.
    ConfigError
        If an arm is named twice, or a learning rate is not above 0.
    """
    rates = dict(learning_rates or {})
    _refuse_rates({name: rate for name, rate in rates.items() if not _is_rate(rate)})
    for name in [*names, *rates]:
        if name not in ARMS:
            raise unknown_name("arm", name=name, names=ARMS)
    if len(set(names)) != len(names):
        raise ConfigError(
            "Arms were chosen for a comparison.",
            received=", ".join(names),
            available=", ".join(ARMS),
            remedy="Name each arm once; repeat runs through `seeds`.",
        )
    return tuple(replace(ARMS[name], learning_rate=rates.get(name, ARMS[name].learning_rate)) for name in names)


def _is_rate(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and 0 < value < float("inf")


def _refuse_rates(wrong: Mapping[str, Any]) -> None:
    if wrong:
        raise ConfigError(
            "Learning rates were chosen for arms.",
            received=", ".join(f"{name}: {rate!r}" for name, rate in wrong.items()),
            available="numbers above 0",
            remedy="Give numbers such as 1.0e-4 (YAML reads 1e-4 as text); an arm without one keeps its own.",
        )


def trial_rates(arm: Arm, *, n_trials: int, step: float = 10**0.5) -> tuple[float, ...]:
    """Return the learning rates to try for an arm: its own, then steps below and above it in turn.

    Every arm gets the same number, so that none is better tuned than another; but one whose rate was published keeps
    it, and one that does not train has none.

    Parameters
    ----------
    arm : Arm
    n_trials : int
    step : float
        Factor from one rate to the next.

    Returns
    -------
    tuple of float

    Raises
    ------
    ConfigError
        If there is not at least one trial, or the step is not above 1.

    Examples
    --------
    >>> [f"{rate:.0e}" for rate in trial_rates(ARMS["tl"], n_trials=3, step=10)]
    ['1e-03', '1e-04', '1e-02']
    >>> trial_rates(ARMS["tl_published"], n_trials=3)
    (1e-08,)
    """
    if n_trials < 1 or step <= 1:
        raise ConfigError(
            "Learning rates were to be tried.",
            received=f"n_trials={n_trials!r}, step={step!r}",
            available="at least one trial, and a step above 1",
            remedy="Use n_trials=1 for the rate of the arm as it is.",
        )
    if arm.learning_rate == 0:
        return ()
    if arm.is_published:
        return (arm.learning_rate,)
    exponents = [(number + 1) // 2 * (-1 if number % 2 else 1) for number in range(n_trials)]
    return tuple(arm.learning_rate * step**exponent for exponent in exponents)
