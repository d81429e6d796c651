"""The simulator of Hyper Suprime-Cam surveys, and its knobs."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from astrolab.datasets.manifest import Manifest
from astrolab.errors import ManifestError
from astrolab.settings import Settings

SIMULATOR = "hsc_grizy"
SELECTIONS = {"galaxiesml": "spectroscopic", "transferz": "flux_limited"}
MIN_FWHM_PX = 2.2

NotNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]


class HscTwinKnobs(Settings):
    """Settings of a simulated grizy image survey; defaults are the Wide layer of HSC-SSP PDR2 (Aihara et al. 2019).

    `layout` says whose published columns are written; `selection` which galaxies get in: a mixture of redshift
    programmes (by default where the layout is GalaxiesML's), or everything brighter than `i_limit_mag`, at which the
    survey is half complete. `bands` are speclite's names of filters; the i band selects galaxies. `type_mix` are
    factors on the density of early, early-spiral, late-spiral and starburst galaxies, `dust_scale` one on every
    galaxy's attenuation. `depth_mag` is the 5σ point-source depth and `seeing_arcsec` the median FWHM of a Moffat
    profile of exponent `seeing_beta`, by band; `seeing_scatter` that of ln(FWHM) from stamp to stamp, the same in all
    bands. `gain` is in electrons per unit of flux (20 minutes on the telescope give 3000). Galaxies to
    `neighbour_limit_mag` in i fall on the stamps by chance. The label has a scatter of `label_sigma` (1 + z), and is
    wrong altogether for `label_outlier_frac`. `n_common_per_galaxy` galaxies per galaxy of this survey, but at least
    `n_common_min`, are drawn from `common_seed` and the survey's seed, alike in both twins.
    """

    model_config = ConfigDict(allow_inf_nan=False, validate_default=True)
    asked = "A twin of a Hyper Suprime-Cam survey was to be simulated with these knobs (its manifest's [twin.knobs])."

    layout: Literal["galaxiesml", "transferz"]
    selection: Literal["spectroscopic", "flux_limited"] = Field(
        default_factory=lambda given: SELECTIONS[given.get("layout", "galaxiesml")]
    )
    bands: tuple[str, ...] = ("hsc2017-g", "hsc2017-r2", "hsc2017-i2", "hsc2017-z", "hsc2017-y")
    i_limit_mag: float = 25.3
    z_range: tuple[Positive, Annotated[float, Field(le=4.5)]] = (0.01, 4.0)
    type_mix: tuple[NotNegative, NotNegative, NotNegative, NotNegative] = (1.0, 1.0, 1.0, 1.0)
    dust_scale: NotNegative = 1.0
    depth_mag: tuple[float, ...] = (26.6, 26.2, 26.2, 25.3, 24.5)
    seeing_arcsec: tuple[Positive, ...] = (0.77, 0.76, 0.58, 0.68, 0.68)
    seeing_scatter: NotNegative = 0.10
    seeing_beta: float = Field(2.5, gt=1.5, lt=10)
    pixel_scale_arcsec: Positive = 0.168
    zero_point_mag: float = 27.0
    gain: Positive = 3000.0
    image_size: int = Field(64, ge=16, le=512)
    neighbour_limit_mag: float = 25.5
    label_sigma: NotNegative = 2e-4
    label_outlier_frac: float = Field(0.0, ge=0, lt=1)
    n_common_per_galaxy: NotNegative = 557 / 286_401
    n_common_min: int = Field(8, ge=0)
    common_seed: int = 557

    @model_validator(mode="after")
    def _hang_together(self) -> Self:
        per_band = {"depth_mag": self.depth_mag, "seeing_arcsec": self.seeing_arcsec}
        sharpest_px = min(self.seeing_arcsec, default=0.0) / self.pixel_scale_arcsec
        problems = {
            "bands: speclite's names of filters, one of them i, are wanted": self.letters.count("i") != 1,
            "bands: one band of each letter is wanted": len(set(self.letters)) < len(self.bands),
            "z_range: low < high is wanted": self.z_range[0] >= self.z_range[1],
            "type_mix: not all can be zero": not any(self.type_mix),
            **{f"{name}: one number per band is wanted": len(v) != len(self.bands) for name, v in per_band.items()},
            f"seeing_arcsec: pixels sample no FWHM below {MIN_FWHM_PX} pixels": sharpest_px <= MIN_FWHM_PX,
        }
        if any(problems.values()):
            raise ValueError("; ".join(problem for problem, is_there in problems.items() if is_there))
        return self

    def with_changes(self, **changes: Any) -> HscTwinKnobs:
        """Give the same settings with some changed."""
        return HscTwinKnobs(**(self.model_dump() | changes))

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


def twin_knobs(manifest: Manifest, *, image_size: int | None = None) -> HscTwinKnobs:
    """Give the settings of a manifest's twin, `image_size` instead of the manifest's."""
    simulator = manifest.twin.simulator if manifest.twin else None
    if simulator != SIMULATOR:
        raise ManifestError(
            f"The knobs of {manifest.name!r} were asked for.",
            received=f"a twin made by the simulator {simulator!r}" if simulator else "a manifest without [twin]",
            available=f"twins made by the simulator {SIMULATOR!r}",
            remedy="Ask for such a twin, e.g. twin-galaxiesml.",
        )
    knobs = {"layout": manifest.twin.of, **manifest.twin.knobs}
    return HscTwinKnobs(**(knobs | {"image_size": image_size} if image_size else knobs))
