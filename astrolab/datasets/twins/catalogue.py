"""The columns of a twin's catalogue that need no pixels: ids, places on the sky, redshifts and their labels."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.random import Generator

from astrolab.datasets.twins.knobs import HscTwinKnobs
from astrolab.datasets.twins.population import Galaxies
from astrolab.datasets.twins.structure import Shapes

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


def base_columns(
    galaxies: Galaxies, *, shapes: Shapes, knobs: HscTwinKnobs, key: tuple[int, ...], is_common: bool, rng: Generator
) -> dict[str, np.ndarray]:
    """Make ids, positions, true redshifts and labels."""
    cell = _cells(len(galaxies), key=key, is_common=is_common)
    ra, dec, tract = _positions(cell, in_cosmos=is_common or knobs.schema == "transferz", rng=rng)
    label, sigma = _labels(galaxies, knobs=knobs, key=key)
    columns = {
        "object_id": _object_ids(len(galaxies), tract=tract, key=key, is_common=is_common),
        "ra": ra,
        "dec": dec,
        "skymap_id": tract * 10_000 + 405,
        "true_redshift": galaxies.z,
        "true_bulge_frac": shapes.bulge_frac,
        "true_youth": galaxies.youth,
        "true_dust_av": galaxies.dust_av,
    }
    columns |= _pixel_positions(ra, dec, scale_arcsec=knobs.pixel_scale_arcsec)
    if knobs.schema == "transferz":
        return columns | {"lp_zPDF_CLASSIC": label}
    i_mag = galaxies.mag[:, knobs.i_band]
    return columns | _spectroscopic(columns, i_mag=i_mag, label=label, sigma=sigma)


def _labels(galaxies: Galaxies, *, knobs: HscTwinKnobs, key: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Redshift labels with their noise: drawn apart, so that both twins see the same common galaxies."""
    rng = np.random.default_rng([*key, zlib.crc32(f"labels of {knobs.schema}".encode())])
    n = len(galaxies)
    sigma = knobs.label_sigma * (1.0 + galaxies.z) * np.exp(0.2 * rng.normal(size=n))
    label = galaxies.z + sigma * rng.normal(size=n)
    low, high = knobs.z_range
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


def _pixel_positions(ra: np.ndarray, dec: np.ndarray, *, scale_arcsec: float) -> dict[str, np.ndarray]:
    """Place on the coadd, to the pixel scale: nothing in the twin depends on it."""
    x = (np.ceil(ra) - ra) * np.cos(np.radians(dec)) * 3600.0 / scale_arcsec
    y = (dec - np.floor(dec)) * 3600.0 / scale_arcsec
    names = ("x_coord", "x_coord_x", "x_coord_y", "y_coord", "y_coord_x", "y_coord_y")
    return {name: (x if name.startswith("x") else y) for name in names}


def _spectroscopic(
    columns: dict[str, np.ndarray], *, i_mag: np.ndarray, label: np.ndarray, sigma: np.ndarray
) -> dict[str, np.ndarray]:
    texts = [f"{ra:.6f} {dec:+.6f}" for ra, dec in zip(columns["ra"], columns["dec"], strict=True)]
    return {
        "specz_redshift": label,
        "specz_redshift_err": sigma,
        "specz_mag_i": i_mag,
        "specz_ra": columns["ra"],
        "specz_dec": columns["dec"],
        "specz_flag_homogeneous": np.ones(len(label), dtype=bool),
        "specz_name": np.array([f"TWIN-{number}" for number in columns["object_id"]], dtype="S32"),
        "coord": np.array(texts, dtype="S32"),
    }
