"""The one data object: galaxies with their inputs, labels, ids, positions, and where all of it comes from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from astrolab.datasets.rows import Index, Rows, read_only, row_numbers, stack_rows, take_rows
from astrolab.errors import SchemaError, unknown_name


@dataclass(frozen=True)
class Provenance:
    """Where the galaxies of a survey come from, in enough detail to find or simulate them again.

    Parameters
    ----------
    survey, title, version : str
        Name asked for, title in words, version of the data.
    simulated : bool
        True for twins and for anything mixed with one; figures and tables say so.
    files : tuple of str
        Names of the files read.
    digest : str or callable
        SHA-256 over every byte of the files, or what computes it once it is wanted.
    id_scheme : str
        Ids of two surveys may be compared where they share a scheme; schemes of a mixture are joined by ``+``.
    image_unit, magnitude_unit : str
        Unit of the pixels, and of the magnitudes; empty where unknown.
    pixel_scale_arcsec : float or None
        Side of a pixel (arcsec).
    citation : tuple of str
        Reference keys.
    knobs : dict
        What a twin was simulated with.
    """

    survey: str
    title: str
    version: str = ""
    simulated: bool = False
    files: tuple[str, ...] = ()
    digest: str | Callable[[], str] = ""
    id_scheme: str = ""
    image_unit: str = ""
    magnitude_unit: str = ""
    pixel_scale_arcsec: float | None = None
    citation: tuple[str, ...] = ()
    knobs: dict[str, Any] = field(default_factory=dict)

    @property
    def id_schemes(self) -> frozenset[str]:
        """Every scheme that ids of this survey belong to."""
        return frozenset(self.id_scheme.split("+"))


@dataclass(frozen=True, repr=False, eq=False)
class Survey:
    """Galaxies of one survey, or of several joined: lazy over files, immutable, chosen from with `take`.

    Parameters
    ----------
    name : str
        What the survey is called in tables and figures.
    inputs : mapping of str to Rows
        What a network may see: ``"image"`` (n, band, y, x), raw flux; ``"magnitudes"`` (n, band), NaN where missing.
    labels : DataFrame, n rows
        What a network may learn, e.g. the column ``"z"``.
    ids : ndarray of int64 or str, shape (n,)
        Object ids; integers never pass through a float.
    bands : tuple of str
        Order of the band axis, e.g. ``("hsc-g", "hsc-r")``.
    catalogue : mapping of str to Rows
        Every other column (n,), read when asked for.
    sky_deg : ndarray of float64, shape (n, 2), or None
        Right ascension and declination (deg, ICRS); NaN where unknown.
    published_split : ndarray of str, shape (n,), or None
        ``"train"``, ``"validation"`` or ``"test"``, where the survey was published in parts.
    provenance : Provenance
        Where it comes from.

    Raises
    ------
    SchemaError
        Where lengths differ, or the band axis does not hold as many bands as are named.
    """

    name: str
    inputs: Mapping[str, Rows]
    labels: pd.DataFrame
    ids: np.ndarray
    bands: tuple[str, ...]
    catalogue: Mapping[str, Rows]
    sky_deg: np.ndarray | None
    published_split: np.ndarray | None
    provenance: Provenance

    def __post_init__(self):
        for name in ("inputs", "catalogue"):
            frozen = {k: read_only(v) if isinstance(v, np.ndarray) else v for k, v in getattr(self, name).items()}
            object.__setattr__(self, name, MappingProxyType(frozen))
        for name in ("ids", "sky_deg", "published_split"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, read_only(np.asarray(getattr(self, name))))
        object.__setattr__(self, "bands", tuple(self.bands))
        self._refuse_unequal_lengths()
        self._refuse_wrong_bands()

    def _refuse_unequal_lengths(self) -> None:
        parts = {**self.inputs, "labels": self.labels, **self.catalogue}
        parts |= {"sky_deg": self.sky_deg, "published_split": self.published_split}
        wrong = {name: len(part) for name, part in parts.items() if part is not None and len(part) != len(self.ids)}
        if wrong:
            raise SchemaError(
                f"The survey {self.name!r} was to be put together from {len(self.ids):,} ids.",
                received=", ".join(f"{name} of length {length:,}" for name, length in wrong.items()),
                remedy="Give every part one row a galaxy.",
            )

    def _refuse_wrong_bands(self) -> None:
        for name, n_axes in (("image", 4), ("magnitudes", 2)):
            rows = self.inputs.get(name)
            if rows is not None and (len(rows.shape) != n_axes or rows.shape[1] != len(self.bands)):
                raise SchemaError(
                    f"The {name} of {self.name!r} must have {n_axes} axes, the second of {len(self.bands)} bands.",
                    received=f"an array of shape {tuple(rows.shape)} in {', '.join(self.provenance.files) or 'memory'}",
                    available=f"bands {', '.join(self.bands) or '(none named)'}",
                    remedy="Correct the bands in the manifest, or the order of the file's axes.",
                )

    def __reduce__(self):
        values = [getattr(self, f.name) for f in fields(self)]
        return Survey, tuple(dict(value) if isinstance(value, MappingProxyType) else value for value in values)

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        title = self.provenance.title
        if self.provenance.simulated and "simulated" not in title:
            title += " (simulated)"
        parts = [f"{len(self):,} galaxies"]
        for name, rows in self.inputs.items():
            parts.append(f"{name} {'×'.join(map(str, rows.shape[1:]))} {_band_span(self.bands)}".rstrip())
        parts += [_label_span(self.labels[name]) for name in self.labels if len(self)]
        return f"{title}: {' · '.join(parts)}"

    def unit_of(self, input_name: str) -> str:
        """Give the unit of an input, empty where it is unknown.

        Parameters
        ----------
        input_name : str

        Returns
        -------
        str
        """
        return self.provenance.image_unit if input_name == "image" else self.provenance.magnitude_unit

    @property
    def digest(self) -> str:
        """SHA-256 over the files' digest and the ids in order: proves which galaxies a run was made with."""
        return digest_galaxies(self.provenance.digest, ids=self.ids)

    def take(self, index: Index) -> Survey:
        """Choose galaxies by number or mask, in the order asked; images stay on disk.

        Parameters
        ----------
        index : slice, or array of int or bool
            Which galaxies; repeats are allowed.

        Returns
        -------
        Survey

        Raises
        ------
        IndexError
            For a galaxy that does not exist.
        """
        numbers = row_numbers(index, n_rows=len(self))
        return Survey(
            name=self.name,
            inputs={name: take_rows(rows, numbers=numbers) for name, rows in self.inputs.items()},
            labels=self.labels.iloc[numbers].reset_index(drop=True),
            ids=self.ids[numbers],
            bands=self.bands,
            catalogue={name: take_rows(rows, numbers=numbers) for name, rows in self.catalogue.items()},
            sky_deg=None if self.sky_deg is None else self.sky_deg[numbers],
            published_split=None if self.published_split is None else self.published_split[numbers],
            provenance=self.provenance,
        )

    def require_columns(self, names: Sequence[str]) -> None:
        """Refuse columns that are neither labels nor in the catalogue.

        Parameters
        ----------
        names : sequence of str

        Raises
        ------
        UnknownNameError
        """
        known = [*self.labels, *self.catalogue]
        for name in names:
            if name not in known:
                raise unknown_name(f"column of {self.name!r}", name=name, names=known)

    def table(self, *names: str) -> pd.DataFrame:
        """Read the ids, the labels and the catalogue columns asked for.

        Parameters
        ----------
        *names : str
            Columns of the catalogue.

        Returns
        -------
        DataFrame
            One row a galaxy: ``object_id``, the labels, the columns asked.

        Raises
        ------
        UnknownNameError
            For a column that the survey does not have.
        """
        self.require_columns(names)
        columns = {name: np.asarray(self.catalogue[name][:]) for name in names if name not in self.labels}
        return pd.DataFrame({"object_id": self.ids, **self.labels, **columns})


def digest_galaxies(files: str | Callable[[], str], *, ids: np.ndarray) -> str:
    """Return SHA-256 over a digest of files (or what computes it) and the ids in order."""
    content = ids.astype("<i8").tobytes() if ids.dtype.kind in "iu" else "\n".join(ids).encode()
    return hashlib.sha256((files() if callable(files) else files).encode() + b"\0" + content).hexdigest()


def digest_joined(parts: Sequence[tuple[str | Callable[[], str], np.ndarray]]) -> str:
    """Return SHA-256 over several digests of files, each with the ids of its galaxies."""
    return hashlib.sha256("\n".join(digest_galaxies(files, ids=ids) for files, ids in parts).encode()).hexdigest()


def _band_span(bands: tuple[str, ...]) -> str:
    return "…".join(dict.fromkeys((bands[0], bands[-1]))) if bands else ""


def _label_span(label: pd.Series) -> str:
    return f"{label.name} {label.min():.2g}–{label.max():.2g} (median {label.median():.2f})"


def stack_surveys(parts: Sequence[Survey], *, name: str, provenance: Provenance) -> Survey:
    """Put the galaxies of several surveys one after the other, with what all of them have.

    Parameters
    ----------
    parts : sequence of Survey
        With the same bands and label names.
    name : str
        Name of the result.
    provenance : Provenance
        Where the result comes from.

    Returns
    -------
    Survey
        Inputs and catalogue columns that every part has; unknown positions are NaN.

    Raises
    ------
    SchemaError
        Where bands (or their order), label names, or the sizes of the images differ.
    """
    _refuse_differences(parts)
    has_sky = any(part.sky_deg is not None for part in parts)
    has_split = all(part.published_split is not None for part in parts)
    return Survey(
        name=name,
        inputs=_stack_common([part.inputs for part in parts]),
        labels=pd.concat([part.labels for part in parts], ignore_index=True),
        ids=np.concatenate([part.ids for part in parts]),
        bands=parts[0].bands,
        catalogue=_stack_common([part.catalogue for part in parts]),
        sky_deg=np.concatenate([_sky_or_nan(part) for part in parts]) if has_sky else None,
        published_split=np.concatenate([part.published_split for part in parts]) if has_split else None,
        provenance=provenance,
    )


def _stack_common(columns: Sequence[Mapping[str, Rows]]) -> dict[str, Rows]:
    names = [name for name in columns[0] if all(name in others for others in columns[1:])]
    return {name: stack_rows([part[name] for part in columns]) for name in names}


def _sky_or_nan(survey: Survey) -> np.ndarray:
    return np.full((len(survey), 2), np.nan) if survey.sky_deg is None else survey.sky_deg


def _refuse_differences(parts: Sequence[Survey]) -> None:
    traits = {
        "bands": lambda part: part.bands,
        "labels": lambda part: tuple(part.labels),
        "image unit": lambda part: part.provenance.image_unit,
        "pixel scale (arcsec)": lambda part: part.provenance.pixel_scale_arcsec,
    }
    if all("magnitudes" in part.inputs for part in parts):
        traits["magnitude unit"] = lambda part: part.provenance.magnitude_unit
    for trait, of in traits.items():
        values = {str(of(part)): part.name for part in parts}
        if len(values) > 1:
            raise SchemaError(
                f"Surveys were to be joined: {', '.join(part.name for part in parts)}.",
                received="; ".join(f"{trait} {value} in {name!r}" for value, name in values.items()),
                remedy=f"Join only surveys with the same {trait}, in the same order.",
            )


def describe_surveys(surveys: Mapping[str, Survey]) -> pd.DataFrame:
    """Count the galaxies of surveys or splits, with how deep they reach.

    Parameters
    ----------
    surveys : mapping of str to Survey
        Under the names that the table shall show.

    Returns
    -------
    DataFrame, one row a survey
        ``n``; of every label its median and 90th percentile (``z_median``, ``z_p90``); the 90th percentile of every
        magnitude, where there are magnitudes (``hsc-i_p90``); ``simulated``.
    """
    return pd.DataFrame({name: _describe(survey) for name, survey in surveys.items()}).T.infer_objects()


def _describe(survey: Survey) -> dict[str, Any]:
    depth = {}
    if "magnitudes" in survey.inputs and len(survey):
        magnitudes = pd.DataFrame(np.asarray(survey.inputs["magnitudes"][:]), columns=list(survey.bands))
        depth = {f"{band}_p90": magnitudes[band].quantile(0.9) for band in survey.bands}
    reach = {f"{name}_{word}": survey.labels[name].quantile(q) for name in survey.labels for word, q in _QUANTILES}
    return {"n": len(survey), **reach, **depth, "simulated": survey.provenance.simulated}


_QUANTILES = (("median", 0.5), ("p90", 0.9))
