r"""How many times worse one model scores than another on the same galaxies.

The interval of a ratio :math:`a/b` is the set of all :math:`c` for which :math:`a - c\,b` is not told apart from zero
(Fieller 1954, J. R. Stat. Soc. B 16, 175), with the covariance of the resamples; where the sign of a bias is not
certain, with that of the sign that widens the interval (:mod:`astrolab.metrics.resamples`). It has no upper end where
:math:`b` itself may be zero: no number of times is too many then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.stats

from astrolab.errors import ConfigError
from astrolab.metrics.comparing import HEADLINE_METRICS, default_groups
from astrolab.metrics.grouping import Z_RANGE, ZRange
from astrolab.metrics.metric import Metric, find_metric
from astrolab.metrics.pairing import iterate_panels
from astrolab.metrics.resamples import (
    Correction,
    Resamples,
    Seeds,
    critical_values,
    describe_pair,
    describe_standing,
    in_standard_errors,
    require_choices,
    resample_models,
)


@dataclass(frozen=True)
class Ratio:
    """One metric of model `a` over that of model `b`, on the same galaxies."""

    family: Resamples
    a: str
    b: str

    @property
    def value(self) -> float:
        """The ratio; infinite, or NaN, where the denominator is zero."""
        above, below = self.family.sizes[self._places]
        return float(above / below) if below else float(np.inf if above else np.nan)

    @property
    def by_seed(self) -> np.ndarray:
        """The ratio of each training seed, shape (n_seeds,)."""
        above, below = self.family.badness[self._places]
        return np.divide(above, below, out=np.full(len(above), np.inf), where=below > 0)

    @property
    def _places(self) -> list[int]:
        return [self.family.index(self.a), self.family.index(self.b)]

    def scaled(self) -> np.ndarray:
        """How far each resample moves ``a - value * b``, in standard errors, shape (n_resamples,)."""
        if not np.isfinite(self.value):
            return np.zeros(self.family.deviations.shape[1])
        weights = self.family.contrast(a=self.a, b=self.b, times=self.value)
        return in_standard_errors(self.family.moves(weights), errors=self.family.errors(weights))

    def interval(self, reach: float) -> tuple[float, float]:
        """Return every ratio from which the models are at most `reach` standard errors away."""
        above, below = self.family.sizes[self._places]
        covariance = reach**2 * self.family.covariance[np.ix_(self._places, self._places)]
        square = below**2 - covariance[1, 1]
        linear = above * below - covariance[0, 1]
        constant = above**2 - covariance[0, 0]
        root = np.sqrt(max(linear**2 - square * constant, 0.0))
        low = constant / (linear + root) if constant > 0 else 0.0
        high = (linear + root) / square if square > 0 else np.inf
        return float(low), float(high)


def ratio_intervals(ratios: Sequence[Ratio], *, level: float, correction: Correction = "max_t") -> np.ndarray:
    """Return the intervals of a family of ratios, which may stand on several surveys and metrics."""
    require_choices(level=level, correction=correction)
    scaled = np.array([ratio.scaled() for ratio in ratios])
    reaches = critical_values(scaled, level=level, correction=correction)
    normal = scipy.stats.norm.ppf((1 + level) / 2)
    is_few = [ratio.family.metric.is_fraction or not ratio.scaled().any() for ratio in ratios]
    reaches = np.where(is_few, np.maximum(reaches, normal), reaches)
    return np.array([ratio.interval(reach) for ratio, reach in zip(ratios, reaches, strict=True)])


def compare_ratio(
    predictions: pd.DataFrame,
    *,
    pairs: Sequence[tuple[str, str]],
    column: str = "arm",
    metrics: Sequence[str] = HEADLINE_METRICS,
    by: Sequence[str] | None = None,
    z_range: ZRange = Z_RANGE,
    n_bootstrap: int = 2000,
    seed: int = 0,
    level: float = 0.95,
    correction: Correction = "max_t",
    seeds: Seeds = "fixed",
) -> pd.DataFrame:
    """Say how many times worse model ``a`` scores than ``b`` on the same galaxies, e.g. ``|bias_a| / |bias_b|``.

    Parameters
    ----------
    predictions : DataFrame
        As for :func:`astrolab.metrics.compare_models`.
    pairs : sequence of (str, str)
        Numerator and denominator: two values of `column` each.
    metrics : sequence of str
        Metrics of which the smallest size is the best.
    column, by, z_range, n_bootstrap, seed, level, correction, seeds
        As for :func:`astrolab.metrics.compare_models`; a family is all `pairs` in one group and metric.

    Returns
    -------
    DataFrame
        Columns `by`, ``metric``, ``a``, ``b``, ``value_a``, ``value_b``, ``ratio``, ``low``, ``high`` (infinite where
        the denominator may be zero), ``n``, ``n_seeds``, ``seed_std`` (of the ratio), ``n_comparisons`` and
        ``simulated``.

    Raises
    ------
    ConfigError
        If a metric has no ratio because larger values are better, or there is no pair.
    PredictionError
        If a model is not in the table, or the models were not applied to the same galaxies.
    """
    chosen = [_require_ratio(find_metric(name)) for name in metrics]
    names = list(dict.fromkeys(name for pair in pairs for name in pair))
    if not names:
        raise ConfigError("Ratios were asked for.", received="no pair", remedy='Give pairs, e.g. [("tl", "lora")].')
    by = default_groups(predictions, column=column) if by is None else by
    rows = []
    for panel in iterate_panels(predictions, models=names, column=column, by=by, z_range=z_range):
        for family in resample_models(panel, metrics=chosen, n_bootstrap=n_bootstrap, seed=seed, seeds=seeds):
            ratios = [Ratio(family, a, b) for a, b in pairs]
            intervals = ratio_intervals(ratios, level=level, correction=correction)
            for ratio, (low, high) in zip(ratios, intervals, strict=True):
                measured = describe_pair(family, a=ratio.a, b=ratio.b)
                measured |= {"ratio": ratio.value, "low": low, "high": high}
                rows.append(measured | describe_standing(family, by_seed=ratio.by_seed, n_comparisons=len(pairs)))
    return pd.DataFrame(rows)


def _require_ratio(metric: Metric) -> Metric:
    if metric.sign == "higher":
        raise ConfigError(
            f"How many times worse one model is than another was asked for, by {metric.id!r}.",
            received="a metric of which larger values are better, and which has no zero to count from",
            remedy="Use compare_models, or a metric such as scatter.",
        )
    return metric
