"""Which models, seeds and test sets a predictions table holds, and the galaxies of one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from astrolab.errors import PredictionError, unknown_name
from astrolab.metrics.grouping import require_scorable
from astrolab.predictions import COLUMNS

GROUPING = ("run", "direction", "survey", "arm", "fraction", "scale", "seed", "label")
ABSENT = "–"  # what a model has in a column that only others have, e.g. `fraction` where several studies meet


@dataclass(frozen=True, eq=False)
class Choices:
    """A predictions table, ready to give the galaxies of any one model on any one test set at once."""

    table: pd.DataFrame
    options: Mapping[str, tuple[Any, ...]]
    rows: Mapping[tuple[Any, ...], np.ndarray]

    @classmethod
    def of(cls, table: pd.DataFrame) -> Choices:
        """Find every combination in a predictions table."""
        missing = [name for name in COLUMNS if name not in table]
        if missing or table.empty:
            raise PredictionError(
                "Predictions were to be explored.",
                received=f"a table without {', '.join(missing)}" if missing else "a table without rows",
                available=", ".join(map(str, table.columns)),
                remedy="Pass the table that `predict` returned, or the folder of a finished run.",
            )
        require_scorable(table, columns=COLUMNS)
        options, codes = {}, []
        for name in (name for name in GROUPING if name in table):
            code, values = pd.factorize(table[name], use_na_sentinel=False)
            options[name] = tuple(ABSENT if pd.isna(value) else value for value in values.tolist())
            codes.append(code)
        shape = tuple(map(len, options.values()))
        number = np.ravel_multi_index(codes, shape)
        order = np.argsort(number, kind="stable")
        found, starts = np.unique(number[order], return_index=True)
        keys = zip(*np.unravel_index(found, shape), strict=True)
        names = [tuple(values[place] for values, place in zip(options.values(), key, strict=True)) for key in keys]
        return cls(table, options, dict(zip(names, np.split(order, starts[1:]), strict=True)))

    def galaxies(self, **values: Any) -> pd.DataFrame:
        """Give the galaxies of one model on one test set."""
        for name, value in values.items():
            known = self.options.get(name, ()) if name in self.options else None
            if known is None:
                raise unknown_name("grouping column", name=name, names=self.options)
            if value not in known:
                raise unknown_name(f"{name} of the predictions", name=str(value), names=map(str, known))
        open_ones = [name for name, known in self.options.items() if len(known) > 1 and name not in values]
        if open_ones:
            raise PredictionError(
                "The galaxies of one model on one test set were asked for.",
                received=", ".join(f"{name}={value!r}" for name, value in values.items()) or "no choice",
                available="; ".join(f"{name}: {', '.join(map(str, self.options[name]))}" for name in open_ones),
                remedy=f"Choose {', '.join(open_ones)} too.",
            )
        key = tuple(values.get(name, known[0]) for name, known in self.options.items())
        if key not in self.rows:
            raise PredictionError(
                "The galaxies of one model on one test set were asked for.",
                received=f"a combination that no galaxy has: {', '.join(f'{n}={v}' for n, v in values.items())}",
                available=f"{len(self.rows)} other combinations",
                remedy="Choose another model, seed or test set.",
            )
        return self.table.iloc[self.rows[key]].reset_index(drop=True)

    def complete(self, **wanted: Any) -> dict[str, Any]:
        """Find the combination that exists and is nearest to the one wanted."""
        names = list(self.options)
        keys = list(self.rows)
        for name, value in wanted.items():
            if name in names:
                place = names.index(name)
                keys = [key for key in keys if key[place] == value] or keys
        return dict(zip(names, keys[0], strict=True))
