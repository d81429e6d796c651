"""What a spectrograph makes of stars: velocity, line-spread function, throughput, air, sky, noise and bad pixels."""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from astrolab.datasets.twins.galaxies.simulation import map_on_cores
from astrolab.datasets.twins.stars import StarTwinKnobs
from astrolab.datasets.twins.stars import spectra as rest
from astrolab.datasets.twins.stars.population import LABELS, Columns

GRIDS = {  # wavelengths of the arms (vacuum Å)
    "lamost": (10.0 ** (3.5682 + 1e-4 * np.arange(3860)),),
    "desi": tuple(low + 0.8 * np.arange(n) for low, n in ((3600.0, 2751), (5760.0, 2326), (7520.0, 2881))),
}
SENSITIVE = {  # centre and width (Å) of where the arms are, and how much
    "lamost": [[(4900, 430, 0.25), (7200, 1000, 1.0)]],
    "desi": [[(4900, 800, 0.7)], [(6700, 1000, 1.0)], [(8500, 900, 1.0)]],
}
BANDS = {"u": (3720, 4000), "g": (4000, 5500), "r": (5800, 6800), "i": (6900, 8200), "z": (8200, 8980)}
PIECE, MAX_SHIFT = 128, 36  # stars simulated at once, on one core; pixels of the fine grid: 620 km/s
MASKED = np.int16(4)  # the bit of a cosmic ray


class Arm(NamedTuple):
    """One arm: wavelengths, line-spread function (blocks of a matrix), sensitivity, sky, optical depth of the air."""

    wave_ang: Tensor
    response: list[tuple[slice, Tensor]]
    sensitivity: Tensor
    sky: Tensor
    air: Tensor

    def see(self, flux: Tensor) -> Tensor:
        """Give spectra of the fine grid convolved and sampled: (n, pixel)."""
        return torch.cat([flux[:, window] @ weights for window, weights in self.response], dim=1)

    def median(self, values: Tensor, *, band: str) -> Tensor:
        """Give the median of values in a band: (n,)."""
        inside = (self.wave_ang > BANDS[band][0]) & (self.wave_ang < BANDS[band][1])
        return values[:, inside].median(dim=1).values


def observe(stars: Columns, *, knobs: StarTwinKnobs, key: tuple[int, ...]) -> Columns:
    """Observe stars, with noise by a key: flux0, ivar0, mask0 of arm 0 (n, pixel), and so on; snr_g (n,)."""

    def one(start: int) -> Columns:
        piece = {name: column[start : start + PIECE] for name, column in stars.items()}
        generator = torch.Generator().manual_seed(zlib.crc32(repr((*key, knobs.layout, start)).encode()))
        return _expose(piece, knobs=knobs, generator=generator)

    pieces = map_on_cores(one, items=range(0, len(stars["snr"]), PIECE), device=torch.device("cpu"))
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def _expose(stars: Columns, *, knobs: StarTwinKnobs, generator: torch.Generator) -> Columns:
    flux = rest.spectrum(rest.floats(np.stack([stars[f"true_{name}"] for name in LABELS], axis=1)))
    moved, arms = moved_by(flux, rv=stars["true_rv"]), arms_of(knobs.layout, resolution=knobs.resolution)
    snr, ebv = (rest.floats(stars[name])[:, None] for name in ("snr", "true_ebv"))
    airmass, level, residual = torch.rand(3, len(snr), 1, generator=generator)
    signals, seen = [], {}
    # DESI: fluxes in 1e-17 erg/s/cm²/Å; LAMOST: counts of no meaning
    level = 28.0 * (snr / 25.0) ** 1.5 if knobs.layout == "desi" else 10.0 * snr * (0.5 + 1.5 * level)
    for arm in arms:
        order = torch.arange(6)[:, None] * torch.arccos(torch.linspace(-1.0, 1.0, len(arm.wave_ang)))
        wiggles = knobs.throughput_error / np.sqrt(3.5) * torch.randn(len(snr), 6, generator=generator) @ order.cos()
        dust = 2.74 * 0.4 * rest.LN_10 * ebv * (arm.wave_ang / 5500.0) ** -1.3
        air = knobs.telluric_frac * (1.0 + 0.6 * airmass) * arm.air
        signals.append(arm.see(moved).mul_(level).mul_((wiggles - dust - air).exp_()))
    background = 12.0 / snr * signals[0].median(dim=1, keepdim=True).values
    scatter = [((one + background * a.sky) / a.sensitivity).sqrt() for one, a in zip(signals, arms, strict=True)]
    scale = arms[0].median(signals[0] / scatter[0], band="g")[:, None] / snr
    for number, (arm, flux, sigma) in enumerate(zip(arms, signals, scatter, strict=True)):
        sigma *= scale
        for name in (one for one, (low, high) in BANDS.items() if arm.wave_ang[0] < low and high < arm.wave_ang[-1]):
            seen[f"snr_{name}"] = arm.median(flux / sigma, band=name).numpy()
        flux += knobs.sky_residual * (3.46 * residual - 1.73) * background * (arm.sky - 1.0)
        hit = torch.rand(flux.shape, generator=generator) < knobs.bad_pixel_frac / 3.0
        hit |= hit.roll(1, dims=1) | hit.roll(2, dims=1)
        noise = torch.empty_like(flux).normal_(generator=generator)
        noise[hit] = noise[hit].abs_().mul_(20.0)
        seen |= {f"flux{number}": noise.mul_(sigma).add_(flux).numpy(), f"mask{number}": hit.numpy() * MASKED}
        seen[f"ivar{number}"] = sigma.pow_(-2.0).masked_fill_(hit, 0.0).numpy()
    return seen


def moved_by(flux: Tensor, *, rv: np.ndarray) -> Tensor:
    """Doppler-shift spectra on the logarithmic grid, by Lagrange's cubic between pixels; the ends stay at rest."""
    shift = -np.log1p(rv / rest.C_KMS) * rest.C_KMS / rest.PIXEL_KMS
    start, x, steps = np.floor(shift).astype(int) + MAX_SHIFT - 1, shift - np.floor(shift), (-1, 0, 1, 2)
    weights = [np.prod([(x - k) / (j - k) for k in steps if k != j], axis=0) for j in steps]
    moved, inside = flux.clone(), flux.shape[1] - 2 * MAX_SHIFT
    for row, first in enumerate(start.tolist()):
        out = moved[row, MAX_SHIFT:-MAX_SHIFT].zero_()
        for step, weight in enumerate(weights):
            out.add_(flux[row, first + step : first + step + inside], alpha=float(weight[row]))
    return moved


@lru_cache(maxsize=4)
def arms_of(layout: str, *, resolution: tuple[tuple[float, float], ...]) -> list[Arm]:
    """Give the arms of a spectrograph, of these resolutions at both ends."""
    lines, rng = np.array(rest.TABLES["air"]["sky"].split(), dtype=float).reshape(-1, 2), np.random.default_rng(7594)
    depth = sum(top * rest.band_profile(ends, rng=rng) for *ends, top in rest.TABLES["air"]["bands"])
    arms, pixel = [], np.arange(len(rest.GRID))[:, None]
    for wave, ends, humps in zip(GRIDS[layout], resolution, SENSITIVE[layout], strict=True):
        power, response = np.interp(wave, wave[[0, -1]], ends), []
        sensitivity = 0.002 + sum(top * np.exp(-0.5 * ((wave - at) / by) ** 2) for at, by, top in humps)
        sky = 1.0 + sum(top * np.exp(-0.5 * ((wave - at) / wave * power * 2.3548) ** 2) for at, top in lines)
        # the Gaussian that widens the grid's own to the wanted one, in pixels of the grid
        sigma = np.sqrt((rest.C_KMS / power / 2.3548) ** 2 - rest.SIGMA_KMS**2) / rest.PIXEL_KMS
        centre = np.log10(wave / rest.GRID[0]) / rest.LOG_STEP
        for block in (slice(first, first + 96) for first in range(0, len(wave), 96)):
            window = slice(int((centre - 5 * sigma)[block].min()), int((centre + 5 * sigma)[block].max()) + 2)
            weights = np.exp(-0.5 * ((pixel[window] - centre[block]) / sigma[block]) ** 2)
            response.append((window, rest.floats(weights / weights.sum(axis=0))))
        arm = Arm(rest.floats(wave), response, *map(rest.floats, (sensitivity, sky, depth)))
        arms.append(arm._replace(air=-arm.see((-arm.air).exp()[None]).log()[0]))
    return arms
