"""What is learned, as data: quantities, the questions of a decision tree, tasks; and what an input is made of.

Nothing else in astrolab knows what a redshift is. A manifest may change any field of a known quantity, or define one of
its own; the task then travels from the survey to the model, its predictions and their scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any, Literal, TypeVar

from astrolab.errors import ConfigError, require_known

Values = TypeVar("Values")
Range = tuple[float, float]


@dataclass(frozen=True)
class Quantity:
    """One label: what it is called, measured in, and how wrong a prediction of it is."""

    name: str
    words: str = ""
    unit: str = ""
    error: Literal["plain", "per_one_plus"] = "plain"
    scored: Range | None = None
    possible: Range | None = None
    outlier: float | None = None

    def __post_init__(self):
        object.__setattr__(self, "words", self.words or self.name)
        for end in ("scored", "possible"):
            pair = getattr(self, end)
            object.__setattr__(self, end, None if pair is None else tuple(map(float, pair)))
        ascend = all(pair is None or (len(pair) == 2 and pair[0] < pair[1]) for pair in (self.scored, self.possible))
        if not self.name or self.error not in ("plain", "per_one_plus") or not ascend or not (self.outlier or 1) > 0:
            received = ", ".join(f"{f.name}={getattr(self, f.name)!r}" for f in fields(self)[1:])
            available = "a name; error: plain, per_one_plus; ranges (low, high) with low < high; an outlier above 0"
            asked = f"The quantity {self.name!r} was defined."
            raise ConfigError(asked, received=received, available=available, remedy="Correct the field.")

    @property
    def axis(self) -> str:
        """How an axis calls it, with its unit."""
        return f"{self.words} ({self.unit})" if self.unit else self.words

    def residual(self, *, truth: Values, pred: Values) -> Values:
        """Give how far predictions lie from the truth; arrays, tensors and numbers alike."""
        return (pred - truth) / (1 + truth) if self.error == "per_one_plus" else pred - truth

    def moved(self, truth: Values, *, residual: float) -> Values:
        """Give the predictions that have a residual: the lines of constant error in a figure."""
        return truth + residual * (1 + truth) if self.error == "per_one_plus" else truth + residual

    def is_scored(self, truth: Values) -> Values:
        """Mark the true values that are scored; an unknown one (NaN) never is."""
        low, high = self.scored or (-float("inf"), float("inf"))
        return (truth > low) & (truth <= high)


@dataclass(frozen=True)
class Question:
    """A question of a decision tree, and the answers to an earlier one that lead to it."""

    name: str
    answers: tuple[str, ...]
    asked_after: tuple[str, tuple[str, ...]] | None = None

    def __post_init__(self):
        object.__setattr__(self, "answers", tuple(self.answers))
        if self.asked_after:
            object.__setattr__(self, "asked_after", (self.asked_after[0], tuple(self.asked_after[1])))

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels of its answers: ``<question>_<answer>``."""
        return tuple(f"{self.name}_{answer}" for answer in self.answers)


@dataclass(frozen=True)
class Task:
    """What a network learns: its labels, the loss, and the metrics by which it is judged."""

    name: str
    labels: tuple[Quantity, ...]
    loss: str = "mse"
    metrics: tuple[str, ...] = ("bias", "scatter", "rmse", "mae", "r2")
    headline: str = "rmse"
    questions: tuple[Question, ...] = field(default=())

    def __post_init__(self):
        names = self.label_names
        asked = [label for question in self.questions for label in question.labels]
        if len(set(names)) < len(names) or not set(asked) <= set(names):
            received = f"labels {', '.join(names) or 'none'}" + f"; questions about {', '.join(asked)}" * bool(asked)
            remedy = "Name every label once, and give every answer of a question its label, <question>_<answer>."
            raise ConfigError(f"The task {self.name!r} was defined.", received=received, remedy=remedy)

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the labels, in their order."""
        return tuple(quantity.name for quantity in self.labels)

    def quantity(self, label: str) -> Quantity:
        """Give the quantity of a label."""
        require_known(f"label of the task {self.name!r}", name=label, names=self.label_names)
        return self.labels[self.label_names.index(label)]

    def with_scored(self, **scored: Range | None) -> Task:
        """Give the same task with other ranges of true values that are scored.

        >>> REDSHIFT.with_scored(z=(0.0, 0.3)).quantity("z").scored
        (0.0, 0.3)
        """
        for name in scored:
            self.quantity(name)
        labels = tuple(replace(q, scored=scored[q.name]) if q.name in scored else q for q in self.labels)
        return replace(self, labels=labels)

    def to_dict(self) -> dict[str, Any]:
        """Give the task as JSON values; `Task.from_dict` gives it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Task:
        """Make the task that `to_dict` gave."""
        labels = tuple(Quantity(**label) for label in values["labels"])
        questions = tuple(Question(**question) for question in values["questions"])
        return cls(**{**values, "labels": labels, "metrics": tuple(values["metrics"]), "questions": questions})


@dataclass(frozen=True)
class InputSpec:
    """What one input of a survey is made of.

    Of spectra, empty where unknown: `grid` are the wavelengths (Å) of all, in a `medium`; `resolution` is R = λ / FWHM,
    one value or one a pixel; `velocity` the column of radial velocities (km/s), none at rest; `bridge` the settings of
    the `Bridge` that made them.
    """

    axes: tuple[str, ...]
    channels: tuple[str, ...] = ()
    unit: str = ""
    grid: tuple[float, ...] = ()
    scale_arcsec: float | None = None
    companions: tuple[str, ...] = ()
    medium: Literal["vacuum", "air", ""] = ""
    resolution: tuple[float, ...] = ()
    velocity: str = ""
    bridge: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self):
        for name in ("axes", "channels", "grid", "companions", "resolution"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    @property
    def may_miss(self) -> bool:
        """Whether a NaN means "not measured", as in a catalogue; pixels of an image or a spectrum are all there."""
        return len(self.axes) == 1 and self.axes != ("pixel",)


_KNOWN = (
    Quantity("z", "redshift", "", "per_one_plus", scored=(0.3, 1.5), possible=(-0.01, 20.0), outlier=0.15),
    Quantity("feh", "[Fe/H]", "dex", possible=(-10.0, 2.0)),
    Quantity("alpha_fe", "[α/Fe]", "dex", possible=(-3.0, 3.0)),
)
QUANTITIES: Mapping[str, Quantity] = MappingProxyType({quantity.name: quantity for quantity in _KNOWN})
REDSHIFT = Task(
    "redshift",
    (QUANTITIES["z"],),
    loss="lorentzian",
    metrics=("bias", "scatter", "catastrophic_rate", "outlier_rate", "loss"),
    headline="scatter",
)
ABUNDANCES = Task(
    "abundances",
    (QUANTITIES["feh"], QUANTITIES["alpha_fe"]),
    metrics=("bias", "sigma_clipped", "rmse", "r2"),
    headline="sigma_clipped",
)
TASKS: Mapping[str, Task] = MappingProxyType({task.name: task for task in (REDSHIFT, ABUNDANCES)})


def find_quantity(name: str, **changes: Any) -> Quantity:
    """Give the known quantity of a name with some fields changed, or a plain one where the name is not known."""
    return replace(QUANTITIES.get(name, Quantity(name)), **changes)


def make_task(labels: Sequence[Quantity], *, questions: Sequence[Question] = ()) -> Task:
    """Make the task of some labels: a known one that has all of them (with their own ranges), else plain regression."""
    names = tuple(quantity.name for quantity in labels)
    known = next((task for task in TASKS.values() if set(names) <= set(task.label_names)), None)
    if known is not None and names and not questions:
        return replace(known, labels=tuple(labels))
    return Task("+".join(names) or "no labels", tuple(labels), questions=tuple(questions))
