"""What every network promises, so that strategies, trainers and files need to know nothing else about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from astrolab.errors import ConfigError, SchemaError
from astrolab.tasks import InputSpec, Task


@dataclass(frozen=True)
class ModelSpec:
    """What must be known to build a network again, without its weights: its name and JSON options."""

    name: str
    options: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return the spec as JSON values."""
        return {"name": self.name, "options": dict(self.options)}


class Network(nn.Module):
    """A network in two steps: hidden features of an object, and the labels that are read from them.

    A network of your own derives from it, has a `name`, an ``__init__(self, *, inputs, task, **options)`` that passes
    all of it on, and the methods `embed` and `read_out`; one that learns without labels has
    ``reconstruct(inputs, mask)``, which gives back the inputs (mask: True where a value is hidden from it).

    Parameters
    ----------
    inputs : mapping of str to sequence of int
        The shape of one object's row of every input that it reads.
    task : Task
        What it predicts.
    stages : mapping of str to tuple of str
        Named sets of modules, which can be frozen, adapted or given a learning rate; ``"all"`` is always there.
    **options
        What else it is built with; JSON values.

    Attributes
    ----------
    spec : ModelSpec
    inputs, labels : tuple of str
        Names of what it reads, and of what it predicts.
    """

    name: ClassVar[str]
    reads_one: ClassVar[bool] = False  # input, whatever the survey has beside it

    def __init__(
        self, *, inputs: Mapping[str, Sequence[int]], task: Task, stages: Mapping[str, tuple[str, ...]], **options: Any
    ):
        super().__init__()
        shapes = {name: list(map(int, shape)) for name, shape in inputs.items()}
        self.spec = ModelSpec(self.name, {"inputs": shapes, "task": task.to_dict(), **options})
        self.inputs = tuple(shapes)
        self.task = task
        self.stages = dict(stages)

    @classmethod
    def reads(cls, specs: Mapping[str, InputSpec]) -> tuple[str, ...]:
        """Return which inputs of a survey it reads; all of them, unless a network says otherwise."""
        return tuple(specs)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels that it predicts, in their order."""
        return self.task.label_names

    @property
    def adapter_targets(self) -> tuple[str, ...]:
        """Every convolution and linear layer: where an adapter can sit."""
        kinds = (nn.Conv1d, nn.Conv2d, nn.Linear)
        return tuple(name for name, module in self.named_modules() if isinstance(module, kinds))

    def modules_of(self, stage: str) -> tuple[str, ...]:
        """Return the module names of a stage; the empty name is the whole network."""
        return ("",) if stage == "all" else self.stages[stage]

    def embed(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return the hidden features (n, hidden) of scaled inputs (n, ...)."""
        raise NotImplementedError

    def read_out(self, hidden: Tensor) -> Tensor:
        """Return the labels (n, n_labels) predicted from hidden features (n, hidden)."""
        raise NotImplementedError

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return the predicted labels (n, n_labels); the hidden features, of a network without labels."""
        self._require_shapes(inputs)
        hidden = self.embed(inputs)
        return self.read_out(hidden) if self.task.labels else hidden

    def _require_shapes(self, inputs: Mapping[str, Tensor]) -> None:
        for name, shape in self.spec.options["inputs"].items():
            found = tuple(inputs[name].shape[1:]) if name in inputs else ()
            if found[: len(shape)] != tuple(shape):
                raise SchemaError(
                    f"{self.name} was to read the {name} of some objects.",
                    received=f"rows of shape {found}" if name in inputs else f"only {', '.join(inputs) or 'nothing'}",
                    available=f"rows of shape {tuple(shape)}" + ", …" * (len(found) > len(shape)),
                    remedy="Use a survey with the channels of the network, or make_model for this one.",
                )


def perceptron(n_features: int, *, hidden: Sequence[int], n_labels: int, dropout: float) -> nn.Sequential:
    """Build hidden layers with SiLU and dropout, then one output a label; linear layers at positions 0, 3, 6, ...

    >>> sum(p.numel() for p in perceptron(512, hidden=(512, 256), n_labels=1, dropout=0.5).parameters())
    394241
    """
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [nn.Linear(n_features, width), nn.SiLU(), nn.Dropout(dropout)]
        n_features = width
    return nn.Sequential(*layers, nn.Linear(n_features, n_labels))


def require_options(name: str, *, widths: Mapping[str, Sequence[int]], dropout: float) -> None:
    """Refuse widths below one and a dropout outside [0, 1)."""
    wrong = [
        f"{option} = {list(values)}"
        for option, values in widths.items()
        if not values or any(isinstance(v, bool) or not isinstance(v, int) or v < 1 for v in values)
    ]
    wrong += [] if 0 <= dropout < 1 else [f"dropout = {dropout}"]
    if wrong:
        raise ConfigError(
            f"{name} was to be made.",
            received=", ".join(wrong),
            available="whole numbers of at least 1; 0 <= dropout < 1",
            remedy="Change these options.",
        )


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw weights from a seed, on the CPU whatever device they are used on; torch's own random state stays."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
