"""The bridge between spectroscopic surveys: one medium, rest frame, resolution, grid and continuum for all of them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator
from scipy.special import ive

from astrolab.datasets.survey import Survey
from astrolab.errors import AstrolabWarning, SchemaError, require_known
from astrolab.settings import Settings
from astrolab.tasks import InputSpec

LIGHT_KMS, POSSIBLE_KMS = 299_792.458, 3000.0  # stars are slower; -9999 stands for a velocity that is not known
BATCH = 256
SHARPER = 1.02  # a target resolution may exceed that of the survey by rounding, not by more
BEYOND = 1.02  # how far pixels are needed beyond the ends of the grid, for velocities and smoothing
BAD_SHARE, GOOD_SHARE = 0.1, 0.1  # of a new pixel that may be masked; of the pixels that a spectrum must have
BALMER_ANG, BALMER_WIDTH_ANG = (3971.20, 4102.89, 4341.68, 4862.68), 40.0
ORDER, N_ROUNDS, LOWER, UPPER, RUNNING_PX, LOWEST = 5, 10, -2.0, 3.0, 7, 0.05
CLASS_COLUMNS, NOT_STARS = ("class", "CLASS", "SPECTYPE", "RR_SPECTYPE", "OBJTYPE"), ("GALAXY", "QSO", "SKY")
Positive = Annotated[float, Field(gt=0)]


class Bridge(Settings):
    """What is done to the spectra of a survey so that a model of another one can read them; each step can be left out.

    Parameters
    ----------
    vacuum, rest_frame : bool
        Bring air wavelengths to vacuum; shift by the radial velocity, where the survey names one.
    resolution : float or sequence of float, optional
        R = λ / FWHM after smoothing, one number or one a pixel of the grid (`common_resolution`); None smooths nothing.
    flux_conserving : bool
        Average what falls into each new pixel; else interpolate linearly, as SpecCLIP does.
    continuum : ``"polynomial"``, ``"median"`` or None
        What the flux is divided by: an envelope of order 5 over all but the Balmer lines, from ten rounds of clipping
        at -2σ and +3σ, much as in SpecCLIP (noise of 10 % a pixel moves it by 0.3 %, and lines not); or the median.
    log_start, log_step, n_pixels : float, float, int
        The common grid, log10 λ / Å.
    """

    vacuum: bool = True
    rest_frame: bool = True
    resolution: Positive | tuple[Positive, ...] | None = None
    flux_conserving: bool = True
    continuum: Literal["polynomial", "median"] | None = "polynomial"
    log_start: float = 3.602
    log_step: Positive = 1e-4
    n_pixels: Annotated[int, Field(ge=20)] = 1462
    asked: ClassVar[str] = "A bridge between spectroscopic surveys was to be made."

    @model_validator(mode="after")
    def _one_resolution_a_pixel(self) -> Bridge:
        if isinstance(self.resolution, tuple) and len(self.resolution) != self.n_pixels:
            raise ValueError(f"resolution: {len(self.resolution):,} values for {self.n_pixels:,} pixels")
        return self

    @property
    def grid(self) -> np.ndarray:
        """Wavelengths of the common pixels (Å)."""
        return 10.0 ** (self.log_start + self.log_step * np.arange(self.n_pixels))


def common_resolution(surveys: Sequence[Survey], *, grid: Sequence[float] | None = None) -> tuple[float, ...]:
    """Give the lowest resolution R = λ / FWHM of several surveys at each wavelength (Å) of a grid, in vacuum.

    The grid is by default that of `Bridge`. A SchemaError names a survey whose resolution is not known.
    """
    grid = Bridge().grid if grid is None else np.asarray(grid, dtype=float)
    return tuple(np.min([_resolution(survey, grid=grid) for survey in surveys], axis=0).tolist())


def _spec(survey: Survey) -> InputSpec:
    require_known(f"input of {survey.name!r}", name="spectrum", names=survey.specs)
    return survey.specs["spectrum"]


def _resolution(survey: Survey, *, grid: np.ndarray) -> np.ndarray:
    spec = _spec(survey)
    if not spec.resolution:
        remedy = "State resolution in [input.spectrum] of the manifest, or bridge with resolution=None"
        raise _refusal(survey, received="spectra of unknown resolution", remedy=remedy)
    wave = to_vacuum(np.array(spec.grid)) if spec.medium == "air" else spec.grid
    return np.interp(grid, wave, spec.resolution) if len(spec.resolution) > 1 else np.full(len(grid), spec.resolution)


def to_vacuum(wave_ang: np.ndarray) -> np.ndarray:
    """Bring air wavelengths to vacuum: Morton (2000, ApJS 130, 403), inverted as in VALD (Ryabchikova et al. 2015)."""
    s2 = (1e4 / wave_ang) ** 2
    n = 1 + 8.336624212083e-5 + 2.408926869968e-2 / (130.1065924522 - s2) + 1.599740894897e-4 / (38.92568793293 - s2)
    return wave_ang * n


def to_rest(wave_ang: np.ndarray, *, velocity_kms: np.ndarray) -> np.ndarray:
    """Shift observed wavelengths to the rest frame of a radial velocity, by √((1 - β) / (1 + β))."""
    beta = velocity_kms / LIGHT_KMS
    return wave_ang * np.sqrt((1 - beta) / (1 + beta))


def blur_weights(wave_ang: np.ndarray, *, resolution: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Give the kernel (2h + 1, p) from a resolution to a lower one at each pixel: Lindeberg's discrete Gaussian."""
    wanted = np.maximum(target**-2.0 - resolution**-2.0, 0) / (8 * np.log(2))
    variance = (wave_ang / np.gradient(wave_ang)) ** 2 * wanted
    half = int(np.ceil(5 * np.sqrt(variance.max()))) + (variance.max() > 0)
    # exp(-t) I_k(t) (Lindeberg 1990): its variance is t exactly, however few pixels it has
    return ive(np.abs(np.arange(-half, half + 1))[:, None], variance)


def degrade(values: np.ndarray, *, weights: np.ndarray) -> np.ndarray:
    """Sum over neighbouring pixels of spectra (n, p) with weights (2h + 1, p); beyond the ends are the last values."""
    half, n = len(weights) // 2, values.shape[1]
    padded, found = np.pad(values, ((0, 0), (half, half)), mode="edge"), np.zeros_like(values)
    for k, weight in enumerate(weights.astype(values.dtype)):
        found += weight * padded[:, k : k + n]
    return found


def covariances(variance: np.ndarray, *, weights: np.ndarray, n_lags: int) -> list[np.ndarray]:
    """Covariance of each degraded pixel with itself, the next one, …: exact where the first ones are independent."""
    found = [degrade(variance, weights=weights**2)]
    for lag in range(1, min(n_lags, len(weights))):
        later = np.pad(weights, ((lag, 0), (0, lag)))[: len(weights), lag:]
        found.append(degrade(variance, weights=weights * later))
    return found


def _edges(wave: np.ndarray) -> np.ndarray:
    middle = (wave[..., 1:] + wave[..., :-1]) / 2
    first, last = 2 * wave[..., :1] - middle[..., :1], 2 * wave[..., -1:] - middle[..., -1:]
    return np.concatenate([first, middle, last], axis=-1)


class Resampling:
    """Shares of each pixel of a grid (q,), or of one an object (n, q), that come from pixels `at` wavelengths (p,)."""

    def __init__(self, wave_ang: np.ndarray, *, grid_ang: np.ndarray, conserving: bool = True):
        grid_ang, last = np.atleast_2d(grid_ang), len(wave_ang) - 1
        if conserving:
            old, new = _edges(wave_ang), _edges(grid_ang)
            place = np.searchsorted(old, new, side="right") - 1
            n = int(np.diff(place).max()) + 1
            self.at = [np.clip(place[:, :-1] + k, 0, last) for k in range(n)]
            low, high = new[:, :-1], new[:, 1:]
            shares = [(np.minimum(high, old[at + 1]) - np.maximum(low, old[at])) / (high - low) for at in self.at]
            shares = [np.where(place[:, :-1] + k == at, np.maximum(shares[k], 0), 0) for k, at in enumerate(self.at)]
        else:
            place = np.interp(grid_ang, wave_ang, np.arange(last + 1.0), left=np.nan, right=np.nan)
            first = np.clip(np.nan_to_num(place).astype(int), 0, last - 1)
            self.at, shares = [first, first + 1], np.nan_to_num([first + 1 - place, place - first])
        self.covered = np.minimum(sum(shares), 1.0).astype(np.float32)
        self.shares = [(one / np.where(self.covered > 0, self.covered, 1)).astype(np.float32) for one in shares]

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Average spectra (n, p): flux is conserved where all of it is covered."""
        return sum(share * np.take_along_axis(values, at, 1) for share, at in zip(self.shares, self.at, strict=True))

    def variance(self, covariances: Sequence[np.ndarray]) -> np.ndarray:
        """Give the variance of each new pixel, from the covariances of the old ones with those that follow."""
        total = 0.0
        for lag, covariance in enumerate(covariances):
            for k, share in enumerate(self.shares[: len(self.shares) - lag]):
                product = share * self.shares[k + lag] * np.float32(2 if lag else 1)
                total = total + product * np.take_along_axis(covariance, self.at[k], 1)
        return total


def fill(values: np.ndarray, *, is_good: np.ndarray) -> np.ndarray:
    """Interpolate spectra (n, p) over pixels that are not good; a spectrum without any becomes 0."""
    values, pixels = np.where(is_good, values, 0), np.arange(values.shape[1])
    for row in np.flatnonzero(~is_good.all(axis=1) & is_good.any(axis=1)):
        good = is_good[row]
        values[row, ~good] = np.interp(pixels[~good], pixels[good], values[row, good])
    return values


def continuum_of(flux: np.ndarray, *, is_good: np.ndarray, wave_ang: np.ndarray, method: str) -> np.ndarray:
    """Estimate the continuum of filled spectra (n, p) on one grid; see `Bridge` for the methods."""
    if method == "median":
        return np.broadcast_to(np.median(flux, axis=1, keepdims=True), flux.shape)
    smooth = degrade(flux, weights=np.full((RUNNING_PX, len(wave_ang)), 1 / RUNNING_PX))
    basis = np.polynomial.legendre.legvander(np.linspace(-1, 1, len(wave_ang)), ORDER).astype(np.float32)
    products = (basis[:, :, None] * basis[:, None, :]).reshape(len(wave_ang), -1)
    allowed = is_good & (np.abs(wave_ang[:, None] - BALMER_ANG) > BALMER_WIDTH_ANG).all(axis=1)
    middle = np.median(np.abs(smooth), axis=1, keepdims=True)
    kept, level = allowed, (middle := np.where(middle > 0, middle, 1))
    for _ in range(N_ROUNDS):
        weight = kept * (middle / level) ** 2  # relative to the continuum, of which the blue end may have little
        normal = (weight @ products).reshape(-1, ORDER + 1, ORDER + 1) + 1e-6 * np.eye(ORDER + 1)
        found = np.linalg.solve(normal, ((weight * smooth) @ basis)[..., None])[..., 0]
        continuum = found.astype(np.float32) @ basis.T
        level = np.maximum(continuum, LOWEST * middle)
        rest = (smooth - continuum) / level
        sigma = np.sqrt((kept * rest**2).sum(1, keepdims=True) / np.maximum(kept.sum(1, keepdims=True), 1))
        kept = allowed & (rest > LOWER * sigma) & (rest < UPPER * sigma)
    return continuum


def bridge_spectra(survey: Survey, *, bridge: Bridge | Mapping[str, Any]) -> Survey:
    """Bring the spectra of a survey onto the common medium, frame, resolution, grid and continuum.

    A spectrum is interpolated over its masked pixels, smoothed, shifted and resampled at once, and divided by its
    continuum. A new pixel is masked (inverse variance 0, flux interpolated) where more than a tenth of it comes from
    masked ones. Inverse variances are exact where the pixels before were independent; the correlation of those
    afterwards, and the error of the continuum, are not kept. A survey without them gets 1 where there is flux.

    The settings of a model's own bridge are ``network.trained_on.specs["spectrum"].bridge``.

    Returns
    -------
    Survey
        With ``spectrum`` and ``spectrum.ivar`` as float32 (n, n_pixels) in memory, and the settings in its spec; the
        survey itself where it is bridged like this already. Objects without a radial velocity, or with less than a
        tenth of good pixels, are left out; an AstrolabWarning counts them, and NaN, galaxies and quasars. A SchemaError
        says where a medium, a resolution or every velocity is unknown, or wavelengths do not overlap the grid.
    """
    bridge = bridge if isinstance(bridge, Bridge) else Bridge(**bridge)
    spec, n = _spec(survey), len(survey)
    if spec.bridge == bridge.to_dict():
        return survey
    _refuse(survey, bridge=bridge)
    has_velocity = bridge.rest_frame and spec.velocity
    velocity = survey.column(spec.velocity).astype(float) if has_velocity else np.zeros(n)
    is_known = np.abs(velocity) < POSSIBLE_KMS
    stretch, kernels = 1 / to_rest(1.0, velocity_kms=np.where(is_known, velocity, 0)), {}
    flux, ivar = np.zeros((2, n, bridge.n_pixels), dtype=np.float32)
    has_nan = np.zeros(n, dtype=bool)
    for rows in np.array_split(np.arange(n), n // BATCH + 1):
        options = {"bridge": bridge, "stretch": stretch[rows], "kernels": kernels}
        flux[rows], ivar[rows], has_nan[rows] = _on_grid(survey, rows, **options)
    is_good, reach = (ivar > 0).mean(axis=1) >= GOOD_SHARE, f"{bridge.grid[0]:.0f} to {bridge.grid[-1]:.0f} Å"
    found = {f"without a radial velocity in {spec.velocity!r}, left out": ~is_known}
    found[f"with less than {GOOD_SHARE:.0%} of good pixels from {reach}, left out"] = is_known & ~is_good
    found["with NaN or infinite flux, which is masked"] = has_nan
    for name in [name for name in CLASS_COLUMNS if name in survey.catalogue]:
        kinds = np.char.upper(np.char.strip(survey.column(name).astype(str)))
        found |= {f"that are no stars: {name} {kind}": kinds == kind for kind in NOT_STARS}
    said = [f"{marks.sum():,} of {n:,} {survey.objects} {text}" for text, marks in found.items() if marks.any()]
    if not (kept := is_known & is_good).any():
        remedy = "Check grid, ivar and velocity of [input.spectrum] in the manifest, or bridge with rest_frame=False"
        raise _refusal(survey, received="; ".join(said), remedy=remedy)
    if n_never := int((ivar[kept] == 0).all(axis=0).sum()):
        said.append(f"{n_never:,} of {bridge.n_pixels:,} pixels are measured in no spectrum")
    if said:
        texts = "\n  ".join([f"The spectra of {survey.name!r} were bridged:", *said])
        warnings.warn(texts, AstrolabWarning, stacklevel=2)
    rows = slice(None) if kept.all() else kept
    return _bridged(survey.take(rows), flux=flux[rows], ivar=ivar[rows], bridge=bridge)


def _refusal(survey: Survey, *, received: str, remedy: str) -> SchemaError:
    return SchemaError(f"The spectra of {survey.name!r} were to be bridged.", received=received, remedy=f"{remedy}.")


def _refuse(survey: Survey, *, bridge: Bridge) -> None:
    """Say what stands in the way of a bridge before anything is read."""
    spec, state = _spec(survey), "in [input.spectrum] of the manifest"
    (low, high), (start, end) = ((min(grid), max(grid)) for grid in (spec.grid or bridge.grid, bridge.grid))
    has_wave = spec.axes == ("pixel",) and (spec.grid or "wave" in spec.companions)
    apart = f"a grid from {low:.0f} to {high:.0f} Å, which does not overlap {start:.0f} to {end:.0f} Å"
    medium = f'State medium = "vacuum" or "air" {state}, or bridge with vacuum=False'
    for is_wrong, received, remedy in (
        (spec.bridge, "spectra that were bridged with other settings", "Load the survey again, and bridge it once"),
        (not has_wave, "an input without wavelengths", f"State grid, or companions = {{ wave = ... }}, {state}"),
        (bridge.vacuum and not spec.medium, "wavelengths in an unknown medium", medium),
        (low > end or high < start, apart, "Check the unit of the grid (Å), or choose log_start and n_pixels for it"),
    ):
        if is_wrong:
            raise _refusal(survey, received=received, remedy=remedy)


def _on_grid(
    survey: Survey, rows: np.ndarray, *, bridge: Bridge, stretch: np.ndarray, kernels: dict
) -> list[np.ndarray]:
    """Flux, inverse variance, and which objects have NaN; objects with the same wavelengths share a kernel."""
    spec, has_ivar = _spec(survey), "spectrum.ivar" in survey.inputs
    flux = np.asarray(survey.inputs["spectrum"][rows], dtype=np.float32)
    ivar = np.asarray(survey.inputs["spectrum.ivar"][rows]) if has_ivar else np.ones_like(flux)
    waves = np.array([spec.grid]) if spec.grid else np.asarray(survey.inputs["spectrum.wave"][rows])
    found = np.zeros((2, len(rows), bridge.n_pixels), dtype=np.float32)
    different, group = np.unique(waves, axis=0, return_inverse=True)
    for number, wave in enumerate(different):
        mine = np.broadcast_to(group.ravel() == number, len(rows))
        if (key := wave.tobytes()) not in kernels:
            kernels[key] = _kernel(survey, wave=wave.astype(float), bridge=bridge)
        columns, *kernel = kernels[key]
        if columns.stop - columns.start > 1:
            parts = {"flux": flux[mine, columns], "ivar": ivar[mine, columns], "stretch": stretch[mine, None]}
            found[:, mine] = _steps(**parts, kernel=kernel, bridge=bridge)
    return [found[0], found[1] if has_ivar else found[1] > 0, ~np.isfinite(flux).all(axis=1)]


def _kernel(survey: Survey, *, wave: np.ndarray, bridge: Bridge) -> tuple[slice, np.ndarray, np.ndarray]:
    """Which pixels are needed, where they lie, and how they are smoothed."""
    if not (np.diff(wave) > 0).all():
        raise _refusal(survey, received="wavelengths that do not ascend", remedy="Sort the pixels; pad by going on")
    wave = to_vacuum(wave) if bridge.vacuum and _spec(survey).medium == "air" else wave
    columns = slice(*np.searchsorted(wave, bridge.grid[[0, -1]] * [1 / BEYOND, BEYOND]))
    wave = wave[columns]
    if bridge.resolution is None or len(wave) < 2:
        return columns, wave, np.ones((1, len(wave)))
    own = _resolution(survey, grid=wave)
    target = np.interp(wave, bridge.grid, np.broadcast_to(bridge.resolution, bridge.n_pixels))
    if (target > SHARPER * own).any():
        worst = int(np.argmax(target / own))
        received = f"R {own[worst]:.0f} at {wave[worst]:.0f} Å, where R {target[worst]:.0f} is wanted"
        remedy = "Smoothing cannot sharpen: use the lower of both, astrolab.common_resolution([one, other])"
        raise _refusal(survey, received=received, remedy=remedy)
    return columns, wave, blur_weights(wave, resolution=own, target=target)


def _steps(
    flux: np.ndarray, *, ivar: np.ndarray, stretch: np.ndarray, kernel: Sequence[np.ndarray], bridge: Bridge
) -> tuple[np.ndarray, np.ndarray]:
    wave, weights = kernel
    is_good = np.isfinite(flux) & (ivar > 0) & np.isfinite(ivar)
    variance = np.where(is_good, 1 / np.where(is_good, ivar, 1), 0).astype(np.float32)
    to_grid = Resampling(wave, grid_ang=bridge.grid * stretch, conserving=bridge.flux_conserving)
    new = to_grid.apply(degrade(fill(flux, is_good=is_good), weights=weights))
    variance = to_grid.variance(covariances(variance, weights=weights, n_lags=len(to_grid.shares)))
    bad = to_grid.apply(degrade((~is_good).astype(np.float32), weights=weights))
    is_good = (1 - to_grid.covered * (1 - bad) <= BAD_SHARE) & (variance > 0)
    if bridge.continuum:
        new = fill(new, is_good=is_good)
        level = continuum_of(new, is_good=is_good, wave_ang=bridge.grid, method=bridge.continuum)
        is_good &= level > LOWEST * np.median(np.abs(level), axis=1, keepdims=True)
        level = np.where(is_good, level, 1)
        new, variance = new / level, variance / level**2
    return fill(new, is_good=is_good), np.where(is_good, 1 / np.where(is_good, variance, 1), 0)


def _bridged(survey: Survey, *, flux: np.ndarray, ivar: np.ndarray, bridge: Bridge) -> Survey:
    spec, steps = _spec(survey), ["vacuum"] * bridge.vacuum + ["rest frame"] * bridge.rest_frame
    steps += [f"{bridge.continuum or 'no'} continuum"]
    if bridge.resolution is None:
        resolution = _resolution(survey, grid=bridge.grid) if spec.resolution else ()
    else:
        resolution = np.atleast_1d(bridge.resolution)
        steps.append(f"R {resolution.min():.0f} to {resolution.max():.0f}")
    said = {"grid": bridge.grid.tolist(), "resolution": tuple(map(float, resolution)), "companions": ("ivar",)}
    said |= {"medium": "vacuum"} if bridge.vacuum else {}
    said |= {"velocity": ""} if bridge.rest_frame else {}
    said |= {"unit": f"flux / {bridge.continuum}"} if bridge.continuum else {}
    specs = {**survey.specs, "spectrum": replace(spec, **said, bridge=bridge.to_dict())}
    inputs = {name: rows for name, rows in survey.inputs.items() if name.partition(".")[0] != "spectrum"}
    declared = (*survey.provenance.declared, f"spectrum: bridged ({', '.join(steps)})")
    provenance = replace(survey.provenance, declared=declared)
    return replace(
        survey, inputs=inputs | {"spectrum": flux, "spectrum.ivar": ivar}, specs=specs, provenance=provenance
    )
