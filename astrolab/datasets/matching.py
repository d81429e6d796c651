"""Which galaxies of one survey are also in another, and where: by object id, by position, by identical measurements."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
from astropy.coordinates import SkyCoord

from astrolab.datasets.survey import Survey
from astrolab.errors import SchemaError, unknown_name

WAYS = ("id", "sky", "inputs")
_INDICES: WeakKeyDictionary[Survey, dict[bool, pd.Index]] = WeakKeyDictionary()  # of ids as they are, and as text


def qualified_ids(survey: Survey) -> np.ndarray:
    """Give every object id together with the scheme that it belongs to, so that ids of all surveys can be compared.

    Parameters
    ----------
    survey : Survey
        The galaxies.

    Returns
    -------
    ndarray of object (str), shape (n,)
        E.g. ``"hsc-pdr2:36407063378678903"``.
    """
    scheme = survey.provenance.id_scheme
    prefixes = tuple(f"{name}:" for name in survey.provenance.id_schemes)
    if survey.ids.dtype.kind in "iu":
        names = [f"{scheme}:{number}" for number in survey.ids.tolist()]
    else:
        names = [text if text.startswith(prefixes) else f"{scheme}:{text}" for text in survey.ids.tolist()]
    return np.array(names, dtype=object)


def rows_of(survey: Survey, *, object_ids: np.ndarray) -> np.ndarray:
    """Find galaxies of a survey by their object ids.

    Parameters
    ----------
    survey : Survey
        The galaxies.
    object_ids : ndarray of int64 or str, shape (n,)
        Those wanted; as text, numbers are found too.

    Returns
    -------
    ndarray of int, shape (n,)
        Row numbers in the survey, in the order of `object_ids`.

    Raises
    ------
    SchemaError
        Where the survey does not hold one of them, or holds it twice.
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
    """Mark the galaxies of a survey that are also in another.

    Parameters
    ----------
    survey, other : Survey
        The marks are for `survey`.
    by : {"id", "sky", "inputs"}
        The same object id; a position within `radius_arcsec`; magnitudes identical in every bit.
    radius_arcsec : float
        How near two positions of one galaxy are (arcsec).

    Returns
    -------
    ndarray of bool, shape (n,), or None
        None where the two cannot be compared: ids of different schemes, no positions, no magnitudes in the same bands.

    Raises
    ------
    UnknownNameError
        For another way to compare.
    """
    if by == "id":
        return _same_id(survey, other)
    if by == "sky":
        return _same_place(survey, other, radius_arcsec)
    if by == "inputs":
        return _same_magnitudes(survey, other)
    raise unknown_name("way to compare surveys", name=by, names=WAYS)


def _same_id(survey: Survey, other: Survey) -> np.ndarray | None:
    if not survey.provenance.id_schemes & other.provenance.id_schemes:
        return None
    if survey.provenance.id_scheme == other.provenance.id_scheme and survey.ids.dtype == other.ids.dtype == np.int64:
        return pd.Index(survey.ids).isin(other.ids)
    return pd.Index(qualified_ids(survey)).isin(qualified_ids(other))


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


def _same_magnitudes(survey: Survey, other: Survey) -> np.ndarray | None:
    comparable = survey.bands == other.bands and "magnitudes" in survey.inputs and "magnitudes" in other.inputs
    if not comparable:
        return None
    return pd.Index(_measurements(survey)).isin(_measurements(other)) & _measured(survey)


def _measurements(survey: Survey) -> list[bytes]:
    return [row.tobytes() for row in np.asarray(survey.inputs["magnitudes"][:], dtype=np.float32)]


def _measured(survey: Survey) -> np.ndarray:
    return np.isfinite(np.asarray(survey.inputs["magnitudes"][:])).any(axis=1)
