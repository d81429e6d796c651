"""Which of several models no other beats in everything."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from astrolab.errors import ConfigError, PredictionError


def pareto_front(table: pd.DataFrame, *, columns: Sequence[str]) -> pd.Series:
    """Mark the rows that no other row beats: at least as good in every column, and better in one.

    Parameters
    ----------
    table : DataFrame
    columns : sequence of str
        Numbers of which smaller is better.

    Returns
    -------
    Series of bool
        With the index of the table; equal rows are both on the front or both not.

    Raises
    ------
    ConfigError
        If no column is named.
    PredictionError
        If a column is missing, or holds NaN.

    Examples
    --------
    >>> table = pd.DataFrame({"forgetting": [0.0, 0.1, 0.2], "scatter": [0.05, 0.02, 0.03]})
    >>> pareto_front(table, columns=["forgetting", "scatter"]).tolist()
    [True, True, False]
    """
    if not columns:
        raise ConfigError("A front was to be drawn.", received="no column", remedy="Name what is to be small.")
    missing = [name for name in columns if name not in table]
    unknown = [name for name in columns if name in table and table[name].isna().any()]
    if missing or unknown:
        raise PredictionError(
            "The models that no other beats were to be found.",
            received=f"no {', '.join(missing)}" if missing else f"rows without a number in {', '.join(unknown)}",
            available=", ".join(map(str, table.columns)),
            remedy="Give every model a number in each of the columns.",
        )
    values = table[list(columns)].to_numpy(float)
    no_worse = (values[:, None] <= values[None]).all(axis=2)
    better = (values[:, None] < values[None]).any(axis=2)
    return pd.Series(~(no_worse & better).any(axis=0), index=table.index)


def front_steps(points: np.ndarray) -> np.ndarray:
    """Return the corners of the staircase that bounds what a front beats, from left to right.

    >>> front_steps(np.array([[2.0, 1.0], [0.0, 5.0]])).tolist()
    [[0.0, 5.0], [2.0, 5.0], [2.0, 1.0]]
    """
    ordered = points[np.lexsort((points[:, 1], points[:, 0]))]
    corners = np.stack([ordered[1:, 0], ordered[:-1, 1]], axis=1)
    steps = np.empty((2 * len(ordered) - 1, 2))
    steps[::2], steps[1::2] = ordered, corners
    return steps
