"""What every network promises, so that strategies, trainers and files need to know nothing else about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from astrolab.errors import ConfigError, SchemaError


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
        self.adapter_targets = tuple(
            name for name, module in self.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)
        )

    @property
    def n_bands(self) -> int:
        """Number of bands the network reads."""
        return self.spec.options["n_bands"]

    def embed(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the last hidden features, those the output layer reads.

        Parameters
        ----------
        inputs : Tensor (n, band, ...)

        Returns
        -------
        Tensor (n, hidden)
        """
        return self.classifier[:-1](self.represent(inputs))

    def represent(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the features that the regressor reads, one vector a galaxy.

        Parameters
        ----------
        inputs : Tensor (n, band, ...)

        Returns
        -------
        Tensor (n, feature)
        """
        return torch.flatten(self.features(inputs), 1)

    def read_out(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the label predicted from the last hidden features.

        Parameters
        ----------
        hidden : Tensor (n, hidden)

        Returns
        -------
        Tensor (n,)
        """
        return self.classifier[-1](hidden).squeeze(1)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return one predicted label a galaxy.

        Parameters
        ----------
        inputs : Tensor (n, band, ...)

        Returns
        -------
        Tensor (n,)

        Raises
        ------
        SchemaError
            If the inputs have another number of axes or bands than the network.
        """
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
    """Refuse widths below one and a dropout outside [0, 1).

    Parameters
    ----------
    name : str
        The network being made.
    widths : mapping of str to tuple of int
        Every option that counts something, by name.
    dropout : float

    Raises
    ------
    ConfigError
    """
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
