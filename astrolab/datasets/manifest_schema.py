"""What a survey manifest says: one frozen dataclass a section, and the rules between the sections."""

# ruff: noqa: RUF009  (`holds` and `has` return dataclass fields)
from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from astrolab.datasets.manifest_values import (
    ADDRESSES,
    COUNT,
    COUNTS,
    FLAG,
    FOLDER_NAME,
    NUMBERS,
    PATH,
    PATHS,
    POSITIVE,
    RANGE,
    RENAMES,
    TABLE,
    TEXT,
    TEXTS,
    has,
    hexadecimal,
    holds,
    one_of,
)
from astrolab.errors import ConfigError, ManifestError

KINDS = ("images", "catalogue", "recipe")
SPLITS = ("train", "validation", "test")
FORMATS = ("csv", "fits", "parquet", "hdf5", "npz")
MAGNITUDE_UNITS = ("AB mag", "asinh mag", "Vega mag", "nJy", "uJy", "nanomaggy")
README = "data_manifests/README.md lists every key with a worked example."


@dataclass(frozen=True)
class Citation:
    """Whom to thank for a survey: reference keys, a sentence for the acknowledgements, BibTeX."""

    keys: tuple[str, ...] = holds(TEXTS, default=())
    text: str = holds(TEXT, default="")
    bibtex: str = holds(TEXT, default="")


@dataclass(frozen=True)
class Label:
    """The truth to be predicted: its name, the columns that may hold it (first found wins), its allowed range."""

    name: str = holds(TEXT)
    column: tuple[str, ...] = holds(TEXTS)
    range: tuple[float, float] | None = holds(RANGE, default=None)


@dataclass(frozen=True)
class ObjectId:
    """The column of object ids, and the scheme that says which surveys' ids may be compared."""

    column: str = holds(TEXT)
    scheme: str = holds(TEXT)


@dataclass(frozen=True)
class Sky:
    """The columns of right ascension and declination (deg, ICRS)."""

    ra: str = holds(TEXT)
    dec: str = holds(TEXT)


@dataclass(frozen=True)
class Image:
    """Cutouts: key of the array (n, band, y, x), or a key a band; bands, unit, pixel scale and sizes on disk (px)."""

    key: tuple[str, ...] = holds(TEXTS)
    bands: tuple[str, ...] = holds(TEXTS)
    unit: str = holds(TEXT, default="")
    pixel_scale_arcsec: float | None = holds(POSITIVE, default=None)
    sizes: tuple[int, ...] = holds(COUNTS, default=())


@dataclass(frozen=True)
class Magnitudes:
    """Photometry: one column a band, the values that mean "not measured", and the unit of the columns."""

    bands: tuple[str, ...] = holds(TEXTS)
    columns: tuple[str, ...] = holds(TEXTS)
    missing: tuple[float, ...] = holds(NUMBERS, default=())
    unit: str = holds(one_of(*MAGNITUDE_UNITS), default="AB mag")


@dataclass(frozen=True)
class Format:
    """How a file is to be read, where its name does not say it.

    ``delimiter = "whitespace"`` is any run of blanks. `names` replaces the header, which `skip_rows` skips
    (or `comment` marks). `table` is the FITS HDU (name or number), or the HDF5 group or compound dataset.
    """

    format: str = holds(one_of(*FORMATS))
    delimiter: str = holds(TEXT, default=",")
    comment: str | None = holds(TEXT, default=None)
    names: tuple[str, ...] = holds(TEXTS, default=())
    skip_rows: int = holds(COUNT, default=0)
    table: str | None = holds(TEXT, default=None)


@dataclass(frozen=True)
class FileEntry:
    """One file of a survey: where it lies, other names it goes by, what it holds, how to get it and prove it."""

    path: str = holds(PATH)
    aliases: tuple[str, ...] = holds(PATHS, default=())
    split: str | None = holds(one_of(*SPLITS), default=None)
    size: int | None = holds(COUNT, default=None)
    n: int | None = holds(COUNT, default=None)
    sha256: str | None = holds(hexadecimal(64), default=None)
    md5: str | None = holds(hexadecimal(32), default=None)
    bytes: int | None = holds(COUNT, default=None)
    about_gb: float | None = holds(POSITIVE, default=None)
    urls: tuple[str, ...] = holds(ADDRESSES, default=())

    @property
    def names(self) -> tuple[str, ...]:
        """Every relative path under which the file may be found, the published one first."""
        return (self.path, *self.aliases)

    @property
    def known_hash(self) -> str | None:
        """The published hash as ``"sha256:…"`` or ``"md5:…"``, or None if none is published."""
        if self.sha256:
            return f"sha256:{self.sha256}"
        return f"md5:{self.md5}" if self.md5 else None


@dataclass(frozen=True)
class Twin:
    """How a simulated survey is made: whose twin it is, by which simulator, how many galaxies, with which knobs."""

    of: str = holds(TEXT)
    simulator: str = holds(TEXT)
    n: int = holds(COUNT)
    knobs: dict[str, Any] = holds(TABLE, default={})


@dataclass(frozen=True)
class Recipe:
    """A survey combined from others: its members, and whose row is kept for a galaxy that several of them have."""

    members: tuple[str, ...] = holds(TEXTS)
    keep: str = holds(TEXT)


@dataclass(frozen=True)
class Manifest:
    """What one survey is, where its files are and how they are read; see ``data_manifests/README.md``.

    Attributes
    ----------
    name, title, version : str
        The name it is asked for by, its title in words, and the version that is part of its path on disk.
    kind : {"images", "catalogue", "recipe"}
        What its files hold; a recipe has none and combines other surveys.
    n : int or None
        How many galaxies it has, where the files do not say; see `n_galaxies`.
    files : tuple of FileEntry
        Every file, for all splits and image sizes.
    folder : Path or None
        Where a user's own survey lies, read in place; None for surveys kept in the data folder.

    Raises
    ------
    ManifestError
        If two statements contradict each other; all contradictions are named.
    """

    name: str = holds(FOLDER_NAME)
    title: str = holds(TEXT)
    version: str = holds(FOLDER_NAME)
    kind: str = holds(one_of(*KINDS))
    description: str = holds(TEXT, default="")
    homepage: str = holds(TEXT, default="")
    licence: str = holds(TEXT, default="")
    simulated: bool = holds(FLAG, default=False)
    n: int | None = holds(COUNT, default=None)
    citation: Citation = has(Citation, default=Citation())
    label: Label | None = has(Label)
    id: ObjectId | None = has(ObjectId)
    sky: Sky | None = has(Sky)
    image: Image | None = has(Image)
    magnitudes: Magnitudes | None = has(Magnitudes)
    columns: dict[str, str] = holds(RENAMES, default={})
    format: Format | None = has(Format)
    files: tuple[FileEntry, ...] = has(FileEntry, default=())
    twin: Twin | None = has(Twin)
    recipe: Recipe | None = has(Recipe)
    folder: Path | None = None

    def __post_init__(self):
        problems = list(_contradictions(self))
        if problems:
            raise manifest_error(self.name, problems=problems)

    def as_stored(self) -> Manifest:
        """Return the manifest of the same files with no column given a meaning.

        Returns
        -------
        Manifest
        """
        return replace(self, label=None, id=None, sky=None, magnitudes=None, columns={})

    @property
    def bands(self) -> tuple[str, ...]:
        """The bands of the images, or of the magnitudes where there are no images."""
        section = self.image or self.magnitudes
        return section.bands if section else ()

    @property
    def n_galaxies(self) -> int | None:
        """How many galaxies the survey has, a twin unless asked otherwise; None where nobody says."""
        counts = [entry.n for entry in self.files if entry.size in (None, self.size_on_disk())]
        in_files = sum(counts) if counts and None not in counts else None
        return self.n or (self.twin.n if self.twin else in_files)

    def size_on_disk(self, size: int | None = None) -> int | None:
        """Return the published image size (px) for a wanted one: the smallest that is as large; else the first."""
        sizes = self.image.sizes if self.image else ()
        if not sizes:
            return None
        large_enough = [sizes[0]] if size is None else sorted(s for s in sizes if s >= size)
        if not large_enough:
            raise ConfigError(
                f"Images of {size} px were asked for of {self.name!r}.",
                received=f"{size} px",
                available=", ".join(f"{s} px" for s in sizes) + " (smaller ones are cut from the centre)",
                remedy="Ask for a size that the survey has.",
            )
        return large_enough[0]

    def select_files(self, *, split: str | None = None, size: int | None = None) -> tuple[FileEntry, ...]:
        """Return the files of one image size (px, see `size_on_disk`), of one published split or of all."""
        on_disk = self.size_on_disk(size)
        files = [f for f in self.files if split in (None, f.split) and (f.size is None or f.size == on_disk)]
        if not files:
            raise ConfigError(
                f"The files of split {split!r}, size {size!r} of {self.name!r} were asked for.",
                received="no such file",
                available=", ".join(sorted({str(f.split) for f in self.files})) or "a survey without files",
                remedy="Leave the split away to get all files.",
            )
        return tuple(files)

    def entry_for(self, path: Path) -> FileEntry:
        """Return the manifest's entry for a file on disk, found by its name or an alias."""
        parts = Path(path).parts
        for entry in self.files:
            if any(parts[-len(name.parts) :] == name.parts for name in map(PurePosixPath, entry.names)):
                return entry
        raise ManifestError(
            f"The manifest of {self.name!r} was asked about a file.",
            received=str(path),
            available=", ".join(f.path for f in self.files),
            remedy="Rename the file as the manifest does, or add it under [[files]].",
        )


def _contradictions(manifest: Manifest) -> Iterator[str]:
    needs = {"images": ("image", "files"), "catalogue": ("format", "files"), "recipe": ("recipe",)}
    for section in needs[manifest.kind]:
        if not getattr(manifest, section):
            yield f"kind = {manifest.kind!r} needs the section [{section}]"
    for name in ("image", "magnitudes"):
        section = getattr(manifest, name)
        if section and len(set(section.bands)) < len(section.bands):
            yield f"[{name}] bands: a band is named twice: {', '.join(section.bands)}"
    if manifest.image and len(manifest.image.key) not in (1, len(manifest.image.bands)):
        yield f"[image]: {len(manifest.image.bands)} bands but {len(manifest.image.key)} keys; give one, or one a band"
    magnitudes = manifest.magnitudes
    if magnitudes and len(magnitudes.bands) != len(magnitudes.columns):
        yield f"[magnitudes]: {len(magnitudes.bands)} bands but {len(magnitudes.columns)} columns"
    if magnitudes:
        yield from (f"[magnitudes] columns: {name!r} is given for two bands" for name in _twice(magnitudes.columns))
        both = set(magnitudes.columns) & set(manifest.label.column if manifest.label else ())
        yield from (f"[label] column: {name!r} is an input too, one of [magnitudes] columns" for name in sorted(both))
    if manifest.image:
        yield from (f"[image] key: {name!r} is given for two bands" for name in _twice(manifest.image.key))
    if manifest.image and magnitudes and not set(magnitudes.bands) <= set(manifest.image.bands):
        yield "[magnitudes] bands: not among those of [image]; the same band must have the same name in both"
    for path in _twice(name for entry in manifest.files for name in entry.names):
        yield f"[[files]]: {path!r} is named twice"
    sizes = manifest.image.sizes if manifest.image else ()
    for entry in manifest.files:
        if entry.size is not None and entry.size not in sizes:
            yield f"[[files]] {entry.path!r}: size {entry.size} is not among [image] sizes"
    if manifest.twin and not manifest.simulated:
        yield "a survey with a [twin] section is simulated: it needs simulated = true"
    if manifest.recipe and manifest.name in manifest.recipe.members:
        yield "[recipe] members: a survey is no member of itself"
    if manifest.recipe and manifest.recipe.keep not in manifest.recipe.members:
        yield f"[recipe] keep: {manifest.recipe.keep!r} is not one of the members"


def _twice(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def manifest_error(name: str, *, problems: list[str]) -> ManifestError:
    """Build the one error that names everything wrong with a manifest, each problem in one line."""
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return ManifestError(
        f"The manifest of {name!r} was read.",
        received="\n    - ".join([count, *problems]),
        remedy=README,
    )
