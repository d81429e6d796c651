"""A place in a predictions table: model and test set, second model, slices, selection; and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from astrolab.datasets.survey import Survey
from astrolab.errors import PredictionError
from astrolab.exploring.columns import SliceColumn, describe_objects, has_truth, picture_input, slice_columns
from astrolab.exploring.gathering import AS_READ, Choices
from astrolab.metrics import Resampling, find_metric, find_requirement, score
from astrolab.metrics.photoz import MAD_TO_SIGMA
from astrolab.metrics.scoring import default_metrics
from astrolab.predictions import CONDITIONS, TEST_KEYS, quantity_of, task_of
from astrolab.tasks import Quantity, Task

VERDICTS = ("nearer", "about the same", "farther")
LISTED_FIRST = ("object_id", "ra", "dec", "truth", "pred", "pred_other", "deviation", "deviation_other", "is_outlier")
SPREADS = ("scatter", "scatter_std", "sigma_clipped", "biweight_scatter", "r2", "pearson_r2")  # one object has none
CLIP_SIGMA = 3.0  # where a quantity has no outlier cut of its own
RESAMPLED_FROM = 10  # objects; below, resamples repeat so few values that their spread says nothing
RESAMPLED_UP_TO = 20_000  # objects; beyond, a bootstrap takes longer than a reader waits, and intervals are tiny
N_RESAMPLES = 100
N_UNDONE = 50  # selections that can be gone back to
NONE = np.zeros(0, dtype=int)
_NAMED = ("run", "arm", *CONDITIONS, "seed")


def with_deviations(objects: pd.DataFrame, *, quantity: Quantity) -> pd.DataFrame:
    """Add to the objects of one model how wrong each prediction is, and whether it is an outlier."""
    truth, pred = objects["truth"].to_numpy(float), objects["pred"].to_numpy(float)
    deviation = quantity.residual(truth=truth, pred=pred)
    centre, cut = 0.0, quantity.outlier
    if cut is None:
        centre, cut = np.median(deviation), CLIP_SIGMA * _sigma(deviation)
    return objects.assign(deviation=deviation, is_outlier=np.abs(deviation - centre) > cut)


def _sigma(deviation: np.ndarray) -> float:
    return MAD_TO_SIGMA * float(np.median(np.abs(deviation - np.median(deviation))))


def match_models(objects: pd.DataFrame, *, others: pd.DataFrame, quantity: Quantity) -> pd.DataFrame:
    """Put another model's predictions beside those of a first one, object by object.

    A change of the deviation counts from what surveys ask of the scatter on, or half the sigma of the first model.
    """
    ids = pd.Index(others["object_id"])
    if not (ids.is_unique and objects["object_id"].is_unique):
        raise _not_the_same(objects, others, "object ids that occur twice")
    place = ids.get_indexer(objects["object_id"])
    if (place < 0).any() or len(ids) != len(place):
        n_common = int((place >= 0).sum())
        raise _not_the_same(objects, others, f"{len(place):,} and {len(ids):,} objects, {n_common:,} in common")
    truths = (objects["truth"].to_numpy(float), others["truth"].to_numpy(float)[place])
    n_moved = int((~np.isclose(*truths, rtol=1e-5, equal_nan=True)).sum())  # a table may have gone through float32
    if n_moved:
        raise _not_the_same(objects, others, f"another true value for {n_moved:,} of {len(place):,} ids")
    ours = objects if "deviation" in objects else with_deviations(objects, quantity=quantity)
    theirs = with_deviations(others.iloc[place], quantity=quantity)
    change = theirs["deviation"].abs().to_numpy() - ours["deviation"].abs().to_numpy()
    asked = find_requirement("scatter", label=quantity.name)
    at_least = asked.limit if asked else 0.5 * _sigma(ours["deviation"].to_numpy())
    number = 1 + (change >= at_least).astype(int) - (change <= -at_least)
    return ours.assign(
        pred_other=theirs["pred"].to_numpy(),
        deviation_other=theirs["deviation"].to_numpy(),
        deviation_difference=ours["deviation"].to_numpy() - theirs["deviation"].to_numpy(),
        change=change,
        verdict=pd.Categorical.from_codes(number, categories=list(VERDICTS)),
    )


def _not_the_same(objects: pd.DataFrame, others: pd.DataFrame, received: str) -> PredictionError:
    names = [", ".join(str(table[name].iloc[0]) for name in _NAMED if name in table) for table in (objects, others)]
    asked = f"{names[0] or 'A model'} and {names[1] or 'another'} were to be compared object by object."
    remedy = "Compare models that predicted the same objects, such as those of one run."
    return PredictionError(asked, received=received, remedy=remedy)


def inside_slices(objects: pd.DataFrame, *, ranges: Mapping[str, tuple[float, float]]) -> np.ndarray:
    """Mark the objects that lie inside all of some ranges."""
    inside = np.ones(len(objects), dtype=bool)
    for name, (low, high) in ranges.items():
        values = objects[name].to_numpy(float)
        known = values[np.isfinite(values)]
        if known.size and (known.min() < low or known.max() > high):
            inside &= (values >= low) & (values <= high)
    return inside


def score_objects(
    objects: pd.DataFrame, *, quantity: Quantity, task: Task, rows: np.ndarray | None = None
) -> pd.DataFrame:
    """Score objects of one model by the metrics of their task, all of them or a selection."""
    chosen = objects if rows is None else objects.iloc[np.arange(len(objects))[rows]]
    truth, pred = (chosen[name].to_numpy(float) for name in ("truth", "pred"))
    scored = quantity.is_scored(truth)
    n, metrics = int(scored.sum()), list(default_metrics(task))
    found, asked = [find_metric(name) for name in metrics], [find_requirement(m, label=quantity.name) for m in metrics]
    about = pd.DataFrame({"metric": metrics}).assign(
        label=[f"{one.label} ({one.unit_of(quantity)})".removesuffix(" ()") for one in found],
        asked_by=[one.survey if one else "" for one in asked],
        limit=[one.limit if one else np.nan for one in asked],
        **{"value": np.nan, "low": np.nan, "high": np.nan, "n": n},
    )
    possible = metrics if n > 1 else [name for name in metrics if n and name not in SPREADS]
    if not possible:
        return about
    name = quantity.name
    names = (f"truth.{name}", f"pred.{name}") if has_truth(quantity) else ("", name)
    table = pd.DataFrame(dict(zip(names, (truth[scored], pred[scored]), strict=True)))
    resampling = Resampling(n=N_RESAMPLES if n <= RESAMPLED_UP_TO else 0, seed=0)
    scores = score(table, metrics=possible, labels=[name], by=(), task=task, resampling=resampling)
    numbers = scores.set_index("metric")[["value", "low", "high"]].reindex(metrics)
    if n < RESAMPLED_FROM:
        numbers.loc[[not one.is_fraction for one in found], ["low", "high"]] = np.nan
    return about.assign(**{column: numbers[column].to_numpy() for column in numbers})


def brightest_outliers_first(objects: pd.DataFrame, *, magnitude: str | None = None) -> np.ndarray:
    """Put objects in the order in which they are worth a look."""
    farthest = -np.abs(objects["deviation"].to_numpy(float))
    is_outlier = objects["is_outlier"].to_numpy(bool)
    bright = objects[magnitude].to_numpy(float) if magnitude else farthest
    return np.lexsort((farthest, np.where(is_outlier, bright, farthest), ~is_outlier))


def difference(values: Mapping[str, Any], *, other: Mapping[str, Any]) -> dict[str, Any]:
    """Give what another model has, where the first has something else."""
    return {name: value for name, value in other.items() if value != values[name]}


def short_name(values: Mapping[str, Any], *, other: Mapping[str, Any]) -> str:
    """Give the name of another model, as seen from a first one: "lora", or "arm=lora, seed=1"."""
    changed = difference(values, other=other)
    return str(changed["arm"]) if list(changed) == ["arm"] else _listed(changed)


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())


class Exploration:
    """A place in a predictions table. Each method moves to another; the attributes say what is there."""

    def __init__(
        self, predictions: pd.DataFrame, *, surveys: Mapping[str, Survey] | None = None, task: Task | None = None
    ):
        self.choices = Choices.of(predictions)
        self.surveys, self.task = dict(surveys or {}), task or task_of(predictions)
        self.values: dict[str, Any] = {}
        self.other: dict[str, Any] | None = None
        self.ranges: dict[str, tuple[float, float]] = {}
        self.selected, self.before = NONE, list[np.ndarray]()
        self.order = ("", False)  # column by which objects are listed, whether its highest value comes first
        self.objects = pd.DataFrame({"object_id": []})
        self.choose()

    def choose(self, **values: Any) -> None:
        """Go to another model, test set or label; selection and slices stay where the objects are the same.

        The second model comes along: it goes on differing in the same columns. Where there is no such model of these
        objects, or the first has become the same, nothing is compared any more.
        """
        wanted = values | {name: value for name, value in self.values.items() if name not in values}
        there = self.choices.complete(**wanted)
        other = there | difference(self.values, other=self.other) if self.other else None
        try:
            self._load(there, other=None if other == there else other)
        except PredictionError:
            self._load(there, other=None)

    def compare_with(self, other: str | Mapping[str, Any] | None) -> None:
        """Put a second model beside the first, or none."""
        if isinstance(other, str):
            other = {"arm": other}
        self._load(self.values, other=None if other is None else self.values | dict(other))

    @property
    def others(self) -> dict[str, dict[str, Any]]:
        """The models on the same test set that can be the second one, by short name, the nearest first."""
        values, combinations = self.values, self.choices.combinations
        same = [name for name in (*TEST_KEYS, "label") if name in values]
        alike = [model for model in combinations if all(model[name] == values[name] for name in same)]
        changed = {short_name(values, other=one): difference(values, other=one) for one in alike if one != values}
        ranked = sorted(changed.items(), key=lambda one: (len(one[1]), "arm" not in one[1]))
        return {name: values | changes for name, changes in ranked}

    def _load(self, values: dict[str, Any], *, other: dict[str, Any] | None) -> None:
        if other == values:
            asked = "A model was to be compared with another one."
            received = f"the same model twice: {_listed(values)}"
            available = f"{len(self.others)} others on this test set"
            raise PredictionError(asked, received=received, available=available, remedy="Choose one of the others.")
        quantity = quantity_of(values["label"], task=self.task)
        objects, n_unknown = self._known(values)
        others = {*self.choices.options["label"]} - {*objects, values["label"]}
        objects = objects.rename(columns={f"truth.{name}": name for name in others})
        objects = with_deviations(objects.assign(place=np.arange(len(objects))), quantity=quantity)
        survey = self.surveys.get(values["survey"])
        if survey is not None:
            objects = describe_objects(objects, survey=survey)
        if other is not None:
            objects = match_models(objects, others=self._known(other)[0], quantity=quantity)
        is_same = self.objects["object_id"].equals(objects["object_id"])
        if not is_same or values["label"] != self.values.get("label"):
            self.selected, self.before, self.ranges = (self.selected, self.before, {}) if is_same else (NONE, [], {})
        self.objects, self.n_unknown, self.quantity = objects, n_unknown, quantity
        self.values, self.other = values, other
        for name in ("whole", "slice_columns", "inside"):
            vars(self).pop(name, None)

    def _known(self, values: Mapping[str, Any]) -> tuple[pd.DataFrame, int]:
        """The objects whose truth is known, and the number of the others: they are no part of what is explored."""
        objects = self.choices.objects(**values)
        known = objects["truth"].notna().to_numpy()
        if not known.any():
            asked = f"Predictions of {values['label']} on {values['survey']} were to be explored."
            received = f"{len(objects):,} objects, all of unknown truth"
            raise PredictionError(asked, received=received, remedy="Choose another label or test set.")
        return objects if known.all() else objects[known].reset_index(drop=True), int((~known).sum())

    def slice(self, ranges: Mapping[str, tuple[float, float]]) -> None:
        """Keep to objects inside some ranges."""
        self.ranges = dict(ranges)
        vars(self).pop("inside", None)

    def select(self, rows: np.ndarray) -> None:
        """Select objects."""
        rows = np.asarray(rows, dtype=int)
        if not np.array_equal(rows, self.selected):
            self.before = [*self.before[-N_UNDONE:], self.selected]
        self.selected = rows

    def undo(self) -> None:
        """Go back to the selection before."""
        self.selected = self.before.pop() if self.before else self.selected

    def where(self, expression: str) -> np.ndarray:
        """Find the objects of which an expression is true, e.g. ``"i_mag < 20 or selected"``."""
        own = self.objects.get(self.quantity.name, self.objects["truth"])
        is_selected = np.isin(np.arange(len(self.objects)), self.selected)
        table = self.objects.assign(**{"selected": is_selected, self.quantity.name: own})
        try:
            return np.flatnonzero(table.eval(expression, engine="python") & np.ones(len(table), dtype=bool))
        except (NameError, SyntaxError, TypeError, ValueError, AttributeError, KeyError, NotImplementedError) as error:
            asked, received = "Objects were to be selected by an expression.", f"{expression!r} ({error})"
            available, remedy = ", ".join(map(str, table)), "Compare columns: pred < 0.3 and abs(deviation) > 0.1"
            raise PredictionError(asked, received=received, available=available, remedy=remedy) from error

    def sort(self, name: str) -> None:
        """List objects by a column, lowest first; the same once more: highest first; then as at first."""
        is_again = name == self.order[0]
        self.order = ("", False) if is_again and self.order[1] else (name, is_again)

    @property
    def survey(self) -> Survey | None:
        """The test set itself, where it is known."""
        return self.surveys.get(self.values["survey"])

    @property
    def pictured(self) -> tuple[Survey, ...]:
        """The surveys that show an object: as it was read, where that is known, and as it was predicted."""
        both = (self.surveys.get(self.values["survey"] + AS_READ), self.survey)
        return tuple(one for one in both if any(picture_input(one)))

    @property
    def word(self) -> str:
        """What the rows are: "galaxies", "stars", as the survey says; else "objects"."""
        return self.survey.objects if self.survey is not None else "objects"

    @cached_property
    def slice_columns(self) -> tuple[SliceColumn, ...]:
        """The columns to slice by."""
        return slice_columns(self.objects, quantity=self.quantity)

    @property
    def magnitude(self) -> str | None:
        """The column of the magnitude by which outliers are listed, if there is one."""
        return next((column.name for column in self.slice_columns if column.kind == "magnitude"), None)

    @property
    def x(self) -> str:
        """The column of the horizontal axis: the truth; where there is none, another one to slice by, or the rank."""
        others = [column.name for column in self.slice_columns if column.name != "pred"]
        return "truth" if has_truth(self.quantity) else next(iter(others), "place")

    @cached_property
    def inside(self) -> np.ndarray:
        """Which objects are inside the slices: (n,) bool."""
        return inside_slices(self.objects, ranges=self.ranges)

    @property
    def cuts(self) -> dict[str, tuple[float, float]]:
        """The slices that leave objects out, by column: lowest and highest value inside."""
        whole = {column.name: (column.low, column.high) for column in self.slice_columns}
        inside = {n: tuple(np.clip(both, *whole[n]).tolist()) for n, both in self.ranges.items() if n in whole}
        return {name: both for name, both in inside.items() if both != whole[name]}

    @property
    def cuts_in_words(self) -> list[str]:
        """The slices that leave objects out, as a title says them."""
        labels = {column.name: column.label for column in self.slice_columns}
        return [f"{low:.4g} ≤ {labels.get(name, name)} ≤ {high:.4g}" for name, (low, high) in self.cuts.items()]

    @property
    def rows(self) -> np.ndarray:
        """Row numbers of the objects in view: the selection within the slices, or all within the slices."""
        return self.selected[self.inside[self.selected]] if len(self.selected) else np.flatnonzero(self.inside)

    @property
    def outliers(self) -> np.ndarray:
        """Row numbers of the outliers within the slices."""
        return np.flatnonzero(self.objects["is_outlier"].to_numpy() & self.inside)

    @property
    def what(self) -> str:
        """What is in view: ``"selection"``, ``"slice"`` or ``"all"``."""
        if len(self.selected):
            return "selection"
        return "all" if self.inside.all() else "slice"

    @property
    def about(self) -> str:
        """What is in view, in one line, by the names that columns have in a table."""
        parts = [f"{self.what} of {_listed({name: value for name, value in self.values.items() if value != ''})}"]
        if self.other is not None:
            parts.append(f"pred_other of {_listed(difference(self.values, other=self.other))}")
        parts += [f"{low:.4g} <= {name} <= {high:.4g}" for name, (low, high) in self.cuts.items()]
        return "; ".join(parts)

    @cached_property
    def whole(self) -> dict[tuple[int, str], pd.DataFrame]:
        """Scores of all objects, by number of the model (0, 1) and ``"all"``."""
        return self._score(None, what="all")

    @property
    def scores(self) -> dict[tuple[int, str], pd.DataFrame]:
        """Scores by number of the model and by what was scored: the objects in view, and what they are part of."""
        sliced = {} if self.inside.all() else self._score(self.inside, what="slice")
        if self.what == "selection":
            return self._score(self.rows, what="selection") | (sliced or self.whole)
        return sliced | {(k, "whole test set" if sliced else "all"): scores for (k, _), scores in self.whole.items()}

    def _score(self, rows: np.ndarray | None, *, what: str) -> dict[tuple[int, str], pd.DataFrame]:
        sides = {(0, what): self.objects[["truth", "pred"]]}
        if self.other is not None:
            sides[1, what] = self.objects[["truth"]].assign(pred=self.objects["pred_other"])
        by = {"quantity": self.quantity, "task": self.task}
        return {name: score_objects(side, rows=rows, **by) for name, side in sides.items()}

    def listed(self, n: int) -> np.ndarray:
        """Give the first objects in view in their order, or those that are most worth a look."""
        rows, (by, descending) = self.rows, self.order
        values = self.objects.get(by.replace("error", "pred"))
        if values is not None:
            return values.iloc[rows].sort_values(ascending=not descending, kind="stable").index.to_numpy()[:n]
        return rows[brightest_outliers_first(self.objects.iloc[rows], magnitude=self.magnitude)[:n]]

    def table(self, rows: np.ndarray) -> pd.DataFrame:
        """Give objects with ids, positions, truth and predictions."""
        skipped = () if has_truth(self.quantity) else ("truth", "deviation", "deviation_other")
        first = [name for name in LISTED_FIRST if name in self.objects and name not in skipped]
        more = [column.name for column in self.slice_columns if column.name not in ("truth", "pred")]
        table = self.objects.iloc[rows][[*first, *more]].reset_index(drop=True)
        return table.rename(columns={"pred": "error", "pred_other": "error_other"}) if skipped else table
