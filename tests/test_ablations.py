import pytest

from astrolab.ablations import adapter_arms, describe_arms, layer_arms, layer_stack
from astrolab.arms import ARMS
from astrolab.errors import ConfigError, UnknownNameError
from astrolab.models.adapt import adapt
from astrolab.models.registry import make_model


@pytest.fixture(scope="module")
def network():
    return make_model("redshift_cnn", n_bands=5, seed=0, width=8, hidden=(16, 8))


def test_layer_sets_follow_one_another(network):
    assert layer_stack(network) == ("input", "block1", "block2", "block3", "block4", "regressor")
    mlp = make_model("redshift_mlp", n_bands=5, seed=0, hidden=(8, 8, 8, 4))
    assert layer_stack(mlp)[0] == "input" and layer_stack(mlp)[-1] == "regressor"


def test_every_choice_of_layers_trains_those_and_no_two_the_same(network):
    arms = layer_arms(network)
    assert len(arms) == 6 + 4 + 4 + 1
    trained = {arm.name: adapt(network, **arm.adapt).plan.trainable for arm in arms}
    assert len(set(trained.values())) == len(arms)
    holds = {"features.4": "block1", "features.5": "block2", "features.6": "block3", "features.7": "block4"}
    holds |= {"features.0": "input", "classifier": "regressor"}
    for arm in arms:
        found = {
            layer for name in trained[arm.name] for prefix, layer in holds.items() if name.startswith(f"{prefix}.")
        }
        assert found == set(arm.adapt["layers"])
    assert trained["unfreeze-input+regressor"] == adapt(network, strategy="layers").plan.trainable


def test_adapters_at_one_budget_train_nearly_the_same_number(network):
    arms = adapter_arms(network, n_trainable=9000, tolerance=0.25)
    table = describe_arms(arms, network=network)
    assert table["family"].tolist() == ["lora", "rslora", "dora", "loha", "lokr"]
    assert table["n_trainable"].between(6750, 11250).all()
    for arm, n_trainable in zip(arms, table["n_trainable"], strict=True):
        assert adapt(network, **arm.adapt).plan.n_trainable == n_trainable


def test_ranks_and_places_make_one_arm_each(network):
    arms = adapter_arms(network, adapters=["lora"], targets=["block2", "input+regressor"], ranks=[1, 4])
    assert [(arm.name, arm.variant) for arm in arms] == [
        ("lora-block2-r1", "block2 r1"),
        ("lora-block2-r4", "block2 r4"),
        ("lora-input+regressor-r1", "input+regressor r1"),
        ("lora-input+regressor-r4", "input+regressor r4"),
    ]
    plan = adapt(network, **arms[2].adapt).plan
    assert {name.split(".")[2] for name in plan.trainable} == {"features", "classifier"}
    one, four = (describe_arms(arms, network=network)["n_trainable"].tolist()[k] for k in (0, 1))
    assert four == 4 * one


def test_wrong_choices_are_refused(network):
    with pytest.raises(UnknownNameError, match="from_top"):
        layer_arms(network, which=["from_topp"])
    for wrong in ({}, {"ranks": [2], "n_trainable": 100}):
        with pytest.raises(ConfigError, match="either ranks"):
            adapter_arms(network, **wrong)
    with pytest.raises(ConfigError, match="several called 'lora'"):
        describe_arms([ARMS["lora"], ARMS["tl"], ARMS["lora"]], network=network)
