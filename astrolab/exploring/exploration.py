"""Where somebody is in a predictions table: model and test set, second model, slices, selection; and what follows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from astrolab.datasets.survey import Survey
from astrolab.errors import PredictionError
from astrolab.exploring.choices import Choices
from astrolab.exploring.columns import describe_galaxies, slice_columns
from astrolab.exploring.comparing import difference, match_models, naming_column, other_models, short_name
from astrolab.exploring.deviations import with_deviations
from astrolab.exploring.selection import brightest_outliers_first, inside_slices, score_galaxies
from astrolab.metrics.grouping import Z_RANGE, ZRange

LISTED_FIRST = ("object_id", "ra", "dec", "truth", "pred", "pred_other", "deviation", "deviation_other", "is_outlier")
NOBODY = np.zeros(0, dtype=int)


class Exploration:
    """A place in a predictions table. Each method moves to another; the attributes say what is there."""

    def __init__(
        self, predictions: pd.DataFrame, *, surveys: Mapping[str, Survey] | None = None, z_range: ZRange = Z_RANGE
    ):
        self.choices = Choices.of(predictions)
        self.surveys, self.z_range = dict(surveys or {}), z_range
        self.values: dict[str, Any] = {}
        self.other: dict[str, Any] | None = None
        self.ranges: dict[str, tuple[float, float]] = {}
        self.selected = NOBODY
        self.choose()

    def choose(self, **values: Any) -> None:
        """Go to another model or test set; selection and slices stay where the galaxies are the same.

        The second model comes along: it goes on differing in the same columns. Where there is no such model of these
        galaxies, or the first has become the same, nothing is compared any more.
        """
        wanted = values | {name: value for name, value in self.values.items() if name not in values}
        there = self.choices.complete(**wanted)
        try:
            self._load(there, other=self._coming_along(there))
        except PredictionError:
            self._load(there, other=None)

    def _coming_along(self, values: dict[str, Any]) -> dict[str, Any] | None:
        if self.other is None:
            return None
        other = values | difference(self.values, other=self.other)
        return other if other != values else None

    def compare_with(self, other: str | Mapping[str, Any] | None) -> None:
        """Put a second model beside the first, or none."""
        if isinstance(other, str):
            other = {naming_column(self.values): other}
        self._load(self.values, other=None if other is None else self.values | dict(other))

    @property
    def others(self) -> dict[str, dict[str, Any]]:
        """The models on the same test set that can be the second one, by short name."""
        models = other_models(self.choices, values=self.values)
        return {short_name(self.values, other=model): model for model in models}

    def _load(self, values: dict[str, Any], *, other: dict[str, Any] | None) -> None:
        if other == values:
            raise PredictionError(
                "A model was to be compared with another one.",
                received=f"the same model twice: {_listed(values)}",
                available=f"{len(self.others)} others on this test set",
                remedy="Choose one of the others.",
            )
        galaxies = with_deviations(self.choices.galaxies(**values))
        survey = self.surveys.get(values["survey"])
        if survey is not None:
            galaxies = describe_galaxies(galaxies, survey=survey)
        if other is not None:
            galaxies = match_models(galaxies, others=self.choices.galaxies(**other))
        stays = hasattr(self, "galaxies") and self.galaxies["object_id"].equals(galaxies["object_id"])
        self.galaxies, self.values, self.other = galaxies, values, other
        if not stays:
            self.selected, self.ranges = NOBODY, {}
        self._forget("whole", "slice_columns", "inside")

    def slice(self, ranges: Mapping[str, tuple[float, float]]) -> None:
        """Keep to galaxies inside some ranges."""
        self.ranges = dict(ranges)
        self._forget("inside")

    def select(self, rows: np.ndarray) -> None:
        """Select galaxies."""
        self.selected = np.asarray(rows, dtype=int)

    def _forget(self, *names: str) -> None:
        for name in names:
            self.__dict__.pop(name, None)

    @property
    def survey(self) -> Survey | None:
        """The test set itself, where it is known."""
        return self.surveys.get(self.values["survey"])

    @cached_property
    def slice_columns(self) -> tuple:
        """The columns to slice by."""
        return slice_columns(self.galaxies)

    @cached_property
    def inside(self) -> np.ndarray:
        """Which galaxies are inside the slices: (n,) bool."""
        return inside_slices(self.galaxies, ranges=self.ranges)

    @property
    def cuts(self) -> dict[str, tuple[float, float]]:
        """The slices that leave galaxies out, by column: lowest and highest value inside."""
        whole = {column.name: (column.low, column.high) for column in self.slice_columns}
        inside = {
            name: (max(low, whole[name][0]), min(high, whole[name][1])) if name in whole else (low, high)
            for name, (low, high) in self.ranges.items()
        }
        return {name: both for name, both in inside.items() if both != whole.get(name)}

    @property
    def cuts_in_words(self) -> list[str]:
        """The slices that leave galaxies out, as a title says them."""
        labels = {column.name: column.label for column in self.slice_columns}
        return [f"{low:.4g} ≤ {labels.get(name, name)} ≤ {high:.4g}" for name, (low, high) in self.cuts.items()]

    @property
    def rows(self) -> np.ndarray:
        """Row numbers of the galaxies in view: the selection within the slices, or all within the slices."""
        return self.selected[self.inside[self.selected]] if len(self.selected) else np.flatnonzero(self.inside)

    @property
    def outliers(self) -> np.ndarray:
        """Row numbers of the outliers within the slices."""
        return np.flatnonzero(self.galaxies["is_outlier"].to_numpy() & self.inside)

    @property
    def what(self) -> str:
        """What is in view: ``"selection"``, ``"slice"`` or ``"all"``."""
        if len(self.selected):
            return "selection"
        return "all" if self.inside.all() else "slice"

    @property
    def about(self) -> str:
        """What is in view, in one line, by the names that columns have in a table."""
        parts = [f"{self.what} of {_listed(self.values)}"]
        if self.other is not None:
            parts.append(f"pred_other of {_listed(difference(self.values, other=self.other))}")
        parts += [f"{low:.4g} <= {name} <= {high:.4g}" for name, (low, high) in self.cuts.items()]
        return "; ".join(parts)

    @cached_property
    def whole(self) -> dict[tuple[int, str], pd.DataFrame]:
        """Scores of all galaxies, by number of the model (0, 1) and ``"all"``."""
        return self._score(None, what="all")

    @property
    def scores(self) -> dict[tuple[int, str], pd.DataFrame]:
        """Scores by number of the model and by what was scored: the galaxies in view first, then all of them."""
        return self.whole if self.what == "all" else self._score(self.rows, what=self.what) | self.whole

    def _score(self, rows: np.ndarray | None, *, what: str) -> dict[tuple[int, str], pd.DataFrame]:
        sides = {(0, what): self.galaxies}
        if self.other is not None:
            sides[1, what] = self.galaxies.assign(pred=self.galaxies["pred_other"])
        return {name: score_galaxies(side, rows=rows, z_range=self.z_range) for name, side in sides.items()}

    def listed(self, n: int) -> np.ndarray:
        """Give the galaxies in view that are most worth a look."""
        rows = self.rows
        return rows[brightest_outliers_first(self.galaxies.iloc[rows], n=n)]

    def table(self, rows: np.ndarray) -> pd.DataFrame:
        """Give galaxies with ids, positions, truth and predictions."""
        first = [name for name in LISTED_FIRST if name in self.galaxies]
        more = [column.name for column in self.slice_columns if column.name != "truth"]
        return self.galaxies.iloc[rows][[*first, *more]].reset_index(drop=True)


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())


def surveys_by_name(
    survey: Survey | Mapping[str, Survey] | Iterable[Survey] | None, *, predicted: Iterable[str]
) -> dict[str, Survey]:
    """Give test sets by name, however they were passed."""
    if survey is None:
        return {}
    if isinstance(survey, Survey):
        survey = [survey]
    named = dict(survey) if isinstance(survey, Mapping) else {one.name: one for one in survey}
    if not set(named) & set(predicted):
        raise PredictionError(
            "Predictions were to be explored with the pixels of their galaxies.",
            received=f"surveys called {', '.join(named) or 'nothing'}",
            available=f"predictions of {', '.join(predicted)}",
            remedy="Pass the test sets under the names that the predictions have, e.g. survey={name: test}.",
        )
    return named
