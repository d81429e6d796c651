"""What every network promises, so that strategies, trainers and files need to know nothing else about it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from astrolab.errors import ConfigError, SchemaError
from astrolab.tasks import InputSpec, Task

if TYPE_CHECKING:
    from astrolab.datasets.survey import Survey

Shape = Sequence[int | None]


@dataclass(frozen=True)
class ModelSpec:
    """What must be known to build a network again, without its weights: its name and options, JSON values."""

    name: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class TrainingRecord:
    """What a network was trained on: the survey, what each input was made of and of what shape, what was declared."""

    survey: str
    specs: Mapping[str, InputSpec]
    shapes: Mapping[str, tuple[int, ...]]
    declared: tuple[str, ...] = ()

    @classmethod
    def of(cls, survey: Survey, *, inputs: Sequence[str]) -> TrainingRecord:
        """Describe the inputs of a survey that a network reads."""
        shapes = {name: tuple(survey.inputs[name].shape[1:]) for name in inputs}
        return cls(survey.name, {name: survey.specs[name] for name in inputs}, shapes, survey.provenance.declared)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainingRecord:
        """Make a record of its values as JSON."""
        specs = {name: InputSpec(**spec) for name, spec in values["specs"].items()}
        shapes = {name: tuple(shape) for name, shape in values["shapes"].items()}
        return cls(values["survey"], specs, shapes, tuple(values["declared"]))

    def require_same(self, survey: Survey) -> None:
        """Refuse a survey with inputs of another shape, grid or bridge, or, where known, pixel scale or unit."""
        for name in self.specs:
            other = TrainingRecord.of(survey, inputs=[name]) if name in survey.specs else None
            remedies = ["choose a survey with this input"] if other is None else self._remedies(name, other=other)
            if remedies:
                raise SchemaError(
                    f"The {name} of {survey.name} was to be given to a network.",
                    received=other._in_words(name) if other else f"only {', '.join(survey.specs)}",
                    available=f"a network that was trained on {self._in_words(name)}",
                    remedy=f"Train the network on this survey first, or {'; '.join(remedies)}.",
                )

    def _remedies(self, name: str, *, other: TrainingRecord) -> list[str]:
        spec, its = self.specs[name], other.specs[name]
        scale, its_scale = spec.scale_arcsec, its.scale_arcsec
        is_other = len(spec.grid) != len(its.grid) or not np.allclose(spec.grid, its.grid, rtol=1e-6)
        if (spec.grid and its.grid and is_other) or spec.bridge != its.bridge:
            bridge = f"network.trained_on.specs[{name!r}].bridge" if spec.bridge else "..."
            return [f"bridge it: astrolab.bridge_spectra(survey, bridge={bridge})"]
        remedies = []
        if scale and its_scale and not math.isclose(scale, its_scale, rel_tol=1e-3):
            remedies.append(f"resample it: astrolab.resample(survey, scale_arcsec={scale:g}, size=...)")
        if self.shapes[name] != other.shapes[name]:
            is_image = len(spec.axes) == 3
            remedies.append(f"load it with image_size={self.shapes[name][-1]}" if is_image else "give it this shape")
        if spec.unit and its.unit and spec.unit != its.unit:
            remedies.append(f"convert it to {spec.unit}, the unit of its manifest then")
        return remedies

    def _in_words(self, name: str) -> str:
        spec = self.specs[name]
        scale = f", {spec.scale_arcsec:g} arcsec a pixel" if spec.scale_arcsec else ""
        grid = f", {spec.grid[0]:g} to {spec.grid[-1]:g} Å" if spec.grid else ""
        grid += ", bridged" * bool(spec.bridge)
        return f"{'×'.join(map(str, self.shapes[name]))} values{scale}{grid}" + f", in {spec.unit}" * bool(spec.unit)


class Network(nn.Module):
    """A network in two steps: hidden features of an object, and the labels that are read from them.

    A network of your own derives from it and has a `name`, an ``__init__(self, *, inputs, task, **options)`` that gives
    all of it to this one, and the methods `embed` and `read_out`. One that learns without labels has
    ``reconstruct(inputs, mask)`` instead of `read_out`: it gives the inputs back, of which it must not use what is
    masked (True). Register it with `astrolab.register_model`.

    Parameters
    ----------
    inputs : mapping of str to shape
        Shape of one row of every input that it reads; None where any size will do.
    stages : mapping of str to tuple of str
        Names of modules that can be frozen, or given a learning rate, together: from the inputs to the ``"head"`` that
        predicts the labels. The stage ``"all"`` is there always.
    **options
        JSON values with which the network can be built again.

    Attributes
    ----------
    spec : ModelSpec
        Name, inputs, task and options: the network without its weights.
    trained_on : TrainingRecord or None
        What it was last trained on; a copy keeps it.

    Examples
    --------
    >>> class Line(Network):
    ...     name = "line"
    ...
    ...     def __init__(self, *, inputs, task):
    ...         super().__init__(inputs=inputs, task=task, stages={"head": ("output",)})
    ...         self.output = nn.Linear(inputs["magnitudes"][0], len(task.labels))
    ...
    ...     def embed(self, inputs):
    ...         return inputs["magnitudes"]
    ...
    ...     def read_out(self, hidden):
    ...         return self.output(hidden)
    """

    name: ClassVar[str] = ""
    n_axes: ClassVar[int | None] = None  # of the one input that it reads; by default it reads all there are
    axes: ClassVar[tuple[str, ...]] = ()  # what its first axis may be; by default anything

    def __init__(
        self, *, inputs: Mapping[str, Shape], task: Task, stages: Mapping[str, tuple[str, ...]], **options: Any
    ):
        super().__init__()
        written = json.dumps({"inputs": dict(inputs), "task": task.to_dict(), **options})
        self.spec = ModelSpec(self.name, json.loads(written))
        self.inputs = tuple(inputs)
        self.task = task
        self.trained_on: TrainingRecord | None = None
        self._stages = dict(stages)

    @classmethod
    def reads(cls, specs: Mapping[str, InputSpec]) -> tuple[str, ...]:
        """Return which inputs of a survey it can read."""
        of_size = {name: spec for name, spec in specs.items() if cls.n_axes in (None, len(spec.axes))}
        return tuple(name for name, spec in of_size.items() if not cls.axes or spec.axes[0] in cls.axes)

    @property
    def origin(self) -> str:
        """Module and name of its class."""
        return f"{type(self).__module__}.{type(self).__qualname__}"

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels that it predicts, in their order."""
        return self.task.label_names

    @property
    def stages(self) -> dict[str, tuple[str, ...]]:
        """Names of the modules of every stage; ``"all"`` is the whole network."""
        own = [name for name, _ in self.named_parameters(recurse=False)]
        return {**self._stages, "all": (*(name for name, _ in self.named_children()), *own)}

    @property
    def adapter_targets(self) -> tuple[str, ...]:
        """Every convolution and linear layer: where an adapter can sit."""
        kinds, past = (nn.Conv1d, nn.Conv2d, nn.Linear), NonDynamicallyQuantizableLinear  # attention goes past the last
        return tuple(n for n, module in self.named_modules() if isinstance(module, kinds) and type(module) is not past)

    @property
    def n_hidden(self) -> int:
        """Number of hidden features of an object, found by embedding zeros; the network must be in evaluation mode."""
        device = next(self.parameters()).device
        shapes = {name: [size or 32 for size in shape] for name, shape in self.spec.options["inputs"].items()}
        with torch.no_grad():
            hidden = self.embed({name: torch.zeros(1, *shape, device=device) for name, shape in shapes.items()})
        return hidden.shape[1]

    def embed(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return the hidden features (n, hidden) of scaled inputs (n, ...)."""
        raise NotImplementedError

    def read_out(self, hidden: Tensor) -> Tensor:
        """Return the labels (n, n_labels) predicted from hidden features (n, hidden)."""
        raise NotImplementedError

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return the predicted labels (n, n_labels); the hidden features, of a network without labels."""
        self.require_inputs(inputs)
        hidden = self.embed(inputs)
        return self.read_out(hidden) if self.task.labels else hidden

    def require_inputs(self, inputs: Mapping[str, Tensor]) -> None:
        """Refuse inputs that are not there, or of another shape than the network was made for."""
        for name, shape in self.spec.options["inputs"].items():
            found = list(inputs[name].shape[1:]) if name in inputs else []
            if len(found) != len(shape) or any(a not in (None, b) for a, b in zip(shape, found, strict=True)):
                given = f"rows of shape {found}" if name in inputs else f"only {', '.join(inputs) or 'nothing'}"
                asked = f"{self.name} was to read the {name} of some objects."
                available = f"rows of shape {shape}".replace("None", "any")
                remedy = "Use a survey with the channels of the network, or make_model for this one."
                raise SchemaError(asked, received=given, available=available, remedy=remedy)


def tensor_digest(tensor: Tensor) -> str:
    """Return the SHA-256 of a tensor's type, shape and values, whatever its device and memory layout."""
    values = tensor.detach().cpu().contiguous().reshape(-1)
    header = f"{values.dtype} {tuple(tensor.shape)}\n".encode()
    return hashlib.sha256(header + values.view(torch.uint8).numpy().tobytes()).hexdigest()


def digest(network: nn.Module) -> str:
    """Return the SHA-256 over the names and values of all parameters and buffers of a network."""
    total = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        total.update(f"{name} {tensor_digest(tensor)}\n".encode())
    return total.hexdigest()


def perceptron(n_features: int, *, hidden: Sequence[int], n_labels: int, dropout: float) -> nn.Sequential:
    """Build hidden layers with SiLU and dropout, then one output a label; linear layers at positions 0, 3, 6, ..."""
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [nn.Linear(n_features, width), nn.SiLU(), nn.Dropout(dropout)]
        n_features = width
    return nn.Sequential(*layers, nn.Linear(n_features, n_labels))


def name_stages(stem: str, *, norm: Sequence[str], blocks: Sequence[str], head: str) -> dict[str, tuple[str, ...]]:
    """Name the stages of a stack of modules: its stem, the norm and the blocks behind it, each block, and its head."""
    numbered = {f"block{k}": (block,) for k, block in enumerate(blocks, start=1)}
    return {"stem": (stem,), "body": (*norm, *blocks), **numbered, "head": (head,)}


def require_options(name: str, *, widths: Mapping[str, Sequence[int]], dropout: float) -> None:
    """Refuse widths below one and a dropout outside [0, 1)."""
    wrong = [
        f"{option} = {list(values)}"
        for option, values in widths.items()
        if not values or any(isinstance(v, bool) or not isinstance(v, int) or v < 1 for v in values)
    ]
    wrong += [] if 0 <= dropout < 1 else [f"dropout = {dropout}"]
    if wrong:
        asked = f"{name} was to be made."
        available = "whole numbers of at least 1; 0 <= dropout < 1"
        raise ConfigError(asked, received=", ".join(wrong), available=available, remedy="Change these options.")


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw weights from a seed, on the CPU whatever device they are used on; torch's own random state stays."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
