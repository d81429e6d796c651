"""Claims on runs whose errors are known: the verdict must be the one that was built in."""

import json
from dataclasses import replace

import numpy as np
import pytest
from simulated_runs import SURVEYS, write_run

from astrolab.errors import ConfigError, UnknownNameError
from astrolab.metrics import Resampling, find_metric
from astrolab.predictions import load_predictions, save_predictions
from astrolab.runs.ledger import load_ledger
from astrolab.studies.beside import load_published
from astrolab.studies.claims import CLAIMS, PROTOCOLS, VERDICTS, check_claims, gather_evidence
from astrolab.tasks import REDSHIFT

FAST = Resampling(n=200, level=0.95, seeds="auto")


def everywhere(offset, width):
    return dict.fromkeys(SURVEYS, (offset, width))


def verdicts(ledger, **settings):
    table = check_claims(ledger, resampling=FAST, **settings)
    return table.set_index("claim")["verdict"]


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    """LoRA is three times better than TL as published, and as good as TL; it forgets; Combo is 1.5 times better."""
    folder = tmp_path_factory.mktemp("claims")
    arms = {
        "zero_shot": {"twin-transferz": (0.0, 0.02), "twin-galaxiesml": (0.05, 0.09), "combo": (0.03, 0.07)},
        "tl": everywhere(0.02, 0.04),
        "tl_published": everywhere(-0.06, 0.12),
        "lora": everywhere(0.02, 0.04),
        "combo": everywhere(0.02, 0.04 / 1.5),
    }
    write_run(folder / "forward", arms=arms, n=3000)
    reverse = {"lora": everywhere(0.12, 0.08)}
    write_run(folder / "reverse", arms=reverse, n=3000, direction="reverse")
    return load_ledger(folder)


def test_the_verdict_depends_on_what_transfer_learning_means(ledger):
    fair, published = (verdicts(ledger, protocol=name) for name in ("fair", "published"))
    headline = ["lora_bias_2.5", "lora_scatter_2.2"]
    assert fair[headline].tolist() == ["not supported"] * 2
    assert published[headline].tolist() == ["supported"] * 2


def test_a_claim_whose_verdict_changes_with_the_budget_says_so(tmp_path):
    """As published, in three epochs, LoRA is ahead; until convergence it is not."""
    early, late = everywhere(0.0, 0.12), everywhere(0.0, 0.04)
    quick = {"zero_shot": early, "tl": early, "lora": late, "combo": late}
    write_run(tmp_path / "published", arms=quick, n=3000)
    slow = dict.fromkeys(quick, late)
    write_run(tmp_path / "converged", arms=slow, n=3000, parameters={"epochs": 0, "n_steps": 900})
    rows = check_claims(load_ledger(tmp_path), resampling=FAST, claims=["lora_scatter_2.2", "lora_scatter_combo_1.2"])
    changed = rows[rows["claim"] == "lora_scatter_2.2"].set_index("budget")
    assert changed["verdict"].to_dict() == {"as published": "supported", "until convergence": "not supported"}
    assert changed["depends_on_budget"].all()
    assert "Trained until convergence: not supported." in changed.loc["as published", "evidence"]
    alike = rows[rows["claim"] == "lora_scatter_combo_1.2"]
    assert alike["verdict"].nunique() == 1 and not alike["depends_on_budget"].any()


def test_a_claim_on_arms_that_were_cut_short_is_not_one_at_convergence(tmp_path):
    run = write_run(tmp_path / "run", arms=dict.fromkeys(("tl", "lora"), everywhere(0, 0.04)), parameters={"epochs": 0})
    record = json.loads((run.folder / "run.json").read_text())
    record["fits"]["tl-s0"]["cut_short"] = True
    (run.folder / "run.json").write_text(json.dumps(record))
    rows = check_claims(load_ledger(tmp_path), resampling=FAST, claims=["lora_scatter_2.2"])
    assert rows["budget"].tolist() == ["cut short"]


def test_claims_with_and_without_a_number(ledger):
    found = verdicts(ledger)
    expected = {
        "lora_improves_finetune_survey": "supported",
        "lora_forgets": "supported",
        "combo_generalises": "supported",
        "lora_scatter_combo_1.2": "supported",
        "lora_scatter_galaxiesml_1.2": "supported",
        "lora_bias_transferz_20": "not supported",
        "combo_bias_galaxiesml_3": "not supported",
        "reverse_bias_4.7": "supported",
        "reverse_scatter_1.7": "supported",
        "plateau_40_50": "not testable",
        "tenth_improves": "not testable",
    }
    assert found[list(expected)].to_dict() == expected
    assert found.index.tolist() == list(CLAIMS) and set(found) <= set(VERDICTS)


def test_a_number_right_at_the_limit_is_undecided(ledger):
    # LoRA has 1.5 times the scatter of Combo by construction: so the claim of 1.5 lies inside the interval.
    row = check_claims(ledger, claims=["lora_scatter_transferz_1.5"], resampling=FAST).iloc[0]
    assert row["verdict"] == "undecided" and row["low"] < 1.5 < row["high"]
    assert row["value"] == pytest.approx(1.5, rel=0.1)


def test_the_evidence_says_what_was_compared(ledger):
    row = check_claims(ledger, claims=["lora_bias_2.5"], protocol="published", resampling=FAST).iloc[0]
    assert row["value"] == pytest.approx(3, rel=0.2) and row["low"] > 2.5
    assert (row["n"], row["n_seeds"], row["simulated"]) == (3000, 1, True)
    for word in ("|bias| of tl_published", f"{row['value']:.3g} times", "2.5 claimed", "3,000", "one seed"):
        assert word in row["evidence"]
    assert row["is_quoted"] and "2.5×" in row["sentence"] and "abstract" in row["source"]


def test_few_galaxies_decide_nothing_and_opposite_errors_are_not_supported(tmp_path):
    better = {"tl": everywhere(0.01, 0.02), "lora": everywhere(0.03, 0.05)}
    write_run(tmp_path / "few", arms={"tl": everywhere(0.05, 0.05), "lora": everywhere(0.02, 0.02)}, n=25)
    few = load_ledger(tmp_path / "few")
    assert verdicts(few, claims=["lora_bias_2.5", "lora_scatter_2.2"]).tolist() == ["undecided"] * 2
    write_run(tmp_path / "other", arms=better, n=2000)
    other = load_ledger(tmp_path / "other")
    assert verdicts(other, claims=["lora_bias_2.5", "lora_scatter_2.2"]).tolist() == ["not supported"] * 2


def test_intervals_of_many_claims_are_wider_than_of_one_alone(ledger):
    together = check_claims(ledger, resampling=FAST).set_index("claim")
    alone = check_claims(ledger, resampling=replace(FAST, correction="none")).set_index("claim")
    tested = together["value"].notna() & (together["metric"] != "time_s")
    assert tested.sum() >= 10
    assert (together["low"][tested] < alone["low"][tested]).all()
    assert (together["high"][tested] > alone["high"][tested]).all()


def test_several_seeds_make_it_a_claim_about_the_method(tmp_path):
    arms = {"tl": everywhere(0.04, 0.06), "lora": everywhere(0.01, 0.02)}
    write_run(tmp_path / "run", arms=arms, seeds=(0, 1, 2), n=1000)
    ledger = load_ledger(tmp_path)
    sampled = check_claims(ledger, claims=["lora_scatter_2.2"], resampling=FAST).iloc[0]
    fixed = check_claims(ledger, claims=["lora_scatter_2.2"], resampling=replace(FAST, seeds="fixed")).iloc[0]
    assert sampled["n_seeds"] == 3 and "3 seeds" in sampled["evidence"]
    assert sampled["high"] - sampled["low"] > fixed["high"] - fixed["low"]


def test_claims_on_different_seeds_share_the_probability_of_error(tmp_path):
    pair = {"tl": everywhere(0.04, 0.06), "lora": everywhere(0.01, 0.02)}
    write_run(tmp_path / "a" / "run", arms=pair, seeds=(0, 1, 2), n=400)
    write_run(tmp_path / "b" / "run", arms=pair, seeds=(0, 1, 2), n=400)
    reverse = {"lora": everywhere(0.12, 0.08)}
    write_run(tmp_path / "b" / "reverse", arms=reverse, n=400, direction="reverse")
    names = ["lora_scatter_2.2", "reverse_scatter_1.7"]
    both = check_claims(load_ledger(tmp_path / "b"), claims=names, resampling=replace(FAST, level=0.9)).set_index(
        "claim"
    )
    assert both["n_seeds"].tolist() == [3, 1]
    alone = check_claims(load_ledger(tmp_path / "a"), claims=names[:1], resampling=replace(FAST, level=0.95)).iloc[0]
    assert both.loc[names[0], ["low", "high"]].tolist() == alone[["low", "high"]].tolist()


def _write_two_experiments(folder, *, seeds):
    arms = {"tl": everywhere(0.05, 0.06), "lora": everywhere(0.01, 0.02), "combo": everywhere(0.02, 0.02)}
    for epochs, its_seeds in zip((3, 5), seeds, strict=True):
        write_run(folder / f"{epochs} epochs", arms=arms, seeds=its_seeds, n=500, parameters={"epochs": epochs})


@pytest.mark.parametrize("damage", ["lost", "cut off"])
def test_a_run_without_predictions_stops_no_other_experiment(tmp_path, damage):
    _write_two_experiments(tmp_path, seeds=((0,), (0,)))
    file = tmp_path / "5 epochs" / "predictions.parquet"
    file.unlink() if damage == "lost" else file.write_bytes(file.read_bytes()[:100])
    names = ["lora_scatter_2.2", "combo_costs_time", "reverse_bias_4.7"]
    table = check_claims(load_ledger(tmp_path), claims=names, resampling=FAST)
    scatter = table[table["claim"] == "lora_scatter_2.2"].set_index("verdict")
    assert sorted(scatter.index) == ["not testable", "supported"] and scatter["experiment"].nunique() == 2
    assert "no usable predictions in run 5 epochs" in scatter.loc["not testable", "evidence"]
    assert (table["claim"] == "combo_costs_time").sum() == 2  # for which no predictions are needed
    lacking = table[table["claim"] == "reverse_bias_4.7"]
    assert len(lacking) == 1 and "no lora-reverse on combo" in lacking["evidence"].item()


def test_intervals_about_other_seeds_are_refused_only_where_no_experiment_has_them(tmp_path):
    _write_two_experiments(tmp_path, seeds=((0,), (0, 1)))
    ledger = load_ledger(tmp_path)
    table = check_claims(ledger, claims=["lora_scatter_2.2"], resampling=replace(FAST, seeds="sampled"))
    assert sorted(table["n_seeds"].fillna(0)) == [0, 2]
    untested = table[table["n_seeds"].isna()].iloc[0]
    assert untested["verdict"] == "not testable" and "one training seed" in untested["evidence"]
    single = ledger.where(seed=0)
    with pytest.raises(ConfigError, match="one seed"):
        check_claims(single, claims=["lora_scatter_2.2", "combo_costs_time"], resampling=replace(FAST, seeds="sampled"))


def test_a_curve_of_one_seed_says_nothing_about_others(tmp_path):
    widths = {0.0: 0.10, 0.1: 0.085, 0.5: 0.0205, 1.0: 0.02}
    ledger = _fractions(tmp_path, widths, n=300)
    with pytest.raises(ConfigError, match="one seed"):
        check_claims(ledger, claims=["plateau_40_50"], resampling=replace(FAST, seeds="sampled"))


def test_time_is_compared_by_epoch_over_seeds(tmp_path):
    arms = {"combo": everywhere(0, 0.03), "lora": everywhere(0, 0.03)}
    run = write_run(tmp_path / "run", arms=arms, seeds=(0, 1, 2))
    for key, fit in run.record["fits"].items():
        fit["time_s"] = fit["n_epochs"] * (4.0 if key.startswith("combo") else 2.0) * (1 + 0.01 * fit["seed"] ** 2)
    run._write()
    row = check_claims(load_ledger(tmp_path), claims=["combo_costs_time"]).iloc[0]
    assert row["verdict"] == "supported" and row["value"] == pytest.approx(2)
    one = load_ledger(tmp_path).where(seed=0)
    assert check_claims(one, claims=["combo_costs_time"])["verdict"].tolist() == ["undecided"]


def _fractions(tmp_path, widths, *, n=4000, seeds=(0,)):
    arms = {f"lora@{f}": {"twin-galaxiesml": (0.0, width)} for f, width in widths.items()}
    arms["tl@0.0"] = arms["lora@0.0"]
    folder = tmp_path / "fractions"
    write_run(folder, arms=arms, study="data_fractions", n=n, direction=None, seeds=seeds)
    return load_ledger(tmp_path)


def test_a_curve_that_flattens_between_40_and_50_percent(tmp_path):
    widths = {0.0: 0.10, 0.1: 0.085, 0.2: 0.07, 0.3: 0.055, 0.4: 0.035, 0.5: 0.0205, 1.0: 0.02}
    found = verdicts(_fractions(tmp_path, widths))
    assert found[["tenth_improves", "plateau_40_50"]].tolist() == ["supported", "supported"]


def test_a_curve_that_goes_on_falling_or_never_does(tmp_path):
    falling = {f: 0.10 - 0.08 * f for f in (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)}
    found = verdicts(_fractions(tmp_path / "falling", falling))
    assert found["plateau_40_50"] == "not supported"
    flat = dict.fromkeys((0.0, 0.1, 0.5, 1.0), 0.05)
    found = check_claims(
        _fractions(tmp_path / "flat", flat), claims=["tenth_improves", "plateau_40_50"], resampling=FAST
    )
    assert found["verdict"].tolist()[1] == "undecided" and "supported" not in found["verdict"].tolist()
    assert "no certain gain" in found["evidence"].iloc[1]


def test_the_whole_set_of_a_fraction_study_counts_as_the_arm_itself(tmp_path):
    ledger = _fractions(tmp_path, {0.0: 0.10, 0.1: 0.08, 1.0: 0.03})
    row = check_claims(ledger, claims=["lora_improves_finetune_survey"], resampling=FAST).iloc[0]
    assert row["verdict"] == "supported" and row["study"] == "data_fractions"
    assert row["value"] == pytest.approx(0.10 / 0.03, rel=0.1)


def test_what_cannot_be_tested_says_why(tmp_path, ledger):
    arms = {"tl": {"combo": (0.05, 0.05)}, "lora": {"combo": (0.01, 0.02)}}
    write_run(tmp_path / "run", arms=arms, move=("sdss_mgs", "boss"))
    row = check_claims(load_ledger(tmp_path), claims=["lora_bias_2.5"], resampling=FAST).iloc[0]
    assert row["verdict"] == "not testable" and "no tl and no lora on combo" in row["evidence"]
    assert np.isnan(row["value"]) and row["sentence"]
    write_run(tmp_path / "b", arms=arms, study="something_else")
    row = check_claims(load_ledger(tmp_path / "b"), claims=["lora_bias_2.5"], resampling=FAST).iloc[0]
    assert "no run of lora_vs_transfer" in row["evidence"]


def test_mistakes_are_refused(ledger):
    with pytest.raises(UnknownNameError, match=r"lora_bias_2\.5"):
        check_claims(ledger, claims=["lora_bias"])
    with pytest.raises(UnknownNameError, match="fair, published"):
        check_claims(ledger, protocol="unfair")


def test_an_experiment_is_judged_in_the_range_in_which_it_was_scored(tmp_path):
    arms = {"tl": everywhere(0.05, 0.06), "lora": everywhere(0.01, 0.02)}
    run = write_run(tmp_path / "run", arms=arms, n=1000, task=REDSHIFT.with_scored(z=(0.5, 1.0)))
    truth = load_predictions(run.folder / "predictions.parquet").query("arm == 'tl' and survey == 'combo'")["truth.z"]
    row = check_claims(load_ledger(tmp_path), claims=["lora_scatter_2.2"], resampling=FAST).iloc[0]
    assert row["n"] == truth.between(0.5, 1.0, inclusive="right").sum() < 1000


GOOD, BAD = {"combo": (0.0, 0.02)}, {"combo": (0.05, 0.05)}


def gather(folder, *names):
    resampling = Resampling(n=20, level=0.95, seeds="auto")
    claims = [CLAIMS[name] for name in names]
    return gather_evidence(load_ledger(folder).newest(), claims=claims, protocol="fair", resampling=resampling)


def test_every_claim_is_measured_or_missing(tmp_path):
    write_run(tmp_path / "run", arms={"tl": BAD, "lora": GOOD})
    evidence = gather(tmp_path, *CLAIMS)
    told = [evidence.ratios, evidence.curves, evidence.times, evidence.missing, evidence.blocked]
    assert sorted(name for part in told for name in part) == sorted(CLAIMS)
    assert set(evidence.ratios) == {"lora_bias_2.5", "lora_scatter_2.2"}
    assert evidence.missing["lora_forgets"] == "no lora and no zero_shot on transferz"
    assert evidence.n_trials["lora"] == 2


def test_only_seeds_that_all_models_have_are_compared(tmp_path):
    write_run(tmp_path / "a", arms={"tl": BAD}, seeds=(0, 1, 2))
    write_run(tmp_path / "b", arms={"lora": GOOD}, seeds=(1, 2, 3))
    assert gather(tmp_path, "lora_bias_2.5").ratios["lora_bias_2.5"].family.panel.n_seeds == 2


def _write_pair_and_reverse(folder, *, seeds, n=200):
    """TL and LoRA at seeds 0, 1 and 2, and LoRA moved the other way at `seeds`, on `n` galaxies."""
    write_run(folder / "a", arms={"tl": BAD, "lora": GOOD}, seeds=(0, 1, 2))
    write_run(folder / "b", arms={"lora": BAD}, seeds=seeds, n=n, direction="reverse")


def test_an_incomplete_arm_costs_other_claims_no_seeds(tmp_path):
    _write_pair_and_reverse(tmp_path, seeds=(0,))
    evidence = gather(tmp_path, "lora_bias_2.5", "lora_scatter_2.2", "reverse_bias_4.7")
    n_seeds = {name: ratio.family.panel.n_seeds for name, ratio in evidence.ratios.items()}
    assert n_seeds == {"lora_bias_2.5": 3, "lora_scatter_2.2": 3, "reverse_bias_4.7": 1}
    assert [set(family) for family in evidence.families()] == [
        {"lora_bias_2.5", "lora_scatter_2.2"},
        {"reverse_bias_4.7"},
    ]


def test_models_without_a_common_seed_are_not_compared_and_others_are(tmp_path):
    _write_pair_and_reverse(tmp_path, seeds=(3,))
    evidence = gather(tmp_path, "lora_bias_2.5", "reverse_bias_4.7")
    assert list(evidence.ratios) == ["lora_bias_2.5"]
    assert evidence.blocked == {"reverse_bias_4.7": "lora-reverse and lora have no seed in common"}


def test_models_of_different_galaxies_are_not_compared_and_others_are(tmp_path):
    _write_pair_and_reverse(tmp_path, seeds=(0, 1, 2), n=60)
    evidence = gather(tmp_path, "lora_bias_2.5", "reverse_bias_4.7")
    assert list(evidence.ratios) == ["lora_bias_2.5"]
    assert "not one for each" in evidence.blocked["reverse_bias_4.7"]


def test_models_of_the_same_seeds_and_galaxies_share_their_resamples(tmp_path):
    _write_pair_and_reverse(tmp_path, seeds=(0, 1, 2))
    pair, reverse = gather(tmp_path, "lora_bias_2.5", "reverse_bias_4.7").ratios.values()
    assert pair.family is reverse.family and set(pair.family.panel.models) == {"tl", "lora", "lora-reverse"}


def test_times_of_models_without_a_common_seed_are_not_compared(tmp_path):
    write_run(tmp_path / "a", arms={"combo": BAD}, seeds=(0,))
    write_run(tmp_path / "b", arms={"lora": GOOD}, seeds=(1,))
    evidence = gather(tmp_path, "combo_costs_time")
    assert evidence.blocked == {"combo_costs_time": "combo and lora have no seed in common"}


@pytest.mark.parametrize(
    ("move", "direction", "name"),
    [
        (("twin-transferz", "twin-galaxiesml"), "forward", "lora"),
        (("twin-transferz", "twin-galaxiesml"), "reverse", "lora-reverse"),
        (("galaxiesml", "transferz"), "forward", "lora-reverse"),
        (("galaxiesml", "transferz"), "reverse", "lora"),
        (("sdss_mgs", "boss"), "forward", "lora-elsewhere"),
        (("transferz", "boss"), "forward", "lora-elsewhere"),
    ],
)
def test_a_model_is_named_by_the_way_it_was_moved(tmp_path, move, direction, name):
    write_run(tmp_path / "run", arms={"lora": GOOD}, move=move, direction=direction)
    assert name in gather(tmp_path, "lora_bias_2.5").n_trials


NUMBERED = [claim for claim in CLAIMS.values() if claim.kind == "ratio" and "@" not in claim.better]
NUMBERED = [claim for claim in NUMBERED if "lora_vs_transfer" in claim.paper.studies]


@pytest.mark.parametrize("claim", NUMBERED, ids=lambda claim: claim.id)
def test_the_printed_tables_say_what_the_claim_says(claim):
    """Each ratio is in Tables 2 and 3 of the paper, to the digits it is stated with."""
    direction, models = "forward", list(claim.models("published"))
    values = {d: load_published("lora_vs_transfer", direction=d) for d in ("forward", "reverse")}

    def printed(model):
        arm, _, turned = model.partition("-")
        table = values[turned or direction]
        rows = table[(table["arm"] == arm) & (table["survey"] == claim.survey) & (table["metric"] == claim.metric)]
        return abs(rows["value"].item())

    ratio = printed(models[0]) / printed(models[1])
    assert ratio > 1 if claim.times == 1 else ratio == pytest.approx(claim.times, rel=0.06)


def test_the_digitised_curve_says_that_a_tenth_improves():
    claim = CLAIMS["tenth_improves"]
    curve = load_published("data_fractions").query("survey == @claim.survey and metric == @claim.metric")
    values = curve.set_index("fraction")["value"]
    assert claim.better == "lora@0.1" and values[0.1] < values[0.0]


def test_every_claim_has_a_source_and_a_metric_that_exists():
    for claim in CLAIMS.values():
        assert "arXiv:" in claim.source and claim.sentence.endswith(".")
        assert claim.kind == "time" or find_metric(claim.metric)


def test_transfer_learning_means_another_arm_under_each_protocol():
    assert {name: CLAIMS["lora_bias_2.5"].models(name) for name in PROTOCOLS} == {
        "fair": ("tl", "lora"),
        "published": ("tl_published", "lora"),
    }
    assert CLAIMS["plateau_40_50"].models("fair") == ("lora",)


def test_every_claim_says_what_is_compared():
    for claim in CLAIMS.values():
        is_curve = claim.kind == "plateau"
        assert claim.better and (claim.between[0] < claim.between[1] if is_curve else claim.worse and claim.times > 0)


def test_a_claim_may_speak_of_some_true_values_only(tmp_path, monkeypatch):
    """LoRA is better below z = 0.9 and worse above."""
    run = write_run(tmp_path / "run", arms=dict.fromkeys(("tl", "lora"), everywhere(0.0, 0.04)), n=3000)
    table = load_predictions(run.folder / "predictions.parquet")
    is_lora = (table["arm"] == "lora") & (table["survey"] == "twin-galaxiesml")
    factor = np.where(is_lora, np.where(table["truth.z"] < 0.9, 0.5, 2.0), 1.0)
    table["pred.z"] = table["truth.z"] + factor * (table["pred.z"] - table["truth.z"])
    save_predictions(table, path=run.folder / "predictions.parquet")
    about = {"survey": "galaxiesml", "worse": "tl", "better": "lora", "times": 1.0}
    ranges = {"near": [0.3, 0.9], "far": [0.9, 1.5]}
    claims = {name: replace(CLAIMS["lora_scatter_2.2"], id=name, scored=ends, **about) for name, ends in ranges.items()}
    monkeypatch.setattr("astrolab.studies.claims.CLAIMS", claims)
    found = check_claims(load_ledger(tmp_path), resampling=FAST).set_index("claim")
    assert found["verdict"].to_dict() == {"near": "supported", "far": "not supported"}
    assert found.loc["near", "value"] == pytest.approx(2, rel=0.1) and found["n"].sum() == 3000
