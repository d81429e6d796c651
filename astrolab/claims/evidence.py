"""What one experiment of the ledger can say about claims: models by the names that claims use, and what to measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from astrolab.claims.registry import Claim, Protocol
from astrolab.errors import PredictionError
from astrolab.metrics.grouping import ZRange
from astrolab.metrics.metric import find_metric
from astrolab.metrics.pairing import iterate_panels, keep_common_seeds
from astrolab.metrics.ratios import Ratio
from astrolab.metrics.resamples import Correction, Seeds, resample_models
from astrolab.published.counterparts import find_direction

if TYPE_CHECKING:
    from astrolab.runs.ledger import Ledger


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
    """What could be measured of claims in one experiment, by claim.

    Attributes
    ----------
    ratios : dict of str to Ratio
    curves : dict of str to DataFrame
        Predictions at several fractions of the fine-tuning set.
    times : dict of str to ndarray
        How many times as long an epoch takes, seed by seed.
    missing : dict of str to str
        Why a claim could not be tested.
    n_trials : dict of str to int
        Learning rates tried, by model.
    """

    ratios: dict[str, Ratio] = field(default_factory=dict)
    curves: dict[str, pd.DataFrame] = field(default_factory=dict)
    times: dict[str, np.ndarray] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    n_trials: dict[str, int] = field(default_factory=dict)


def gather_evidence(ledger: Ledger, *, claims: Sequence[Claim], settings: Settings) -> Evidence:
    """Collect what each claim is about, in one experiment.

    Parameters
    ----------
    ledger : Ledger
        Runs of one experiment, no arm and seed twice.
    claims : sequence of Claim
    settings : Settings

    Returns
    -------
    Evidence
        Every claim stands in exactly one of its first four parts.
    """
    evidence = Evidence()
    predictions, fits = _name_predictions(ledger), _name_fits(ledger)
    evidence.n_trials = fits.groupby("model")["n_trials"].max().astype(int).to_dict()
    for claim in (claim for claim in claims if claim.kind == "plateau"):
        _collect_curve(predictions, claim, evidence=evidence)
    for claim in (claim for claim in claims if claim.kind == "time"):
        _collect_times(fits, claim, settings=settings, evidence=evidence)
    of_ratios = [claim for claim in claims if claim.kind == "ratio"]
    for survey in dict.fromkeys(claim.survey for claim in of_ratios):
        here = [claim for claim in of_ratios if claim.survey == survey]
        _collect_ratios(predictions[predictions["real_survey"] == survey], here, settings=settings, evidence=evidence)
    return evidence


def _name_predictions(ledger: Ledger) -> pd.DataFrame:
    """Predictions with the columns `model` and `real_survey`, without those along a path of adapter scales."""
    predictions = ledger.predictions()
    if "scale" in predictions:
        predictions = predictions[predictions["scale"].isna() | predictions["scale"].eq(1)]
    directions = {run: find_direction(rows.iloc[0], prefix="p.") for run, rows in ledger.table.groupby("run")}
    names = _model_names(predictions, direction=predictions["run"].map(directions))
    return predictions.assign(model=names, real_survey=predictions["survey"].str.removeprefix("twin-"))


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


def _collect_ratios(predictions: pd.DataFrame, claims: list[Claim], *, settings: Settings, evidence: Evidence) -> None:
    """Ratios of scores on one test survey, all models on the same resamples."""
    available, testable = set(predictions["model"]), []
    for claim in claims:
        lacking = [name for name in claim.models(settings.protocol) if name not in available]
        if lacking:
            evidence.missing[claim.id] = f"no {' and no '.join(lacking)} on {claim.survey}"
        else:
            testable.append(claim)
    if not testable:
        return
    names = list(dict.fromkeys(name for claim in testable for name in claim.models(settings.protocol)))
    # Of arms that are all the same base model, without fine-tuning data, one will do.
    rows = predictions[predictions["model"].isin(names)].drop_duplicates(["model", "seed", "object_id"])
    rows = keep_common_seeds(rows, column="model")
    try:
        (panel,) = iterate_panels(rows, models=names, column="model", by=[], z_range=settings.z_range)
    except PredictionError as error:
        evidence.missing |= {claim.id: error.received for claim in testable}
        return
    metrics = [find_metric(name) for name in dict.fromkeys(claim.metric for claim in testable)]
    resampling = {"n_bootstrap": settings.n_bootstrap, "seed": settings.seed}
    made = resample_models(panel, metrics=metrics, seeds=settings.seeds_of(panel.n_seeds), **resampling)
    families = {family.metric.id: family for family in made}
    for claim in testable:
        evidence.ratios[claim.id] = Ratio(families[claim.metric], *claim.models(settings.protocol))


def _collect_curve(predictions: pd.DataFrame, claim: Claim, *, evidence: Evidence) -> None:
    """Predictions of one arm at every fraction of the fine-tuning set."""
    of_arm = predictions[predictions["real_survey"].eq(claim.survey) & predictions["arm"].eq(claim.better)]
    forward = of_arm[~of_arm["model"].str.contains("-", regex=False)]
    if "fraction" not in forward or forward["fraction"].nunique() < 3:
        evidence.missing[claim.id] = f"no {claim.better} on {claim.survey} at three fractions or more"
        return
    evidence.curves[claim.id] = forward.dropna(subset="fraction")


def _collect_times(fits: pd.DataFrame, claim: Claim, *, settings: Settings, evidence: Evidence) -> None:
    """Seconds an epoch of one model over those of another, seed by seed."""
    trained = fits[fits["n_epochs"] > 0]
    seconds = (trained["time_s"] / trained["n_epochs"]).groupby([trained["model"], trained["seed"]]).mean().unstack(0)
    worse, better = claim.models(settings.protocol)
    if not {worse, better} <= set(seconds):
        evidence.missing[claim.id] = f"no fits of {worse} and {better}"
        return
    evidence.times[claim.id] = (seconds[worse] / seconds[better]).dropna().to_numpy(float)
