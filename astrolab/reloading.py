"""A finished run taken up again: its newest folder, its test sets, its networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from astrolab.datasets.loading import load_survey
from astrolab.datasets.mixtures import combine
from astrolab.datasets.scaling import Scaling
from astrolab.datasets.splits import split
from astrolab.datasets.survey import Survey
from astrolab.errors import RunError, unknown_name
from astrolab.runs.finding import find_runs
from astrolab.runs.folder import Run
from astrolab.runs.records import load_record, runs_dir

if TYPE_CHECKING:
    from astrolab.models.adapt import Adapted

BASE = "base"
_NEEDED = ("pretrain_survey", "finetune_survey", "n_pretrain", "n_finetune", "data_seed")


def find_run(study: str, *, directory: str | Path = "") -> Path:
    """Find a finished run of a study: the folder named, or the newest.

    Parameters
    ----------
    study : str
        e.g. ``"lora_vs_transfer"``.
    directory : path, optional
        Folder of one run; empty finds the newest finished one under :func:`astrolab.runs.runs_dir`.

    Returns
    -------
    Path

    Raises
    ------
    RunError
        If there is none, or the folder holds an unfinished run, or one of another study.
    """
    command = f"Run it first: `astrolab run {study} --preset smoke` takes a minute."
    if directory:
        folder = Path(directory).resolve()
        record = load_record(folder)
        if record["study"] != study or record["status"] != "finished":
            raise RunError(
                f"A finished run of {study!r} was asked for.",
                received=f"{folder}, a run of {record['study']!r} that is {record['status']}",
                remedy="Name the folder of another run, or run the same command again to let it go on.",
            )
        return folder
    found, _ = find_runs() if runs_dir().is_dir() and any(runs_dir().iterdir()) else ([], {})
    finished = [run for run in found if run.record["study"] == study and run.record["status"] == "finished"]
    if not finished:
        raise RunError(
            f"The newest finished run of {study!r} was asked for.",
            received=f"{runs_dir()}, which holds none",
            available=", ".join(sorted({run.record["study"] for run in found})) or "no runs at all",
            remedy=command,
        )
    return finished[-1].folder


def reload_surveys(run: Run | str | Path) -> dict[str, Survey]:
    """Load the test sets of a run again, from its parameters, and prove that they are the same galaxies.

    Parameters
    ----------
    run : Run or path
        A run, or its folder; of a study that pre-trains on one survey and fine-tunes on another.

    Returns
    -------
    dict of str to Survey
        Test sets by the name that the predictions have for them: of the survey of pre-training, of fine-tuning, and of
        their union where the study has one.

    Raises
    ------
    RunError
        If the study has no such surveys, or the galaxies are other ones than those of the run.
    """
    folder = _folder(run)
    record = load_record(folder)
    parameters = record["parameters"]
    missing = [name for name in _NEEDED if name not in parameters]
    if missing:
        raise RunError(
            f"The surveys of {folder.name} were to be loaded again.",
            received=f"a run of {record['study']!r}, whose parameters lack {', '.join(missing)}",
            available="runs of studies such as lora_vs_transfer",
            remedy="Load its surveys with load_survey, and pass them under the names that the predictions have.",
        )
    tests = []
    for role, survey in _surveys(parameters).items():
        _require_same(survey, role=role, record=record, folder=folder)
        tests.append(split(survey, seed=parameters["data_seed"]).test)
    if parameters.get("union_name"):
        tests.append(combine(tests, keep=parameters["union_keeps"], name=parameters["union_name"]))
    return {test.name: test for test in tests}


def _surveys(parameters: dict[str, Any]) -> dict[str, Survey]:
    """Both surveys by their role, as the notebooks load them."""
    names = [parameters["pretrain_survey"], parameters["finetune_survey"]]
    sizes = dict(zip(names, (parameters["n_pretrain"], parameters["n_finetune"]), strict=True))
    if parameters.get("direction") == "reverse":
        names.reverse()
    options = {
        "seed": parameters["data_seed"],
        "image_size": parameters.get("image_size") or None,
        "directory": parameters.get("data_directory") or None,
    }
    loaded = [load_survey(name, n=sizes[name] or None, **options) for name in names]
    return dict(zip(("pretrain", "finetune"), loaded, strict=True))


def _require_same(survey: Survey, *, role: str, record: dict[str, Any], folder: Path) -> None:
    noted = record["surveys"].get(role, {})
    if survey.digest != noted.get("digest"):
        raise RunError(
            f"The {role} survey of {folder.name} was to be loaded again.",
            received=f"{len(survey):,} galaxies with digest {survey.digest[:12]}…",
            available=f"the run stood on {noted.get('n', 0):,} galaxies with digest {str(noted.get('digest'))[:12]}…",
            remedy=f"The files, or the code that simulates them, have "
            f"changed since: run the study again with `astrolab run {record['study']}`.",
        )


def reload_model(run: Run | str | Path, *, arm: str, seed: int) -> tuple[Adapted, Scaling]:
    """Load a network of a run again, with the input scaling it was trained with.

    Parameters
    ----------
    run : Run or path
    arm : str
        e.g. ``"lora"``, or ``"base"``: the network that the others start from.
    seed : int
        Training seed.

    Returns
    -------
    Adapted
        On the CPU, in evaluation mode; predicts like the one that was trained, to the last bit.
    Scaling

    Raises
    ------
    UnknownNameError
        If the run has no such network.
    CheckpointError
        If its files are damaged, or the base is another one.
    """
    from astrolab.models.saving import load_model

    folder = _folder(run)
    name, models = f"{arm}-s{seed}", folder / "models"
    if not (models / name).is_dir():
        raise unknown_name(
            f"network of {folder.name}", name=name, names=[path.name for path in models.glob("*") if path.is_dir()]
        )
    base = None if arm == BASE else load_model(models / f"{BASE}-s{seed}").network
    return load_model(models / name, base=base), Scaling.load(models / name / "scaling.json")


def _folder(run: Run | str | Path) -> Path:
    return Path(run.folder if isinstance(run, Run) else run)
