"""Views of the same galaxy that carry the same label."""

from __future__ import annotations

import torch
from torch import Tensor

N_DIHEDRAL = 8


def turn_and_mirror(images: Tensor, *, codes: Tensor) -> Tensor:
    """Turn each image by quarters and mirror it, one of the eight symmetries of a square each.

    A sky survey has no preferred direction, so a galaxy turned is as good a galaxy. No pixel is interpolated.

    >>> turn_and_mirror(torch.arange(4.0).reshape(1, 1, 2, 2), codes=torch.tensor([4])).flatten()
    tensor([0., 2., 1., 3.])
    """
    bits = codes.reshape(-1, 1, 1, 1)
    images = torch.where(bits & 1 > 0, images.flip(-1), images)
    images = torch.where(bits & 2 > 0, images.flip(-2), images)
    return torch.where(bits & 4 > 0, images.transpose(-1, -2), images)
