"""Which objects an epoch holds, in which order, and how they are cut into batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from astrolab.errors import ConfigError
from astrolab.trainers.config import Sampler

if TYPE_CHECKING:
    from astrolab.datasets.survey import Survey


def epoch_rows(sampler: Sampler, *, n: int, keys: np.ndarray | None, epoch: int, seed: int) -> np.ndarray:
    """Give the row numbers of one epoch (from 1), in their order; it depends on the keys, the epoch and the seed alone.

    `uniform`: every object once. `staged`: a curriculum of stages of equal size, those of the largest key first.
    `balanced`: as many draws as there are objects, as many from each group as from any other. `chunked`: every object
    once, in an order that reads whole chunks of neighbouring rows, for files larger than memory.
    """
    rng = np.random.default_rng((seed, epoch))
    if sampler.name == "staged":
        largest_first = np.argsort(-keys, kind="stable")
        return rng.permutation(np.sort(largest_first[_stage(sampler, n=n, epoch=epoch)]))
    if sampler.name == "balanced":
        groups = [np.flatnonzero(keys == value) for value in np.unique(keys)]
        shares = np.diff(np.linspace(0, n, len(groups) + 1).round().astype(int))
        drawn = [_draw(group, n=share, rng=rng) for group, share in zip(groups, shares, strict=True)]
        return rng.permutation(np.concatenate(drawn))
    if sampler.name == "chunked":
        starts = rng.permutation(np.arange(0, n, sampler.chunk))
        return np.concatenate([start + rng.permutation(min(sampler.chunk, n - start)) for start in starts])
    return rng.permutation(n)


def epoch_size(sampler: Sampler, *, n: int, epoch: int) -> int:
    """Count the objects of one epoch (from 1) of a survey of n."""
    return len(_stage(sampler, n=n, epoch=epoch)) if sampler.name == "staged" else n


def _stage(sampler: Sampler, *, n: int, epoch: int) -> range:
    """Give the places, from the largest key to the smallest, of the objects of an epoch."""
    ends = np.cumsum(sampler.epochs)
    stage = min(int(np.searchsorted(ends, epoch)), len(ends) - 1)
    cuts = np.linspace(0, n, len(ends) + 1).round().astype(int)
    return range(0 if sampler.cumulative else cuts[stage], cuts[stage + 1])


def _draw(group: np.ndarray, *, n: int, rng: np.random.Generator) -> np.ndarray:
    """Every member as often as any other, but for one: whole passes, then a part of one."""
    passes = [rng.permutation(group) for _ in range(-(-n // len(group)))]
    return np.concatenate(passes)[:n]


def training_batches(rows: np.ndarray, *, batch_size: int, n_processes: int = 1) -> list[np.ndarray]:
    """Cut an epoch into batches; a last one of a single object for some process, without a spread, joins another."""
    batches = batches_in_order(rows, batch_size=batch_size)
    if len(batches) > 1 and len(batches[-1]) < min(2 * n_processes, batch_size):
        batches[-2:] = [np.concatenate(batches[-2:])]
    return batches


def count_batches(n: int, *, batch_size: int, n_processes: int = 1) -> int:
    """Count the batches that `training_batches` makes of n rows."""
    whole, left = divmod(n, batch_size)
    return whole + (left >= min(2 * n_processes, batch_size) if whole else left > 0)


def batches_in_order(rows: np.ndarray, *, batch_size: int) -> list[np.ndarray]:
    """Cut row numbers into batches, the last one as small as what is left over."""
    return np.split(rows, range(batch_size, len(rows), batch_size))


def sampler_keys(sampler: Sampler, *, survey: Survey) -> np.ndarray | None:
    """Give the numbers that a sampler chooses by: values of its column, or numbers of the groups they are."""
    if sampler.column is None:
        return None
    values = survey.column(sampler.column)
    if sampler.name == "balanced":
        return np.unique(values.astype(str) if values.dtype.kind == "O" else values, return_inverse=True)[1]
    is_number = values.dtype.kind in "fiu"
    if not (is_number and np.isfinite(values).all()):
        raise ConfigError(
            f"The {survey.objects} of {survey.name} were to be learned in stages by {sampler.column!r}.",
            received="text" if not is_number else f"{int((~np.isfinite(values)).sum()):,} values that are not finite",
            remedy="Name a column of numbers, the largest for what is to be learned first.",
        )
    return values.astype(np.float64)
