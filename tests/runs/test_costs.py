import pytest
from simulated_runs import write_run

from astrolab.runs import open_run
from astrolab.runs.costs import summarise_costs
from astrolab.runs.ledger import load_ledger

ARMS = {"zero_shot": {"far": (0.0, 0.03)}, "lora": {"far": (0.0, 0.02)}}
FRACTIONS = {"lora@0.15": {"far": (0.0, 0.05)}, "lora@1.0": {"far": (0.0, 0.03)}}


def test_an_arm_has_one_row_with_the_mean_over_its_seeds(tmp_path):
    write_run(tmp_path / "one", arms=ARMS, seeds=(0, 1, 2), time_s=2.0)
    costs = summarise_costs(load_ledger(tmp_path))
    assert costs["arm"].tolist() == ["base", "zero_shot", "lora"]
    lora = costs.set_index("arm").loc["lora"]
    assert (lora["n_seeds"], lora["time_s"], lora["search_time_s"]) == (3, 3.0, 6.0)
    assert (lora["n_trainable"], lora["n_trials"], lora["peak_memory_MB"]) == (100, 2, 1e-3)
    assert "direction" not in costs and "fraction" not in costs


def test_means_can_be_rounded_beside_a_run_that_trained_nothing(tmp_path):
    write_run(tmp_path / "one", arms=ARMS, time_s=1 / 3)
    open_run(study="compare_runs", parameters={}, directory=tmp_path / "looks").finish()
    costs = summarise_costs(load_ledger(tmp_path)).round(2)
    assert costs["time_s"].tolist() == [0.33] * 3


def test_directions_of_one_experiment_are_not_averaged(tmp_path):
    for direction, time_s in (("forward", 10.0), ("reverse", 90.0)):
        told = {"parameters": {"direction": direction}, "direction": direction}
        write_run(tmp_path / direction, arms=ARMS, time_s=time_s, **told)
    ledger = load_ledger(tmp_path)
    assert ledger.runs["experiment"].nunique() == 1
    times = summarise_costs(ledger).set_index(["arm", "direction"])["time_s"]
    for arm in ("base", "zero_shot", "lora"):
        assert times[arm].to_dict() == {"forward": 10.0, "reverse": 90.0}


def test_of_fits_that_runs_repeat_the_newest_counts(tmp_path):
    write_run(tmp_path / "a", arms=ARMS, seeds=(0, 1), time_s=100.0)
    write_run(tmp_path / "b", arms={"lora": ARMS["lora"]}, seeds=(0,), time_s=2.0)
    costs = summarise_costs(load_ledger(tmp_path)).set_index("arm")
    assert costs.loc["lora", "time_s"] == pytest.approx((2 + 101) / 2)
    assert costs["n_seeds"].to_dict() == {"base": 2, "zero_shot": 2, "lora": 2}


def test_fractions_and_studies_stand_apart(tmp_path):
    write_run(tmp_path / "a", arms=FRACTIONS, study="data_fractions", direction=None)
    write_run(tmp_path / "b", arms=ARMS, parameters={"direction": "forward"})
    costs = summarise_costs(load_ledger(tmp_path))
    of_lora = costs.query("study == 'data_fractions' and arm == 'lora'")
    assert of_lora["fraction"].tolist() == [0.15, 1.0]
    assert costs.query("study == 'lora_vs_transfer'")["direction"].tolist() == ["forward"] * 3
    assert costs.query("study == 'data_fractions'")["direction"].isna().all()
