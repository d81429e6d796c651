"""How strong absorption lines are in a star: curves of growth, relative to the Sun.

A line's equivalent width in the Sun gives its optical depth there; abundances, the equations of Saha and Boltzmann and
the continuous opacity change it (Gray 2005, The Observation and Analysis of Stellar Photospheres).
"""

from __future__ import annotations

import tomllib
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from scipy.special import wofz
from torch import Tensor

TABLES = tomllib.loads(Path(__file__).with_name("tables.toml").read_text(encoding="utf-8"))
IONS, WEAK = TABLES["ions"], np.array(TABLES["weak"]["kinds"].split()).reshape(-1, 4)
C_KMS, LN_10 = 299_792.458, float(np.log(10.0))
SUN = torch.tensor([[5772.0, 4.44, 0.0, 0.0]])
LINE_LAYER = 0.85  # temperature where metal lines form, of Teff


def floats(array: np.ndarray) -> Tensor:
    """Give an array as single-precision numbers."""
    return torch.as_tensor(array, dtype=torch.float32)


@lru_cache(maxsize=1)
def line_list() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Wavelength (vacuum Å), excitation (eV), solar width (Å), ion of the named lines, then of weak ones at 5000 Å."""
    named = [np.array(ion["lines"].split(), dtype=float).reshape(-1, 3) for ion in IONS.values()]
    ion = np.repeat(np.arange(len(IONS)), [len(one) for one in named])
    wave, excitation, width = np.concatenate(named).T
    s2 = (1e4 / wave) ** 2
    wave = wave * (1.0 + 8.34254e-5 + 2.406147e-2 / (130 - s2) + 1.5998e-4 / (38.9 - s2))  # Morton 2000, ApJS 130, 403
    weak = np.full(len(WEAK), 5000.0), WEAK[:, 1].astype(float), WEAK[:, 2].astype(float)
    wave, excitation, width = (np.concatenate(pair) for pair in zip((wave, excitation, width), weak, strict=True))
    return wave, excitation, width / 1000.0, np.append(ion, [list(IONS).index(name) for name in WEAK[:, 0]])


@lru_cache(maxsize=1)
def _growth() -> tuple[Tensor, Tensor, Tensor]:
    """log η₀, log a, and log W / Δλ_D (a, η₀) by integration over Voigt profiles; the first row has no damping."""
    log_depth, log_damping = np.linspace(-4.0, 9.0, 131), np.array([-9.0, *np.linspace(-3.5, -0.5, 13)])
    u = np.concatenate([np.linspace(0.0, 8.0, 801), np.geomspace(8.01, 1e6, 1200)])
    voigt = wofz(u + 1j * 10.0 ** log_damping[:, None]).real
    width = [2.0 * np.trapezoid(-np.expm1(-(10.0**depth) * voigt), u) for depth in log_depth]
    return floats(log_depth), floats(log_damping), floats(np.log10(np.stack(width, axis=1)))


def curve_of_growth(log_depth: Tensor, *, log_damping: Tensor) -> Tensor:
    """Give log W / Δλ_D of lines (n, line) by their central optical depth η₀ and a star's damping a (n, 1).

    It rises as √π η₀, then as 2 √(ln η₀), then as 2 π^¼ √(η₀ a).
    """
    log_eta, grid, table = _growth()
    place = ((log_damping - grid[1]) / (grid[2] - grid[1]) + 1.0).clamp(1.0, len(grid) - 1.001)
    of_star = torch.lerp(table[place.long()[:, 0]], table[place.long()[:, 0] + 1], place.frac())
    return _looked_up(of_star, (log_depth - log_eta[0]) / (log_eta[1] - log_eta[0]))


def core_depth(log_width: Tensor) -> Tensor:
    """Give the log central optical depth of a Gaussian line of this log W / Δλ_D: the undamped curve, inverted."""
    grid = np.linspace(-4.0, np.log10(4.0), 400)
    inverse = floats(np.interp(grid, _growth()[2][0], _growth()[0]))
    return _looked_up(inverse.expand(len(log_width), -1), (log_width - grid[0]) / (grid[1] - grid[0]))


def _looked_up(table: Tensor, place: Tensor) -> Tensor:
    """Rows of a table (n, m) at fractional places (n, line), held at its ends."""
    place = place.clamp(0.0, table.shape[1] - 1.001)
    low = place.long()
    return torch.lerp(table.gather(1, low), table.gather(1, low + 1), place.frac())


def strengths(stars: Tensor) -> tuple[Tensor, Tensor]:
    """Equivalent widths (Å) and far wings (Å², τ = wings / Δλ²) of all lines, of Teff, log g, [Fe/H], [α/Fe] (n, 4)."""
    wave, excitation, solar, ion = line_list()
    (doppler, log_damping), (solar_doppler, solar_damping) = line_broadening(stars), line_broadening(SUN)
    growth = curve_of_growth(_growth()[0][None], log_damping=solar_damping)[0]
    solar_depth = floats(np.interp(np.log10(solar / wave / float(solar_doppler)), growth, _growth()[0]))
    change, theta = log_absorbers(stars) - log_absorbers(SUN), (5040.0 / stars[:, :1] - 5040.0 / 5772.0) / LINE_LAYER
    log_depth = solar_depth + change[:, ion] - theta * floats(excitation)
    log_doppler = (floats(wave) * doppler).log10()
    width = 10.0 ** (curve_of_growth(log_depth, log_damping=log_damping) + log_doppler)
    return width, 10.0 ** (log_depth + log_damping + 2.0 * log_doppler) / np.sqrt(np.pi)


def line_broadening(stars: Tensor) -> tuple[Tensor, Tensor]:
    """Doppler widths Δλ_D / λ by heat and turbulence, and log a, by collisions and radiation: (n, 1) each."""
    teff, log_g = stars[:, :1], stars[:, 1:2]
    turbulence = (1.0 + 0.25 * (4.44 - log_g) + 1.5 * ((teff - 6000.0) / 2500.0).clamp(0.0, 1.0)).clamp(0.8, 3.0)
    collisions = 0.028 * 10.0 ** (0.55 * (log_g - 4.44)) * (teff / 5772.0) ** -5.0
    return (turbulence**2 + 1.44 * teff / 5772.0).sqrt() / C_KMS, (collisions + 0.002).log10()


def log_electron_pressure(stars: Tensor) -> Tensor:
    """log Pe (dyn/cm²) where lines form: in cool stars metals give the electrons."""
    teff, log_g, feh, alpha = stars.split(1, dim=1)
    metals = 0.4 * torch.sigmoid((5900.0 - teff) / 300.0) * (feh + 0.5 * alpha)
    return 0.4 + 0.36 * (log_g - 4.44) + 8.0 * (teff / 5772.0).log10() + metals


def log_opacity(stars: Tensor) -> Tensor:
    """Log of the continuous opacity per gram: H⁻, and from about 8,000 K on hydrogen."""
    theta = 5040.0 / stars[:, :1]
    negative = log_electron_pressure(stars) + 0.754 * theta + 2.5 * theta.log10()
    return torch.logaddexp(LN_10 * negative, LN_10 * (8.5 - 12.09 * theta)) / LN_10


def log_absorbers(stars: Tensor) -> Tensor:
    """Log of the atoms in each ion over the continuous opacity: (n, ion)."""
    theta, pressure = 5040.0 / stars[:, :1] / LINE_LAYER, log_electron_pressure(stars)
    energies, alpha = floats([ion["energies"] for ion in IONS.values()]), floats([ion["alpha"] for ion in IONS.values()])
    first, second = (2.5 * (5040.0 / theta).log10() - 0.18 - pressure - theta * one for one in energies.T)  # Saha
    total = torch.logaddexp(torch.zeros_like(first), LN_10 * first).logaddexp(LN_10 * (first + second)) / LN_10
    in_ion = torch.where(torch.tensor([name.endswith("2") for name in IONS]), first, 0.0) - total
    return stars[:, 2:3] + alpha * stars[:, 3:4] + in_ion - log_opacity(stars)
