"""Fingerprints of weights."""

from __future__ import annotations

import hashlib

import torch
from torch import nn


def tensor_digest(tensor: torch.Tensor) -> str:
    """Return the SHA-256 of a tensor's type, shape and values, whatever its device and memory layout.

    >>> tensor_digest(torch.zeros(2)) == tensor_digest(torch.zeros(2, 1))
    False
    """
    values = tensor.detach().cpu().contiguous().reshape(-1)
    header = f"{values.dtype} {tuple(tensor.shape)}\n".encode()
    return hashlib.sha256(header + values.view(torch.uint8).numpy().tobytes()).hexdigest()


def digest(network: nn.Module) -> str:
    """Return the SHA-256 over the names and values of all parameters and buffers of a network."""
    total = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        total.update(f"{name} {tensor_digest(tensor)}\n".encode())
    return total.hexdigest()
