"""Spectra of galaxies, from old and red to young and blue, as one continuous family.

Three stellar populations (old, intermediate, young) are sums of black bodies with the breaks that metal lines and
hydrogen cut into them; a galaxy is a mixture of the three, plus the emission lines that its young stars excite, behind
a screen of dust. No template library is copied: `docs/twins.md` compares the family with published ones.
"""

from __future__ import annotations

import numpy as np

PLANCK_ANG_K = 1.438776877e8  # hc/k_B (Å K)
# rest wavelength (Å), strength relative to Hα in metal-rich (quiet) and metal-poor (starburst) gas before dust;
# Hβ and Hγ by case B recombination (Osterbrock & Ferland 2006), the others after the sequences of Kewley et al. (2006)
LINES = (
    (1215.7, 0.3, 0.8),
    (2798.0, 0.02, 0.02),
    (3728.5, 0.55, 0.95),
    (3869.0, 0.02, 0.15),
    (4340.5, 0.163, 0.163),
    (4861.3, 0.35, 0.35),
    (4958.9, 0.04, 0.45),
    (5006.8, 0.12, 1.35),
    (6562.8, 1.0, 1.0),
    (6583.5, 0.40, 0.07),
    (6724.0, 0.35, 0.20),
    (9069.0, 0.05, 0.12),
    (9531.0, 0.12, 0.30),
)
H_ALPHA_WIDTH_ANG = 420.0  # equivalent width of Hα over the young stars alone
LINE_SIGMA_LN = 6e-4  # 180 km/s


def galaxy_sed(wave_ang: np.ndarray, *, youth: np.ndarray | float, dust_av: np.ndarray | float = 0.0) -> np.ndarray:
    """Rest-frame spectrum of a galaxy by how young its light is."""
    wave_ang = np.asarray(wave_ang, dtype=float)
    youth = np.asarray(youth, dtype=float)[..., None]
    young = 0.80 * np.clip(youth, 0, 1) ** 1.8
    middle = (1.0 - young) * 0.75 * np.sin(0.5 * np.pi * np.clip(youth, 0, 1)) ** 1.2
    old = 1.0 - young - middle
    young_sed = _young(wave_ang)
    stars = old * _old(wave_ang) + middle * _middle(wave_ang) + young * young_sed
    lines = young * np.interp(6562.8, wave_ang, young_sed) * _lines(wave_ang, metal_poor=youth**2)
    return (stars + lines) * calzetti_transmission(wave_ang, av=np.asarray(dust_av, dtype=float)[..., None])


def calzetti_transmission(wave_ang: np.ndarray, *, av: np.ndarray | float) -> np.ndarray:
    """Fraction of light left by starburst dust."""
    inverse_um = 1e4 / np.asarray(wave_ang, dtype=float)
    blue = 2.659 * (-2.156 + 1.509 * inverse_um - 0.198 * inverse_um**2 + 0.011 * inverse_um**3) + 4.05
    red = 2.659 * (-1.857 + 1.040 * inverse_um) + 4.05
    edge = 1.0 / 0.12
    slope = 2.659 * (1.509 - 2 * 0.198 * edge + 3 * 0.011 * edge**2)
    at_edge = 2.659 * (-2.156 + 1.509 * edge - 0.198 * edge**2 + 0.011 * edge**3) + 4.05
    far = at_edge + slope * (inverse_um - edge)
    curve = np.where(inverse_um > edge, far, np.where(inverse_um > 1.0 / 0.63, blue, red))
    return 10.0 ** (-0.4 * np.asarray(av) * np.clip(curve, 0.0, None) / 4.05)


def igm_transmission(wave_ang: np.ndarray, *, z: float) -> np.ndarray:
    """Fraction of a galaxy's light that intergalactic hydrogen lets through."""
    wave_ang = np.asarray(wave_ang, dtype=float)
    depth = np.zeros_like(wave_ang)
    for line, strength in ((1215.67, 0.0036), (1025.72, 1.7e-3), (972.54, 1.2e-3), (949.74, 9.3e-4)):
        depth += np.where(wave_ang < line * (1.0 + z), strength * (wave_ang / line) ** 3.46, 0.0)
    xc, xe = wave_ang / 911.75, 1.0 + z
    continuum = (
        0.25 * xc**3 * (xe**0.46 - xc**0.46)
        + 9.4 * xc**1.5 * (xe**0.18 - xc**0.18)
        - 0.7 * xc**3 * (xc**-1.32 - xe**-1.32)
        - 0.023 * (xe**1.68 - xc**1.68)
    )
    depth += np.where(xc < xe, np.clip(continuum, 0.0, None), 0.0)
    return np.exp(-depth)


def _planck(wave_ang: np.ndarray, temperature_k: float) -> np.ndarray:
    with np.errstate(over="ignore"):
        return wave_ang**-5.0 / np.expm1(PLANCK_ANG_K / (wave_ang * temperature_k))


def _break(wave_ang: np.ndarray, *, at_ang: float, width_ang: float, left: float) -> np.ndarray:
    """Smooth step: `left` far below a wavelength, 1 far above it."""
    return left + (1.0 - left) * 0.5 * (1.0 + np.tanh((wave_ang - at_ang) / width_ang))


def _dip(wave_ang: np.ndarray, *, at_ang: float, sigma_ang: float, depth: float) -> np.ndarray:
    return 1.0 - depth * np.exp(-0.5 * ((wave_ang - at_ang) / sigma_ang) ** 2)


def _normalised(wave_ang: np.ndarray, build) -> np.ndarray:
    return build(wave_ang) / build(np.array([4400.0]))


def _old(wave_ang: np.ndarray) -> np.ndarray:
    """Giants and dwarfs of several Gyr: the 4000 Å break, Mg and TiO bands, hardly any ultraviolet."""

    def build(wave: np.ndarray) -> np.ndarray:
        stars = sum(w * _planck(wave, t) / _planck(np.array([5500.0]), t) for t, w in ((5800.0, 0.5), (4300.0, 0.5)))
        stars = stars * _break(wave, at_ang=4000.0, width_ang=90.0, left=0.62)
        stars = stars * _break(wave, at_ang=3250.0, width_ang=350.0, left=0.62)
        stars = stars * _break(wave, at_ang=2750.0, width_ang=120.0, left=0.5)
        stars = stars * _dip(wave, at_ang=4304.0, sigma_ang=40.0, depth=0.08)
        stars = stars * _dip(wave, at_ang=5175.0, sigma_ang=60.0, depth=0.08)
        stars = stars * _dip(wave, at_ang=7150.0, sigma_ang=90.0, depth=0.03)
        upturn = 0.012 * (wave / 2000.0) ** -1.5 * (wave > 912.0)
        return stars + upturn * (wave < 4000.0)

    return _normalised(wave_ang, build)


def _middle(wave_ang: np.ndarray) -> np.ndarray:
    """A and F stars of about 1 Gyr with their giants: the Balmer break."""

    def build(wave: np.ndarray) -> np.ndarray:
        mixture = ((9000.0, 0.55), (6200.0, 0.25), (4200.0, 0.20))
        stars = sum(w * _planck(wave, t) / _planck(np.array([5500.0]), t) for t, w in mixture)
        stars = stars * _break(wave, at_ang=3750.0, width_ang=130.0, left=0.55)
        return stars * _break(wave, at_ang=1650.0, width_ang=180.0, left=0.10) * (wave > 912.0)

    return _normalised(wave_ang, build)


def _young(wave_ang: np.ndarray) -> np.ndarray:
    """O and B stars with a few red supergiants: the blue slope, the Lyman break."""

    def build(wave: np.ndarray) -> np.ndarray:
        mixture = ((26000.0, 0.72), (10000.0, 0.16), (4000.0, 0.12))
        stars = sum(w * _planck(wave, t) / _planck(np.array([5500.0]), t) for t, w in mixture)
        stars = stars * _break(wave, at_ang=3700.0, width_ang=100.0, left=0.85)
        return stars * _break(wave, at_ang=912.0, width_ang=4.0, left=0.03)

    return _normalised(wave_ang, build)


def _lines(wave_ang: np.ndarray, *, metal_poor: np.ndarray) -> np.ndarray:
    """Emission lines per unit of the young continuum at Hα: (..., n_wave)."""
    total = np.zeros(np.broadcast_shapes(metal_poor.shape, wave_ang.shape))
    for line, rich, poor in LINES:
        shape = np.exp(-0.5 * (np.log(wave_ang / line) / LINE_SIGMA_LN) ** 2) / (
            np.sqrt(2 * np.pi) * LINE_SIGMA_LN * line
        )
        total += (rich + (poor - rich) * metal_poor) * shape
    return H_ALPHA_WIDTH_ANG * total
