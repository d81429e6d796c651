"""What a metric is, what it is taken of, and the one place where all of them are found by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from astrolab.errors import ConfigError, unknown_name
from astrolab.tasks import QUANTITIES, Quantity

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


@dataclass(frozen=True)
class Metric:
    """One number that compares predictions with truth, and where its definition comes from.

    A function that takes the `mean`, `median` and `median_distance` of its sample, and no other sum or rank, gives its
    values of many resamples at once (`on_resamples`); for any other each resample is built.
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
            raise ConfigError(
                f"Metric {self.id!r} must say which values are better.",
                received=f"sign={self.sign!r}",
                available="lower, higher, zero",
                remedy="Give one of the signs above.",
            )

    def __call__(self, sample: Sample) -> float:
        """Evaluate the metric; an empty sample has no value (NaN)."""
        return float(self.function(sample)) if len(sample) else float("nan")

    def unit_of(self, quantity: Quantity) -> str:
        """Give the unit of the metric of a quantity; nothing for a pure number."""
        is_number = self.unit == "1" or (self.unit == "that of δ" and quantity.error != "plain")
        return "" if is_number else quantity.unit

    def badness(self, values: np.ndarray) -> np.ndarray:
        """Turn values of this metric into numbers of which the smallest is the best.

        >>> find_metric("bias").badness(np.array([-0.02, 0.01])).tolist()
        [0.02, 0.01]
        """
        values = np.asarray(values, dtype=float)
        if self.sign == "zero":
            return np.abs(values)
        return values if self.sign == "lower" else -values


_METRICS: dict[str, Metric] = {}


def register(metric: Metric) -> Metric:
    """Add a metric to the registry, so that ``score`` finds it by its id."""
    if metric.id in _METRICS:
        raise ConfigError(
            f"Metric {metric.id!r} was to be registered.",
            received=f"an id that already means {_METRICS[metric.id].formula}",
            remedy="Give the new formula a name of its own: one name never means two formulas.",
        )
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


_PAGE_HEAD = r"""# Metrics

One name means one formula. This page is written by `astrolab.metrics.metrics_page()`; a test keeps the two in step.

$y$ is the truth of a label, $\hat y$ its prediction, and $\delta$ how far the prediction lies from the truth, as the
quantity says: $\hat y - y$, or $(\hat y - y)/(1 + y)$ for a redshift. Scores are taken over the objects whose *true*
value lies in the range that the quantity says; `score(..., task=task.with_scored(z=(0.0, 0.3)))` changes it. An object
whose truth is unknown is left out, for the label that is unknown only, and the column `n` counts those that remain.

QUANTITIES
A manifest defines other quantities, and may change these: [data_manifests/README.md](../data_manifests/README.md).

With several labels, scores are of each label; `across="macro"` gives their mean over labels, `across="pooled"` the
score of all residuals together. No score is weighted: the weights of labels, such as numbers of votes, are for
training.

Intervals are bootstrap percentiles over objects, an object with all its labels, and binomial (Jeffreys) for rates.
Models are compared on the same resampled objects; when many are compared, their intervals hold together (single-step
max-t; Westfall & Young 1993, Romano & Wolf 2005).

| id | formula | better | unit | reference |
|---|---|---|---|---|
"""

_BETTER = {"lower": "smaller", "higher": "larger", "zero": "nearer 0"}
_DELTA = {"plain": r"$\hat y - y$", "per_one_plus": r"$(\hat y - y)/(1 + y)$"}


def metrics_page() -> str:
    """Return the documentation page of all metrics, as Markdown."""
    rows = "".join(map(_quantity_row, QUANTITIES.values()))
    head = "| quantity | words | δ | scored | outlier cut c |\n|---|---|---|---|---|\n"
    return _PAGE_HEAD.replace("QUANTITIES\n", head + rows + "\n") + "".join(map(_page_row, _METRICS.values()))


def _quantity_row(quantity: Quantity) -> str:
    words = f"{quantity.words} ({quantity.unit})" if quantity.unit else quantity.words
    scored = "all" if quantity.scored is None else "${:g} < y \\le {:g}$".format(*quantity.scored)
    cut = "none" if quantity.outlier is None else f"{quantity.outlier:g}"
    return f"| `{quantity.name}` | {words} | {_DELTA[quantity.error]} | {scored} | {cut} |\n"


def _page_row(metric: Metric) -> str:
    formula = metric.formula.replace("|", r" \vert ")  # a bare bar would end the table cell
    return f"| `{metric.id}` | ${formula}$ | {_BETTER[metric.sign]} | {metric.unit} | {metric.reference} |\n"
