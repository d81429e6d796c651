"""What the machine is good for: device, arithmetic, memory order, whether the surveys fit; and how that is recorded."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.flop_counter import flop_registry

from astrolab.errors import ConfigError
from astrolab.trainers.config import TrainConfig

MEMORY_SHARE = 0.5
RESUMED_FROM = "resumed_from"
LIBRARIES = ("torchvision", "peft", "accelerate", "numpy")
LARGEST_ERROR = 0.02  # of the largest value; correct products of bfloat16 differ from float32 by 0.002 to 0.004
FILLED_WITH = (0x7E, 0xFE)  # bytes that read as 8e37 and -2e38, in bfloat16 and in float32
M_PERTURB = -6  # of glibc's mallopt: what malloc gives out is filled with the complement of a byte


@dataclass(frozen=True)
class Hardware:
    """Every ``"auto"`` of a `TrainConfig`, decided for one machine."""

    device: str
    precision: str
    channels_last: bool
    storage: str
    n_processes: int


def choose_hardware(config: TrainConfig, *, accelerator: Accelerator, has_images: bool, n_bytes: int) -> Hardware:
    """Decide every ``"auto"`` of a configuration for inputs of one size, or refuse what this machine cannot do."""
    device = accelerator.device if config.device == "auto" else _found_device(config.device)
    gains = has_images and device.type == "cuda" and has_bfloat16_units(device)  # a CPU gains speed, not soundness
    precision = ("bfloat16" if gains else "float32") if config.precision == "auto" else config.precision
    fast_last = gains or precision == "bfloat16"
    channels_last = fast_last if config.channels_last == "auto" else config.channels_last
    return Hardware(
        device=str(device),
        precision=precision,
        channels_last=has_images and channels_last,
        storage=_chosen_storage(config, n_bytes=n_bytes, room=_room_bytes(device, accelerator=accelerator)),
        n_processes=accelerator.num_processes,
    )


def has_bfloat16_units(device: torch.device) -> bool:
    """Tell whether bfloat16 arithmetic is faster than float32 there, not merely possible."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def describe_circumstances(hardware: Hardware, *, compiled: bool) -> dict[str, Any]:
    """Give what a result depends on to rounding, as JSON-able values: the machine and the libraries really used."""
    device, versions = torch.device(hardware.device), {name: version(name) for name in LIBRARIES}
    return {
        "device": device.type,
        "device_name": _device_name(device),
        "precision": hardware.precision,
        "channels_last": hardware.channels_last,
        "compile": compiled,
        "storage": hardware.storage,
        "n_threads": torch.get_num_threads(),
        "n_processes": hardware.n_processes,
        # torch's version comes with its build
        "versions": {"python": platform.python_version(), **versions, "torch": str(torch.__version__)},
    }


def differing_circumstances(there: Mapping[str, Any], *, here: Mapping[str, Any]) -> list[str]:
    """Name what both circumstances record, differs and can change a number, e.g. ``"n_threads 2 → 4"``."""
    there, here = ({**each, **each.get("versions", {})} for each in (there, here))
    names = [name for name in there if name in here and name not in ("storage", "versions", RESUMED_FROM)]
    return [f"{name} {there[name]} → {here[name]}" for name in names if there[name] != here[name]]


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = platform.processor() or platform.machine()
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return f"{name} ({torch.backends.cpu.get_cpu_capability()})"


def _found_device(name: str) -> torch.device:
    kind, _, number = name.partition(":")
    found = {"cpu": 1, "cuda": 0, "mps": int(torch.backends.mps.is_available())}
    why = ""
    try:
        if kind == "cuda":
            torch.cuda.init()
        found["cuda"] = torch.cuda.device_count()
    except (AssertionError, RuntimeError) as error:  # torch raises either, and says which driver or build it misses
        why = f": {error}"
    if found.get(kind, 0) == 0 or (number and not (number.isdigit() and int(number) < found[kind])):
        asked = f"Training was asked for on the device {name!r}."
        available = ", ".join(f"{kind} ({n})" for kind, n in found.items() if n)
        remedy = "Choose one of these, or device='auto'."
        raise ConfigError(asked, received=f"{name!r}{why}", available=available, remedy=remedy)
    return torch.device(name)


def _room_bytes(device: torch.device, *, accelerator: Accelerator) -> int:
    if device.type == "cuda":
        held_in_vain = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(MEMORY_SHARE * (torch.cuda.mem_get_info(device)[0] + held_in_vain))
    return int(MEMORY_SHARE * psutil.virtual_memory().available / accelerator.num_processes)


def _chosen_storage(config: TrainConfig, *, n_bytes: int, room: int) -> str:
    if config.storage == "auto":
        return "device" if n_bytes <= room else "stream"
    if config.storage == "device" and n_bytes > room:
        received = f"{n_bytes / 1e9:.1f} GB of inputs, and room for {room / 1e9:.1f} GB beside the network"
        remedy = "Use storage='stream' (the same result, read batch by batch) or storage='auto'."
        raise ConfigError("The surveys were to be held on the device.", received=received, remedy=remedy)
    return config.storage


class ComparedWithFloat32(TorchDispatchMode):
    """Takes every product of bfloat16 tensors twice and in float32, once a kind and shape, and refuses a bad one.

    On a CPU bfloat16 is not trusted: oneDNN's gradient of a strided convolution on maps of one pixel reads memory that
    nothing has written, and the results differ from run to run.
    """

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
