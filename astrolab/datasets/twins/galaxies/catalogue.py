"""A twin's catalogue: ids, places and labels that need no pixels, and what a pipeline measures on the stamps."""

from __future__ import annotations

import math
import zlib
from functools import lru_cache

import numpy as np
import torch
from numpy.random import Generator
from scipy.special import gammaincinv
from torch import Tensor

from astrolab.datasets.twins.galaxies import HscTwinKnobs
from astrolab.datasets.twins.galaxies.population import Galaxies, Shapes

# right ascension and declination ranges (deg): the fields of the Wide layer, and COSMOS
WIDE_FIELDS = (((30.0, 39.0), (-6.0, -2.0)), ((129.0, 141.0), (-1.0, 3.0)), ((177.0, 225.0), (-1.0, 1.0)))
COSMOS_FIELD = ((149.42, 150.82), (1.51, 2.91))
COSMOS_TRACT = 9813
TRACT_BITS, ROW_BITS = 42, 33
ROWS_PER_BLOCK = 1 << 16
BLOCK = 1024  # galaxies of a survey that are drawn from one seed
CELL_BITS = 11
CELLS = 1 << CELL_BITS  # a side: 2.5 arcsec in COSMOS
INNER = 0.39  # of a cell's side: 1.5 arcsec are left free between two galaxies
ODD_FACTOR = 2_862_933_555  # a bijection modulo a power of two
BREAKS_ANG = (1216.0, 4000.0)
N_RINGS = 48
ISOPHOTE_SIGMA = 3.0  # above the sky noise
FAINTEST_SIGMA = 0.2  # fluxes below this many errors are set to it: the published selection keeps positive fluxes only
PETROSIAN = 0.2


def base_columns(
    galaxies: Galaxies, *, shapes: Shapes, knobs: HscTwinKnobs, key: tuple[int, ...], is_common: bool, rng: Generator
) -> dict[str, np.ndarray]:
    """Make ids, positions, true redshifts and labels; `key` is the seed of the block, its number last."""
    n = len(galaxies)
    cell = _cells(n, key=key, is_common=is_common)
    ra, dec, tract = _positions(cell, in_cosmos=is_common or knobs.layout == "transferz", rng=rng)
    label, sigma = _labels(galaxies, knobs=knobs, key=key)
    object_id = _object_ids(n, tract=tract, key=key, is_common=is_common)
    # the place on the coadd to the pixel scale: nothing in the twin depends on it
    x = (np.ceil(ra) - ra) * np.cos(np.radians(dec)) * 3600.0 / knobs.pixel_scale_arcsec
    y = (dec - np.floor(dec)) * 3600.0 / knobs.pixel_scale_arcsec
    columns = {
        "object_id": object_id,
        "ra": ra,
        "dec": dec,
        "skymap_id": tract * 10_000 + 405,
        "true_redshift": galaxies.z,
        "true_bulge_frac": shapes.bulge_frac,
        "true_youth": galaxies.youth,
        "true_dust_av": galaxies.dust_av,
        **dict.fromkeys(("x_coord", "x_coord_x", "x_coord_y"), x),
        **dict.fromkeys(("y_coord", "y_coord_x", "y_coord_y"), y),
    }
    if knobs.layout == "transferz":
        return columns | {"lp_zPDF_CLASSIC": label}
    places = [f"{one_ra:.6f} {one_dec:+.6f}" for one_ra, one_dec in zip(ra, dec, strict=True)]
    return columns | {
        "specz_redshift": label,
        "specz_redshift_err": sigma,
        "specz_mag_i": galaxies.mag[:, knobs.i_band],
        "specz_ra": ra,
        "specz_dec": dec,
        "specz_flag_homogeneous": np.ones(n, dtype=bool),
        "specz_name": np.array([f"TWIN-{number}" for number in object_id], dtype="S32"),
        "coord": np.array(places, dtype="S32"),
    }


def _labels(galaxies: Galaxies, *, knobs: HscTwinKnobs, key: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Redshift labels with their noise: drawn apart, so that both twins see the same common galaxies."""
    rng = np.random.default_rng([*key, zlib.crc32(f"labels of {knobs.layout}".encode())])
    n, (low, high) = len(galaxies), knobs.z_range
    sigma = knobs.label_sigma * (1.0 + galaxies.z) * np.exp(0.2 * rng.normal(size=n))
    label = galaxies.z + sigma * rng.normal(size=n)
    confused = (1.0 + galaxies.z) * BREAKS_ANG[0] / BREAKS_ANG[1] - 1.0
    confused = np.where(confused > low, confused, (1.0 + galaxies.z) * BREAKS_ANG[1] / BREAKS_ANG[0] - 1.0)
    anywhere = rng.uniform(low, high, n)
    wrong = np.where((rng.random(n) < 0.5) & (confused < high), confused, anywhere)
    label = np.where(rng.random(n) < knobs.label_outlier_frac, wrong, label)
    return np.clip(label, low, high), sigma


def _cells(n: int, *, key: tuple[int, ...], is_common: bool) -> np.ndarray:
    """A cell of a grid over the field for each galaxy, in no order, none twice: (n,) int64 below CELLS²."""
    seed = key[1] if is_common else key[0]
    cell = 2 * (key[-1] * BLOCK + np.arange(n, dtype=np.int64)) + is_common
    for factor in (ODD_FACTOR, ODD_FACTOR + 2):
        cell = (cell * factor + zlib.crc32(repr(seed).encode())) % CELLS**2
        cell ^= cell >> CELL_BITS
    return cell


def _positions(cell: np.ndarray, *, in_cosmos: bool, rng: Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Somewhere in the inner part of each cell: surveys deblend no two galaxies within an arcsecond."""
    n = len(cell)
    fields = np.array((COSMOS_FIELD,) if in_cosmos else WIDE_FIELDS)
    area = np.ptp(fields[:, 0], axis=1) * np.ptp(fields[:, 1], axis=1)
    field = rng.choice(len(fields), size=n, p=area / area.sum())
    share = [(row + 0.5 + INNER * (rng.random(n) - 0.5)) / CELLS for row in divmod(cell, CELLS)]
    ra, dec = (fields[field, axis, 0] + np.ptp(fields[field, axis], axis=1) * share[axis] for axis in (0, 1))
    tract = np.full(n, COSMOS_TRACT) if in_cosmos else 8200 + 480 * field + rng.integers(0, 240, n)
    return ra, dec, tract.astype(np.int64)


def _object_ids(n: int, *, tract: np.ndarray, key: tuple[int, ...], is_common: bool) -> np.ndarray:
    """64-bit ids as the HSC pipeline packs them, tract first; another seed gives other ids."""
    row = 2 * (key[-1] * ROWS_PER_BLOCK + np.arange(n, dtype=np.int64)) + is_common  # shared galaxies: odd numbers
    start = 2 * zlib.crc32(repr(key[:-1]).encode())
    return (tract << TRACT_BITS) | ((row * ODD_FACTOR + start) % 2**ROW_BITS)


def measure_fluxes(central: Tensor, *, noise: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Flux relative to the truth, by fitting the galaxy's own profile to its noisy pixels (forced photometry)."""
    template = central.flatten(2)
    power = (template * template).sum(-1).clamp(min=1e-30)
    error = (variance.flatten(2) * template * template).sum(-1).sqrt() / power
    ratio = 1.0 + (noise.flatten(2) * template).sum(-1) / power
    return torch.maximum(ratio, FAINTEST_SIGMA * error), error


def measure_shapes(central: Tensor, *, sky_sigma: Tensor) -> dict[str, Tensor]:
    """Isophotal and aperture measurements of galaxies on their stamps."""
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
        **_growth(central),
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
    # surface brightness of every ring over the mean inside its middle (Petrosian 1976, ApJ 209, L1)
    petrosian = (light / area) / ((inside - 0.5 * light) / (area.cumsum(-1) - 0.5 * area)).clamp(min=1e-30)
    # the Sérsic index of the profile that has this r90/r50; seeing makes it smaller than the galaxy's own
    indices, ratios = (torch.tensor(column, device=light.device, dtype=light.dtype) for column in _concentrations())
    return {
        "half_light_radius": half,
        "petro_rad": _crossing(1.0 - petrosian.cummin(-1).values, middle, 1.0 - PETROSIAN),
        "sersic_index": indices[torch.bucketize(most / half, ratios).clamp(max=len(ratios) - 1)],
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


@lru_cache(maxsize=1)
def _concentrations() -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Sérsic indices, and r90/r50 of each (Graham & Driver 2005, PASA 22, 118, eq. 2)."""
    indices = np.linspace(0.3, 6.0, 58)
    b50, b90 = (gammaincinv(2 * indices, level) for level in (0.5, 0.9))
    return tuple(indices.tolist()), tuple(((b90 / b50) ** indices).tolist())
