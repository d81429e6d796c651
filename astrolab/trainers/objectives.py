"""What training makes small: a loss for every object and label, and how much each of them counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from astrolab.errors import ModelError, require_known
from astrolab.tasks import Quantity, Task
from astrolab.trainers.config import Objective, TrainConfig

LORENTZIAN_WIDTH = 0.15
VALIDATION = (0, 0)  # what is hidden of an object while validating is the same in every run and epoch


@dataclass(frozen=True)
class Batch:
    """Some objects of a survey on the device; `rows` and `seeds` (m,) number them and what is drawn for each."""

    inputs: dict[str, Tensor]
    truth: Tensor
    weight: Tensor
    rows: Tensor
    seeds: Tensor


def lorentzian_loss(pred: Tensor, *, truth: Tensor, quantity: Quantity) -> Tensor:
    r"""Score each residual :math:`\delta` by :math:`1 - 1 / (1 + (\delta / 0.15)^2)`, from 0 (exact) to 1.

    The loss is bounded: a catastrophic outlier pulls hardly more than a moderate one, and far from the truth the
    gradient vanishes (Tanaka et al. 2018, PASJ 70, S9, eq. 3; Seenivasan et al. 2025, arXiv:2601.00146, eq. 1).
    """
    return 1 - 1 / (1 + (quantity.residual(truth=truth, pred=pred) / LORENTZIAN_WIDTH).square())


def squared_loss(pred: Tensor, *, truth: Tensor, quantity: Quantity) -> Tensor:
    """Score each prediction by the square of its error, in the unit of the label."""
    return (pred - truth).square()


LOSSES: Mapping[str, Callable[..., Tensor]] = {"lorentzian": lorentzian_loss, "mse": squared_loss}


@dataclass(frozen=True)
class Supervised:
    """Predict the labels; the unknown ones count for nothing."""

    task: Task
    loss: str

    def model(self, network: nn.Module) -> nn.Module:
        """Give the module that is called in a step."""
        return network

    def weights(self, weights: np.ndarray) -> np.ndarray:
        """Give how much each loss counts (n, n_losses), of how much each label does (n, n_labels)."""
        return weights

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        """Compare what the network predicts with the truth, label by label (m, n_labels)."""
        pred, of = model(batch.inputs).float(), LOSSES[self.loss]
        labels = enumerate(self.task.labels)
        columns = [of(pred[:, k], truth=batch.truth[:, k], quantity=quantity) for k, quantity in labels]
        return torch.stack(columns, dim=1)


@dataclass(frozen=True)
class MaskedReconstruction:
    """Fill in what is hidden of the inputs, by each object's own seed (He et al. 2022, arXiv:2111.06377)."""

    inputs: tuple[str, ...]
    ratio: float = Objective().ratio
    patch: int = 1

    def model(self, network: nn.Module) -> nn.Module:
        """Give the module that is called in a step: ``reconstruct`` of the network."""
        return _Reconstruction(network)

    def weights(self, weights: np.ndarray) -> np.ndarray:
        """Count every object once."""
        return np.ones((len(weights), 1), dtype=np.float32)

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        """Give the mean squared error of the hidden values of each object (m, 1), over all inputs."""
        errors = self.errors(model, inputs=batch.inputs, seeds=batch.seeds)
        return errors.mean(dim=1, keepdim=True)

    def errors(self, reconstruct: Callable[..., dict[str, Tensor]], *, inputs: dict, seeds: Tensor) -> Tensor:
        """Give the mean squared error of what was hidden, of each object and input (m, n_inputs)."""
        masks = {name: self._mask(inputs[name], seeds=seeds + k) for k, name in enumerate(self.inputs)}
        filled = reconstruct(inputs, masks)
        wrong = [(filled[name].float() - inputs[name]).square() * mask for name, mask in masks.items()]
        hidden = [mask.flatten(1).sum(1) for mask in masks.values()]
        return torch.stack([each.flatten(1).sum(1) / n for each, n in zip(wrong, hidden, strict=True)], dim=1)

    def _mask(self, values: Tensor, *, seeds: Tensor) -> Tensor:
        """Choose what is hidden of each object: the same part of every one, in patches along the last axis."""
        m, length = len(values), values.shape[-1]
        n_patches = -(-length // self.patch)
        n_hidden = min(max(round(self.ratio * n_patches), 1), n_patches)
        places = _scrambled(seeds, n=n_patches).argsort(dim=1)
        hidden = (places < n_hidden).repeat_interleave(self.patch, dim=1)[:, :length]
        return hidden.reshape(m, *[1] * (values.ndim - 2), length).expand(values.shape)


class _Reconstruction(nn.Module):
    """A network whose call fills in its inputs: what processes share gradients of must be a call."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, inputs: dict[str, Tensor], mask: dict[str, Tensor]) -> dict[str, Tensor]:
        return self.network.reconstruct(inputs, mask)


def draw_seeds(n: int, *, stream: Sequence[int]) -> np.ndarray:
    """Draw a number for each of n objects, from which an objective draws what it needs."""
    return np.random.default_rng((*stream, _SEEDS)).integers(2**62, size=n)


def _scrambled(seeds: Tensor, *, n: int) -> Tensor:
    """Give n integers for every seed (m,), the same on every device: SplitMix64 (doi:10.1145/2660193.2660195)."""
    bits = seeds[:, None] + _GOLDEN * torch.arange(1, n + 1, device=seeds.device)
    for shift, factor in ((30, _FIRST), (27, _SECOND), (31, 1)):
        bits = (bits ^ ((bits >> shift) & (2 ** (64 - shift) - 1))) * factor
    return bits


_SEEDS = 0x5EED
_GOLDEN, _FIRST, _SECOND = (v - 2**64 for v in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def make_objective(config: TrainConfig, *, network: nn.Module) -> Supervised | MaskedReconstruction:
    """Make the objective that a configuration names, for a network that can meet it."""
    asked = config.objective
    if asked.name == "masked_reconstruction":
        if not hasattr(network, "reconstruct"):
            asked = f"{network.spec.name} was to be trained to fill in what is hidden of its inputs."
            remedy = "Use a network with a method reconstruct(inputs, mask), or the objective 'supervised'."
            raise ModelError(asked, received="a network that cannot reconstruct", remedy=remedy)
        return MaskedReconstruction(network.inputs, asked.ratio, asked.patch)
    if not network.task.labels:
        asked = f"{network.spec.name} was to be trained to predict labels."
        remedy = "Use objective={'name': 'masked_reconstruction'}, or a survey with [[label]] in its manifest."
        raise ModelError(asked, received="a network made for a survey without labels", remedy=remedy)
    loss = asked.loss or network.task.loss
    require_known("loss", name=loss, names=LOSSES)
    return Supervised(network.task, loss)
