"""Predictions from wherever they are (a table, a run, a run folder, several of them) and what their runs scored."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import pandas as pd

from astrolab.errors import ConfigError, CorruptFileError, PredictionError
from astrolab.files import short_names
from astrolab.metrics.grouping import Z_RANGE
from astrolab.predictions import concat_predictions, load_predictions

FILE = "predictions.parquet"
RECORD = "run.json"


@runtime_checkable
class HasFolder(Protocol):
    """Anything that lives in a folder with a predictions file, such as an open run."""

    folder: Path


@runtime_checkable
class HasPredictions(Protocol):
    """Anything that reads predictions by itself, such as a ledger of runs."""

    def predictions(self) -> pd.DataFrame:
        """Read the predictions."""


def gather_predictions(
    source: pd.DataFrame | HasFolder | HasPredictions | str | Path | Mapping[str, Any] | Iterable[Any],
) -> pd.DataFrame:
    """Read predictions from a table, a run or its folder, or from several of these."""
    if isinstance(source, pd.DataFrame):
        return source
    if isinstance(source, HasFolder):
        return load_predictions(Path(source.folder) / FILE)
    if isinstance(source, HasPredictions):
        return source.predictions()
    if isinstance(source, str | Path):
        path = Path(source)
        return load_predictions(path / FILE if path.is_dir() else path)
    if isinstance(source, Mapping):
        named = dict(source)
    elif isinstance(source, Iterable):
        named = _by_name(list(source))
    else:
        raise _unknown_source(source)
    if not named:
        raise PredictionError(
            "Predictions were to be explored.", received="no run", remedy="Pass at least one run or predictions table."
        )
    tables = {name: gather_predictions(one) for name, one in named.items()}
    return concat_predictions([table.assign(run=name) for name, table in tables.items()])


def _by_name(sources: list[Any]) -> dict[str, Any]:
    """Sources by the short names of their folders; the same folder twice is one."""
    places = {_place(source): source for source in sources}
    names = short_names(list(places))
    return {names[place]: source for place, source in places.items()}


def _place(source: Any) -> Path:
    if isinstance(source, HasFolder):
        source = source.folder
    elif not isinstance(source, str | Path):
        raise _unknown_source(source)
    return Path(os.path.abspath(source))


def recorded_z_range(source: Any) -> tuple[float, float]:
    """Give the range of true redshifts in which the runs behind some predictions were scored.

    Parameters
    ----------
    source : DataFrame, Run, Ledger, path, mapping of str to these, or sequence of runs or paths
        As for :func:`gather_predictions`.

    Returns
    -------
    (float, float)
        ``z_range`` of the runs' parameters; 0.3 to 1.5 where no run has any, as of a table.

    Raises
    ------
    ConfigError
        If the runs were scored in different ranges.
    CorruptFileError
        If the record of a run cannot be read.
    """
    recorded: dict[tuple[float, float], list[str]] = {}
    for folder in _folders(source):
        z_range = _recorded(folder)
        if z_range:
            recorded.setdefault(z_range, []).append(folder.name)
    if len(recorded) > 1:
        raise ConfigError(
            "Predictions of several runs were to be scored as the runs were.",
            received="; ".join(f"{low:g} to {high:g} in {', '.join(names)}" for (low, high), names in recorded.items()),
            remedy="Say in which range all of them are scored: z_range=(low, high), or z_range=None for all galaxies.",
        )
    return next(iter(recorded), Z_RANGE)


def _folders(source: Any) -> Iterator[Path]:
    """The folders that may hold a record of how these predictions were scored."""
    if isinstance(source, pd.DataFrame):
        return
    if isinstance(source, HasFolder):
        yield Path(source.folder)
    elif isinstance(source, str | Path):
        yield Path(source) if Path(source).is_dir() else Path(source).parent
    elif isinstance(source, HasPredictions):
        yield from getattr(source, "folders", ())
    elif isinstance(source, Iterable):
        for one in source.values() if isinstance(source, Mapping) else source:
            yield from _folders(one)


def _recorded(folder: Path) -> tuple[float, float] | None:
    path = folder / RECORD
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        z_range = (record["parameters"] or {}).get("z_range")  # a study that scores none has none
        if not z_range:
            return None
        low, high = map(float, z_range)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise CorruptFileError(
            f"The record of {folder.name} was to be read for the range of redshifts that it scored.",
            received=f"{RECORD}, which is damaged ({error})",
            remedy="Say in which range the predictions are scored: z_range=(low, high).",
        ) from error
    return low, high


def _unknown_source(source: Any) -> PredictionError:
    return PredictionError(
        "Predictions were to be explored.",
        received=f"a {type(source).__name__}",
        available="a predictions table, a run or its folder, a ledger, a mapping of names to these, a list of runs",
        remedy="Pass the table that `predict` returned, or the folder of a finished run.",
    )
