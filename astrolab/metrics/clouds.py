"""How far two clouds of points are apart, as distributions: [Fe/H] and [α/Fe] of two samples of stars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.spatial.distance import cdist, pdist

from astrolab.errors import ConfigError, PredictionError

_N_PAIRED = 2000  # points whose pairs give the median distance
_ROWS = 1024  # of the kernel held at once


@dataclass(frozen=True)
class Discrepancy:
    """Squared maximum mean discrepancy of two samples, its p-value, and the bandwidth of the kernel."""

    squared: float
    p_value: float
    bandwidth: float

    @property
    def value(self) -> float:
        """The discrepancy itself: 0 where the estimate of its square is negative."""
        return float(np.sqrt(max(self.squared, 0.0)))


def measure_mmd(
    points: np.ndarray,
    *,
    reference: np.ndarray,
    bandwidth: float | Literal["pooled", "reference"] = "pooled",
    n_permutations: int = 500,
    seed: int = 0,
) -> Discrepancy:
    r"""Measure how far two samples of points are apart: the maximum mean discrepancy, and its p-value.

    With the kernel :math:`k(x, y) = \exp(-|x - y|^2 / 2 h^2)` the square of it is

    .. math:: \mathrm{MMD}^2 = \langle k(x, x') \rangle + \langle k(y, y') \rangle - 2 \langle k(x, y) \rangle,

    estimated without bias: :math:`x \ne x'` are points of the first sample, :math:`y \ne y'` of the reference. Of equal
    distributions it is 0 on average, and as often negative as positive. Distances are as the columns are: divide them
    by their spreads first where one of them would count for nothing.

    Parameters
    ----------
    points, reference : array (n, d), (m, d)
        Two samples, e.g. predicted and reference [Fe/H] and [α/Fe].
    bandwidth : {"pooled", "reference"} or float
        h: the median distance of two points, of both samples together or of the reference alone, the same then for
        every sample that is held against it; or a number. Of more than 2,000 points that many are drawn for it.
    n_permutations : int
        How often the two samples are mixed and divided again, to see how large the discrepancy is by chance.
    seed : int
        Of the permutations, and of the points drawn.

    Returns
    -------
    Discrepancy
        ``squared``, ``value``, ``p_value`` (that equal distributions are so far apart) and ``bandwidth``.

    Raises
    ------
    PredictionError
        If a sample has fewer than two points, an unknown value, or other columns than the other sample.
    ConfigError
        If the bandwidth is neither a positive number nor one of the two names, or all points are the same.

    References
    ----------
    Gretton et al. 2012, J. Mach. Learn. Res. 13, 723, eq. 3 and section 8 (median distance).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> found = measure_mmd(rng.normal(0.5, 1, (200, 2)), reference=rng.normal(0, 1, (300, 2)), n_permutations=99)
    >>> round(found.squared, 3), found.p_value
    (0.06, 0.01)
    """
    samples = [np.asarray(sample, dtype=np.float64) for sample in (points, reference)]
    n, m = map(len, samples)
    shapes = [sample.shape for sample in samples]
    if min(n, m) < 2 or shapes[0][1:] != shapes[1][1:] or not all(np.isfinite(sample).all() for sample in samples):
        asked, received = "Two samples of points were to be compared.", f"arrays of shape {shapes[0]} and {shapes[1]}"
        available = "two points or more of each, with the same columns, all values known"
        raise PredictionError(asked, received=received, available=available, remedy="Drop the rows that hold NaN.")
    rng, pooled = np.random.default_rng(seed), np.concatenate(samples)
    known, width = {"pooled": pooled, "reference": samples[1]}, bandwidth
    if bandwidth in known:
        width = float(np.median(pdist(rng.permutation(known[bandwidth])[:_N_PAIRED])))
    if isinstance(width, str) or not width > 0:
        asked, received = "Two samples of points were to be compared.", f"bandwidth={bandwidth!r}"
        available = '"pooled", "reference" of points that are not all the same, or a positive number'
        raise ConfigError(asked, received=received, available=available, remedy="Use one of these.")
    belongs = np.zeros((n + m, 1 + n_permutations))
    belongs[:n, 0] = 1
    belongs[:, 1:] = rng.permuted(np.repeat(belongs[:, :1], n_permutations, axis=1), axis=0)
    inside, of_first, total = 0.0, 0.0, 0.0
    for start in range(0, n + m, _ROWS):
        part = slice(start, start + _ROWS)
        kernel = np.exp(-cdist(pooled[part], pooled, "sqeuclidean") / (2 * width**2))
        sums = kernel.sum(axis=1)
        inside = inside + (belongs[part] * (kernel @ belongs)).sum(axis=0)
        of_first, total = of_first + sums @ belongs[part], total + sums.sum()
    across = of_first - inside
    squared = (inside - n) / (n * (n - 1)) + (total - of_first - across - m) / (m * (m - 1)) - 2 * across / (n * m)
    p_value = (1 + (squared[1:] >= squared[0]).sum()) / (1 + n_permutations)
    return Discrepancy(float(squared[0]), float(p_value), width)
