"""Twin surveys: simulated objects with known truth and a known shift, in the real surveys' own file formats."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from pkgutil import resolve_name

from filelock import FileLock

from astrolab.datasets.digests import digest_file
from astrolab.datasets.fetching import survey_dir
from astrolab.datasets.manifest import Manifest
from astrolab.errors import ChecksumError, require_known
from astrolab.files import require_space, write_atomically

SIMULATORS = {
    "hsc_grizy": "astrolab.datasets.twins.galaxies.files:simulate",
    "stellar_spectra": "astrolab.datasets.twins.stars.files:simulate",
}
WRITTEN = "files.json"  # digests of the files beside it


def simulate_survey(
    manifest: Manifest,
    *,
    n: int,
    seed: int,
    directory: str | Path | None = None,
    image_size: int | None = None,
) -> list[Path]:
    """Write a twin survey's files, unless they are there already."""
    require_known("simulator", name=manifest.twin.simulator, names=SIMULATORS)
    simulate = resolve_name(SIMULATORS[manifest.twin.simulator])  # brings torch, h5py
    home = Path(directory) if directory else survey_dir(manifest)
    return simulate(manifest, n=n, seed=seed, directory=home, image_size=image_size)


def write_once(
    directory: Path,
    *,
    n: int,
    seed: int,
    digest: str,
    names: Sequence[str],
    write: Callable[[list[Path]], None],
    needed_bytes: int = 0,
) -> list[Path]:
    """Let `write` fill files of these names unless they are there, as their digests say; one process at a time."""
    folder = directory / f"n{n}-s{seed}-{digest[:8]}"
    paths = [folder / name for name in names]
    directory.mkdir(parents=True, exist_ok=True)
    with FileLock(directory / f".{folder.name}.lock"):
        if not all(path.is_file() for path in (*paths, folder / WRITTEN)):
            require_space(folder, needed_bytes=needed_bytes)
            with ExitStack() as stack:
                write([stack.enter_context(write_atomically(path)) for path in paths])
            written = {name: digest_file(path) for name, path in zip(names, paths, strict=True)}
            with write_atomically(folder / WRITTEN) as part:
                part.write_text(json.dumps(written, indent=1), encoding="utf-8")
        _require_as_written(folder)
    return paths


def _require_as_written(folder: Path) -> None:
    try:
        written = json.loads((folder / WRITTEN).read_text(encoding="utf-8"))
        changed = [name for name, digest in written.items() if digest_file(folder / name) != digest]
    except (OSError, ValueError, AttributeError):
        changed = [WRITTEN]
    if changed:
        asked = f"The simulated files in {folder} were compared with their digests in {WRITTEN}."
        remedy = f"Remove the folder {folder}: it is simulated again when asked for."
        raise ChecksumError(asked, received=f"{', '.join(changed)}: changed since, or damaged", remedy=remedy)
