r"""Metrics of several models on the same resamples of the same galaxies, and how far their differences may lie off.

Every resample of the galaxies is the same for all models, so that a difference is freed of what is hard for all of
them. With standard error :math:`s_j` of difference :math:`d_j` in a family of comparisons, the interval is
:math:`d_j \pm c\, s_j`, where :math:`c` is the quantile of :math:`\max_j |d_j^* - d_j| / s_j` over resamples: all
intervals of the family hold together at the stated level, whatever the correlation between its members (single-step
max-t; Westfall & Young 1993, *Resampling-Based Multiple Testing*; Romano & Wolf 2005, Econometrica 73, 1237).

Of a metric whose best value is zero, sizes are compared. A value farther than three standard errors from zero has the
sign that was measured, and its size moves as it does. The sign of one that is nearer to zero is not known, and of two
models whose galaxies are hard for both, the size of their difference depends on it: what moves two biases alike leaves
:math:`|a| - |b|` where it is if they have the same sign, and moves it twice as far if they have not. With errors
:math:`e_a` and :math:`e_b`, all that holds is :math:`||\hat a| - |a|| \le |e_a|`: the sizes of values of unknown sign
lie off by :math:`|e_a| + |e_b|` at most, which is the larger of :math:`|e_a - e_b|` and :math:`|e_a + e_b|`, and
intervals are made for that. The naive bootstrap of a size does not hold there (Andrews 2000, Econometrica 68, 399).

Where training seeds are sampled, a contrast of k networks each has Student's t with k - 1 degrees of freedom for them.
How the contrasts of a family hang together is not known from a few seeds (their measured covariance has rank k - 1, and
takes many contrasts for one): each gets a t of its own, which is safe whatever the truth (Šidák 1967, J. Am. Stat.
Assoc. 62, 626).

A fraction of galaxies gets one lost galaxy more in its variance (Bonett & Price 2012, J. Educ. Behav. Stat. 37, 479):
resamples of a set with no outlier never have one.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from astrolab.errors import ConfigError
from astrolab.metrics.bootstrap import bootstrap, percentile_interval
from astrolab.metrics.metric import Metric
from astrolab.metrics.pairing import Panel

Correction = Literal["max_t", "none"]
Seeds = Literal["fixed", "sampled"]

CORRECTIONS: tuple[Correction, ...] = ("max_t", "none")
SEEDS: tuple[Seeds, ...] = ("fixed", "sampled")
_CERTAIN = 3.0  # standard errors from zero at which a sign is taken for certain


@dataclass(frozen=True)
class Resamples:
    """One metric of several models on the same galaxies, and how it moves when the galaxies are drawn again."""

    panel: Panel
    metric: Metric
    values: np.ndarray
    sizes: np.ndarray
    deviations: np.ndarray
    firm: np.ndarray
    loose: np.ndarray
    covariance: np.ndarray
    seed_covariance: np.ndarray
    seed: int

    def index(self, model: str) -> int:
        """Row of a model in the arrays."""
        return self.panel.models.index(model)

    @property
    def badness(self) -> np.ndarray:
        """How bad each network is, shape (n_models, n_seeds)."""
        return self.metric.badness(self.values)

    def contrast(self, *, a: str, b: str, times: float = 1.0) -> np.ndarray:
        """Weights of the sizes in ``a - times * b``, shape (n_models,)."""
        weights = np.zeros(len(self.panel.models))
        weights[self.index(a)] += 1
        weights[self.index(b)] -= times
        return weights

    def is_loose(self, contrasts: np.ndarray) -> np.ndarray:
        """Whether the sign of a value is not certain that stands in a contrast of shape (..., n_models)."""
        return (np.abs(contrasts) @ self.loose).any(axis=-1)

    def moves(self, contrasts: np.ndarray) -> np.ndarray:
        """How far each resample moves contrasts (..., n_models) of the sizes, at most: shape (..., n_resamples)."""
        return np.abs(self._shifts(contrasts)) + np.abs(contrasts) @ self.loose

    def errors(self, contrasts: np.ndarray) -> np.ndarray:
        """Standard errors of contrasts (..., n_models) of one model with another."""
        return _standard_errors(contrasts, covariance=self.covariance)

    def _shifts(self, contrasts: np.ndarray) -> np.ndarray:
        """What each resample adds to contrasts (..., n_models) through values of certain sign, and other seeds."""
        shifts = contrasts @ self.firm
        if not self.seed_covariance.any():
            return shifts
        errors = _standard_errors(contrasts, covariance=self.seed_covariance)
        draws = [self._student_t(contrast) for contrast in contrasts.reshape(-1, contrasts.shape[-1])]
        return shifts + errors[..., None] * np.reshape(draws, shifts.shape)

    def _student_t(self, contrast: np.ndarray) -> np.ndarray:
        """Draws (n_resamples,) for other seeds: the same for the same models, metric and galaxies, else independent."""
        truth, _ = self.panel.samples[0]
        scored = zlib.crc32(np.ascontiguousarray(truth).tobytes(), zlib.crc32(self.metric.id.encode()))
        rng = np.random.default_rng([self.seed, 2, scored, *np.flatnonzero(contrast)])
        return rng.standard_t(self.panel.n_seeds - 1, self.firm.shape[1])

    def intervals(self, contrasts: np.ndarray, *, level: float) -> np.ndarray:
        """Interval of each contrast by itself: percentiles of the resamples; symmetric where a sign is not certain."""
        measured = contrasts @ self.sizes
        reach = np.quantile(self.moves(contrasts), level, axis=-1)
        percentiles = percentile_interval(measured[:, None] + self._shifts(contrasts), level=level)
        return np.where(self.is_loose(contrasts), [measured - reach, measured + reach], percentiles)


def resample_models(
    panel: Panel, *, metrics: Sequence[Metric], n_bootstrap: int, seed: int, seeds: Seeds = "fixed"
) -> list[Resamples]:
    """Evaluate metrics of every model on the same resamples of galaxies."""
    require_choices(seeds=seeds, n_bootstrap=n_bootstrap)
    if seeds == "sampled" and panel.n_seeds < 2:
        raise too_few_seeds()
    shape = (len(panel.models), panel.n_seeds)
    spread = bootstrap(panel.samples, metrics=metrics, n_resamples=n_bootstrap, seed=seed)
    spread = spread.reshape(*shape, len(metrics), n_bootstrap)
    made = []
    for j, metric in enumerate(metrics):
        values = np.array([metric(truth=truth, pred=pred) for truth, pred in panel.samples]).reshape(shape)
        moves = _orientation(metric, values)[..., None] * (spread[:, :, j] - values[..., None])
        is_firm = _has_certain_sign(metric, values, errors=spread[:, :, j].std(axis=-1, ddof=1))[..., None]
        firm, loose = np.where(is_firm, moves, 0.0).mean(axis=1), np.where(is_firm, 0.0, np.abs(moves)).mean(axis=1)
        deviations, covariance = moves.mean(axis=1), _covariance(firm, loose=loose)
        if metric.is_fraction:
            covariance = covariance + np.eye(len(covariance)) / (len(panel) + 2) ** 2
        badness, of_seeds = metric.badness(values), np.zeros_like(covariance)
        if seeds == "sampled":
            deviations = deviations + _seed_noise(badness, n_resamples=n_bootstrap, seed=seed)
            of_seeds = np.atleast_2d(np.cov(badness)) / panel.n_seeds
        parts = {"deviations": deviations, "firm": firm, "loose": loose}
        errors = {"covariance": covariance + of_seeds, "seed_covariance": of_seeds, "seed": seed}
        made.append(Resamples(panel, metric, values, badness.mean(axis=1), **parts, **errors))
    return made


def too_few_seeds() -> ConfigError:
    """Make the error that says that one training seed tells nothing about others."""
    return ConfigError(
        "Intervals were to hold for networks of other training seeds too.",
        received="one seed",
        remedy='Train with two seeds or more (three make the intervals useful), or use seeds="fixed".',
    )


def _orientation(metric: Metric, values: np.ndarray) -> np.ndarray:
    """+1 where a larger value is worse, -1 where it is better."""
    if metric.sign == "zero":
        return np.where(values < 0, -1.0, 1.0)
    return np.full_like(values, 1.0 if metric.sign == "lower" else -1.0)


def _has_certain_sign(metric: Metric, values: np.ndarray, *, errors: np.ndarray) -> np.ndarray:
    """Whether the size of a value moves as the value does: not where it may be on either side of its best, zero."""
    return np.abs(values) > _CERTAIN * errors if metric.sign == "zero" else np.full(values.shape, True)


def _covariance(firm: np.ndarray, *, loose: np.ndarray) -> np.ndarray:
    """Covariance C with which a contrast has the variance ``C[a, a] - 2 c C[a, b] + c**2 C[b, b]``.

    It is the mean square of ``|firm_a - c firm_b| + loose_a + c loose_b``, with the mixed term as large as it may be.
    """
    n_resamples = firm.shape[1]
    sizes, both = np.abs(firm), np.abs(firm) @ loose.T + loose @ np.abs(firm).T + loose @ loose.T
    covariance = np.atleast_2d(np.cov(firm)) - both / n_resamples
    np.fill_diagonal(covariance, np.var(firm, axis=1, ddof=1) + np.mean((2 * sizes + loose) * loose, axis=1))
    return covariance


def _standard_errors(contrasts: np.ndarray, *, covariance: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(np.einsum("...i,ij,...j->...", contrasts, covariance, contrasts), 0.0))


def _seed_noise(badness: np.ndarray, *, n_resamples: int, seed: int) -> np.ndarray:
    """Deviations of a mean over few seeds: Student's t with their covariance, shape (n_models, n_resamples)."""
    rng = np.random.default_rng([seed, 1])
    k = badness.shape[1]
    centred = badness - badness.mean(axis=1, keepdims=True)
    normal = centred @ rng.standard_normal((k, n_resamples)) / np.sqrt(k * (k - 1))
    return normal / np.sqrt(rng.chisquare(k - 1, n_resamples) / (k - 1))


def critical_values(scaled: np.ndarray, *, level: float, correction: Correction) -> np.ndarray:
    """Return how many standard errors an interval reaches to either side."""
    largest = largest_deviation(scaled, correction=correction)
    return np.quantile(largest, level, axis=1)


def largest_deviation(scaled: np.ndarray, *, correction: Correction) -> np.ndarray:
    """Return the largest deviation of the family in each resample, or that of each comparison without a correction."""
    sizes = np.abs(scaled)
    return np.broadcast_to(sizes.max(axis=0), sizes.shape) if correction == "max_t" else sizes


def require_choices(
    *, level: float = 0.5, correction: str = "none", seeds: str = "fixed", n_bootstrap: int = 2
) -> None:
    """Refuse settings of a comparison that are not among their choices."""
    wrong = {
        f"level={level!r}": 0 < level < 1,
        f"correction={correction!r}": correction in CORRECTIONS,
        f"seeds={seeds!r}": seeds in SEEDS,
        f"n_bootstrap={n_bootstrap!r}": n_bootstrap >= 2,
    }
    for received, right in wrong.items():
        if not right:
            raise ConfigError(
                "A comparison of models was set up.",
                received=received,
                available="level between 0 and 1, n_bootstrap from 2; "
                f"correction: {', '.join(CORRECTIONS)}; seeds: {', '.join(SEEDS)}",
                remedy="Use a value of those above.",
            )


def in_standard_errors(values: np.ndarray, *, errors: np.ndarray, of_nothing: float = 0.0) -> np.ndarray:
    """Return values over their errors, where there is an error."""
    errors = np.broadcast_to(errors, values.shape)
    return np.divide(values, errors, out=np.full(values.shape, of_nothing), where=errors > 0)


def describe_pair(family: Resamples, *, a: str, b: str) -> dict[str, object]:
    """Say which models are compared on what, and what each scores: the first columns of a row."""
    means = family.values.mean(axis=1)
    values = {"value_a": means[family.index(a)], "value_b": means[family.index(b)]}
    return family.panel.key | {"metric": family.metric.id, "a": a, "b": b} | values


def describe_standing(family: Resamples, *, by_seed: np.ndarray, n_comparisons: int) -> dict[str, object]:
    """Say how many galaxies, seeds and comparisons a row stands on: its last columns."""
    return {
        "n": len(family.panel),
        "n_seeds": family.panel.n_seeds,
        "seed_std": float(by_seed.std(ddof=1)) if len(by_seed) > 1 else np.nan,
        "n_comparisons": n_comparisons,
        "simulated": family.panel.simulated,
    }
