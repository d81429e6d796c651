"""Input scaling as an object: fitted on train galaxies only, saved with the run, applied to arrays and tensors."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from astrolab.datasets.splits import subsample
from astrolab.datasets.survey import Survey
from astrolab.errors import CheckpointError, ConfigError, PixelError, SchemaError, unknown_name

if TYPE_CHECKING:
    import torch

    Values = TypeVar("Values", np.ndarray, torch.Tensor)

METHODS = ("asinh", "none", "standard")
OPTIMAL_SOFTENING = 1.042
MAD_TO_SIGMA = 1.4826022185056018
N_SAMPLE = 1024


@dataclass(frozen=True)
class Scaling:
    r"""How raw inputs become numbers of order one for a network.

    ``"asinh"``, for images: :math:`x = \mathrm{asinh}(f / 2 b_k) / s`. The softening :math:`b_k = 1.042\,\sigma_k` of
    band k, from its sky noise, is the one for which the faintest fluxes lose least (Lupton, Gunn & Szalay 1999, AJ 118,
    1406, section 3). Faint flux stays linear, bright flux becomes logarithmic, so that a difference of bands is a
    colour. The one scale s for all bands keeps it so; it makes the brightest pixel of a typical galaxy 1. Everything
    lies well inside the range of float16.

    ``"standard"``, for magnitudes: :math:`x = (m - \bar m_k) / \mathrm{std}_k`; missing ones become 0, the mean.

    ``"none"``: values as they are, as published (Seenivasan et al. 2025).

    Parameters
    ----------
    method : {"asinh", "standard", "none"}
        See above.
    input_name : str
        Which input of a survey it is for.
    bands : tuple of str
        Order of the band axis.
    centre : tuple of float
        Subtracted, one a band (0 unless "standard").
    width : tuple of float
        Divided by before anything else, one a band: :math:`2 b_k`, or the standard deviation, or 1.
    scale : float
        Divided by at the end (1 unless "asinh").
    imputed_frac : tuple of float
        Fraction of missing values in every band of the galaxies it was fitted on.
    unit : str
        Of the values it takes; empty where unknown.
    fitted_on : str
        Digest of these galaxies.

    Raises
    ------
    ConfigError
        Where numbers do not belong to the bands, or are not finite and positive.
    """

    method: str
    input_name: str
    bands: tuple[str, ...]
    centre: tuple[float, ...]
    width: tuple[float, ...]
    scale: float = 1.0
    imputed_frac: tuple[float, ...] = ()
    unit: str = ""
    fitted_on: str = ""

    def __post_init__(self):
        if self.method not in METHODS:
            raise unknown_name("scaling method", name=self.method, names=METHODS)
        for f in fields(self):
            if isinstance(getattr(self, f.name), list):
                object.__setattr__(self, f.name, tuple(getattr(self, f.name)))
        fits_bands = len(self.centre) == len(self.width) == len(self.bands)
        if not (fits_bands and np.isfinite(self.centre).all() and _are_positive(*self.width, self.scale)):
            raise ConfigError(
                f"A scaling of {len(self.bands)} bands was to be made.",
                received=f"centre {self.centre}, width {self.width}, scale {self.scale}",
                remedy="Give one finite centre and one positive width a band, and a positive scale.",
            )

    def apply(self, values: Values) -> Values:
        """Scale raw inputs; NumPy and torch give the same to the rounding of float32.

        Parameters
        ----------
        values : ndarray or Tensor, shape (n, band, ...)
            Raw fluxes or magnitudes.

        Returns
        -------
        ndarray or Tensor of float32, shape (n, band, ...)
            On the device of `values`. A NaN pixel stays NaN; a missing magnitude becomes 0.

        Raises
        ------
        SchemaError
            Where the band axis is of another length than the bands of this scaling.
        """
        if values.ndim < 2 or values.shape[1] != len(self.bands):
            raise SchemaError(
                f"Values (n, {len(self.bands)}, …) were to be scaled: bands {', '.join(self.bands)}.",
                received=f"an array of shape {tuple(values.shape)}",
                remedy="Use the scaling that was fitted on a survey of the same bands.",
            )
        torch = sys.modules.get("torch")
        is_tensor = torch is not None and isinstance(values, torch.Tensor)
        values = values.float() if is_tensor else np.asarray(values, dtype=np.float32)
        if self.method == "none":
            return values
        shape = (1, -1, *[1] * (values.ndim - 2))
        centre, width = (np.array(each, dtype=np.float32).reshape(shape) for each in (self.centre, self.width))
        if is_tensor:
            centre, width = (torch.from_numpy(each).to(values.device) for each in (centre, width))
        library = torch if is_tensor else np
        scaled = (values - centre) / width
        if self.method == "standard":
            is_catalogue = self.input_name == "magnitudes"
            return library.nan_to_num(scaled, nan=0.0, posinf=np.inf, neginf=-np.inf) if is_catalogue else scaled
        return library.arcsinh(scaled) / np.float32(self.scale).item()

    def require_fits(self, survey: Survey) -> None:
        """Refuse a survey of other bands, of the same in another order, or in another unit.

        Parameters
        ----------
        survey : Survey
            To be scaled.

        Raises
        ------
        SchemaError
            Where its bands are not those of this scaling, or both units are known and differ.
        """
        unit = survey.unit_of(self.input_name)
        if survey.bands != self.bands or (unit and self.unit and unit != self.unit):
            raise SchemaError(
                f"The {self.input_name} of {survey.name} was to be scaled.",
                received=f"bands {' '.join(survey.bands)}" + f" in {unit}" * bool(unit),
                available=f"a scaling of bands {' '.join(self.bands)}" + f" in {self.unit}" * bool(self.unit),
                remedy="Fit a scaling on a survey with these bands, in this order and unit, or convert the survey.",
            )

    def to_dict(self) -> dict[str, Any]:
        """Give the scaling as plain values that JSON can hold.

        Returns
        -------
        dict
        """
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Scaling:
        """Make the scaling that `to_dict` gave.

        Parameters
        ----------
        values : mapping
            Names as in `Scaling`.

        Returns
        -------
        Scaling

        Raises
        ------
        CheckpointError
            Where a name is missing or unknown.
        """
        try:
            return cls(**values)
        except TypeError as error:
            raise CheckpointError(
                "A saved scaling was to be read.",
                received=f"the entries {', '.join(values)} ({error})",
                available=", ".join(f.name for f in fields(cls)),
                remedy="Fit the scaling again on the train survey.",
            ) from error

    def save(self, path: str | Path) -> Path:
        """Write the scaling as JSON.

        Parameters
        ----------
        path : path
            The file.

        Returns
        -------
        Path
        """
        path = Path(path)
        path.write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")
        return path

    @classmethod
    def load(cls, path: str | Path) -> Scaling:
        """Read a scaling that was saved.

        Parameters
        ----------
        path : path
            The file.

        Returns
        -------
        Scaling
        """
        return cls.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))


def fit_scaling(survey: Survey, *, input_name: str = "image", method: str = "asinh", seed: int = 0) -> Scaling:
    """Measure how the inputs of a survey are to be scaled; give it train galaxies only.

    Parameters
    ----------
    survey : Survey
        The train galaxies.
    input_name : str
        Which input.
    method : {"asinh", "standard", "none"}
        See `Scaling`. Of images no more than 1,024 galaxies are looked at, of magnitudes all.
    seed : int
        Chooses the galaxies looked at.

    Returns
    -------
    Scaling

    Raises
    ------
    UnknownNameError
        For an input or a method that does not exist.
    PixelError
        Where a band has no sky noise or spread to measure, or pixels are not finite.
    """
    if input_name not in survey.inputs:
        raise unknown_name(f"input of {survey.name!r}", name=input_name, names=survey.inputs)
    if method not in METHODS:
        raise unknown_name("scaling method", name=method, names=METHODS)
    n_bands = len(survey.bands)
    measured = {"centre": (0.0,) * n_bands, "width": (1.0,) * n_bands}
    if method == "asinh":
        _refuse_magnitudes(survey, input_name)
        measured |= _measure_asinh(_sample(survey, input_name, seed))
    elif method == "standard":
        measured |= _measure_standard(_sample(survey, input_name, seed))
    if not _are_positive(*measured["width"], measured.get("scale", 1.0)):
        raise PixelError(
            f"A scaling {method!r} was to be fitted on the {input_name} of {survey.name!r}.",
            received=", ".join(f"{b} {w:.3g}" for b, w in zip(survey.bands, measured["width"], strict=True))
            + " as noise or spread of the bands; scale "
            + str(measured.get("scale", 1.0)),
            remedy="Each band needs finite values that differ; look for empty bands, or for NaN with check_finite.",
        )
    source = {"bands": survey.bands, "unit": survey.unit_of(input_name), "fitted_on": survey.digest}
    return Scaling(method=method, input_name=input_name, **source, **measured)


def _refuse_magnitudes(survey: Survey, input_name: str) -> None:
    if input_name == "magnitudes":
        raise ConfigError(
            f"The magnitudes of {survey.name!r} were to be scaled by 'asinh'.",
            received="numbers that are logarithms already, without sky noise",
            available="standard, none",
            remedy="Use the scaling 'standard'.",
        )


def sky_noise(images: np.ndarray) -> np.ndarray:
    """Measure the noise of the sky in every band from the borders of images.

    The deviation of a border's pixels from their median (1.4826 MAD), then the median over the galaxies: neither a
    neighbour at the edge of one image nor a few odd images matter. Pixels that are exactly 0 are padding, not sky.

    Parameters
    ----------
    images : ndarray, shape (n, band, y, x)
        Raw flux.

    Returns
    -------
    ndarray of float64, shape (band,)
        One standard deviation of a pixel, in the unit of `images`; NaN for a band without sky.
    """
    ring = np.ones(images.shape[-2:], dtype=bool)
    depth = max(min(images.shape[-2:]) // 16, 1)
    ring[depth:-depth, depth:-depth] = False
    border = np.where(images[..., ring] == 0, np.nan, images[..., ring]).astype(np.float64)
    has_sky = np.isfinite(border).any(axis=-1)
    noise = np.full(images.shape[:2], np.nan)
    deviation = np.abs(border[has_sky] - np.nanmedian(border[has_sky], axis=-1, keepdims=True))
    noise[has_sky] = MAD_TO_SIGMA * np.nanmedian(deviation, axis=-1)
    known = has_sky.any(axis=0)
    overall = np.full(images.shape[1], np.nan)
    overall[known] = np.nanmedian(noise[:, known], axis=0)
    return overall


def _sample(survey: Survey, input_name: str, seed: int) -> np.ndarray:
    is_catalogue = input_name == "magnitudes"
    chosen = survey if is_catalogue else subsample(survey, n=min(N_SAMPLE, len(survey)), seed=seed)
    return np.asarray(chosen.inputs[input_name][:])


def _measure_asinh(images: np.ndarray) -> dict[str, Any]:
    width = 2 * OPTIMAL_SOFTENING * sky_noise(images)
    brightest = np.abs(images).max(axis=(-2, -1)) / width
    scale = float(np.median(np.arcsinh(brightest).max(axis=1)))
    return {"width": tuple(width.tolist()), "scale": scale}


def _measure_standard(values: np.ndarray) -> dict[str, Any]:
    by_band = np.moveaxis(np.asarray(values, dtype=np.float64), 1, 0).reshape(values.shape[1], -1)
    known = [band[np.isfinite(band)] for band in by_band]
    return {
        "centre": tuple(float(band.mean()) if len(band) else 0.0 for band in known),
        "width": tuple(float(band.std()) if len(band) else 0.0 for band in known),
        "imputed_frac": tuple((by_band.shape[1] - len(band)) / by_band.shape[1] for band in known),
    }


def _are_positive(*values: float) -> bool:
    return bool(np.isfinite(values).all() and min(values) > 0)
