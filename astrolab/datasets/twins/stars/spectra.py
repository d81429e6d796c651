"""Spectra of stars at rest, batched: a continuum, metal lines and bands, and hydrogen, on one fine grid.

A line's equivalent width in the Sun gives its depth; abundances, Saha, Boltzmann and the opacity change it (Gray
2005, The Observation and Analysis of Stellar Photospheres); the curve of growth makes it an equivalent width again.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from scipy.special import wofz
from torch import Tensor

TABLES = tomllib.loads(Path(__file__).with_name("tables.toml").read_text(encoding="utf-8"))
IONS, WEAK = TABLES["ions"], np.array(TABLES["weak"]["kinds"].split()).reshape(-1, 4)
C_KMS, LN_10, PLANCK_ANG_K = 299_792.458, float(np.log(10.0)), 1.438776877e8
LOG_STEP = 2.5e-5
GRID = 10.0 ** (3.547 + LOG_STEP * np.arange(17_920))  # vacuum Å
PIXEL_KMS = C_KMS * LOG_STEP * LN_10  # 17 km/s
SIGMA_KMS = C_KMS / 7000.0 / 2.3548  # the grid's own Gaussian, which every survey's contains
SUN = torch.tensor([[5772.0, 4.44, 0.0, 0.0]])
LINE_LAYER = 0.85  # temperature where metal lines form, of Teff
WING_SOFTNESS = 1.3  # of σ: where the far wings of a line level off
CORE_FLUX, HYDROGEN_DEPTH = 0.07, 0.65  # what the deepest lines leave; how deep those of hydrogen are at most
SOLAR_WINGS = torch.tensor([2.1, 0.02])  # of the Balmer and Paschen series (Å^2.5)
HYDROGEN_SLOPES = 0.20, 0.42  # of log wings in stars cooler and hotter than the Sun: stronger lines form higher up


def spectrum(stars: Tensor) -> Tensor:
    """Flux at rest, the continuum 1 at 5500 Å, of stars of Teff, log g, [Fe/H], [α/Fe]: (n, 4) → (n, pixel)."""
    flux, (cores, wings), (bands, hydrogen) = continuum(stars), amplitudes(stars), _broad_depths(stars)
    for pixels, lines, profiles, series in _tiles():
        part = flux[:, pixels]
        amounts = torch.cat([cores[:, lines], wings[:, lines], bands, cores[:, -len(WEAK) :]], dim=1)
        part *= (amounts @ profiles).neg_().exp_().mul_(1.0 - CORE_FLUX).add_(CORE_FLUX)
        part *= (hydrogen @ series).mul_(-1 / HYDROGEN_DEPTH).expm1_().mul_(HYDROGEN_DEPTH).add_(1.0)
    return flux


def continuum(stars: Tensor) -> Tensor:
    """Black bodies, hotter in colour where hydrogen absorbs, with a Balmer and a Paschen jump: (n, pixel)."""
    wave, teff = floats(GRID), stars[:, :1]
    colour = teff * (1.10 + 0.80 * torch.sigmoid((teff - 8000.0) / 900.0))
    energy = PLANCK_ANG_K / wave / colour
    flux = (PLANCK_ANG_K / 5500.0 / colour).expm1() * (wave / 5500.0) ** -5.0 / (energy.exp_().sub_(1.0))
    below = torch.sigmoid((3677.0 - wave) / 10.0) + 0.2 * torch.sigmoid((8266.0 - wave) / 30.0) - 0.2
    return flux.mul_((-LN_10 * 0.48 * torch.sigmoid((teff - 7000.0) / 650.0) * below).exp_())


def amplitudes(stars: Tensor) -> tuple[Tensor, Tensor]:
    """Give what cores and wings of lines need on the fine grid to have the widths of the curve of growth: (n, line)."""
    width, wings = (one / (1.0 - CORE_FLUX) ** power for one, power in zip(strengths(stars), (1, 2), strict=True))
    sigma = floats(line_list()[0]) * SIGMA_KMS / C_KMS
    soft = WING_SOFTNESS * sigma
    half = wings / soft**2 / 2.0
    left = width - 2.0 * np.pi * soft * half * (torch.special.i0e(half) + torch.special.i1e(half))  # wings alone
    left = left.clamp(min=0.0) * (wings / (soft**2 + sigma**2)).clamp(max=9.0).exp()  # a core in wings hides less
    grid = np.linspace(-4.0, np.log10(4.0), 400)  # of log W / Δλ_D, to invert the curve without damping
    inverse = floats(np.interp(grid, _growth()[2][0], _growth()[0])).expand(len(stars), -1)
    return 10.0 ** _looked_up(inverse, (left / np.sqrt(2.0) / sigma + 1e-9).log10(), grid=grid), wings


def strengths(stars: Tensor) -> tuple[Tensor, Tensor]:
    """Give equivalent widths (Å) and far wings (Å², τ = wings / Δλ²) of all lines: (n, line) each."""
    wave, excitation, solar, ion = line_list()
    (doppler, damping, theta, absorbers, _), (solar_doppler, solar_damping, *sun) = _layer(stars), _layer(SUN)
    growth = curve_of_growth(_growth()[0][None], log_damping=solar_damping)[0]
    solar_depth = floats(np.interp(np.log10(solar / wave / float(solar_doppler)), growth, _growth()[0]))
    log_depth = solar_depth + (absorbers - sun[1])[:, ion] - (theta - sun[0]) * floats(excitation)
    log_doppler = (floats(wave) * doppler).log10()
    width = 10.0 ** (curve_of_growth(log_depth, log_damping=damping) + log_doppler)
    return width, 10.0 ** (log_depth + damping + 2.0 * log_doppler) / np.sqrt(np.pi)


def curve_of_growth(log_depth: Tensor, *, log_damping: Tensor) -> Tensor:
    """Give log W / Δλ_D of lines by log η₀ (n, line), log a (n, 1): √π η₀, then 2 √(ln η₀), then 2 π^¼ √(η₀ a)."""
    grid, damping, table = _growth()
    place = ((log_damping - damping[1]) / (damping[2] - damping[1]) + 1.0).clamp(1.0, len(damping) - 1.001)
    of_star = torch.lerp(table[place.long()[:, 0]], table[place.long()[:, 0] + 1], place.frac())
    return _looked_up(of_star, log_depth, grid=grid)


def _looked_up(table: Tensor, value: Tensor, *, grid: np.ndarray | Tensor) -> Tensor:
    """Rows of tables (n, m) over an even grid, at values (n, line), held at the ends."""
    place = ((value - grid[0]) / (grid[1] - grid[0])).clamp(0.0, len(grid) - 1.001)
    return torch.lerp(table.gather(1, place.long()), table.gather(1, place.long() + 1), place.frac())


@lru_cache(maxsize=1)
def _growth() -> tuple[Tensor, Tensor, Tensor]:
    """Log η₀, log a, and log W / Δλ_D (a, η₀) by integration over Voigt profiles; the first row has no damping."""
    log_depth, log_damping = np.linspace(-4.0, 9.0, 131), np.array([-9.0, *np.linspace(-3.5, -0.5, 13)])
    u = np.concatenate([np.linspace(0.0, 8.0, 801), np.geomspace(8.01, 1e6, 1200)])
    voigt = wofz(u + 1j * 10.0 ** log_damping[:, None]).real
    width = [2.0 * np.trapezoid(-np.expm1(-(10.0**depth) * voigt), u) for depth in log_depth]
    return floats(log_depth), floats(log_damping), floats(np.log10(np.stack(width, axis=1)))


@lru_cache(maxsize=1)
def line_list() -> tuple[np.ndarray, ...]:
    """Wavelength (vacuum Å), excitation (eV), solar width (Å), ion of the named lines, then of weak ones at 5000 Å."""
    named = [np.array(ion["lines"].split(), dtype=float).reshape(-1, 3) for ion in IONS.values()]
    ion = np.repeat(np.arange(len(IONS)), [len(one) for one in named])
    wave, excitation, width = np.concatenate(named).T
    s2 = (1e4 / wave) ** 2
    wave = wave * (1.0 + 8.34254e-5 + 2.406147e-2 / (130 - s2) + 1.5998e-4 / (38.9 - s2))  # Morton 2000, ApJS 130, 403
    weak = np.full(len(WEAK), 5000.0), *WEAK[:, 1:3].T.astype(float)
    wave, excitation, width = (np.concatenate(pair) for pair in zip((wave, excitation, width), weak, strict=True))
    return wave, excitation, width / 1000.0, np.append(ion, [list(IONS).index(name) for name in WEAK[:, 0]])


def _layer(stars: Tensor) -> tuple[Tensor, ...]:
    """Where lines form: Δλ_D / λ, log a, 5040 K / T (n, 1); atoms over opacity (n, ion), hydrogen's wings (n, 2)."""
    teff, log_g, feh, alpha = stars.split(1, dim=1)
    theta = 5040.0 / teff
    # electrons: in cool stars metals give them; opacity: H⁻, and from about 8,000 K on hydrogen
    pressure = 0.4 + 0.36 * (log_g - 4.44) + 8.0 * (teff / 5772.0).log10()
    pressure += 0.4 * torch.sigmoid((5900.0 - teff) / 300.0) * (feh + 0.5 * alpha)
    negative = pressure + 0.754 * theta + 2.5 * theta.log10()
    opacity = torch.logaddexp(LN_10 * negative, LN_10 * (8.5 - 12.09 * theta)) / LN_10
    turbulence = (1.0 + 0.25 * (4.44 - log_g) + 1.5 * ((teff - 6000.0) / 2500.0).clamp(0.0, 1.0)).clamp(0.8, 3.0)
    collisions = 0.028 * 10.0 ** (0.62 * (log_g - 4.44)) * (teff / 5772.0) ** -5.0
    energies, in_alpha = (floats([ion[name] for ion in IONS.values()]) for name in ("energies", "alpha"))
    saha = 2.5 * (5040.0 / theta * LINE_LAYER).log10() - 0.18 - pressure
    first, second = (saha - theta / LINE_LAYER * energy for energy in energies.T)  # log of one ion over the one before
    total = torch.logaddexp(torch.zeros_like(first), LN_10 * first).logaddexp(LN_10 * (first + second)) / LN_10
    absorbers = torch.where(torch.tensor([name.endswith("2") for name in IONS]), first, 0.0) - total
    absorbers += feh + in_alpha * alpha - opacity
    doppler = (turbulence**2 + 1.44 * teff / 5772.0).sqrt() / C_KMS
    hydrogen = pressure - opacity - theta * torch.tensor([10.2, 12.09])
    return doppler, (collisions + 0.002).log10(), theta / LINE_LAYER, absorbers, hydrogen


def _broad_depths(stars: Tensor) -> tuple[Tensor, Tensor]:
    """Optical depth at the heads of bands (n, kind); far wings of the Balmer and Paschen series, τ = C / Δλ^2.5."""
    at, rise, upto, *slopes = floats([band["strength"] for band in TABLES["bands"].values()]).T
    _, log_g, feh, alpha = stars.split(1, dim=1)
    bands = at + rise * (torch.minimum(5040.0 / stars[:, :1], upto) - 1.2)
    bands += slopes[0] * feh + slopes[1] * alpha + slopes[2] * (log_g - 2.5)
    hydrogen = _layer(stars)[-1] - _layer(SUN)[-1]
    return 10.0**bands, SOLAR_WINGS * 10.0 ** (hydrogen * torch.where(hydrogen < 0, *HYDROGEN_SLOPES))


@lru_cache(maxsize=1)
def _tiles() -> list[tuple[slice, Tensor, Tensor, Tensor]]:
    """512 pixels each: the named lines in reach; profiles (row, pixel) of cores, wings, bands, weak lines; hydrogen."""
    rng, tiles = np.random.default_rng(4383), []
    bands = [sum(band_profile(head, rng=rng) for head in kind["heads"]) for kind in TABLES["bands"].values()]
    broad = np.stack([*bands, *(_weak_lines(share=float(share), rng=rng) for share in WEAK[:, 3])])
    lower = np.array([2, 3])[:, None, None]
    upper = lower + np.arange(1, 22)[:, None]
    size = np.minimum((upper / 4.0) ** 1.2, 2.0 * (7.0 / upper) ** 2.7)
    series = (size * ((GRID - 911.763 / (lower**-2.0 - upper**-2.0)) ** 2 + 0.64) ** -1.25).sum(axis=1)
    centre, solar = (one[: -len(WEAK), None] for one in (line_list()[0], line_list()[2]))
    for pixels in (slice(first, first + 512) for first in range(0, len(GRID), 512)):
        offset = GRID[pixels] - centre
        lines = np.flatnonzero((np.abs(offset) < np.maximum(15.0, 15.0 * solar)).any(axis=1))
        offset, sigma = offset[lines], centre[lines] * SIGMA_KMS / C_KMS
        cores, wings = np.exp(-0.5 * (offset / sigma) ** 2), 1.0 / (offset**2 + (WING_SOFTNESS * sigma) ** 2)
        profiles = floats(np.concatenate([cores, wings, broad[:, pixels]]))
        tiles.append((pixels, torch.as_tensor(lines), profiles, floats(series[:, pixels])))
    return tiles


def band_profile(ends: Sequence[float], *, rng: Generator) -> np.ndarray:
    """Give a band that fades from its head, with the comb of its rotational lines, 1 on average at the head."""
    along = (GRID - ends[0]) / (ends[1] - ends[0])
    comb = _spread(rng.exponential(size=len(GRID))) / _spread(np.ones(len(GRID)))
    edge = 1.0 / (1.0 + np.exp(-np.clip(along * abs(ends[1] - ends[0]) / 1.5, -50, 50)))
    return edge * np.exp(-2.0 * np.clip(along, 0.0, None) ** 1.5) * comb


def _weak_lines(*, share: float, rng: Generator) -> np.ndarray:
    """Weak lines at random places, as many per Å as the table has between its ends, and ever fewer to the red."""
    start, step, per_ang = (TABLES["weak"][name] for name in ("start_ang", "step_ang", "per_100_ang"))
    per_ang = np.array(per_ang.split(), dtype=float) / 100.0
    end, place = start + step * len(per_ang), np.clip(((GRID - start) // step).astype(int), 0, len(per_ang) - 1)
    comb = rng.exponential(size=len(GRID))
    comb /= (np.bincount(place, comb) / np.maximum(np.bincount(place), 1))[place]
    number = np.where(GRID < end, per_ang[place], per_ang[-100:].mean() * (end / GRID) ** 4)
    return _spread(share * number * GRID * PIXEL_KMS / C_KMS * comb)


def _spread(amount: np.ndarray) -> np.ndarray:
    """Give every pixel's amount the grid's Gaussian."""
    return np.convolve(amount, np.exp(-0.5 * (np.arange(-6, 7) * PIXEL_KMS / SIGMA_KMS) ** 2), mode="same")


def floats(array: np.ndarray) -> Tensor:
    """Give an array as single-precision numbers."""
    return torch.as_tensor(array, dtype=torch.float32)
