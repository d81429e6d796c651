"""What networks answer for a single galaxy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from astrolab.errors import unknown_name

if TYPE_CHECKING:
    from torch import nn

    from astrolab.datasets.scaling import Scaling
    from astrolab.models.adapt import Adapted


def answer(model: Adapted | nn.Module, *, scaling: Scaling, inputs: Mapping[str, np.ndarray]) -> float:
    """Give the label that a network predicts for one galaxy.

    Parameters
    ----------
    model : Adapted or nn.Module
        In evaluation mode, as `load_model`, `adapt` and `fit` return it; on the CPU.
    scaling : Scaling
        The input scaling that it was trained with.
    inputs : mapping of str to ndarray
        Raw inputs of the galaxy: ``"image"`` (band, y, x), ``"magnitudes"`` (band,).

    Returns
    -------
    float

    Raises
    ------
    UnknownNameError
        If the network reads another input than is given.
    SchemaError
        If the bands are not those that the scaling was fitted on.
    """
    import torch
    from torch import nn

    from astrolab.datasets.twins.workers import on_one_thread

    network = model if isinstance(model, nn.Module) else model.network
    if network.input_name not in inputs:
        raise unknown_name("input of a galaxy", name=network.input_name, names=inputs)
    values = torch.from_numpy(np.array(inputs[network.input_name], dtype=np.float32))[None]
    with on_one_thread(), torch.inference_mode():
        return float(network(scaling.apply(values)).reshape(()))
