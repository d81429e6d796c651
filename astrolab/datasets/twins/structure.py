"""Shapes: from galaxies to bulges and discs on the sky, and the neighbours that fall on their stamps."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from astrolab.datasets.twins.knobs import HscTwinKnobs
from astrolab.datasets.twins.photometry import colour_grid
from astrolab.datasets.twins.population import TYPES, Galaxies, counts_per_arcmin2, distance_modulus, draw_galaxies

SIZE_SCATTER = 0.38  # of ln(radius), van der Wel et al. (2014, ApJ 788, 28)
NEIGHBOUR_MARGIN_PX = 6


@dataclass(frozen=True, eq=False)
class Shapes:
    """Bulge+disc galaxies as the telescope's focal plane has them; the arguments of `render.Sources` in numpy."""

    x_px: np.ndarray
    y_px: np.ndarray
    flux: np.ndarray
    radius_px: np.ndarray
    axis_ratio: np.ndarray
    angle_rad: np.ndarray
    bulge_frac: np.ndarray

    def take(self, index: np.ndarray | slice) -> Shapes:
        """Give the galaxies at an index, in its order."""
        return Shapes(*(getattr(self, name)[index] for name in self.__dataclass_fields__))


def draw_shapes(galaxies: Galaxies, *, knobs: HscTwinKnobs, rng: Generator) -> Shapes:
    """Draw sizes, bulge fractions and inclinations for galaxies, by type and luminosity."""
    n = len(galaxies)
    bulge_frac = _bulge_fraction(galaxies, rng=rng)
    size_px = _half_light_radius_px(galaxies, knobs=knobs, rng=rng)
    cosine = rng.random(n)
    place_px = rng.uniform(-0.5, 0.5, (2, n))
    angle_rad = rng.uniform(0.0, np.pi, n)
    seen = {"cosine": cosine, "place_px": place_px, "angle_rad": angle_rad}
    return make_shapes(galaxies, knobs=knobs, bulge_frac=bulge_frac, size_px=size_px, **seen)


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
    field = replace(knobs, selection="flux_limited", i_limit_mag=knobs.neighbour_limit_mag)
    density = float(counts_per_arcmin2(field, i_mag=np.array([knobs.neighbour_limit_mag]))[0])
    counts = rng.poisson(density * area_arcmin2, n_stamps)
    galaxies = draw_galaxies(field, n=int(counts.sum()), rng=rng)
    x_px, y_px = rng.uniform(-half_px, half_px, (2, len(galaxies)))
    shapes = replace(draw_shapes(galaxies, knobs=knobs, rng=rng), x_px=x_px, y_px=y_px)
    return np.repeat(np.arange(n_stamps), counts), shapes


def _bulge_fraction(galaxies: Galaxies, *, rng: Generator) -> np.ndarray:
    mean = np.array([kind.bulge for kind in TYPES])[galaxies.kind]
    brightness = 0.04 * (-20.5 - galaxies.abs_mag)  # luminous galaxies have more of a bulge
    mean = np.clip(mean + mean * brightness, 0.02, 0.9)
    return np.clip(rng.beta(6.0 * mean, 6.0 * (1.0 - mean)), 0.0, 0.95)


def _half_light_radius_px(galaxies: Galaxies, *, knobs: HscTwinKnobs, rng: Generator) -> np.ndarray:
    size, slope, evolution = (
        np.array([getattr(kind, name) for kind in TYPES])[galaxies.kind]
        for name in ("size_kpc", "size_slope", "size_evolution")
    )
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
