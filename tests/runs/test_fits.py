import pytest

from astrolab.errors import ConfigError
from astrolab.models.adapt import adapt
from astrolab.runs import open_run
from astrolab.runs.fits import cost_table, fit_key, history_table


@pytest.mark.parametrize("value", ["a/b", "../up", "a b"])
def test_a_condition_that_is_no_name_for_a_folder_is_refused(value):
    with pytest.raises(ConfigError, match="name a folder"):
        fit_key("lora", seed=0, condition={"layers": value})


def test_what_does_not_train_has_no_learning_rate_and_no_trials(case, setup):
    run = open_run(study="s", parameters={})
    run.fit(adapt(case.mlp, strategy="zero_shot"), **setup | {"arm": "zero_shot"})
    run.fit(adapt(case.mlp, strategy="head"), **setup | {"arm": "head"})
    costs = cost_table(run.record).set_index("arm")
    assert costs["n_trials"].to_dict() == {"zero_shot": 0, "head": 1}
    assert costs["learning_rate"].isna().to_dict() == {"zero_shot": True, "head": False}
    assert costs["strategy"].to_dict() == {"zero_shot": "zero_shot", "head": "head"}
    assert history_table(run.record)["arm"].unique().tolist() == ["head"]


def test_galaxies_seen_are_epochs_times_galaxies(case, setup):
    run = open_run(study="s", parameters={})
    run.fit(adapt(case.mlp, strategy="full"), **setup)
    (cost,) = run.costs.to_dict("records")
    assert cost["n_seen"] == 3 * len(case.train)
    assert cost["n_train"] == len(case.train)
