"""Whether a CPU can be trusted with bfloat16: every product that a network takes, taken twice and in float32, first."""

from __future__ import annotations

import copy
import ctypes
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.flop_counter import flop_registry

from astrolab.errors import ConfigError
from astrolab.models.adapt import Adapted, set_train_mode
from astrolab.trainers.epochs import Workbench
from astrolab.trainers.feeding import Feed, batches_in_order, shuffled_batches

LARGEST_ERROR = 0.02  # of the largest value; correct products of bfloat16 differ from float32 by 0.002 to 0.004
FILLED_WITH = (0x7E, 0xFE)  # bytes that read as 8e37 and -2e38, in bfloat16 and in float32
M_PERTURB = -6  # of glibc's mallopt: what malloc gives out is filled with the complement of a byte


def require_sound_bfloat16(adapted: Adapted, *, train: Feed, validation: Feed, bench: Workbench) -> None:
    """Refuse bfloat16 where a product of this network at its own batch sizes is irreproducible, not finite or wrong.

    A copy takes one step with a batch of each size that training has, forward and backward, and one look at a batch of
    each size that validation has. (oneDNN's gradient of a strided convolution on maps of one pixel reads memory that
    nothing has written: the results differ from run to run.)
    """
    adapted, config = copy.deepcopy(adapted), bench.config
    shuffled = shuffled_batches(
        len(train), batch_size=config.batch_size, seed=config.seed, epoch=1, n_processes=bench.hardware.n_processes
    )
    in_order = batches_in_order(np.arange(len(validation)), batch_size=config.batch_size)
    with _ComparedWithFloat32(adapted.network):
        set_train_mode(adapted)
        for inputs, truth in train.batches(_one_of_each_size(bench.shares(shuffled))):
            bench.loss_sum(adapted.network, inputs=inputs, truth=truth).backward()
        adapted.network.eval()
        with torch.no_grad():
            for inputs, truth in validation.batches(_one_of_each_size(bench.shares(in_order))):
                bench.loss_sum(adapted.network, inputs=inputs, truth=truth)


def _one_of_each_size(batches: list[np.ndarray]) -> list[np.ndarray]:
    return list({len(batch): batch for batch in batches if len(batch)}.values())


class _ComparedWithFloat32(TorchDispatchMode):
    """Takes every product of bfloat16 tensors twice and in float32, once a kind and shape, and refuses a bad one."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self._weights = {name: tuple(p.shape) for name, p in network.named_parameters() if p.ndim > 1}
        self._seen: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: Mapping[str, Any] | None = None):
        kwargs = kwargs or {}
        given = [value for value in args if isinstance(value, Tensor)]
        is_product = func._overloadpacket in flop_registry and any(one.dtype == torch.bfloat16 for one in given)
        # What oneDNN does depends on shapes, memory order and the other arguments (stride, padding).
        kind = repr((func, *((one.shape, one.stride()) if isinstance(one, Tensor) else one for one in args)))
        if not is_product or kind in self._seen:
            return func(*args, **kwargs)
        self._seen.add(kind)
        one, two = (_in_memory_full_of(byte, call=partial(func, *args, **kwargs)) for byte in FILLED_WITH)
        exact = func(*tree_map(lambda value: value.float() if isinstance(value, Tensor) else value, args), **kwargs)
        for first, second, expected in zip(tree_leaves(one), tree_leaves(two), tree_leaves(exact), strict=True):
            if first is not None and (fault := _fault(first, again=second, expected=expected)):
                raise self._refused(func, [*given, first], fault=fault)
        return one

    def _refused(self, func: Any, tensors: list[Tensor], *, fault: str) -> ConfigError:
        shapes = {tuple(tensor.shape) for tensor in tensors}
        layers = [name for name, shape in self._weights.items() if {shape, shape[::-1]} & shapes]
        return ConfigError(
            "Training was configured with precision='bfloat16' on a CPU.",
            received=f"{func._overloadpacket} at {', '.join(layers[:3]) or 'a product of activations'} gave {fault}, "
            f"for tensors of shape {', '.join(str(tuple(tensor.shape)) for tensor in tensors)}",
            available="float32; bfloat16 at other image or batch sizes, if every layer proves sound there",
            remedy="Use precision='float32'.",
        )


def _in_memory_full_of(byte: int, *, call: Callable[[], Any]) -> Any:
    """Call a function where new memory is full of one byte: what it reads before writing then shows."""
    with suppress(AttributeError):  # other C libraries have no such setting: there the two calls are only compared
        ctypes.CDLL(None).mallopt(M_PERTURB, byte ^ 0xFF)
    try:
        return call()
    finally:
        with suppress(AttributeError):
            ctypes.CDLL(None).mallopt(M_PERTURB, 0)


def _fault(result: Tensor, *, again: Tensor, expected: Tensor) -> str:
    error, scale = (result.float() - expected).abs().amax(), expected.abs().amax()
    if not (result.isfinite().all() and again.isfinite().all()):
        return "values that are not finite"
    if not torch.equal(result, again):
        return "other values when called again"
    return f"values {error / scale:.0%} from those of float32" if error > LARGEST_ERROR * scale else ""
