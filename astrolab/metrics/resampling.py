"""Bootstrap over objects: intervals of scores, and of differences between models on the same resampled objects.

The mathematics, with their sources, are in docs/intervals.md.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import scipy.stats

from astrolab.errors import ConfigError
from astrolab.metrics.metric import Metric, Sample

Correction = Literal["max_t", "none"]
Seeds = Literal["fixed", "sampled", "auto"]
Parts = Sequence[Sample]  # what one score is the mean of: one sample, or one a label

_CELLS_PER_CHUNK = 4_000_000  # counts held at once; 32 MB as float64
_BISECTIONS = 64  # halves the range of the values below the resolution of a double
_CERTAIN = 3.0  # standard errors from zero at which a sign is taken for certain


@dataclass(frozen=True)
class Resampling:
    """How intervals are made.

    Parameters
    ----------
    n : int
        Number of resamples; 0 leaves the intervals of scores empty.
    seed : int
        Samples of the same objects in the same order share their resamples.
    level : float
        Probability inside the interval; in comparisons that all intervals of a family hold.
    correction : {"max_t", "none"}
        ``"none"``: each interval of a family holds by itself, and among many some do not.
    seeds : {"fixed", "sampled", "auto"}
        What comparisons are about: the networks at hand, or those of other training seeds too, which adds the spread
        over seeds with the tails of Student's t. ``"auto"`` samples seeds where there are several.
    """

    n: int = 1000
    seed: int = 0
    level: float = 0.68
    correction: Correction = "max_t"
    seeds: Seeds = "fixed"

    def __post_init__(self):
        right = {
            f"n={self.n!r}": self.n == 0 or self.n >= 2,
            f"level={self.level!r}": 0 < self.level < 1,
            f"correction={self.correction!r}": self.correction in ("max_t", "none"),
            f"seeds={self.seeds!r}": self.seeds in ("fixed", "sampled", "auto"),
        }
        if not all(right.values()):
            received = ", ".join(setting for setting, is_right in right.items() if not is_right)
            available = "n: 0 or from 2; level between 0 and 1; correction: max_t, none; seeds: fixed, sampled, auto"
            asked, remedy = "Intervals were to be made by resampling.", "Use values of those above."
            raise ConfigError(asked, received=received, available=available, remedy=remedy)

    def samples_seeds(self, n_seeds: int) -> bool:
        """Whether intervals hold for networks of other training seeds too, where there are `n_seeds` of each."""
        if self.seeds == "sampled" and n_seeds < 2:
            raise too_few_seeds()
        return self.seeds == "sampled" or (self.seeds == "auto" and n_seeds > 1)


def too_few_seeds() -> ConfigError:
    """Make the error that says that one training seed tells nothing about others."""
    asked = "Intervals were to hold for networks of other training seeds too."
    remedy = 'Train with two seeds or more (three make the intervals useful), or use seeds="fixed".'
    return ConfigError(asked, received="one seed", remedy=remedy)


@dataclass(eq=False)
class Draws:
    """Some bootstrap resamples of n objects: counts (n_resamples, n)."""

    counts: np.ndarray

    @cached_property
    def weights(self) -> np.ndarray:
        """The counts as float64, for matrix products."""
        return self.counts.astype(np.float64)


def draw(n: int, *, n_resamples: int, seed: int) -> Iterator[Draws]:
    """Draw `n` objects out of `n` with replacement, many times."""
    rng = np.random.default_rng(seed)
    chunk = max(1, _CELLS_PER_CHUNK // n)
    for start in range(0, n_resamples, chunk):
        rows = min(chunk, n_resamples - start)
        drawn = rng.integers(0, n, size=(rows, n))
        drawn += n * np.arange(rows)[:, None]
        # An object drawn more than 255 times out of n has probability below 1e-500: uint8 holds every count.
        yield Draws(np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(np.uint8))


class Resampled(Sample):
    """Many resamples of a sample at once: its means and medians are arrays, one value a resample."""

    def __init__(self, sample: Sample, *, draws: Draws):
        super().__init__(sample.truth, sample.pred, sample.quantity)
        self.draws = draws if sample.objects is None else Draws(draws.counts[:, sample.objects])
        self._n_drawn = self.draws.counts.sum(axis=1, dtype=np.int32)
        self._rows = np.arange(len(self._n_drawn))

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Mean of values, (n,) or (n_resamples, n), over each resample; NaN where it holds none."""
        values, weights = np.asarray(values, dtype=np.float64), self.draws.weights
        total = weights @ values if values.ndim == 1 else (values * weights).sum(axis=1)
        with np.errstate(invalid="ignore"):
            return total / self._n_drawn

    @cached_property
    def _ordered(self) -> tuple[np.ndarray, np.ndarray]:
        """The sorted δ (n,), and how many of the first of them each resample holds (n_resamples, n + 1)."""
        order = np.argsort(self.residual)
        cumulative = np.zeros((len(self._rows), len(order) + 1), dtype=np.int32)
        cumulative[:, 1:] = np.take(self.draws.counts, order, axis=1)
        np.cumsum(cumulative, axis=1, out=cumulative)  # in place: three times as fast as from the uint8
        return self.residual[order], cumulative

    def _middle(self, at_rank: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Mean of what lies at the two middle ranks (1 = smallest); NaN where a resample holds no known label."""
        lower, upper = at_rank((self._n_drawn + 1) // 2), at_rank(self._n_drawn // 2 + 1)
        return (lower + upper) / 2 + np.where(self._n_drawn > 0, 0.0, np.nan)

    def _value_at(self, rank: np.ndarray) -> np.ndarray:
        """The δ at one rank of each resample (1 = smallest)."""
        values, cumulative = self._ordered
        low, high = np.zeros(len(rank), dtype=np.intp), np.full(len(rank), len(values) - 1)
        while (low < high).any():
            middle = (low + high) // 2
            reached = cumulative[self._rows, middle + 1] >= rank
            low, high = np.where(reached, low, middle + 1), np.where(reached, middle, high)
        return values[low]

    @cached_property
    def median(self) -> np.ndarray:
        """Median of δ in each resample, shape (n_resamples,)."""
        return self._middle(self._value_at)

    @cached_property
    def _running(self) -> tuple[np.ndarray, ...]:
        """Sums of the first δ about the overall median, and of their squares, of each resample (n_resamples, n + 1)."""
        values, cumulative = self._ordered
        offset, counts = values - np.median(values), np.diff(cumulative, axis=1)
        return tuple(np.pad(np.cumsum(counts * offset**power, axis=1), ((0, 0), (1, 0))) for power in (1, 2))

    def within(self, *, low: np.ndarray | float, high: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
        """Median and standard deviation of the δ from `low` to `high` in each resample, shape (n_resamples,)."""
        values, cumulative = self._ordered
        first, last = np.searchsorted(values, low, side="left"), np.searchsorted(values, high, side="right")
        n, total, squares = (sums[self._rows, last] - sums[self._rows, first] for sums in (cumulative, *self._running))
        below = cumulative[self._rows, first]
        median = (self._value_at(below + (n + 1) // 2) + self._value_at(below + n // 2 + 1)) / 2
        with np.errstate(invalid="ignore"):  # a resample without a known label has no value
            return np.where(n > 0, median, np.nan), np.sqrt(np.maximum(squares / n - (total / n) ** 2, 0.0))

    def median_distance(self, centre: np.ndarray | float) -> np.ndarray:
        """Median of ``|δ - centre|`` in each resample, shape (n_resamples,)."""
        values, cumulative = self._ordered

        def at_rank(rank: np.ndarray) -> np.ndarray:
            low, high = np.zeros(len(rank)), np.maximum(values[-1] - centre, centre - values[0])
            for _ in range(_BISECTIONS):
                middle = (low + high) / 2
                last = np.searchsorted(values, centre + middle, side="right")
                first = np.searchsorted(values, centre - middle, side="left")
                reached = cumulative[self._rows, last] - cumulative[self._rows, first] >= rank
                low, high = np.where(reached, low, middle), np.where(reached, middle, high)
            return high

        return self._middle(at_rank)

    def evaluate(self, metric: Metric) -> np.ndarray:
        """Value of a metric on each resample."""
        if metric.on_resamples:
            return metric.function(self)
        indices = (np.repeat(np.arange(len(self)), counts) for counts in self.draws.counts)
        return np.array([metric(Sample(self.truth[i], self.pred[i], self.quantity)) for i in indices])


def evaluate(parts: Parts, *, metric: Metric) -> float:
    """Value of a metric: the mean of its values of all parts."""
    return float(np.mean([metric(sample) for sample in parts]))


def bootstrap(
    groups: Sequence[Parts], *, metrics: Sequence[Metric], n_objects: int, n_resamples: int, seed: int
) -> np.ndarray:
    """Evaluate metrics of groups of the same objects on the same resamples: (n_groups, n_metrics, n_resamples)."""
    chunks = []
    for draws in draw(n_objects, n_resamples=n_resamples, seed=seed):
        values = []
        for parts in groups:
            resampled = [Resampled(sample, draws=draws) for sample in parts]
            values.append([np.mean([one.evaluate(metric) for one in resampled], axis=0) for metric in metrics])
        chunks.append(np.array(values))
    return np.concatenate(chunks, axis=-1)


def intervals(
    groups: Sequence[Parts], *, metrics: Sequence[Metric], n_objects: Sequence[int], resampling: Resampling
) -> np.ndarray:
    """Intervals (n_groups, n_metrics, 2) of metrics of groups: bootstrap percentiles, or binomial for a rate."""
    limits = np.full((len(groups), len(metrics), 2), np.nan)
    scored = [i for i, parts in enumerate(groups) if all(len(sample) for sample in parts)] if resampling.n else []
    for n in dict.fromkeys(n_objects[i] for i in scored):
        alike = [i for i in scored if n_objects[i] == n]
        once = {i: len(groups[i]) == 1 and groups[i][0].objects is None for i in alike}
        drawn = [j for j, metric in enumerate(metrics) if not (metric.is_fraction and all(once.values()))]
        spread = np.full((len(alike), len(metrics), resampling.n), np.nan)
        if drawn:
            chosen, settings = [metrics[j] for j in drawn], {"n_resamples": resampling.n, "seed": resampling.seed}
            spread[:, drawn] = bootstrap([groups[i] for i in alike], metrics=chosen, n_objects=n, **settings)
        for i, of_group in zip(alike, spread, strict=True):
            for j, metric in enumerate(metrics):
                values = of_group[j][~np.isnan(of_group[j])]
                if metric.is_fraction:
                    rate, n_independent = evaluate(groups[i], metric=metric), n
                    if not once[i]:  # so many objects, counted once each, would vary as much over resamples
                        variance = float(values.var(ddof=1))
                        n_independent = rate * (1 - rate) / variance if variance > 0 else min(n, *map(len, groups[i]))
                    limits[i, j] = rate_interval(rate, n=n_independent, level=resampling.level)
                elif len(values):
                    limits[i, j] = percentile_interval(values, level=resampling.level)
    return limits


def percentile_interval(values: np.ndarray, *, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the central interval of a fraction `level` of the values (Efron & Tibshirani 1993, section 13.3)."""
    return tuple(np.quantile(values, [(1 - level) / 2, (1 + level) / 2], axis=-1))


def rate_interval(rate: float, *, n: float, level: float) -> tuple[float, float]:
    """Return the Jeffreys interval of a rate of `n` objects."""
    hits = round(rate * n) if isinstance(n, int) else rate * n
    posterior = scipy.stats.beta(hits + 0.5, n - hits + 0.5)
    low = float(posterior.ppf((1 - level) / 2)) if hits else 0.0
    return low, float(posterior.ppf((1 + level) / 2)) if hits < n else 1.0


@dataclass(frozen=True)
class Panel:
    """Predictions of several models for the same objects, one sample a model and training seed."""

    key: dict[str, object]
    models: tuple[str, ...]
    n_seeds: int
    samples: list[Sample]
    simulated: bool

    def __len__(self) -> int:
        """Number of objects."""
        return len(self.samples[0]) if self.samples else 0


@dataclass(eq=False)
class Resamples:
    """One metric of several models on the same objects, and how it moves when these are drawn again.

    `values` are (n_models, n_seeds), and so is `badness`, how bad each network is; `sizes` (n_models,) are its means.
    `moves` (n_models, n_seeds, n_resamples) say how much worse each resample is.
    """

    panel: Panel
    metric: Metric
    values: np.ndarray
    moves: np.ndarray
    resampling: Resampling

    def __post_init__(self):
        n_models, n_seeds = self.values.shape
        self.badness = self.metric.badness(self.values)
        self.sizes = self.badness.mean(axis=1)
        self._signed, self._unsigned = self.moves.mean(axis=1), np.abs(self.moves).mean(axis=1)
        self._is_certain = np.full(n_models, True)  # that the values of a model have the sign they seem to have
        if self.metric.sign == "zero":
            errors = self.moves.std(axis=-1, ddof=1)
            self._is_certain = (np.abs(self.values) > _CERTAIN * errors).all(axis=1)
        # Of the sizes, through the choice of training seeds; zero where these are fixed.
        self.seed_covariance = np.zeros((n_models, n_models))
        if self.resampling.samples_seeds(n_seeds):
            self.seed_covariance = np.atleast_2d(np.cov(self.badness)) / n_seeds

    def index(self, model: str) -> int:
        """Row of a model in the arrays."""
        return self.panel.models.index(model)

    def contrast(self, *, a: str, b: str, times: float = 1.0) -> np.ndarray:
        """Weights of the sizes in ``a - times * b``, shape (n_models,)."""
        weights = np.zeros(len(self.sizes))
        weights[self.index(a)] += 1
        weights[self.index(b)] -= times
        return weights

    def are_certain(self, contrasts: np.ndarray) -> np.ndarray:
        """Whether each of some contrasts (n, n_models) holds only values of certain sign."""
        return (self._is_certain | (contrasts == 0)).all(axis=1)

    def covariance(self, contrast: np.ndarray) -> np.ndarray:
        """Covariance C (n_models, n_models) with which a contrast c has the variance ``c @ C @ c``."""
        if self.are_certain(contrast[None])[0]:
            covariance = np.atleast_2d(np.cov(self._signed))
        else:
            signs = np.sign(contrast)
            covariance = self._unsigned @ self._unsigned.T / self.resampling.n * np.outer(signs, signs)
        lost = np.eye(len(covariance)) / (len(self.panel) + 2) ** 2 if self.metric.is_fraction else 0.0
        return covariance + lost + self.seed_covariance

    def errors(self, contrasts: np.ndarray) -> np.ndarray:
        """Standard errors (n,) of contrasts (n, n_models)."""
        return np.sqrt([max(c @ self.covariance(c) @ c, 0.0) for c in contrasts])

    def shifts(self, contrasts: np.ndarray) -> np.ndarray:
        """What each resample and other seeds add to contrasts (n, n_models); at most, where a sign is not certain."""
        signed, certain = contrasts @ self._signed, self.are_certain(contrasts)[:, None]
        by_seeds = np.zeros_like(signed)
        if self.seed_covariance.any():
            variances = np.einsum("ni,ij,nj->n", contrasts, self.seed_covariance, contrasts)
            by_seeds = np.sqrt(np.maximum(variances, 0.0))[:, None] * np.array(list(map(self._student_t, contrasts)))
        return np.where(certain, signed + by_seeds, np.abs(contrasts) @ self._unsigned + np.abs(by_seeds))

    def scaled(self, contrasts: np.ndarray) -> np.ndarray:
        """Sizes of the shifts in standard errors, (n, n_resamples)."""
        return in_standard_errors(np.abs(self.shifts(contrasts)), errors=self.errors(contrasts)[:, None])

    def _student_t(self, contrast: np.ndarray) -> np.ndarray:
        """Draws (n_resamples,) for other seeds: the same for the same models, metric and objects, else independent."""
        truth = self.panel.samples[0].truth
        scored = zlib.crc32(np.ascontiguousarray(truth).tobytes(), zlib.crc32(self.metric.id.encode()))
        rng = np.random.default_rng([self.resampling.seed, 2, scored, *np.flatnonzero(contrast)])
        return rng.standard_t(self.panel.n_seeds - 1, self.resampling.n)

    @cached_property
    def resampled_sizes(self) -> np.ndarray:
        """Size of each model in each resample with the signs that were measured, (n_models, n_resamples)."""
        sizes, k = self.sizes[:, None] + self._signed, self.panel.n_seeds
        if not self.seed_covariance.any():
            return sizes
        # A mean over few seeds: Student's t with their covariance.
        rng = np.random.default_rng([self.resampling.seed, 1])
        centred = self.badness - self.sizes[:, None]
        normal = centred @ rng.standard_normal((k, self.resampling.n)) / np.sqrt(k * (k - 1))
        return sizes + normal / np.sqrt(rng.chisquare(k - 1, self.resampling.n) / (k - 1))

    def measure(self, contrasts: np.ndarray) -> np.ndarray:
        """Value, low and high (n, 3) of each contrast by itself; symmetric where a sign is not certain."""
        measured, shifts = contrasts @ self.sizes + 0.0, self.shifts(contrasts)  # no negative zero
        reach = np.quantile(shifts, self.resampling.level, axis=-1)
        percentiles = percentile_interval(measured[:, None] + shifts, level=self.resampling.level)
        ends = np.where(self.are_certain(contrasts), percentiles, [measured - reach, measured + reach])
        return np.stack([measured, *ends], axis=1)


def resample_models(panel: Panel, *, metrics: Sequence[Metric], resampling: Resampling) -> list[Resamples]:
    """Evaluate metrics of every model on the same resamples of objects."""
    resampling.samples_seeds(panel.n_seeds)
    if not resampling.n:
        raise ConfigError("Models were to be compared.", received="n=0 resamples", remedy="Use n=1000 or more.")
    shape, settings = (len(panel.models), panel.n_seeds), {"n_resamples": resampling.n, "seed": resampling.seed}
    groups = [(sample,) for sample in panel.samples]
    spread = bootstrap(groups, metrics=metrics, n_objects=len(panel), **settings)
    made = []
    for j, metric in enumerate(metrics):
        values = np.array([metric(sample) for sample in panel.samples]).reshape(shape)
        worse = {"lower": 1.0, "higher": -1.0, "zero": np.where(values < 0, -1.0, 1.0)[..., None]}[metric.sign]
        moves = worse * (spread[:, j].reshape(*shape, -1) - values[..., None])
        made.append(Resamples(panel, metric, values, moves, resampling))
    return made


def critical_values(
    scaled: np.ndarray, *, resampling: Resampling, are_few: bool | Sequence[bool] = False
) -> np.ndarray:
    """Return how many standard errors an interval reaches to either side; of few counts no less than of a normal."""
    reach = np.quantile(largest_deviation(scaled, correction=resampling.correction), resampling.level, axis=1)
    return np.where(are_few, np.maximum(reach, scipy.stats.norm.ppf((1 + resampling.level) / 2)), reach)


def largest_deviation(scaled: np.ndarray, *, correction: Correction) -> np.ndarray:
    """Return the largest deviation of the family in each resample, or that of each comparison without a correction."""
    sizes = np.abs(scaled)
    return np.broadcast_to(sizes.max(axis=0), sizes.shape) if correction == "max_t" else sizes


def in_standard_errors(values: np.ndarray, *, errors: np.ndarray, without: float = 0.0) -> np.ndarray:
    """Return values over their errors; `without` where the error is zero."""
    errors = np.broadcast_to(errors, values.shape)
    return np.divide(values, errors, out=np.full(values.shape, without), where=errors > 0)
