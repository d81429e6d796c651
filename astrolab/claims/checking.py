"""What the ledger says of a claim: every comparison on the same galaxies, all intervals holding together.

A claim that something is *at least c times* as bad is supported if the whole interval of the ratio lies above c, not
supported if the whole interval lies below, and undecided otherwise; one that names no number has c = 1. A claim that
something lies between two fractions is supported if the whole interval lies between them, not supported if the whole
interval lies outside.

All claims that one experiment can test are one family. Each stands on the training seeds that its own models have in
common. The ratios of scores that stand on the same seeds get the max-t correction of :mod:`astrolab.metrics.resamples`;
these together, those on other seeds, each plateau and each time share the probability of error in equal parts
(Bonferroni).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.stats

from astrolab.claims.evidence import ONE_SEED, Evidence, Settings, gather_evidence
from astrolab.claims.registry import CLAIMS, PROTOCOLS, Claim, Protocol
from astrolab.errors import PredictionError, unknown_name
from astrolab.metrics.grouping import Z_RANGE, ZRange
from astrolab.metrics.metric import find_metric
from astrolab.metrics.plateau import estimate_plateau
from astrolab.metrics.ratios import Ratio, ratio_intervals
from astrolab.metrics.resamples import Correction, Seeds, require_choices, too_few_seeds

if TYPE_CHECKING:
    from astrolab.runs.ledger import Ledger

SUPPORTED, NOT_SUPPORTED, UNDECIDED, NOT_TESTABLE = VERDICTS = (
    "supported",
    "not supported",
    "undecided",
    "not testable",
)
STUDIES = ("lora_vs_transfer", "data_fractions")  # whose arms are those that the claims speak of
_MEASURED = ("value", "low", "high", "times", "survey", "metric", "n", "n_seeds", "simulated", "study", "experiment")
COLUMNS = ("claim", "protocol", "verdict", "evidence", *_MEASURED, "sentence", "is_quoted", "source")
_ROUNDING = 1e-6  # the same predictions twice are once as bad, to this accuracy


def check_claims(
    ledger: Ledger,
    *,
    protocol: Protocol = "fair",
    claims: Iterable[str] | None = None,
    z_range: ZRange = Z_RANGE,
    n_bootstrap: int = 2000,
    seed: int = 0,
    level: float = 0.95,
    correction: Correction = "max_t",
    seeds: Seeds | None = None,
) -> pd.DataFrame:
    """Put the sentences of the papers to the test, on all runs of a ledger.

    Parameters
    ----------
    ledger : Ledger
        From :func:`astrolab.load_ledger`. Runs of one experiment are pooled.
    protocol : {"fair", "published"}
        Whether transfer learning means the arm ``tl``, which trains what the paper says, or ``tl_published``, which
        does what the paper's code does.
    claims : iterable of str, optional
        Keys of :data:`CLAIMS`; by default all.
    z_range, n_bootstrap, seed
        As for :func:`astrolab.metrics.score`.
    level : float
        Probability that all intervals of one experiment hold.
    correction : {"max_t", "none"}
        ``"none"``: each by itself holds at this level, and among many some do not.
    seeds : {"fixed", "sampled"}, optional
        As for :func:`astrolab.metrics.compare_models`; by default ``"sampled"`` where there are several seeds: the
        verdict is then about the method, otherwise about the networks at hand.

    Returns
    -------
    DataFrame
        One row a claim and experiment that has the models for it, or one that says which are lacking: ``claim``,
        ``protocol``, ``verdict`` (one of :data:`VERDICTS`; not testable too where predictions are lost, or models do
        not have the galaxies or seeds in common that it takes), ``evidence`` in words, ``value`` (the ratio, or the
        fraction), ``low``, ``high``, ``times`` (claimed), ``survey``, ``metric``, ``n`` (test galaxies), ``n_seeds``,
        ``simulated``, ``study``, ``experiment``, ``sentence``, ``is_quoted``, ``source``.

    Raises
    ------
    UnknownNameError
        If there is no such claim or protocol.
    ConfigError
        If a setting is not one of its choices, or intervals are to hold for other training seeds and no experiment has
        two.
    """
    chosen = [_find(name) for name in (CLAIMS if claims is None else claims)]
    if protocol not in PROTOCOLS:
        raise unknown_name("protocol", name=protocol, names=PROTOCOLS)
    require_choices(level=level, correction=correction, seeds=seeds or "fixed", n_bootstrap=n_bootstrap)
    settings = Settings(protocol, z_range, n_bootstrap, seed, level, correction, seeds)
    rows: list[dict[str, Any]] = []
    reasons: dict[str, list[str]] = {claim.id: [] for claim in chosen}
    newest = ledger.newest().where(study=list(STUDIES))
    for experiment in newest.table["experiment"].unique():
        one = newest.where(experiment=experiment)
        told = {"study": one.table["study"].iloc[0], "experiment": experiment}
        evidence = gather_evidence(one, claims=chosen, settings=settings)
        simulated = {"simulated": bool(one.table["simulated"].any())}
        rows += [told | simulated | row for row in _judge(evidence, settings=settings)]
        for name, reason in evidence.missing.items():
            reasons[name].append(f"{reason} ({told['study']})")
    _require_seeds(rows)
    judged = {row["claim"] for row in rows}
    for name, why in reasons.items():
        if name not in judged:
            words = "; ".join(dict.fromkeys(why)) or f"no run of {' or '.join(STUDIES)}"
            untested = {"claim": name, "verdict": NOT_TESTABLE, "evidence": f"No such runs: {words}."}
            rows.append(untested | {"study": "", "experiment": ""})
    order = {claim.id: place for place, claim in enumerate(chosen)}
    rows = [_about(row["claim"], settings=settings) | row for row in rows]
    table = pd.DataFrame(sorted(rows, key=lambda row: order[row["claim"]]), columns=list(COLUMNS))
    return table.astype({"n": "Int64", "n_seeds": "Int64", "simulated": "boolean"})


def _find(name: str) -> Claim:
    if name not in CLAIMS:
        raise unknown_name("claim", name=name, names=CLAIMS)
    return CLAIMS[name]


def _require_seeds(rows: Sequence[Mapping[str, Any]]) -> None:
    """Refuse intervals about other training seeds where no experiment at all has several."""
    if any(ONE_SEED in row["evidence"] for row in rows) and not any(row.get("n_seeds", 1) > 1 for row in rows):
        raise too_few_seeds()


def _about(name: str, *, settings: Settings) -> dict[str, Any]:
    claim = CLAIMS[name]
    told = {name: getattr(claim, name) for name in ("sentence", "is_quoted", "source", "survey", "metric")}
    return told | {"protocol": settings.protocol, "times": np.nan if claim.kind == "plateau" else claim.times}


def _judge(evidence: Evidence, *, settings: Settings) -> list[dict[str, Any]]:
    """A row for each claim whose models are there, all at one joint level."""
    families = evidence.families()
    n_shares = len(families) + len(evidence.curves) + len(evidence.times)
    level = 1 - (1 - settings.level) / n_shares if settings.correction == "max_t" and n_shares else settings.level
    rows = [_judge_curve(name, evidence=evidence, level=level, settings=settings) for name in list(evidence.curves)]
    rows += [_judge_times(name, ratios=ratios, level=level) for name, ratios in evidence.times.items()]
    for ratios in families:
        intervals = ratio_intervals(list(ratios.values()), level=level, correction=settings.correction)
        for (name, ratio), (low, high) in zip(ratios.items(), intervals, strict=True):
            rows.append(_judge_ratio(name, ratio=ratio, low=low, high=high, n_trials=evidence.n_trials))
    for name, reason in evidence.blocked.items():
        rows.append({"claim": name, "verdict": NOT_TESTABLE, "evidence": f"Not testable here: {reason}."})
    return [row for row in rows if row]


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
        f"{len(family.panel):,} test galaxies, {_seeds(n_seeds)}",
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
    return {
        "claim": name,
        "verdict": verdict,
        "evidence": words,
        "value": value,
        "low": low,
        "high": high,
        "n_seeds": k,
    }


def _judge_curve(name: str, *, evidence: Evidence, level: float, settings: Settings) -> dict[str, Any] | None:
    claim = CLAIMS[name]
    resampling = {"n_bootstrap": settings.n_bootstrap, "seed": settings.seed, "seeds": settings.seeds}
    try:
        (row,) = estimate_plateau(
            evidence.curves[name], metric=claim.metric, by=[], z_range=settings.z_range, level=level, **resampling
        ).to_dict("records")
    except PredictionError as error:
        evidence.blocked[name] = error.received
        return None
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
    words += f"{row['n']:,} test galaxies, {_seeds(row['n_seeds'])}."
    measured = {"value": row["plateau"], "low": low, "high": high, "n": row["n"], "n_seeds": row["n_seeds"]}
    return {"claim": name, "verdict": verdict, "evidence": words} | measured
