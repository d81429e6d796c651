"""The same galaxies as several models saw them, in the same order: what every comparison of models stands on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from astrolab.errors import PredictionError
from astrolab.metrics.grouping import ZRange, iterate_groups, require_scorable


@dataclass(frozen=True)
class Panel:
    """Predictions of several models for the same galaxies."""

    key: dict[str, object]
    models: tuple[str, ...]
    n_seeds: int
    samples: list[tuple[np.ndarray, np.ndarray]]
    simulated: bool

    def __len__(self) -> int:
        """Number of galaxies."""
        return len(self.samples[0][0])


def iterate_panels(
    predictions: pd.DataFrame, *, models: Sequence[str], column: str, by: Sequence[str], z_range: ZRange
) -> Iterator[Panel]:
    """Give the galaxies of each group as every model predicted them."""
    require_scorable(predictions, columns=[*by, column, "object_id"])
    sides = [_groups_of_model(predictions, name, column=column, by=list(by), z_range=z_range) for name in models]
    if len({frozenset(side) for side in sides}) > 1:
        everywhere = set.intersection(*map(set, sides))
        partial = sorted({str(group) for side in sides for group in side} - set(map(str, everywhere)))
        raise PredictionError(
            f"Models {_quoted(models)} were to be compared on the same galaxies.",
            received=f"groups that only some of them have: {', '.join(partial)}",
            remedy="Predict all on the same surveys and seeds.",
        )
    for group, (key, _) in sides[0].items():
        tables = [side[group][1] for side in sides]
        yield _panel(tables, key=key, models=tuple(models))


def keep_common_seeds(predictions: pd.DataFrame, *, column: str = "arm") -> pd.DataFrame:
    """Return the rows of those training seeds that all models have: what runs with different seeds have in common.

    Parameters
    ----------
    predictions : DataFrame
        Columns `column` and ``seed``.
    column : str
        Column that tells the models apart.

    Returns
    -------
    DataFrame
    """
    seeds_of = [set(seeds) for seeds in predictions.groupby(column)["seed"].unique()]
    return predictions[predictions["seed"].isin(set.intersection(*seeds_of) if seeds_of else ())]


def _quoted(models: Sequence[str]) -> str:
    return ", ".join(map(repr, models))


def _groups_of_model(
    predictions: pd.DataFrame, name: str, *, column: str, by: list[str], z_range: ZRange
) -> dict[tuple, tuple[dict, pd.DataFrame]]:
    of_model = predictions[predictions[column] == name]
    if of_model.empty:
        raise PredictionError(
            f"Model {name!r} was to be compared with others.",
            received=f"no row where {column} is {name!r}",
            available=", ".join(map(str, predictions[column].unique())),
            remedy="Name models of those above.",
        )
    groups = iterate_groups(of_model, by=by, z_range=z_range)
    return {tuple(key.values()): (key, group) for key, group in groups}


def _panel(tables: list[pd.DataFrame], *, key: dict, models: tuple[str, ...]) -> Panel:
    samples, seeds_of, ids, truth = [], [], None, None
    for name, table in zip(models, tables, strict=True):
        by_seed = _by_seed(table, seed_is_grouped="seed" in key)
        seeds_of.append([seed for seed, _ in by_seed])
        for _, rows in by_seed:
            rows = rows.sort_values("object_id")
            own_ids, own_truth = rows["object_id"].to_numpy(), rows["truth"].to_numpy(float)
            if ids is None:
                ids, truth = own_ids, own_truth
            if len(np.unique(own_ids)) < len(own_ids) or not np.array_equal(ids, own_ids):
                raise _other_galaxies(models, name=name, key=key, received=f"{len(own_ids):,} rows, not one for each")
            if not np.array_equal(truth, own_truth):
                raise _other_galaxies(models, name=name, key=key, received="other true values for the same ids")
            samples.append((truth, rows["pred"].to_numpy(float)))
    if any(seeds != seeds_of[0] for seeds in seeds_of):
        listed = "; ".join(f"{name}: {seeds}" for name, seeds in zip(models, seeds_of, strict=True))
        raise PredictionError(
            f"Models {_quoted(models)} were to be compared.",
            received=f"different seeds ({listed})",
            remedy="Compare the seeds that all of them have, e.g. predictions[predictions.seed.isin([0, 1])].",
        )
    simulated = any(bool(table["simulated"].any()) for table in tables if "simulated" in table)
    return Panel(key, models, len(seeds_of[0]), samples, simulated)


def _by_seed(table: pd.DataFrame, *, seed_is_grouped: bool) -> list[tuple[object, pd.DataFrame]]:
    if seed_is_grouped or "seed" not in table:
        return [("all", table)]
    return sorted(table.groupby("seed"), key=lambda item: item[0])


def _other_galaxies(models: Sequence[str], *, name: str, key: dict, received: str) -> PredictionError:
    where = ", ".join(f"{column} {value}" for column, value in key.items()) or "the table"
    return PredictionError(
        f"Models {_quoted(models)} were to be compared on the same galaxies.",
        received=f"for {name!r} in {where}: {received}",
        remedy="Predict all on the same survey; name in `by` the columns that tell rows of one galaxy apart.",
    )
