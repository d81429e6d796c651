"""What a survey asks of photometric redshifts, as cited constants."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Requirement:
    """The largest value of a metric that a survey's science allows."""

    survey: str
    metric: str
    limit: float
    reference: str
    note: str = ""


_LSST_REFERENCE = (
    "LSST Science Requirements Document (LPM-17); Graham et al. 2018, AJ 155, 1; used by Seenivasan et al. 2025, "
    "arXiv:2601.00146"
)

REQUIREMENTS: dict[str, Requirement] = {
    "bias": Requirement(
        survey="LSST",
        metric="bias",
        limit=0.003,
        reference=_LSST_REFERENCE,
        note="Tables 2 and 3 of arXiv:2601.00146 print 0.03, a misprint: the text and the figures use 0.003.",
    ),
    "scatter": Requirement(survey="LSST", metric="scatter", limit=0.02, reference=_LSST_REFERENCE),
}
