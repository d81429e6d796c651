"""What an arm trains is checked against the formulas of the adapters, worked out here for small layers."""

import pytest
import torch

from astrolab.errors import ConfigError, UnknownNameError
from astrolab.models.adapt import STRATEGIES, adapt
from astrolab.models.arms import (
    ARMS,
    adapter_arms,
    choose_arms,
    count_trainable,
    describe_arms,
    fraction_grid,
    layer_arms,
    match_rank,
    stages_in_order,
)
from astrolab.models.registry import make_model


def test_the_published_transfer_learning_freezes_nothing_and_steps_by_1e_8():
    arm = ARMS["tl_published"]
    assert arm.adapt["strategy"] == "full"
    assert arm.learning_rate == 1e-8


def test_learning_rates_are_replaced_for_the_named_arm_only():
    tl, lora = choose_arms(["tl", "lora"], learning_rates={"tl": 0.5})
    assert tl.learning_rate == 0.5
    assert lora.learning_rate == ARMS["lora"].learning_rate


def test_wrong_names_and_repeats_are_refused():
    with pytest.raises(UnknownNameError, match="Did you mean 'lora'"):
        choose_arms(["lorra"])
    with pytest.raises(UnknownNameError, match="arm"):
        choose_arms(["lora"], learning_rates={"lorra": 1.0})
    with pytest.raises(ConfigError, match="once"):
        choose_arms(["lora", "lora"])


@pytest.mark.parametrize("rate", ["1e-4", 0, -1.0, True, float("inf")])
def test_what_is_no_learning_rate_is_refused_before_anything_trains(rate):
    with pytest.raises(ConfigError, match="numbers above 0"):
        choose_arms(["lora"], learning_rates={"lora": rate})


@pytest.fixture(scope="module")
def network(small_network):
    return small_network("cnn")


def test_stages_follow_one_another(network, small_network, own_networks, make_survey):
    assert stages_in_order(network) == ("stem", "block1", "block2", "block3", "block4", "head")
    assert stages_in_order(small_network("mlp")) == ("stem", "block1", "block2", "head")
    own = make_model("two_inputs", survey=make_survey(), seed=0)
    assert [arm.adapt["layers"] for arm in layer_arms(own)] == [("pixels",), ("head",)]


def test_every_choice_of_layers_trains_those_and_no_two_the_same(network):
    arms = layer_arms(network)
    assert len(arms) == 6 + 4 + 4 + 1
    trained = {arm.name: adapt(network, **arm.adapt).plan.trainable for arm in arms}
    assert len(set(trained.values())) == len(arms)
    holds = {"features.4": "block1", "features.5": "block2", "features.6": "block3", "features.7": "block4"}
    holds |= {"features.0": "stem", "classifier": "head"}
    for arm in arms:
        found = {
            layer for name in trained[arm.name] for prefix, layer in holds.items() if name.startswith(f"{prefix}.")
        }
        assert found == set(arm.adapt["layers"])
    assert trained["unfreeze-stem+head"] == adapt(network, strategy="layers").plan.trainable


def test_adapters_at_one_budget_train_nearly_the_same_number(network):
    arms = adapter_arms(network, n_trainable=9000, tolerance=0.25)
    table = describe_arms(arms, network=network)
    assert table["family"].tolist() == ["lora", "rslora", "dora", "loha", "lokr"]
    assert table["n_trainable"].between(6750, 11250).all()
    for arm, n_trainable in zip(arms, table["n_trainable"], strict=True):
        assert adapt(network, **arm.adapt).plan.n_trainable == n_trainable


def test_ranks_and_places_make_one_arm_each(network):
    arms = adapter_arms(network, adapters=["lora"], targets=["block2", "stem+head"], ranks=[1, 4])
    assert [(arm.name, arm.variant) for arm in arms] == [
        ("lora-block2-r1", "block2 r1"),
        ("lora-block2-r4", "block2 r4"),
        ("lora-stem+head-r1", "stem+head r1"),
        ("lora-stem+head-r4", "stem+head r4"),
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


def test_every_curve_starts_at_the_base_model_but_one_that_knows_no_other_survey():
    grid = fraction_grid(choose_arms(["lora", "scratch", "combo"]), fractions=[1, 0, 0.5, 0.1])
    assert [(arm.name, fraction) for arm, fraction in grid] == [
        ("lora", 0.0),
        ("combo", 0.0),
        *((name, fraction) for fraction in (0.1, 0.5, 1.0) for name in ("lora", "scratch", "combo")),
    ]
    starts = [arm for arm, fraction in grid if fraction == 0]
    assert {(arm.adapt["strategy"], arm.sample, arm.learning_rate) for arm in starts} == {("zero_shot", "nothing", 0)}
    assert [arm for arm, fraction in grid if fraction == 1] == list(choose_arms(["lora", "scratch", "combo"]))


@pytest.mark.parametrize("fractions", [[], [0, 0.5, 1], [0.1, 0.5, 0.5], [0.1, 0.5, 1.5], [-0.1, 0.2, 0.5, 1]])
def test_fractions_that_are_none_are_refused(fractions):
    with pytest.raises(ConfigError, match="fine-tuning set"):
        fraction_grid(choose_arms(["lora"]), fractions=fractions)


def test_an_arm_that_never_trains_is_refused():
    with pytest.raises(ConfigError, match="zero_shot, which trains on nothing"):
        fraction_grid([ARMS["zero_shot"]], fractions=[0, 0.1, 0.5, 1])


def test_arms_from_random_numbers_scale_inputs_by_their_own_training_set_unless_as_published():
    own, published = (choose_arms(["lora", "scratch", "combo"], own_scaling=own) for own in (True, False))
    assert [arm.scaled_on for arm in own] == ["pretrain", "finetune", "union"]
    assert {arm.scaled_on for arm in published} == {"pretrain"}


def lora_size(network, targets, *, rank):
    """A: rank x (inputs of the layer), B: (outputs) x rank, no biases (Hu et al. 2021)."""
    weights = [network.get_submodule(name).weight for name in targets]
    return sum(rank * (w[0].numel() + w.shape[0]) for w in weights)


@pytest.mark.parametrize("name", ["cnn", "mlp"])
def test_the_rank_is_the_nearest_by_the_formula(name, small_network):
    network = small_network(name)
    for rank in (1, 2, 5):
        size = lora_size(network, network.adapter_targets, rank=rank)
        nearby = round(size * (1 + 0.3 / rank))
        assert match_rank(network, adapter="lora", n_trainable=nearby, tolerance=0.5) == rank
        assert count_trainable(network, strategy="lora", rank=rank) == size


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_would_train_is_what_trains(strategy, small_network):
    network = small_network("cnn")
    adapted = adapt(network, strategy=strategy).network
    expected = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    assert count_trainable(network, strategy=strategy) == expected
    assert all(p.device.type == "cpu" for p in network.parameters())


@pytest.mark.parametrize("adapter", ["lora", "rslora", "dora", "loha", "lokr"])
def test_the_count_is_that_of_the_adapted_network(adapter, small_network):
    network = small_network("cnn")
    before = {key: value.clone() for key, value in network.state_dict().items()}
    setting = {"adapter": adapter, "targets": ["block3"], "kronecker_factor": 2}
    matched = match_rank(network, n_trainable=4000, tolerance=0.3, **setting)
    counts = [
        adapt(network, strategy="lora", rank=rank, **setting).plan.n_trainable
        for rank in range(max(matched - 1, 1), matched + 2)
    ]
    found = count_trainable(network, strategy="lora", rank=matched, **setting)
    assert found in counts and abs(found - 4000) == min(abs(count - 4000) for count in counts)
    assert all(torch.equal(network.state_dict()[key], before[key]) for key in before)


def test_dora_has_a_magnitude_for_every_output_besides(small_network):
    """Liu et al. 2024 (arXiv:2402.09353), equation 5."""
    network = small_network("mlp")
    outputs = sum(network.get_submodule(name).weight.shape[0] for name in network.adapter_targets)
    size = lora_size(network, network.adapter_targets, rank=3) + outputs
    assert match_rank(network, adapter="dora", n_trainable=size, tolerance=0) == 3


def test_an_adapter_that_cannot_hold_so_much_is_refused_with_what_it_can(small_network):
    network = small_network("cnn")
    with pytest.raises(ConfigError, match=r"kronecker_factor") as error:
        match_rank(network, adapter="lokr", n_trainable=30_000)
    assert "at best" in str(error.value)
    smallest = lora_size(network, network.adapter_targets, rank=1)
    with pytest.raises(ConfigError, match=rf"{smallest:,} at rank 1"):
        match_rank(network, adapter="lora", n_trainable=smallest // 2)


def test_a_rank_above_that_of_every_layer_is_refused(small_network):
    """Block 1 has four convolutions of 8 channels: more than rank 8 adds nothing."""
    network = small_network("cnn")
    block = [name for name in network.adapter_targets if name.startswith("features.4")]
    full = lora_size(network, block, rank=8)
    assert match_rank(network, adapter="lora", targets=["block1"], n_trainable=full) == 8
    with pytest.raises(ConfigError, match="rank 9"):
        match_rank(network, adapter="lora", targets=["block1"], n_trainable=lora_size(network, block, rank=9))


def test_nonsense_is_refused(small_network):
    network = small_network("mlp")
    with pytest.raises(ConfigError, match="was to train 0 parameters"):
        match_rank(network, adapter="lora", n_trainable=0)
    with pytest.raises(UnknownNameError, match="qlora"):
        match_rank(network, adapter="qlora", n_trainable=100)
