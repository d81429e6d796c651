"""What one experiment of the ledger can say about claims: models by the names that claims use, and what to measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from astrolab.claims.registry import Claim, Protocol
from astrolab.errors import CorruptFileError, DataNotFoundError, PredictionError, SchemaError
from astrolab.metrics.grouping import ZRange
from astrolab.metrics.metric import find_metric
from astrolab.metrics.pairing import iterate_panels, keep_common_seeds
from astrolab.metrics.ratios import Ratio
from astrolab.metrics.resamples import Correction, Seeds, resample_models
from astrolab.predictions import concat_predictions
from astrolab.published.counterparts import find_direction

if TYPE_CHECKING:
    from astrolab.runs.ledger import Ledger

ONE_SEED = "one training seed, where intervals were to hold for others too"


@dataclass(frozen=True)
class Settings:
    """How claims are checked; see :func:`astrolab.claims.check_claims`."""

    protocol: Protocol
    z_range: ZRange
    n_bootstrap: int
    seed: int
    level: float
    correction: Correction
    seeds: Seeds | None

    def seeds_of(self, n_seeds: int) -> Seeds:
        """Return what intervals are about, unless told: the method where there are several seeds, else the networks."""
        return self.seeds or ("sampled" if n_seeds > 1 else "fixed")


@dataclass
class Evidence:
    """What could be measured of claims in one experiment, by claim."""

    ratios: dict[str, Ratio] = field(default_factory=dict)
    curves: dict[str, pd.DataFrame] = field(default_factory=dict)
    times: dict[str, np.ndarray] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    blocked: dict[str, str] = field(default_factory=dict)
    seeds: dict[str, tuple[int, ...]] = field(default_factory=dict)
    n_trials: dict[str, int] = field(default_factory=dict)

    def families(self) -> list[dict[str, Ratio]]:
        """Ratios by claim, those of the same training seeds together: their resamples move together as they should."""
        return [
            {name: ratio for name, ratio in self.ratios.items() if self.seeds[name] == seeds}
            for seeds in dict.fromkeys(self.seeds[name] for name in self.ratios)
        ]


def gather_evidence(ledger: Ledger, *, claims: Sequence[Claim], settings: Settings) -> Evidence:
    """Collect what each claim is about, in one experiment."""
    evidence = Evidence()
    fits, scores = _name_fits(ledger), _name_models(ledger.table, ledger=ledger)
    evidence.n_trials = fits.groupby("model")["n_trials"].max().astype(int).to_dict()
    for claim in (claim for claim in claims if claim.kind == "time"):
        _collect_times(fits, claim, settings=settings, evidence=evidence)
    others = [claim for claim in claims if claim.kind != "time"]
    lacking = {claim.id: _lacking(scores, claim, protocol=settings.protocol) for claim in others}
    evidence.missing |= {name: reason for name, reason in lacking.items() if reason}
    there = [claim for claim in others if not lacking[claim.id]]
    predictions, lost = _read_predictions(ledger) if there else (pd.DataFrame(), "")
    if lost:
        evidence.blocked |= {claim.id: lost for claim in there}
        return evidence
    for claim in (claim for claim in there if claim.kind == "plateau"):
        _collect_curve(predictions, claim, settings=settings, evidence=evidence)
    of_ratios = [claim for claim in there if claim.kind == "ratio"]
    for survey in dict.fromkeys(claim.survey for claim in of_ratios):
        here = [claim for claim in of_ratios if claim.survey == survey]
        _collect_ratios(predictions[predictions["real_survey"] == survey], here, settings=settings, evidence=evidence)
    return evidence


def _read_predictions(ledger: Ledger) -> tuple[pd.DataFrame, str]:
    """Predictions of all runs with the names of claims, or which runs have none that can be read."""
    parts, lost = [], []
    for run in ledger.table["run"].unique():
        try:
            parts.append(ledger.where(run=run).predictions())
        except (DataNotFoundError, CorruptFileError, SchemaError) as error:
            lost.append(f"no usable predictions in run {run}: {error.received}")
    if lost:
        return pd.DataFrame(), "; ".join(lost)
    return _name_models(concat_predictions(parts), ledger=ledger), ""


def _name_models(table: pd.DataFrame, *, ledger: Ledger) -> pd.DataFrame:
    """Add the columns `model` and `real_survey`, and leave out what lies along a path of adapter scales."""
    if "scale" in table:
        table = table[table["scale"].isna() | table["scale"].eq(1)]
    directions = {run: find_direction(rows.iloc[0], prefix="p.") for run, rows in ledger.table.groupby("run")}
    names = _model_names(table, direction=table["run"].map(directions))
    return table.assign(model=names, real_survey=table["survey"].str.removeprefix("twin-"))


def _name_fits(ledger: Ledger) -> pd.DataFrame:
    directions = ledger.fits.apply(find_direction, axis=1, prefix="p.")
    return ledger.fits.assign(model=_model_names(ledger.fits, direction=directions))


def _model_names(table: pd.DataFrame, *, direction: pd.Series) -> pd.Series:
    """`lora`, `lora@0.1`, `lora-reverse`; with no fine-tuning data every arm is the base model."""
    names = table["arm"]
    if "fraction" in table:
        partial = table["fraction"].between(0, 1, inclusive="neither")
        names = names.mask(table["fraction"].eq(0), "zero_shot")
        names = names.mask(partial, names + "@" + table["fraction"].map("{:g}".format))
    return names.mask(direction.ne("forward"), names + "-" + direction)


def _lacking(scores: pd.DataFrame, claim: Claim, *, protocol: Protocol) -> str:
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


def _collect_curve(predictions: pd.DataFrame, claim: Claim, *, settings: Settings, evidence: Evidence) -> None:
    curve = _curve(predictions, claim).dropna(subset="fraction")
    if settings.seeds == "sampled" and curve["seed"].nunique() == 1:
        evidence.blocked[claim.id] = ONE_SEED
    else:
        evidence.curves[claim.id] = curve


def _collect_ratios(predictions: pd.DataFrame, claims: list[Claim], *, settings: Settings, evidence: Evidence) -> None:
    """Ratios of scores on one test survey: each claim on the seeds that its own models have in common."""
    # Of arms that are all the same base model, without fine-tuning data, one will do.
    predictions = predictions.drop_duplicates(["model", "seed", "object_id"])
    for claim in claims:
        models = claim.models(settings.protocol)
        of_claim = predictions[predictions["model"].isin(models)]
        seeds = tuple(sorted(keep_common_seeds(of_claim, column="model")["seed"].unique()))
        evidence.seeds[claim.id] = seeds
        if not seeds:
            evidence.blocked[claim.id] = f"{' and '.join(models)} have no seed in common"
        elif settings.seeds == "sampled" and len(seeds) == 1:
            evidence.blocked[claim.id] = ONE_SEED
    for seeds in dict.fromkeys(evidence.seeds[claim.id] for claim in claims if claim.id not in evidence.blocked):
        alike = [claim for claim in claims if claim.id not in evidence.blocked and evidence.seeds[claim.id] == seeds]
        of_seeds = predictions[predictions["seed"].isin(seeds)]
        _compare_together(of_seeds, alike, settings=settings, evidence=evidence)


def _compare_together(
    predictions: pd.DataFrame, claims: list[Claim], *, settings: Settings, evidence: Evidence
) -> None:
    """Ratios of models with the same seeds, on the same resamples; pair by pair if not all have the same galaxies."""
    pairs = list(dict.fromkeys(claim.models(settings.protocol) for claim in claims))
    names = list(dict.fromkeys(name for pair in pairs for name in pair))
    try:
        (panel,) = iterate_panels(predictions, models=names, column="model", by=[], z_range=settings.z_range)
    except PredictionError as error:
        if len(pairs) == 1:
            evidence.blocked |= {claim.id: error.received for claim in claims}
            return
        for pair in pairs:
            of_pair = [claim for claim in claims if claim.models(settings.protocol) == pair]
            _compare_together(predictions, of_pair, settings=settings, evidence=evidence)
        return
    metrics = [find_metric(name) for name in dict.fromkeys(claim.metric for claim in claims)]
    resampling = {"n_bootstrap": settings.n_bootstrap, "seed": settings.seed}
    made = resample_models(panel, metrics=metrics, seeds=settings.seeds_of(panel.n_seeds), **resampling)
    families = {family.metric.id: family for family in made}
    for claim in claims:
        evidence.ratios[claim.id] = Ratio(families[claim.metric], *claim.models(settings.protocol))


def _collect_times(fits: pd.DataFrame, claim: Claim, *, settings: Settings, evidence: Evidence) -> None:
    """Seconds an epoch of one model over those of another, seed by seed."""
    trained = fits[fits["n_epochs"] > 0]
    seconds = (trained["time_s"] / trained["n_epochs"]).groupby([trained["model"], trained["seed"]]).mean().unstack(0)
    worse, better = claim.models(settings.protocol)
    if not {worse, better} <= set(seconds):
        evidence.missing[claim.id] = f"no fits of {worse} and {better}"
        return
    ratios = (seconds[worse] / seconds[better]).dropna().to_numpy(float)
    if len(ratios):
        evidence.times[claim.id] = ratios
    else:
        evidence.blocked[claim.id] = f"{worse} and {better} have no seed in common"
