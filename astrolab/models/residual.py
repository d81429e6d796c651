"""A frozen network and a small learned correction to what it predicts."""

from __future__ import annotations

import torch
from torch import nn

from astrolab.models.network import Network, seeded


class ResidualNetwork(nn.Module):
    """Prediction of a frozen network plus a correction learned from its last hidden features.

    The output layer of the correction starts at zero, so the first prediction is exactly that of the frozen network:
    ``f(x) = f_base(x) + g(h_base(x))`` with ``g = 0`` before the first step.
    """

    def __init__(self, base: Network, *, width: int, seed: int):
        super().__init__()
        self.base = base
        with seeded(seed):
            hidden = nn.Linear(base.classifier[-1].in_features, width)
        output = nn.Linear(width, 1)
        nn.init.zeros_(output.weight)
        nn.init.zeros_(output.bias)
        self.correction = nn.Sequential(hidden, nn.SiLU(), output)
        self.correction.to(next(base.parameters()).device)
        self.spec = base.spec
        self.input_name = base.input_name
        self.layer_sets = base.layer_sets
        self.adapter_targets = base.adapter_targets
        self.n_bands = base.n_bands
        self.trained_on = base.trained_on

    def train(self, mode: bool = True) -> ResidualNetwork:
        """Put the correction, and only it, into training or evaluation mode."""
        super().train(mode)
        self.base.eval()
        return self

    def embed(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the last hidden features of the frozen network."""
        return self.base.embed(inputs)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return one corrected label a galaxy."""
        with torch.no_grad():
            hidden = self.base.embed(inputs)
            uncorrected = self.base.read_out(hidden)
        return uncorrected + self.correction(hidden).squeeze(1)
