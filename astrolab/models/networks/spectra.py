"""Networks of spectra: the perceptron of the published study, and a transformer that also learns without labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from astrolab.errors import ConfigError
from astrolab.models.network import Network, Shape, name_stages, require_options
from astrolab.tasks import Task

_SMALLEST = 1e-6  # deviation of a spectrum without any


class SpectrumMLP(Network):
    """Labels of a star from its spectrum, or from the embedding of it.

    Every hidden layer is linear, BatchNorm, ReLU, dropout; one more linear layer gives the labels, as in SpecCLIP (Zhao
    et al. 2025, arXiv:2507.01939), whose family arXiv:2602.15021 uses. With 1,462 pixels, one label and the default
    options it has 2,055,809 parameters and 3,200 of BatchNorm. `hidden` are the widths.
    """

    name = "spectrum_mlp"
    n_axes = 1
    axes = ("pixel", "feature")

    def __init__(
        self,
        *,
        inputs: Mapping[str, Shape],
        task: Task,
        hidden: Sequence[int] = (1024, 512, 64),
        dropout: float = 0.1,
    ):
        ((name, (n_in,)),) = inputs.items()
        require_options("spectrum_mlp", widths={"hidden": hidden}, dropout=dropout)
        blocks = [f"features.{k}" for k in range(1, len(hidden))]
        stages = name_stages("features.0.0", norm=["features.0.1"], blocks=blocks, head="output")
        super().__init__(inputs={name: (n_in,)}, task=task, stages=stages, hidden=list(hidden), dropout=dropout)
        layers = [
            nn.Sequential(nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU(), nn.Dropout(dropout))
            for a, b in pairwise((n_in, *hidden))
        ]
        self.features = nn.Sequential(*layers)
        self.output = nn.Linear(hidden[-1], len(task.labels))

    def embed(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return the last hidden features of rows of numbers (n, number)."""
        return self.features(inputs[self.inputs[0]])

    def read_out(self, hidden: Tensor) -> Tensor:
        """Return the labels that the output layer reads from hidden features."""
        return self.output(hidden)


class SpectrumTransformer(Network):
    """A transformer on overlapping sections of a spectrum, which fills in what is hidden of it, or predicts labels.

    A spectrum is standardised by itself, by what is seen of it; the logarithm of its deviation is a number of every
    token beside the `section` pixels, `stride` pixels after those of the token before. The embedding is the mean over
    the tokens. The defaults are those of SpecCLIP (Zhao et al. 2025, arXiv:2507.01939; after SpecFormer, Parker et al.
    2024, MNRAS 531, 4990): 146 sections of 1,462 pixels; for CPUs there is ``width=64, depth=2, heads=4, stride=20``.
    Give it normalised flux as it is, ``fit_scaling(survey, method="none")``: sections that are scaled pixel by pixel
    have less in common, and it learns more slowly.

    It was published with 6 runs of 10 sections hidden, each of 110 pixels: the objective ``{"name":
    "masked_reconstruction", "patch": 110, "ratio": 0.43}`` hides as many of 1,462 pixels, and `astrolab.predict` does
    without labels.
    """

    name = "spectrum_transformer"
    n_axes = 1
    axes = ("pixel",)
    mask_ratio = 0.43

    def __init__(
        self,
        *,
        inputs: Mapping[str, Shape],
        task: Task,
        width: int = 768,
        depth: int = 6,
        heads: int = 6,
        section: int = 20,
        stride: int = 10,
    ):
        ((name, (n_pixels,)),) = inputs.items()
        options = {"width": width, "depth": depth, "heads": heads, "section": section, "stride": stride}
        require_options(self.name, widths={option: (value,) for option, value in options.items()}, dropout=0.0)
        if width % heads or stride > section:
            asked, received = f"{self.name} was to be made.", ", ".join(f"{k} = {v}" for k, v in options.items())
            available = "a width that its heads share evenly; a stride of at most a section"
            raise ConfigError(asked, received=received, available=available, remedy="Change these options.")
        blocks = {f"block{k}": (f"blocks.{k}",) for k in range(depth)}
        head = {"head": ("output",)} if task.labels else {}
        stages = {"stem": ("sections", "positions"), "body": ("blocks", "norm"), **blocks, **head}
        stages["decoder"] = ("decoder",)
        super().__init__(inputs={name: (n_pixels,)}, task=task, stages=stages, **options)
        self.section, self.stride, self.mask_patch = section, stride, 11 * section // 2
        n_sections = max(-(-(n_pixels - section) // stride), 0) + 1
        self.n_missing = (n_sections - 1) * stride + section - n_pixels  # pixels of the last section past the end
        self.sections = nn.Linear(section + 1, width)
        self.positions = nn.Parameter(_waves(n_sections, width=width))
        self.blocks = nn.Sequential(*(_Block(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.decoder = nn.Linear(width, section)
        self.output = nn.Linear(width, len(task.labels)) if task.labels else None

    @property
    def adapter_targets(self) -> tuple[str, ...]:
        """Every linear layer but the decoder, where labels are what it is adapted to."""
        return tuple(name for name in super().adapter_targets if name != "decoder" or not self.task.labels)

    def embed(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return the mean of the tokens of spectra (n, pixel)."""
        values = inputs[self.inputs[0]]
        return self._encode(values, seen=torch.ones_like(values, dtype=torch.bool))[0].mean(dim=1)

    def read_out(self, hidden: Tensor) -> Tensor:
        """Return the labels that the output layer reads from hidden features."""
        return self.output(hidden)

    def reconstruct(self, inputs: Mapping[str, Tensor], mask: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return spectra (n, pixel) made of what is not masked (True) of them, the mean where sections overlap."""
        (name,) = self.inputs
        tokens, centre, deviation = self._encode(inputs[name], seen=~mask[name])
        sections = self.decoder(tokens).float().transpose(1, 2)
        n_pixels = inputs[name].shape[1]
        where = {"output_size": (1, n_pixels + self.n_missing), "kernel_size": (1, self.section)}
        total, n = (
            functional.fold(each, **where, stride=(1, self.stride)) for each in (sections, torch.ones_like(sections))
        )
        return {name: centre + deviation * (total / n)[:, 0, 0, :n_pixels]}

    def _encode(self, values: Tensor, *, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Give the tokens (n, section, width), and the mean and deviation (n, 1) of what is seen of each spectrum."""
        n_seen = seen.sum(dim=1, keepdim=True).clamp(min=1)
        centre = torch.where(seen, values, 0.0).sum(dim=1, keepdim=True) / n_seen
        offset = torch.where(seen, values - centre, 0.0)
        deviation = (offset.square().sum(dim=1, keepdim=True) / n_seen).sqrt().clamp(min=_SMALLEST)
        sections = functional.pad(offset / deviation, (0, self.n_missing)).unfold(1, self.section, self.stride)
        level = deviation.log10()[:, :, None].expand(-1, sections.shape[1], -1)
        tokens = self.sections(torch.cat([sections, level], dim=2)) + self.positions
        return self.norm(self.blocks(tokens)), centre, deviation


def _waves(n: int, *, width: int) -> Tensor:
    """Give sines and cosines (n, width) of places, of a thousandfold range of periods: what positions start from."""
    phases = torch.arange(n)[:, None] * 1000.0 ** -torch.linspace(0, 1, (width + 1) // 2)
    return torch.cat([phases.sin(), phases.cos()], dim=1)[:, :width]


class _Block(nn.Module):
    """Self-attention and a perceptron, each after a LayerNorm and beside an identity."""

    # torch's own layer takes a shortcut while evaluating that reads the weights past the adapters beside them.
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.before = nn.LayerNorm(width)
        self.attention, self.projection = nn.Linear(width, 3 * width), nn.Linear(width, width)
        wide = 4 * width
        self.perceptron = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, wide), nn.GELU(), nn.Linear(wide, width))

    def forward(self, tokens: Tensor) -> Tensor:
        parts = self.attention(self.before(tokens)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2)
        tokens = tokens + self.projection(attended)
        return tokens + self.perceptron(tokens)
