"""What a network learns from: two surveys and a scaling, proven to fit the network before anything is read in."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
from torch import nn

from astrolab.datasets.digests import digest_rows
from astrolab.datasets.scaling import Scaling
from astrolab.datasets.survey import Survey
from astrolab.errors import ConfigError, EmptySplitError, SchemaError
from astrolab.trainers.config import TrainConfig

N_NAMED = 5
MOST_CLAMPED = 0.05


@dataclass(frozen=True)
class TrainingData:
    """The surveys and the scaling of one training run.

    Parameters
    ----------
    train, validation : Survey
    scaling : Scaling
    """

    train: Survey
    validation: Survey
    scaling: Scaling

    def require_fit(self, network: nn.Module, *, config: TrainConfig) -> None:
        """Refuse surveys that the network cannot learn from as configured.

        Parameters
        ----------
        network : nn.Module
            Its ``input_name`` and ``n_bands`` are compared.
        config : TrainConfig

        Raises
        ------
        EmptySplitError
            Where a survey has no galaxies (one, to train on, is too few).
        SchemaError
            Where an input is missing, bands disagree, or a label is missing, NaN or infinite.
        ConfigError
            Where magnitudes were to be turned and mirrored, or images that are not square; where clamping would change
            more than a few training labels.
        """
        for survey, smallest in ((self.train, 2), (self.validation, 1)):
            if len(survey) < smallest:
                raise EmptySplitError(
                    f"{survey.name} was to be trained on or validated with.",
                    received=f"{len(survey)} galaxies",
                    available=f"at least {smallest}",
                    remedy="Split with larger fractions, or load more galaxies.",
                )
            self._require_bands(survey, network=network)
            survey_labels(survey, label=config.label)
        self._require_labels_within(config)
        shape = self.row_shape(network.input_name)
        if config.augment == "dihedral" and (len(shape) != 3 or shape[1] != shape[2]):
            raise ConfigError(
                "Training was configured with augment='dihedral'.",
                received=f"{network.input_name} of shape {shape}",
                available="square images",
                remedy="Use augment='none', or image_size= of load_survey for square images.",
            )

    def _require_labels_within(self, config: TrainConfig) -> None:
        if config.label_clamp is None:
            return
        labels = survey_labels(self.train, label=config.label)
        outside = labels != labels.clip(*config.label_clamp)
        if outside.mean() > MOST_CLAMPED:
            low, high = config.label_clamp
            raise ConfigError(
                f"Training labels {config.label!r} of {self.train.name} were to be clamped to {low:g} … {high:g}.",
                received=f"{outside.sum():,} of {len(labels):,} outside, from {labels.min():g} to {labels.max():g}",
                available=f"at most {MOST_CLAMPED:.0%} outside: the clamp is for a few outliers of a redshift",
                remedy="Set TrainConfig.label_clamp to a range that holds the labels, or to None.",
            )

    def row_shape(self, input_name: str) -> tuple[int, ...]:
        """Give the shape of one galaxy's input.

        Parameters
        ----------
        input_name : str

        Returns
        -------
        tuple of int
        """
        return tuple(self.train.inputs[input_name].shape[1:])

    def digests(self, *, label: str) -> dict[str, Any]:
        """Give what proves that two runs were made with the same data.

        Parameters
        ----------
        label : str

        Returns
        -------
        dict
        """
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


def survey_labels(survey: Survey, *, label: str) -> np.ndarray:
    """Read one label of every galaxy, and refuse what is not a number.

    Parameters
    ----------
    survey : Survey
    label : str

    Returns
    -------
    ndarray of float32, shape (n,)

    Raises
    ------
    SchemaError
        Where the survey has no such label, or a label is NaN or infinite.
    """
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

    Parameters
    ----------
    ids : ndarray

    Returns
    -------
    str

    Examples
    --------
    >>> some_ids(np.arange(7))
    '0, 1, 2, 3, 4, …'
    """
    return ", ".join(map(str, ids[:N_NAMED])) + (", …" if len(ids) > N_NAMED else "")
