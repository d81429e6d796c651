"""Run folders as studies leave them, with predictions of known offset and width instead of trained networks."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from astrolab.metrics import Resampling, score
from astrolab.predictions import concat_predictions, predictions_table
from astrolab.runs import Run, open_run
from astrolab.tasks import REDSHIFT, Task

SURVEYS = ("twin-transferz", "twin-galaxiesml", "combo")
Errors = Mapping[str, tuple[float, float]]  # survey: offset and width of dz


CIRCUMSTANCES = {"device": "cpu", "precision": "float32", "n_threads": 2, "versions": {"torch": "2.8.0"}}


def fit_record(
    arm: str, *, seed: int, condition: Mapping = {}, time_s: float = 2.0, circumstances: Mapping = CIRCUMSTANCES
) -> dict:
    rates = [1e-3, 1e-2]
    trials = [
        {"learning_rate": rate, "validation_loss": rate, "n_epochs": 3, "n_seen": 30, "time_s": time_s, "stopped": "x"}
        for rate in rates
    ]
    return {
        "arm": arm,
        "seed": seed,
        "condition": dict(condition),
        "reused": False,
        "trained_on": "twin-galaxiesml",
        "simulated": True,
        "n_train": 10,
        "train_digest": "feed",
        "strategy": {"name": arm},
        "n_trainable": 0 if arm == "zero_shot" else 100,
        "n_epochs": 3,
        "best_epoch": 2,
        "stopped": "all epochs",
        "n_steps": 6,
        "n_seen": 30,
        "cut_short": False,
        "time_s": time_s,
        "peak_memory_bytes": 1000,
        "circumstances": dict(circumstances),
        "config": {"learning_rate": 1e-3},
        "trials": trials,
        "history": {"epoch": [1, 2], "train_loss": [1.0, 0.5]},
    }


def simulate(
    arms: Mapping[str, Errors],
    *,
    seeds: Sequence[int],
    n: int,
    common: float = 0.7,
    simulated: bool = True,
    task: Task = REDSHIFT,
) -> pd.DataFrame:
    """Predictions in which the same galaxies are hard for every arm; `combo` is the union of the two surveys."""
    tables = []
    for number, survey in enumerate(dict.fromkeys(s for errors in arms.values() for s in errors)):
        rng = np.random.default_rng([7, number])
        truth, difficulty = rng.uniform(0.31, 1.49, n), rng.normal(0, 1, n)
        for place, (arm, errors) in enumerate(arms.items()):
            for seed in seeds:
                own = np.random.default_rng([number, place, seed]).normal(0, 1, n)
                offset, width = errors[survey]
                dz = offset + width * (np.sqrt(common) * difficulty + np.sqrt(1 - common) * own)
                name, _, fraction = arm.partition("@")
                identity = {"run": "this", "fit": fit_name(arm, seed=seed), "arm": name, "strategy": name, "seed": seed}
                identity |= {"survey": survey, "split": "test"} | ({"fraction": float(fraction)} if fraction else {})
                labels = {"truth": {"z": truth}, "pred": {"z": truth + (1 + truth) * dz}}
                tables.append(predictions_table(**labels, task=task, simulated=simulated, cut_short=False, **identity))
    return concat_predictions(tables)


def fit_name(arm: str, *, seed: int) -> str:
    return f"{arm.replace('@', '-fraction')}-s{seed}"


def survey_record(name: str, *, n: int = 3, simulated: bool = True) -> dict:
    """What a record says of a survey; one called `twin-…` is a twin of the survey without that."""
    twin_of = name.removeprefix("twin-") if simulated and name.startswith("twin-") else ""
    return {"name": name, "twin_of": twin_of, "repr": "…", "n": n, "digest": f"of {name}", "simulated": simulated}


def write_run(
    directory: Path,
    *,
    arms: Mapping[str, Errors],
    study: str = "lora_vs_transfer",
    seeds: Sequence[int] = (0,),
    n: int = 200,
    parameters: Mapping | None = None,
    finished: bool = True,
    direction: str | None = "forward",
    move: Sequence[str] = ("twin-transferz", "twin-galaxiesml"),
    simulated: bool = True,
    time_s: float = 2.0,
    circumstances: Mapping = CIRCUMSTANCES,
    task: Task = REDSHIFT,
) -> Run:
    """Write a run folder; an arm may be `lora@0.1`, for a fraction of the fine-tuning set.

    Models are moved from the first survey of `move` to the second, or back in the reverse direction. Fits of an arm
    take `time_s` and a second more for each further seed, those of the base model `time_s`.
    """
    given = {"seeds": list(seeds), "epochs": 3} | ({"direction": direction} if direction else {})
    run = open_run(study=study, parameters=given | dict(parameters or {}), directory=directory)
    names = move[::-1] if direction == "reverse" else move
    surveys = {role: survey_record(name, n=n) for role, name in zip(("pretrain", "finetune"), names, strict=True)}
    run.record |= {"surveys": surveys, "task": task.to_dict(), "move": {"direction": direction} if direction else {}}
    for seed in seeds:
        run.record["fits"][f"base-s{seed}"] = fit_record("base", seed=seed, time_s=time_s, circumstances=circumstances)
        for arm in arms:
            name, _, fraction = arm.partition("@")
            condition = {"fraction": float(fraction)} if fraction else {}
            of_fit = {"condition": condition, "time_s": time_s + seed, "circumstances": circumstances}
            run.record["fits"][fit_name(arm, seed=seed)] = fit_record(name, seed=seed, **of_fit)
    run._write()
    if not finished:
        run._lock.release(force=True)
        return run
    predictions = simulate(arms, seeds=seeds, n=n, simulated=simulated, task=task)
    if direction is not None:
        predictions = concat_predictions([predictions], direction=direction)
    run.save_predictions([predictions])
    run.finish(scores=score(predictions, resampling=Resampling(n=20)))
    return run
