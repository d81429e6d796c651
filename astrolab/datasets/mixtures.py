"""Surveys joined: one after the other, or as a union in which no galaxy is twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from astrolab.datasets.matching import in_common, qualified_ids, same_values
from astrolab.datasets.splits import PARTS, Splits
from astrolab.datasets.survey import Provenance, Survey, digest_joined, stack_surveys
from astrolab.errors import SchemaError, unknown_name


def concat(surveys: Sequence[Survey], *, name: str) -> Survey:
    """Put surveys one after the other; the catalogue column ``member`` says which galaxy is from which.

    Ids are kept. Where the surveys' ids are of different schemes they become text, ``"scheme:id"``.

    Parameters
    ----------
    surveys : sequence of Survey
        With the same bands, labels, and image sizes and units.
    name : str
        Name of the result.

    Returns
    -------
    Survey

    Raises
    ------
    SchemaError
        Where there is nothing to join, or the surveys do not fit each other.
    """
    if not surveys:
        raise SchemaError("Surveys were to be joined.", received="none", remedy="Give at least one survey.")
    if len({survey.provenance.id_scheme for survey in surveys}) > 1:
        surveys = [replace(survey, ids=qualified_ids(survey).astype(str)) for survey in surveys]
    members = [_with_member(survey) for survey in surveys]
    return stack_surveys(members, name=name, provenance=_joint_provenance(surveys, name))


def combine(
    surveys: Sequence[Survey], *, keep: str, name: str = "combo", allow_unknown_overlap: bool = False
) -> Survey:
    """Make the union of surveys; of a galaxy that several of them have, one row is kept.

    This is the recipe of Combo (Seenivasan et al. 2025, arXiv:2601.00146, section 2): the row of survey `keep` goes
    before all others, then the order given decides. A published split is the union of the members' splits.

    Parameters
    ----------
    surveys : sequence of Survey
        With the same bands and labels, and with comparable ids or positions.
    keep : str
        Name of the survey whose rows are kept.
    name : str
        Name of the result.
    allow_unknown_overlap : bool
        Join surveys that cannot be compared too: a galaxy may then be in the union twice.

    Returns
    -------
    Survey

    Raises
    ------
    UnknownNameError
        Where `keep` is none of the surveys.
    SchemaError
        Where two surveys cannot be compared, and that is not allowed.
    """
    if keep not in {survey.name for survey in surveys}:
        raise unknown_name("survey whose rows are kept", name=keep, names=[survey.name for survey in surveys])
    ranking = sorted(range(len(surveys)), key=lambda place: surveys[place].name != keep)
    kept: dict[int, Survey] = {}
    for place in ranking:
        survey = surveys[place]
        for other in list(kept.values()):
            survey = survey.take(~_same_galaxy(survey, other, allow_unknown=allow_unknown_overlap))
        kept[place] = survey
    return concat([kept[place] for place in range(len(surveys))], name=name)


def combine_splits(
    splits: Sequence[Splits], *, keep: str, name: str = "combo", allow_unknown_overlap: bool = False
) -> Splits:
    """Make the union of split surveys, part by part, as the published splits of Combo are the unions of its members'.

    Parameters
    ----------
    splits : sequence of Splits
    keep : str
        Name of the survey whose rows are kept.
    name : str
        Name of the result.
    allow_unknown_overlap : bool
        As for `combine`.

    Returns
    -------
    Splits
    """
    options = {"keep": keep, "name": name, "allow_unknown_overlap": allow_unknown_overlap}
    return Splits(*(combine([getattr(one, part) for one in splits], **options) for part in PARTS))


def _same_galaxy(survey: Survey, other: Survey, *, allow_unknown: bool) -> np.ndarray:
    marks = [in_common(survey, other=other, by=by) for by in ("id", "sky")]
    marks.append(same_values(survey, other=other, input_name="magnitudes"))  # not pixels: joining must not read 30 GB
    known = [mark for mark in marks if mark is not None]
    if not known and not allow_unknown:
        raise SchemaError(
            f"The galaxies that {survey.name!r} and {other.name!r} have in common were to be found.",
            received=f"ids of schemes {survey.provenance.id_scheme!r} and {other.provenance.id_scheme!r}, "
            "no positions and no magnitudes of the same bands in both",
            remedy="Add [sky] columns or a common [id] scheme to the manifests, or allow_unknown_overlap and say so.",
        )
    return np.logical_or.reduce([np.zeros(len(survey), dtype=bool), *known])


def _with_member(survey: Survey) -> Survey:
    member = np.full(len(survey), survey.name, dtype=object)
    return replace(survey, catalogue={**survey.catalogue, "member": member})


def _joint_provenance(surveys: Sequence[Survey], name: str) -> Provenance:
    sources = [survey.provenance for survey in surveys]
    schemes = sorted(frozenset.union(*(source.id_schemes for source in sources)))
    return Provenance(
        survey=name,
        title=" + ".join(dict.fromkeys(source.title for source in sources)),
        version="+".join(dict.fromkeys(source.version for source in sources)),
        simulated=any(source.simulated for source in sources),
        files=tuple(dict.fromkeys(file for source in sources for file in source.files)),
        digest=partial(digest_joined, [(survey.provenance.digest, survey.ids) for survey in surveys]),
        id_scheme="+".join(schemes),
        image_unit=sources[0].image_unit,
        magnitude_unit=sources[0].magnitude_unit if all("magnitudes" in survey.inputs for survey in surveys) else "",
        pixel_scale_arcsec=sources[0].pixel_scale_arcsec,
        citation=tuple(dict.fromkeys(key for source in sources for key in source.citation)),
        knobs={survey.name: survey.provenance.knobs for survey in surveys},
    )
