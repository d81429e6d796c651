"""What training makes small: one loss a galaxy, averaged over the batch by the loop."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from astrolab.errors import unknown_name

LORENTZIAN_WIDTH = 0.15


def lorentzian_loss(pred: Tensor, *, truth: Tensor) -> Tensor:
    r"""Score each redshift by :math:`L = 1 - 1 / (1 + (\Delta z / 0.15)^2)`.

    Here :math:`\Delta z = (z_\mathrm{pred} - z_\mathrm{true}) / (1 + z_\mathrm{true})`. The loss is bounded, so a
    catastrophic outlier pulls hardly more than a moderate one; far from the truth its gradient vanishes.

    >>> import torch
    >>> lorentzian_loss(torch.tensor([0.3]), truth=torch.tensor([0.0]))
    tensor([0.8000])
    """
    squared = ((pred - truth) / (1 + truth) / LORENTZIAN_WIDTH).square()
    return 1 - 1 / (1 + squared)


def squared_loss(pred: Tensor, *, truth: Tensor) -> Tensor:
    """Score each galaxy by the square of its error."""
    return (pred - truth).square()


LOSSES: dict[str, Callable[..., Tensor]] = {"lorentzian": lorentzian_loss, "mse": squared_loss}


def find_loss(name: str) -> Callable[..., Tensor]:
    """Give the loss of that name: a function of ``pred`` and keyword ``truth``, with one value a galaxy."""
    if name not in LOSSES:
        raise unknown_name("loss", name=name, names=LOSSES)
    return LOSSES[name]
