"""What a network learns from: two surveys and a scaling, proven to fit the network before anything is read in."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
from torch import nn

from astrolab.datasets.digests import digest_rows
from astrolab.datasets.scaling import Scaling
from astrolab.datasets.survey import Survey
from astrolab.errors import AstrolabWarning, ConfigError, EmptySplitError, SchemaError
from astrolab.trainers.config import TrainConfig

N_NAMED = 5
MOST_OUTSIDE = 0.05


@dataclass(frozen=True)
class TrainingData:
    """The surveys and the scaling of one training run."""

    train: Survey
    validation: Survey
    scaling: Scaling

    def require_fit(self, network: nn.Module, *, config: TrainConfig) -> None:
        """Refuse surveys that the network cannot learn from as configured; warn of a few labels that may be wrong."""
        for survey, smallest in ((self.train, 2), (self.validation, 1)):
            if len(survey) < smallest:
                raise EmptySplitError(
                    f"{survey.name} was to be trained on or validated with.",
                    received=f"{len(survey)} galaxies",
                    available=f"at least {smallest}",
                    remedy="Split with larger fractions, or load more galaxies.",
                )
            self._require_bands(survey, network=network)
        _require_labels_within(self.train, config=config, what_is_done="Training clamps them to this range.")
        _require_labels_within(
            self.validation, config=config, what_is_done="The validation loss takes them as they are."
        )
        shape = self.row_shape(network.input_name)
        if config.augment == "dihedral" and (len(shape) != 3 or shape[1] != shape[2]):
            raise ConfigError(
                "Training was configured with augment='dihedral'.",
                received=f"{network.input_name} of shape {shape}",
                available="square images",
                remedy="Use augment='none', or image_size= of load_survey for square images.",
            )

    def row_shape(self, input_name: str) -> tuple[int, ...]:
        """Give the shape of one galaxy's input."""
        return tuple(self.train.inputs[input_name].shape[1:])

    def digests(self, *, label: str) -> dict[str, Any]:
        """Give what proves that two runs were made with the same data."""
        surveys = {"train": self.train, "validation": self.validation}
        labels = {name: sha256(survey_labels(s, label=label).tobytes()).hexdigest() for name, s in surveys.items()}
        galaxies = {name: survey.digest for name, survey in surveys.items()}
        inputs = {name: digest_rows(survey, input_name=self.scaling.input_name) for name, survey in surveys.items()}
        return {"galaxies": galaxies, "inputs": inputs, "labels": labels, "scaling": self.scaling.to_dict()}

    def _require_bands(self, survey: Survey, *, network: nn.Module) -> None:
        name = network.input_name
        if name not in survey.inputs:
            raise SchemaError(
                f"The network was to learn from the {name} of {survey.name}.",
                received="a survey without it",
                available=", ".join(survey.inputs),
                remedy="Choose a network for one of these inputs, or a survey with this one.",
            )
        if name != self.scaling.input_name or len(survey.bands) != network.n_bands:
            raise SchemaError(
                f"The network was to learn from the {name} of {survey.name}.",
                received=f"{len(survey.bands)} bands, a scaling of {self.scaling.input_name}, a network for "
                f"{network.n_bands} bands",
                remedy="Fit the scaling on this input, and make the network with the number of these bands.",
            )
        self.scaling.require_fits(survey)
        if tuple(survey.inputs[name].shape[1:]) != self.row_shape(name):
            raise SchemaError(
                f"The {name} of {self.train.name} and of {survey.name} were to be used together.",
                received=f"shapes {self.row_shape(name)} and {tuple(survey.inputs[name].shape[1:])}",
                remedy="Load both surveys with the same image_size.",
            )


def _require_labels_within(survey: Survey, *, config: TrainConfig, what_is_done: str) -> None:
    """Refuse labels that the loss cannot take, or more than a few outside the clamp; count a few aloud."""
    labels = survey_labels(survey, label=config.label)
    impossible = survey.ids[labels <= -1] if config.loss == "lorentzian" else survey.ids[:0]
    if len(impossible):
        raise SchemaError(
            f"The label {config.label!r} of {survey.name} was to be learned as a redshift, with loss='lorentzian'.",
            received=f"{len(impossible):,} of {len(labels):,} at or below -1, the lowest {labels.min():g}: "
            f"{some_ids(impossible)}",
            remedy="Drop these galaxies with survey.take if it is unknown; use loss='mse' for other labels.",
        )
    if config.label_clamp is None:
        return
    low, high = config.label_clamp
    outside = (labels < np.float32(low)) | (labels > np.float32(high))
    found = f"{outside.sum():,} of {len(labels):,} outside, from {labels.min():g} to {labels.max():g}"
    if outside.mean() > MOST_OUTSIDE:
        raise ConfigError(
            f"Labels {config.label!r} of {survey.name} were to lie in label_clamp, {low:g} … {high:g}.",
            received=found,
            available=f"at most {MOST_OUTSIDE:.0%} outside: the clamp is for a few outliers of a redshift",
            remedy="Set TrainConfig.label_clamp to a range that holds the labels, or to None.",
        )
    if outside.any():
        warnings.warn(
            f"Labels {config.label!r} of {survey.name}: {found} the label_clamp {low:g} … {high:g}. {what_is_done}",
            AstrolabWarning,
            stacklevel=4,
        )


def survey_labels(survey: Survey, *, label: str) -> np.ndarray:
    """Read one label of every galaxy as float32, and refuse what is not a number."""
    if label not in survey.labels:
        raise SchemaError(
            f"The label {label!r} of {survey.name} was asked for.",
            received="a survey without it",
            available=", ".join(map(str, survey.labels)),
            remedy="Set TrainConfig.label to one of these.",
        )
    values = survey.labels[label].to_numpy(dtype=np.float32)
    bad = survey.ids[~np.isfinite(values)]
    if len(bad):
        raise SchemaError(
            f"The label {label!r} of {survey.name} was to be learned.",
            received=f"NaN or infinite labels of {len(bad):,} of {len(values):,} galaxies: {some_ids(bad)}",
            remedy="Drop these galaxies with survey.take.",
        )
    return values


def some_ids(ids: np.ndarray) -> str:
    """Name the first few ids.

    >>> some_ids(np.arange(7))
    '0, 1, 2, 3, 4, …'
    """
    return ", ".join(map(str, ids[:N_NAMED])) + (", …" if len(ids) > N_NAMED else "")
