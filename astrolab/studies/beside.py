"""What papers printed: their numbers as data, never mixed with what was measured here, and shown beside it.

A paper's numbers are ``published/<study>.csv``; between which surveys it moved models, and what it claims, is
``published/<paper>.toml``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from astrolab.errors import unknown_name
from astrolab.metrics import summarise_seeds
from astrolab.runs.record import load_record, real_survey

if TYPE_CHECKING:
    from astrolab.runs.ledger import Ledger
    from astrolab.runs.run import Run

PUBLISHED = Path(__file__).with_name("published")
ELSEWHERE = "elsewhere"  # between surveys that are not the paper's
COLUMNS = (
    *("direction", "survey", "arm", "fraction", "metric", "measured_here", "std", "n_seeds"),
    *("printed", "model", "source", "simulated"),
)


@dataclass(frozen=True)
class Paper:
    """A paper: the studies that are after it, how it calls surveys, which way it moved models, and what it claims."""

    title: str
    studies: tuple[str, ...]
    surveys: Mapping[str, str]
    moves: Mapping[str, tuple[str, str]]
    protocols: Mapping[str, Mapping[str, str]]
    claims: tuple[Mapping[str, Any], ...]

    def direction(self, move: tuple[str, str]) -> str:
        """Name the paper's way between two real surveys; `ELSEWHERE` where it moved no model between these."""
        return next((name for name, way in self.moves.items() if way == move), ELSEWHERE)

    def in_words(self, move: tuple[str, str]) -> str:
        """Name a move as the paper does."""
        return " → ".join(self.surveys.get(name, name) for name in move)


@cache
def load_papers() -> tuple[Paper, ...]:
    """Read the papers that ship with astrolab."""
    papers = []
    for path in sorted(PUBLISHED.glob("*.toml")):
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        moves = {name: tuple(way) for name, way in values["moves"].items()}
        about = values.get("about", {})  # what all claims of a paper have in common
        claims = tuple(about | one | {"source": f"{values['title']}, {one['source']}"} for one in values["claim"])
        studies, protocols = tuple(values["studies"]), values.get("protocols", {})
        papers.append(Paper(values["title"], studies, values["surveys"], moves, protocols, claims))
    return tuple(papers)


def find_paper(study: str) -> Paper | None:
    """Return the paper that a study is after, if there is one."""
    return next((paper for paper in load_papers() if study in paper.studies), None)


def list_published() -> tuple[str, ...]:
    """Return the studies whose printed numbers ship with astrolab."""
    return tuple(sorted(path.stem for path in PUBLISHED.glob("*.csv")))


def load_published(study: str, *, direction: str | None = None) -> pd.DataFrame:
    """Return the numbers that a paper printed, each with the table it is from; they were measured on other data.

    Parameters
    ----------
    study : str
        Name of a study, e.g. ``"lora_vs_transfer"``.
    direction : {"forward", "reverse"}, optional
        Keep the models of one direction, and those that have none (trained on both surveys at once).

    Returns
    -------
    DataFrame
        Columns ``study``, ``direction``, ``model`` (the paper's name), ``arm`` (ours), ``dataset`` (the paper's name,
        or ``"training"`` for costs), ``survey`` (ours), ``metric``, ``value``, ``source``, and ``fraction`` (of the
        fine-tuning set) where that was varied.

    Examples
    --------
    >>> table = load_published("lora_vs_transfer", direction="forward")
    >>> table.query("arm == 'lora' and metric == 'scatter'").set_index("dataset")["value"].to_dict()
    {'TransferZ-Images': 0.0476, 'GalaxiesML': 0.0184, 'Combo': 0.0223}
    """
    if study not in list_published():
        raise unknown_name("study with published numbers", name=study, names=list_published())
    table = pd.read_csv(PUBLISHED / f"{study}.csv", keep_default_na=False)
    if direction is None:
        return table
    if direction not in set(table["direction"]):
        raise unknown_name("direction", name=direction, names=table["direction"].unique())
    return table[table["direction"].isin([direction, "both"])].reset_index(drop=True)


def load_counterpart(run: Run | str | Path) -> pd.DataFrame:
    """Return what the paper printed of models that were moved as those of a run (or of a run's folder).

    As from :func:`astrolab.load_published`; without a row where the surveys are others, or nothing was printed of this
    direction: :func:`describe_counterpart` says which. UnknownNameError if no numbers of the study were published.
    """
    return _printed(*_study_and_move(run))


def describe_counterpart(run: Run | str | Path) -> str:
    """Say in words what the paper printed of models that were moved as those of a run, or that it printed nothing.

    e.g. ``"what the paper printed of GalaxiesML → TransferZ, measured on other data"``.
    """
    return _in_words(*_study_and_move(run))


def compare_with_paper(scores: pd.DataFrame, *, run: Run | str | Path) -> pd.DataFrame:
    """Return scores, averaged over seeds, with what the paper printed of models that were moved the same way.

    Parameters
    ----------
    scores : DataFrame
        From :func:`astrolab.score`, of the run.
    run : Run or path
        The run, or its folder: its record says between which surveys the models were moved.

    Returns
    -------
    DataFrame
        :data:`COLUMNS`: ``survey`` (the real one, for a twin too), ``printed`` (NaN where the paper printed nothing of
        this arm, survey and metric), ``model`` (the paper's name). No row where it printed nothing of models that were
        moved this way.
    """
    study, move = _study_and_move(run)
    real = {survey["name"]: survey["twin_of"] or survey["name"] for survey in _record(run)["surveys"].values()}
    return _beside(scores.assign(survey=scores["survey"].replace(real)), study=study, move=move)


def compare_runs_with_paper(ledger: Ledger) -> pd.DataFrame:
    """Return the scores of a ledger's newest runs with what the paper printed, experiment by experiment and way by way.

    ``study``, ``experiment`` and :data:`COLUMNS`; without a row where nothing was printed of any of these runs.
    """
    columns, tables = ["study", "experiment", *COLUMNS], []
    for name, move, part in _ways(ledger):
        if name["study"] in list_published():
            real = part.table["real_survey"]
            scores = part.scores.drop(columns=list(name)).assign(survey=real)
            table = _beside(scores, study=name["study"], move=move)
            tables += [table.assign(**name)] if len(table) else []
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)


def describe_counterparts(ledger: Ledger) -> pd.DataFrame:
    """Say of each experiment of a ledger, and of each way its models were moved, what the paper printed of it.

    ``study``, ``experiment``, ``direction`` (``"elsewhere"`` between surveys that are not the paper's) and ``beside``.
    """
    return pd.DataFrame(
        name | {"direction": _direction(name["study"], move), "beside": _in_words(name["study"], move)}
        for name, move, _ in _ways(ledger)
    )


def _record(run: Run | str | Path) -> Mapping[str, Any]:
    return load_record(run) if isinstance(run, str | Path) else run.record


def _study_and_move(run: Run | str | Path) -> tuple[str, tuple[str, str]]:
    record = _record(run)
    return record["study"], (real_survey(record, role="pretrain"), real_survey(record, role="finetune"))


def _ways(ledger: Ledger) -> Iterator[tuple[dict[str, str], tuple[str, str], Ledger]]:
    """Name and runs of each experiment, once for each pair of surveys between which its models were moved."""
    newest = ledger.newest()
    runs = newest.table.drop_duplicates("run")
    for (study, experiment, *move), rows in runs.groupby(["study", "experiment", "moved_from", "moved_to"], sort=False):
        yield {"study": study, "experiment": experiment}, tuple(move), newest.where(run=list(rows["run"]))


def _direction(study: str, move: tuple[str, str]) -> str:
    paper = find_paper(study)
    return paper.direction(move) if paper else ELSEWHERE


def _printed(study: str, move: tuple[str, str]) -> pd.DataFrame:
    published, direction = load_published(study), _direction(study, move)
    is_there = direction in set(published["direction"])
    return load_published(study, direction=direction) if is_there else published.iloc[:0]


def _in_words(study: str, move: tuple[str, str]) -> str:
    paper = find_paper(study)
    if paper is None or study not in list_published():
        return "nothing: of this study the paper printed no numbers"
    printed = set(load_published(study)["direction"])
    if paper.direction(move) in printed:
        return f"what the paper printed of {paper.in_words(move)}, measured on other data"
    ways = " and ".join(paper.in_words(way) for direction, way in paper.moves.items() if direction in printed)
    return f"nothing: of this study the paper printed {ways} only, not {paper.in_words(move)}"


def _beside(scores: pd.DataFrame, *, study: str, move: tuple[str, str]) -> pd.DataFrame:
    """Scores on real surveys, or on twins by the names of these, with what was printed of the same move."""
    printed = _printed(study, move)
    if printed.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    means = summarise_seeds(scores).rename(columns={"value": "measured_here"})
    means = means.assign(direction=_direction(study, move))
    keys = [name for name in ("survey", "arm", "fraction", "metric") if name in printed]
    printed = printed[[*keys, "value", "model", "source"]].rename(columns={"value": "printed"})
    return means.merge(printed, on=keys, how="left").reindex(columns=COLUMNS)
