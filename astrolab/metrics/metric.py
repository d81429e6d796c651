"""What a metric is, and the one place where all of them are found by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from astrolab.errors import ConfigError, unknown_name

if TYPE_CHECKING:
    from astrolab.metrics.bootstrap import Resampled

Sign = Literal["lower", "higher", "zero"]

SIGNS: tuple[Sign, ...] = ("lower", "higher", "zero")


class MetricFunction(Protocol):
    """Truths and predictions of the same galaxies in, one number out."""

    def __call__(self, *, truth: np.ndarray, pred: np.ndarray) -> float:
        """Compare ``truth`` (n,) with ``pred`` (n,)."""


@dataclass(frozen=True)
class Metric:
    """One number that compares predictions with truth, and where its definition comes from."""

    id: str
    label: str
    formula: str
    reference: str
    sign: Sign
    unit: str
    function: MetricFunction
    resampled: Callable[[Resampled], np.ndarray] | None = None
    is_fraction: bool = False

    def __post_init__(self):
        if self.sign not in SIGNS:
            raise ConfigError(
                f"Metric {self.id!r} must say which values are better.",
                received=f"sign={self.sign!r}",
                available=", ".join(SIGNS),
                remedy="Give one of the signs above.",
            )

    def __call__(self, *, truth: np.ndarray, pred: np.ndarray) -> float:
        """Evaluate the metric on galaxies with these truths and predictions."""
        return float(self.function(truth=truth, pred=pred))

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

$z$ is the truth, $\hat z$ the prediction and $\Delta z = (\hat z - z)/(1 + z)$. Photometric-redshift scores are taken
over galaxies whose *true* redshift lies in $0.3 < z \le 1.5$, unless `z_range` says otherwise. Intervals are bootstrap
percentiles over galaxies, and binomial (Jeffreys) for the two rates. Models are compared on the same resampled
galaxies; when many are compared, their intervals hold together (single-step max-t; Westfall & Young 1993, Romano & Wolf
2005).

| id | formula | better | unit | reference |
|---|---|---|---|---|
"""

_BETTER = {"lower": "smaller", "higher": "larger", "zero": "nearer 0"}


def metrics_page() -> str:
    """Return the documentation page of all metrics, as Markdown."""
    return _PAGE_HEAD + "".join(map(_page_row, _METRICS.values()))


def _page_row(metric: Metric) -> str:
    formula = metric.formula.replace("|", r" \vert ")  # a bare bar would end the table cell
    return f"| `{metric.id}` | ${formula}$ | {_BETTER[metric.sign]} | {metric.unit} | {metric.reference} |\n"
