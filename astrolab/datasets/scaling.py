"""Input scaling as an object: fitted on train objects only, saved with the run, applied to arrays and tensors."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from astrolab.datasets.splits import subsample
from astrolab.datasets.survey import Survey
from astrolab.errors import CheckpointError, ConfigError, PixelError, SchemaError, require_known
from astrolab.files import DIGEST_PLACE, digest_fault, write_atomically, write_digest

if TYPE_CHECKING:
    import torch

    Values = TypeVar("Values", np.ndarray, torch.Tensor)

METHODS = ("asinh", "none", "standard")
OPTIMAL_SOFTENING = 1.042
MAD_TO_SIGMA = 1.4826022185056018
N_SAMPLE = 1024


@dataclass(frozen=True)
class InputScaling:
    r"""How the values of one input become numbers of order one for a network.

    ``"asinh"``, for images: :math:`x = \mathrm{asinh}(f / 2 b_k) / s`. The softening :math:`b_k = 1.042\,\sigma_k` of
    channel k, from its sky noise, is the one for which the faintest fluxes lose least (Lupton, Gunn & Szalay 1999, AJ
    118, 1406, section 3). Faint flux stays linear, bright flux becomes logarithmic, so that a difference of channels is
    a colour. The one scale s for all channels keeps it so; it makes the brightest pixel of a typical object 1.
    Everything lies well inside the range of float16.

    ``"standard"``, for numbers in a row: :math:`x = (m - \bar m_k) / \mathrm{std}_k`; a missing one becomes 0.
    Every pixel of a spectrum has a mean and a deviation of its own.

    ``"none"``: values as they are, as published (Seenivasan et al. 2025).

    `centre` is subtracted and `width` divided by, one a place of the first axis; `scale` is divided by at the end.
    `may_miss` says whether a NaN means "not measured"; `imputed_frac` how often it did.
    """

    method: str
    channels: tuple[str, ...]
    centre: tuple[float, ...]
    width: tuple[float, ...]
    scale: float = 1.0
    imputed_frac: tuple[float, ...] = ()
    may_miss: bool = False
    unit: str = ""

    def __post_init__(self):
        require_known("scaling method", name=self.method, names=METHODS)
        for f in fields(self):
            if isinstance(getattr(self, f.name), list):
                object.__setattr__(self, f.name, tuple(getattr(self, f.name)))

    def apply(self, values: Values) -> Values:
        """Scale raw values (n, channel, ...) to float32; NumPy and torch give the same to rounding."""
        if values.ndim < 2 or values.shape[1] != len(self.width):
            asked, received = f"Values (n, {len(self.width)}, …) were to be scaled.", f"shape {tuple(values.shape)}"
            remedy = "Use the scaling that was fitted on a survey of the same channels."
            raise SchemaError(asked, received=received, remedy=remedy)
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
        if self.method == "asinh":
            return library.arcsinh(scaled) / np.float32(self.scale).item()
        return library.nan_to_num(scaled, nan=0.0, posinf=np.inf, neginf=-np.inf) if self.may_miss else scaled


@dataclass(frozen=True)
class Scaling:
    """How the inputs of a survey become numbers of order one, each in its own way; `fitted_on` is their digest."""

    inputs: Mapping[str, InputScaling]
    fitted_on: str = ""

    def __repr__(self) -> str:
        return "Scaling: " + " · ".join(f"{name} {one.method}" for name, one in self.inputs.items())

    def apply(self, inputs: Mapping[str, Values]) -> dict[str, Values]:
        """Scale raw inputs (n, channel, ...) to float32: those that this scaling knows, on their devices.

        A NaN pixel stays NaN; a missing magnitude becomes 0.
        """
        return {name: one.apply(inputs[name]) for name, one in self.inputs.items() if name in inputs}

    def require_fits(self, survey: Survey, *, inputs: Sequence[str]) -> None:
        """Refuse a survey whose inputs (those that a network reads) have other channels, another order or unit."""
        for name in inputs:
            asked = f"The {name} of {survey.name} was to be scaled."
            if name not in self.inputs or name not in survey.specs:
                received = f"a survey with {', '.join(survey.specs)}; a scaling of {', '.join(self.inputs)}"
                remedy = "Use a survey that has this input, and fit the scaling on it too."
                raise SchemaError(asked, received=received, remedy=remedy)
            spec, own = survey.specs[name], self.inputs[name]
            if spec.channels != own.channels or (spec.unit and own.unit and spec.unit != own.unit):
                raise SchemaError(
                    asked,
                    received=f"channels {' '.join(spec.channels)}" + f" in {spec.unit}" * bool(spec.unit),
                    available=f"a scaling of channels {' '.join(own.channels)}" + f" in {own.unit}" * bool(own.unit),
                    remedy="Declare which channels stand for which with survey.as_channels(...), convert the unit, or "
                    "fit a scaling on a survey with these channels, in this order and unit.",
                )

    def to_dict(self) -> dict[str, Any]:
        """Give the scaling as plain values that JSON can hold."""
        return json.loads(json.dumps(asdict(self) | {"inputs": {k: asdict(v) for k, v in self.inputs.items()}}))

    def save(self, path: str | Path) -> Path:
        """Write the scaling as JSON, with a digest of the file in it."""
        path = Path(path)
        with write_atomically(path) as part:
            part.write_text(json.dumps({**self.to_dict(), "file_digest": DIGEST_PLACE}, indent=2) + "\n", "utf-8")
            write_digest(part)
        return path

    @classmethod
    def load(cls, path: str | Path) -> Scaling:
        """Read a scaling that was saved; a file that is not as it was written is refused with a CheckpointError."""
        if fault := digest_fault(Path(path)):
            remedy = "Copy the file again, or fit the scaling again on the train survey."
            raise CheckpointError(f"A saved scaling was to be read from {path}.", received=fault, remedy=remedy)
        values = json.loads(Path(path).read_text("utf-8"))
        return cls({name: InputScaling(**one) for name, one in values["inputs"].items()}, values["fitted_on"])


def fit_scaling(
    survey: Survey, *, inputs: Sequence[str] = (), method: str | Mapping[str, str] = "auto", seed: int = 0
) -> Scaling:
    """Measure how the inputs of a survey (by default all) are to be scaled; give it train objects only.

    Parameters
    ----------
    method : {"auto", "asinh", "standard", "none"} or mapping of input to one of these
        See `InputScaling`; ``"auto"`` takes asinh for images, standard for the rest.
    seed : int
        Chooses 1,024 objects to look at where inputs are images; of other inputs all are looked at.

    Raises
    ------
    PixelError
        Where a channel has no sky noise or spread to measure, or pixels are not finite.
    """
    for name in inputs:
        require_known(f"input of {survey.name!r}", name=name, names=survey.specs)
    names = inputs or survey.specs
    methods = method if isinstance(method, Mapping) else dict.fromkeys(names, method)
    fitted = {name: _fit_input(survey, name=name, method=methods.get(name, "auto"), seed=seed) for name in names}
    return Scaling(fitted, survey.digest)


def _fit_input(survey: Survey, *, name: str, method: str, seed: int) -> InputScaling:
    spec, n_places = survey.specs[name], int(survey.inputs[name].shape[1])
    is_image, may_miss = len(spec.axes) == 3, spec.may_miss
    method = ("asinh" if is_image else "standard") if method == "auto" else method
    measured: dict[str, Any] = {"centre": (0.0,) * n_places, "width": (1.0,) * n_places}
    if method != "none":
        if method == "asinh" and not is_image:
            asked = f"The {name} of {survey.name!r} were to be scaled by 'asinh'."
            received = "numbers in a row, without a sky whose noise could be measured"
            available = "standard, none"
            raise ConfigError(asked, received=received, available=available, remedy="Use the scaling 'standard'.")
        chosen = subsample(survey, n=min(N_SAMPLE, len(survey)), seed=seed) if is_image else survey
        values = np.asarray(chosen.inputs[name][:])
        if method == "asinh":
            width = 2 * OPTIMAL_SOFTENING * sky_noise(values)
            brightest = np.arcsinh(np.abs(values).max(axis=(-2, -1)) / width).max(axis=1)
            measured |= {"width": tuple(width.tolist()), "scale": float(np.median(brightest))}
        else:
            measured |= _measure_standard(values)
    if not _are_positive(*measured["width"], measured.get("scale", 1.0)):
        places = zip(spec.channels or range(n_places), measured["width"], strict=True)
        wrong = [f"{place} {width:.3g}" for place, width in places if not _are_positive(width)]
        raise PixelError(
            f"A scaling {method!r} was to be fitted on the {name} of {survey.name!r}.",
            received=f"noise or spread of {', '.join(wrong[:5]) or 'the channels'}; scale {measured.get('scale', 1.0)}",
            remedy="Each channel needs finite values that differ: `astrolab data verify` finds empty channels and NaN.",
        )
    return InputScaling(method, spec.channels, **measured, may_miss=may_miss, unit=spec.unit)


def sky_noise(images: np.ndarray) -> np.ndarray:
    """Measure the noise of the sky in every channel of images (n, channel, y, x): (channel,); NaN without any sky."""
    ring = np.ones(images.shape[-2:], dtype=bool)
    depth = max(min(images.shape[-2:]) // 16, 1)
    ring[depth:-depth, depth:-depth] = False
    # Medians: neither a neighbour at the edge of one image nor a few odd images matter. A pixel of 0 is padding.
    border = np.where(images[..., ring] == 0, np.nan, images[..., ring]).astype(np.float64)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
        deviation = np.abs(border - np.nanmedian(border, axis=-1, keepdims=True))
        return np.nanmedian(MAD_TO_SIGMA * np.nanmedian(deviation, axis=-1), axis=0)


def _measure_standard(values: np.ndarray) -> dict[str, Any]:
    by_place = np.moveaxis(np.asarray(values, dtype=np.float64), 1, 0).reshape(values.shape[1], -1)
    known = [place[np.isfinite(place)] for place in by_place]
    return {
        "centre": tuple(float(place.mean()) if len(place) else 0.0 for place in known),
        "width": tuple(float(place.std()) if len(place) else 0.0 for place in known),
        "imputed_frac": tuple((by_place.shape[1] - len(place)) / by_place.shape[1] for place in known),
    }


def _are_positive(*values: float) -> bool:
    return bool(np.isfinite(values).all() and min(values) > 0)
