"""What networks answer for a single galaxy, and which galaxies they can be asked about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from astrolab.errors import ConfigError, SchemaError, unknown_name

if TYPE_CHECKING:
    from torch import nn

    from astrolab.datasets.scaling import Scaling
    from astrolab.models.adapt import Adapted


def answer(
    model: Adapted | nn.Module, *, scaling: Scaling, inputs: Mapping[str, np.ndarray], bands: Sequence[str]
) -> float:
    """Give the label that a network predicts for one galaxy."""
    import torch
    from torch import nn

    from astrolab.datasets.twins.workers import on_one_thread

    network = model if isinstance(model, nn.Module) else model.network
    if network.input_name not in inputs:
        raise unknown_name("input of a galaxy", name=network.input_name, names=inputs)
    if tuple(bands) != scaling.bands:
        raise SchemaError(
            "A network was asked about a galaxy.",
            received=f"a galaxy in {', '.join(bands)}",
            available=f"a network that reads {', '.join(scaling.bands)}, in this order",
            remedy="Ask a network that was trained in the bands of the galaxy.",
        )
    values = torch.from_numpy(np.array(inputs[network.input_name], dtype=np.float32))[None]
    with on_one_thread(), torch.inference_mode():
        return float(network(scaling.apply(values)).reshape(()))


def stamp_size(models: Mapping[str, tuple[Adapted | nn.Module, Scaling]], *, asked: int | None = None) -> int | None:
    """Give the side (px) of the stamps that all of some networks can be shown; None where nothing tells it.

    Networks that were trained on another size than is asked, or than each other, are refused: their answers would mean
    nothing.
    """
    records = {name: getattr(model, "trained_on", None) for name, (model, _) in models.items()}
    trained = {name: record.shape[-1] for name, record in records.items() if record and record.input == "image"}
    sizes = {size for size in (asked, *trained.values()) if size}
    if len(sizes) > 1:
        raise ConfigError(
            "Networks were to be asked about a galaxy.",
            received=f"stamps of {asked} px" if asked else "networks that were trained on stamps of different sizes",
            available=", ".join(f"{name}: {size} px" for name, size in trained.items()),
            remedy="Ask for the image_size of the networks, or for none; ask networks of other sizes by themselves.",
        )
    return sizes.pop() if sizes else None
