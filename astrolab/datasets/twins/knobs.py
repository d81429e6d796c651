"""Every physical setting of a Hyper Suprime-Cam twin, as one frozen dataclass."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from astrolab.errors import ConfigError, unknown_name

SCHEMAS = ("galaxiesml", "transferz")
SELECTIONS = ("spectroscopic", "flux_limited")
N_TYPES = 4
MIN_FWHM_PX = 2.2


@dataclass(frozen=True)
class HscTwinKnobs:
    """Settings of a simulated grizy image survey; defaults are the Wide layer of HSC-SSP PDR2."""

    schema: str
    selection: str
    bands: tuple[str, ...] = ("hsc2017-g", "hsc2017-r2", "hsc2017-i2", "hsc2017-z", "hsc2017-y")
    i_limit_mag: float = 25.3
    z_range: tuple[float, float] = (0.01, 4.0)
    type_mix: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)
    dust_scale: float = 1.0
    depth_mag: tuple[float, ...] = (26.6, 26.2, 26.2, 25.3, 24.5)
    seeing_arcsec: tuple[float, ...] = (0.77, 0.76, 0.58, 0.68, 0.68)
    seeing_scatter: float = 0.10
    seeing_beta: float = 2.5
    pixel_scale_arcsec: float = 0.168
    zero_point_mag: float = 27.0
    gain: float = 3000.0
    image_size: int = 64
    neighbour_limit_mag: float = 25.5
    label_sigma: float = 2e-4
    label_outlier_frac: float = 0.0
    n_common_per_galaxy: float = 557 / 286_401
    n_common_min: int = 8
    common_seed: int = 557

    def __post_init__(self) -> None:
        for name in ("bands", "z_range", "type_mix", "depth_mag", "seeing_arcsec"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        _one_of(self.schema, "schema", SCHEMAS)
        _one_of(self.selection, "selection", SELECTIONS)
        _require(self.letters.count("i") == 1, "bands", self.bands, "speclite's names of filters, one of them i")
        _require(len(set(self.letters)) == len(self.bands), "bands", self.bands, "one band of each letter")
        for name in ("depth_mag", "seeing_arcsec"):
            _require(len(getattr(self, name)) == len(self.bands), name, getattr(self, name), "one number per band")
        _require(len(self.type_mix) == N_TYPES, "type_mix", self.type_mix, f"{N_TYPES} factors")
        _require(sum(self.type_mix) > 0 <= min(self.type_mix), "type_mix", self.type_mix, "not negative, not all zero")
        low, high = self.z_range
        _require(0 < low < high <= 4.5, "z_range", self.z_range, "0 < low < high <= 4.5")
        _require(16 <= self.image_size <= 512, "image_size", self.image_size, "16 to 512 pixels")
        _require(1.5 < self.seeing_beta < 10, "seeing_beta", self.seeing_beta, "above 1.5, below 10")
        for name in ("seeing_scatter", "dust_scale", "label_sigma", "n_common_per_galaxy", "n_common_min"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "not negative")
        _require(0 <= self.label_outlier_frac < 1, "label_outlier_frac", self.label_outlier_frac, "in [0, 1)")
        for name in ("pixel_scale_arcsec", "gain"):
            _require(getattr(self, name) > 0, name, getattr(self, name), "positive")
        fwhm_px = min(self.seeing_arcsec) / self.pixel_scale_arcsec
        sampled = f"more than {MIN_FWHM_PX} pixels, so that pixels sample it"
        _require(fwhm_px > MIN_FWHM_PX, "seeing_arcsec", self.seeing_arcsec, sampled)
        numbers = [v for value in asdict(self).values() for v in (value if isinstance(value, tuple) else (value,))]
        finite = all(math.isfinite(v) for v in numbers if not isinstance(v, str))
        _require(finite, "a knob", self, "finite numbers")

    @classmethod
    def from_mapping(cls, knobs: Mapping[str, Any]) -> HscTwinKnobs:
        """Build the settings from a manifest's ``[twin.knobs]``."""
        names = [field.name for field in fields(cls)]
        for name in knobs:
            if name not in names:
                raise unknown_name("twin knob", name=name, names=names)
        missing = [name for name in ("schema", "selection") if name not in knobs]
        _require(not missing, "knobs", dict(knobs), f"a value for {' and '.join(missing)}")
        return cls(**knobs)

    @property
    def letters(self) -> tuple[str, ...]:
        """What the bands are called in the published columns: g, r, i, z, y."""
        return tuple(band.rpartition("-")[2][:1] for band in self.bands)

    @property
    def band_names(self) -> tuple[str, ...]:
        """What the bands are called in manifests: hsc-g, sdss-u."""
        instruments = [band.rpartition("-")[0].rstrip("0123456789") for band in self.bands]
        return tuple(f"{instrument}-{letter}" for instrument, letter in zip(instruments, self.letters, strict=True))

    @property
    def i_band(self) -> int:
        """Which of the bands is i."""
        return self.letters.index("i")

    @property
    def digest(self) -> str:
        """SHA-256 of the settings, for the name of the cache folder."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def _one_of(value: str, name: str, names: tuple[str, ...]) -> None:
    if value not in names:
        raise unknown_name(f"twin {name}", name=str(value), names=names)


def _require(holds: bool, name: str, value: object, rule: str) -> None:
    if not holds:
        raise ConfigError(
            f"A twin survey was to be simulated with {name} = {value!r}.",
            received=repr(value),
            available=rule,
            remedy=f"Correct `{name}` in the manifest's [twin.knobs].",
        )
