"""Which galaxies exist, by evolving luminosity functions of four types, and which of them a survey selects."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.random import Generator
from scipy.special import expit

from astrolab.datasets.twins.galaxies import HscTwinKnobs
from astrolab.datasets.twins.galaxies.spectra import colour_grid

MAGNITUDES = np.arange(-24.5, -11.0, 0.1)  # absolute, rest-frame B (AB, h = 0.7)
N_Z = 400
REFERENCE_MAG = -20.5
MAX_DUST = 2.4
SIZE_SCATTER = 0.38  # of ln(radius), van der Wel et al. (2014, ApJ 788, 28)
NEIGHBOUR_MARGIN_PX = 6


@dataclass(frozen=True)
class GalaxyType:
    """One type of galaxy: its Schechter function in rest-frame B and its range in the SED family."""

    name: str
    m_star: float
    alpha: float
    density: float
    brightening: float
    thinning: float
    youth: float
    youth_slope: float
    youth_scatter: float
    dust_av: float
    bulge: float
    size_kpc: float
    size_slope: float
    size_evolution: float

    def typical_youth(self, abs_mag: np.ndarray) -> np.ndarray:
        """Mean place in the SED family at a luminosity: the colour-magnitude relation of the type."""
        return np.clip(self.youth + self.youth_slope * (abs_mag - REFERENCE_MAG), 0.0, 0.97)

    def typical_dust(self, abs_mag: np.ndarray) -> np.ndarray:
        """Mean attenuation at a luminosity (mag): luminous galaxies are dustier."""
        return self.dust_av * 10.0 ** (-0.12 * (np.clip(abs_mag, -23.0, -14.0) - REFERENCE_MAG))


# Schechter parameters after Zucca et al. (2006, A&A 455, 879), sizes after van der Wel et al. (2014, ApJ 788, 28)
TYPES = (
    GalaxyType("early", -20.3, -0.40, 2.6e-3, 1.15, -1.4, 0.04, 0.01, 0.03, 0.05, 0.65, 3.9, 0.60, -1.20),
    GalaxyType("early spiral", -20.3, -0.85, 3.0e-3, 1.20, -0.8, 0.28, 0.03, 0.07, 0.25, 0.30, 5.5, 0.30, -0.80),
    GalaxyType("late spiral", -20.0, -1.20, 3.6e-3, 1.20, -0.4, 0.49, 0.04, 0.09, 0.32, 0.10, 5.5, 0.28, -0.75),
    GalaxyType("starburst", -19.6, -1.45, 2.2e-3, 1.05, 0.1, 0.72, 0.04, 0.12, 0.25, 0.05, 4.0, 0.28, -0.75),
)


@dataclass(frozen=True)
class Programme:
    """A part of a redshift survey: magnitude and redshift window, weight by type, share of the galaxies."""

    share: float
    i_mag: tuple[float, float]
    z: tuple[float, float]
    types: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)
    softness_mag: float = 0.08
    softness_z: float = 0.02


# the structure of the published GalaxiesML redshifts: SDSS/GAMA main, BOSS/eBOSS red galaxies, PRIMUS/VIPERS/zCOSMOS,
# DEEP2/DEEP3, and the deep small fields (VVDS, VUDS, 3D-HST)
SPECTROSCOPIC = (
    Programme(0.26, (12.0, 18.2), (0.0, 0.5)),
    Programme(0.26, (17.0, 20.6), (0.45, 0.72), types=(1.0, 0.06, 0.0, 0.0)),
    Programme(0.28, (17.5, 21.4), (0.0, 1.3)),
    Programme(0.06, (20.0, 22.2), (0.75, 1.05), softness_z=0.05),
    Programme(0.05, (20.5, 22.7), (1.05, 1.6), softness_z=0.05),
    Programme(0.03, (20.0, 23.8), (1.65, 2.05), softness_z=0.05),
    Programme(0.055, (20.0, 24.3), (2.1, 4.0), softness_z=0.05),
)


class Columns:
    """Arrays or tensors of equal length."""

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))

    def take(self, index: Any) -> Self:
        """Give the rows at an index, in its order."""
        return type(self)(*(getattr(self, field.name)[index] for field in fields(self)))


@dataclass(frozen=True, eq=False)
class Galaxies(Columns):
    """Galaxies as they are: type (index into `TYPES`), redshift, luminosity, colours."""

    kind: np.ndarray
    z: np.ndarray
    abs_mag: np.ndarray
    youth: np.ndarray
    dust_av: np.ndarray
    mag: np.ndarray


def draw_galaxies(knobs: HscTwinKnobs, *, n: int, rng: np.random.Generator) -> Galaxies:
    """Draw the galaxies that a survey selects from the evolving population."""
    everything = (Programme(1.0, (14.0, knobs.i_limit_mag), knobs.z_range),)
    programmes = SPECTROSCOPIC if knobs.selection == "spectroscopic" else everything
    shares = np.array([programme.share for programme in programmes])
    counts = rng.multinomial(n, shares / shares.sum())
    parts = [_draw(knobs, one, n=count, rng=rng) for one, count in zip(programmes, counts, strict=True)]
    together = Galaxies(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Galaxies)))
    return together.take(rng.permutation(n))


def counts_per_arcmin2(knobs: HscTwinKnobs, *, i_mag: np.ndarray) -> np.ndarray:
    """Cumulative number counts of the whole population, galaxies per square arcminute brighter than i."""
    cells = _cells(knobs)
    order = np.argsort(cells.i_mag, axis=None)
    total = np.concatenate([[0.0], np.cumsum(cells.number.ravel()[order])])
    return total[np.searchsorted(cells.i_mag.ravel()[order], i_mag)]


class _Cells(NamedTuple):
    """The population on a grid of (type, z, absolute magnitude)."""

    z_edges: np.ndarray
    number: np.ndarray  # per square arcminute
    i_mag: np.ndarray


@lru_cache(maxsize=8)
def _cells(knobs: HscTwinKnobs) -> _Cells:
    from astropy import units
    from astropy.cosmology import Planck18

    low, high = knobs.z_range
    edges = np.expm1(np.linspace(np.log1p(low), np.log1p(high), N_Z + 1))
    z = 0.5 * (edges[1:] + edges[:-1])
    volume = np.diff(Planck18.comoving_volume(edges).to_value(units.Mpc**3))
    per_arcmin2 = volume / (4 * np.pi * units.sr).to_value(units.arcmin**2)
    mix = np.array(knobs.type_mix)[:, None, None]
    number = mix * per_arcmin2[:, None] * np.stack([_schechter(t, z=z) for t in TYPES])
    grid, modulus = colour_grid(knobs.bands), distance_modulus(z)
    i_mag = np.empty(number.shape)
    for row, t in enumerate(TYPES):
        dust_av = np.minimum(t.typical_dust(MAGNITUDES) * knobs.dust_scale, MAX_DUST)
        offset = grid(z=z[:, None], youth=t.typical_youth(MAGNITUDES), dust_av=dust_av)[..., knobs.i_band]
        i_mag[row] = offset + modulus[:, None] + MAGNITUDES
    return _Cells(edges, number, i_mag)


def distance_modulus(z: np.ndarray) -> np.ndarray:
    """Distance modulus in the Planck 2018 cosmology: (n,) mag."""
    return np.interp(np.log(z), *_modulus_grid())


@lru_cache(maxsize=1)
def _modulus_grid() -> tuple[np.ndarray, np.ndarray]:
    from astropy.cosmology import Planck18

    grid = np.expm1(np.linspace(np.log1p(1e-3), np.log1p(5.0), 600))
    return np.log(grid), Planck18.distmod(grid).value


def _schechter(kind: GalaxyType, *, z: np.ndarray) -> np.ndarray:
    """Number per Mpc³ and magnitude cell (Schechter 1976, ApJ 203, 297): (n_z, n_mag)."""
    m_star = kind.m_star - kind.brightening * np.minimum(z, 1.0) - 0.25 * np.maximum(z - 1.0, 0.0)
    x = 10.0 ** (0.4 * (m_star[:, None] - MAGNITUDES))
    density = kind.density * (1.0 + z[:, None]) ** kind.thinning
    step = MAGNITUDES[1] - MAGNITUDES[0]
    return 0.4 * np.log(10.0) * step * density * x ** (kind.alpha + 1.0) * np.exp(-x)


@lru_cache(maxsize=64)
def _cumulative(knobs: HscTwinKnobs, programme: Programme) -> np.ndarray:
    """Cumulative probability of every cell of the population to be selected by a programme."""
    cells = _cells(knobs)
    z = 0.5 * (cells.z_edges[1:] + cells.z_edges[:-1])
    weight = cells.number * np.array(programme.types)[:, None, None]
    for value, (low, high), softness in (
        (cells.i_mag, programme.i_mag, programme.softness_mag),
        (z[:, None], programme.z, programme.softness_z),
    ):
        weight = weight * expit((value - low) / softness) * expit((high - value) / softness)
    cumulative = np.cumsum(weight)
    return cumulative / cumulative[-1]


def _draw(knobs: HscTwinKnobs, programme: Programme, *, n: int, rng: np.random.Generator) -> Galaxies:
    cells = _cells(knobs)
    cell = np.searchsorted(_cumulative(knobs, programme), rng.random(n), side="right")
    kind, z_cell, mag_cell = np.unravel_index(cell, cells.number.shape)
    width = np.diff(cells.z_edges)
    z = cells.z_edges[z_cell] + width[z_cell] * rng.random(n)
    abs_mag = MAGNITUDES[mag_cell] + (MAGNITUDES[1] - MAGNITUDES[0]) * (rng.random(n) - 0.5)
    mean = np.choose(kind, [t.typical_youth(abs_mag) for t in TYPES])
    dust = np.choose(kind, [t.typical_dust(abs_mag) for t in TYPES]) * knobs.dust_scale
    youth = np.clip(rng.normal(mean, _by_type("youth_scatter", kind)), 0.0, 1.0)
    dust_av = np.minimum(rng.gamma(2.0, dust / 2.0), MAX_DUST)
    offset = colour_grid(knobs.bands)(z=z, youth=youth, dust_av=dust_av)
    mag = offset + (distance_modulus(z) + abs_mag)[:, None]
    return Galaxies(kind, z, abs_mag, youth, dust_av, mag)


@dataclass(frozen=True, eq=False)
class Shapes(Columns):
    """Bulge+disc galaxies on the focal plane: the fields of `render.Sources` in numpy, and the bulge's share of i."""

    x_px: np.ndarray
    y_px: np.ndarray
    flux: np.ndarray
    radius_px: np.ndarray
    axis_ratio: np.ndarray
    angle_rad: np.ndarray
    bulge_frac: np.ndarray


def draw_shapes(galaxies: Galaxies, *, knobs: HscTwinKnobs, rng: Generator) -> Shapes:
    """Draw sizes, bulge fractions and inclinations for galaxies, by type and luminosity."""
    n = len(galaxies)
    return make_shapes(
        galaxies,
        knobs=knobs,
        bulge_frac=_bulge_fraction(galaxies, rng=rng),
        size_px=_half_light_radius_px(galaxies, knobs=knobs, rng=rng),
        cosine=rng.random(n),
        place_px=rng.uniform(-0.5, 0.5, (2, n)),
        angle_rad=rng.uniform(0.0, np.pi, n),
    )


def make_shapes(
    galaxies: Galaxies,
    *,
    knobs: HscTwinKnobs,
    bulge_frac: np.ndarray,
    size_px: np.ndarray,
    cosine: np.ndarray,
    place_px: np.ndarray,
    angle_rad: np.ndarray,
) -> Shapes:
    """Put bulges and discs of given size and inclination on the sky."""
    thickness = np.where(galaxies.kind == 0, 0.55, 0.18)
    disc_ratio = np.sqrt(thickness**2 + (1.0 - thickness**2) * cosine**2)
    bulge_ratio = np.maximum(np.sqrt(0.6**2 + (1.0 - 0.6**2) * cosine**2), disc_ratio)
    bulge_size = np.where(galaxies.kind == 0, 0.8, 0.35) * size_px
    return Shapes(
        x_px=place_px[0],
        y_px=place_px[1],
        flux=_fluxes(galaxies, knobs=knobs, bulge_frac=bulge_frac),
        radius_px=np.stack([bulge_size, size_px], axis=1),
        axis_ratio=np.stack([bulge_ratio, disc_ratio], axis=1),
        angle_rad=angle_rad,
        bulge_frac=bulge_frac,
    )


def draw_neighbours(knobs: HscTwinKnobs, *, n_stamps: int, rng: Generator) -> tuple[np.ndarray, Shapes]:
    """Draw the galaxies that fall on stamps by chance, from the whole population."""
    half_px = 0.5 * knobs.image_size + NEIGHBOUR_MARGIN_PX
    area_arcmin2 = (2.0 * half_px * knobs.pixel_scale_arcsec / 60.0) ** 2
    field = knobs.with_changes(selection="flux_limited", i_limit_mag=knobs.neighbour_limit_mag)
    density = float(counts_per_arcmin2(field, i_mag=np.array([knobs.neighbour_limit_mag]))[0])
    counts = rng.poisson(density * area_arcmin2, n_stamps)
    galaxies = draw_galaxies(field, n=int(counts.sum()), rng=rng)
    x_px, y_px = rng.uniform(-half_px, half_px, (2, len(galaxies)))
    shapes = replace(draw_shapes(galaxies, knobs=knobs, rng=rng), x_px=x_px, y_px=y_px)
    return np.repeat(np.arange(n_stamps), counts), shapes


def _by_type(name: str, kind: np.ndarray) -> np.ndarray:
    return np.array([getattr(one, name) for one in TYPES])[kind]


def _bulge_fraction(galaxies: Galaxies, *, rng: Generator) -> np.ndarray:
    mean = _by_type("bulge", galaxies.kind)
    brightness = 0.04 * (-20.5 - galaxies.abs_mag)  # luminous galaxies have more of a bulge
    mean = np.clip(mean + mean * brightness, 0.02, 0.9)
    return np.clip(rng.beta(6.0 * mean, 6.0 * (1.0 - mean)), 0.0, 0.95)


def _half_light_radius_px(galaxies: Galaxies, *, knobs: HscTwinKnobs, rng: Generator) -> np.ndarray:
    size, slope, evolution = (_by_type(f"size_{name}", galaxies.kind) for name in ("kpc", "slope", "evolution"))
    luminosity = 10.0 ** (-0.4 * (galaxies.abs_mag + 20.5))
    kpc = size * np.maximum(luminosity, 0.02) ** slope * (1.0 + galaxies.z) ** evolution
    kpc = np.maximum(kpc * np.exp(SIZE_SCATTER * rng.normal(size=len(galaxies))), 0.2)
    return kpc / kpc_per_arcsec(galaxies.z) / knobs.pixel_scale_arcsec


def kpc_per_arcsec(z: np.ndarray) -> np.ndarray:
    """Proper length subtended by an arcsecond: (n,) kpc."""
    luminosity_distance_kpc = 10.0 ** (0.2 * distance_modulus(z) - 2.0)
    return luminosity_distance_kpc / (1.0 + z) ** 2 * np.pi / 648_000.0


def _fluxes(galaxies: Galaxies, *, knobs: HscTwinKnobs, bulge_frac: np.ndarray) -> np.ndarray:
    """Bulge and disc fluxes (n, band, 2): the bulge as red as an older, less dusty galaxy at that redshift."""
    total = 10.0 ** (-0.4 * (galaxies.mag - knobs.zero_point_mag))
    grid = colour_grid(knobs.bands)
    older = grid(z=galaxies.z, youth=0.35 * galaxies.youth, dust_av=0.5 * galaxies.dust_av)
    whole = grid(z=galaxies.z, youth=galaxies.youth, dust_av=galaxies.dust_av)
    redder = (older - older[:, [knobs.i_band]]) - (whole - whole[:, [knobs.i_band]])
    share = np.minimum(bulge_frac[:, None] * 10.0 ** (-0.4 * redder), 0.97)
    return total[..., None] * np.stack([share, 1.0 - share], axis=-1)
