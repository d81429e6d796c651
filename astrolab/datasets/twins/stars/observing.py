"""What a spectrograph makes of stars: velocity, line-spread function, throughput, air, sky, noise and bad pixels."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from astrolab.datasets.twins.galaxies.simulation import map_on_cores
from astrolab.datasets.twins.stars import StarTwinKnobs
from astrolab.datasets.twins.stars.population import LABELS
from astrolab.datasets.twins.stars.spectra import (
    C_KMS,
    GRID,
    LN_10,
    LOG_STEP,
    PIXEL_KMS,
    SIGMA_KMS,
    TABLES,
    band_profile,
    floats,
    spectrum,
)

# wavelengths (vacuum Å) of the arms, and centre and width (Å) of where they are sensitive
GRIDS = {
    "lamost": (10.0 ** (3.5682 + 1e-4 * np.arange(3860)),),
    "desi": tuple(low + 0.8 * np.arange(n) for low, n in ((3600.0, 2751), (5760.0, 2326), (7520.0, 2881))),
}
SENSITIVE = {"lamost": [[(4900, 620), (7200, 950)]], "desi": [[(4900, 800)], [(6700, 1000)], [(8500, 900)]]}
BANDS = {"u": (3620, 4000), "g": (4000, 5500), "r": (5800, 6800), "i": (6900, 8200), "z": (8200, 9000)}
PIECE = 128  # stars simulated at once, on one core
MASKED = 4  # the bit of a cosmic ray
MAX_SHIFT = 36  # pixels of the fine grid: 620 km/s


class Arm(NamedTuple):
    """One arm of a spectrograph: wavelengths, blocks of its line-spread function, sensitivity, sky, air."""

    wave_ang: Tensor
    response: list[tuple[slice, slice, Tensor]]
    sensitivity: Tensor
    sky: Tensor
    air: Tensor

    def see(self, flux: Tensor) -> Tensor:
        """Give spectra of the fine grid as they arrive: convolved and sampled, (n, pixel)."""
        out = torch.empty(len(flux), len(self.wave_ang))
        for pixels, window, weights in self.response:
            out[:, pixels] = flux[:, window] @ weights
        return out


def observe(stars: Mapping[str, np.ndarray], *, knobs: StarTwinKnobs, seed: int) -> dict[str, np.ndarray]:
    """Observe stars, a core for each piece of them: flux0, ivar0, mask0 of arm 0 (n, pixel), and so on; snr_g (n,)."""

    def one(start: int) -> dict[str, np.ndarray]:
        piece = {name: column[start : start + PIECE] for name, column in stars.items()}
        generator = torch.Generator().manual_seed(zlib.crc32(repr((seed, knobs.layout, start)).encode()))
        return _expose(piece, knobs=knobs, generator=generator)

    pieces = map_on_cores(one, items=range(0, len(stars["snr"]), PIECE), device=torch.device("cpu"))
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def _expose(
    stars: Mapping[str, np.ndarray], *, knobs: StarTwinKnobs, generator: torch.Generator
) -> dict[str, np.ndarray]:
    arms, seen = arms_of(knobs.layout, knobs.resolution), {}
    moved = _moved(spectrum(floats(np.stack([stars[f"true_{name}"] for name in LABELS], axis=1))), rv=stars["true_rv"])
    snr, ebv = floats(stars["snr"])[:, None], floats(stars["true_ebv"])[:, None]
    airmass, level, residual = torch.rand(3, len(snr), 1, generator=generator)
    # DESI: fluxes in 1e-17 erg/s/cm²/Å; LAMOST: counts of no meaning
    level = 28.0 * (snr / 25.0) ** 1.5 if knobs.layout == "desi" else 10.0 * snr * (0.5 + 1.5 * level)
    signals = []
    for arm in arms:
        order = torch.arange(6)[:, None] * torch.arccos(torch.linspace(-1.0, 1.0, len(arm.wave_ang)))
        wiggles = knobs.throughput_error / np.sqrt(3.5) * torch.randn(len(snr), 6, generator=generator) @ order.cos()
        dust = 2.74 * 0.4 * LN_10 * ebv * (arm.wave_ang / 5500.0) ** -1.3
        air = knobs.telluric_frac * (1.0 + 0.6 * airmass) * arm.air
        signals.append(arm.see(moved).mul_(level).mul_((wiggles - dust - air).exp_()))
    background = 12.0 / snr * signals[0].median(dim=1, keepdim=True).values
    scatter = [
        ((flux + background * arm.sky) / arm.sensitivity).sqrt() for flux, arm in zip(signals, arms, strict=True)
    ]
    in_g = (arms[0].wave_ang > BANDS["g"][0]) & (arms[0].wave_ang < BANDS["g"][1])
    scale = (signals[0][:, in_g] / scatter[0][:, in_g]).median(dim=1, keepdim=True).values / snr
    for number, (arm, flux, sigma) in enumerate(zip(arms, signals, scatter, strict=True)):
        sigma *= scale
        for name, (low, high) in BANDS.items():
            if (arm.wave_ang[0] < low + 200) & (arm.wave_ang[-1] > high - 100):
                inside = (arm.wave_ang > low) & (arm.wave_ang < high)
                seen[f"snr_{name}"] = (flux[:, inside] / sigma[:, inside]).median(dim=1).values.numpy()
        flux += knobs.sky_residual * (2.0 * residual - 1.0) * 1.7 * background * (arm.sky - 1.0)
        hit = torch.rand(flux.shape, generator=generator) < knobs.bad_pixel_frac / 3.0
        hit |= hit.roll(1, dims=1) | hit.roll(2, dims=1)
        noise = torch.empty_like(flux).normal_(generator=generator)
        noise[hit] = noise[hit].abs_().mul_(20.0)
        seen |= {f"flux{number}": noise.mul_(sigma).add_(flux).numpy(), f"mask{number}": hit.numpy() * np.int16(MASKED)}
        seen[f"ivar{number}"] = sigma.pow_(-2.0).masked_fill_(hit, 0.0).numpy()
    return seen


def _moved(rest: Tensor, *, rv: np.ndarray) -> Tensor:
    """Doppler-shift spectra on the logarithmic grid, by Lagrange's cubic between pixels; the ends stay at rest."""
    shift = -np.log1p(rv / C_KMS) * C_KMS / PIXEL_KMS
    whole, x = np.floor(shift).astype(int), shift - np.floor(shift)
    weights = [
        x * (x - 1) * (2 - x) / 6,
        (x + 1) * (x - 1) * (x - 2) / 2,
        (x + 1) * x * (2 - x) / 2,
        x * (x * x - 1) / 6,
    ]
    moved, inside = rest.clone(), len(GRID) - 2 * MAX_SHIFT
    for row, start in enumerate((whole + MAX_SHIFT - 1).tolist()):
        out = moved[row, MAX_SHIFT:-MAX_SHIFT].zero_()
        for step, weight in enumerate(weights):
            out.add_(rest[row, start + step : start + step + inside], alpha=float(weight[row]))
    return moved


@lru_cache(maxsize=4)
def arms_of(layout: str, resolution: tuple[tuple[float, float], ...]) -> list[Arm]:
    """Give the arms of a spectrograph, of these resolutions at both ends."""
    lines, rng = np.array(TABLES["air"]["sky"].split(), dtype=float).reshape(-1, 2), np.random.default_rng(7594)
    air = floats(np.exp(-sum(top * band_profile(low, high, rng=rng) for low, high, top in TABLES["air"]["bands"])))
    arms = []
    for wave, ends, humps in zip(GRIDS[layout], resolution, SENSITIVE[layout], strict=True):
        power = np.interp(wave, wave[[0, -1]], ends)
        sensitivity = 0.04 + sum(np.exp(-0.5 * ((wave - at) / by) ** 2) for at, by in humps)
        sky = 1.0 + sum(top * np.exp(-0.5 * ((wave - at) / wave * power * 2.3548) ** 2) for at, top in lines)
        arm = Arm(floats(wave), list(_response(wave, power=power)), floats(sensitivity), floats(sky), air)
        arms.append(arm._replace(air=-arm.see(air[None]).log()[0]))
    return arms


def _response(wave: np.ndarray, *, power: np.ndarray, block: int = 96):
    """What each pixel takes from the fine grid, so that a narrow line gets the wanted width: blocks of a matrix."""
    sigma = np.sqrt((C_KMS / power / 2.3548) ** 2 - SIGMA_KMS**2) / PIXEL_KMS  # pixels of the fine grid
    centre = np.log10(wave / GRID[0]) / LOG_STEP
    for pixels in (slice(first, first + block) for first in range(0, len(wave), block)):
        low, high = (centre - 5 * sigma)[pixels].min(), (centre + 5 * sigma)[pixels].max()
        window = slice(int(low), int(high) + 2)
        weights = np.exp(-0.5 * ((np.arange(len(GRID))[window, None] - centre[pixels]) / sigma[pixels]) ** 2)
        yield pixels, window, floats(weights / weights.sum(axis=0))
