"""The simulator of stellar spectra of LAMOST and DESI, and its knobs."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from astrolab.settings import Settings

SIMULATOR = "stellar_spectra"

NotNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class StarTwinKnobs(Settings):
    """Settings of a simulated survey of stellar spectra; defaults are LAMOST's low-resolution survey.

    `layout` says whose files are written. `giant_frac` of the stars are giants with APOGEE's labels, `halo_frac` are of
    the halo, down to [Fe/H] = -3, the others dwarfs; `teff_range` (K) holds for all, `feh_shift` for all but the halo.
    `resolution` is λ / FWHM at both ends of every arm. The signal-to-noise ratio per pixel in g is log-normal:
    `snr_median`, `snr_scatter` (ln). `throughput_error` is the rms of the calibration's wiggles (ln), `telluric_frac`
    how much of the air's absorption is left, `sky_residual` the error of the subtracted sky lines; `bad_pixel_frac` of
    the pixels are masked, with anything in them. `label_sigma` is the noise of Teff (K), log g, [Fe/H], [α/Fe] and
    radial velocity (km/s) at high S/N, √2 times as much at S/N 20; `label_missing_frac` of the labels are -9999.
    `n_common_per_star` stars per star, but at least `n_common_min`, are drawn from `common_seed` and the survey's seed,
    alike in both twins.
    """

    model_config = ConfigDict(allow_inf_nan=False, validate_default=True)
    asked = "A twin of a survey of stellar spectra was to be simulated with these knobs (its manifest's [twin.knobs])."

    layout: Literal["lamost", "desi"]
    giant_frac: Share = 0.45
    halo_frac: Share = 0.05
    feh_shift: float = 0.0
    teff_range: tuple[Annotated[float, Field(ge=3500)], Annotated[float, Field(le=9500)]] = (4000.0, 9000.0)
    resolution: tuple[tuple[Positive, Annotated[float, Field(le=6500)]], ...] = ((1800.0, 1800.0),)
    snr_median: Positive = 40.0
    snr_scatter: NotNegative = 0.7
    throughput_error: NotNegative = 0.10
    telluric_frac: NotNegative = 0.15
    sky_residual: NotNegative = 0.02
    bad_pixel_frac: Annotated[float, Field(ge=0, le=0.5)] = 0.004
    label_sigma: tuple[NotNegative, NotNegative, NotNegative, NotNegative, NotNegative] = (110.0, 0.2, 0.1, 0.06, 4.0)
    label_missing_frac: Share = 0.02
    n_common_per_star: NotNegative = 0.02
    n_common_min: int = Field(8, ge=0)
    common_seed: int = 1718

    @model_validator(mode="after")
    def _hang_together(self) -> Self:
        n_arms = {"lamost": 1, "desi": 3}[self.layout]
        problems = {
            "giant_frac, halo_frac: together at most 1": self.giant_frac + self.halo_frac > 1,
            "teff_range: low < high is wanted": self.teff_range[0] >= self.teff_range[1],
            f"resolution: {n_arms} pairs are wanted": len(self.resolution) != n_arms,
        }
        if any(problems.values()):
            raise ValueError("; ".join(problem for problem, is_there in problems.items() if is_there))
        return self
