"""Audit of leaks: galaxies that a network is tested on must not be among those it was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from astrolab.datasets.matching import WAYS, in_common
from astrolab.datasets.splits import Splits
from astrolab.datasets.survey import Survey
from astrolab.errors import LeakError


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

    @property
    def is_clean(self) -> bool:
        """Whether every pair could be compared and nothing in common was found."""
        return self.leaks.empty and not self.unknown

    def require_clean(self, *, allow_unknown: bool = False) -> LeakAudit:
        """Stop where a galaxy is in a train set and a test set, or where nobody can know."""
        if not self.leaks.empty:
            raise self._leaking()
        if self.unknown and not allow_unknown:
            raise LeakError(
                "No galaxy may be in a train set and in a test set.",
                received="no way to know for " + "; ".join(f"train {a!r} and test {b!r}" for a, b in self.unknown),
                available="comparison by ids of one scheme and kind, by position, by inputs of the same bands",
                remedy="Add [id], [sky] or [magnitudes] to the manifests, or allow it (allow_unknown) and say so.",
            )
        return self

    def _leaking(self) -> LeakError:
        found = [
            f"{leak.n_common:,} of {leak.n_test:,} galaxies of {leak.test!r} are in train {leak.train!r} by {leak.by}"
            for leak in self.leaks.itertuples()
        ]
        return LeakError(
            "No galaxy may be in a train set and in a test set.",
            received="; ".join(found),
            remedy="Take them out of the train set: drop_common(train, against=[test]).",
        )

    def __repr__(self) -> str:
        pairs = len(self.table) // len(WAYS)
        found = "no galaxy in common" if self.leaks.empty else f"up to {self.table['n_common'].max():,} in common"
        unseen = f", {len(self.unknown)} pairs that cannot be compared" if self.unknown else ""
        return f"leak audit of {pairs} train/test pairs: {found}{unseen}"


def audit_leaks(*, train: Mapping[str, Survey], test: Mapping[str, Survey], radius_arcsec: float = 1.0) -> LeakAudit:
    """Compare every train set with every test set by object id, by position and by identical magnitudes or pixels.

    Parameters
    ----------
    train, test : mapping of str to Survey
        Under the names that the table shall show.
    radius_arcsec : float
        Positions nearer than this are one galaxy (arcsec).

    Returns
    -------
    LeakAudit
    """
    rows = [
        _compare(seen, unseen, by=by, radius_arcsec=radius_arcsec) | {"train": train_name, "test": test_name}
        for train_name, seen in train.items()
        for test_name, unseen in test.items()
        for by in WAYS
    ]
    columns = ["train", "test", "by", "n_common", "n_train", "n_test", "comparable"]
    return LeakAudit(pd.DataFrame(rows, columns=columns).astype({"n_common": "Int64"}))


def drop_common(survey: Survey, *, against: Sequence[Survey], radius_arcsec: float = 1.0) -> Survey:
    """Take out of a survey every galaxy that is also in one of the others, by id, position or identical inputs.

    Parameters
    ----------
    survey : Survey
        Usually train galaxies.
    against : sequence of Survey
        Usually test galaxies.
    radius_arcsec : float
        Positions nearer than this are one galaxy (arcsec).

    Returns
    -------
    Survey
    """
    common = np.zeros(len(survey), dtype=bool)
    for other in against:
        for by in WAYS:
            marks = in_common(survey, other=other, by=by, radius_arcsec=radius_arcsec)
            if marks is not None:
                common |= marks
    return survey.take(~common)


def clear_training(splits: Splits, *, against: Sequence[Survey], radius_arcsec: float = 1.0) -> Splits:
    """Take galaxies of any test set out of the train and validation parts of a split; its own test part stays.

    Parameters
    ----------
    splits : Splits
    against : sequence of Survey
        Every test set of the study.
    radius_arcsec : float
        Positions nearer than this are one galaxy (arcsec).

    Returns
    -------
    Splits
    """
    train, validation = (
        drop_common(part, against=against, radius_arcsec=radius_arcsec) for part in (splits.train, splits.validation)
    )
    return replace(splits, train=train, validation=validation)


def _compare(train: Survey, test: Survey, *, by: str, radius_arcsec: float) -> dict[str, object]:
    marks = in_common(test, other=train, by=by, radius_arcsec=radius_arcsec)
    counts = {"n_common": None if marks is None else int(marks.sum()), "n_train": len(train), "n_test": len(test)}
    return {"by": by, **counts, "comparable": marks is not None}
