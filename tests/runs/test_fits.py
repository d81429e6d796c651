import pytest
import torch

from astrolab.errors import ConfigError
from astrolab.models.adapt import adapt
from astrolab.models.registry import make_model
from astrolab.runs import open_run
from astrolab.runs.fits import cost_table, fit_key, history_table
from astrolab.trainers.epochs import train_epoch
from astrolab.trainers.loop import fit


@pytest.mark.parametrize("value", ["a/b", "../up", "a b"])
def test_a_condition_that_is_no_name_for_a_folder_is_refused(value):
    with pytest.raises(ConfigError, match="name a folder"):
        fit_key("lora", seed=0, condition={"layers": value})


def test_what_does_not_train_has_no_learning_rate_and_no_trials(case, setup):
    run = open_run(study="s", parameters={})
    run.fit(case.mlp, adapt={"strategy": "zero_shot"}, **setup | {"arm": "zero_shot"})
    run.fit(case.mlp, adapt={"strategy": "head"}, **setup | {"arm": "head"})
    costs = cost_table(run.record).set_index("arm")
    assert costs["n_trials"].to_dict() == {"zero_shot": 0, "head": 1}
    assert costs["learning_rate"].isna().to_dict() == {"zero_shot": True, "head": False}
    assert costs["strategy"].to_dict() == {"zero_shot": "zero_shot", "head": "head"}
    assert history_table(run.record)["arm"].unique().tolist() == ["head"]


def test_galaxies_seen_are_epochs_times_galaxies(case, setup):
    run = open_run(study="s", parameters={})
    run.fit(case.mlp, adapt={"strategy": "full"}, **setup)
    (cost,) = run.costs.to_dict("records")
    assert cost["n_seen"] == 3 * len(case.train)
    assert cost["n_train"] == len(case.train)


def tiny_steps(setup, **changes):
    """Arguments of a fit that leaves the weights where they began, to rounding."""
    return setup | {"config": setup["config"].with_changes(epochs=1, learning_rate=1e-12)} | changes


def test_one_seed_reaches_the_initial_weights(case, setup):
    run = open_run(study="s", parameters={})
    fitted = run.fit(case.mlp, adapt={"strategy": "scratch"}, **tiny_steps(setup, seed=5))
    fresh = make_model("redshift_mlp", n_bands=3, seed=5, hidden=(8, 8)).state_dict()
    for name, weight in fitted.adapted.network.state_dict().items():
        torch.testing.assert_close(weight, fresh[name], msg=name)
    assert (run.record["fits"]["full-s5"]["strategy"]["seed"], fitted.config.seed) == (5, 5)


def test_one_seed_reaches_the_adapters(case, setup):
    run = open_run(study="s", parameters={})
    starts = []
    for seed in (5, 6):
        fitted = run.fit(case.mlp, adapt={"strategy": "lora"}, **tiny_steps(setup, seed=seed))
        starts.append({n: w for n, w in fitted.adapted.network.state_dict().items() if "lora_A" in n})
        wanted = adapt(case.mlp, strategy="lora", seed=seed).network.state_dict()
        assert starts[-1] and all(torch.allclose(weight, wanted[name]) for name, weight in starts[-1].items())
    assert not any(torch.allclose(weight, starts[1][name]) for name, weight in starts[0].items())


@pytest.mark.parametrize(("dropout", "batch_size", "differ"), [(0.0, 16, True), (0.0, 45, False), (0.5, 45, True)])
def test_one_seed_reaches_the_order_of_the_galaxies_and_the_dropout(case, setup, dropout, batch_size, differ):
    """From the same weights: batches differ where there are several, masks where there are any, else nothing does."""
    network = make_model("redshift_mlp", n_bands=3, seed=0, hidden=(8, 8), dropout=dropout)
    given = setup | {"config": setup["config"].with_changes(batch_size=batch_size)}
    run = open_run(study="s", parameters={})
    losses = []
    for seed in (5, 6):
        fitted = run.fit(network, adapt={"strategy": "full"}, **given | {"seed": seed})
        losses.append(fitted.history["train_loss"].to_numpy())
        config = given["config"].with_changes(seed=seed)
        by_hand = case.arguments(network, config=config)
        alone = fit(adapt(network, strategy="full", seed=seed), **by_hand)
        assert losses[-1].tolist() == alone.history["train_loss"].tolist(), "scores of a seed stay what they were"
    assert bool(abs(losses[0] - losses[1]).max() > 1e-5) == differ


def test_other_code_of_the_network_makes_its_fits_anew_and_those_of_others_stand(case, setup, monkeypatch):
    run = open_run(study="s", parameters={})
    steps = []
    monkeypatch.setattr("astrolab.trainers.loop.train_epoch", lambda *a, **k: steps.append(1) or train_epoch(*a, **k))
    for code, n_epochs in (("one", 3), ("one", 0), ("two", 3)):
        monkeypatch.setattr(
            "astrolab.runs.folder.code_digest", lambda network=None, code=code: f"{code}-of-the-network"
        )
        run.fit(case.mlp, adapt={"strategy": "full"}, **setup)
        assert len(steps) == n_epochs
        steps.clear()
