"""The bridge between spectroscopic surveys: one medium, rest frame, resolution, grid and continuum for all of them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from astrolab.datasets.survey import Survey
from astrolab.errors import AstrolabWarning, SchemaError, unknown_name
from astrolab.settings import Settings
from astrolab.tasks import InputSpec

LIGHT_KMS = 299_792.458
SIGMA_PER_FWHM = 1 / np.sqrt(8 * np.log(2))
POSSIBLE_KMS = 3000.0  # stars are slower; -9999 stands for a velocity that is not known
SHARPER = 1.02  # a target resolution may exceed that of the survey by rounding, not by more
BATCH = 256
BAD_SHARE = 0.1  # of a new pixel that may come from masked ones
GOOD_SHARE = 0.1  # of the pixels that a spectrum must have
BALMER_ANG, BALMER_WIDTH_ANG = (3971.20, 4102.89, 4341.68, 4862.68), 40.0
ORDER, N_ROUNDS, LOWER, UPPER, RUNNING_PX = 5, 10, 1.5, 3.0, 7
SMOOTH_ANG = 50.0
BEYOND, LOWEST = 1.02, 0.05  # of the ends of the grid, for velocities and smoothing; of the median continuum
Positive = Annotated[float, Field(gt=0)]
Kernel = tuple[slice, np.ndarray, np.ndarray]
CLASS_COLUMNS, NOT_STARS = ("class", "CLASS", "SPECTYPE", "RR_SPECTYPE", "OBJTYPE"), ("GALAXY", "QSO", "SKY")


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
    continuum : ``"polynomial"``, ``"smooth"``, ``"median"`` or None
        What the flux is divided by. An upper envelope, which leaves equivalent widths as they are: order 5 over all but
        the Balmer lines, ten rounds of clipping at -1.5σ and +3σ, after SpecCLIP. The flux smoothed by 50 Å, in which
        noise makes no bias (Ho et al. 2017, ApJ 836, 5). Its median.
    log_start, log_step, n_pixels : float, float, int
        The common grid, log10 λ / Å.

    Examples
    --------
    >>> Bridge(continuum="median").grid[0].round(2)
    np.float64(3999.45)
    """

    vacuum: bool = True
    rest_frame: bool = True
    resolution: Positive | tuple[Positive, ...] | None = None
    flux_conserving: bool = True
    continuum: Literal["polynomial", "smooth", "median"] | None = "polynomial"
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

    def in_words(self) -> str:
        """Say what is done, briefly."""
        ends = dict.fromkeys(f"{r:.0f}" for r in np.atleast_1d(self.resolution or 0.0)[[0, -1]])
        steps = ["vacuum"] * self.vacuum + ["rest frame"] * self.rest_frame
        steps += [f"R {'…'.join(ends)}"] * (self.resolution is not None)
        steps += ["" if self.flux_conserving else "interpolated"] + [f"{self.continuum} continuum"] * bool(
            self.continuum
        )
        return ", ".join(filter(None, steps))


def common_resolution(surveys: Sequence[Survey], *, grid: Sequence[float] | None = None) -> tuple[float, ...]:
    """Give the lowest resolution R = λ / FWHM of several surveys at each wavelength (Å) of a grid, in vacuum.

    The grid is by default that of `Bridge`. A SchemaError names a survey whose resolution is not known.
    """
    grid = Bridge().grid if grid is None else np.asarray(grid, dtype=float)
    return tuple(np.min([_resolution(_spec(survey), grid=grid, of=survey) for survey in surveys], axis=0).tolist())


def _spec(survey: Survey) -> InputSpec:
    if "spectrum" not in survey.specs:
        raise unknown_name(f"input of {survey.name!r}", name="spectrum", names=survey.specs)
    return survey.specs["spectrum"]


def _resolution(spec: InputSpec, *, grid: np.ndarray, of: Survey) -> np.ndarray:
    if not spec.resolution:
        remedy = "State resolution in [input.spectrum] of the manifest, or bridge with resolution=None"
        raise _refusal(of, received="spectra of unknown resolution", remedy=remedy)
    wave = to_vacuum(np.array(spec.grid)) if spec.medium == "air" else spec.grid
    return np.interp(grid, wave, spec.resolution) if len(spec.resolution) > 1 else np.full(len(grid), spec.resolution)


def to_vacuum(wave_ang: np.ndarray) -> np.ndarray:
    """Bring air wavelengths to vacuum: Morton (2000, ApJS 130, 403), inverted as in VALD (Ryabchikova et al. 2015)."""
    s2 = (1e4 / wave_ang) ** 2
    n = 1 + 8.336624212083e-5 + 2.408926869968e-2 / (130.1065924522 - s2) + 1.599740894897e-4 / (38.92568793293 - s2)
    return wave_ang * n


def doppler(velocity_kms: np.ndarray) -> np.ndarray:
    """Give by how much wavelengths are stretched at a radial velocity, √((1 + β) / (1 - β))."""
    beta = np.asarray(velocity_kms) / LIGHT_KMS
    return np.sqrt((1 + beta) / (1 - beta))


def to_rest(wave_ang: np.ndarray, *, velocity_kms: np.ndarray) -> np.ndarray:
    """Shift observed wavelengths (p,) or (n, p) to the rest frames of objects with velocities (n,)."""
    return wave_ang / doppler(velocity_kms)[..., None]


def blur_weights(wave_ang: np.ndarray, *, resolution: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Give the kernel (2h + 1, p) that takes a line-spread function from a resolution to a lower one, at each pixel.

    It is the discrete Gaussian exp(-t) I_k(t) (Lindeberg 1990), whose variance is t exactly however few pixels it has.
    """
    from scipy.special import ive

    variance = (wave_ang * SIGMA_PER_FWHM / np.gradient(wave_ang)) ** 2 * np.maximum(target**-2.0 - resolution**-2.0, 0)
    half = int(np.ceil(5 * np.sqrt(variance.max()))) + (variance.max() > 0)
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
        later = np.pad(weights, ((lag, 0), (0, lag)), mode="edge")[: len(weights), lag:]
        later[:lag] = 0
        found.append(degrade(variance, weights=weights * later))
    return found


def _edges(wave: np.ndarray) -> np.ndarray:
    middle = (wave[..., 1:] + wave[..., :-1]) / 2
    ends = (2 * wave[..., :1] - middle[..., :1], 2 * wave[..., -1:] - middle[..., -1:])
    return np.concatenate([ends[0], middle, ends[1]], axis=-1)


class Resampling:
    """How pixels at wavelengths (p,) make up those of a grid (q,) or of one an object (n, q).

    `shares` are the shares of each new pixel that come from the old ones from `first` on; `covered` is their sum.
    """

    def __init__(self, wave_ang: np.ndarray, *, grid_ang: np.ndarray, conserving: bool = True):
        grid_ang, last = np.atleast_2d(grid_ang), len(wave_ang) - 1
        if conserving:
            old, new = _edges(wave_ang), _edges(grid_ang)
            place = np.searchsorted(old, new, side="right") - 1
            self.first, width = np.clip(place[:, :-1], 0, last), np.diff(new)
            low, high, shares = new[:, :-1], new[:, 1:], []
            for k in range(int((place[:, 1:] - place[:, :-1]).max()) + 1):
                at = np.minimum(self.first + k, last)
                overlap = np.minimum(high, old[at + 1]) - np.maximum(low, old[at])
                shares.append(np.where(self.first + k > last, 0, np.maximum(overlap, 0) / width).astype(np.float32))
        else:
            place = np.interp(grid_ang, wave_ang, np.arange(last + 1.0), left=-1, right=-1)
            self.first = np.clip(place.astype(int), 0, last - 1)
            shares = [np.where(place < 0, 0, share) for share in (1 - place + self.first, place - self.first)]
        self.covered = np.minimum(sum(shares), 1.0)
        self.shares = [share / np.where(self.covered > 0, self.covered, 1) for share in shares]
        self._at = [np.minimum(self.first + k, last) for k in range(len(shares))]

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Average spectra (n, p): flux is conserved where all of it is covered."""
        taken = (share * np.take_along_axis(values, at, 1) for share, at in zip(self.shares, self._at, strict=True))
        return sum(taken).astype(values.dtype)

    def variance(self, covariances: Sequence[np.ndarray]) -> np.ndarray:
        """Give the variance of each new pixel, from the covariances of the old ones with those that follow."""
        total = np.zeros(self.first.shape, dtype=np.float32)
        for lag, covariance in enumerate(covariances):
            for k in range(len(self.shares) - lag):
                product = self.shares[k] * self.shares[k + lag] * (2 if lag else 1)
                total += product * np.take_along_axis(covariance, self._at[k], 1)
        return total


def fill(values: np.ndarray, *, is_good: np.ndarray) -> np.ndarray:
    """Interpolate spectra (n, p) over pixels that are not good; a spectrum without any becomes 0."""
    values, pixels = np.where(is_good, values, 0), np.arange(values.shape[1])
    for row in np.flatnonzero(~is_good.all(axis=1) & is_good.any(axis=1)):
        good = is_good[row]
        values[row, ~good] = np.interp(pixels[~good], pixels[good], values[row, good])
    return values


def continuum_of(flux: np.ndarray, *, is_good: np.ndarray, wave_ang: np.ndarray, method: str) -> np.ndarray:
    """Estimate the continuum of spectra (n, p) on one grid from their good pixels; see `Bridge` for the methods."""
    if method == "median":
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "All-NaN", RuntimeWarning)
            return np.broadcast_to(np.nanmedian(np.where(is_good, flux, np.nan), 1, keepdims=True), flux.shape)
    counted = is_good.astype(np.float32)
    if method == "smooth":
        kernel = np.exp(-0.5 * ((wave_ang[:, None] - wave_ang) / SMOOTH_ANG) ** 2).astype(np.float32)
        return (flux * counted) @ kernel / np.maximum(counted @ kernel, 1e-9)
    running = np.ones((RUNNING_PX, len(wave_ang)))
    smooth = degrade(flux * counted, weights=running) / np.maximum(degrade(counted, weights=running), 1)
    basis = np.polynomial.legendre.legvander(np.linspace(-1, 1, len(wave_ang)), ORDER).astype(np.float32)
    products = (basis[:, :, None] * basis[:, None, :]).reshape(len(wave_ang), -1)
    in_balmer = (np.abs(wave_ang[:, None] - BALMER_ANG) < BALMER_WIDTH_ANG).any(axis=1)
    allowed = is_good & ~in_balmer
    kept, ridge = allowed, 1e-6 * np.eye(ORDER + 1)
    for _ in range(N_ROUNDS):
        weight = kept.astype(np.float32)
        normal = (weight @ products).reshape(-1, ORDER + 1, ORDER + 1) + ridge
        found = np.linalg.solve(normal, ((weight * smooth) @ basis)[..., None])[..., 0]
        continuum = found.astype(np.float32) @ basis.T
        rest = smooth - continuum
        sigma = np.sqrt((weight * rest**2).sum(1, keepdims=True) / np.maximum(weight.sum(1, keepdims=True), 1))
        kept = allowed & (rest > -LOWER * sigma) & (rest < UPPER * sigma)
    return continuum


def bridge_spectra(survey: Survey, *, bridge: Bridge | Mapping[str, Any]) -> Survey:
    """Bring the spectra of a survey onto the common medium, frame, resolution, grid and continuum.

    A spectrum is interpolated over its masked pixels, smoothed, shifted and resampled at once, and divided by its
    continuum. A new pixel is masked (inverse variance 0, flux interpolated) where more than a tenth of it comes from
    masked ones. Inverse variances are exact where the pixels before were independent; the correlation of those
    afterwards, and the error of the continuum, are not kept. A survey without them gets 1 where there is flux.

    Parameters
    ----------
    survey : Survey
        With an input ``spectrum`` (n, pixel), and the companions ``ivar`` and, without a common grid, ``wave``.
    bridge : Bridge or mapping
        Its settings, such as ``network.trained_on.specs["spectrum"].bridge`` of a model.

    Returns
    -------
    Survey
        With ``spectrum`` and ``spectrum.ivar`` as float32 (n, n_pixels) in memory, and the settings in its spec; the
        survey itself where it is bridged like this already. Objects without a radial velocity, or with less than a
        tenth of good pixels, are left out; an AstrolabWarning counts them, and NaN, galaxies and quasars.

    Raises
    ------
    SchemaError
        Where the medium, the resolution or every velocity is unknown, wavelengths do not overlap the grid, or the
        survey was bridged in another way.
    """
    bridge = bridge if isinstance(bridge, Bridge) else Bridge(**bridge)
    spec, n = _spec(survey), len(survey)
    if spec.bridge == bridge.model_dump(mode="json"):
        return survey
    _refuse(survey, spec=spec, bridge=bridge)
    has_velocity = bridge.rest_frame and spec.velocity
    velocity = survey.column(spec.velocity).astype(float) if has_velocity else np.zeros(n)
    is_known = np.abs(velocity) < POSSIBLE_KMS
    stretch, kernels = doppler(np.where(is_known, velocity, 0)), {}
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
    return _bridged(survey.take(kept), flux=flux[kept], ivar=ivar[kept], bridge=bridge)


def _refusal(survey: Survey, *, received: str, remedy: str) -> SchemaError:
    return SchemaError(f"The spectra of {survey.name!r} were to be bridged.", received=received, remedy=f"{remedy}.")


def _refuse(survey: Survey, *, spec: InputSpec, bridge: Bridge) -> None:
    """Say what stands in the way of a bridge before anything is read."""
    ends, its_ends = (np.array(one)[[0, -1]] for one in (spec.grid or bridge.grid, bridge.grid))
    if spec.bridge:
        remedy = "Load the survey again, and bridge it once"
        raise _refusal(survey, received="spectra that were bridged with other settings", remedy=remedy)
    if spec.axes != ("pixel",) or not (spec.grid or "wave" in spec.companions):
        remedy = "State grid, or companions = { wave = ... }, in [input.spectrum] of the manifest"
        raise _refusal(survey, received=f"axes {' '.join(spec.axes)}, without wavelengths", remedy=remedy)
    if bridge.vacuum and not spec.medium:
        remedy = 'State medium = "vacuum" or "air" in [input.spectrum] of the manifest, or bridge with vacuum=False'
        raise _refusal(survey, received="wavelengths in an unknown medium", remedy=remedy)
    if ends[0] > its_ends[1] or ends[1] < its_ends[0]:
        received = "a grid from {:.0f} to {:.0f} Å, which does not overlap {:.0f} to {:.0f} Å".format(*ends, *its_ends)
        remedy = "Check the unit of the grid (Å), or choose log_start, log_step and n_pixels that it covers"
        raise _refusal(survey, received=received, remedy=remedy)


def _on_grid(
    survey: Survey, rows: np.ndarray, *, bridge: Bridge, stretch: np.ndarray, kernels: dict[bytes, Kernel]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Flux, inverse variance, and which objects have NaN; objects with the same wavelengths share a kernel."""
    spec, names = _spec(survey), {name for name in survey.inputs if name.startswith("spectrum.")}
    flux = np.asarray(survey.inputs["spectrum"][rows], dtype=np.float32)
    ivar = np.asarray(survey.inputs["spectrum.ivar"][rows]) if "spectrum.ivar" in names else np.ones_like(flux)
    waves = np.array([spec.grid]) if spec.grid else np.asarray(survey.inputs["spectrum.wave"][rows])
    found = np.zeros((2, len(rows), bridge.n_pixels), dtype=np.float32)
    different, group = np.unique(waves, axis=0, return_inverse=True)
    for number, wave in enumerate(different):
        mine = np.broadcast_to(group.ravel() == number, len(rows))
        if (key := wave.tobytes()) not in kernels:
            kernels[key] = _kernel(survey, wave=wave.astype(float), bridge=bridge)
        columns, own_wave, weights = kernels[key]
        if len(own_wave) > 1:
            options = {"wave_ang": own_wave, "weights": weights, "stretch": stretch[mine], "bridge": bridge}
            found[:, mine] = _steps(flux[mine, columns], ivar=ivar[mine, columns], **options)
    return found[0], found[1] if "spectrum.ivar" in names else found[1] > 0, ~np.isfinite(flux).all(axis=1)


def _kernel(survey: Survey, *, wave: np.ndarray, bridge: Bridge) -> Kernel:
    """Which pixels are needed, where they lie, and how they are smoothed."""
    spec = _spec(survey)
    if not (np.diff(wave) > 0).all():
        raise _refusal(survey, received="wavelengths that do not ascend", remedy="Sort the pixels; pad by going on")
    wave = to_vacuum(wave) if bridge.vacuum and spec.medium == "air" else wave
    columns = slice(*np.searchsorted(wave, bridge.grid[[0, -1]] * [1 / BEYOND, BEYOND]))
    wave = wave[columns]
    if bridge.resolution is None or len(wave) < 2:
        return columns, wave, np.ones((1, len(wave)))
    own = _resolution(spec, grid=wave, of=survey)
    target = np.interp(wave, bridge.grid, np.broadcast_to(bridge.resolution, bridge.n_pixels))
    if (target > SHARPER * own).any():
        worst = int(np.argmax(target / own))
        received = f"R {own[worst]:.0f} at {wave[worst]:.0f} Å, where R {target[worst]:.0f} is wanted"
        remedy = "Smoothing cannot sharpen: use the lower of both, astrolab.common_resolution([one, other])"
        raise _refusal(survey, received=received, remedy=remedy)
    return columns, wave, blur_weights(wave, resolution=own, target=target)


def _steps(
    flux: np.ndarray,
    *,
    ivar: np.ndarray,
    wave_ang: np.ndarray,
    weights: np.ndarray,
    stretch: np.ndarray,
    bridge: Bridge,
) -> tuple[np.ndarray, np.ndarray]:
    is_good = np.isfinite(flux) & (ivar > 0) & np.isfinite(ivar)
    variance = np.where(is_good, 1 / np.where(is_good, ivar, 1), 0).astype(np.float32)
    to_grid = Resampling(wave_ang, grid_ang=bridge.grid * stretch[:, None], conserving=bridge.flux_conserving)
    new = to_grid.apply(degrade(fill(flux, is_good=is_good), weights=weights))
    variance = to_grid.variance(covariances(variance, weights=weights, n_lags=len(to_grid.shares)))
    is_bad = (~is_good).astype(np.float32)
    bad = 1 - to_grid.covered + to_grid.covered * to_grid.apply(degrade(is_bad, weights=weights))
    is_good = (bad <= BAD_SHARE) & (variance > 0)
    level = np.ones((1, 1), dtype=np.float32)
    if bridge.continuum:
        level = continuum_of(new, is_good=is_good, wave_ang=bridge.grid, method=bridge.continuum)
        is_good &= level > LOWEST * np.median(np.abs(level), axis=1, keepdims=True)
    new, ivar = new / np.where(is_good, level, 1), level**2 / np.where(is_good, variance, 1)
    return fill(new, is_good=is_good), np.where(is_good, ivar, 0)


def _bridged(survey: Survey, *, flux: np.ndarray, ivar: np.ndarray, bridge: Bridge) -> Survey:
    spec = _spec(survey)
    if bridge.resolution is not None or len(spec.resolution) < 2:
        resolution = spec.resolution if bridge.resolution is None else np.atleast_1d(bridge.resolution).tolist()
    else:
        resolution = _resolution(spec, grid=bridge.grid, of=survey).tolist()
    spec = replace(
        spec,
        unit=f"flux / {bridge.continuum}" if bridge.continuum else spec.unit,
        grid=bridge.grid.tolist(),
        companions=("ivar",),
        medium="vacuum" if bridge.vacuum else spec.medium,
        resolution=resolution,
        velocity="" if bridge.rest_frame else spec.velocity,
        bridge=bridge.model_dump(mode="json"),
    )
    inputs = {name: rows for name, rows in survey.inputs.items() if name.partition(".")[0] != "spectrum"}
    declared = (*survey.provenance.declared, f"spectrum: bridged ({bridge.in_words()})")
    return replace(
        survey,
        inputs={**inputs, "spectrum": flux, "spectrum.ivar": ivar},
        specs={**survey.specs, "spectrum": spec},
        provenance=replace(survey.provenance, declared=declared),
    )
