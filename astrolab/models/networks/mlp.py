"""Fully connected layers on numbers in a row: magnitudes, an embedding, a spectrum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from astrolab.models.network import Network, Shape, name_stages, perceptron, require_options
from astrolab.tasks import Task


class MLP(Network):
    """Labels of an object from numbers in a row: fully connected layers with SiLU.

    The input reaches the head a second time past all layers, as in the network of the GalaxiesML examples (four layers
    of 200 and a skip; Do et al. 2024, arXiv:2410.00271). `hidden` are the widths, at least two, the last that of the
    head's hidden layer. `batchnorm` puts a BatchNorm behind each linear layer before the head: colours, small
    differences of magnitudes that are almost equal, are then learned in a few thousand steps.
    """

    name = "mlp"
    n_axes = 1

    def __init__(
        self,
        *,
        inputs: Mapping[str, Shape],
        task: Task,
        hidden: Sequence[int] = (128, 128, 128, 128),
        dropout: float = 0.0,
        batchnorm: bool = True,
    ):
        ((name, (n_in,)),) = inputs.items()
        before, last = tuple(hidden)[:-1], tuple(hidden)[-1:]
        require_options("mlp", widths={"hidden (all but the last)": before, "hidden (the last)": last}, dropout=dropout)
        options = {"hidden": list(hidden), "dropout": dropout, "batchnorm": batchnorm}
        norm, blocks = ["features.0.1"] * batchnorm, [f"features.{k}" for k in range(1, len(before))]
        stages = name_stages("features.0.0", norm=norm, blocks=blocks, head="classifier")
        super().__init__(inputs={name: (n_in,)}, task=task, stages=stages, **options)
        layers = [_layer(a, b, batchnorm=batchnorm) for a, b in zip((n_in, *before), before, strict=False)]
        self.features = nn.Sequential(*layers)
        self.classifier = perceptron(before[-1] + n_in, hidden=last, n_labels=len(task.labels), dropout=dropout)

    def embed(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return the last hidden features of rows of numbers (n, number)."""
        values = inputs[self.inputs[0]]
        return self.classifier[:-1](torch.cat([self.features(values), values], dim=1))

    def read_out(self, hidden: Tensor) -> Tensor:
        """Return the labels that the output layer reads from hidden features."""
        return self.classifier[-1](hidden)


def _layer(n_in: int, n_out: int, *, batchnorm: bool) -> nn.Sequential:
    norm = [nn.BatchNorm1d(n_out)] if batchnorm else []
    return nn.Sequential(nn.Linear(n_in, n_out), *norm, nn.SiLU())
