"""Scores of several training seeds in one number with its spread, and as text for a terminal."""

from __future__ import annotations

import pandas as pd

from astrolab.errors import PredictionError
from astrolab.metrics.grouping import CONDITIONS
from astrolab.metrics.metric import find_metric

_MEASURED = ("value", "low", "high", "n", "simulated")


def summarise_seeds(scores: pd.DataFrame) -> pd.DataFrame:
    """Average scores over training seeds: mean, spread and how many seeds.

    Parameters
    ----------
    scores : DataFrame
        From :func:`astrolab.metrics.score`, with a ``seed`` column.

    Returns
    -------
    DataFrame
        The grouping columns without ``seed``, ``metric``, ``mean``, ``std`` (sample standard deviation over seeds, NaN
        for one seed), ``n_seeds``, and ``simulated`` where the scores have it.

    Raises
    ------
    PredictionError
        If there is no ``seed`` column, or a seed appears twice in a group.
    """
    if "seed" not in scores:
        raise PredictionError(
            "Scores were to be averaged over seeds.",
            received=f"a table with columns {', '.join(scores.columns)}",
            remedy="Score predictions that carry a seed column.",
        )
    by = [name for name in scores.columns if name not in ("seed", *_MEASURED)]
    if scores.duplicated([*by, "seed"]).any():
        raise PredictionError(
            "Scores were to be averaged over seeds.",
            received="several scores of one seed in one group",
            remedy="Keep the column that tells them apart when scoring (`by`).",
        )
    flags = {"simulated": ("simulated", "any")} if "simulated" in scores else {}
    grouped = scores.groupby(by, sort=False, dropna=False, observed=True)
    return grouped.agg(mean=("value", "mean"), std=("value", "std"), n_seeds=("seed", "nunique"), **flags).reset_index()


def with_intervals(scores: pd.DataFrame) -> pd.DataFrame:
    """Return one value with one interval for each group: over seeds where there are several, else the bootstrap's.

    >>> scores = pd.DataFrame({"arm": "lora", "seed": [0, 1], "metric": "bias", "value": [0.1, 0.3]})
    >>> scores = scores.assign(low=0.0, high=1.0)
    >>> with_intervals(scores)[["arm", "metric", "value", "n_seeds"]]
        arm metric  value  n_seeds
    0  lora   bias    0.2        2
    """
    scores = scores if "seed" in scores else scores.assign(seed=0)
    scores = scores if "simulated" in scores else scores.assign(simulated=False)
    summary = summarise_seeds(scores)
    by = [name for name in summary.columns if name not in ("mean", "std", "n_seeds", "simulated")]
    one = scores.drop_duplicates(by)[[*by, "low", "high"]]
    summary = summary.merge(one, on=by, how="left").rename(columns={"mean": "value"})
    one_seed = summary["n_seeds"] == 1
    return summary.assign(
        low=summary["low"].where(one_seed, summary["value"] - summary["std"]),
        high=summary["high"].where(one_seed, summary["value"] + summary["std"]),
    ).drop(columns="std")


def describe_spread(n_seeds: pd.Series, *, otherwise: str = "bootstrap interval") -> str:
    """Say in words what the interval of :func:`with_intervals` is, of rows that need not have the same number of seeds.

    >>> describe_spread(pd.Series([3, 3]))
    'spread over 3 seeds'
    >>> describe_spread(pd.Series([3, 1]))
    'spread over seeds where there are several, else bootstrap interval'
    """
    fewest, most = int(n_seeds.min()), int(n_seeds.max())
    if most == 1:
        return otherwise
    if fewest == 1:
        return f"spread over seeds where there are several, else {otherwise}"
    return f"spread over {most} seeds" if fewest == most else f"spread over {fewest} to {most} seeds"


def is_best(summary: pd.DataFrame, *, column: str = "arm") -> pd.Series:
    """Say of each row whether it is the best of its group, by the metric's own sign; alone it is not."""
    badness = pd.Series(0.0, index=summary.index)
    for name, rows in summary.groupby("metric"):
        badness[rows.index] = find_metric(name).badness(rows["value"])
    competing = [name for name in summary.columns if name not in (column, *_MEASURED, "n_seeds")]
    rivals = badness.groupby([summary[name] for name in competing], dropna=False)
    return (badness == rivals.transform("min")) & (rivals.transform("size") > 1)


def tabulate_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """Return scores as a table to read: one row a test set and arm, one column a metric, ``value ± spread``.

    Where arms are scored at several fractions or scales, each of these has rows of its own.

    Parameters
    ----------
    scores : DataFrame
        From :func:`astrolab.metrics.score`.

    Returns
    -------
    DataFrame of str
        The best arm of a test set (and fraction, and scale) carries a star. ± is half the bootstrap interval or, with
        several seeds, their standard deviation; the column ``n_seeds`` says how many.
    """
    summary = with_intervals(scores)
    told_apart = [name for name in ("direction", "label") if _is_several(summary, name)]
    rows = [*told_apart, "survey", *(name for name in CONDITIONS if _is_several(summary, name)), "arm"]
    cells = summary.assign(text=[_cell(row) for row in summary.assign(best=is_best(summary)).itertuples()])
    table = cells.pivot(index=rows, columns="metric", values="text")
    ranks = {name: {value: rank for rank, value in enumerate(summary[name].unique())} for name in rows}
    groups = summary[rows].drop_duplicates()
    order = pd.MultiIndex.from_frame(groups.sort_values(rows, key=lambda values: values.map(ranks[values.name])))
    n_seeds = summary.groupby(rows)["n_seeds"].max()
    return table.loc[order, list(summary["metric"].unique())].assign(n_seeds=n_seeds)


def format_scores(scores: pd.DataFrame) -> str:
    """Return scores as a plain-text table for the terminal, one block for each test set, a star on the best.

    Parameters
    ----------
    scores : DataFrame
        From :func:`astrolab.metrics.score`.

    Returns
    -------
    str

    Examples
    --------
    >>> scores = pd.DataFrame({"arm": ["full", "lora"], "survey": "galaxiesml", "metric": "scatter",
    ...                        "value": [0.05, 0.03], "low": [0.04, 0.02], "high": [0.06, 0.04]})
    >>> print(format_scores(scores))
    galaxiesml
      arm             scatter
      full  0.0500 ± 0.0100
      lora  0.0300 ± 0.0100 *
    * best of its column;  ±: bootstrap interval
    """
    summary = with_intervals(scores)
    summary["best"] = is_best(summary)
    heads = [name for name in ("direction", "survey", *CONDITIONS, "label") if name in summary]
    several_counts = summary["n_seeds"].nunique() > 1
    blocks = []
    for values, block in summary.groupby(heads, sort=False, dropna=False) if heads else [((), summary)]:
        cells = block.assign(text=[_cell(row) for row in block.itertuples()])
        table = cells.pivot(index="arm", columns="metric", values="text")
        table = table.loc[block["arm"].unique(), block["metric"].unique()]
        if several_counts:
            table["n_seeds"] = block.groupby("arm")["n_seeds"].max().astype(str)
        table = table.reset_index()
        named = zip(heads, values, strict=True)
        words = [f"{name} {value}" if name in CONDITIONS else f"{value}" for name, value in named]
        title = " · ".join(words) + (" (simulated)" if block["simulated"].any() else "")
        blocks.append("\n".join([title, *_aligned(table)]))
    return "\n\n".join(blocks) + f"\n* best of its column;  ±: {describe_spread(summary['n_seeds'])}"


def _is_several(summary: pd.DataFrame, name: str) -> bool:
    return name in summary and summary[name].nunique(dropna=False) > 1


def _cell(row: object) -> str:
    return f"{row.value:.4f} ± {(row.high - row.low) / 2:.4f} {'*' if row.best else ' '}"


def _aligned(table: pd.DataFrame) -> list[str]:
    """Lines of a table: the first column flush left, the others flush right."""
    columns = [[name, *table[name]] for name in table]
    widths = [max(map(len, column)) for column in columns]
    lines = []
    for first, *others in zip(*columns, strict=True):
        cells = [f"{text:>{width}}" for text, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([f"  {first:<{widths[0]}}", *cells]).rstrip())
    return lines
