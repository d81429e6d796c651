"""One simulated galaxy with every knob in hand: what a survey would see of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch

from astrolab.datasets.twins.knobs import HscTwinKnobs
from astrolab.datasets.twins.measurement import measure_fluxes
from astrolab.datasets.twins.photometry import Z_MAX, colour_grid
from astrolab.datasets.twins.population import TYPES, Galaxies, distance_modulus
from astrolab.datasets.twins.render import Sources, render_stamps
from astrolab.datasets.twins.simulation import sky_noise
from astrolab.datasets.twins.structure import Shapes, make_shapes
from astrolab.datasets.twins.workers import on_one_thread
from astrolab.errors import ConfigError, unknown_name

KINDS = tuple(kind.name for kind in TYPES)
_ITERATIONS = 4  # of luminosity and colour, which depend on each other weakly


@dataclass(frozen=True)
class GalaxySettings:
    """A galaxy and the night it is observed in."""

    z: float = 0.4
    kind: str = "late spiral"
    i_mag: float = 20.0
    size_arcsec: float = 1.0
    inclination_deg: float = 45.0
    angle_deg: float = 30.0
    seeing_arcsec: float = 0.58
    depth_mag: float = 26.2
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise unknown_name("type of galaxy", name=str(self.kind), names=KINDS)
        _require(0.0 < self.z < Z_MAX, "z", self.z, f"above 0, below {Z_MAX}")
        _require(math.isfinite(self.i_mag), "i_mag", self.i_mag, "a finite number")
        _require(0.0 < self.size_arcsec < 60.0, "size_arcsec", self.size_arcsec, "above 0, below 60")
        _require(0.0 <= self.inclination_deg <= 90.0, "inclination_deg", self.inclination_deg, "0 to 90")


def _require(holds: bool, name: str, value: float, rule: str) -> None:
    if not holds:
        raise ConfigError(
            f"A galaxy was to be simulated with {name} = {value!r}.",
            received=repr(value),
            available=rule,
            remedy=f"Choose another {name}.",
        )


@dataclass(frozen=True, eq=False)
class OneGalaxy:
    """A galaxy as a survey sees it."""

    settings: GalaxySettings
    bands: tuple[str, ...]
    image: np.ndarray
    noiseless: np.ndarray
    mag: np.ndarray
    measured_mag: np.ndarray
    measured_mag_error: np.ndarray
    abs_mag: float

    @property
    def inputs(self) -> dict[str, np.ndarray]:
        """What a network may see, raw: ``"image"`` and ``"magnitudes"``."""
        return {"image": self.image, "magnitudes": self.measured_mag}


def simulate_galaxy(knobs: HscTwinKnobs, *, settings: GalaxySettings) -> OneGalaxy:
    """Observe one galaxy, alone on its stamp."""
    knobs = observing(knobs, settings=settings)
    galaxy = _galaxy(knobs, settings=settings)
    shapes = _shapes(knobs, settings=settings, galaxy=galaxy)
    names = ("x_px", "y_px", "flux", "radius_px", "axis_ratio", "angle_rad")
    arrays = [torch.as_tensor(getattr(shapes, name), dtype=torch.float32) for name in names]
    sources = Sources(torch.zeros(1, dtype=torch.int64), *arrays)
    fwhm_px = torch.tensor([knobs.seeing_arcsec]) / knobs.pixel_scale_arcsec
    with on_one_thread():
        alone = render_stamps(sources, n_stamps=1, size=knobs.image_size, fwhm_px=fwhm_px, beta=knobs.seeing_beta)
    variance = alone.clamp(min=0.0) / knobs.gain + sky_noise(knobs, fwhm_px=fwhm_px)[..., None, None] ** 2
    generator = torch.Generator().manual_seed(settings.seed)
    noise = torch.empty_like(alone).normal_(generator=generator) * variance.sqrt()
    ratio, error = (tensor.double().numpy()[0] for tensor in measure_fluxes(alone, noise=noise, variance=variance))
    return OneGalaxy(
        settings=settings,
        bands=knobs.band_names,
        image=(alone + noise)[0].numpy(),
        noiseless=alone[0].numpy(),
        mag=galaxy.mag[0],
        measured_mag=galaxy.mag[0] - 2.5 * np.log10(ratio),
        measured_mag_error=2.5 / math.log(10.0) * error / ratio,
        abs_mag=float(galaxy.abs_mag[0]),
    )


def observing(knobs: HscTwinKnobs, *, settings: GalaxySettings) -> HscTwinKnobs:
    """Give a survey the seeing and depth of some settings in every band."""
    factor = settings.seeing_arcsec / knobs.seeing_arcsec[knobs.i_band]
    deeper = settings.depth_mag - knobs.depth_mag[knobs.i_band]
    return replace(
        knobs,
        seeing_arcsec=tuple(one * factor for one in knobs.seeing_arcsec),
        depth_mag=tuple(one + deeper for one in knobs.depth_mag),
    )


def _galaxy(knobs: HscTwinKnobs, *, settings: GalaxySettings) -> Galaxies:
    """A galaxy typical of its kind, with the i magnitude wanted: its luminosity follows from it."""
    number = KINDS.index(settings.kind)
    kind, z = TYPES[number], np.array([settings.z])
    grid, modulus, abs_mag = colour_grid(knobs.bands), distance_modulus(z), np.array([-20.5])
    for _ in range(_ITERATIONS):
        youth, dust_av = kind.typical_youth(abs_mag), kind.typical_dust(abs_mag) * knobs.dust_scale
        offset = grid(z=z, youth=youth, dust_av=dust_av)
        abs_mag = settings.i_mag - modulus - offset[:, knobs.i_band]
    mag = offset + (modulus + abs_mag)[:, None]
    return Galaxies(np.array([number]), z, abs_mag, youth, dust_av, mag)


def _shapes(knobs: HscTwinKnobs, *, settings: GalaxySettings, galaxy: Galaxies) -> Shapes:
    return make_shapes(
        galaxy,
        knobs=knobs,
        bulge_frac=np.array([TYPES[galaxy.kind[0]].bulge]),
        size_px=np.array([settings.size_arcsec / knobs.pixel_scale_arcsec]),
        cosine=np.cos(np.radians([settings.inclination_deg])),
        place_px=np.zeros((2, 1)),
        angle_rad=np.radians([settings.angle_deg]),
    )
