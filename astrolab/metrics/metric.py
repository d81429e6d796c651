"""What a metric is, what it is taken of, and the one place where all of them are found by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from astrolab.errors import ConfigError, unknown_name
from astrolab.tasks import Quantity

Sign = Literal["lower", "higher", "zero"]


@dataclass(eq=False)
class Sample:
    """Truths (n,) and predictions (n,) of one quantity; `objects` (n,) numbers their objects if not one a value."""

    truth: np.ndarray
    pred: np.ndarray
    quantity: Quantity
    objects: np.ndarray | None = None

    def __len__(self) -> int:
        """Number of values."""
        return len(self.truth)

    @cached_property
    def residual(self) -> np.ndarray:
        """How far each prediction lies from the truth (n,): δ, as the quantity defines it."""
        return self.quantity.residual(truth=self.truth, pred=self.pred)

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Mean of values (..., n) over the objects."""
        return np.mean(values, axis=-1)

    @cached_property
    def median(self) -> np.ndarray:
        """Median of δ."""
        return np.median(self.residual)

    def median_distance(self, centre: np.ndarray | float) -> np.ndarray:
        """Median of ``|δ - centre|``."""
        return np.median(np.abs(self.residual - centre))

    def within(self, *, low: np.ndarray | float, high: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
        """Median and standard deviation (1/n) of the δ from `low` to `high`."""
        kept = self.residual[(self.residual >= low) & (self.residual <= high)]
        return np.median(kept), np.std(kept)


@dataclass(frozen=True)
class Metric:
    """One number that compares predictions with truth, and where its definition comes from.

    A function that takes the `mean`, `median`, `median_distance` and `within` of its sample, and no other sum or rank,
    gives its values of many resamples at once (`on_resamples`); for any other each resample is built.
    """

    id: str
    label: str
    formula: str
    reference: str
    function: Callable[[Sample], float]
    sign: Sign = "lower"
    unit: Literal["1", "that of δ", "that of the label"] = "that of δ"
    is_fraction: bool = False
    on_resamples: bool = False

    def __post_init__(self):
        if self.sign not in ("lower", "higher", "zero"):
            asked, signs = f"Metric {self.id!r} must say which values are better.", "lower, higher, zero"
            remedy = "Give one of the signs above."
            raise ConfigError(asked, received=f"sign={self.sign!r}", available=signs, remedy=remedy)

    def __call__(self, sample: Sample) -> float:
        """Evaluate the metric; an empty sample has no value (NaN)."""
        return float(self.function(sample)) if len(sample) else float("nan")

    def unit_of(self, quantity: Quantity) -> str:
        """Give the unit of the metric of a quantity; nothing for a pure number."""
        is_number = self.unit == "1" or (self.unit == "that of δ" and quantity.error != "plain")
        return "" if is_number else quantity.unit

    def badness(self, values: np.ndarray) -> np.ndarray:
        """Turn values of this metric into numbers of which the smallest is the best."""
        values = np.asarray(values, dtype=float)
        if self.sign == "zero":
            return np.abs(values)
        return values if self.sign == "lower" else -values


_METRICS: dict[str, Metric] = {}


def register(metric: Metric) -> Metric:
    """Add a metric to the registry, so that ``score`` finds it by its id."""
    if metric.id in _METRICS:
        asked, received = f"Metric {metric.id!r} was to be registered.", f"the name of {_METRICS[metric.id].formula}"
        raise ConfigError(asked, received=received, remedy="Give the new formula a name of its own.")
    _METRICS[metric.id] = metric
    return metric


def find_metric(name: str) -> Metric:
    """Return the metric of this name."""
    if name not in _METRICS:
        raise unknown_name("metric", name=name, names=_METRICS)
    return _METRICS[name]


def list_metrics() -> tuple[str, ...]:
    """Return the ids of all metrics, in the order of their definition."""
    return tuple(_METRICS)
