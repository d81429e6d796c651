"""Survey manifests by name: what exists, where, whose; read from TOML with every problem named at once."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

from astrolab.datasets.manifest_schema import (
    FORMATS,
    KINDS,
    MAGNITUDE_UNITS,
    README,
    SPLITS,
    Citation,
    FileEntry,
    Format,
    Image,
    Label,
    Magnitudes,
    Manifest,
    ObjectId,
    Recipe,
    Sky,
    Twin,
    manifest_error,
)
from astrolab.datasets.places import registry_dir
from astrolab.errors import DataNotFoundError, ManifestError, unknown_name
from astrolab.files import write_atomically
from astrolab.parameters import shipped_folder

__all__ = [
    "FORMATS",
    "KINDS",
    "MAGNITUDE_UNITS",
    "SPLITS",
    "Citation",
    "FileEntry",
    "Format",
    "Image",
    "Label",
    "Magnitudes",
    "Manifest",
    "ObjectId",
    "Recipe",
    "Sky",
    "Twin",
    "list_manifests",
    "load_manifest",
    "parse_manifest",
    "shipped_manifests",
]

_INHERITED = ("kind", "label", "id", "sky", "image", "magnitudes", "columns", "format", "files")
_OF_THE_ORIGINAL = ("sha256", "md5", "bytes", "about_gb", "n", "urls")


def list_manifests() -> tuple[str, ...]:
    """Return the names of all surveys that can be asked for: those shipped and those imported.

    Returns
    -------
    tuple of str
        Sorted.

    Examples
    --------
    >>> "galaxiesml" in list_manifests()
    True
    """
    imported = (path.stem for path in registry_dir().glob("*.toml"))
    return tuple(sorted({*shipped_manifests(), *imported}))


def shipped_manifests() -> tuple[str, ...]:
    """Return the names of the surveys that come with astrolab, sorted."""
    return tuple(sorted(path.stem for path in shipped_folder("data_manifests").glob("*.toml")))


def load_manifest(name_or_path: str | Path | Manifest) -> Manifest:
    """Return the manifest of a survey, by its name or from a user's own TOML file.

    Parameters
    ----------
    name_or_path : str, Path or Manifest
        A name from `list_manifests`, the path of a ``.toml`` file (whose survey lies beside it), or a manifest,
        which is returned as it is.

    Returns
    -------
    Manifest

    Raises
    ------
    UnknownNameError
        If no survey has this name.
    DataNotFoundError
        If there is no file at this path.
    ManifestError
        If the manifest is wrong; every problem is named.

    Examples
    --------
    >>> load_manifest("galaxiesml").bands
    ('hsc-g', 'hsc-r', 'hsc-i', 'hsc-z', 'hsc-y')
    """
    if isinstance(name_or_path, Manifest):
        return name_or_path
    if _is_path(name_or_path):
        path = Path(name_or_path).expanduser()
        return parse_manifest(_inherit(_read(path)), where=str(path), folder=path.absolute().parent)
    return _load_by_name(str(name_or_path))


def _is_path(name_or_path: str | Path) -> bool:
    return isinstance(name_or_path, Path) or name_or_path.endswith(".toml") or "/" in name_or_path


def _load_by_name(name: str) -> Manifest:
    if name in shipped_manifests():
        return parse_manifest(_inherit(_read(shipped_folder("data_manifests") / f"{name}.toml")), where=name)
    path = registry_dir() / f"{name}.toml"
    if name not in list_manifests():
        raise unknown_name("survey", name=name, names=list_manifests())
    table = _read(path)
    folder = table.pop("folder", None)
    if not isinstance(folder, str):
        raise manifest_error(str(path), problems=["folder: missing, the one that holds the survey; import it again"])
    return parse_manifest(_inherit(table), where=str(path), folder=Path(folder))


def register(manifest: Manifest, *, text: str) -> Path:
    """Keep the TOML of a user's manifest so that its survey, which stays in its `folder`, can be asked for by name."""
    path = registry_dir() / f"{manifest.name}.toml"
    # A TOML basic string escapes what JSON escapes, and keys outside tables must come first.
    folder = json.dumps(str(manifest.folder))
    with write_atomically(path) as part:
        part.write_text(f"folder = {folder}\n\n{text}", encoding="utf-8")
    return path


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataNotFoundError(
            "A survey manifest was asked for by its path.",
            received=f"no file {path}",
            available=", ".join(list_manifests()) + " (by name)",
            remedy=f"Check the path. {README}",
        ) from error
    except (ValueError, OSError) as error:
        raise ManifestError(
            f"The manifest {path} was read.", received=f"not TOML: {error}", remedy=f"Correct the line. {README}"
        ) from error


def _inherit(table: dict[str, Any]) -> dict[str, Any]:
    """A twin is laid out as the survey it stands for, unless its own manifest says otherwise."""
    twin = table.get("twin")
    if not isinstance(twin, dict) or twin.get("of") not in shipped_manifests():
        return table
    original = _read(shipped_folder("data_manifests") / f"{twin['of']}.toml")
    inherited = {name: original[name] for name in _INHERITED if name in original}
    inherited["files"] = [
        {name: value for name, value in entry.items() if name not in _OF_THE_ORIGINAL} for entry in original["files"]
    ]
    return {**inherited, **table}


def parse_manifest(table: Mapping[str, Any], *, where: str, folder: Path | None = None) -> Manifest:
    """Turn the tables of a TOML manifest into a `Manifest`, or name everything that is wrong with them.

    `where` is the file, for the error; `folder` is where the files of a user's own survey lie.
    """
    problems: list[str] = []
    values = _section_values(Manifest, table, "", problems)
    if values.get("kind") == "catalogue" and "magnitudes" not in values:
        problems.append("kind = 'catalogue' needs the section [magnitudes]: a network must have something to see")
    if problems:
        raise manifest_error(where, problems=problems)
    return Manifest(**values, folder=folder)


def _section_values(kind: type, table: Mapping[str, Any], where: str, problems: list[str]) -> dict[str, Any]:
    keys = {f.name: f for f in fields(kind) if f.metadata}
    for name in sorted(table.keys() - keys.keys()):
        problems.append(f"{where}{name}: unknown key; the keys here are {', '.join(keys)}")
    for name, key in keys.items():
        if name not in table and key.default is MISSING and key.default_factory is MISSING:
            problems.append(f"{where}{name}: missing")
    return {name: _value(key, table[name], f"{where}{name}", problems) for name, key in keys.items() if name in table}


def _value(key: Field, value: Any, where: str, problems: list[str]) -> Any:
    if "section" in key.metadata:
        return _sections(key, value, where, problems)
    kind = key.metadata["value"]
    if kind.fits(value):
        return kind.becomes(value)
    problems.append(f"{where}: expected {kind.expected}, got {value!r}")
    return None


def _sections(key: Field, value: Any, where: str, problems: list[str]) -> Any:
    many = isinstance(key.default, tuple)
    tables = value if many else [value]
    if not (isinstance(tables, list) and all(isinstance(table, dict) for table in tables)):
        problems.append(f"{where}: expected {'[[' if many else '['}{where}{']]' if many else ']'}, got {value!r}")
        return None
    label = f"[[{where}]]" if many else f"[{where}]"
    built = []
    for table in tables:
        n_before = len(problems)
        values = _section_values(key.metadata["section"], table, f"{label} ", problems)
        if len(problems) == n_before:
            built.append(key.metadata["section"](**values))
    return tuple(built) if many else next(iter(built), None)
