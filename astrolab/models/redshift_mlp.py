"""A network that reads a redshift from magnitudes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from astrolab.models.network import ModelSpec, Network, make_regressor, require_options


class RedshiftMLP(Network):
    """Redshift of a galaxy from its magnitudes.

    Fully connected layers with SiLU; the magnitudes reach the regressor a second time past all layers, as in the
    network of the GalaxiesML examples (four layers of 200 and a skip) [1]_.

    Parameters
    ----------
    n_bands : int
    hidden : sequence of int
        Widths, at least two: the input layer, then the blocks, and last the hidden layer of the regressor.
    dropout : float
        Dropout of the regressor.
    batchnorm : bool
        Whether a BatchNorm follows each linear layer before the regressor.

    Raises
    ------
    ConfigError
        If there are fewer than two widths, one is below 1, or the dropout is outside [0, 1).

    References
    ----------
    .. [1] Do et al. 2024 (arXiv:2410.00271).
    """

    input_name = "magnitudes"
    input_axes = ("n", "band")

    def __init__(
        self,
        n_bands: int,
        *,
        hidden: Sequence[int] = (256, 256, 256, 256),
        dropout: float = 0.0,
        batchnorm: bool = False,
    ):
        hidden = tuple(hidden)
        before, last = hidden[:-1], hidden[-1:]
        widths = {"n_bands": (n_bands,), "hidden (all but the last)": before, "hidden (the last)": last}
        require_options("redshift_mlp", widths=widths, dropout=dropout)
        options = {"n_bands": n_bands, "hidden": list(hidden), "dropout": dropout, "batchnorm": batchnorm}
        layers = [
            _layer(n_in, n_out, batchnorm=batchnorm) for n_in, n_out in zip((n_bands, *before), before, strict=False)
        ]
        super().__init__(
            ModelSpec("redshift_mlp", options),
            features=nn.Sequential(*layers),
            classifier=make_regressor(before[-1] + n_bands, hidden=last, dropout=dropout),
            layer_sets=_layer_sets(len(layers), batchnorm=batchnorm),
        )

    def represent(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the features that the regressor reads: those of the last block, and the magnitudes again.

        Parameters
        ----------
        inputs : Tensor (n, band)

        Returns
        -------
        Tensor (n, feature)
        """
        return torch.cat([self.features(inputs), inputs], dim=1)


def _layer(n_in: int, n_out: int, *, batchnorm: bool) -> nn.Sequential:
    norm = [nn.BatchNorm1d(n_out)] if batchnorm else []
    return nn.Sequential(nn.Linear(n_in, n_out), *norm, nn.SiLU())


def _layer_sets(n_layers: int, *, batchnorm: bool) -> dict[str, tuple[str, ...]]:
    blocks = tuple(f"features.{k}" for k in range(1, n_layers))
    return {
        "input": ("features.0.0",),
        "body": (("features.0.1",) if batchnorm else ()) + blocks,
        **{f"block{k}": (name,) for k, name in enumerate(blocks, start=1)},
        "regressor": ("classifier",),
        "all": ("features", "classifier"),
    }
