"""Galaxies as pixels: batched Fourier synthesis in torch, on a CPU or a GPU.

A centred galaxy looks the same upside down, so its transform is real and its image is two real matrix products,

    I(y, x) = Σ F(ky, kx) cos(ky y + kx x) = Cyᵀ Fe Cx - Syᵀ Fo Sx,

with Fe and Fo the halves of F that are even and odd in kx. They give only the pixels of the stamp however long the
period is, and a sub-pixel position is a phase in Cx and Cy. A galaxy is a bulge (Sérsic n = 4) and a disc (n = 1). The
transform of a disc is closed, (1 + k² h²)^(-3/2), and a bulge a sum of five (after Hogg & Lang 2013, PASP 125, 719).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from scipy.optimize import least_squares
from scipy.special import gamma, kv
from torch import Tensor

from astrolab.datasets.twins.galaxies.population import Columns

MAX_WAVENUMBER = 2.6  # rad/px; pixels cannot tell what lies beyond π, and the seeing leaves little of what is near it
PERIODS = (24, 32, 48, 64, 96, 144, 288, 576, 1152)  # px
LOSS = 0.006  # of a source's light that may fall beyond half a period
FAINT_LOSS = 0.05  # the same of a source that is faint beside what else is on its stamp
N_FINE = 14  # wavenumbers sampled finely before the spacing widens
CHUNK_BYTES = {"cpu": 4 << 20, "cuda": 1 << 29}  # of spectra held at once: the CPU's second cache, a slice of a GPU
N_SEEING_TERMS = 4
DISC_HALF_LIGHT = 1.6783469900166605  # half-light radius of an exponential disc, in scale lengths
# Least-squares fit to the transform of a Sérsic n = 4 profile of half-light radius 1, for 0.001 < k < 200: within
# 0.15 % of the flux at every wavenumber. Scale lengths in half-light radii; the weights sum to 1.
BULGE_SCALES = (0.02714425, 0.13051924, 0.45134292, 1.42520319, 4.79322561)
BULGE_WEIGHTS = (0.03680025, 0.17675429, 0.35844329, 0.33098653, 0.09701564)


@dataclass(frozen=True, eq=False)
class Sources(Columns):
    """Galaxies to be rendered: where they fall on which stamp, and their bulge and disc."""

    stamp: Tensor
    x_px: Tensor
    y_px: Tensor
    flux: Tensor
    radius_px: Tensor
    axis_ratio: Tensor
    angle_rad: Tensor


def render_scene(
    central: Sources, *, neighbours: Sources, n_stamps: int, size: int, fwhm_px: Tensor, beta: float = 2.5
) -> tuple[Tensor, Tensor]:
    """Noiseless image stamps of galaxies alone, and of the same galaxies among their neighbours."""
    canvas = _Canvas(n_stamps=n_stamps, size=size, fwhm_px=fwhm_px, beta=beta)
    canvas.draw(central)
    alone = canvas.images()
    canvas.draw(neighbours, beside=central)
    return alone, canvas.images()


def render_stamps(sources: Sources, *, n_stamps: int, size: int, fwhm_px: Tensor, beta: float = 2.5) -> Tensor:
    """Noiseless image stamps of bulge+disc galaxies seen through the atmosphere."""
    canvas = _Canvas(n_stamps=n_stamps, size=size, fwhm_px=fwhm_px, beta=beta)
    canvas.draw(sources)
    return canvas.images()


class _Canvas:
    """Stamps while galaxies are drawn onto them, held row by row, the bands of a row side by side."""

    def __init__(self, *, n_stamps: int, size: int, fwhm_px: Tensor, beta: float):
        self.n_stamps, self.size, self.fwhm_px, self.beta = n_stamps, size, fwhm_px, beta
        self.n_bands = fwhm_px.shape[1]
        self.rows = fwhm_px.new_zeros((n_stamps * size, self.n_bands * size))

    def draw(self, sources: Sources, *, beside: Sources | None = None) -> None:
        """Add galaxies; what is faint beside those drawn already is drawn less far out."""
        share_of_stamp = _share_of_stamp(sources, beside=beside, n_stamps=self.n_stamps)
        groups = _by_period(sources, share_of_stamp=share_of_stamp, fwhm_px=self.fwhm_px, beta=self.beta)
        for period, group in groups:
            series = _Series(period=period, size=self.size, beta=self.beta, device=self.fwhm_px.device)
            for members in group.split(series.chunk(n_bands=self.n_bands)):
                part = sources.take(members)
                where, light = series.render(part, fwhm_px=self.fwhm_px[part.stamp])
                self.rows.index_add_(0, where, light)

    def images(self) -> Tensor:
        """(n_stamps, band, y, x) image of every stamp as it is now."""
        stamps = self.rows.view(self.n_stamps, self.size, self.n_bands, self.size).permute(0, 2, 1, 3)
        return stamps.clone(memory_format=torch.contiguous_format)


def _by_period(
    sources: Sources, *, share_of_stamp: Tensor, fwhm_px: Tensor, beta: float
) -> Iterator[tuple[int, Tensor]]:
    """Group the sources by the shortest period whose half leaves out a negligible part of their stamp's light."""
    share = sources.flux.sum(1)
    share = share / share.sum(1, keepdim=True).clamp(min=1e-30)
    fwhm = fwhm_px[sources.stamp].amax(1)
    allowed = (LOSS / share_of_stamp).clamp(max=FAINT_LOSS)
    left = torch.ones_like(fwhm, dtype=torch.bool)
    for period in PERIODS:
        fits = _outside(0.5 * period, sources, share, fwhm, beta) < allowed
        group = left & (fits | (period == PERIODS[-1]))
        left &= ~group
        index = torch.nonzero(group).squeeze(1)
        if len(index):
            yield period, index


def _share_of_stamp(sources: Sources, *, beside: Sources | None, n_stamps: int) -> Tensor:
    """(n,) largest fraction, over the bands, of its stamp's light that is a source's own."""
    flux = sources.flux.sum(2)
    total = flux.new_zeros((n_stamps, flux.shape[1])).index_add_(0, sources.stamp, flux)
    if beside is not None:
        total.index_add_(0, beside.stamp, beside.flux.sum(2))
    return (flux / total[sources.stamp].clamp(min=1e-30)).amax(1).clamp(min=1e-6)


def _outside(radius_px: float, sources: Sources, share: Tensor, fwhm: Tensor, beta: float) -> Tensor:
    """Upper limit to the fraction of a source's light beyond a radius."""
    core = 0.5 * fwhm / math.sqrt(2.0 ** (1.0 / beta) - 1.0)
    lost = (1.0 + (radius_px / core) ** 2) ** (1.0 - beta)
    bulge, disc = sources.radius_px.unbind(1)
    scales = [(bulge * scale, weight * share[:, 0]) for scale, weight in zip(BULGE_SCALES, BULGE_WEIGHTS, strict=True)]
    for length, weight in [*scales, (disc / DISC_HALF_LIGHT, share[:, 1])]:
        x = radius_px / length.clamp(min=1e-6)
        lost = lost + weight * (1.0 + x) * torch.exp(-x)
    return lost


class _Series:
    """One Fourier series: its wavenumbers, the pixels, and the synthesis of a chunk of galaxies.

    A galaxy much larger than its stamp needs a long period, that is finely spaced wavenumbers, but only where its
    transform varies quickly: the spacing widens smoothly from 2π/period to what the stamp itself needs.
    """

    def __init__(self, *, period: int, size: int, beta: float, device: torch.device):
        k, spacing = _wavenumbers(period, size=size, device=device)
        self.k, self.size, self.height = k, size, min(period, size)
        fold = torch.where(k > 0, 2.0, 1.0) * spacing / (2.0 * math.pi)  # half the wavenumbers stand for all
        response = (torch.special.sinc(k / (2.0 * math.pi)) * fold)[:, None]
        self.along_x = _Axis(k, response=response, n_pixels=size, period=period)
        self.along_y = _Axis(k, response=response, n_pixels=self.height, period=period)
        self.columns = torch.stack([k * k, torch.ones_like(k), k])
        sigma, weight = seeing_terms(beta)
        self.seeing_sigma2 = torch.tensor(sigma, device=device) ** 2
        self.seeing_weight = torch.tensor(weight, device=device)

    def chunk(self, *, n_bands: int) -> int:
        """Number of galaxies whose spectra are held at once."""
        limit = CHUNK_BYTES["cuda" if self.k.is_cuda else "cpu"]
        return max(1, limit // (4 * 2 * n_bands * len(self.k) ** 2))

    def render(self, sources: Sources, *, fwhm_px: Tensor) -> tuple[Tensor, Tensor]:
        """Light of every source in the rows of its stamp that it reaches."""
        n, n_bands, h = len(sources), fwhm_px.shape[1], len(self.k)
        flux = sources.flux[:, None].expand(n, 2, n_bands, 2).reshape(2 * n, n_bands, 2)
        spectrum = torch.bmm(flux, self._components(sources).view(2 * n, 2, h * h))
        spectrum = spectrum.view(n, 2, n_bands, h, h).mul_(self._seeing(fwhm_px)[:, None])
        waves = self.along_x.waves(sources.x_px).view(2 * n, h, -1)
        half = torch.bmm(spectrum.view(2 * n, n_bands * h, h), waves)
        half = half.view(n, 2, n_bands, h, -1).transpose(2, 3).reshape(n, 2 * h, -1)
        spare = self.size - self.height
        first = (sources.y_px + 0.5 * spare).round().clamp(0, spare)  # of the rows that a source reaches
        waves = self.along_y.waves(sources.y_px + 0.5 * spare - first)
        waves[:, 1].neg_()
        light = torch.bmm(waves.view(n, 2 * h, -1).transpose(1, 2), half)
        rows = (sources.stamp * self.size + first.long())[:, None] + torch.arange(self.height, device=first.device)
        return rows.view(-1), light.view(n * self.height, -1)

    def _components(self, sources: Sources) -> Tensor:
        """Even and odd halves in kx of the transforms of bulge and disc: (n, half, component, ky, kx)."""
        length2 = sources.radius_px**2
        length2 = length2 / length2.new_tensor([1.0, DISC_HALF_LIGHT**2])
        minor2 = length2 * sources.axis_ratio**2
        c2, s2 = torch.cos(2 * sources.angle_rad)[:, None], torch.sin(2 * sources.angle_rad)[:, None]
        mean, half = 0.5 * (length2 + minor2), 0.5 * (length2 - minor2)
        xx, yy, xy2 = (part.T[..., None, None] for part in (mean + half * c2, mean - half * c2, 2.0 * half * s2))
        sign = self.k.new_tensor([1.0, -1.0])[:, None]
        shape = (2, len(sources), 2, len(self.k))  # component, galaxy, sign of kx, ky
        rows = torch.stack([part.expand(shape) for part in (xx, yy * self.k**2, xy2 * sign * self.k)], dim=-1)
        bulge, disc = torch.matmul(rows, self.columns)
        signed = (_exponentials(bulge, BULGE_SCALES, BULGE_WEIGHTS), _exponentials(disc, (1.0,), (1.0,)))
        halves = self.k.new_empty((len(sources), 2, 2, len(self.k), len(self.k)))
        for number, part in enumerate(signed):
            torch.add(part[:, 0], part[:, 1], out=halves[:, 0, number])
            torch.sub(part[:, 0], part[:, 1], out=halves[:, 1, number])
        return halves.mul_(0.5)

    def _seeing(self, fwhm_px: Tensor) -> Tensor:
        """(n, band, ky, kx) transform of the seeing."""
        exponent = fwhm_px[..., None, None] ** 2 * (self.seeing_sigma2 * (-0.5 * self.k**2)[:, None])
        wave = torch.exp_(exponent.clamp_(min=-30.0))  # no denormal numbers: they are slow
        return torch.matmul(wave * self.seeing_weight, wave.transpose(-1, -2))


class _Axis:
    """Pixels along one axis, and the waves of a series on them."""

    def __init__(self, k: Tensor, *, response: Tensor, n_pixels: int, period: int):
        self.k, self.half_period = k, 0.5 * period
        self.pixel = torch.arange(n_pixels, device=k.device) - 0.5 * (n_pixels - 1)
        self.cos = torch.cos(k[:, None] * self.pixel) * response
        self.sin = torch.sin(k[:, None] * self.pixel) * response

    def waves(self, offset_px: Tensor) -> Tensor:
        """Cosine and sine, centred on the galaxies and dark beyond half a period: (n, 2, k, pixel)."""
        angle = offset_px[:, None] * self.k
        c, s = torch.cos(angle)[..., None], torch.sin(angle)[..., None]
        waves = self.k.new_empty((len(angle), 2, *self.cos.shape))
        torch.mul(self.cos, c, out=waves[:, 0]).addcmul_(self.sin, s)
        torch.mul(self.sin, c, out=waves[:, 1]).addcmul_(self.cos, s, value=-1.0)
        if self.half_period < len(self.pixel):
            waves *= ((self.pixel - offset_px[:, None]).abs() <= self.half_period)[:, None, None]
        return waves


def _wavenumbers(period: int, *, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Wavenumbers from 0 to the largest (rad/px), and their spacing: fine near 0, as the stamp needs beyond."""
    near, far = 2.0 * math.pi / period, 2.0 * math.pi / min(period, 1.5 * size)
    step = torch.arange(math.ceil(MAX_WAVENUMBER / far) + N_FINE + 1, device=device, dtype=torch.float64)
    k = far * step - (far - near) * N_FINE * torch.tanh(step / N_FINE)
    spacing = far - (far - near) / torch.cosh(step / N_FINE) ** 2
    used = k < MAX_WAVENUMBER
    return k[used].float(), spacing[used].float()


def _exponentials(q: Tensor, scales: tuple[float, ...], weights: tuple[float, ...]) -> Tensor:
    """Transform of exponential discs, Σ w (1 + s² q)^(-3/2)."""
    total, one = torch.zeros_like(q), q.new_ones(())
    for scale, weight in zip(scales, weights, strict=True):
        root = torch.add(one, q, alpha=scale**2).rsqrt_()
        total.addcmul_(root * root, root, value=weight)
    return total


@lru_cache(maxsize=8)
def seeing_terms(beta: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Moffat seeing of FWHM 1 as a sum of round Gaussians."""
    wavenumber = np.linspace(1e-3, 12.0, 300)
    x = wavenumber * 0.5 / np.sqrt(2.0 ** (1.0 / beta) - 1.0)
    truth = 2.0 / gamma(beta - 1.0) * (x / 2.0) ** (beta - 1.0) * kv(beta - 1.0, x)  # Hankel transform of the profile

    def unpack(parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        weights = np.exp(parameters[N_SEEING_TERMS:])
        return np.exp(parameters[:N_SEEING_TERMS]), weights / weights.sum()

    def residual(parameters: np.ndarray) -> np.ndarray:
        sigmas, weights = unpack(parameters)
        return np.exp(-0.5 * np.outer(wavenumber, sigmas) ** 2) @ weights - truth

    start = np.concatenate([np.linspace(np.log(0.32), np.log(1.8), N_SEEING_TERMS), np.zeros(N_SEEING_TERMS)])
    sigmas, weights = unpack(least_squares(residual, start, bounds=(-6.0, 3.0)).x)
    order = np.argsort(sigmas)
    return tuple(sigmas[order].tolist()), tuple(weights[order].tolist())
