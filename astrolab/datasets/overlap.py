"""What surveys have in common: the same object found again, leaks audited and cleared, surveys joined."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
from astropy.coordinates import SkyCoord

from astrolab.datasets.digests import read_content
from astrolab.datasets.rows import Rows
from astrolab.datasets.splits import PARTS, Splits
from astrolab.datasets.survey import Provenance, Survey, digest_joined, qualified_ids, stack_surveys
from astrolab.errors import LeakError, SchemaError, require_known

WAYS = ("id", "sky", "inputs")
RADIUS_ARCSEC = 1.0
_INDICES: WeakKeyDictionary[Survey, dict[bool, pd.Index]] = WeakKeyDictionary()  # of ids as they are, and as text


def rows_of(survey: Survey, *, object_ids: np.ndarray) -> np.ndarray:
    """Find objects by their ids, numbers also as text: row numbers in the order asked."""
    wanted = np.asarray(object_ids)
    as_text = (survey.ids.dtype.kind in "iu") != (wanted.dtype.kind in "iu")
    ids = _index(survey, as_text=as_text)
    row = ids.get_indexer(wanted.astype(str) if as_text else wanted) if ids.is_unique else np.full(len(wanted), -1)
    if (row < 0).any():
        raise SchemaError(
            f"{len(wanted):,} {survey.objects} of {survey.name!r} were to be found by their object ids.",
            received=f"{(row < 0).sum():,} ids that it does not hold exactly once, such as {wanted[row < 0][0]}",
            available=f"{len(ids):,} {survey.objects}" + (f", such as {ids[0]}" if len(ids) else ""),
            remedy="Pass the survey that holds them: the same files, the same number and the same seed.",
        )
    return row


def _index(survey: Survey, *, as_text: bool) -> pd.Index:
    """The ids of a survey, hashed once as long as it lives: a large survey is asked for a few objects many times."""
    indices = _INDICES.setdefault(survey, {})
    if as_text not in indices:
        indices[as_text] = pd.Index(survey.ids.astype(str) if as_text else survey.ids)
    return indices[as_text]


def in_common(survey: Survey, *, other: Survey, by: str) -> np.ndarray | None:
    """Mark the objects of a survey that are also in another, or give None where that cannot be known.

    Nothing is known from ids of different schemes, positions that one lacks, and inputs of other channels, shapes,
    types, units or decimals; nor from "none in common" where ids are written in different ways, as numbers and as text.
    """
    return {"id": _same_id, "sky": _same_place, "inputs": _same_inputs}[by](survey, other)


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


def _same_place(survey: Survey, other: Survey) -> np.ndarray | None:
    if survey.sky_deg is None or other.sky_deg is None:
        return None
    known = np.isfinite(survey.sky_deg).all(axis=1)
    known_other = np.isfinite(other.sky_deg).all(axis=1)
    common = np.zeros(len(survey), dtype=bool)
    if known.any() and known_other.any():
        here = SkyCoord(*survey.sky_deg[known].T, unit="deg")
        there = SkyCoord(*other.sky_deg[known_other].T, unit="deg")
        common[known] = here.match_to_catalog_sky(there)[1].arcsec <= RADIUS_ARCSEC
    return common


def _same_inputs(survey: Survey, other: Survey) -> np.ndarray | None:
    schemes = survey.provenance.id_schemes & other.provenance.id_schemes
    marks = [same_values(survey, other=other, input_name=name) for name in survey.specs]
    known = [mark for mark in marks if mark is not None]
    common = np.logical_or.reduce(known) if known else None
    if known and schemes and not common.any() and _same_id(survey, other) is None:
        return None  # the same objects may be there under ids that do not show it
    return common


def same_values(survey: Survey, *, other: Survey, input_name: str) -> np.ndarray | None:
    """Mark the objects of a survey whose input is, in every bit, one of the other's; None where it could not be."""
    spec = survey.specs[input_name]
    if other.specs.get(input_name) != spec:
        return None
    mine, theirs = survey.inputs[input_name], other.inputs[input_name]
    if spec.may_miss:
        mine, theirs = (np.asarray(rows[:], dtype=np.float32) for rows in (mine, theirs))
    if (mine.shape[1:], mine.dtype) != (theirs.shape[1:], theirs.dtype):
        return None
    content = read_content(mine)
    is_table = isinstance(mine, np.ndarray) and mine.ndim == 2  # compared are channels measured, stamps not empty
    is_there = (np.isfinite(mine) if is_table else content.low < content.high).any(axis=1)
    marks = np.isin(content.hashes, read_content(theirs).hashes) & is_there
    could_be = marks.any() or not spec.may_miss or _decimals(mine) == _decimals(theirs) is not None
    return marks if could_be else None


def _decimals(rows: Rows) -> int | None:
    """With how many decimals magnitudes are written (5 for more than 4); None where none is measured."""
    values = np.asarray(rows[:], dtype=np.float64)
    scaled = [values[np.isfinite(values)] * 10**n for n in range(5)]
    fitting = (n for n, part in enumerate(scaled) if np.all(np.abs(part - np.rint(part)) < 0.06))
    return next(fitting, 5) if len(scaled[0]) else None


@dataclass(frozen=True, repr=False)
class LeakAudit:
    """What every train set and every test set have in common."""

    table: pd.DataFrame

    @property
    def leaks(self) -> pd.DataFrame:
        """The rows of `table` in which something in common was found."""
        return self.table[self.table["n_common"].fillna(0) > 0]

    @property
    def unknown(self) -> list[tuple[str, str]]:
        """Every train and test set that cannot be compared in any way."""
        seen = self.table.groupby(["train", "test"], sort=False)["comparable"].any()
        return [pair for pair, comparable in seen.items() if not comparable]

    def require_clean(self, *, allow_unknown: bool = False) -> LeakAudit:
        """Stop where an object is in a train set and a test set, or where that cannot be known."""
        asked = "No object may be in a train set and in a test set."
        common = "{0.n_common:,} of {0.n_test:,} objects of {0.test!r} are in train {0.train!r} by {0.by}"
        if found := [common.format(leak) for leak in self.leaks.itertuples()]:
            remedy = "Take them out of the train set: drop_common(train, against=[test])."
            raise LeakError(asked, received="; ".join(found), remedy=remedy)
        if self.unknown and not allow_unknown:
            received = "no way to know for " + "; ".join(f"train {a!r} and test {b!r}" for a, b in self.unknown)
            available = "comparison by ids of one scheme and kind, by position, by inputs of the same channels"
            remedy = "Add [id] or [sky] to the manifests, or allow it (allow_unknown) and say so."
            raise LeakError(asked, received=received, available=available, remedy=remedy)
        return self

    def __repr__(self) -> str:
        pairs = len(self.table) // len(WAYS)
        found = "no object in common" if self.leaks.empty else f"up to {self.table['n_common'].max():,} in common"
        unseen = f", {len(self.unknown)} pairs that cannot be compared" if self.unknown else ""
        return f"leak audit of {pairs} train/test pairs: {found}{unseen}"


def audit_leaks(*, train: Mapping[str, Survey], test: Mapping[str, Survey]) -> LeakAudit:
    """Compare every train set with every test set by object id, by position and by identical inputs.

    Positions nearer than 1 arcsec are one object; the table shows the sets under the names given.
    """
    rows = []
    for (train_name, seen), (test_name, unseen), by in product(train.items(), test.items(), WAYS):
        marks = in_common(unseen, other=seen, by=by)
        n_common = None if marks is None else int(marks.sum())
        rows.append((train_name, test_name, by, n_common, len(seen), len(unseen), marks is not None))
    columns = ["train", "test", "by", "n_common", "n_train", "n_test", "comparable"]
    return LeakAudit(pd.DataFrame(rows, columns=columns).astype({"n_common": "Int64"}))


def drop_common(survey: Survey, *, against: Sequence[Survey]) -> Survey:
    """Take out of a survey every object that is also in one of the others, by id, position or identical inputs."""
    marks = [in_common(survey, other=other, by=by) for other, by in product(against, WAYS)]
    return survey.take(~_in_any(marks, n=len(survey)))


def clear_training(splits: Splits, *, against: Sequence[Survey]) -> Splits:
    """Take objects of any test set out of the train and validation parts of a split; its own test part stays."""
    train, validation = (drop_common(part, against=against) for part in (splits.train, splits.validation))
    return replace(splits, train=train, validation=validation)


def _in_any(marks: Sequence[np.ndarray | None], *, n: int) -> np.ndarray:
    """Mark what any comparison marks; where none could be made there is nothing."""
    return np.logical_or.reduce([np.zeros(n, dtype=bool), *(mark for mark in marks if mark is not None)])


def concat(surveys: Sequence[Survey], *, name: str) -> Survey:
    """Put surveys one after the other; the catalogue column ``member`` says which object is from which.

    Ids are kept, as text, ``"scheme:id"``, where the schemes differ. Channels, units, scales and labels must be the
    same, else a SchemaError says what would make them fit; inputs that only some have are left out.
    """
    if len({survey.provenance.id_scheme for survey in surveys}) > 1:
        surveys = [replace(survey, ids=qualified_ids(survey).astype(str)) for survey in surveys]
    members = []
    for survey in surveys:
        member = np.full(len(survey), survey.name, dtype=object)
        members.append(replace(survey, catalogue={**survey.catalogue, "member": member}))
    sources = [survey.provenance for survey in surveys]
    provenance = Provenance(
        survey=name,
        title=" + ".join(dict.fromkeys(source.title for source in sources)),
        version="+".join(dict.fromkeys(source.version for source in sources)),
        simulated=any(source.simulated for source in sources),
        twin_of=" + ".join(dict.fromkeys(source.twin_of for source in sources if source.twin_of)),
        files=tuple(dict.fromkeys(file for source in sources for file in source.files)),
        digest=partial(digest_joined, [(survey.provenance.digest, survey.ids) for survey in surveys]),
        id_scheme="+".join(sorted(frozenset.union(*(source.id_schemes for source in sources)))),
        citation=tuple(dict.fromkeys(key for source in sources for key in source.citation)),
        knobs={survey.name: survey.provenance.knobs for survey in surveys},
        declared=tuple(dict.fromkeys(said for source in sources for said in source.declared)),
    )
    return stack_surveys(members, name=name, provenance=provenance)


def combine(
    surveys: Sequence[Survey], *, keep: str, name: str = "combo", allow_unknown_overlap: bool = False
) -> Survey:
    """Make the union of surveys; of an object that several of them have, one row is kept.

    This is the recipe of Combo (Seenivasan et al. 2025, arXiv:2601.00146, section 2): the row of the survey named
    `keep` goes before all others, then the order given decides. A published split is the union of the members' splits.

    Parameters
    ----------
    surveys : sequence of Survey
        With the same channels and labels, and with comparable ids or positions, else a SchemaError.
    allow_unknown_overlap : bool
        Join surveys that cannot be compared too: an object may then be in the union twice.
    """
    require_known("survey whose rows are kept", name=keep, names=[survey.name for survey in surveys])
    ranking = sorted(range(len(surveys)), key=lambda place: surveys[place].name != keep)
    kept: dict[int, Survey] = {}
    for place in ranking:
        survey = surveys[place]
        for other in list(kept.values()):
            survey = survey.take(~_same_object(survey, other, allow_unknown=allow_unknown_overlap))
        kept[place] = survey
    return concat([kept[place] for place in range(len(surveys))], name=name)


def combine_splits(
    splits: Sequence[Splits], *, keep: str, name: str = "combo", allow_unknown_overlap: bool = False
) -> Splits:
    """Make the union of split surveys, part by part, as `combine` does; Combo's published splits are such unions."""
    options = {"keep": keep, "name": name, "allow_unknown_overlap": allow_unknown_overlap}
    return Splits(*(combine([getattr(one, part) for one in splits], **options) for part in PARTS))


def _same_object(survey: Survey, other: Survey, *, allow_unknown: bool) -> np.ndarray:
    marks = [in_common(survey, other=other, by=by) for by in ("id", "sky")]
    catalogued = [name for name, spec in survey.specs.items() if spec.may_miss]  # not pixels: that could be 30 GB
    marks += [same_values(survey, other=other, input_name=name) for name in catalogued]
    if all(mark is None for mark in marks) and not allow_unknown:
        raise SchemaError(
            f"The {survey.objects} that {survey.name!r} and {other.name!r} have in common were to be found.",
            received=f"ids of schemes {survey.provenance.id_scheme!r} and {other.provenance.id_scheme!r}, "
            "no positions and no measurements of the same channels in both",
            remedy="Add [sky] columns or a common [id] scheme to the manifests, or allow_unknown_overlap and say so.",
        )
    return _in_any(marks, n=len(survey))
