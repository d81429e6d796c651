"""What training makes small: a loss for every object and label, and how much each of them counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from astrolab.errors import ModelError, unknown_name
from astrolab.tasks import Quantity, Task
from astrolab.trainers.config import TrainConfig

LORENTZIAN_WIDTH = 0.15


@dataclass(frozen=True)
class Batch:
    """Some objects of a survey on the device."""

    inputs: dict[str, Tensor]
    truth: Tensor
    weight: Tensor
    rows: Tensor


def lorentzian_loss(pred: Tensor, *, truth: Tensor, quantity: Quantity) -> Tensor:
    r"""Score each residual :math:`\delta` by :math:`1 - 1 / (1 + (\delta / 0.15)^2)`, from 0 (exact) to 1.

    The loss is bounded: a catastrophic outlier pulls hardly more than a moderate one, and far from the truth the
    gradient vanishes (Tanaka et al. 2018, PASJ 70, S9, eq. 3; Seenivasan et al. 2025, arXiv:2601.00146, eq. 1).

    >>> from astrolab.tasks import QUANTITIES
    >>> lorentzian_loss(torch.tensor([0.3]), truth=torch.tensor([0.0]), quantity=QUANTITIES["z"])
    tensor([0.8000])
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

    def __call__(self, network: nn.Module, batch: Batch, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Compare what the network predicts with the truth, label by label."""
        pred, of = network(batch.inputs).float(), LOSSES[self.loss]
        columns = [
            of(pred[:, k], truth=batch.truth[:, k], quantity=quantity) for k, quantity in enumerate(self.task.labels)
        ]
        return torch.stack(columns, dim=1), batch.weight


@dataclass(frozen=True)
class MaskedReconstruction:
    """Fill in what is hidden of the inputs (He et al. 2022, arXiv:2111.06377); needs no labels."""

    ratio: float
    patch: int = 1

    def __call__(self, network: nn.Module, batch: Batch, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Give the mean squared error of the hidden values of each object, over all inputs that are reconstructed."""
        errors = self.errors(network, batch.inputs, generator=generator)
        losses = torch.stack(list(errors.values()), dim=1).mean(dim=1, keepdim=True)
        return losses, torch.ones_like(losses)

    def errors(self, network: nn.Module, inputs: dict[str, Tensor], *, generator: torch.Generator) -> dict[str, Tensor]:
        """Give the mean squared error of what was hidden, of each object (m,) and input."""
        mask = {
            name: self.mask(values, generator=generator) for name, values in inputs.items() if name in network.inputs
        }
        filled = network.reconstruct(inputs, mask)
        wrong = {name: (values.float() - inputs[name]).square() * mask[name] for name, values in filled.items()}
        return {name: each.flatten(1).sum(1) / mask[name].flatten(1).sum(1) for name, each in wrong.items()}

    def mask(self, values: Tensor, *, generator: torch.Generator) -> Tensor:
        """Draw what is hidden of each object: the same part of every one, in patches along the last axis."""
        m, length = len(values), values.shape[-1]
        n_patches = -(-length // self.patch)
        n_hidden = min(max(round(self.ratio * n_patches), 1), n_patches)
        places = torch.rand((m, n_patches), device=values.device, generator=generator).argsort(dim=1)
        hidden = (places < n_hidden).repeat_interleave(self.patch, dim=1)[:, :length]
        return hidden.reshape(m, *[1] * (values.ndim - 2), length).expand(values.shape)


def make_objective(config: TrainConfig, *, network: nn.Module) -> Supervised | MaskedReconstruction:
    """Make the objective that a configuration names, for a network that can meet it."""
    if config.objective.name == "masked_reconstruction":
        if not hasattr(network, "reconstruct"):
            raise ModelError(
                f"{network.spec.name} was to be trained to fill in what is hidden of its inputs.",
                received="a network that cannot reconstruct",
                remedy="Use a network with a method reconstruct(inputs, mask), or the objective 'supervised'.",
            )
        return MaskedReconstruction(config.objective.ratio, config.objective.patch)
    if not network.task.labels:
        raise ModelError(
            f"{network.spec.name} was to be trained to predict labels.",
            received="a network made for a survey without labels",
            remedy="Use objective={'name': 'masked_reconstruction'}, or a survey with [[label]] in its manifest.",
        )
    loss = config.objective.loss or network.task.loss
    if loss not in LOSSES:
        raise unknown_name("loss", name=loss, names=LOSSES)
    return Supervised(network.task, loss)
