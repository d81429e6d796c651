"""What a paper printed beside what was measured here: of one run, and of all runs of a ledger."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from astrolab.metrics.summary import summarise_seeds
from astrolab.published import list_published
from astrolab.published.counterparts import describe_counterpart, find_direction, load_counterpart

if TYPE_CHECKING:
    from astrolab.runs.ledger import Ledger

COLUMNS = (
    *("direction", "survey", "arm", "fraction", "metric", "measured_here", "std", "n_seeds"),
    *("printed", "model", "source", "simulated"),
)


def compare_with_paper(scores: pd.DataFrame, *, study: str, parameters: Mapping[str, Any]) -> pd.DataFrame:
    """Return scores, averaged over seeds, with what the paper printed of models that were moved the same way.

    Parameters
    ----------
    scores : DataFrame
        From :func:`astrolab.score`, of one run.
    study : str
        One of those with published numbers.
    parameters : mapping
        Parameters of the run, from :func:`astrolab.read_parameters`.

    Returns
    -------
    DataFrame
        :data:`COLUMNS`: ``survey`` (the real one, for a twin too), ``printed`` (NaN where the paper printed nothing of
        this arm, survey and metric), ``model`` (the paper's name). No row where it printed nothing of models that were
        moved this way; :func:`astrolab.describe_counterpart` says why.

    Raises
    ------
    UnknownNameError
        If no numbers of the study were published.
    """
    printed = load_counterpart(study, parameters=parameters)
    if printed.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    means = summarise_seeds(scores).rename(columns={"mean": "measured_here"})
    means = means.assign(survey=means["survey"].str.removeprefix("twin-"), direction=find_direction(parameters))
    keys = [name for name in ("survey", "arm", "fraction", "metric") if name in printed]
    printed = printed[[*keys, "value", "model", "source"]].rename(columns={"value": "printed"})
    return means.merge(printed, on=keys, how="left").reindex(columns=COLUMNS)


def compare_runs_with_paper(ledger: Ledger) -> pd.DataFrame:
    """Return the scores of a ledger with what the paper printed, experiment by experiment and way by way.

    Parameters
    ----------
    ledger : Ledger
        From :func:`astrolab.load_ledger`; runs that a newer one repeats are left out.

    Returns
    -------
    DataFrame
        ``study``, ``experiment`` and :data:`COLUMNS`; without a row where nothing was printed of any of these runs.

    Raises
    ------
    RunError
        If no run has scores.
    """
    columns, tables = ["study", "experiment", *COLUMNS], []
    for told, parameters, part in _ways(ledger):
        if told["study"] in list_published():
            scores = part.scores.drop(columns=list(told))
            table = compare_with_paper(scores, study=told["study"], parameters=parameters)
            tables += [table.assign(**told)] if len(table) else []
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)


def describe_counterparts(ledger: Ledger) -> pd.DataFrame:
    """Say of each experiment of a ledger, and of each way its models were moved, what the paper printed of it.

    Parameters
    ----------
    ledger : Ledger
        From :func:`astrolab.load_ledger`.

    Returns
    -------
    DataFrame
        ``study``, ``experiment``, ``direction`` (``"elsewhere"`` between surveys that are not the paper's) and
        ``beside``: in words.

    Raises
    ------
    RunError
        If no run has scores.
    """
    rows = []
    for told, parameters, _ in _ways(ledger):
        words = describe_counterpart(told["study"], parameters=parameters)
        rows.append(told | {"direction": find_direction(parameters), "beside": words})
    return pd.DataFrame(rows)


def _ways(ledger: Ledger) -> Iterator[tuple[dict[str, str], dict[str, Any], Ledger]]:
    """Name, parameters and runs of each experiment, once for each direction in which its models were moved."""
    newest = ledger.newest()
    runs = newest.table.drop_duplicates("run")
    ways = runs.apply(find_direction, axis=1, prefix="p.").rename("way")
    for (study, experiment, _), rows in runs.groupby(["study", "experiment", ways], sort=False):
        parameters = {name[2:]: value for name, value in rows.iloc[0].items() if str(name).startswith("p.")}
        yield {"study": study, "experiment": experiment}, parameters, newest.where(run=list(rows["run"]))
