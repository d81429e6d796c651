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
    "device",
    "precision",
    "n_threads",
)


def fit_key(arm: str, *, seed: int, condition: Mapping[str, Any]) -> str:
    """Return the name of a fit within its run, which is also that of its folder.

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

    ``time_s`` is of the fit that was kept, as measured when it was made, where it was taken from the run store.
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
        "circumstances": best.circumstances,
        "config": best.config.to_dict(),
        "trials": list(trials.log),
        "history": best.history.to_dict("list"),
    }


def cost_table(record: Mapping[str, Any]) -> pd.DataFrame:
    """Return what each fit of a run cost: one row a fit, ``arm``, ``seed``, its conditions and :data:`COSTS`."""
    rows = [_identity(fit) | _costs(fit) for fit in record["fits"].values()]
    return pd.DataFrame(rows, columns=[*_identity_columns(record), *COSTS])


def history_table(record: Mapping[str, Any]) -> pd.DataFrame:
    """Return losses and learning rate of a run: one row an epoch and fit, with ``arm``, ``seed`` and conditions."""
    tables = [
        pd.DataFrame(fit["history"]).assign(**_identity(fit), simulated=fit["simulated"])
        for fit in record["fits"].values()
        if fit["history"]["epoch"]
    ]
    if not tables:
        return pd.DataFrame(columns=["epoch", *_identity_columns(record)])
    return pd.concat(tables, ignore_index=True)


def made_under(record: Mapping[str, Any]) -> str:
    """Say what the fits of a run were computed with, e.g. ``"float32 on cpu, 2 threads"``; empty if none trained."""
    table = cost_table(record)
    used = table.loc[table["n_trainable"] > 0, ["precision", "device", "n_threads"]].astype(str).drop_duplicates()
    return "; ".join(f"{precision} on {device}, {n} threads" for precision, device, n in used.itertuples(index=False))


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
    known = of_search | {name: fit["circumstances"].get(name) for name in ("device", "precision", "n_threads")}
    return known | {name: fit[name] for name in COSTS if name not in known}
