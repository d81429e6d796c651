"""Which galaxies of one survey are also in another, and where: by object id, by position, by identical measurements."""

from __future__ import annotations

import re
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
from astropy.coordinates import SkyCoord

from astrolab.datasets.digests import read_content
from astrolab.datasets.rows import Rows
from astrolab.datasets.survey import Survey
from astrolab.errors import SchemaError, unknown_name

WAYS = ("id", "sky", "inputs")
_INDICES: WeakKeyDictionary[Survey, dict[bool, pd.Index]] = WeakKeyDictionary()  # of ids as they are, and as text


def qualified_ids(survey: Survey) -> np.ndarray:
    """Give every object id together with the scheme that it belongs to, so that ids of all surveys can be compared.

    For example ``"hsc-pdr2:36407063378678903"``.
    """
    scheme = survey.provenance.id_scheme
    prefixes = tuple(f"{name}:" for name in survey.provenance.id_schemes)
    if survey.ids.dtype.kind in "iu":
        names = [f"{scheme}:{number}" for number in survey.ids.tolist()]
    else:
        names = [text if text.startswith(prefixes) else f"{scheme}:{text}" for text in survey.ids.tolist()]
    return np.array(names, dtype=object)


def rows_of(survey: Survey, *, object_ids: np.ndarray) -> np.ndarray:
    """Find galaxies by object ids, numbers also as text: row numbers in the order asked.

    Ids that the survey does not hold exactly once are a `SchemaError`.
    """
    wanted = np.asarray(object_ids)
    as_text = (survey.ids.dtype.kind in "iu") != (wanted.dtype.kind in "iu")
    ids = _index(survey, as_text=as_text)
    row = ids.get_indexer(wanted.astype(str) if as_text else wanted) if ids.is_unique else np.full(len(wanted), -1)
    if (row < 0).any():
        raise SchemaError(
            f"{len(wanted):,} galaxies of {survey.name!r} were to be found by their object ids.",
            received=f"{(row < 0).sum():,} ids that it does not hold exactly once, such as {wanted[row < 0][0]}",
            available=f"{len(ids):,} galaxies" + (f", such as {ids[0]}" if len(ids) else ""),
            remedy="Pass the survey that holds these galaxies: the same files, the same number and the same seed.",
        )
    return row


def _index(survey: Survey, *, as_text: bool) -> pd.Index:
    """The ids of a survey, hashed once as long as it lives: a large survey is asked for a few galaxies many times."""
    indices = _INDICES.setdefault(survey, {})
    if as_text not in indices:
        indices[as_text] = pd.Index(survey.ids.astype(str) if as_text else survey.ids)
    return indices[as_text]


def in_common(survey: Survey, *, other: Survey, by: str, radius_arcsec: float = 1.0) -> np.ndarray | None:
    """Mark the galaxies of a survey that are also in another, or give None where nobody can know.

    Compared are object ids, positions (within `radius_arcsec`), or inputs: magnitudes or pixels identical in every bit.
    Nothing is known from ids of different schemes, positions that one lacks, and inputs of other bands, shapes, types,
    units or decimals; nor from "none in common" where ids are written in different ways, as numbers and as text.
    """
    if by == "id":
        return _same_id(survey, other)
    if by == "sky":
        return _same_place(survey, other, radius_arcsec)
    if by == "inputs":
        return _same_inputs(survey, other)
    raise unknown_name("way to compare surveys", name=by, names=WAYS)


def _same_id(survey: Survey, other: Survey) -> np.ndarray | None:
    if not survey.provenance.id_schemes & other.provenance.id_schemes:
        return None
    if survey.provenance.id_scheme == other.provenance.id_scheme and survey.ids.dtype == other.ids.dtype == np.int64:
        return pd.Index(survey.ids).isin(other.ids)
    marks = pd.Index(qualified_ids(survey)).isin(qualified_ids(other))
    return marks if marks.any() or _id_forms(survey) & _id_forms(other) else None


def _id_forms(survey: Survey) -> set[str]:
    """How ids are written: as whole numbers, as numbers with decimals, or as words."""
    forms = {"whole": r"-?\d+", "decimal": r"[-+.\de]*\d[-+.\de]*"}
    ids = (str(text).rpartition(":")[2].lower() for text in survey.ids.tolist())
    return {next((name for name, form in forms.items() if re.fullmatch(form, text)), "words") for text in ids}


def _same_place(survey: Survey, other: Survey, radius_arcsec: float) -> np.ndarray | None:
    if survey.sky_deg is None or other.sky_deg is None:
        return None
    known = np.isfinite(survey.sky_deg).all(axis=1)
    known_other = np.isfinite(other.sky_deg).all(axis=1)
    common = np.zeros(len(survey), dtype=bool)
    if known.any() and known_other.any():
        here = SkyCoord(*survey.sky_deg[known].T, unit="deg")
        there = SkyCoord(*other.sky_deg[known_other].T, unit="deg")
        common[known] = here.match_to_catalog_sky(there)[1].arcsec <= radius_arcsec
    return common


def _same_inputs(survey: Survey, other: Survey) -> np.ndarray | None:
    schemes = survey.provenance.id_schemes & other.provenance.id_schemes
    marks = [same_values(survey, other=other, input_name=name) for name in ("magnitudes", "image")]
    known = [mark for mark in marks if mark is not None]
    common = np.logical_or.reduce(known) if known else None
    if known and schemes and not common.any() and _same_id(survey, other) is None:
        return None  # the same objects may be there under ids that do not show it
    return common


def same_values(survey: Survey, *, other: Survey, input_name: str) -> np.ndarray | None:
    """Mark the galaxies of a survey whose input is, in every bit, one of the other's; None where it could not be."""
    mine, theirs = survey.inputs.get(input_name), other.inputs.get(input_name)
    if mine is None or theirs is None:
        return None
    if input_name == "magnitudes":
        mine, theirs = (np.asarray(rows[:], dtype=np.float32) for rows in (mine, theirs))
    if (mine.shape[1:], mine.dtype) != (theirs.shape[1:], theirs.dtype):
        return None
    if survey.bands != other.bands or survey.unit_of(input_name) != other.unit_of(input_name):
        return None
    marks = np.isin(read_content(mine).hashes, read_content(theirs).hashes) & _is_measured(mine)
    could_be = marks.any() or input_name == "image" or _decimals(mine) == _decimals(theirs) is not None
    return marks if could_be else None


def _is_measured(rows: Rows) -> np.ndarray:
    """Where there is something to compare: a band that was measured, a stamp that is not empty."""
    if len(rows.shape) == 4:
        content = read_content(rows)
        return (content.low < content.high).any(axis=1)
    return np.isfinite(rows[:]).any(axis=1)


def _decimals(rows: Rows) -> int | None:
    """With how many decimals magnitudes are written (5 for more than 4); None where none is measured."""
    values = np.asarray(rows[:], dtype=np.float64)
    scaled = [values[np.isfinite(values)] * 10**n for n in range(5)]
    fitting = (n for n, part in enumerate(scaled) if np.all(np.abs(part - np.rint(part)) < 0.06))
    return next(fitting, 5) if len(scaled[0]) else None
