"""What every network promises, so that strategies, trainers and files need to know nothing else about it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn

from astrolab.errors import ConfigError, SchemaError

if TYPE_CHECKING:
    from astrolab.datasets.survey import Survey


@dataclass(frozen=True)
class ModelSpec:
    """What must be known to build a network again, without its weights.

    Attributes
    ----------
    name : str
        Name in the registry, e.g. ``"redshift_cnn"``.
    options : dict
        Arguments of the network, ``n_bands`` among them; JSON values only.
    """

    name: str
    options: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return the spec as JSON values."""
        return {"name": self.name, "options": dict(self.options)}


@dataclass(frozen=True)
class InputRecord:
    """What the input of a survey looks like: its bands, its unit ("" if unknown), its pixels, the shape of one row."""

    input: str
    bands: tuple[str, ...]
    unit: str
    pixel_scale_arcsec: float | None
    shape: tuple[int, ...]

    @classmethod
    def of(cls, survey: Survey, *, input_name: str) -> InputRecord:
        """Describe an input of a survey."""
        scale = survey.provenance.pixel_scale_arcsec if input_name == "image" else None
        shape = tuple(survey.inputs[input_name].shape[1:])
        return cls(input_name, tuple(survey.bands), survey.unit_of(input_name), scale, shape)

    def require_same(self, survey: Survey) -> None:
        """Refuse a survey of another shape, or, where both are known, of another pixel scale or unit."""
        other = InputRecord.of(survey, input_name=self.input)
        scale, other_scale = self.pixel_scale_arcsec, other.pixel_scale_arcsec
        remedies = []
        if scale and other_scale and not math.isclose(scale, other_scale, rel_tol=1e-3):
            remedies.append(f"resample it to {scale:g} arcsec a pixel, the pixel_scale_arcsec of its manifest then")
        if self.shape != other.shape:
            is_image = self.input == "image"
            remedies.append(f"load it with image_size={self.shape[-1]}" if is_image else "give it this shape")
        if self.unit and other.unit and self.unit != other.unit:
            remedies.append(f"convert it to {self.unit}, the unit of its manifest then")
        if remedies:
            raise SchemaError(
                f"The {self.input} of {survey.name} was to be given to a network.",
                received=other._in_words(),
                available=f"a network that was trained on {self._in_words()}",
                remedy=f"Train the network on this survey first, or change the survey: {'; '.join(remedies)}.",
            )

    def _in_words(self) -> str:
        scale = f", {self.pixel_scale_arcsec:g} arcsec a pixel" if self.pixel_scale_arcsec else ""
        return f"{'×'.join(map(str, self.shape))} values{scale}" + f", in {self.unit}" * bool(self.unit)


class Network(nn.Module):
    """A network in two parts: features of a galaxy, and the regressor that reads one number from them.

    Parameters
    ----------
    spec : ModelSpec
    features : nn.Sequential
        From the input to one feature vector a galaxy.
    classifier : nn.Sequential
        The regressor; its last module is the output layer. (It is called ``classifier`` because the published
        weights call it so.)
    layer_sets : mapping of str to tuple of str
        Named sets of module names; ``"input"``, ``"body"`` and ``"regressor"`` together are ``"all"``.

    Attributes
    ----------
    input_name : str
        Which input of a survey the network reads: ``"image"`` or ``"magnitudes"``.
    adapter_targets : tuple of str
        Every convolution and linear layer: where an adapter can sit.
    trained_on : InputRecord or None
        What it was last trained on; a copy keeps it.
    """

    input_name: ClassVar[str]
    input_axes: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        spec: ModelSpec,
        *,
        features: nn.Sequential,
        classifier: nn.Sequential,
        layer_sets: Mapping[str, tuple[str, ...]],
    ):
        super().__init__()
        self.spec = spec
        self.features = features
        self.classifier = classifier
        self.layer_sets = dict(layer_sets)
        self.trained_on: InputRecord | None = None
        self.adapter_targets = tuple(
            name for name, module in self.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)
        )

    @property
    def n_bands(self) -> int:
        """Number of bands the network reads."""
        return self.spec.options["n_bands"]

    def embed(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the last hidden features (n, hidden), those the output layer reads."""
        return self.classifier[:-1](self.represent(inputs))

    def represent(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the features (n, feature) that the regressor reads."""
        return torch.flatten(self.features(inputs), 1)

    def read_out(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the label (n,) predicted from the last hidden features (n, hidden)."""
        return self.classifier[-1](hidden).squeeze(1)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return one predicted label (n,) a galaxy; inputs (n, band, ...) of other axes or bands are refused."""
        self._require_shape(inputs)
        return self.read_out(self.embed(inputs))

    def _require_shape(self, inputs: torch.Tensor) -> None:
        if inputs.ndim != len(self.input_axes) or inputs.shape[1] != self.n_bands:
            raise SchemaError(
                f"{self.spec.name} was to predict from {self.input_name}.",
                received=f"an array of shape {tuple(inputs.shape)}",
                available=f"shape ({', '.join(self.input_axes)}) with {self.n_bands} bands",
                remedy="Use a survey with the bands of the network, or make_model(..., n_bands=...).",
            )


def make_regressor(n_features: int, *, hidden: tuple[int, ...], dropout: float) -> nn.Sequential:
    """Build the regressor: hidden layers with SiLU and dropout, then one number.

    Parameters
    ----------
    n_features : int
    hidden : tuple of int
        Widths of the hidden layers.
    dropout : float
        Probability of dropping a hidden feature while training.

    Returns
    -------
    nn.Sequential
        With the linear layers at positions 0, 3, 6, ...

    Examples
    --------
    >>> sum(p.numel() for p in make_regressor(512, hidden=(512, 256), dropout=0.5).parameters())
    394241
    """
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [nn.Linear(n_features, width), nn.SiLU(), nn.Dropout(dropout)]
        n_features = width
    return nn.Sequential(*layers, nn.Linear(n_features, 1))


def require_options(name: str, *, widths: Mapping[str, tuple[int, ...]], dropout: float) -> None:
    """Refuse widths (every option that counts something, by name) below one, and a dropout outside [0, 1)."""
    for option, values in widths.items():
        if not values or any(isinstance(v, bool) or not isinstance(v, int) or v < 1 for v in values):
            raise ConfigError(
                f"{name} was to be made.",
                received=f"{option} = {values}",
                available="whole numbers of at least 1",
                remedy=f"Change {option}.",
            )
    if not 0 <= dropout < 1:
        raise ConfigError(
            f"{name} was to be made.",
            received=f"dropout = {dropout}",
            available="0 <= dropout < 1",
            remedy="Use a fraction, e.g. dropout=0.5.",
        )


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw initial weights from `seed` inside the block, and leave torch's own random state as it was.

    Weights are always drawn on the CPU, so they are the same whatever device they are used on.

    Parameters
    ----------
    seed : int
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
