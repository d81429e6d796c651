"""Spectra of stars at rest, batched: a continuum, metal lines and bands, and hydrogen, on one fine grid."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from astrolab.datasets.twins.stars.lines import (
    C_KMS,
    LN_10,
    SUN,
    TABLES,
    WEAK,
    core_depth,
    floats,
    line_list,
    log_electron_pressure,
    log_opacity,
    strengths,
)

LOG_STEP = 2.5e-5
GRID = 10.0 ** (3.547 + LOG_STEP * np.arange(17_920))  # vacuum Å, in steps of 17 km/s
SIGMA_KMS = C_KMS / 7000.0 / 2.3548  # the grid's own Gaussian, which a survey's line-spread function contains
TILE = 512
WING_SOFTNESS = 1.3  # of σ: where the far wings of a line level off
PLANCK_ANG_K = 1.438776877e8
HYDROGEN_DEPTH = 0.75
HYDROGEN_SLOPES = 0.24, 0.44  # of log wings in stars cooler and hotter than the Sun: stronger lines form higher up


class Tile(NamedTuple):
    """Some pixels: the named lines near them, and profiles (row, pixel) of cores, wings and bands, and of hydrogen."""

    pixels: slice
    lines: Tensor
    profiles: Tensor
    hydrogen: Tensor


def spectrum(stars: Tensor) -> Tensor:
    """Flux at rest, the continuum 1 at 5500 Å, of stars of Teff, log g, [Fe/H], [α/Fe]: (n, 4) → (n, pixel)."""
    cores, wings = amplitudes(stars)
    bands, hydrogen, flux = _band_depths(stars), _hydrogen_wings(stars), continuum(stars)
    for tile in _tiles():
        amounts = torch.cat([cores[:, tile.lines], wings[:, tile.lines], bands, cores[:, -len(WEAK) :]], dim=1)
        part = flux[:, tile.pixels]
        part *= (amounts @ tile.profiles).neg_().exp_()
        part *= (hydrogen @ tile.hydrogen).mul_(-1 / HYDROGEN_DEPTH).expm1_().mul_(HYDROGEN_DEPTH).add_(1.0)
    return flux


def continuum(stars: Tensor) -> Tensor:
    """Black bodies, hotter in colour where hydrogen absorbs, with a Balmer and a Paschen jump: (n, pixel)."""
    wave, teff = floats(GRID), stars[:, :1]
    colour = teff * (1.0 + 0.55 * torch.sigmoid((teff - 8100.0) / 550.0))
    flux = (wave / 5500.0) ** -5.0 * (PLANCK_ANG_K / 5500.0 / colour).expm1() / (PLANCK_ANG_K / wave / colour).expm1()
    below = torch.sigmoid((3687.0 - wave) / 12.0) + 0.2 * torch.sigmoid((8266.0 - wave) / 30.0)
    return flux.mul_((-LN_10 * 0.48 * torch.sigmoid((teff - 7000.0) / 650.0) * (below - 0.2)).exp_())


def amplitudes(stars: Tensor) -> tuple[Tensor, Tensor]:
    """Give what cores and wings of lines need on the fine grid to have the widths of the curve of growth: (n, line)."""
    width, wings = strengths(stars)
    sigma = floats(line_list()[0]) * SIGMA_KMS / C_KMS
    soft = WING_SOFTNESS * sigma
    thin = np.pi * wings / soft**2  # W of the wings alone, over `soft`, if they were thin
    left = (width - soft * thin / (1.0 + thin / 4.0 / np.pi).sqrt()).clamp(min=0.0)
    left *= (wings / (soft**2 + sigma**2)).clamp(max=9.0).exp()  # a core that lies in wings hides less
    return 10.0 ** core_depth((left / (np.sqrt(2.0) * sigma) + 1e-9).log10()), wings


def _hydrogen_wings(stars: Tensor) -> Tensor:
    """Far wings of the Balmer and Paschen series, τ = C / Δλ^2.5: atoms in level 2 and 3, broadened by electrons."""
    wings = []
    for energy, of_sun in ((10.2, 1.75), (12.09, 0.02)):
        log = [log_electron_pressure(one) - log_opacity(one) - energy * 5040.0 / one[:, :1] for one in (stars, SUN)]
        wings.append(of_sun * 10.0 ** ((log[0] - log[1]) * torch.where(log[0] < log[1], *HYDROGEN_SLOPES)))
    return torch.cat(wings, dim=1)


def _band_depths(stars: Tensor) -> Tensor:
    """Optical depth at the heads of molecular bands: (n, kind)."""
    at, rise, upto, *slopes = floats([band["strength"] for band in TABLES["bands"].values()]).T
    _, log_g, feh, alpha = stars.split(1, dim=1)
    warm = at + rise * (torch.minimum(5040.0 / stars[:, :1], upto) - 1.2)
    return 10.0 ** (warm + slopes[0] * feh + slopes[1] * alpha + slopes[2] * (log_g - 2.5))


@lru_cache(maxsize=1)
def _tiles() -> list[Tile]:
    """Profiles of everything on the fine grid: of a line as far as its wings may reach."""
    rng, kinds, tiles = np.random.default_rng(4383), TABLES["bands"].values(), []
    bands = [sum(band_profile(*head, rng=rng) for head in kind["heads"]) for kind in kinds]
    weak = [_forest(share=float(share), rng=rng) for share in WEAK[:, 3]]
    hydrogen = np.stack([_series(lower) for lower in (2, 3)])
    centre, solar = (one[: -len(WEAK), None] for one in (line_list()[0], line_list()[2]))
    for pixels in (slice(first, first + TILE) for first in range(0, len(GRID), TILE)):
        offset = GRID[pixels] - centre
        lines = np.flatnonzero((np.abs(offset) < np.maximum(15.0, 15.0 * solar)).any(axis=1))
        offset, sigma = offset[lines], centre[lines] * SIGMA_KMS / C_KMS
        cores, wings = np.exp(-0.5 * (offset / sigma) ** 2), 1.0 / (offset**2 + (WING_SOFTNESS * sigma) ** 2)
        profiles = np.concatenate([cores, wings, *(one[None, pixels] for one in (*bands, *weak))])
        tiles.append(Tile(pixels, torch.as_tensor(lines), floats(profiles), floats(hydrogen[:, pixels])))
    return tiles


def _spread(amount: np.ndarray) -> np.ndarray:
    """Give every pixel's amount the grid's Gaussian."""
    return np.convolve(amount, np.exp(-0.5 * (np.arange(-6, 7) * C_KMS * LOG_STEP * LN_10 / SIGMA_KMS) ** 2), mode="same")


def band_profile(start: float, stop: float, *, rng: np.random.Generator) -> np.ndarray:
    """Give a band that fades from its head, with the comb of its rotational lines, 1 on average at the head."""
    along = (GRID - start) / (stop - start)
    comb = _spread(rng.exponential(size=len(GRID))) / _spread(np.ones(len(GRID)))
    edge = 1.0 / (1.0 + np.exp(-np.clip(along * abs(stop - start) / 1.5, -50, 50)))
    return edge * np.exp(-2.0 * np.clip(along, 0.0, None) ** 1.5) * comb


def _forest(*, share: float, rng: np.random.Generator) -> np.ndarray:
    """Weak lines at random places, as many per Å as the table has between its ends, and ever fewer to the red."""
    counted = np.array(TABLES["weak"]["per_100_ang"].split(), dtype=float) / 100.0
    start, step = TABLES["weak"]["start_ang"], TABLES["weak"]["step_ang"]
    place = np.clip(((GRID - start) // step).astype(int), 0, len(counted) - 1)
    beyond = GRID > start + step * len(counted)
    per_ang = np.where(beyond, counted[-100:].mean() * (start + step * len(counted)) ** 4 / GRID**4, counted[place])
    comb = rng.exponential(size=len(GRID))
    comb /= (np.bincount(place, comb) / np.maximum(np.bincount(place), 1))[place]
    return _spread(share * per_ang * GRID * LOG_STEP * LN_10 * comb)


def _series(lower: int) -> np.ndarray:
    """Far wings of a series of hydrogen up to level 24, for C = 1."""
    upper = np.arange(lower + 1, 25)[:, None]
    centre = 911.763 / (1.0 / lower**2 - 1.0 / upper**2)
    return (np.minimum((upper / 4.0) ** 0.6, 1.4 * (7.0 / upper) ** 2) * ((GRID - centre) ** 2 + 0.64) ** -1.25).sum(axis=0)
