"""What a network learns from, proven to fit it; its batches, the same from tensors on the device and from files."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import torch
from torch import Tensor

from astrolab.datasets.digests import digest_rows
from astrolab.datasets.scaling import Scaling
from astrolab.datasets.survey import Survey
from astrolab.errors import AstrolabWarning, ConfigError, EmptySplitError, PixelError, SchemaError
from astrolab.models.network import TrainingRecord
from astrolab.tasks import Quantity
from astrolab.trainers.config import TrainConfig
from astrolab.trainers.hardware import Hardware
from astrolab.trainers.objectives import Batch, MaskedReconstruction, Supervised
from astrolab.trainers.sampling import sampler_keys

CHUNK_BYTES = 2**26
READ_AHEAD = 2
N_NAMED = 5
MOST_OUTSIDE = 0.05
N_DIHEDRAL = 8


@dataclass(frozen=True)
class TrainingData:
    """The surveys and the scaling of one training run, the inputs that its network reads, and what it is to learn."""

    train: Survey
    validation: Survey
    scaling: Scaling
    inputs: tuple[str, ...]
    objective: Supervised | MaskedReconstruction

    @property
    def labels(self) -> tuple[Quantity, ...]:
        """What is learned of the labels, if anything."""
        return self.objective.task.labels if isinstance(self.objective, Supervised) else ()

    @property
    def images(self) -> list[tuple[int, ...]]:
        """Shapes of the inputs that are images."""
        return [self.train.inputs[name].shape for name in self.inputs if len(self.train.specs[name].axes) == 3]

    def are_turned(self, config: TrainConfig) -> bool:
        """Whether images are turned and mirrored in training."""
        return config.augment == "dihedral" or (config.augment == "auto" and bool(self.images))

    @property
    def n_bytes(self) -> int:
        """Size of all inputs of both surveys as they are held."""
        sizes = {name: stored_dtype(name, survey=self.train, scaling=self.scaling).itemsize for name in self.inputs}
        row = sum(size * int(np.prod(self.train.inputs[name].shape[1:])) for name, size in sizes.items())
        return row * (len(self.train) + len(self.validation))

    def require_fit(self, config: TrainConfig) -> None:
        """Refuse surveys that the network cannot learn from as configured; warn of a few labels that may be wrong."""
        for survey, smallest in ((self.train, 2), (self.validation, 1)):
            if len(survey) < smallest:
                asked = f"{survey.name} was to be trained on or validated with."
                received = f"{len(survey)} {survey.objects}"
                remedy = f"Split with larger fractions, or load more {survey.objects}."
                raise EmptySplitError(asked, received=received, available=f"at least {smallest}", remedy=remedy)
            self.scaling.require_fits(survey, inputs=self.inputs)
            TrainingRecord.of(self.train, inputs=self.inputs).require_same(survey)
        for quantity in self.labels:
            clamped = "Training clamps them to this range.", "The validation loss takes them as they are."
            for survey, done in zip((self.train, self.validation), clamped, strict=True):
                values = survey_labels(survey, labels=[quantity])[:, 0]
                _require_learnable(values, quantity=quantity, survey=survey, loss=self.objective.loss)
                _require_within(values, quantity=quantity, survey=survey, clamp=config.label_clamp, done=done)
        is_square = bool(self.images) and all(shape[-1] == shape[-2] for shape in self.images)
        if self.are_turned(config) and not is_square:
            asked = f"Training was configured with augment={config.augment!r}."
            received = ", ".join(f"{name} of shape {self.train.inputs[name].shape[1:]}" for name in self.inputs)
            remedy = "Use augment='none', or image_size= of load_survey for square images."
            raise ConfigError(asked, received=received, available="square images", remedy=remedy)

    def identity(self, config: TrainConfig) -> dict[str, Any]:
        """Give what proves that two runs were made with the same data."""
        keys = sampler_keys(config.sampler, survey=self.train)

        def each(of: Callable[[Survey], Any]) -> dict[str, Any]:
            return {"train": of(self.train), "validation": of(self.validation)}

        return {
            "objects": each(lambda survey: survey.digest),
            "inputs": each(lambda survey: {one: digest_rows(survey, input_name=one) for one in self.inputs}),
            "learned": [[quantity.name, quantity.error] for quantity in self.labels],
            "loss": getattr(self.objective, "loss", None),
            "labels": each(lambda survey: _digest(survey_labels(survey, labels=self.labels))),
            "weights": each(lambda survey: _digest(label_weights(survey, labels=self.labels))),
            "order": None if keys is None else _digest(keys),
            "scaling": self.scaling.to_dict(),
        }


def _digest(values: np.ndarray) -> str:
    return sha256(np.ascontiguousarray(values).tobytes()).hexdigest()


def survey_labels(survey: Survey, *, labels: Sequence[Quantity]) -> np.ndarray:
    """Read labels of every object as float32 (n, n_labels), NaN where they are unknown."""
    missing = [quantity.name for quantity in labels if quantity.name not in survey.labels]
    if missing:
        asked = f"The labels {', '.join(missing)} of {survey.name} were to be learned."
        received = "a survey without them"
        remedy = "Make the network for this survey, or choose a survey with these labels."
        raise SchemaError(asked, received=received, available=", ".join(survey.labels) or "no labels", remedy=remedy)
    return survey.labels[[quantity.name for quantity in labels]].to_numpy(dtype=np.float32)


def label_weights(survey: Survey, *, labels: Sequence[Quantity]) -> np.ndarray:
    """Give how much each label of each object counts (n, n_labels): nothing where it is unknown."""
    known = np.isfinite(survey_labels(survey, labels=labels)).astype(np.float32)
    if survey.weights is None:
        return known
    given = survey.weights.reindex(columns=[quantity.name for quantity in labels]).fillna(1.0).to_numpy(np.float32)
    return known * given


def _require_learnable(values: np.ndarray, *, quantity: Quantity, survey: Survey, loss: str) -> None:
    divides = loss == "lorentzian" and quantity.error == "per_one_plus"
    wrong = {
        "infinite": np.isinf(values),
        "at or below -1, where (pred - truth) / (1 + truth) means nothing": (values <= -1) & divides,
        "unknown, all of them": np.full(len(values), np.isnan(values).all()),
    }
    for what, bad in wrong.items():
        if bad.any():
            raise SchemaError(
                f"The {quantity.words} ({quantity.name!r}) of {survey.name} was to be learned.",
                received=f"{bad.sum():,} of {len(values):,} {survey.objects} {what}: {some_ids(survey.ids[bad])}",
                remedy=f"Drop these {survey.objects} with survey.take, or make the network for other labels.",
            )


def _require_within(
    values: np.ndarray, *, quantity: Quantity, survey: Survey, clamp: tuple[float, float] | None, done: str
) -> None:
    """Refuse more than a few labels outside the clamp; count a few aloud."""
    known = values[~np.isnan(values)]
    low, high = clamp or (-np.inf, np.inf)
    outside = (known < np.float32(low)) | (known > np.float32(high))
    found = f"{outside.sum():,} of {len(known):,} outside, from {known.min():g} to {known.max():g}"
    if outside.mean() > MOST_OUTSIDE:
        asked = f"Labels {quantity.name!r} of {survey.name} were to lie in label_clamp, {low:g} … {high:g}."
        available = f"at most {MOST_OUTSIDE:.0%} outside: the clamp is for a few outliers"
        remedy = "Set TrainConfig.label_clamp to a range that holds the labels, or to None."
        raise ConfigError(asked, received=found, available=available, remedy=remedy)
    if outside.any():
        warnings.warn(
            f"Labels {quantity.name!r} of {survey.name}: {found} the label_clamp {low:g} … {high:g}. {done}",
            AstrolabWarning,
            stacklevel=4,
        )


def some_ids(ids: np.ndarray) -> str:
    """Name the first few ids."""
    return ", ".join(map(str, ids[:N_NAMED])) + (", …" if len(ids) > N_NAMED else "")


def dihedral_codes(n: int, *, seed: int, epoch: int) -> np.ndarray:
    """Draw a symmetry of the square for every object of a survey, for one epoch."""
    return np.random.default_rng((seed, epoch, N_DIHEDRAL)).integers(N_DIHEDRAL, size=n)


def turn_and_mirror(images: Tensor, *, codes: Tensor) -> Tensor:
    """Turn each image by quarters and mirror it, one of the eight symmetries of a square each: no pixel is new."""
    bits = codes.reshape(-1, 1, 1, 1)
    images = torch.where(bits & 1 > 0, images.flip(-1), images)
    images = torch.where(bits & 2 > 0, images.flip(-2), images)
    return torch.where(bits & 4 > 0, images.transpose(-1, -2), images)


def stored_dtype(name: str, *, survey: Survey, scaling: Scaling) -> torch.dtype:
    """Give the type in which an input is held: float16 for scaled images, which lie well inside its range."""
    is_scaled_image = len(survey.specs[name].axes) == 3 and scaling.inputs[name].method != "none"
    return torch.float16 if is_scaled_image else torch.float32


class Feed:
    """Batches of a survey: inputs scaled and rounded as the network is to see them, labels and their weights."""

    def __init__(self, survey: Survey, *, scaling: Scaling, hardware: Hardware, truth: np.ndarray, weight: np.ndarray):
        self._row_weight = weight.sum(axis=1, dtype=np.float64)
        self._survey, self._scaling, self._hardware = survey, scaling, hardware
        self._truth, self._weight = (torch.from_numpy(each).to(hardware.device) for each in (truth, weight))
        self._held: dict[str, Tensor] = {}
        for name in scaling.inputs:
            self._read_through(name)

    def __len__(self) -> int:
        return len(self._survey)

    def weight_of(self, rows: np.ndarray) -> float:
        """Sum the weights of all labels of some objects."""
        return float(self._row_weight[rows].sum())

    def batches(self, rows: Sequence[np.ndarray], *, seeds: np.ndarray) -> Iterator[Batch]:
        """Give the objects asked for, batch by batch; what is drawn for each comes from its seed."""
        seeds_on_device = torch.from_numpy(seeds).to(self._hardware.device)
        everything = torch.from_numpy(np.concatenate(rows)).to(self._hardware.device)
        on_device = everything.split([len(batch) for batch in rows])
        inputs = map(self._chosen, on_device) if self._held else self._streamed(rows)
        for index, values in zip(on_device, inputs, strict=True):
            yield Batch(values, self._truth[index], self._weight[index], index, seeds_on_device[index])

    def _chosen(self, index: Tensor) -> dict[str, Tensor]:
        chosen = {name: held.index_select(0, index) for name, held in self._held.items()}
        return {name: v.permute(0, 3, 1, 2) if self._is_turned(v) else v for name, v in chosen.items()}

    def _is_turned(self, values: Tensor) -> bool:
        """Whether an input is held with its channels last."""
        return self._hardware.channels_last and values.ndim == 4

    def _streamed(self, rows: Sequence[np.ndarray]) -> Iterator[dict[str, Tensor]]:
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="astrolab-read") as reader:
            ahead = deque(reader.submit(self._read_batch, index) for index in rows[:READ_AHEAD])
            for number in range(len(rows)):
                inputs = ahead.popleft().result()
                if number + READ_AHEAD < len(rows):
                    ahead.append(reader.submit(self._read_batch, rows[number + READ_AHEAD]))
                yield inputs

    def _read_batch(self, index: np.ndarray) -> dict[str, Tensor]:
        inputs = {name: self._read(name, index=index) for name in self._scaling.inputs}
        last = torch.channels_last
        return {n: v.contiguous(memory_format=last) if self._is_turned(v) else v for n, v in inputs.items()}

    def _read(self, name: str, *, index: slice | np.ndarray) -> Tensor:
        raw = np.require(self._survey.inputs[name][index], dtype=np.float32, requirements=["C", "W"])
        scaled = self._scaling.inputs[name].apply(torch.from_numpy(raw).to(self._hardware.device))
        return scaled.to(stored_dtype(name, survey=self._survey, scaling=self._scaling))

    def _read_through(self, name: str) -> None:
        """Read every row of an input, hold it if it is to be held, and refuse what is not a finite number."""
        rows, ids = self._survey.inputs[name], self._survey.ids
        n_rows = max(1, CHUNK_BYTES // (4 * int(np.prod(rows.shape[1:]))))
        wrong: list[np.ndarray] = []
        for start in range(0, len(rows), n_rows):
            chunk = slice(start, min(start + n_rows, len(rows)))
            values = self._read(name, index=chunk)
            finite = values.flatten(1).isfinite().all(dim=1).cpu().numpy()
            wrong.append(ids[chunk][~finite])
            if self._hardware.storage == "device":
                values = values.permute(0, 2, 3, 1) if self._is_turned(values) else values
                if name not in self._held:
                    self._held[name] = values.new_empty((len(ids), *values.shape[1:]))
                self._held[name][chunk] = values
        bad = np.concatenate(wrong)
        if len(bad):
            raise PixelError(
                f"The {name} of {len(ids):,} {self._survey.objects} was to be trained on.",
                received=f"NaN or infinite values in {len(bad):,} of them: {some_ids(bad)}",
                remedy=f"Drop these {self._survey.objects} with survey.take, or mend the file.",
            )


def make_feed(
    survey: Survey, *, data: TrainingData, hardware: Hardware, clamp: tuple[float, float] | None = None
) -> Feed:
    """Put a survey where its batches can be drawn from, and check every number that a network reads of it."""
    truth = survey_labels(survey, labels=data.labels)
    truth = np.nan_to_num(truth if clamp is None else truth.clip(*clamp))
    weight = data.objective.weights(label_weights(survey, labels=data.labels))
    scaling = Scaling({name: data.scaling.inputs[name] for name in data.inputs}, data.scaling.fitted_on)
    return Feed(survey, scaling=scaling, hardware=hardware, truth=truth, weight=weight)
