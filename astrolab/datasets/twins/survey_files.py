"""A twin survey on disk: the published files, written once, whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import h5py
import numpy as np
import torch
from filelock import FileLock

from astrolab.datasets.digests import digest_file
from astrolab.datasets.fetching import survey_dir
from astrolab.datasets.manifest import FileEntry, Manifest
from astrolab.datasets.twins.knobs import HscTwinKnobs
from astrolab.datasets.twins.simulation import Block, simulate_blocks
from astrolab.errors import ChecksumError, ConfigError, ManifestError, unknown_name
from astrolab.files import require_space, source_digest, write_atomically

SIMULATORS = ("hsc_grizy",)
SPLIT_FRACTIONS = {  # as published: 204,573 / 40,914 / 40,914 galaxies, and 80/10/10 %
    "galaxiesml": {"train": 204_573 / 286_401, "validation": 40_914 / 286_401, "test": 40_914 / 286_401},
    "transferz": {"train": 0.8, "validation": 0.1, "test": 0.1},
}
WRITTEN = "files.json"  # numbers of galaxies and digests of the files beside it
COLUMN_BYTES = 600  # of a galaxy's catalogue, about


def simulate_survey(
    manifest: Manifest,
    *,
    n: int,
    seed: int,
    directory: str | Path | None = None,
    device: str = "auto",
    image_size: int | None = None,
) -> list[Path]:
    """Write a twin survey's files, unless they are there already.

    Parameters
    ----------
    manifest : Manifest
        Of a twin; its ``[twin.knobs]`` are the fields of `HscTwinKnobs`.
    n : int
        Number of galaxies in all splits together.
    seed : int
        Twins simulated with the same seed share their common galaxies.
    directory : path, optional
        Where the survey's folder is made, instead of the data folder.
    device : str
        ``"auto"`` takes a GPU if there is one. The galaxies are the same on any device, their noise is not.
    image_size : int, optional
        One of the published sizes (px), instead of the knob.

    Returns
    -------
    list of Path
        Training, validation and test file, named as published, in a folder named after n, seed, settings and code.

    Raises
    ------
    ManifestError
        If the manifest is not of a twin, or names no files of this size.
    UnknownNameError, ConfigError
        If a knob does not exist or is outside what it can be, or n is too small for three splits.
    DiskFullError
        If the files would not fit.
    ChecksumError
        If files that are there are not as they were written.
    """
    knobs = twin_knobs(manifest, image_size=image_size)
    counts = split_counts(n, schema=knobs.schema)
    home = Path(directory) if directory else survey_dir(manifest)
    device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    folder = home / f"n{n}-s{seed}-{settings_digest(knobs)[:8]}"
    paths = {entry.split: folder / entry.path for entry in _entries(manifest, size=knobs.image_size)}
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / f".{folder.name}.lock"):
        if not all(path.is_file() for path in (*paths.values(), folder / WRITTEN)):
            stamp = len(knobs.bands) * knobs.image_size**2 * 4 + COLUMN_BYTES
            require_space(folder, needed_bytes=n * stamp)
            with ExitStack() as stack:
                files = {split: stack.enter_context(_whole_file(paths[split])) for split in counts}
                _fill(files, counts=counts, knobs=knobs, seed=seed, device=device)
            written = {paths[split].name: {"n": n, "sha256": digest_file(paths[split])} for split, n in counts.items()}
            with write_atomically(folder / WRITTEN) as part:
                part.write_text(json.dumps(written, indent=1), encoding="utf-8")
        _require_as_written(folder)
    return [paths[split] for split in counts]


def _require_as_written(folder: Path) -> None:
    """Refuse files that are not what was simulated into the folder."""
    try:
        written = json.loads((folder / WRITTEN).read_text(encoding="utf-8"))
        changed = [name for name, what in written.items() if digest_file(folder / name) != what["sha256"]]
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        changed = [WRITTEN]
    if changed:
        raise ChecksumError(
            f"The simulated files in {folder} were compared with their digests in {WRITTEN}.",
            received=f"{', '.join(changed)}: changed since, or damaged",
            remedy=f"Remove the folder {folder}: it is simulated again when asked for.",
        )


def twin_knobs(manifest: Manifest, *, image_size: int | None = None) -> HscTwinKnobs:
    """Give the settings of a manifest's twin, `image_size` instead of the manifest's."""
    if manifest.twin is None:
        raise ManifestError(
            f"The survey {manifest.name!r} was to be simulated.",
            received="a manifest without [twin]",
            remedy="Ask for a twin, such as twin-galaxiesml, or add [twin] to the manifest.",
        )
    if manifest.twin.simulator not in SIMULATORS:
        raise unknown_name("simulator", name=manifest.twin.simulator, names=SIMULATORS)
    knobs = HscTwinKnobs.from_mapping({"schema": manifest.twin.of, **manifest.twin.knobs})
    return replace(knobs, image_size=image_size) if image_size else knobs


def split_counts(n: int, *, schema: str) -> dict[str, int]:
    """Divide galaxies into train, validation and test as the published files do; every part needs one."""
    edges = np.rint(n * np.cumsum([0.0, *SPLIT_FRACTIONS[schema].values()])).astype(int)
    counts = dict(zip(SPLIT_FRACTIONS[schema], np.diff(edges).tolist(), strict=True))
    if min(counts.values()) < 1:
        raise ConfigError(
            "A twin survey was to be divided into train, validation and test.",
            received=f"{n} galaxies",
            available="10 galaxies or more",
            remedy="Ask for more galaxies.",
        )
    return counts


def settings_digest(knobs: HscTwinKnobs) -> str:
    """SHA-256 of the settings and of the code that turns them into galaxies: a change makes another folder."""
    return hashlib.sha256(f"{knobs.digest}{_simulator_digest()}".encode()).hexdigest()


@cache
def _simulator_digest() -> str:
    return source_digest(sorted(Path(__file__).parent.glob("*.py")))


def _entries(manifest: Manifest, *, size: int) -> list[FileEntry]:
    entries = [entry for entry in manifest.files if entry.size == size and entry.split]
    if {entry.split for entry in entries} != {"train", "validation", "test"}:
        raise ManifestError(
            f"Files of {size} px images were to be written for {manifest.name!r}.",
            received=f"{len(entries)} of these in the manifest",
            available=", ".join(f"{entry.path} ({entry.size} px)" for entry in manifest.files),
            remedy="List a train, a validation and a test file of this size under [[files]].",
        )
    return entries


@contextmanager
def _whole_file(path: Path) -> Iterator[h5py.File]:
    with write_atomically(path) as part, h5py.File(part, "w") as file:
        yield file


def _fill(
    files: Mapping[str, h5py.File], *, counts: Mapping[str, int], knobs: HscTwinKnobs, seed: int, device: str
) -> None:
    """Write consecutive blocks into consecutive files."""
    n = sum(counts.values())
    edges = np.cumsum([0, *counts.values()])
    start = 0
    for block in simulate_blocks(knobs, n=n, seed=seed, device=device):
        for (split, file), low, high in zip(files.items(), edges[:-1], edges[1:], strict=True):
            first, last = max(start, low), min(start + len(block), high)
            if first < last:
                piece = block.take(np.arange(first - start, last - start))
                _write(file, piece, at=first - low, n=counts[split])
        start += len(block)
    for split, file in files.items():
        _describe(file, knobs=knobs, seed=seed, n=n, split=split)


def _write(file: h5py.File, piece: Block, *, at: int, n: int) -> None:
    arrays = {"image": piece.images.cpu().numpy(), **piece.columns}
    for name, array in arrays.items():
        if array.dtype.kind == "S":  # published as a column of one
            array = array[:, None]
        if name not in file:
            file.create_dataset(name, shape=(n, *array.shape[1:]), dtype=array.dtype)
        file[name][at : at + len(array)] = array


def _describe(file: h5py.File, *, knobs: HscTwinKnobs, seed: int, n: int, split: str) -> None:
    """Say in the file itself that it is simulated, and how."""
    about = {"simulated": True, "simulator": SIMULATORS[0], "seed": seed, "n_survey": n, "split": split}
    file.attrs.update(about)
    file.attrs["knobs"] = json.dumps(asdict(knobs), sort_keys=True)
    file.attrs["digest"] = settings_digest(knobs)
    file["image"].attrs["bands"] = list(knobs.letters)
