import json

import pytest
import torch

from astrolab.errors import ConfigError, ModelError, TargetError, UnknownNameError
from astrolab.models.adapt import (
    STRATEGIES,
    Strategy,
    adapt,
    adaptable_modules,
    merge,
    parameters_under,
    set_train_mode,
)
from astrolab.models.network import digest
from astrolab.models.plan import batchnorm_layers
from astrolab.models.registry import make_model, rebuild

NAMES = ["cnn", "mlp", "spectrum_mlp", "spectrum_transformer"]


@pytest.fixture(scope="module")
def reference(make_survey):
    return make_model("cnn", survey=make_survey(), seed=0)


@pytest.mark.parametrize(
    ("arguments", "trainable", "total"),
    [
        ({"strategy": "lora"}, 152_280, 11_729_305),
        ({"strategy": "lora", "targets": ("stem", "body")}, 144_084, 11_577_025 + 144_084),
        ({"strategy": "lora", "targets": ("head",)}, 8_196, 11_577_025 + 8_196),
        ({"strategy": "layers", "layers": ("stem", "head")}, 409_921, 11_577_025),
        ({"strategy": "head"}, 394_241, 11_577_025),
        ({"strategy": "full"}, 11_577_025, 11_577_025),
        ({"strategy": "zero_shot"}, 0, 11_577_025),
    ],
)
def test_as_many_parameters_train_as_published(arguments, trainable, total, reference):
    adapted = adapt(reference, **arguments)
    assert sum(p.numel() for p in adapted.network.parameters() if p.requires_grad) == trainable
    assert sum(p.numel() for p in adapted.network.parameters()) == total
    assert (adapted.plan.counts["trainable"], adapted.plan.counts["total"]) == (trainable, total)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_training_moves_what_the_plan_says_and_nothing_else(strategy, name, small_network, inputs, moved):
    network, x = small_network(name), inputs()
    fingerprint = digest(network)
    adapted = adapt(network, strategy=strategy, seed=5)
    adapted.plan.assert_holds(adapted.network)
    if strategy != "scratch":
        assert torch.equal(adapted.network(x), network(x))
        assert adapted.base_digest == fingerprint
    before = {key: p.detach().clone() for key, p in adapted.network.named_parameters()}
    frozen = adapted.plan.frozen_digests(adapted.network)
    moved(adapted)
    changed = {key for key, p in adapted.network.named_parameters() if not torch.equal(p, before[key])}
    assert changed <= adapted.plan.trainable
    assert len(changed) >= 0.9 * len(adapted.plan.trainable)
    adapted.plan.assert_untouched(adapted.network, before=frozen)
    assert digest(network) == fingerprint, "adapt must never change its argument"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_adapted_network_presents_itself_like_the_plain_one(strategy, name, small_network, inputs):
    network, x = small_network(name), inputs()
    adapted = adapt(network, strategy=strategy).network
    assert adapted(x).shape == (12, 1)
    assert adapted.embed(x).shape == (12, 8)
    for attribute in ("spec", "inputs", "task", "labels", "stages", "origin"):
        assert getattr(adapted, attribute) == getattr(network, attribute)
    assert adapted.trained_on == (None if strategy == "scratch" else network.trained_on)


def test_scratch_starts_from_new_weights_of_its_seed(small_network):
    network = small_network("cnn")
    adapted = adapt(network, strategy="scratch", seed=9)
    assert digest(adapted.network) == adapted.base_digest == digest(rebuild(network.spec, seed=9))


@pytest.mark.parametrize(
    ("strategy", "batchnorm", "follows"),
    [
        ("layers", None, True),
        ("lora", None, True),
        ("full", None, True),
        ("head", "update", True),
        ("head", None, False),
        ("residual", None, False),
        ("zero_shot", None, False),
        ("lora", "freeze", False),
        ("full", "freeze", False),
    ],
)
def test_batchnorm_statistics_follow_or_stay(strategy, batchnorm, follows, small_network, inputs):
    adapted = adapt(small_network("cnn"), strategy=strategy, batchnorm=batchnorm)
    assert adapted.plan.batchnorm == ("update" if follows else "freeze")
    set_train_mode(adapted)
    at_rest = {id(m.original_module) for m in adapted.network.modules() if hasattr(m, "original_module")}
    layers = [layer for layer in batchnorm_layers(adapted.network) if id(layer) not in at_rest]
    means = [layer.running_mean.clone() for layer in layers]
    adapted.network(inputs(shift=3))
    moved = [not torch.equal(layer.running_mean, mean) for layer, mean in zip(layers, means, strict=True)]
    assert len(moved) == 20
    assert moved == [follows] * 20


def test_a_network_without_batchnorm_says_so(make_survey):
    network = make_model("mlp", survey=make_survey(inputs=["magnitudes"]), seed=0, hidden=(4, 4), batchnorm=False)
    adapted = adapt(network, strategy="full")
    assert adapted.plan.batchnorm == "none"
    assert repr(adapted) == "mlp · full: 69 of 69 parameters train (100.00 %) · no BatchNorm"


def test_dropout_is_active_while_training_and_nowhere_in_a_frozen_network(small_network, inputs):
    x = inputs()
    for strategy, random in [("head", True), ("residual", False), ("zero_shot", False)]:
        adapted = adapt(small_network("mlp"), strategy=strategy)
        set_train_mode(adapted)
        assert torch.equal(adapted.network(x), adapted.network(x)) != random, strategy


@pytest.mark.parametrize(
    "arguments", [{"strategy": "layers", "layers": ["bn1"]}, {"strategy": "lora", "targets": ["q"]}]
)
def test_a_target_that_matches_nothing_is_an_error(arguments, small_network):
    with pytest.raises(TargetError, match="no stage and no module"):
        adapt(small_network("cnn"), **arguments)


@pytest.mark.parametrize("strategy", ["lora", "residual"])
def test_adapting_an_adapted_network_needs_a_merge(strategy, small_network):
    adapted = adapt(small_network("mlp"), strategy=strategy)
    with pytest.raises(ModelError, match="merge"):
        adapt(adapted.network, strategy="full")


def test_merge_gives_a_plain_network_to_go_on_from(small_network, inputs, moved):
    x = inputs()
    adapted = moved(adapt(small_network("cnn"), strategy="head"))
    merged = merge(adapted)
    assert torch.equal(merged(x), adapted.network(x))
    assert all(p.requires_grad for p in merged.parameters())
    adapt(merged, strategy="lora")
    with pytest.raises(ModelError, match="residual"):
        merge(adapt(merged, strategy="residual"))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_network_of_two_inputs_and_many_labels_moves_like_any_other(
    strategy, own_networks, make_survey, inputs, moved
):
    labels = tuple(f"label{k}" for k in range(37))
    network, x = make_model("two_inputs", survey=make_survey(labels=labels), seed=0).eval(), inputs()
    adapted = adapt(network, strategy=strategy, layers=["pixels"], rank=2)
    assert (adapted.network.inputs, adapted.network.labels) == (("image", "magnitudes"), labels)
    assert torch.equal(adapted.network(x), network(x)) and network(x).shape == (12, 37)
    frozen = adapted.plan.frozen_digests(adapted.network)
    moved(adapted)
    adapted.plan.assert_untouched(adapted.network, before=frozen)
    changed = (adapted.network(x) - network(x)).abs().amax(dim=0) > 1e-4
    assert changed.all() == (strategy != "zero_shot")


@pytest.mark.parametrize("way", [{"strategy": "full"}, {"strategy": "scratch"}, {"strategy": "lora", "rank": 2}])
def test_a_network_without_labels_is_adapted_too(way, own_networks, make_survey, inputs):
    network, x = make_model("autoencoder", survey=make_survey(labels=()), seed=0), inputs()
    adapted = adapt(network, **way)
    assert adapted.network.labels == () and adapted.plan.n_trainable > 0
    assert torch.equal(adapted.network(x), network.embed(x))
    mask = {"spectrum": torch.arange(20).expand(12, 20) < 5}
    filled = adapted.network.reconstruct(x, mask)["spectrum"]
    assert torch.equal(filled, network.reconstruct(x, mask)["spectrum"])
    filled.square().mean().backward()
    trained = [p.grad is not None for p in adapted.network.parameters() if p.requires_grad]
    assert all(trained)


def test_what_a_network_does_not_have_is_not_adapted(own_networks, make_survey):
    network = make_model("autoencoder", survey=make_survey(labels=()), seed=0)
    with pytest.raises(TargetError, match="stages encoder, decoder, all"):
        adapt(network, strategy="head")
    with pytest.raises(ModelError, match="predicts no labels"):
        adapt(network, strategy="residual")


@pytest.mark.parametrize("name", STRATEGIES)
def test_settings_survive_json(name):
    settings = Strategy(name=name, layers=["stem"], targets=["body", "classifier.6"], seed=4)
    assert Strategy(**json.loads(json.dumps(settings.to_dict()))) == settings


def test_batchnorm_follows_the_strategy_unless_asked_otherwise():
    frozen = {name for name in STRATEGIES if Strategy(name=name).batchnorm == "freeze"}
    assert frozen == {"zero_shot", "head", "residual"}
    assert Strategy(name="head", batchnorm="update").batchnorm == "update"
    assert Strategy(name="lora", batchnorm="freeze").batchnorm == "freeze"


@pytest.mark.parametrize("name", ["zero_shot", "residual"])
def test_a_network_left_as_it_is_cannot_update_its_batchnorm(name):
    with pytest.raises(ConfigError, match="leaves the network as it is"):
        Strategy(name=name, batchnorm="update")


@pytest.mark.parametrize(
    "setting",
    [
        {"rank": 0},
        {"rank": 2.0},
        {"alpha": 0},
        {"dropout": 1.0},
        {"kronecker_factor": 0},
        {"correction_width": 0},
        {"batchnorm": "train"},
        {"layers": ()},
        {"layers": "stem"},
        {"targets": []},
    ],
)
def test_impossible_settings_are_refused(setting):
    with pytest.raises(ConfigError, match=next(iter(setting))):
        Strategy(name="lora", **setting)


def test_unknown_names_are_refused():
    with pytest.raises(UnknownNameError, match="Did you mean 'lora'"):
        Strategy(name="lorra")
    with pytest.raises(UnknownNameError, match="dora, loha, lokr, lora, rslora"):
        Strategy(name="lora", adapter="qlora")


@pytest.fixture(scope="module")
def network(small_network):
    return small_network("cnn")


def test_sets_and_modules_give_their_parameters_once(network):
    names = parameters_under(network, names=["block1", "features.4.0", "features.0"])
    expected = {n for n, _ in network.named_parameters() if n.startswith(("features.4.", "features.0."))}
    assert names == expected


def test_a_name_is_no_prefix(network):
    assert parameters_under(network, names=["classifier.0"]) == {"classifier.0.weight", "classifier.0.bias"}


def test_adaptable_modules_keep_the_order_of_the_network(network):
    assert adaptable_modules(network, names=None) == network.adapter_targets
    assert adaptable_modules(network, names=["classifier.6", "stem"]) == ("features.0", "classifier.6")


@pytest.mark.parametrize(
    ("name", "near"),
    [("haed", "'head'"), ("conv1", "'features.4.0.conv1'"), ("classifier.7", "'classifier.6'")],
)
@pytest.mark.parametrize("find", [parameters_under, adaptable_modules])
def test_a_name_that_matches_nothing_is_an_error_that_names_the_nearest(find, name, near, network):
    with pytest.raises(TargetError) as caught:
        find(network, names=["stem", name])
    assert near in caught.value.remedy
    assert "stages stem, body" in caught.value.available
    assert "features.7.1.conv2" in caught.value.available


def test_layers_with_nothing_to_train_or_adapt_are_errors(network):
    with pytest.raises(TargetError, match="no parameters"):
        parameters_under(network, names=["features.2"])
    with pytest.raises(TargetError, match="no convolution"):
        adaptable_modules(network, names=["features.1"])
