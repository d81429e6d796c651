"""Where a learning curve flattens: which fraction of the data brings nearly all of the gain, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from astrolab.errors import ConfigError, PredictionError
from astrolab.metrics.bootstrap import percentile_interval
from astrolab.metrics.comparing import default_groups
from astrolab.metrics.grouping import Z_RANGE, ZRange, require_scorable
from astrolab.metrics.metric import Metric, find_metric
from astrolab.metrics.pairing import Panel, iterate_panels
from astrolab.metrics.resamples import Seeds, resample_models


def estimate_plateau(
    predictions: pd.DataFrame,
    *,
    metric: str = "scatter",
    column: str = "fraction",
    tolerance: float = 0.1,
    by: Sequence[str] | None = None,
    z_range: ZRange = Z_RANGE,
    n_bootstrap: int = 1000,
    seed: int = 0,
    level: float = 0.68,
    seeds: Seeds | None = None,
) -> pd.DataFrame:
    """Say from which fraction of the data on more data hardly helps, for each arm and test survey.

    The plateau is the smallest fraction, linearly interpolated between measured ones, at which the curve has made
    ``1 - tolerance`` of its gain from the smallest to the largest fraction, and after which it never falls back. Two
    things it cannot say: whether a curve is flat beyond the largest fraction, and whether a curve that never bends has
    a plateau at all. So ``straight`` tells where a straight line would have "flattened": a plateau near it is none.
    Noise between neighbouring fractions tends to move the estimate to larger ones.

    The interval is a paired bootstrap: each resample holds the same galaxies at every fraction, training seeds are
    averaged. Resamples without a gain have no plateau; ``gains_frac`` says how many have one.

    Parameters
    ----------
    predictions : DataFrame
        Columns ``object_id``, ``truth``, ``pred``, `column`, those of `by`, and ``seed`` where there are several.
    metric : str
        Id of a registered metric; of one whose best value is zero, sizes are followed, and `low` and `high` take the
        signs that were measured for certain.
    column : str
        Along which the curve runs.
    tolerance : float
        Part of the gain that may be missing, in [0, 1).
    by : sequence of str, optional
        Columns that separate curves; by default those that :func:`score` uses, without `column` and ``seed``.
    z_range, n_bootstrap, seed, level
        As for :func:`astrolab.metrics.score`.
    seeds : {"fixed", "sampled"}, optional
        As for :func:`astrolab.metrics.compare_models`; by default ``"sampled"`` where there are several seeds.

    Returns
    -------
    DataFrame
        Columns `by`, ``metric``, ``plateau``, ``low``, ``high`` (NaN without a gain), ``straight``, ``gain`` (how much
        better the last fraction is than the first), ``gain_low``, ``gain_high``, ``gains_frac`` (of resamples),
        ``tolerance``, ``n`` (galaxies), ``n_seeds`` and ``simulated``.

    Raises
    ------
    ConfigError
        If the tolerance is outside [0, 1).
    PredictionError
        If a curve has fewer than three fractions, or they were not predicted for the same galaxies.
    """
    found = find_metric(metric)
    if not 0 <= tolerance < 1:
        raise ConfigError(
            "The plateau of a curve was to be found.",
            received=f"tolerance={tolerance!r}",
            available="0 <= tolerance < 1",
            remedy="Use e.g. tolerance=0.1: nine tenths of the gain.",
        )
    by = [name for name in (default_groups(predictions, column=column) if by is None else by) if name != column]
    require_scorable(predictions, columns=[*by, column, "object_id"])
    rows = []
    for _, curve in predictions.groupby(by, sort=False, dropna=False, observed=True) if by else [((), predictions)]:
        places = np.sort(curve[column].unique())
        _require_curve(places, column=column)
        for panel in iterate_panels(curve, models=places, column=column, by=by, z_range=z_range):
            how = seeds or ("sampled" if panel.n_seeds > 1 else "fixed")
            resampling = {"n_bootstrap": n_bootstrap, "seed": seed, "seeds": how}
            rows.append(_row(panel, places=places, metric=found, tolerance=tolerance, level=level, **resampling))
    return pd.DataFrame(rows)


def find_plateau(curves: np.ndarray, *, places: np.ndarray, tolerance: float) -> np.ndarray:
    """Return where each curve has made all but `tolerance` of its gain, for good.

    >>> places = np.array([0.0, 0.5, 1.0])
    >>> find_plateau(np.array([[1.0, 1.0], [0.0, 0.5], [0.0, 0.0]]), places=places, tolerance=0.1).tolist()
    [0.45, 0.9]
    """
    gain = curves[0] - curves[-1]
    target = curves[-1] + tolerance * gain
    gains = gain > 0
    last_short = len(places) - 1 - np.argmax((curves > target)[::-1], axis=0)
    before = np.where(gains, last_short, 0)
    columns = np.arange(curves.shape[1])
    above, below = curves[before, columns], curves[before + 1, columns]
    drop = np.where(gains, above - below, 1.0)
    reached = places[before] + (above - target) / drop * np.diff(places)[before]
    return np.where(gains, reached, np.nan)


def _require_curve(places: np.ndarray, *, column: str) -> None:
    if len(places) < 3:
        raise PredictionError(
            "The plateau of a curve was to be found.",
            received=f"{column} = {', '.join(map(str, places))}",
            remedy="Measure three fractions or more: through two points runs only a straight line.",
        )


def _row(
    panel: Panel,
    *,
    places: np.ndarray,
    metric: Metric,
    tolerance: float,
    level: float,
    n_bootstrap: int,
    seed: int,
    seeds: Seeds,
) -> dict[str, object]:
    resamples = resample_models(panel, metrics=[metric], n_bootstrap=n_bootstrap, seed=seed, seeds=seeds)[0]
    sizes = resamples.sizes[:, None]
    curves = sizes + resamples.deviations
    gains = curves[0] - curves[-1]
    measured = float(find_plateau(sizes, places=places, tolerance=tolerance)[0])
    reached = find_plateau(curves, places=places, tolerance=tolerance)[gains > 0]
    has_interval = len(reached) and not np.isnan(measured)
    low, high = percentile_interval(reached, level=level) if has_interval else (np.nan, np.nan)
    every = np.eye(len(places))
    ((gain_low,), (gain_high,)) = resamples.intervals(every[:1] - every[-1], level=level)
    return panel.key | {
        "metric": metric.id,
        "plateau": measured,
        "low": float(low),
        "high": float(high),
        "straight": float(places[0] + (1 - tolerance) * (places[-1] - places[0])),
        "gain": float(sizes[0, 0] - sizes[-1, 0]),
        "gain_low": float(gain_low),
        "gain_high": float(gain_high),
        "gains_frac": float(np.mean(gains > 0)),
        "tolerance": tolerance,
        "n": len(panel),
        "n_seeds": panel.n_seeds,
        "simulated": panel.simulated,
    }
