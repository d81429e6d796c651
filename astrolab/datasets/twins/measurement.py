"""What a pipeline measures on a stamp: fluxes with their errors, sizes, shapes. All on tensors, in batches."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from scipy.special import gammaincinv
from torch import Tensor

N_RINGS = 48
ISOPHOTE_SIGMA = 3.0  # above the sky noise
FAINTEST_SIGMA = 0.2  # fluxes below this many errors are set to it: the published selection keeps positive fluxes only
PETROSIAN = 0.2


def measure_fluxes(central: Tensor, *, noise: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Flux relative to the truth, by fitting the galaxy's own profile to its noisy pixels (forced photometry)."""
    template = central.flatten(2)
    power = (template * template).sum(-1).clamp(min=1e-30)
    error = (variance.flatten(2) * template * template).sum(-1).sqrt() / power
    ratio = 1.0 + (noise.flatten(2) * template).sum(-1) / power
    return torch.maximum(ratio, FAINTEST_SIGMA * error), error


def measure_shapes(central: Tensor, *, sky_sigma: Tensor) -> dict[str, Tensor]:
    """Isophotal and aperture measurements of galaxies on their stamps."""
    return {**_moments(central, sky_sigma=sky_sigma), **_growth(central)}


def _moments(central: Tensor, *, sky_sigma: Tensor) -> dict[str, Tensor]:
    size = central.shape[-1]
    peak = central.amax((-1, -2))
    threshold = torch.minimum(ISOPHOTE_SIGMA * sky_sigma, 0.5 * peak)  # the faintest keep their core
    inside = central > threshold[..., None, None]
    pixel = torch.arange(size, device=central.device, dtype=central.dtype) - 0.5 * (size - 1)
    powers = torch.stack([torch.ones_like(pixel), pixel, pixel * pixel], dim=1)
    sums = powers.T @ ((central * inside) @ powers)
    total = sums[..., 0, 0].clamp(min=1e-30)
    mean_x, mean_y = sums[..., 0, 1] / total, sums[..., 1, 0] / total
    xx = (sums[..., 0, 2] / total - mean_x**2).clamp(min=1 / 12)
    yy = (sums[..., 2, 0] / total - mean_y**2).clamp(min=1 / 12)
    xy = sums[..., 1, 1] / total - mean_x * mean_y
    mean, spread = 0.5 * (xx + yy), torch.hypot(0.5 * (xx - yy), xy)
    major, minor = (mean + spread).sqrt(), (mean - spread).clamp(min=1e-3).sqrt()
    return {
        "isophotal_area": inside.sum((-1, -2)).to(central.dtype),
        "major_axis": major,
        "minor_axis": minor,
        "ellipticity": 1.0 - minor / major,
        "pos_angle": 0.5 * torch.atan2(2.0 * xy, xx - yy) * (180.0 / math.pi),
        "peak": peak,
    }


def _growth(central: Tensor) -> dict[str, Tensor]:
    """Radii from the light in rings about the centre of the stamp."""
    size = central.shape[-1]
    edges, rings = _rings(size, device=central.device)
    area, middle = rings.sum(0), edges - 0.5 * torch.diff(edges, prepend=edges.new_zeros(1))
    light = central.flatten(2) @ rings
    inside = light.cumsum(-1)
    growth = inside / inside[..., -1:].clamp(min=1e-30)
    half, most = (_crossing(growth, edges, level) for level in (0.5, 0.9))
    return {
        "half_light_radius": half,
        "petro_rad": _crossing(1.0 - _petrosian_ratio(light, area), middle, 1.0 - PETROSIAN),
        "sersic_index": _index_of_concentration(most / half),
    }


def _rings(size: int, *, device: torch.device) -> tuple[Tensor, Tensor]:
    """Outer radii of rings (ring,) px, and which share of each pixel lies in which (pixel, ring)."""
    fine = 5
    position = (torch.arange(size * fine, device=device) + 0.5) / fine - 0.5 * size
    radius = torch.hypot(position[:, None], position[None, :])
    edges = 0.5 * size * (torch.arange(1, N_RINGS + 1, device=device) / N_RINGS) ** 1.25
    ring = torch.bucketize(radius, edges)
    pixel = torch.arange(size, device=device).repeat_interleave(fine)
    index = (pixel[:, None] * size + pixel[None, :]) * (N_RINGS + 1) + ring
    count = torch.bincount(index.flatten(), minlength=size * size * (N_RINGS + 1))
    return edges, count.view(size * size, N_RINGS + 1)[:, :N_RINGS].to(edges.dtype) / fine**2


def _crossing(growth: Tensor, edges: Tensor, level: float) -> Tensor:
    """Radius at which a growth curve first reaches a level, linearly between rings."""
    above = (growth < level).sum(-1, keepdim=True).clamp(max=len(edges) - 1)
    below = (above - 1).clamp(min=0)
    high, low = growth.gather(-1, above), growth.gather(-1, below) * (above > 0)
    outer, inner = edges[above], edges[below] * (above > 0)
    return (inner + (outer - inner) * (level - low) / (high - low).clamp(min=1e-9)).squeeze(-1)


def _petrosian_ratio(light: Tensor, area: Tensor) -> Tensor:
    """Surface brightness of every ring over the mean inside its middle (Petrosian 1976, ApJ 209, L1)."""
    inside = (light.cumsum(-1) - 0.5 * light) / (area.cumsum(-1) - 0.5 * area)
    ratio = (light / area) / inside.clamp(min=1e-30)
    return ratio.cummin(-1).values


def _index_of_concentration(ratio: Tensor) -> Tensor:
    """Sérsic index of the profile that has this r90/r50; seeing makes it smaller than the galaxy's own."""
    indices, ratios = (torch.tensor(column, device=ratio.device, dtype=ratio.dtype) for column in _concentrations())
    return indices[torch.bucketize(ratio, ratios).clamp(max=len(ratios) - 1)]


@lru_cache(maxsize=1)
def _concentrations() -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Sérsic indices, and r90/r50 of each (Graham & Driver 2005, PASA 22, 118, eq. 2)."""
    indices = np.linspace(0.3, 6.0, 58)
    b50, b90 = (gammaincinv(2 * indices, level) for level in (0.5, 0.9))
    return tuple(indices.tolist()), tuple(((b90 / b50) ** indices).tolist())
