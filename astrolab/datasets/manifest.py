"""Survey manifests in TOML: what a survey is, where its files are, how they are read; all problems named at once."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from string import Formatter
from typing import Annotated, Any, Literal

import numpy as np
import pooch
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from astrolab.errors import ConfigError, DataNotFoundError, ManifestError, require_known
from astrolab.files import write_atomically
from astrolab.parameters import shipped_folder
from astrolab.settings import Settings, problems_of
from astrolab.tasks import TASKS, InputSpec, Quantity, Task, find_quantity, make_task

SPLITS = ("train", "validation", "test")
FLUX_UNITS = {"nJy": 31.4, "uJy": 23.9, "nanomaggy": 22.5}  # AB zero points (Oke & Gunn 1983, ApJ 266, 713)
README = "data_manifests/README.md lists every key with a worked example."


def _stays_inside(path: str) -> str:
    parts = PurePosixPath(path.replace("\\", "/")).parts
    if path in ("", ".") or path.startswith("/") or PureWindowsPath(path).anchor or ".." in parts:
        raise ValueError("must be a path inside the survey's folder (not absolute, without '..')")
    return path


Text = Annotated[str, Field(strict=True)]
Texts = Annotated[tuple[Text, ...], BeforeValidator(lambda v: (v,) if isinstance(v, str) else v), Field(min_length=1)]
Count = Annotated[int, Field(ge=0, strict=True)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
Number = Annotated[float, Field(allow_inf_nan=False, strict=True)]
FolderName = Annotated[Text, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
FilePath = Annotated[Text, AfterValidator(_stays_inside)]
Address = Annotated[Text, Field(pattern=r"^https?://\S+$")]


class Citation(Settings):
    """Whom to thank for a survey: reference keys, a sentence for the acknowledgements, BibTeX."""

    keys: tuple[Text, ...] = ()
    text: Text = ""
    bibtex: Text = ""


class Label(Settings):
    """A label: the columns that may hold it (the first found wins), and what differs from the known quantity."""

    name: Text
    column: Texts
    missing: tuple[Number, ...] = ()
    weight: Text | None = None
    words: Text | None = None
    unit: Text | None = None
    error: Literal["plain", "per_one_plus"] | None = None
    scored: tuple[Number, Number] | None = None
    possible: tuple[Number, Number] | None = None
    outlier: Positive | None = None

    @property
    def quantity(self) -> Quantity:
        """The quantity, as this manifest has it."""
        said = self.model_dump(exclude={"name", "column", "missing", "weight"}, exclude_none=True)
        return find_quantity(self.name, **said)

    @model_validator(mode="after")
    def _can_be(self) -> Label:
        try:
            _ = self.quantity
        except ConfigError as error:
            raise ValueError(error.received) from error
        return self


class ObjectId(Settings):
    """The column of object ids, and the scheme that says which surveys' ids may be compared."""

    column: Text
    scheme: Text


class Sky(Settings):
    """The columns of right ascension and declination (deg, ICRS)."""

    ra: Text
    dec: Text


class Input(Settings):
    """What a network may see: an array (`key`, or one a channel), or one table column a channel (`columns`).

    `grid` are its wavelengths (Å), or the key that holds them; `companions` are arrays beside it, by name;
    `resolution` is one number, or pairs (wavelength, R) that are interpolated onto the grid. Where each object has a
    file of its own, `files` is its path, with columns of the table in braces, and `file_format` how it is read.
    """

    files: FilePath | None = None
    file_format: Literal["lamost", "desi", "fits1d", "fits", "npz"] = "fits1d"
    key: Texts | None = None
    columns: Texts | None = None
    channels: tuple[Text, ...] = ()
    axes: tuple[Text, ...] = ()
    unit: Text = ""
    scale_arcsec: Positive | None = None
    sizes: tuple[Count, ...] = ()
    grid: Text | tuple[Positive, ...] = ()
    missing: tuple[Number, ...] = ()
    companions: dict[Text, Text] = Field(default={})
    medium: Literal["vacuum", "air", ""] = ""
    resolution: Positive | Annotated[tuple[tuple[Positive, Positive], ...], Field(min_length=1)] | None = None
    velocity: Text = ""

    @property
    def is_table(self) -> bool:
        """Whether it is made of table columns."""
        return self.columns is not None

    @property
    def spec(self) -> InputSpec:
        """What the survey says of it; a flux in columns becomes a magnitude; a grid in the file is added on reading."""
        default = ("band",) if self.is_table else ("pixel",) if self.grid else ("band", "y", "x")
        unit = "AB mag" if self.is_table and self.unit in FLUX_UNITS else self.unit
        spectral = {"companions": self.companions, "medium": self.medium, "velocity": self.velocity}
        bare = InputSpec(self.axes or default, self.channels, unit, (), self.scale_arcsec, **spectral)
        return self.on_grid(bare, grid=() if isinstance(self.grid, str) else self.grid)

    def on_grid(self, spec: InputSpec, *, grid: Sequence[float]) -> InputSpec:
        """Give a spec the wavelengths that were found, and the resolution there."""
        resolution = (self.resolution,) if isinstance(self.resolution, float) else ()
        if isinstance(self.resolution, tuple) and len(grid):
            resolution = np.interp(grid, *zip(*self.resolution, strict=True)).tolist()
        return replace(spec, grid=grid, resolution=resolution)

    @property
    def in_path(self) -> dict[str, bool]:
        """The columns that the path of an object's file is made of, and whether they are put there as text."""
        return {name: not form for _, name, form, _ in Formatter().parse(self.files or "") if name}

    @model_validator(mode="after")
    def _hangs_together(self) -> Input:
        if (self.key is None) == (self.columns is None):
            raise ValueError("give either key (an array) or columns (one a channel)")
        _ = self.in_path  # braces that do not close are a ValueError
        names, n = self.columns or self.key, len(self.channels)
        counted, kind = self.is_table or len(names) > 1, "columns" if self.is_table else "keys"
        checks = {
            f"a channel is named twice: {', '.join(self.channels)}": len(set(self.channels)) < n,
            f"{n} channels but {len(names)} {kind}": counted and len(names) != n,
            f"one column or key for several channels: {', '.join(names)}": len(set(names)) < len(names),
            "missing values are those of columns; write NaN into an array": self.missing and not self.is_table,
            "images need channels, the names of their bands": len(self.spec.axes) == 3 and not self.channels,
        }
        if isinstance(self.resolution, tuple):
            waves = [wave for wave, _ in self.resolution]
            checks["a resolution by wavelength needs a grid"] = not self.grid
            checks["the wavelengths of the resolution must ascend"] = sorted(set(waves)) != waves
        for problem, is_there in checks.items():
            if is_there:
                raise ValueError(problem)
        return self


class Format(Settings):
    """How a file is read; `names` replaces the header; `table` is a FITS HDU, or an HDF5 group or compound dataset."""

    format: Literal["csv", "fits", "parquet", "hdf5", "npz", "lamost", "desi", "fits1d"]
    delimiter: Text = ","
    comment: Text | None = None
    names: tuple[Text, ...] = ()
    skip_rows: Count = 0
    table: Text | None = None


class Join(Format):
    """A table whose columns belong to the objects: those of the row in which `on` is what the column `by` is."""

    path: FilePath
    by: Text
    on: Text | None = None
    only: Text | None = None


class FileEntry(Settings):
    """One file of a survey: where it lies, other names it goes by, what it holds, how to get it and prove it."""

    path: FilePath
    aliases: tuple[FilePath, ...] = ()
    split: Literal[SPLITS] | None = None
    size: Count | None = None
    n: Count | None = None
    sha256: Annotated[Text, Field(pattern=r"^[0-9a-fA-F]{64}$"), AfterValidator(str.lower)] | None = None
    md5: Annotated[Text, Field(pattern=r"^[0-9a-fA-F]{32}$"), AfterValidator(str.lower)] | None = None
    bytes: Count | None = None
    about_gb: Positive | None = None
    urls: tuple[Address, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Every relative path under which the file may be found, the published one first."""
        return (self.path, *self.aliases)

    @property
    def known_hash(self) -> str | None:
        """The published hash as ``"sha256:…"`` or ``"md5:…"``, or None if none is published."""
        return f"sha256:{self.sha256}" if self.sha256 else f"md5:{self.md5}" if self.md5 else None


class Twin(Settings):
    """How a simulated survey is made: whose twin it is, by which simulator, how many objects, with which knobs."""

    of: Text
    simulator: Text
    n: Count
    knobs: dict[str, Any] = Field(default={})


class Recipe(Settings):
    """A survey combined from others: its members, and whose row is kept for an object that several of them have."""

    members: Texts
    keep: Text


class Manifest(Settings):
    """What one survey is, where its files are and how they are read; see ``data_manifests/README.md``."""

    name: FolderName
    title: Text
    version: FolderName
    objects: Text = "galaxies"
    description: Text = ""
    homepage: Text = ""
    licence: Text = ""
    simulated: Annotated[bool, Field(strict=True)] = False
    n: Count | None = None
    where: Text = ""
    split: tuple[()] | tuple[Positive, Positive, Positive] = ()
    keep_unmeasured: Annotated[bool, Field(strict=True)] = False
    citation: Citation = Citation()
    task_name: Text | None = Field(default=None, alias="task")
    labels: tuple[Label, ...] = Field(default=(), alias="label")
    id: ObjectId | None = None
    sky: Sky | None = None
    inputs: dict[FolderName, Input] = Field(default={}, alias="input")
    columns: dict[Text, Text] = Field(default={})
    format: Format = Format(format="hdf5")
    files: tuple[FileEntry, ...] = ()
    joins: tuple[Join, ...] = Field(default=(), alias="join")
    twin: Twin | None = None
    recipe: Recipe | None = None
    folder: Path | None = None

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> Manifest:
        photometry = self.inputs.get("magnitudes")
        if photometry and photometry.is_table and not photometry.unit:
            self.inputs["magnitudes"] = photometry.model_copy(update={"unit": "AB mag"})
        problems = list(_contradictions(self))
        if problems:
            raise ValueError("\n    - ".join(problems))
        return self

    def with_changes(self, **changes: Any) -> Manifest:
        """Give the same manifest with some fields changed."""
        return self.model_copy(update=changes)

    @property
    def task(self) -> Task:
        """What its labels ask of a network."""
        labels = tuple(label.quantity for label in self.labels)
        return make_task(labels) if self.task_name is None else replace(TASKS[self.task_name], labels=labels)

    @property
    def n_objects(self) -> int | None:
        """How many objects the survey has, a twin unless asked otherwise; None where nothing says."""
        counts = [entry.n for entry in self.files if entry.size in (None, self.size_on_disk())]
        in_files = sum(counts) if counts and None not in counts else None
        return self.n or (self.twin.n if self.twin else in_files)

    def size_on_disk(self, size: int | None = None) -> int | None:
        """Give the published image size (px) that serves a wanted one: the next larger, by default the first listed."""
        sizes = next((one.sizes for one in self.inputs.values() if one.sizes), ())
        large_enough = list(sizes[:1] or [None]) if size is None or not sizes else sorted(s for s in sizes if s >= size)
        if not large_enough:
            asked = f"Images of {size} px were asked for of {self.name!r}."
            available = ", ".join(f"{s} px" for s in sizes) + " (smaller ones are cut from the centre)"
            remedy = "Ask for a size that the survey has."
            raise ConfigError(asked, received=f"{size} px", available=available, remedy=remedy)
        return large_enough[0]

    def select_files(self, *, split: str | None = None, size: int | None = None) -> tuple[FileEntry, ...]:
        """Give the files of one image size, of one published split or of all."""
        on_disk = self.size_on_disk(size)
        files = [f for f in self.files if split in (None, f.split) and (f.size is None or f.size == on_disk)]
        if not files:
            asked = f"The files of split {split!r}, size {size!r} of {self.name!r} were asked for."
            available = ", ".join(sorted({str(f.split) for f in self.files})) or "a survey without files"
            remedy = "Leave the split away to get all files."
            raise ConfigError(asked, received="no such file", available=available, remedy=remedy)
        return tuple(files)

    def entry_for(self, path: Path) -> FileEntry:
        """Give the manifest's entry for a file on disk, found by its name or an alias."""
        parts = Path(path).parts
        for entry in self.files:
            if any(parts[-len(name.parts) :] == name.parts for name in map(PurePosixPath, entry.names)):
                return entry
        asked = f"The manifest of {self.name!r} was asked about a file."
        remedy = "Rename the file as the manifest does, or add it under [[files]]."
        raise ManifestError(asked, received=str(path), available=", ".join(f.path for f in self.files), remedy=remedy)


def _contradictions(manifest: Manifest) -> Iterator[str]:
    names, recipe = tuple(label.name for label in manifest.labels), manifest.recipe
    known = TASKS[manifest.task_name].label_names if manifest.task_name in TASKS else None
    has_format = "format" in manifest.model_fields_set
    if not recipe and not manifest.inputs:
        yield "a survey needs an [input.<name>] section: a network must have something to see"
    if not recipe and not manifest.files:
        yield "a survey needs [[files]]"
    if not recipe and not has_format and all(one.is_table or one.files for one in manifest.inputs.values()):
        yield "table columns need the section [format], which says how the file is written"
    if manifest.split and abs(sum(manifest.split) - 1) > 1e-9:
        yield f"split: the shares of train, validation and test add up to {sum(manifest.split):g}, not to 1"
    if len(set(names)) < len(names):
        yield f"[[label]]: a label is named twice: {', '.join(names)}"
    if manifest.task_name is not None and known is None:
        yield f"task: {manifest.task_name!r} is not known; known are {', '.join(TASKS)}"
    elif known not in (None, names):
        yield f"task: {manifest.task_name!r} has the labels {', '.join(known)}"
    seen = {column for one in manifest.inputs.values() for column in one.columns or one.key}
    for label in manifest.labels:
        for column in seen & set(label.column):
            yield f"[[label]] {label.name}: its column {column!r} is an input too; the network would see the answer"
    for path, n_entries in Counter(name for f in manifest.files for name in f.names).items():
        if n_entries > 1:
            yield f"[[files]]: {path!r} is named {n_entries} times"
    if len({entry.split is None for entry in manifest.files}) > 1:
        yield "[[files]]: give a split to every entry, or to none"
    sizes = {None, *(size for one in manifest.inputs.values() for size in one.sizes)}
    for entry in manifest.files:
        if entry.size not in sizes:
            yield f"[[files]] {entry.path!r}: size {entry.size} is not among the sizes of an input"
    if manifest.twin and not manifest.simulated:
        yield "a survey with a [twin] section is simulated: it needs simulated = true"
    if recipe and manifest.name in recipe.members:
        yield "[recipe] members: a survey is no member of itself"
    if recipe and recipe.keep not in recipe.members:
        yield f"[recipe] keep: {recipe.keep!r} is not one of the members"


def manifest_error(name: str, *, problems: list[str]) -> ManifestError:
    """Build the one error that names everything wrong with a manifest."""
    listed = "\n    - ".join([f"{len(problems)} problem{'s' * (len(problems) != 1)}", *problems])
    return ManifestError(f"The manifest of {name!r} was read.", received=listed, remedy=README)


_INHERITED = ("objects", "task", "label", "id", "sky", "input", "columns", "format", "files")
_READ_TITLES: dict[str, str] = {}  # of surveys read from a file, by name: figures name them so
_OF_THE_ORIGINAL = ("sha256", "md5", "bytes", "about_gb", "n", "urls")


def data_dir() -> Path:
    """Return the folder of all surveys: ``$ASTROLAB_DATA_DIR``, or the system's cache; it need not exist yet."""
    return Path(os.environ.get("ASTROLAB_DATA_DIR") or pooch.os_cache("astrolab")).expanduser().absolute()


def registry_dir() -> Path:
    """Give the folder of the manifests that this user has imported; it need not exist yet."""
    return data_dir() / "manifests"


def list_manifests() -> tuple[str, ...]:
    """Return the names of all surveys that can be asked for, shipped and imported, sorted.

    >>> "galaxiesml" in list_manifests()
    True
    """
    imported = (path.stem for path in registry_dir().glob("*.toml"))
    return tuple(sorted({*shipped_manifests(), *imported}))


def shipped_manifests() -> tuple[str, ...]:
    """Give the names of the surveys that come with astrolab."""
    return tuple(sorted(path.stem for path in shipped_folder("data_manifests").glob("*.toml")))


def load_manifest(name_or_path: str | Path | Manifest) -> Manifest:
    """Return the manifest of a survey, by its name or from a ``.toml`` file, beside which its files lie.

    A manifest is returned as it is. If it is wrong, a ManifestError names every problem.

    >>> load_manifest("galaxiesml").inputs["image"].channels
    ('hsc-g', 'hsc-r', 'hsc-i', 'hsc-z', 'hsc-y')
    """
    if isinstance(name_or_path, Manifest):
        return name_or_path
    if isinstance(name_or_path, Path) or name_or_path.endswith(".toml") or "/" in name_or_path:
        path = Path(name_or_path).expanduser()
        manifest = parse_manifest(_inherit(_read(path)), where=str(path), folder=path.absolute().parent)
        _READ_TITLES[manifest.name] = manifest.title
        return manifest
    name = str(name_or_path)
    if name in shipped_manifests():
        return parse_manifest(_inherit(_read(shipped_folder("data_manifests") / f"{name}.toml")), where=name)
    require_known("survey", name=name, names=list_manifests())
    path = registry_dir() / f"{name}.toml"
    table = _read(path)
    folder = table.pop("folder", None)
    if not isinstance(folder, str):
        raise manifest_error(str(path), problems=["folder: missing, the one that holds the survey; import it again"])
    return parse_manifest(_inherit(table), where=str(path), folder=Path(folder))


def title_of(name: str) -> str:
    """Give the title of a survey that can be asked for by name or was read from a file; any other has its name."""
    return load_manifest(name).title if name in list_manifests() else _READ_TITLES.get(name, name)


def register(manifest: Manifest, *, text: str) -> Path:
    """Keep a user's manifest so that its survey, which stays where it is, can be asked for by name."""
    path = registry_dir() / f"{manifest.name}.toml"
    folder = json.dumps(str(manifest.folder))  # a TOML basic string escapes what JSON escapes
    with write_atomically(path) as part:
        part.write_text(f"folder = {folder}\n\n{text}", encoding="utf-8")
    return path


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        asked = "A survey manifest was asked for by its path."
        available = ", ".join(list_manifests()) + " (by name)"
        remedy = f"Check the path. {README}"
        raise DataNotFoundError(asked, received=f"no file {path}", available=available, remedy=remedy) from error
    except (ValueError, OSError) as error:
        asked, remedy = f"The manifest {path} was read.", f"Correct the line. {README}"
        raise ManifestError(asked, received=f"not TOML: {error}", remedy=remedy) from error


def _inherit(table: dict[str, Any]) -> dict[str, Any]:
    """A twin is laid out as the survey it stands for, unless its own manifest says otherwise."""
    twin = table.get("twin")
    if not isinstance(twin, dict) or twin.get("of") not in shipped_manifests():
        return table
    original = _read(shipped_folder("data_manifests") / f"{twin['of']}.toml")
    inherited = {name: original[name] for name in _INHERITED if name in original}
    for entry in inherited["files"]:
        for name in _OF_THE_ORIGINAL:
            entry.pop(name, None)
    return {**inherited, **table, "input": {**inherited.get("input", {}), **table.get("input", {})}}


def parse_manifest(table: Mapping[str, Any], *, where: str, folder: Path | None = None) -> Manifest:
    """Turn the tables of a TOML manifest into a `Manifest`, or name everything that is wrong with them."""
    try:
        return Manifest(**table, folder=folder)
    except ValidationError as error:
        raise manifest_error(where, problems=_in_toml_words(problems_of(error))) from error


def _in_toml_words(problems: list[str]) -> list[str]:
    """Places as the file spells them: ``[[files]] 2 path`` for ``files.1.path``."""
    found = []
    for problem in problems:
        place, _, rest = problem.partition(": ")
        match = re.fullmatch(r"(label|files|join)\.(\d+)(?:\.(.*))?", place)
        section = re.fullmatch(r"(input\.[^.]+|id|sky|format|twin|recipe|citation)(?:\.(.*))?", place)
        if match:
            place = f"[[{match[1]}]] number {int(match[2]) + 1}" + (f" {match[3]}" if match[3] else "")
        elif section:
            place = f"[{section[1]}]" + (f" {section[2]}" if section[2] else "")
        found.append(f"{place}: {rest}" if rest else problem)
    return found
