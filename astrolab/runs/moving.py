"""The surveys of a study made ready in one call: loaded, split, cleared of leaks, united, audited; and again later."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from astrolab.datasets import splits
from astrolab.datasets.loading import is_twin, load_survey
from astrolab.datasets.manifest import load_manifest
from astrolab.datasets.overlap import LeakAudit, audit_leaks, clear_training, combine_splits
from astrolab.datasets.scaling import Scaling
from astrolab.datasets.splits import Splits, subsample
from astrolab.datasets.survey import Survey, describe_surveys
from astrolab.errors import ConfigError, RunError, require_known
from astrolab.runs.record import load_record

if TYPE_CHECKING:
    from astrolab.models.adapt import Adapted
    from astrolab.runs.run import Run

BASE, ROLES = "base", ("pretrain", "finetune")


@dataclass(frozen=True, repr=False)
class Move:
    """Two surveys between which models are moved, and their union; each is split, and no test object trains.

    Attributes
    ----------
    pretrain, finetune, union : Splits
        Of the pre-training survey, of the fine-tuning survey, of both.
    surveys : mapping of str to Survey
        ``"pretrain"`` and ``"finetune"``, whole.
    audit : LeakAudit
        What every training set has in common with every test set.
    settings : mapping
        What :func:`prepare_move` was called with.
    parts : tuple of Move
        Of a cross-validation: see `folds`.
    as_read : tuple of Survey
        Both surveys before the bridge, where there is one.
    """

    pretrain: Splits
    finetune: Splits
    union: Splits
    surveys: Mapping[str, Survey]
    audit: LeakAudit
    settings: Mapping[str, Any]
    parts: tuple[Move, ...] = ()
    as_read: tuple[Survey, ...] = ()

    @property
    def tests(self) -> tuple[Survey, ...]:
        """The test sets: of the pre-training survey, of the fine-tuning survey (whole, where it has folds), of both."""
        return self.pretrain.test, self.surveys["finetune"] if self.parts else self.finetune.test, self.union.test

    @property
    def folds(self) -> tuple[Move, ...]:
        """One move a fold of the fine-tuning survey, each of its objects a test object in one of them; or this move."""
        return self.parts or (self,)

    def with_labels(self, *names: str) -> Move:
        """Return the same move with some labels only."""
        return self._with(lambda survey: survey.with_labels(*names))

    def embed(self, model: Adapted, *, scaling: Scaling) -> Move:
        """Return the same move with the embeddings of a model in the place of what it reads: :func:`astrolab.embed`."""
        from astrolab.trainers.predicting import embed

        return self._with(lambda survey: embed(model, survey=survey, scaling=scaling))

    def _with(self, change: Callable[[Survey], Survey]) -> Move:
        parts = {name: Splits(*map(change, self.sample(name))) for name in ("pretrain", "finetune", "union")}
        surveys = {role: change(survey) for role, survey in self.surveys.items()}
        return replace(self, **parts, parts=tuple(part._with(change) for part in self.parts), surveys=surveys)

    @property
    def trains(self) -> dict[str, Survey]:
        """The training sets, by what is trained on them."""
        return {"base": self.pretrain.train, "finetune": self.finetune.train, "union": self.union.train}

    def sample(self, name: str) -> Splits:
        """Return what an arm trains on, by its ``sample``; ``"nothing"`` gives the fine-tuning one."""
        samples = {"pretrain": self.pretrain, "finetune": self.finetune, "union": self.union, "nothing": self.finetune}
        require_known("sample of a move", name=name, names=samples)
        return samples[name]

    @property
    def table(self) -> pd.DataFrame:
        """Numbers of objects, and how far their labels reach, of every training and test set."""
        return describe_surveys({**self.trains, **{f"test: {test.name}": test for test in self.tests}})

    def __repr__(self) -> str:
        lines = [repr(survey) for survey in self.surveys.values()]
        lines += [f"{name:<8} {self.sample(name)!r}" for name in ("pretrain", "finetune", "union")]
        old, new = self.pretrain.test.labels, self.finetune.test.labels
        medians = [f"{name} {old[name].median():.3g} → {new[name].median():.3g}" for name in old if name in new]
        shift = [f"shift  median of the test sets: {', '.join(medians)}"] if medians else []
        return "\n".join([*lines, repr(self.audit), *shift])


def prepare_move(
    *,
    pretrain: str,
    finetune: str,
    direction: Literal["forward", "reverse"] = "forward",
    n_pretrain: int | None = None,
    n_finetune: int | None = None,
    n_test: int | None = None,
    pretrain_where: str = "",
    finetune_where: str = "",
    split: Sequence[float] = (),
    folds: int = 0,
    labels: Sequence[str] = (),
    bridge: Mapping[str, Any] | None = None,
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
    """Load two surveys, split and unite them, and prove that no test object is trained on.

    An object in both surveys may train in one and be tested in the other: such objects leave the training and
    validation sets, or stop the study. Then every training set is compared with every test set.

    Parameters
    ----------
    pretrain, finetune : str
        The pre-training survey and the fine-tuning survey: names, or paths of manifests.
    direction : {"forward", "reverse"}
        Reverse swaps the two.
    n_pretrain, n_finetune, n_test : int, optional
        How many objects of each to learn from, for training and validation together (of a twin: to simulate, for test
        too), and the most in each test set; by default, and for 0, all.
    pretrain_where, finetune_where, split : optional
        Which objects of each, see :func:`load_survey`; shares of its parts, see :func:`split`. Else as manifests say.
    folds : int
        Into how many folds the fine-tuning survey is divided for a cross-validation (:meth:`Move.folds`); 0: none.
    labels : sequence of str
        Which labels of the surveys; by default all.
    bridge : mapping, optional
        How spectra of both become comparable: settings of :class:`Bridge`, by default at the lower resolution of both
        at each wavelength. None: they stay as they are.
    seed : int
        Of twins, subsets and splits.
    image_size : int, optional
        Side of the images in pixels; by default, and for 0, as they are.
    directory : str, optional
        Where the files of a manifest lie, if not beside it.
    union, union_keeps : str
        Name of the union, and whose row an object in both surveys keeps in it (by default that of `finetune`).
    on_leak : {"drop", "stop"}
        What happens to a training object that is in a test set.
    allow_unknown_overlap : bool
        Go on where the surveys have nothing by which common objects could be found.
    scored : mapping of str to (float, float) or None, optional
        True values that are scored, by label, instead of those of the surveys' task; None scores all.
    columns : sequence of str
        Catalogue columns that both surveys must have.

    Raises
    ------
    LeakError
        If a test object is in a training set, or that cannot be known.
    UnknownNameError
        If a survey, a column or a label does not exist.
    """
    settings = {name: value for name, value in locals().items() if name != "columns"}
    settings |= {"bridge": None if bridge is None else dict(bridge), "labels": list(labels), "split": list(split)}
    asked = [(pretrain, n_pretrain, pretrain_where), (finetune, n_finetune, finetune_where)]
    options = {"seed": seed, "image_size": image_size or None, "directory": directory or None}
    surveys, counts = {}, {}
    for role, (name, n, where) in zip(ROLES, asked[::-1] if direction == "reverse" else asked, strict=True):
        is_made = bool(n) and is_twin(load_manifest(name))
        survey = load_survey(name, n=n if is_made else None, where=where, **options)
        survey.require_columns(columns)
        own = f"{survey.name}-{role}" if pretrain == finetune else survey.name  # two choices of one survey are two
        survey = survey.with_labels(*labels) if labels else survey
        surveys[role] = replace(survey, name=own, task=survey.task.with_scored(**dict(scored or {})))
        counts[role] = None if is_made else n
    as_read: tuple[Survey, ...] = ()
    if bridge is not None:
        as_read, surveys = tuple(surveys.values()), _bridge(surveys, settings=bridge)
    parts = [_arrange(surveys, settings, counts=counts, fold=(k, folds)) for k in range(folds)]
    return replace(_arrange(surveys, settings, counts=counts), parts=tuple(parts), as_read=as_read)


def _bridge(surveys: Mapping[str, Survey], *, settings: Mapping[str, Any]) -> dict[str, Survey]:
    """Make the spectra of two surveys comparable, by default at the lower resolution of both."""
    from astrolab.datasets.spectra import Bridge, bridge_spectra, common_resolution

    if "resolution" not in settings:
        lower = common_resolution(list(surveys.values()), grid=Bridge(**settings).grid)
        settings = {**settings, "resolution": lower}
    return {role: bridge_spectra(survey, bridge=settings) for role, survey in surveys.items()}


def _arrange(
    surveys: Mapping[str, Survey],
    settings: Mapping[str, Any],
    *,
    counts: Mapping[str, int | None],
    fold: tuple[int, int] | None = None,
) -> Move:
    """Split two surveys, unite them, clear them of leaks and audit them."""
    how = {"n_test": settings["n_test"], "fractions": settings["split"], "seed": settings["seed"]}
    old, new = (
        _divide(survey, n=counts[role], fold=fold if role == "finetune" else None, **how)
        for role, survey in surveys.items()
    )
    keep, unknown = settings["union_keeps"] or surveys["finetune"].name, settings["allow_unknown_overlap"]
    together = {"keep": keep, "name": settings["union"], "allow_unknown_overlap": unknown}
    if settings["on_leak"] == "drop":
        old, new = (clear_training(splits, against=[old.test, new.test]) for splits in (old, new))
    both = combine_splits([old, new], **together)
    trains = {"base": old.train, "finetune": new.train, "union": both.train}
    tests = {test.name: test for test in (old.test, new.test, both.test)}
    audit = audit_leaks(train=trains, test=tests).require_clean(allow_unknown=unknown)
    return Move(old, new, both, surveys, audit, settings)


def _divide(
    survey: Survey,
    *,
    n: int | None,
    n_test: int | None,
    fractions: Sequence[float],
    seed: int,
    fold: tuple[int, int] | None,
) -> Splits:
    """Split a whole survey, then keep `n` of its objects to learn from and at most `n_test` to test on."""
    parts = splits.split(survey, fractions=fractions, seed=seed, fold=fold)
    n_there = len(parts.train) + len(parts.validation)
    if n and n > len(survey):
        asked = f"{n:,} {survey.objects} of {survey.name!r} were asked for to learn from."
        received = f"a survey of {len(survey):,}, of which {n_there:,} are no test {survey.objects}"
        raise ConfigError(asked, received=received, remedy="Ask for fewer, or for 0, which is all.")
    n = min(n or n_there, n_there)
    n_train = round(n * len(parts.train) / n_there)
    sizes = (n_train, n - n_train, min(n_test or len(survey), len(parts.test)))
    return Splits(*(subsample(part, n=size, seed=seed) for part, size in zip(parts, sizes, strict=True)))


def reload_move(run: Run | str | Path) -> Move:
    """Make the surveys of a run ready again, from its record, or from its folder's.

    RunError if the run has recorded no move, or the objects are other ones than those of the run.
    """
    folder = Path(getattr(run, "folder", run))
    record = load_record(folder)
    if not record["move"]:
        asked = f"The surveys of {folder.name} were to be loaded again."
        received = f"a run of {record['study']!r} that has recorded no move"
        remedy = "Load its surveys with load_survey, and pass them under the names that the predictions have."
        raise RunError(asked, received=received, available="runs of studies such as lora_vs_transfer", remedy=remedy)
    move = prepare_move(**record["move"])
    for role, survey in move.surveys.items():
        noted = record["surveys"].get(role, {})
        if survey.digest != noted.get("digest"):
            asked = f"The {role} survey of {folder.name} was to be loaded again."
            received = f"{len(survey):,} {survey.objects} with digest {survey.digest[:12]}…"
            available = f"the run had {noted.get('n', 0):,} with digest {str(noted.get('digest'))[:12]}…"
            remedy = f"The files, or what simulates them, have changed: run it again, `astrolab run {record['study']}`."
            raise RunError(asked, received=received, available=available, remedy=remedy)
    return move


def reload_model(run: Run | str | Path, *, arm: str, seed: int) -> tuple[Adapted, Scaling]:
    """Load a network of a run again, on the CPU and as it was trained to the last bit, with its input scaling.

    The arm is e.g. ``"lora"``, with its conditions where it has some, ``"lora-fraction0.1"``, or ``"base"``: the
    network that the others start from; the seed is that of training. Its predictions say which objects are unlike the
    training set. CheckpointError if its files are damaged, or the base is another one.
    """
    from astrolab.models.saving import load_model

    folder = Path(getattr(run, "folder", run))
    name, models = f"{arm}-s{seed}", folder / "models"
    there = [path.name for path in models.glob("*") if path.is_dir()]
    require_known(f"network of {folder.name}", name=name, names=there)
    below = _base_of(name, fits=load_record(folder)["fits"])
    base = load_model(models / below) if below else None
    model = load_model(models / name, base=base and base.network)
    if base and not model.plan.n_trainable:
        model = replace(model, reference=base.reference)
    return model, Scaling.load(models / name / "scaling.json")


def _base_of(name: str, *, fits: Mapping[str, Any]) -> str:
    """Name the fit that another one started from: of the same seed, on the same input, under no other condition."""
    fit, found = fits[name], ""
    for arm in (BASE, f"{BASE}-{fit['arm'].rpartition('-')[2]}"):
        for key, other in fits.items():
            is_wider = other["condition"].items() <= fit["condition"].items()
            if other["arm"] == arm and other["seed"] == fit["seed"] and is_wider:
                found = key
    return "" if fit["arm"].partition("-")[0] == BASE else found
