"""Spectra of stars at rest, batched: a continuum, metal lines and bands, and hydrogen, on one fine grid.

A line's equivalent width in the Sun gives its optical depth there; abundances, the equations of Saha and Boltzmann and
the continuous opacity change it (Gray 2005, The Observation and Analysis of Stellar Photospheres), and the curve of
growth turns it into the equivalent width in a star.
"""

from __future__ import annotations

import tomllib
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
GRID = 10.0 ** (3.547 + LOG_STEP * np.arange(17_920))  # vacuum Å, in steps of 17 km/s
PIXEL_KMS, SIGMA_KMS = (
    C_KMS * LOG_STEP * LN_10,
    C_KMS / 7000.0 / 2.3548,
)  # the grid's own Gaussian, within every survey's
SUN = torch.tensor([[5772.0, 4.44, 0.0, 0.0]])
LINE_LAYER = 0.85  # temperature where metal lines form, of Teff
WING_SOFTNESS = 1.3  # of σ: where the far wings of a line level off
HYDROGEN_DEPTH = 0.75  # of its lines at most
HYDROGEN_SLOPES = 0.24, 0.44  # of log wings in stars cooler and hotter than the Sun: stronger lines form higher up


def spectrum(stars: Tensor) -> Tensor:
    """Flux at rest, the continuum 1 at 5500 Å, of stars of Teff, log g, [Fe/H], [α/Fe]: (n, 4) → (n, pixel)."""
    (cores, wings), flux = amplitudes(stars), continuum(stars)
    bands, hydrogen = _band_depths(stars), _hydrogen_wings(stars)
    for pixels, lines, profiles, series in _tiles():
        part = flux[:, pixels]
        part *= (
            (torch.cat([cores[:, lines], wings[:, lines], bands, cores[:, -len(WEAK) :]], dim=1) @ profiles)
            .neg_()
            .exp_()
        )
        part *= (hydrogen @ series).mul_(-1 / HYDROGEN_DEPTH).expm1_().mul_(HYDROGEN_DEPTH).add_(1.0)
    return flux


def continuum(stars: Tensor) -> Tensor:
    """Black bodies, hotter in colour where hydrogen absorbs, with a Balmer and a Paschen jump: (n, pixel)."""
    wave, teff = floats(GRID), stars[:, :1]
    colour = teff * (1.0 + 0.55 * torch.sigmoid((teff - 8100.0) / 550.0))
    flux = (wave / 5500.0) ** -5.0 * (PLANCK_ANG_K / 5500.0 / colour).expm1() / (PLANCK_ANG_K / wave / colour).expm1()
    below = torch.sigmoid((3687.0 - wave) / 12.0) + 0.2 * torch.sigmoid((8266.0 - wave) / 30.0) - 0.2
    return flux.mul_((-LN_10 * 0.48 * torch.sigmoid((teff - 7000.0) / 650.0) * below).exp_())


def amplitudes(stars: Tensor) -> tuple[Tensor, Tensor]:
    """Give what cores and wings of lines need on the fine grid to have the widths of the curve of growth: (n, line)."""
    width, wings = strengths(stars)
    sigma = floats(line_list()[0]) * SIGMA_KMS / C_KMS
    soft = WING_SOFTNESS * sigma
    thin = np.pi * wings / soft**2  # W of the wings alone, over `soft`, if they were thin
    left = (width - soft * thin / (1.0 + thin / 4.0 / np.pi).sqrt()).clamp(min=0.0)
    left *= (wings / (soft**2 + sigma**2)).clamp(max=9.0).exp()  # a core that lies in wings hides less
    return 10.0 ** core_depth((left / (np.sqrt(2.0) * sigma) + 1e-9).log10()), wings


def strengths(stars: Tensor) -> tuple[Tensor, Tensor]:
    """Give equivalent widths (Å) and far wings (Å², τ = wings / Δλ²) of all lines: (n, line) each."""
    wave, excitation, solar, ion = line_list()
    (doppler, log_damping), (solar_doppler, solar_damping) = _broadening(stars), _broadening(SUN)
    growth = curve_of_growth(_growth()[0][None], log_damping=solar_damping)[0]
    solar_depth = floats(np.interp(np.log10(solar / wave / float(solar_doppler)), growth, _growth()[0]))
    change, theta = _log_absorbers(stars) - _log_absorbers(SUN), (5040.0 / stars[:, :1] - 5040.0 / 5772.0) / LINE_LAYER
    log_depth = solar_depth + change[:, ion] - theta * floats(excitation)
    log_doppler = (floats(wave) * doppler).log10()
    width = 10.0 ** (curve_of_growth(log_depth, log_damping=log_damping) + log_doppler)
    return width, 10.0 ** (log_depth + log_damping + 2.0 * log_doppler) / np.sqrt(np.pi)


def curve_of_growth(log_depth: Tensor, *, log_damping: Tensor) -> Tensor:
    """Give log W / Δλ_D of lines (n, line) by their central optical depth η₀ and a star's damping a (n, 1).

    It rises as √π η₀, then as 2 √(ln η₀), then as 2 π^¼ √(η₀ a).
    """
    log_eta, grid, table = _growth()
    place = ((log_damping - grid[1]) / (grid[2] - grid[1]) + 1.0).clamp(1.0, len(grid) - 1.001)
    of_star = torch.lerp(table[place.long()[:, 0]], table[place.long()[:, 0] + 1], place.frac())
    return _looked_up(of_star, (log_depth - log_eta[0]) / (log_eta[1] - log_eta[0]))


def core_depth(log_width: Tensor) -> Tensor:
    """Give log η₀ of a Gaussian line of this log W / Δλ_D: the curve without damping, inverted."""
    grid = np.linspace(-4.0, np.log10(4.0), 400)
    inverse = floats(np.interp(grid, _growth()[2][0], _growth()[0]))
    return _looked_up(inverse.expand(len(log_width), -1), (log_width - grid[0]) / (grid[1] - grid[0]))


def _looked_up(table: Tensor, place: Tensor) -> Tensor:
    """Rows of a table (n, m) at fractional places (n, line), held at its ends."""
    place = place.clamp(0.0, table.shape[1] - 1.001)
    low = place.long()
    return torch.lerp(table.gather(1, low), table.gather(1, low + 1), place.frac())


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


def _broadening(stars: Tensor) -> tuple[Tensor, Tensor]:
    """Doppler widths Δλ_D / λ by heat and turbulence, and log a, by collisions and radiation: (n, 1) each."""
    teff, log_g = stars[:, :1], stars[:, 1:2]
    turbulence = (1.0 + 0.25 * (4.44 - log_g) + 1.5 * ((teff - 6000.0) / 2500.0).clamp(0.0, 1.0)).clamp(0.8, 3.0)
    collisions = 0.028 * 10.0 ** (0.55 * (log_g - 4.44)) * (teff / 5772.0) ** -5.0
    return (turbulence**2 + 1.44 * teff / 5772.0).sqrt() / C_KMS, (collisions + 0.002).log10()


def _log_absorbers(stars: Tensor) -> Tensor:
    """Log of the atoms in each ion over the continuous opacity: (n, ion)."""
    theta, pressure = 5040.0 / stars[:, :1] / LINE_LAYER, _log_electron_pressure(stars)
    energies, alpha = (
        floats([ion["energies"] for ion in IONS.values()]),
        floats([ion["alpha"] for ion in IONS.values()]),
    )
    first, second = (2.5 * (5040.0 / theta).log10() - 0.18 - pressure - theta * one for one in energies.T)  # Saha
    total = torch.logaddexp(torch.zeros_like(first), LN_10 * first).logaddexp(LN_10 * (first + second)) / LN_10
    in_ion = torch.where(torch.tensor([name.endswith("2") for name in IONS]), first, 0.0) - total
    return stars[:, 2:3] + alpha * stars[:, 3:4] + in_ion - _log_opacity(stars)


def _log_electron_pressure(stars: Tensor) -> Tensor:
    """Log Pe (dyn/cm²) where lines form: in cool stars metals give the electrons."""
    teff, log_g, feh, alpha = stars.split(1, dim=1)
    metals = 0.4 * torch.sigmoid((5900.0 - teff) / 300.0) * (feh + 0.5 * alpha)
    return 0.4 + 0.36 * (log_g - 4.44) + 8.0 * (teff / 5772.0).log10() + metals


def _log_opacity(stars: Tensor) -> Tensor:
    """Log of the continuous opacity per gram: H⁻, and from about 8,000 K on hydrogen."""
    theta = 5040.0 / stars[:, :1]
    negative = _log_electron_pressure(stars) + 0.754 * theta + 2.5 * theta.log10()
    return torch.logaddexp(LN_10 * negative, LN_10 * (8.5 - 12.09 * theta)) / LN_10


def _hydrogen_wings(stars: Tensor) -> Tensor:
    """Far wings of the Balmer and Paschen series, τ = C / Δλ^2.5: atoms in level 2 and 3, broadened by electrons."""
    wings = []
    for energy, of_sun in ((10.2, 1.75), (12.09, 0.02)):
        log = [_log_electron_pressure(one) - _log_opacity(one) - energy * 5040.0 / one[:, :1] for one in (stars, SUN)]
        wings.append(of_sun * 10.0 ** ((log[0] - log[1]) * torch.where(log[0] < log[1], *HYDROGEN_SLOPES)))
    return torch.cat(wings, dim=1)


def _band_depths(stars: Tensor) -> Tensor:
    """Optical depth at the heads of molecular bands: (n, kind)."""
    at, rise, upto, *slopes = floats([band["strength"] for band in TABLES["bands"].values()]).T
    _, log_g, feh, alpha = stars.split(1, dim=1)
    warm = at + rise * (torch.minimum(5040.0 / stars[:, :1], upto) - 1.2)
    return 10.0 ** (warm + slopes[0] * feh + slopes[1] * alpha + slopes[2] * (log_g - 2.5))


@lru_cache(maxsize=1)
def _tiles() -> list[tuple[slice, Tensor, Tensor, Tensor]]:
    """512 pixels each: the named lines in reach; profiles (row, pixel) of cores, wings, bands, weak lines; hydrogen."""
    rng, tiles = np.random.default_rng(4383), []
    bands = [sum(band_profile(*head, rng=rng) for head in kind["heads"]) for kind in TABLES["bands"].values()]
    broad = np.stack([*bands, *(_weak_lines(share=float(share), rng=rng) for share in WEAK[:, 3])])
    hydrogen = np.stack([_series(lower) for lower in (2, 3)])
    centre, solar = (one[: -len(WEAK), None] for one in (line_list()[0], line_list()[2]))
    for pixels in (slice(first, first + 512) for first in range(0, len(GRID), 512)):
        offset = GRID[pixels] - centre
        lines = np.flatnonzero((np.abs(offset) < np.maximum(15.0, 15.0 * solar)).any(axis=1))
        offset, sigma = offset[lines], centre[lines] * SIGMA_KMS / C_KMS
        cores, wings = np.exp(-0.5 * (offset / sigma) ** 2), 1.0 / (offset**2 + (WING_SOFTNESS * sigma) ** 2)
        profiles = floats(np.concatenate([cores, wings, broad[:, pixels]]))
        tiles.append((pixels, torch.as_tensor(lines), profiles, floats(hydrogen[:, pixels])))
    return tiles


def band_profile(start: float, stop: float, *, rng: Generator) -> np.ndarray:
    """Give a band that fades from its head, with the comb of its rotational lines, 1 on average at the head."""
    along = (GRID - start) / (stop - start)
    comb = _spread(rng.exponential(size=len(GRID))) / _spread(np.ones(len(GRID)))
    edge = 1.0 / (1.0 + np.exp(-np.clip(along * abs(stop - start) / 1.5, -50, 50)))
    return edge * np.exp(-2.0 * np.clip(along, 0.0, None) ** 1.5) * comb


def _weak_lines(*, share: float, rng: Generator) -> np.ndarray:
    """Weak lines at random places, as many per Å as the table has between its ends, and ever fewer to the red."""
    start, step = TABLES["weak"]["start_ang"], TABLES["weak"]["step_ang"]
    per_ang = np.array(TABLES["weak"]["per_100_ang"].split(), dtype=float) / 100.0
    end, place = start + step * len(per_ang), np.clip(((GRID - start) // step).astype(int), 0, len(per_ang) - 1)
    comb = rng.exponential(size=len(GRID))
    comb /= (np.bincount(place, comb) / np.maximum(np.bincount(place), 1))[place]
    number = np.where(GRID < end, per_ang[place], per_ang[-100:].mean() * (end / GRID) ** 4)
    return _spread(share * number * GRID * PIXEL_KMS / C_KMS * comb)


def _spread(amount: np.ndarray) -> np.ndarray:
    """Give every pixel's amount the grid's Gaussian."""
    return np.convolve(amount, np.exp(-0.5 * (np.arange(-6, 7) * PIXEL_KMS / SIGMA_KMS) ** 2), mode="same")


def _series(lower: int) -> np.ndarray:
    """Far wings of a series of hydrogen up to level 24, for C = 1."""
    upper = np.arange(lower + 1, 25)[:, None]
    centre = 911.763 / (1.0 / lower**2 - 1.0 / upper**2)
    size = np.minimum((upper / 4.0) ** 0.6, 1.4 * (7.0 / upper) ** 2)
    return (size * ((GRID - centre) ** 2 + 0.64) ** -1.25).sum(axis=0)


def floats(array: np.ndarray) -> Tensor:
    """Give an array as single-precision numbers."""
    return torch.as_tensor(array, dtype=torch.float32)
