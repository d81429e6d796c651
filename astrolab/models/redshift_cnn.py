"""The reference network: a ResNet18 that reads a redshift from a multi-band image."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn
from torchvision.models.resnet import BasicBlock

from astrolab.models.network import ModelSpec, Network, make_regressor, require_options


class RedshiftCNN(Network):
    """Redshift of a galaxy from its image.

    ResNet18 [1]_ with a 7x7 stem for any number of bands, and a regressor of two hidden layers with SiLU and dropout,
    as in [2]_. Module names and positions are those of the published weights. With five bands and the default
    options it has 11,577,025 parameters.

    Parameters
    ----------
    n_bands : int
    hidden : sequence of int
        Widths of the regressor's hidden layers.
    dropout : float
        Dropout of the regressor.
    width : int
        Channels after the stem; 64 is ResNet18, less makes a small network of the same structure.

    Raises
    ------
    ConfigError
        If a width is below 1 or the dropout outside [0, 1).

    Notes
    -----
    The body starts from the initial weights of torchvision (He normal, fan out), the stem and the regressor from
    torch's defaults, because the reference puts them there after torchvision has drawn its own.

    References
    ----------
    .. [1] He et al. 2016, CVPR (arXiv:1512.03385).
    .. [2] Seenivasan et al. 2025 (arXiv:2601.00146).
    """

    input_name = "image"
    input_axes = ("n", "band", "y", "x")

    def __init__(self, n_bands: int, *, hidden: Sequence[int] = (512, 256), dropout: float = 0.5, width: int = 64):
        hidden = tuple(hidden)
        require_options(
            "redshift_cnn", widths={"n_bands": (n_bands,), "hidden": hidden, "width": (width,)}, dropout=dropout
        )
        options = {"n_bands": n_bands, "hidden": list(hidden), "dropout": dropout, "width": width}
        super().__init__(
            ModelSpec("redshift_cnn", options),
            features=_resnet18(n_bands, width=width),
            classifier=make_regressor(8 * width, hidden=hidden, dropout=dropout),
            layer_sets=LAYER_SETS,
        )


_BLOCKS = ("features.4", "features.5", "features.6", "features.7")

LAYER_SETS: dict[str, tuple[str, ...]] = {
    "input": ("features.0",),
    "body": ("features.1", *_BLOCKS),
    **{f"block{k}": (name,) for k, name in enumerate(_BLOCKS, start=1)},
    "regressor": ("classifier",),
    "all": ("features", "classifier"),
}


def _resnet18(n_bands: int, *, width: int) -> nn.Sequential:
    blocks = [
        _stage(width, width, stride=1),
        _stage(width, 2 * width, stride=2),
        _stage(2 * width, 4 * width, stride=2),
        _stage(4 * width, 8 * width, stride=2),
    ]
    for module in (m for block in blocks for m in block.modules() if isinstance(m, nn.Conv2d)):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(
        nn.Conv2d(n_bands, width, kernel_size=7, stride=2, padding=3, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
        *blocks,
        nn.AdaptiveAvgPool2d((1, 1)),
    )


def _stage(n_in: int, n_out: int, *, stride: int) -> nn.Sequential:
    shortcut = None
    if n_in != n_out:
        shortcut = nn.Sequential(
            nn.Conv2d(n_in, n_out, kernel_size=1, stride=stride, bias=False), nn.BatchNorm2d(n_out)
        )
    return nn.Sequential(BasicBlock(n_in, n_out, stride, shortcut), BasicBlock(n_out, n_out))
