"""How a killed run goes on: one file an epoch, written whole or not at all, tied to what it was made with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from astrolab.errors import CheckpointError
from astrolab.files import DIGEST_PLACE, digest_fault, require_space, write_atomically, write_digest
from astrolab.trainers.state import TrainingState

FORMAT = 2
HEADER = "astrolab_training"


@dataclass(frozen=True)
class Checkpoint:
    """Where a training run is written down, if anywhere."""

    path: Path | None
    every: int
    identity: Mapping[str, Any]

    def restore(self, state: TrainingState) -> None:
        """Bring a training run to where it was written down; a run that never was stays as it is."""
        if self.path is not None and self.path.is_file():
            header, tensors = read_checkpoint(self.path, identity=self.identity)
            state.restore(header, tensors=tensors)

    def save(self, state: TrainingState) -> None:
        """Write a training run down, if it is time to."""
        due = state.stopped is not None or len(state.history) % self.every == 0
        if self.path is not None and due:
            header = {"identity": self.identity, **state.to_header()}
            write_checkpoint(self.path, header=header, tensors=state.to_tensors())


def write_checkpoint(path: Path, *, header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write the state of a training run; a reader sees the old file or the new one, never half of either."""
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    require_space(path, needed_bytes=sum(tensor.nbytes for tensor in on_cpu.values()))
    text = json.dumps({"format": FORMAT, **header, "file_digest": DIGEST_PLACE})
    with write_atomically(path) as part:
        save_file(on_cpu, part, metadata={HEADER: text})
        write_digest(part)


def read_checkpoint(path: Path, *, identity: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read the header and the tensors of a training run, after proof that the file is whole and of the same run."""
    if fault := digest_fault(path):
        raise _unusable(path, received=fault)
    with safe_open(path, framework="pt", device="cpu") as file:
        header = json.loads(file.metadata()[HEADER])
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    if header["format"] != FORMAT:
        raise _unusable(path, received=f"a checkpoint of format {header['format']} instead of {FORMAT}")
    different = list(differences(header["identity"], other=identity))
    if different:
        raise _unusable(path, received="a checkpoint of another run; " + "; ".join(different))
    return header, tensors


def differences(there: Mapping[str, Any], *, other: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Name what differs between two nested mappings: one in the checkpoint, the other as asked for now.

    >>> list(differences({"config": {"seed": 0}}, other={"config": {"seed": 1}}))
    ['config.seed was 0, is 1']
    """
    for name in sorted({*there, *other}):
        was, now = there.get(name), other.get(name)
        if isinstance(was, Mapping) and isinstance(now, Mapping):
            yield from differences(was, other=now, prefix=f"{prefix}{name}.")
        elif was != now:
            yield f"{prefix}{name} was {_short(was)}, is {_short(now)}"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 24 else text[:12] + "…"


def _unusable(path: Path, *, received: str) -> CheckpointError:
    return CheckpointError(
        f"Training was to go on from {path.name}.",
        received=received,
        remedy=f"Ask for the run as it was, or move {path} away to train from the beginning.",
    )
