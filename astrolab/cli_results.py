"""The ``astrolab results`` command: what any number of runs measured and spent, in one table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from astrolab.errors import RunError, unknown_name

if TYPE_CHECKING:
    from astrolab.runs.ledger import Ledger


def results(
    directories: Annotated[
        list[Path] | None, typer.Argument(metavar="[DIR]...", help="Run folders, or folders of them; by default runs/.")
    ] = None,
    study: Annotated[str | None, typer.Option(help="Runs of this study only.")] = None,
    where: Annotated[
        str, typer.Option(metavar="EXPR", help="Which rows, e.g. \"arm == 'lora' and p.epochs >= 8\".")
    ] = "",
    metric: Annotated[list[str] | None, typer.Option(help="Which metric; repeatable.")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the table to a .csv, .parquet or .tex file, too.")
    ] = None,
) -> None:
    """Collect runs into one table of scores and costs; print it, and write it to a file."""
    from astrolab.runs.ledger import load_ledger

    whole = load_ledger(directories or None)
    ledger = _choose(whole, study=study, where=where, metrics=metric)
    typer.echo(describe_ledger(ledger, metrics=metric))
    if out is not None:
        typer.echo(f"\nwritten to {ledger.save(out)}")


def _choose(ledger: Ledger, *, study: str | None, where: str, metrics: list[str] | None) -> Ledger:
    for column, wanted in (("study", [study] if study else []), ("metric", metrics or [])):
        known = ledger.runs["study"] if column == "study" else ledger.table["metric"]
        for name in wanted:
            if name not in set(known):
                raise unknown_name(f"{column} in these runs", name=name, names=set(known))
        if wanted:
            ledger = ledger.where(**{column: wanted})
    chosen = ledger.where(where)
    if where and chosen.table.empty:
        raise RunError(
            "Rows of the ledger were to be chosen by an expression.",
            received=f"{where!r}, which holds for none of {len(ledger.table):,} rows",
            available="; ".join(f"{name}: {_values(ledger, name)}" for name in ("study", "arm", "survey", "metric")),
            remedy="Ask for less.",
        )
    return chosen


def _values(ledger: Ledger, column: str) -> str:
    return ", ".join(map(str, ledger.table[column].unique()))


def describe_ledger(ledger: Ledger, *, metrics: list[str] | None = None) -> str:
    """Return a ledger as text for the terminal: runs, then scores and costs of each experiment."""
    blocks = [repr(ledger), _runs(ledger)]
    for experiment in ledger.table["experiment"].unique():
        blocks.append(_experiment(ledger.where(experiment=experiment), metrics=metrics))
    if len(ledger.skipped):
        reasons = [f"  {row.folder}: {row.reason}" for row in ledger.skipped.itertuples()]
        blocks.append("\n".join(["skipped, because they cannot be read:", *reasons]))
    return "\n\n".join(blocks)


def _runs(ledger: Ledger) -> str:
    runs = ledger.runs[["run", "study", "preset", "status", "started", "n_fits", "experiment", "made_under"]]
    return runs.assign(started=runs["started"].str[:16]).to_string(index=False)


def _experiment(ledger: Ledger, *, metrics: list[str] | None) -> str:
    from astrolab.metrics.comparing import HEADLINE_METRICS
    from astrolab.metrics.scoring import tabulate_scores
    from astrolab.metrics.summary import describe_spread

    scores = ledger.scores
    shown = metrics or [name for name in HEADLINE_METRICS if name in set(scores["metric"])]
    scores = scores[scores["metric"].isin(shown)] if shown else scores
    table = tabulate_scores(scores.drop(columns=["study", "experiment"]))
    spread = describe_spread(table["n_seeds"], otherwise="bootstrap interval over galaxies")
    words = [scores["study"].iloc[0], f"experiment {scores['experiment'].iloc[0]}", f"± {spread}, * best"]
    words += ["simulated twin surveys"] if scores["simulated"].any() else []
    table = table if table["n_seeds"].nunique() > 1 else table.drop(columns="n_seeds")
    return "\n".join([" · ".join(words), table.rename_axis(columns=None).to_string(), "", _costs(ledger)])


def _costs(ledger: Ledger) -> str:
    from astrolab.runs.costs import COUNTS, summarise_costs

    costs = summarise_costs(ledger).drop(columns=["study", "experiment", "search_time_s"])
    counts = costs[list(COUNTS)].round(0).astype(int)
    return costs.assign(**counts).round({"time_s": 1, "peak_memory_MB": 0}).to_string(index=False)
