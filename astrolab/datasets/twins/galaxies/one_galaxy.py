"""One simulated galaxy with every knob in hand: what a survey would see of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from pydantic import ConfigDict, Field

from astrolab.datasets.twins.galaxies import HscTwinKnobs
from astrolab.datasets.twins.galaxies.catalogue import measure_fluxes
from astrolab.datasets.twins.galaxies.population import TYPES, Galaxies, distance_modulus, make_shapes
from astrolab.datasets.twins.galaxies.render import render_stamps
from astrolab.datasets.twins.galaxies.simulation import as_sources, draw_noise, on_one_thread, sky_noise
from astrolab.datasets.twins.galaxies.spectra import Z_MAX, colour_grid
from astrolab.settings import Settings

KINDS = tuple(kind.name for kind in TYPES)
_ITERATIONS = 4  # of luminosity and colour, which depend on each other weakly


class GalaxySettings(Settings):
    """A galaxy and the night it is observed in.

    Colours and bulge are typical of the `kind` at its luminosity, which follows from `i_mag`. `size_arcsec` is the
    half-light radius of the disc along its major axis; the seeing (FWHM) and the 5σ depth are those of the i band.
    """

    model_config = ConfigDict(allow_inf_nan=False)
    asked = "A galaxy was to be simulated with these settings."

    z: float = Field(0.4, gt=0, lt=Z_MAX)
    kind: Literal[KINDS] = "late spiral"
    i_mag: float = 20.0
    size_arcsec: float = Field(1.0, gt=0, lt=60)
    inclination_deg: float = Field(45.0, ge=0, le=90)
    angle_deg: float = 30.0
    seeing_arcsec: float = Field(0.58, gt=0)
    depth_mag: float = 26.2
    seed: int = 0


@dataclass(frozen=True, eq=False)
class OneGalaxy:
    """A galaxy as a survey sees it: images (band, y, x) and AB magnitudes (band,); `abs_mag` is rest-frame B."""

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
    shapes = make_shapes(
        galaxy,
        knobs=knobs,
        bulge_frac=np.array([TYPES[galaxy.kind[0]].bulge]),
        size_px=np.array([settings.size_arcsec / knobs.pixel_scale_arcsec]),
        cosine=np.cos(np.radians([settings.inclination_deg])),
        place_px=np.zeros((2, 1)),
        angle_rad=np.radians([settings.angle_deg]),
    )
    sources = as_sources(shapes, stamp=np.zeros(1))
    fwhm_px = torch.tensor([knobs.seeing_arcsec]) / knobs.pixel_scale_arcsec
    with on_one_thread():
        alone = render_stamps(sources, n_stamps=1, size=knobs.image_size, fwhm_px=fwhm_px, beta=knobs.seeing_beta)
    sky_sigma, generator = sky_noise(knobs, fwhm_px=fwhm_px), torch.Generator().manual_seed(settings.seed)
    noise, variance = draw_noise(alone, knobs=knobs, sky_sigma=sky_sigma, generator=generator)
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
    """Give a survey the seeing and depth of some settings in i; the other bands keep their relation to it."""
    factor = settings.seeing_arcsec / knobs.seeing_arcsec[knobs.i_band]
    deeper = settings.depth_mag - knobs.depth_mag[knobs.i_band]
    return knobs.with_changes(
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
