"""What the machine is good for: device, arithmetic, memory order, whether the surveys fit; and how that is recorded."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import torch
from accelerate import Accelerator

from astrolab.datasets.scaling import Scaling
from astrolab.errors import ConfigError
from astrolab.trainers.config import TrainConfig

MEMORY_SHARE = 0.5
RESUMED_FROM = "resumed_from"
LIBRARIES = ("torchvision", "peft", "accelerate", "numpy")
DTYPES = {"float16": torch.float16, "float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Hardware:
    """Every ``"auto"`` of a `TrainConfig`, decided for one machine."""

    device: str
    precision: str
    channels_last: bool
    storage: str
    storage_dtype: str
    n_processes: int


def choose_hardware(
    config: TrainConfig, *, accelerator: Accelerator, row_shape: Sequence[int], n_rows: int, scaling: Scaling
) -> Hardware:
    """Decide every ``"auto"`` of a configuration for inputs of one shape, or refuse what this machine cannot do."""
    device = accelerator.device if config.device == "auto" else _found_device(config.device)
    is_image = len(row_shape) == 3
    gains = is_image and device.type == "cuda" and has_bfloat16_units(device)  # a CPU gains speed, not a sound result
    precision = ("bfloat16" if gains else "float32") if config.precision == "auto" else config.precision
    channels_last = config.channels_last
    if channels_last == "auto":
        channels_last = gains or precision == "bfloat16"
    storage_dtype = "float16" if is_image and scaling.method != "none" else "float32"
    n_bytes = n_rows * int(torch.Size(row_shape).numel()) * DTYPES[storage_dtype].itemsize
    return Hardware(
        device=str(device),
        precision=precision,
        channels_last=is_image and channels_last,
        storage=_chosen_storage(config, n_bytes=n_bytes, room=_room_bytes(device, accelerator=accelerator)),
        storage_dtype=storage_dtype,
        n_processes=accelerator.num_processes,
    )


def has_bfloat16_units(device: torch.device) -> bool:
    """Tell whether bfloat16 arithmetic is faster than float32 there, not merely possible."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def describe_circumstances(hardware: Hardware, *, compiled: bool) -> dict[str, Any]:
    """Give what a result depends on to rounding, as JSON-able values: the machine and the libraries really used."""
    device = torch.device(hardware.device)
    return {
        "device": device.type,
        "device_name": _device_name(device),
        "precision": hardware.precision,
        "channels_last": hardware.channels_last,
        "compile": compiled,
        "storage": hardware.storage,
        "n_threads": torch.get_num_threads(),
        "n_processes": hardware.n_processes,
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in LIBRARIES},
            "torch": str(torch.__version__),  # the build too
        },
    }


def differing_circumstances(there: Mapping[str, Any], *, here: Mapping[str, Any]) -> list[str]:
    """Name what differs between two circumstances and can change a number, e.g. ``"n_threads 2 → 4"``.

    Where the inputs were held changes none; what only one of them records is not compared.
    """
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
        raise ConfigError(
            f"Training was asked for on the device {name!r}.",
            received=f"{name!r}{why}",
            available=", ".join(f"{kind} ({n})" for kind, n in found.items() if n),
            remedy="Choose one of these, or device='auto'.",
        )
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
        raise ConfigError(
            "The surveys were to be held on the device.",
            received=f"{n_bytes / 1e9:.1f} GB of inputs, and room for {room / 1e9:.1f} GB beside the network",
            remedy="Use storage='stream' (the same result, read batch by batch) or storage='auto'.",
        )
    return config.storage
