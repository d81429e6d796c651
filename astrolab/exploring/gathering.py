"""Predictions from wherever they are: a table, a run, a run folder, several of them under one name each."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import pandas as pd

from astrolab.errors import PredictionError
from astrolab.naming import short_names
from astrolab.predictions import concat_predictions, load_predictions

FILE = "predictions.parquet"


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
    """Read predictions from a table, a run or its folder, or from several of these.

    Parameters
    ----------
    source : DataFrame, Run, Ledger, path, mapping of str to these, or sequence of runs or paths
        A path is that of a run folder, or of a file that :func:`astrolab.save_predictions` wrote.

    Returns
    -------
    DataFrame
        One predictions table; of several sources, with a column ``run`` that names each: the key of a mapping, else
        the name of its folder, with as many parents as it takes to tell it from the others.

    Raises
    ------
    PredictionError
        If the source is none of these, or there is nothing in it.
    DataNotFoundError, CorruptFileError, SchemaError
        If a file cannot be read.
    """
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


def _unknown_source(source: Any) -> PredictionError:
    return PredictionError(
        "Predictions were to be explored.",
        received=f"a {type(source).__name__}",
        available="a predictions table, a run or its folder, a ledger, a mapping of names to these, a list of runs",
        remedy="Pass the table that `predict` returned, or the folder of a finished run.",
    )
