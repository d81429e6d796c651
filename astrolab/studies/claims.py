"""Sentences of published papers, each with what the ledger says of it: supported, not supported or undecided.

Every comparison is on the same objects, and all intervals hold together. A claim that something is *at least c times*
as bad is supported if the whole interval of the ratio lies above c, not supported if the whole interval lies below, and
undecided otherwise; one that names no number has c = 1. A claim that something lies between two fractions is supported
if the whole interval lies between them, not supported if the whole interval lies outside.

All claims that one experiment can test are one family. Each is tested on the training seeds that its own models have in
common. The ratios of scores on the same seeds get the max-t correction of :mod:`astrolab.metrics.resampling`; these
together, those on other seeds, each plateau and each time share the probability of error in equal parts (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import pandas as pd
import scipy.stats

from astrolab.errors import CorruptFileError, DataNotFoundError, PredictionError, SchemaError, unknown_name
from astrolab.metrics import (
    Ratio,
    Resampling,
    estimate_plateau,
    find_metric,
    iterate_panels,
    ratio_intervals,
    resample_models,
)
from astrolab.metrics.resampling import too_few_seeds
from astrolab.predictions import concat_predictions, keep_common_seeds
from astrolab.runs.ledger import Ledger
from astrolab.studies.beside import Paper, load_papers
from astrolab.tasks import Range

VERDICTS = SUPPORTED, NOT_SUPPORTED, UNDECIDED, NOT_TESTABLE = "supported", "not supported", "undecided", "not testable"
CLAIMED = Resampling(n=2000, level=0.95, seeds="auto")
ONE_SEED = "one training seed, where intervals were to hold for others too"
BUDGETS = PUBLISHED, CONVERGED, CUT_SHORT = "as published", "until convergence", "cut short"
_MEASURED = ("value", "low", "high", "times", "survey", "metric", "n", "n_seeds", "simulated", "study", "experiment")
_JUDGED = ("claim", "protocol", "budget", "verdict", "depends_on_budget", "evidence")
COLUMNS = (*_JUDGED, *_MEASURED, "sentence", "is_quoted", "source")
_ROUNDING = 1e-6  # the same predictions twice are once as bad, to this accuracy


@dataclass(frozen=True)
class Claim:
    """A sentence, and the comparison that decides about it.

    Models are named by arm: ``"lora"``; ``"lora@0.1"`` learned from a tenth of the fine-tuning set; ``"lora-reverse"``
    was moved the other way. A name of the paper's protocols, such as ``"TL"``, is what the protocol takes it for.
    """

    paper: Paper
    id: str
    sentence: str
    source: str
    survey: str = "combo"
    label: str = "z"
    metric: str = "scatter"
    worse: str = ""
    better: str = ""
    times: float = 1.0
    kind: Literal["ratio", "plateau", "time"] = "ratio"
    between: tuple[float, float] = (0.0, 0.0)
    scored: Range | None = None  # true values that it speaks of, where it is not about all
    is_quoted: bool = False

    def __post_init__(self):
        object.__setattr__(self, "scored", self.scored and tuple(self.scored))

    def models(self, protocol: str) -> tuple[str, ...]:
        """Return the models that it compares, under a protocol: `worse` first, where there are two."""
        meant = self.paper.protocols.get(protocol, {})
        return tuple(meant.get(name, name) for name in (self.worse, self.better) if name)


CLAIMS: Mapping[str, Claim] = MappingProxyType(
    {claim["id"]: Claim(paper, **claim) for paper in load_papers() for claim in paper.claims}
)
PROTOCOLS = tuple(dict.fromkeys(name for paper in load_papers() for name in paper.protocols))


def check_claims(
    ledger: Ledger, *, protocol: str = "fair", claims: Iterable[str] | None = None, resampling: Resampling = CLAIMED
) -> pd.DataFrame:
    """Put the sentences of the papers to the test, on all runs of a ledger.

    Parameters
    ----------
    ledger : Ledger
        From :func:`astrolab.load_ledger`. Runs of one experiment are pooled; each experiment is scored in its own range
        of true values.
    protocol : {"fair", "published"}
        Whether transfer learning means the arm ``tl``, which trains what the paper says, or ``tl_published``, which
        does what the paper's code does.
    claims : iterable of str, optional
        Keys of :data:`CLAIMS`; by default all.
    resampling : Resampling
        Its level is the probability that all intervals of one experiment hold. With seeds ``"auto"``, verdicts are
        about the method where there are several training seeds, otherwise about the networks at hand.

    Returns
    -------
    DataFrame
        One row a claim and experiment that has the models for it, or one that says which are lacking: ``claim``,
        ``protocol``, ``budget`` (how long its models were trained: one of :data:`BUDGETS`; as published where the run
        counts in ``epochs``), ``verdict`` (one of :data:`VERDICTS`), ``depends_on_budget`` (whether the same claim has
        another verdict at convergence, or at the published budget), ``evidence`` in words, ``value`` (the ratio, or the
        fraction), ``low``, ``high``, ``times`` (claimed), ``survey``, ``metric``, ``n`` (test objects), ``n_seeds``,
        ``simulated``, ``study``, ``experiment``, ``sentence``, ``is_quoted``, ``source``.

    Raises
    ------
    UnknownNameError
        If there is no such claim or protocol.
    ConfigError
        If intervals are to hold for other training seeds and no experiment has two.
    """
    wanted = list(CLAIMS if claims is None else claims)
    for kind, names, known in (("claim", wanted, CLAIMS), ("protocol", [protocol], PROTOCOLS)):
        for name in names:
            if name not in known:
                raise unknown_name(kind, name=name, names=known)
    chosen = [CLAIMS[name] for name in wanted]
    rows: list[dict[str, Any]] = []
    reasons: dict[str, list[str]] = {claim.id: [] for claim in chosen}
    newest = ledger.newest()
    for (study, experiment), _ in newest.table.groupby(["study", "experiment"], sort=False):
        its_claims = [claim for claim in chosen if study in claim.paper.studies]
        if its_claims:
            one = newest.where(experiment=experiment)
            evidence = gather_evidence(one, claims=its_claims, protocol=protocol, resampling=resampling)
            about = {"study": study, "experiment": experiment, "simulated": bool(one.table["simulated"].any())}
            rows += [about | row | evidence.budget(row["claim"]) for row in _judge(evidence)]
            for name, reason in evidence.missing.items():
                reasons[name].append(f"{reason} ({study})")
    if any(ONE_SEED in row["evidence"] for row in rows) and not any(row.get("n_seeds", 1) > 1 for row in rows):
        raise too_few_seeds()  # of no experiment at all are there several
    judged = {row["claim"] for row in rows}
    for name, why in reasons.items():
        if name not in judged:
            words = "; ".join(dict.fromkeys(why)) or f"no run of {' or '.join(CLAIMS[name].paper.studies)}"
            untested = {"claim": name, "verdict": NOT_TESTABLE, "evidence": f"No such runs: {words}."}
            rows.append(untested | {"study": "", "experiment": ""})
    order = {claim.id: place for place, claim in enumerate(chosen)}
    rows = [_about(CLAIMS[row["claim"]], protocol=protocol) | row | _by_budget(row, among=rows) for row in rows]
    table = pd.DataFrame(sorted(rows, key=lambda row: order[row["claim"]]), columns=list(COLUMNS))
    return table.astype({"n": "Int64", "n_seeds": "Int64", "simulated": "boolean"})


def _about(claim: Claim, *, protocol: str) -> dict[str, Any]:
    said = {name: getattr(claim, name) for name in ("sentence", "is_quoted", "source", "survey", "metric")}
    return said | {"protocol": protocol, "times": np.nan if claim.kind == "plateau" else claim.times}


def _by_budget(row: Mapping[str, Any], *, among: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Whether a claim has another verdict at the other budget, in words too."""
    counterpart = {PUBLISHED: CONVERGED, CONVERGED: PUBLISHED}.get(row.get("budget"))
    same = [other for other in among if other["claim"] == row["claim"] and other.get("budget") == counterpart]
    verdicts = {other["verdict"] for other in same if counterpart} - {row["verdict"]}
    if not verdicts:
        return {"depends_on_budget": False}
    words = f"Trained {counterpart}: {' or '.join(sorted(verdicts))}."
    return {"depends_on_budget": True, "evidence": f"{row['evidence']} {words}"}


@dataclass
class Evidence:
    """What could be measured of claims in one experiment, by claim."""

    protocol: str
    resampling: Resampling
    ratios: dict[str, Ratio] = field(default_factory=dict)
    curves: dict[str, pd.DataFrame] = field(default_factory=dict)
    times: dict[str, np.ndarray] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    blocked: dict[str, str] = field(default_factory=dict)
    seeds: dict[str, tuple[int, ...]] = field(default_factory=dict)
    n_trials: dict[str, int] = field(default_factory=dict)
    cut_short: dict[str, bool] = field(default_factory=dict)
    counts_epochs: bool = False

    def budget(self, claim: str) -> dict[str, str]:
        """How long the models of a claim were trained."""
        short = any(self.cut_short.get(model.partition("@")[0], False) for model in CLAIMS[claim].models(self.protocol))
        return {"budget": PUBLISHED if self.counts_epochs else CUT_SHORT if short else CONVERGED}

    def families(self) -> list[dict[str, Ratio]]:
        """Ratios by claim, those of the same training seeds together: their resamples move together as they should."""
        return [
            {name: ratio for name, ratio in self.ratios.items() if self.seeds[name] == seeds}
            for seeds in dict.fromkeys(self.seeds[name] for name in self.ratios)
        ]

    def collect_ratios(self, predictions: pd.DataFrame, *, claims: list[Claim]) -> None:
        """Ratios of scores on one test survey: each claim on the seeds that its own models have in common."""
        # Of arms that are all the same base model, without fine-tuning data, one will do.
        predictions = predictions.drop_duplicates(["model", "seed", "object_id"])
        for claim in claims:
            models = claim.models(self.protocol)
            of_claim = predictions[predictions["model"].isin(models)]
            seeds = self.seeds[claim.id] = tuple(sorted(keep_common_seeds(of_claim, column="model")["seed"].unique()))
            if not seeds:
                self.blocked[claim.id] = f"{' and '.join(models)} have no seed in common"
            elif self.resampling.seeds == "sampled" and len(seeds) == 1:
                self.blocked[claim.id] = ONE_SEED
        claims = [claim for claim in claims if claim.id not in self.blocked]
        for seeds in dict.fromkeys(self.seeds[claim.id] for claim in claims):
            alike = [claim for claim in claims if self.seeds[claim.id] == seeds]
            self._compare_together(predictions[predictions["seed"].isin(seeds)], alike)

    def _compare_together(self, predictions: pd.DataFrame, claims: list[Claim]) -> None:
        """Ratios of models with the same seeds on the same resamples; pair by pair if not all have the same objects."""
        pairs = list(dict.fromkeys(claim.models(self.protocol) for claim in claims))
        names = list(dict.fromkeys(name for pair in pairs for name in pair))
        try:
            (panel,) = iterate_panels(predictions, models=names, column="model", by=[], labels=[claims[0].label])
        except PredictionError as error:
            if len(pairs) == 1:
                self.blocked |= {claim.id: error.received for claim in claims}
                return
            for pair in pairs:
                self._compare_together(predictions, [one for one in claims if one.models(self.protocol) == pair])
            return
        metrics = [find_metric(name) for name in dict.fromkeys(claim.metric for claim in claims)]
        families = {one.metric.id: one for one in resample_models(panel, metrics=metrics, resampling=self.resampling)}
        for claim in claims:
            self.ratios[claim.id] = Ratio(families[claim.metric], *claim.models(self.protocol))

    def collect_times(self, fits: pd.DataFrame, *, claim: Claim) -> None:
        """Seconds an epoch of one model over those of another, seed by seed."""
        trained = fits[fits["n_seen"] > 0]
        a_pass = trained["time_s"] * trained["n_train"] / trained["n_seen"]
        seconds = a_pass.groupby([trained["model"], trained["seed"]]).mean().unstack(0)
        worse, better = claim.models(self.protocol)
        if not {worse, better} <= set(seconds):
            self.missing[claim.id] = f"no fits of {worse} and {better}"
            return
        ratios = (seconds[worse] / seconds[better]).dropna().to_numpy(float)
        if len(ratios):
            self.times[claim.id] = ratios
        else:
            self.blocked[claim.id] = f"{worse} and {better} have no seed in common"


def gather_evidence(ledger: Ledger, *, claims: Sequence[Claim], protocol: str, resampling: Resampling) -> Evidence:
    """Collect what each claim of one paper is about, in one experiment."""
    evidence = Evidence(protocol, resampling)
    moved = ledger.fits[["run", "moved_from", "moved_to"]].drop_duplicates("run")
    ways = {run: claims[0].paper.direction((old, new)) for run, old, new in moved.itertuples(index=False)}
    fits, scores = ledger.fits.assign(model=_model_names(ledger.fits, ways=ways)), _name_models(ledger.table, ways=ways)
    evidence.n_trials = fits.groupby("model")["n_trials"].max().astype(int).to_dict()
    evidence.cut_short = fits.groupby("arm")["cut_short"].any().to_dict()
    evidence.counts_epochs = "p.epochs" in fits and bool((fits["p.epochs"] > 0).any())
    for claim in (claim for claim in claims if claim.kind == "time"):
        evidence.collect_times(fits, claim=claim)
    others = [claim for claim in claims if claim.kind != "time"]
    lacking = {claim.id: _lacking(scores, claim, protocol=protocol) for claim in others}
    evidence.missing |= {name: reason for name, reason in lacking.items() if reason}
    there = [claim for claim in others if not lacking[claim.id]]
    predictions, lost = _read_predictions(ledger, ways=ways) if there else (pd.DataFrame(), "")
    if lost:
        evidence.blocked |= {claim.id: lost for claim in there}
        return evidence
    for claim in (claim for claim in there if claim.kind == "plateau"):
        curve = _curve(predictions, claim).dropna(subset="fraction")
        if resampling.seeds == "sampled" and curve["seed"].nunique() == 1:
            evidence.blocked[claim.id] = ONE_SEED
        else:
            evidence.curves[claim.id] = curve
    of_ratios = [claim for claim in there if claim.kind == "ratio"]
    for survey, label, scored in dict.fromkeys((claim.survey, claim.label, claim.scored) for claim in of_ratios):
        here = [claim for claim in of_ratios if (claim.survey, claim.label, claim.scored) == (survey, label, scored)]
        spoken_of = predictions["real_survey"] == survey
        spoken_of &= predictions[f"truth.{label}"].between(*scored) if scored else True
        evidence.collect_ratios(predictions[spoken_of], claims=here)
    return evidence


def _read_predictions(ledger: Ledger, *, ways: Mapping[str, str]) -> tuple[pd.DataFrame, str]:
    """Predictions of all runs with the names of claims, or which runs have none that can be read."""
    parts, lost = [], []
    for run, rows in ledger.table.groupby("run", sort=False):
        real = rows.drop_duplicates("survey").set_index("survey")["real_survey"]
        try:
            part = ledger.where(run=run).predictions()
        except (DataNotFoundError, CorruptFileError, SchemaError) as error:
            lost.append(f"no usable predictions in run {run}: {error.received}")
        else:
            parts.append(part.assign(real_survey=part["survey"].map(real)))
    if lost:
        return pd.DataFrame(), "; ".join(lost)
    return _name_models(concat_predictions(parts), ways=ways), ""


def _name_models(table: pd.DataFrame, *, ways: Mapping[str, str]) -> pd.DataFrame:
    """Add the column `model`, and leave out what lies along a path of adapter scales."""
    if "scale" in table:
        table = table[table["scale"].isna() | table["scale"].eq(1)]
    return table.assign(model=_model_names(table, ways=ways))


def _model_names(table: pd.DataFrame, *, ways: Mapping[str, str]) -> pd.Series:
    """`lora`, `lora@0.1`, `lora-reverse`; with no fine-tuning data every arm is the base model."""
    names, way = table["arm"], table["run"].map(ways)
    if "fraction" in table:
        partial = table["fraction"].between(0, 1, inclusive="neither")
        names = names.mask(table["fraction"].eq(0), "zero_shot")
        names = names.mask(partial, names + "@" + table["fraction"].map("{:g}".format))
    return names.mask(way.ne("forward"), names + "-" + way)


def _lacking(scores: pd.DataFrame, claim: Claim, *, protocol: str) -> str:
    """Which models were not scored on the survey of a claim, in words; nothing if all were."""
    if claim.kind == "plateau":
        n_fractions = _curve(scores, claim).get("fraction", pd.Series(dtype=float)).nunique()
        return f"no {claim.better} on {claim.survey} at three fractions or more" if n_fractions < 3 else ""
    available = set(scores.loc[scores["real_survey"] == claim.survey, "model"])
    lacking = [name for name in claim.models(protocol) if name not in available]
    return f"no {' and no '.join(lacking)} on {claim.survey}" if lacking else ""


def _curve(table: pd.DataFrame, claim: Claim) -> pd.DataFrame:
    """Rows of one arm, moved as in the paper, at every fraction of the fine-tuning set."""
    of_arm = table[table["real_survey"].eq(claim.survey) & table["arm"].eq(claim.better)]
    return of_arm[~of_arm["model"].str.contains("-", regex=False)]


def _judge(evidence: Evidence) -> list[dict[str, Any]]:
    """A row for each claim whose models are there, all at one joint level."""
    families, resampling = evidence.families(), evidence.resampling
    n_shares = len(families) + len(evidence.curves) + len(evidence.times)
    if resampling.correction == "max_t" and n_shares:
        resampling = replace(resampling, level=1 - (1 - resampling.level) / n_shares)
    rows = [_judge_curve(name, curve=curve, resampling=resampling) for name, curve in evidence.curves.items()]
    rows += [_judge_times(name, ratios=ratios, level=resampling.level) for name, ratios in evidence.times.items()]
    for ratios in families:
        intervals = ratio_intervals(list(ratios.values()), resampling=resampling)
        for (name, ratio), (low, high) in zip(ratios.items(), intervals, strict=True):
            rows.append(_judge_ratio(name, ratio=ratio, low=low, high=high, n_trials=evidence.n_trials))
    return rows + [_untestable(name, reason=reason) for name, reason in evidence.blocked.items()]


def _untestable(name: str, *, reason: str) -> dict[str, Any]:
    return {"claim": name, "verdict": NOT_TESTABLE, "evidence": f"Not testable here: {reason}."}


def _at_least(times: float, *, low: float, high: float) -> str:
    if low > times * (1 + _ROUNDING):
        return SUPPORTED
    return NOT_SUPPORTED if high <= times * (1 + _ROUNDING) else UNDECIDED


def _judge_ratio(name: str, *, ratio: Ratio, low: float, high: float, n_trials: Mapping[str, int]) -> dict[str, Any]:
    claim, family = CLAIMS[name], ratio.family
    sizes = dict(zip(family.panel.models, family.sizes, strict=True))
    label = find_metric(claim.metric).label
    sign = "|" if find_metric(claim.metric).sign == "zero" else ""
    n_seeds = family.panel.n_seeds
    words = [
        f"{sign}{label}{sign} of {ratio.a} {sizes[ratio.a]:.4f}, of {ratio.b} {sizes[ratio.b]:.4f}: "
        f"{ratio.value:.3g} times {_range(low, high)}, {_claimed(claim)}",
        f"{len(family.panel):,} test objects, {_seeds(n_seeds)}",
        f"learning rates tried: {n_trials.get(ratio.a, 0)} and {n_trials.get(ratio.b, 0)}",
    ]
    measured = {"value": ratio.value, "low": low, "high": high, "n": len(family.panel), "n_seeds": n_seeds}
    verdict = _at_least(claim.times, low=low, high=high)
    return {"claim": name, "verdict": verdict, "evidence": "; ".join(words) + "."} | measured


def _range(low: float, high: float) -> str:
    if np.isfinite(high):
        return f"({low:.3g} to {high:.3g})"
    return f"({low:.3g} or more, without an upper end)" if low > 0 else "(no number is excluded)"


def _claimed(claim: Claim) -> str:
    return "more than once claimed" if claim.times == 1 else f"{claim.times:g} claimed"


def _seeds(n_seeds: int) -> str:
    return "one seed: about these networks, not about the method" if n_seeds == 1 else f"{n_seeds} seeds"


def _judge_times(name: str, *, ratios: np.ndarray, level: float) -> dict[str, Any]:
    """Student's t interval of the mean logarithm over seeds."""
    claim, k = CLAIMS[name], len(ratios)
    logs = np.log(ratios)
    reach = scipy.stats.t(k - 1).ppf((1 + level) / 2) * logs.std(ddof=1) / np.sqrt(k) if k > 1 else np.inf
    value, low, high = (float(np.exp(logs.mean() + step)) for step in (0, -reach, reach))
    words = f"an epoch takes {value:.3g} times as long {_range(low, high)}, {_claimed(claim)}; {k} training seeds."
    verdict = _at_least(claim.times, low=low, high=high)
    measured = {"value": value, "low": low, "high": high, "n_seeds": k}
    return {"claim": name, "verdict": verdict, "evidence": words} | measured


def _judge_curve(name: str, *, curve: pd.DataFrame, resampling: Resampling) -> dict[str, Any]:
    claim = CLAIMS[name]
    settings = {"metric": claim.metric, "labels": [claim.label], "by": [], "resampling": resampling}
    try:
        (row,) = estimate_plateau(curve, **settings).to_dict("records")
    except PredictionError as error:
        return _untestable(name, reason=error.received)
    start, end = claim.between
    low, high = row["low"], row["high"]
    verdict, gain = UNDECIDED, f"flat from {row['plateau']:.2g} of the data ({low:.2g} to {high:.2g})"
    if not row["gain_low"] > 0:
        gain = "more data bring no certain gain"
    elif start <= low and high <= end:
        verdict = SUPPORTED
    elif high < start or low > end:
        verdict = NOT_SUPPORTED
    words = f"{gain}, {start:g} to {end:g} claimed; a straight line would be flat from {row['straight']:.2g}; "
    words += f"{row['n']:,} test objects, {_seeds(row['n_seeds'])}."
    measured = {"value": row["plateau"], "low": low, "high": high, "n": row["n"], "n_seeds": row["n_seeds"]}
    return {"claim": name, "verdict": verdict, "evidence": words} | measured
