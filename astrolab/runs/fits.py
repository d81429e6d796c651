"""What is written down of each fit, and the tables that are made from it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from astrolab.errors import ConfigError

if TYPE_CHECKING:
    from astrolab.datasets.survey import Survey
    from astrolab.runs.trials import Trials

COSTS = (
    "trained_on",
    "n_train",
    "strategy",
    "learning_rate",
    "n_trials",
    "n_trainable",
    "n_epochs",
    "best_epoch",
    "stopped",
    "n_seen",
    "time_s",
    "search_time_s",
    "peak_memory_bytes",
    "reused",
)


def fit_key(arm: str, *, seed: int, condition: Mapping[str, Any]) -> str:
    """Return the name of a fit within its run, which is also that of its folder.

    Parameters
    ----------
    arm : str
    seed : int
    condition : mapping
        What else tells it from the other fits of its arm.

    Returns
    -------
    str

    Raises
    ------
    ConfigError
        If it would be no good name for a folder.

    Examples
    --------
    >>> fit_key("lora", seed=0, condition={"fraction": 0.25})
    'lora-fraction0.25-s0'
    """
    key = "-".join([arm, *(f"{name}{value}" for name, value in condition.items()), f"s{seed}"])
    if not re.fullmatch(r"[A-Za-z0-9][\w.+-]*", key, re.ASCII):
        raise ConfigError(
            "A fit was to be recorded under the name of its arm, its condition and its seed.",
            received=repr(key),
            available="letters, digits, and _ . + -",
            remedy="Use these in the names of arms and the values of conditions: they name a folder.",
        )
    return key


def describe_fit(trials: Trials, *, train: Survey) -> dict[str, Any]:
    """Return what ``run.json`` says of a fit.

    Parameters
    ----------
    trials : Trials
    train : Survey
        What it learned from.

    Returns
    -------
    dict
        JSON-able. ``time_s`` is of the fit that was kept, ``search_time_s`` of all its trials; both as measured when it
        was made, where it was taken from the run store.
    """
    best = trials.best
    return {
        "trained_on": train.name,
        "simulated": train.provenance.simulated,
        "n_train": len(train),
        "train_digest": train.digest,
        "strategy": best.adapted.settings.to_dict(),
        "n_trainable": best.n_trainable,
        "n_epochs": best.n_epochs,
        "best_epoch": best.best_epoch,
        "stopped": best.stopped,
        "n_seen": best.n_seen,
        "time_s": best.time_s,
        "peak_memory_bytes": best.peak_memory_bytes,
        "config": best.config.to_dict(),
        "trials": list(trials.log),
        "history": best.history.to_dict("list"),
    }


def cost_table(record: Mapping[str, Any]) -> pd.DataFrame:
    """Return what each fit of a run cost.

    Parameters
    ----------
    record : mapping
        The content of ``run.json``.

    Returns
    -------
    DataFrame
        One row a fit: ``arm``, ``seed``, a column for each condition, and :data:`COSTS`.
    """
    rows = [_identity(fit) | _costs(fit) for fit in record["fits"].values()]
    return pd.DataFrame(rows, columns=[*_identity_columns(record), *COSTS])


def history_table(record: Mapping[str, Any]) -> pd.DataFrame:
    """Return losses and learning rate of every epoch of every fit of a run.

    Parameters
    ----------
    record : mapping
        The content of ``run.json``.

    Returns
    -------
    DataFrame
        One row an epoch and fit: the columns of `FitResult.history`, ``arm``, ``seed``, a column for each condition,
        and ``simulated``.
    """
    tables = [
        pd.DataFrame(fit["history"]).assign(**_identity(fit), simulated=fit["simulated"])
        for fit in record["fits"].values()
        if fit["history"]["epoch"]
    ]
    if not tables:
        return pd.DataFrame(columns=["epoch", *_identity_columns(record)])
    return pd.concat(tables, ignore_index=True)


def _identity(fit: Mapping[str, Any]) -> dict[str, Any]:
    return {"arm": fit["arm"], "seed": fit["seed"], **fit["condition"]}


def _identity_columns(record: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(["arm", "seed", *(name for fit in record["fits"].values() for name in fit["condition"])]))


def _costs(fit: Mapping[str, Any]) -> dict[str, Any]:
    of_search = {
        "strategy": fit["strategy"]["name"],
        "learning_rate": fit["config"]["learning_rate"] if fit["n_trainable"] else None,
        "n_trials": len(fit["trials"]) if fit["n_trainable"] else 0,
        "search_time_s": sum(trial["time_s"] for trial in fit["trials"]),
    }
    return of_search | {name: fit[name] for name in COSTS if name not in of_search}
