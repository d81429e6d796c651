"""A twin survey on disk: the published files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import h5py
import numpy as np
import torch

from astrolab.datasets.manifest import FileEntry, Manifest
from astrolab.datasets.twins import write_once
from astrolab.datasets.twins.galaxies import SIMULATOR, HscTwinKnobs, twin_knobs
from astrolab.datasets.twins.galaxies.simulation import Block, simulate_blocks
from astrolab.errors import ConfigError, ManifestError
from astrolab.files import source_digest
from astrolab.progress import make_bar

SPLIT_FRACTIONS = {  # as published: 204,573 / 40,914 / 40,914 galaxies, and 80/10/10 %
    "galaxiesml": {"train": 204_573 / 286_401, "validation": 40_914 / 286_401, "test": 40_914 / 286_401},
    "transferz": {"train": 0.8, "validation": 0.1, "test": 0.1},
}
COLUMN_BYTES = 600  # of a galaxy's catalogue, about


def simulate(manifest: Manifest, *, n: int, seed: int, directory: Path, image_size: int | None = None) -> list[Path]:
    """Write the files of a twin, on a GPU if there is one: the galaxies are the same anywhere, their noise is not."""
    knobs = twin_knobs(manifest, image_size=image_size)
    counts = split_counts(n, layout=knobs.layout)
    entries = {entry.split: entry for entry in _entries(manifest, size=knobs.image_size)}

    def write(paths: list[Path]) -> None:
        with ExitStack() as stack:
            opened = [stack.enter_context(h5py.File(path, "w")) for path in paths]
            _fill(dict(zip(counts, opened, strict=True)), counts=counts, knobs=knobs, seed=seed)

    return write_once(
        directory,
        n=n,
        seed=seed,
        digest=settings_digest(knobs),
        names=[entries[split].path for split in counts],
        write=write,
        needed_bytes=n * (len(knobs.bands) * knobs.image_size**2 * 4 + COLUMN_BYTES),
    )


def split_counts(n: int, *, layout: str) -> dict[str, int]:
    """Divide galaxies into train, validation and test as the published files do; every part needs one."""
    edges = np.rint(n * np.cumsum([0.0, *SPLIT_FRACTIONS[layout].values()])).astype(int)
    counts = dict(zip(SPLIT_FRACTIONS[layout], np.diff(edges).tolist(), strict=True))
    if min(counts.values()) < 1:
        asked = "A twin survey was to be divided into train, validation and test."
        received = f"{n} galaxies"
        raise ConfigError(asked, received=received, available="10 galaxies or more", remedy="Ask for more galaxies.")
    return counts


def settings_digest(knobs: HscTwinKnobs) -> str:
    """SHA-256 of the settings and of the code that turns them into galaxies: a change makes another folder."""
    return hashlib.sha256(f"{_as_json(knobs)}{_code_digest()}".encode()).hexdigest()


@cache
def _code_digest() -> str:
    return source_digest(sorted(Path(__file__).parent.glob("*.py")))


def _as_json(knobs: HscTwinKnobs) -> str:
    return json.dumps(knobs.model_dump(), sort_keys=True)


def _entries(manifest: Manifest, *, size: int) -> list[FileEntry]:
    entries = [entry for entry in manifest.files if entry.size in (None, size) and entry.split]
    if sorted(entry.split for entry in entries) != ["test", "train", "validation"]:
        raise ManifestError(
            f"Files of {size} px images were to be written for {manifest.name!r}.",
            received=f"{len(entries)} of these in the manifest",
            available=", ".join(f"{entry.path} ({entry.size} px)" for entry in manifest.files),
            remedy="List one train, one validation and one test file of this size under [[files]].",
        )
    return entries


def _fill(files: Mapping[str, h5py.File], *, counts: Mapping[str, int], knobs: HscTwinKnobs, seed: int) -> None:
    """Write consecutive blocks into consecutive files, and into each that it is simulated, and how."""
    n, start = sum(counts.values()), 0
    device, edges = "cuda" if torch.cuda.is_available() else "cpu", np.cumsum([0, *counts.values()])
    shown = make_bar(f"simulating {knobs.layout}", total=n, unit="galaxy")
    for block in simulate_blocks(knobs, n=n, seed=seed, device=device):
        for (split, file), low, high in zip(files.items(), edges[:-1], edges[1:], strict=True):
            first, last = max(start, low), min(start + len(block), high)
            if first < last:
                _write(file, block.take(np.arange(first - start, last - start)), at=first - low, n=counts[split])
        start += len(block)
        shown.update(len(block))
    shown.close()
    for split, file in files.items():
        file.attrs.update({"simulated": True, "simulator": SIMULATOR, "seed": seed, "n_survey": n, "split": split})
        file.attrs.update({"knobs": _as_json(knobs), "digest": settings_digest(knobs)})
        file["image"].attrs["bands"] = list(knobs.letters)


def _write(file: h5py.File, piece: Block, *, at: int, n: int) -> None:
    for name, array in {"image": piece.images.cpu().numpy(), **piece.columns}.items():
        if array.dtype.kind == "S":  # published as a column of one
            array = array[:, None]
        if name not in file:
            file.create_dataset(name, shape=(n, *array.shape[1:]), dtype=array.dtype)
        file[name][at : at + len(array)] = array
