"""A twin survey on disk: the published files, written once, whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import h5py
import numpy as np
import torch
from filelock import FileLock

from astrolab.datasets.fetch import survey_dir
from astrolab.datasets.manifest_schema import FileEntry, Manifest
from astrolab.datasets.twins.knobs import HscTwinKnobs
from astrolab.datasets.twins.simulation import Block, simulate_blocks
from astrolab.errors import ConfigError, ManifestError, unknown_name
from astrolab.files import require_space, write_atomically

SIMULATORS = ("hsc_grizy",)
SPLIT_FRACTIONS = {  # as published: 204,573 / 40,914 / 40,914 galaxies, and 80/10/10 %
    "galaxiesml": {"train": 204_573 / 286_401, "validation": 40_914 / 286_401, "test": 40_914 / 286_401},
    "transferz": {"train": 0.8, "validation": 0.1, "test": 0.1},
}
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
    """
    knobs = twin_knobs(manifest, image_size=image_size)
    counts = split_counts(n, schema=knobs.schema)
    home = Path(directory) if directory else survey_dir(manifest)
    device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    folder = home / f"n{n}-s{seed}-{settings_digest(knobs)[:8]}"
    paths = {entry.split: folder / entry.path for entry in _entries(manifest, size=knobs.image_size)}
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / f".{folder.name}.lock"):
        if not all(path.is_file() for path in paths.values()):
            stamp = len(knobs.bands) * knobs.image_size**2 * 4 + COLUMN_BYTES
            require_space(folder, needed_bytes=n * stamp)
            with ExitStack() as stack:
                files = {split: stack.enter_context(_whole_file(paths[split])) for split in counts}
                _fill(files, counts=counts, knobs=knobs, seed=seed, device=device)
    return [paths[split] for split in counts]


def twin_knobs(manifest: Manifest, *, image_size: int | None = None) -> HscTwinKnobs:
    """Give the settings of a manifest's twin.

    Parameters
    ----------
    manifest : Manifest
    image_size : int, optional
        Instead of the manifest's.

    Returns
    -------
    HscTwinKnobs

    Raises
    ------
    ManifestError
        If the manifest is not of a twin.
    UnknownNameError, ConfigError
        If a knob does not exist or is outside what it can be.
    """
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
    """Divide galaxies as the published files do.

    Parameters
    ----------
    n : int
    schema : {"galaxiesml", "transferz"}

    Returns
    -------
    dict of str to int
        Numbers of train, validation and test galaxies.

    Raises
    ------
    ConfigError
        If a part would be empty.
    """
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
    """SHA-256 of the settings and of the code that turns them into galaxies.

    Parameters
    ----------
    knobs : HscTwinKnobs

    Returns
    -------
    str
        Hexadecimal. A change of either makes other files, in another folder.
    """
    code = hashlib.sha256(knobs.digest.encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        code.update(path.read_bytes())
    return code.hexdigest()


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
