import pytest
from simulated_runs import write_run

from astrolab.claims import CLAIMS
from astrolab.claims.evidence import Settings, gather_evidence
from astrolab.runs.ledger import load_ledger

PAIR = {"pretrain_survey": "twin-transferz", "finetune_survey": "twin-galaxiesml"}
SETTINGS = Settings("fair", (0.3, 1.5), 20, 0, 0.95, "max_t", None)
GOOD, BAD = {"combo": (0.0, 0.02)}, {"combo": (0.05, 0.05)}


def gather(folder, *names, settings=SETTINGS):
    return gather_evidence(load_ledger(folder).newest(), claims=[CLAIMS[name] for name in names], settings=settings)


def test_every_claim_is_measured_or_missing(tmp_path):
    write_run(tmp_path / "run", arms={"tl": BAD, "lora": GOOD}, parameters=PAIR)
    evidence = gather(tmp_path, *CLAIMS)
    told = [evidence.ratios, evidence.curves, evidence.times, evidence.missing, evidence.blocked]
    assert sorted(name for part in told for name in part) == sorted(CLAIMS)
    assert set(evidence.ratios) == {"lora_bias_2.5", "lora_scatter_2.2"}
    assert evidence.missing["lora_forgets"] == "no lora and no zero_shot on transferz"
    assert evidence.n_trials["lora"] == 2


def test_only_seeds_that_all_models_have_are_compared(tmp_path):
    write_run(tmp_path / "a", arms={"tl": BAD}, seeds=(0, 1, 2), parameters=PAIR | {"strategies": ["tl"]})
    write_run(tmp_path / "b", arms={"lora": GOOD}, seeds=(1, 2, 3), parameters=PAIR | {"strategies": ["lora"]})
    assert gather(tmp_path, "lora_bias_2.5").ratios["lora_bias_2.5"].family.panel.n_seeds == 2


def _write_pair_and_reverse(folder, *, seeds, n=200):
    """TL and LoRA at seeds 0, 1 and 2, and LoRA moved the other way at `seeds`, on `n` galaxies."""
    write_run(folder / "a", arms={"tl": BAD, "lora": GOOD}, seeds=(0, 1, 2), parameters=PAIR)
    turned = PAIR | {"direction": "reverse"}
    write_run(folder / "b", arms={"lora": BAD}, seeds=seeds, n=n, parameters=turned, direction="reverse")


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
    write_run(tmp_path / "a", arms={"combo": BAD}, seeds=(0,), parameters=PAIR | {"strategies": ["combo"]})
    write_run(tmp_path / "b", arms={"lora": GOOD}, seeds=(1,), parameters=PAIR | {"strategies": ["lora"]})
    evidence = gather(tmp_path, "combo_costs_time")
    assert evidence.blocked == {"combo_costs_time": "combo and lora have no seed in common"}


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        (PAIR, "lora"),
        (PAIR | {"direction": "reverse"}, "lora-reverse"),
        ({"pretrain_survey": "galaxiesml", "finetune_survey": "transferz"}, "lora-reverse"),
        ({"pretrain_survey": "galaxiesml", "finetune_survey": "transferz", "direction": "reverse"}, "lora"),
        ({"pretrain_survey": "sdss_mgs", "finetune_survey": "boss"}, "lora-elsewhere"),
        ({"pretrain_survey": "transferz", "finetune_survey": "boss"}, "lora-elsewhere"),
    ],
)
def test_a_model_is_named_by_the_way_it_was_moved(tmp_path, parameters, name):
    write_run(tmp_path / "run", arms={"lora": GOOD}, parameters=parameters)
    assert name in gather(tmp_path, "lora_bias_2.5").n_trials
