"""Which stars a survey sees, and what its catalogue says of them."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.random import Generator

from astrolab.datasets.twins.stars import StarTwinKnobs
from astrolab.datasets.twins.stars.spectra import TABLES

GIANTS = np.array(TABLES["giants"]["mixture"].split(), dtype=float).reshape(-1, 15)
LOW, HIGH = np.array([3650.0, -0.3, -2.9, -0.09]), np.array([6200.0, 3.95, 0.5, 0.45])
LABELS = ("teff", "logg", "feh", "alpha_fe")
MISSING = -9999.0
Columns = dict[str, np.ndarray]


def draw_survey(knobs: StarTwinKnobs, *, n: int, seed: int) -> Columns:
    """Draw a survey's stars, those of both twins among them: true labels, ids, places, S/N, and labels with noise."""
    n_common = min(max(round(n * knobs.n_common_per_star), knobs.n_common_min), n // 4)
    key = (seed, zlib.crc32(knobs.layout.encode()))
    both = StarTwinKnobs(layout="lamost", giant_frac=0.3, halo_frac=0.15)
    own = _draw_stars(knobs, n=n - n_common, key=key)
    common = _draw_stars(both, n=max(1024, n_common), key=(knobs.common_seed, seed))
    rng = np.random.default_rng([*key, n])
    order = rng.permutation(n)
    stars = {name: np.concatenate([own[name], common[name][:n_common]])[order] for name in own}
    snr = np.exp(rng.normal(np.log(knobs.snr_median), knobs.snr_scatter, n)).clip(5.0, 500.0)
    is_missing = rng.random(n) < knobs.label_missing_frac
    measured = {}
    for name, sigma in zip((*LABELS, "rv"), knobs.label_sigma, strict=True):
        error = sigma * np.sqrt(1.0 + (20.0 / snr) ** 2)
        absent = is_missing & (name != "rv") | (rng.random(n) < knobs.label_missing_frac * (name == "alpha_fe"))
        measured[name] = np.where(absent, MISSING, stars[f"true_{name}"] + error * rng.normal(size=n))
        measured[f"{name}_err"] = np.where(absent, MISSING, error)
    return stars | {"snr": snr} | measured


def _draw_stars(knobs: StarTwinKnobs, *, n: int, key: tuple[int, ...]) -> Columns:
    """Giants, dwarfs and the halo in the shares of the knobs, over the sky that both surveys see."""
    rng = np.random.default_rng(key)
    shares = np.abs([knobs.giant_frac, 1.0 - knobs.giant_frac - knobs.halo_frac, knobs.halo_frac])
    kind = rng.choice(3, size=n, p=shares)
    labels = np.stack([draw_giants(n, rng=rng), _dwarfs(n, rng=rng), _halo(n, rng=rng)])[kind, np.arange(n)]
    labels[:, 0] = np.clip(labels[:, 0], *knobs.teff_range)
    labels[kind != 2, 2] += knobs.feh_shift
    return {
        "id": (1 << 60) + (zlib.crc32(repr(key).encode()) >> 4 << 31) + np.arange(n),
        "ra": rng.uniform(100.0, 280.0, n),
        "dec": np.degrees(np.arcsin(rng.uniform(-0.08, 0.85, n))),
        "true_rv": np.clip(rng.normal(0.0, np.where(kind == 2, 150.0, 40.0), n), -500.0, 500.0),
        "true_ebv": rng.gamma(1.5, 0.04, n),
        **{f"true_{name}": column for name, column in zip(LABELS, labels.T, strict=True)},
    }


def draw_giants(n: int, *, rng: Generator) -> np.ndarray:
    """Draw Teff, log g, [Fe/H] and [α/Fe] of giants as APOGEE's: (n, 4)."""
    part = GIANTS[rng.choice(len(GIANTS), size=2 * n + 64, p=GIANTS[:, 0] / GIANTS[:, 0].sum())]
    factor = np.zeros((len(part), 4, 4))
    factor[:, *np.tril_indices(4)] = part[:, 5:]
    labels = part[:, 1:5] + np.einsum("nij,nj->ni", factor, rng.normal(size=(len(part), 4)))
    return labels[((labels > LOW) & (labels < HIGH)).all(axis=1)][:n]


def _dwarfs(n: int, *, rng: Generator) -> np.ndarray:
    """Main sequence and turn-off with the giants' chemistry; of each seven one is hot (to 9000 K), young and α-poor."""
    is_hot, chemistry = rng.random(n) < 0.15, draw_giants(n, rng=rng)[:, 2:]
    young = rng.multivariate_normal([-0.05, 0.04], [[0.04, -0.002], [-0.002, 0.0006]], n)
    teff = np.where(is_hot, rng.triangular(6200.0, 6200.0, 9000.0, n), rng.normal(5650.0, 550.0, n))
    main = np.interp(teff, [4000.0, 5000.0, 5800.0, 6500.0, 9000.0], [4.65, 4.55, 4.42, 4.28, 4.10])
    log_g = main - np.where(teff > 5200.0, 0.5 * rng.beta(1.0, 2.5, n), 0.0) + 0.04 * rng.normal(size=n)
    return np.column_stack([teff, log_g, np.where(is_hot[:, None], young, chemistry)])


def _halo(n: int, *, rng: Generator) -> np.ndarray:
    """Giants and the turn-off with [Fe/H] from -0.8 to -3: α-rich, or accreted, where α falls with [Fe/H]."""
    feh, is_giant = -0.8 - 2.2 * rng.beta(1.6, 3.0, n), rng.random(n) < 0.5
    alpha = np.where(rng.random(n) < 0.6, np.interp(feh, [-2.2, -0.8], [0.32, 0.12]), 0.31) + 0.05 * rng.normal(size=n)
    log_g = np.where(is_giant, rng.uniform(0.8, 3.4, n), rng.uniform(3.7, 4.6, n))
    teff = np.interp(log_g, [0.5, 1.5, 2.5, 3.4, 3.7, 4.1, 4.6], [4250, 4650, 5050, 5400, 5900, 6250, 5300])
    return np.column_stack([teff + 100.0 * (-1.5 - feh) + 70.0 * rng.normal(size=n), log_g, feh, alpha])
