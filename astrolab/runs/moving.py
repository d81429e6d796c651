"""The surveys of a study made ready: loaded, split, cleared of leaks, united and audited in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from astrolab.datasets.loading import load_survey
from astrolab.datasets.overlap import LeakAudit, audit_leaks, clear_training, combine, combine_splits
from astrolab.datasets.splits import Splits, split
from astrolab.datasets.survey import Survey, describe_surveys


@dataclass(frozen=True, repr=False)
class Move:
    """Two surveys between which models are moved, and their union, each split, with no test object in a training set."""

    pretrain: Splits
    finetune: Splits
    union: Splits
    surveys: Mapping[str, Survey]
    audit: LeakAudit
    settings: Mapping[str, Any]

    @property
    def tests(self) -> tuple[Survey, ...]:
        """The test sets: of the first survey, of the second, of both."""
        return self.pretrain.test, self.finetune.test, self.union.test

    @property
    def trains(self) -> dict[str, Survey]:
        """The training sets, by what is trained on them."""
        return {"base": self.pretrain.train, "finetune": self.finetune.train, "union": self.union.train}

    def sample(self, name: str) -> Splits:
        """Give what an arm trains on."""
        return {"pretrain": self.pretrain, "union": self.union}.get(name, self.finetune)

    @property
    def table(self) -> pd.DataFrame:
        """Numbers of objects, and how far their labels reach, of every training and test set."""
        return describe_surveys({**self.trains, **{f"test: {test.name}": test for test in self.tests}})

    def __repr__(self) -> str:
        lines = [repr(survey) for survey in self.surveys.values()]
        for name, part in {"first": self.pretrain, "second": self.finetune, "both": self.union}.items():
            lines.append(f"{name:<6} {part!r}")
        return "\n".join([*lines, repr(self.audit), *self._shift()])

    def _shift(self) -> list[str]:
        """How far the medians of the labels lie apart in the two test sets."""
        old, new = self.pretrain.test, self.finetune.test
        shared = [name for name in old.labels if name in new.labels]
        medians = [f"{name} {old.labels[name].median():.3g} → {new.labels[name].median():.3g}" for name in shared]
        return [f"shift  median of the test sets: {', '.join(medians)}"] if medians else []


def prepare_move(
    *,
    pretrain: str,
    finetune: str,
    direction: Literal["forward", "reverse"] = "forward",
    n_pretrain: int | None = None,
    n_finetune: int | None = None,
    seed: int = 0,
    image_size: int | None = None,
    directory: str | None = None,
    union: str = "combo",
    union_keeps: str = "",
    on_leak: Literal["drop", "stop"] = "drop",
    allow_unknown_overlap: bool = False,
    scored: Mapping[str, tuple[float, float] | None] | None = None,
    columns: Sequence[str] = (),
) -> Move:
    """Load two surveys, split them, and prove that no test object is trained on.

    An object in both surveys may train in one and be tested in the other: such objects leave the training and
    validation sets, or stop the study. Then every training set is compared with every test set.
    """
    settings = {name: value for name, value in locals().items() if name not in ("columns",)}
    names = (finetune, pretrain) if direction == "reverse" else (pretrain, finetune)
    sizes = {pretrain: n_pretrain, finetune: n_finetune}
    surveys = []
    for name in names:
        survey = load_survey(name, n=sizes[name] or None, seed=seed, image_size=image_size or None, directory=directory)
        survey.require_columns(columns)
        surveys.append(survey.with_task(survey.task.with_scored(**dict(scored or {}))))
    old, new = (split(survey, seed=seed) for survey in surveys)
    together = {
        "keep": union_keeps or surveys[1].name,
        "name": union,
        "allow_unknown_overlap": allow_unknown_overlap,
    }
    tests = [old.test, new.test, combine([old.test, new.test], **together)]
    if on_leak == "drop":
        old, new = (clear_training(splits, against=tests) for splits in (old, new))
    both = combine_splits([old, new], **together)
    trains = {"base": old.train, "finetune": new.train, "union": both.train}
    audit = audit_leaks(train=trains, test={test.name: test for test in tests})
    audit.require_clean(allow_unknown=allow_unknown_overlap)
    return Move(old, new, both, dict(zip(("pretrain", "finetune"), surveys, strict=True)), audit, settings)
