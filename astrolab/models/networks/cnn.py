"""The reference network of images: a ResNet18 with any number of channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from astrolab.models.network import Network, Shape, name_stages, perceptron, require_options
from astrolab.tasks import Task

_BLOCKS = ("features.4", "features.5", "features.6", "features.7")


class CNN(Network):
    """Labels of an object from its image.

    ResNet18 (He et al. 2016, arXiv:1512.03385) with a 7x7 stem for any number of channels, and a head of two hidden
    layers with SiLU and dropout, as in Seenivasan et al. 2025 (arXiv:2601.00146). Module names and positions are those
    of the published weights. With five channels, one label and the default options it has 11,577,025 parameters; less
    `width` than 64 makes a small network of the same structure.

    The body starts from the initial weights of torchvision (He normal, fan out), stem and head from torch's defaults,
    because the reference puts them there after torchvision has drawn its own.
    """

    name = "cnn"
    n_axes = 3

    def __init__(
        self,
        *,
        inputs: Mapping[str, Shape],
        task: Task,
        hidden: Sequence[int] = (512, 256),
        dropout: float = 0.5,
        width: int = 64,
    ):
        ((name, shape),) = inputs.items()
        require_options("cnn", widths={"hidden": hidden, "width": (width,)}, dropout=dropout)
        options = {"hidden": list(hidden), "dropout": dropout, "width": width}
        stages = name_stages("features.0", norm=["features.1"], blocks=_BLOCKS, head="classifier")
        super().__init__(inputs={name: (shape[0], None, None)}, task=task, stages=stages, **options)
        self.features = _resnet18(shape[0], width=width)
        self.classifier = perceptron(8 * width, hidden=hidden, n_labels=len(task.labels), dropout=dropout)

    def embed(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return the last hidden features of images (n, channel, y, x)."""
        features = torch.flatten(self.features(inputs[self.inputs[0]]), 1)
        return self.classifier[:-1](features)

    def read_out(self, hidden: Tensor) -> Tensor:
        """Return the labels that the output layer reads from hidden features."""
        return self.classifier[-1](hidden)


def _resnet18(n_channels: int, *, width: int) -> nn.Sequential:
    blocks = [_block(width, width, stride=1), *(_block(k * width, 2 * k * width, stride=2) for k in (1, 2, 4))]
    for module in (m for block in blocks for m in block.modules() if isinstance(m, nn.Conv2d)):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(
        nn.Conv2d(n_channels, width, kernel_size=7, stride=2, padding=3, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
        *blocks,
        nn.AdaptiveAvgPool2d((1, 1)),
    )


def _block(n_in: int, n_out: int, *, stride: int) -> nn.Sequential:
    shortcut = None
    if n_in != n_out:
        convolution = nn.Conv2d(n_in, n_out, kernel_size=1, stride=stride, bias=False)
        shortcut = nn.Sequential(convolution, nn.BatchNorm2d(n_out))
    return nn.Sequential(BasicBlock(n_in, n_out, stride, shortcut), BasicBlock(n_out, n_out))
