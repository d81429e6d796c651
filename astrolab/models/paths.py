r"""Networks on the straight line through the weights of a base network and of what was trained from it.

.. math:: \theta(s) = \theta_\mathrm{base} + s \, (\theta_\mathrm{adapted} - \theta_\mathrm{base})

For LoRA this is exactly the adapter's scale: the weights of a layer are :math:`W + s\,(\alpha / r)\,B A`. Between other
networks it is the linear path of Wortsman et al. 2022 (*Robust fine-tuning of zero-shot models*, arXiv:2109.01903), who
find networks on it that forget less than the fine-tuned one and gain most of what it gained.
"""

from __future__ import annotations

import copy

import torch

from astrolab.errors import ModelError, require_known
from astrolab.models.adapt import Adapted, merge
from astrolab.models.network import Network
from astrolab.models.plan import batchnorm_layers


def interpolate(base: Network, *, adapted: Adapted | Network, scale: float, batchnorm: str = "interpolate") -> Network:
    """Return the plain network at one place of the line from a base network to its adapted one.

    Parameters
    ----------
    adapted : Adapted or Network
        Of the same structure once its adapters are merged: where the line leads to. For many places on one line,
        ``merge(adapted)`` once.
    scale : float
        0 is the base network, 1 the adapted one; less and more go beyond.
    batchnorm : {"interpolate", "base", "adapted"}
        What becomes of the running statistics of BatchNorm: means go along the line, variances (with the small number
        that BatchNorm adds to them) along it in their logarithm, so that they stay positive at any scale; or they are
        those of one end. peft's own scaling of an adapter keeps those of the adapted network.

    Raises
    ------
    UnknownNameError
        If `batchnorm` is none of the three.
    ModelError
        If the two differ in structure, or the adapted network cannot be merged into a plain one.
    """
    scales_of_statistics = {"interpolate": scale, "base": 0.0, "adapted": 1.0}
    require_known("batchnorm of a network between two", name=batchnorm, names=scales_of_statistics)
    end = merge(adapted) if isinstance(adapted, Adapted) else adapted
    _require_same_structure(base, end=end)
    network = copy.deepcopy(base).requires_grad_(True).eval()
    network.trained_on = end.trained_on
    with torch.no_grad():
        for place, target in zip(network.parameters(), end.parameters(), strict=True):
            _move(place, end=target, scale=scale)
        for layer, target in zip(batchnorm_layers(network), batchnorm_layers(end), strict=True):
            _move_statistics(layer, end=target, scale=scales_of_statistics[batchnorm])
    return network


def _move(place: torch.Tensor, *, end: torch.Tensor, scale: float) -> None:
    """Move a tensor along the line, exactly onto its end at scale 1."""
    end = end.to(place.device)
    place.copy_(end if scale == 1 else place + scale * (end - place))


def _move_statistics(layer: torch.nn.Module, *, end: torch.nn.Module, scale: float) -> None:
    if layer.running_mean is None or scale == 0:
        return
    _move(layer.running_mean, end=end.running_mean, scale=scale)
    layer.num_batches_tracked.copy_(end.num_batches_tracked)
    if scale == 1:
        layer.running_var.copy_(end.running_var)
    else:
        start, last = (one.running_var.to(layer.running_var.device) + layer.eps for one in (layer, end))
        layer.running_var.copy_((start * (last / start).pow(scale) - layer.eps).clamp_min(0))


def _require_same_structure(base: Network, *, end: Network) -> None:
    start, last = ({(n, tuple(t.shape)) for n, t in each.state_dict().items()} for each in (base, end))
    if differing := sorted({name for name, _ in start ^ last}):
        asked = "A network between two others was asked for."
        received = f"{base.spec.name} and {end.spec.name}, which differ in {', '.join(differing[:5])}"
        remedy = "Pass the base network that the adapted one was made from."
        raise ModelError(asked, received=received, available="two networks of one structure", remedy=remedy)
