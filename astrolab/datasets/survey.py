"""The one data object: objects of the sky with their inputs, labels, ids, positions, and where all of it comes from."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from textwrap import shorten
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from astrolab.datasets.rows import Index, Rows, read_only, row_numbers, stack_rows, take_rows
from astrolab.errors import ConfigError, SchemaError, require_known, unknown_name
from astrolab.tasks import InputSpec, Task, make_task

UNLABELLED = make_task([])
BY_OBJECT = ("ids", "sky_deg", "published_split", "split_keys")
IN_WHERE = (ast.Expression, ast.expr_context, ast.Name, ast.Constant, ast.Compare, ast.cmpop, ast.BoolOp, ast.boolop)
IN_WHERE += (ast.UnaryOp, ast.unaryop, ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.BitAnd, ast.BitOr)


@dataclass(frozen=True)
class Provenance:
    """Where the objects of a survey come from, in enough detail to find or simulate them again."""

    survey: str
    title: str
    version: str = ""
    simulated: bool = False
    twin_of: str = ""
    files: tuple[str, ...] = ()
    digest: str | Callable[[], str] = ""
    id_scheme: str = ""
    citation: tuple[str, ...] = ()
    knobs: dict[str, Any] = field(default_factory=dict)
    declared: tuple[str, ...] = ()
    fractions: tuple[float, ...] = ()
    loading: dict[str, Any] = field(default_factory=dict)

    @property
    def id_schemes(self) -> frozenset[str]:
        """Every scheme that ids of this survey belong to."""
        return frozenset(self.id_scheme.split("+"))


@dataclass(frozen=True, repr=False, eq=False, kw_only=True)
class Survey:
    """Objects of one survey, or of several joined: lazy over files, immutable, chosen from with `take`.

    Parameters
    ----------
    inputs, specs : mapping
        What a network may see, e.g. ``"image"`` (n, band, y, x), raw, with what it is made of; a companion is
        ``"<input>.<companion>"`` and has no spec.
    labels, weights : DataFrame, n rows
        What a network may learn, one column a label of the task, NaN where it is unknown; and how much each label that
        has weights counts in training.
    ids, split_keys : ndarray of int64 or str, shape (n,)
        Object ids; integers never pass through a float. Without ids, what decides on which side of a split a row is.
    catalogue : mapping of str to Rows
        Every other column (n,), read when asked for.
    sky_deg : ndarray of float64, shape (n, 2), or None
        Right ascension and declination (deg, ICRS); NaN where unknown.
    published_split : ndarray of str, shape (n,), or None
        ``"train"``, ``"validation"`` or ``"test"``, where the survey was published in parts.
    part, objects : str
        Which part of a split it is (empty where it is whole); what its rows are: ``"galaxies"``, ``"stars"``.

    Raises
    ------
    SchemaError
        Where lengths differ, an input is not as its spec says, or labels are not those of the task.
    """

    name: str
    inputs: Mapping[str, Rows]
    specs: Mapping[str, InputSpec]
    labels: pd.DataFrame
    ids: np.ndarray
    provenance: Provenance
    task: Task = UNLABELLED
    weights: pd.DataFrame | None = None
    catalogue: Mapping[str, Rows] = field(default_factory=dict)
    sky_deg: np.ndarray | None = None
    published_split: np.ndarray | None = None
    split_keys: np.ndarray | None = None
    part: str = ""
    objects: str = "galaxies"

    def __post_init__(self):
        for name in ("inputs", "catalogue"):
            frozen = {k: read_only(v) if isinstance(v, np.ndarray) else v for k, v in getattr(self, name).items()}
            object.__setattr__(self, name, MappingProxyType(frozen))
        object.__setattr__(self, "specs", MappingProxyType(dict(self.specs)))
        for name in BY_OBJECT:
            if getattr(self, name) is not None:
                object.__setattr__(self, name, read_only(np.asarray(getattr(self, name))))
        parts = {**self.inputs, "labels": self.labels, "weights": self.weights, **self.catalogue}
        parts |= {"sky_deg": self.sky_deg, "published_split": self.published_split}
        wrong = {name: len(part) for name, part in parts.items() if part is not None and len(part) != len(self.ids)}
        if wrong:
            received = ", ".join(f"{name} of length {length:,}" for name, length in wrong.items())
            asked = f"The survey {self.name!r} was to be put together from {len(self.ids):,} ids."
            raise SchemaError(asked, received=received, remedy=f"Give every part {len(self.ids):,} rows.")
        companions = {f"{name}.{one}" for name, spec in self.specs.items() for one in spec.companions}
        if set(self.inputs) != set(self.specs) | companions:
            asked = f"The inputs of {self.name!r} must be those of its specs, and their companions."
            available, remedy = ", ".join([*self.specs, *sorted(companions)]), "Give every input a spec."
            raise SchemaError(asked, received=", ".join(self.inputs) or "none", available=available, remedy=remedy)
        for name, spec in self.specs.items():
            shape = tuple(self.inputs[name].shape)
            if len(shape) != 1 + len(spec.axes) or (spec.channels and shape[1] != len(spec.channels)):
                channels = f", the first of {len(spec.channels)} channels: " * bool(spec.channels)
                asked = f"The {name} of {self.name!r} has the axes {' '.join(spec.axes)}{channels}"
                received = f"an array of shape {shape} in {', '.join(self.provenance.files) or 'memory'}"
                remedy = "Correct the channels in the manifest, or the order of the file's axes."
                raise SchemaError(f"{asked}{', '.join(spec.channels)}.", received=received, remedy=remedy)
        if tuple(self.labels) != self.task.label_names:
            asked = f"The survey {self.name!r} was to be put together for the task {self.task.name!r}."
            remedy = f"Give one column a label, in order: {', '.join(self.task.label_names) or 'none'}."
            raise SchemaError(asked, received=f"labels {', '.join(self.labels) or 'none'}", remedy=remedy)

    def __reduce__(self):
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        plain = {k: dict(v) if isinstance(v, MappingProxyType) else v for k, v in values.items()}
        return partial(Survey, **plain), ()

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        title = self.provenance.title
        if self.provenance.simulated and "simulated" not in title:
            title += " (simulated)"
        parts = [f"{len(self):,} {self.objects}"]
        for name, spec in self.specs.items():
            shape = "×".join(map(str, self.inputs[name].shape[1:]))
            span = "…".join(dict.fromkeys((*spec.channels[:1], *spec.channels[-1:])))
            parts.append(f"{name} {shape} {span}".rstrip())
        parts += [_label_span(self.labels[name]) for name in self.labels if len(self)]
        return f"{title}: {' · '.join([*parts, *self.provenance.declared])}"

    @property
    def digest(self) -> str:
        """SHA-256 over the files' digest and the ids in order: proves with which objects a run was made."""
        return digest_objects(self.provenance.digest, ids=self.ids)

    def take(self, index: Index) -> Survey:
        """Choose objects by a slice, a mask or numbers, repeats allowed, in the order asked; images stay on disk."""
        numbers = row_numbers(index, n_rows=len(self))
        return replace(
            self,
            inputs={name: take_rows(rows, numbers=numbers) for name, rows in self.inputs.items()},
            labels=self.labels.iloc[numbers].reset_index(drop=True),
            weights=None if self.weights is None else self.weights.iloc[numbers].reset_index(drop=True),
            catalogue={name: take_rows(rows, numbers=numbers) for name, rows in self.catalogue.items()},
            **{name: array[numbers] for name in BY_OBJECT if (array := getattr(self, name)) is not None},
        )

    def with_task(self, task: Task) -> Survey:
        """Give the same survey with another task of the same labels, e.g. ``task.with_scored(z=(0, 0.3))``."""
        return replace(self, task=task)

    def with_labels(self, *names: str) -> Survey:
        """Give the same survey with some of its labels only, in this order."""
        quantities = [self.task.quantity(name) for name in names]
        weights = None if self.weights is None else self.weights[[name for name in names if name in self.weights]]
        return replace(self, labels=self.labels[list(names)], weights=weights, task=make_task(quantities))

    def require_columns(self, names: Sequence[str]) -> None:
        """Refuse columns that are neither labels nor in the catalogue, with an UnknownNameError."""
        known = [*self.labels, *self.catalogue]
        for name in names:
            require_known(f"column of {self.name!r}", name=name, names=known)

    def column(self, name: str) -> np.ndarray:
        """Read one label or catalogue column (n,)."""
        self.require_columns([name])
        return self.labels[name].to_numpy() if name in self.labels else np.asarray(self.catalogue[name][:])

    def as_channels(self, *channels: str, input_name: str) -> Survey:
        """Declare that the channels of an input stand for others: as many, in its order.

        The declaration is recorded, and shown beside every result; no value changes. For example
        ``lsst.as_channels("subaru-g", "subaru-r", input_name="magnitudes")``.
        """
        require_known(f"input of {self.name!r}", name=input_name, names=self.specs)
        pairs = zip(self.specs[input_name].channels, channels, strict=False)
        said = ", ".join(f"{own} as {other}" for own, other in pairs if own != other)
        specs = {**self.specs, input_name: replace(self.specs[input_name], channels=channels)}
        declared = (*self.provenance.declared, f"{input_name}: {said}") if said else self.provenance.declared
        return replace(self, specs=specs, provenance=replace(self.provenance, declared=declared))


def choose(survey: Survey, *, where: str) -> Survey:
    """Take the objects for which an expression over columns holds; nothing but what `IN_WHERE` names is evaluated."""
    columns: dict[str, Rows] = dict(survey.catalogue)
    for name, spec in survey.specs.items():
        if len(spec.axes) == 1 and spec.channels:
            columns |= zip(spec.channels, np.asarray(survey.inputs[name][:]).T, strict=True)
    columns, quoted = columns | dict(survey.labels), {f"_{k}": name for k, name in enumerate(where.split("`")) if k % 2}
    text = "".join(f" _{k} " if k % 2 else piece for k, piece in enumerate(where.split("`"))).replace("\n", " ").strip()
    try:
        nodes = list(ast.walk(ast.parse(text, mode="eval")))
        if wrong := [type(node).__name__.lower() for node in nodes if not isinstance(node, IN_WHERE)]:
            raise ValueError(f"{wrong[0]} is not allowed in it")
        names = {node.id: quoted.get(node.id, node.id) for node in nodes if isinstance(node, ast.Name)}
        if unknown := [name for name in names.values() if name not in columns]:
            raise unknown_name(f"column of {survey.name!r}", name=unknown[0], names=columns)
        table = pd.DataFrame({key: np.asarray(columns[name][:]) for key, name in names.items()})
        marks = np.asarray(table.eval(text, engine="python"))
        if marks.dtype != bool or marks.shape != survey.ids.shape or not marks.any():
            raise ValueError(f"it is true for none of {len(survey):,} {survey.objects}")
    except (SyntaxError, ValueError, TypeError, RuntimeError, MemoryError) as error:
        asked = f"{survey.objects.capitalize()} of {survey.name!r} were to be chosen, where {where!r}."
        remedy, received = "Write it like this: z > 0.01 and `sdss-r` < 17.8", str(error) or type(error).__name__
        raise ConfigError(asked, received=received, available=", ".join(columns), remedy=remedy) from error
    declared = (*survey.provenance.declared, f"where {where}")
    return replace(survey.take(marks), provenance=replace(survey.provenance, declared=declared))


def qualified_ids(survey: Survey) -> np.ndarray:
    """Give every object id with its scheme, ``"hsc-pdr2:36407063378678903"``, so that all ids can be compared."""
    scheme = survey.provenance.id_scheme
    prefixes = tuple(f"{name}:" for name in survey.provenance.id_schemes)
    if survey.ids.dtype.kind in "iu":
        names = [f"{scheme}:{number}" for number in survey.ids.tolist()]
    else:
        names = [text if text.startswith(prefixes) else f"{scheme}:{text}" for text in survey.ids.tolist()]
    return np.array(names, dtype=object)


def digest_objects(files: str | Callable[[], str], *, ids: np.ndarray) -> str:
    """Give SHA-256 over a digest of files (or what computes it) and the ids in order."""
    content = ids.astype("<i8").tobytes() if ids.dtype.kind in "iu" else "\n".join(ids).encode()
    return hashlib.sha256((files() if callable(files) else files).encode() + b"\0" + content).hexdigest()


def digest_joined(parts: Sequence[tuple[str | Callable[[], str], np.ndarray]]) -> str:
    """Give SHA-256 over several digests of files, each with the ids of its objects."""
    return hashlib.sha256("\n".join(digest_objects(files, ids=ids) for files, ids in parts).encode()).hexdigest()


def _label_span(label: pd.Series) -> str:
    unknown = int(label.isna().sum())
    known = f"{label.min():.2g}–{label.max():.2g} (median {label.median():.2f})" if unknown < len(label) else "unknown"
    return f"{label.name} {known}" + (f", unknown for {unknown:,}" if 0 < unknown < len(label) else "")


def stack_surveys(parts: Sequence[Survey], *, name: str, provenance: Provenance) -> Survey:
    """Put the objects of several surveys one after the other, with the inputs and columns that all of them have."""
    common = [one for one in parts[0].specs if all(one in part.specs for part in parts)]
    _refuse_differences(parts, inputs=common)
    has_sky = any(part.sky_deg is not None for part in parts)
    skies = [np.full((len(part), 2), np.nan) if part.sky_deg is None else part.sky_deg for part in parts]
    bare = [pd.DataFrame(index=range(len(part))) if part.weights is None else part.weights for part in parts]
    weights = pd.concat(bare, ignore_index=True).fillna(1.0)
    arrays = [one for one in parts[0].inputs if one.partition(".")[0] in common]
    columns = [one for one in parts[0].catalogue if all(one in part.catalogue for part in parts)]
    return replace(
        parts[0],
        name=name,
        inputs={one: stack_rows([part.inputs[one] for part in parts]) for one in arrays},
        specs={one: _joined_spec([part.specs[one] for part in parts]) for one in common},
        labels=pd.concat([part.labels for part in parts], ignore_index=True),
        weights=weights if len(weights.columns) else None,
        ids=np.concatenate([part.ids for part in parts]),
        catalogue={one: stack_rows([part.catalogue[one] for part in parts]) for one in columns},
        sky_deg=np.concatenate(skies) if has_sky else None,
        published_split=_joined([part.published_split for part in parts]),
        split_keys=_joined([part.split_keys for part in parts]),
        part=parts[0].part if len({part.part for part in parts}) == 1 else "",
        objects=parts[0].objects if len({part.objects for part in parts}) == 1 else "objects",
        provenance=provenance,
    )


def _joined_spec(specs: Sequence[InputSpec]) -> InputSpec:
    """Of spectra of different resolutions it is not one."""
    return specs[0] if len({spec.resolution for spec in specs}) == 1 else replace(specs[0], resolution=())


def _joined(arrays: Sequence[np.ndarray | None]) -> np.ndarray | None:
    return None if any(array is None for array in arrays) else np.concatenate(arrays)


def _refuse_differences(parts: Sequence[Survey], *, inputs: Sequence[str]) -> None:
    traits: dict[str, Callable[[Survey], Any]] = {"labels": lambda part: part.task.label_names}
    for name in inputs:
        for trait in ("bridge", "channels", "unit", "scale_arcsec", "grid", "companions", "medium"):
            traits[f"{name} {trait}"] = lambda part, name=name, trait=trait: getattr(part.specs[name], trait)
        traits[f"{name} shape"] = lambda part, name=name: tuple(part.inputs[name].shape[1:])
    remedies = {"channels": "declare which channels stand for which with as_channels", "shape": "give one image_size"}
    remedies |= {"scale_arcsec": "resample the images to one pixel scale with astrolab.resample"}
    remedies |= dict.fromkeys(("bridge", "grid"), "bridge all spectra alike with astrolab.bridge_spectra")
    for trait, of in traits.items():
        values = {str(of(part)): part.name for part in parts}
        if len(values) > 1:
            what = remedies.get(trait.rpartition(" ")[2], f"join only surveys with the same {trait}")
            received = "; ".join(f"{trait} {shorten(value, 80)} in {name!r}" for value, name in values.items())
            asked = f"Surveys were to be joined: {', '.join(part.name for part in parts)}."
            raise SchemaError(asked, received=received, remedy=what[0].upper() + what[1:] + ".")


def describe_surveys(surveys: Mapping[str, Survey]) -> pd.DataFrame:
    """Count the objects of surveys or splits, by the names that the table shall show, with how far they reach.

    One row a survey: ``n``; of every label its median and 90th percentile (``z_median``, ``z_p90``); of every channel
    of an input in columns its 90th percentile (``hsc-i_p90``) and, where any is, the fraction that is not measured
    (``hsc-i_missing``); ``simulated``.
    """
    table = pd.DataFrame({name: _describe(survey) for name, survey in surveys.items()}).T.infer_objects()
    return table.drop(columns=[name for name in table if name.endswith("_missing") and not (table[name] > 0).any()])


def _describe(survey: Survey) -> dict[str, Any]:
    depth = {}
    for name, spec in survey.specs.items():
        if spec.axes == ("band",) and len(survey):
            values = pd.DataFrame(np.asarray(survey.inputs[name][:]), columns=list(spec.channels))
            for channel, column in values.items():
                depth |= {f"{channel}_p90": column.quantile(0.9), f"{channel}_missing": column.isna().mean()}
    reach = {}
    for name, label in survey.labels.items():
        reach |= {f"{name}_median": label.quantile(0.5), f"{name}_p90": label.quantile(0.9)}
    return {"n": len(survey), **reach, **depth, "simulated": survey.provenance.simulated}
