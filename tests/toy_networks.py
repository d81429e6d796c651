"""Networks of a user's own: one that reads two inputs, one that learns without labels."""

import torch
from torch import nn

from astrolab.models.network import Network


class TwoInputs(Network):
    """Reads pixels and magnitudes; has a BatchNorm and no stage called "stem"."""

    name = "two_inputs"

    def __init__(self, *, inputs, task, width=4):
        super().__init__(inputs=inputs, task=task, stages={"pixels": ("pixels",), "head": ("output",)}, width=width)
        convolution = nn.Conv2d(inputs["image"][0], width, 3)
        self.pixels = nn.Sequential(convolution, nn.BatchNorm2d(width), nn.SiLU(), nn.AdaptiveAvgPool2d(1))
        self.output = nn.Linear(width + inputs["magnitudes"][0], len(task.labels))

    @classmethod
    def reads(cls, specs):
        return tuple(name for name in ("image", "magnitudes") if name in specs)

    def embed(self, inputs):
        return torch.cat([self.pixels(inputs["image"]).flatten(1), inputs["magnitudes"]], dim=1)

    def read_out(self, hidden):
        return self.output(hidden)


class Autoencoder(Network):
    """Fills in what is hidden of a spectrum, or of magnitudes."""

    name = "autoencoder"

    def __init__(self, *, inputs, task, width=6):
        stages = {"encoder": ("encoder",), "decoder": ("decoder",)}
        super().__init__(inputs=inputs, task=task, stages=stages, width=width)
        ((self.reads_from, (n_values,)),) = inputs.items()
        self.encoder = nn.Linear(n_values, width)
        self.decoder = nn.Linear(width, n_values)

    @classmethod
    def reads(cls, specs):
        return ("spectrum",) if "spectrum" in specs else ("magnitudes",)

    def embed(self, inputs):
        return self.encoder(inputs[self.reads_from])

    def reconstruct(self, inputs, mask):
        seen = inputs[self.reads_from].masked_fill(mask[self.reads_from], 0.0)
        return {self.reads_from: self.decoder(self.encoder(seen))}
