"""Where batches come from: a tensor on the device, or the files; the same galaxies, order and numbers either way."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from astrolab.datasets.rows import Rows
from astrolab.datasets.scaling import Scaling
from astrolab.datasets.survey import Survey
from astrolab.errors import PixelError
from astrolab.trainers.augmentation import N_DIHEDRAL
from astrolab.trainers.data import some_ids
from astrolab.trainers.hardware import DTYPES, Hardware

CHUNK_BYTES = 2**26
READ_AHEAD = 2


def shuffled_batches(n: int, *, batch_size: int, seed: int, epoch: int, n_processes: int = 1) -> list[np.ndarray]:
    """Put the galaxies of one epoch in random order and cut them into batches.

    The last batch is as small as what is left over; where it would hold a single galaxy for some process, it is joined
    to the one before it, because BatchNorm has no spread to divide by.
    """
    order = np.random.default_rng((seed, epoch)).permutation(n)
    batches = batches_in_order(order, batch_size=batch_size)
    if len(batches) > 1 and len(batches[-1]) < min(2 * n_processes, batch_size):
        batches[-2:] = [np.concatenate(batches[-2:])]
    return batches


def batches_in_order(order: np.ndarray, *, batch_size: int) -> list[np.ndarray]:
    """Cut row numbers into batches, the last one as small as what is left over."""
    return np.split(order, range(batch_size, len(order), batch_size))


def dihedral_codes(n: int, *, seed: int, epoch: int) -> np.ndarray:
    """Draw a symmetry of the square for every galaxy of a survey, for one epoch."""
    return np.random.default_rng((seed, epoch, N_DIHEDRAL)).integers(N_DIHEDRAL, size=n)


@dataclass(frozen=True)
class Source:
    """The inputs of one survey, scaled and rounded as the network is to see them."""

    rows: Rows
    scaling: Scaling
    hardware: Hardware

    def read(self, index: slice | np.ndarray) -> Tensor:
        """Read some galaxies onto the device."""
        raw = np.require(self.rows[index], dtype=np.float32, requirements=["C", "W"])
        scaled = self.scaling.apply(torch.from_numpy(raw).to(self.hardware.device))
        return scaled.to(DTYPES[self.hardware.storage_dtype])

    def checked_chunks(self, ids: np.ndarray) -> Iterator[tuple[slice, Tensor]]:
        """Read everything in turn, and refuse at the end what holds a number that is none."""
        n_rows = max(1, CHUNK_BYTES // (4 * int(np.prod(self.rows.shape[1:]))))
        wrong: list[np.ndarray] = []
        for start in range(0, len(self.rows), n_rows):
            chunk = slice(start, min(start + n_rows, len(self.rows)))
            values = self.read(chunk)
            finite = values.flatten(1).isfinite().all(dim=1).cpu().numpy()
            wrong.append(ids[chunk][~finite])
            yield chunk, values
        bad = np.concatenate(wrong)
        if len(bad):
            raise PixelError(
                f"The inputs of {len(ids):,} galaxies were to be trained on.",
                received=f"NaN or infinite values in {len(bad):,} of them: {some_ids(bad)}",
                remedy="Drop these galaxies with survey.take, or mend the file.",
            )


class HeldFeed:
    """Batches of a survey held on the device as one tensor, chosen there by index."""

    def __init__(self, source: Source, *, ids: np.ndarray, truth: Tensor):
        self._bands_last = source.hardware.channels_last
        self._inputs: Tensor | None = None
        self._truth = truth
        for chunk, values in source.checked_chunks(ids):
            values = values.permute(0, 2, 3, 1) if self._bands_last else values
            if self._inputs is None:
                self._inputs = values.new_empty((len(ids), *values.shape[1:]))
            self._inputs[chunk] = values

    def __len__(self) -> int:
        return len(self._truth)

    def batches(self, indices: Sequence[np.ndarray]) -> Iterator[tuple[Tensor, Tensor]]:
        """Give inputs and labels of the galaxies asked for."""
        everything = torch.from_numpy(np.concatenate(indices)).to(self._truth.device)
        for index in everything.split([len(batch) for batch in indices]):
            inputs = self._inputs.index_select(0, index)
            yield inputs.permute(0, 3, 1, 2) if self._bands_last else inputs, self._truth[index]


class StreamedFeed:
    """Batches of a survey read from its files as they are needed, a few ahead."""

    def __init__(self, source: Source, *, ids: np.ndarray, truth: Tensor):
        self._source, self._truth = source, truth
        for _ in source.checked_chunks(ids):
            pass

    def __len__(self) -> int:
        return len(self._truth)

    def batches(self, indices: Sequence[np.ndarray]) -> Iterator[tuple[Tensor, Tensor]]:
        """Give inputs and labels of the galaxies asked for, as `HeldFeed.batches` does."""
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="astrolab-read") as reader:
            ahead = deque(reader.submit(self._read, index) for index in indices[:READ_AHEAD])
            for number in range(len(indices)):
                batch = ahead.popleft().result()
                if number + READ_AHEAD < len(indices):
                    ahead.append(reader.submit(self._read, indices[number + READ_AHEAD]))
                yield batch

    def _read(self, index: np.ndarray) -> tuple[Tensor, Tensor]:
        inputs = self._source.read(index)
        if self._source.hardware.channels_last:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        return inputs, self._truth[torch.from_numpy(index).to(self._truth.device)]


def make_feed(
    survey: Survey, *, input_name: str, truth: np.ndarray, scaling: Scaling, hardware: Hardware
) -> HeldFeed | StreamedFeed:
    """Put a survey where its batches can be drawn from, and check every number of it."""
    source = Source(survey.inputs[input_name], scaling=scaling, hardware=hardware)
    kind = HeldFeed if hardware.storage == "device" else StreamedFeed
    return kind(source, ids=survey.ids, truth=torch.from_numpy(truth).to(hardware.device))


Feed = HeldFeed | StreamedFeed
