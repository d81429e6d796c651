import pytest
import torch

from astrolab.errors import ModelError, TargetError
from astrolab.models.adapt import adapt, merge, set_train_mode
from astrolab.models.digests import digest
from astrolab.models.plan import batchnorm_layers
from astrolab.models.registry import make_model, rebuild
from astrolab.models.strategies import STRATEGIES

NAMES = ["redshift_cnn", "redshift_mlp"]


@pytest.fixture(scope="module")
def reference():
    return make_model("redshift_cnn", n_bands=5, seed=0)


@pytest.mark.parametrize(
    ("arguments", "trainable", "total"),
    [
        ({"strategy": "lora"}, 152_280, 11_729_305),
        ({"strategy": "lora", "targets": ("input", "body")}, 144_084, 11_577_025 + 144_084),
        ({"strategy": "lora", "targets": ("regressor",)}, 8_196, 11_577_025 + 8_196),
        ({"strategy": "layers", "layers": ("input", "regressor")}, 409_921, 11_577_025),
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
    network, x = small_network(name), inputs(name)
    fingerprint = digest(network)
    adapted = adapt(network, strategy=strategy, seed=5)
    adapted.plan.assert_holds(adapted.network)
    if strategy != "scratch":
        assert torch.equal(adapted.network(x), network(x))
        assert adapted.base_digest == fingerprint
    before = {key: p.detach().clone() for key, p in adapted.network.named_parameters()}
    frozen = adapted.plan.frozen_digests(adapted.network)
    moved(adapted, name=name)
    changed = {key for key, p in adapted.network.named_parameters() if not torch.equal(p, before[key])}
    assert changed <= adapted.plan.trainable
    assert len(changed) >= 0.9 * len(adapted.plan.trainable)
    adapted.plan.assert_untouched(adapted.network, before=frozen)
    assert digest(network) == fingerprint, "adapt must never change its argument"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_adapted_network_presents_itself_like_the_plain_one(strategy, name, small_network, inputs):
    network, x = small_network(name), inputs(name)
    adapted = adapt(network, strategy=strategy).network
    assert adapted(x).shape == (12,)
    assert adapted.embed(x).shape == (12, 8)
    for attribute in ("spec", "input_name", "layer_sets", "adapter_targets", "n_bands"):
        assert getattr(adapted, attribute) == getattr(network, attribute)


def test_scratch_starts_from_new_weights_of_its_seed(small_network):
    network = small_network("redshift_cnn")
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
def test_batchnorm_statistics_do_as_told(strategy, batchnorm, follows, small_network, inputs):
    adapted = adapt(small_network("redshift_cnn"), strategy=strategy, batchnorm=batchnorm)
    assert adapted.plan.batchnorm == ("update" if follows else "freeze")
    set_train_mode(adapted)
    at_rest = {id(m.original_module) for m in adapted.network.modules() if hasattr(m, "original_module")}
    layers = [layer for layer in batchnorm_layers(adapted.network) if id(layer) not in at_rest]
    means = [layer.running_mean.clone() for layer in layers]
    adapted.network(inputs("redshift_cnn") + 3)
    moved = [not torch.equal(layer.running_mean, mean) for layer, mean in zip(layers, means, strict=True)]
    assert len(moved) == 20
    assert moved == [follows] * 20


def test_a_network_without_batchnorm_says_so():
    adapted = adapt(make_model("redshift_mlp", n_bands=5, seed=0, hidden=(4, 4)), strategy="full")
    assert adapted.plan.batchnorm == "none"
    assert repr(adapted) == "redshift_mlp · full: 69 of 69 parameters train (100.00 %) · no BatchNorm"


def test_dropout_is_active_while_training_and_nowhere_in_a_frozen_network(small_network, inputs):
    x = inputs("redshift_mlp")
    for strategy, random in [("head", True), ("residual", False), ("zero_shot", False)]:
        adapted = adapt(small_network("redshift_mlp"), strategy=strategy)
        set_train_mode(adapted)
        assert torch.equal(adapted.network(x), adapted.network(x)) != random, strategy


@pytest.mark.parametrize(
    "arguments", [{"strategy": "layers", "layers": ["bn1"]}, {"strategy": "lora", "targets": ["q"]}]
)
def test_a_target_that_matches_nothing_is_an_error(arguments, small_network):
    with pytest.raises(TargetError, match="no layer set and no module"):
        adapt(small_network("redshift_cnn"), **arguments)


@pytest.mark.parametrize("strategy", ["lora", "residual"])
def test_adapting_an_adapted_network_needs_a_merge(strategy, small_network):
    adapted = adapt(small_network("redshift_mlp"), strategy=strategy)
    with pytest.raises(ModelError, match="merge"):
        adapt(adapted.network, strategy="full")


def test_merge_gives_a_plain_network_to_go_on_from(small_network, inputs, moved):
    x = inputs("redshift_cnn")
    adapted = moved(adapt(small_network("redshift_cnn"), strategy="head"), name="redshift_cnn")
    merged = merge(adapted)
    assert torch.equal(merged(x), adapted.network(x))
    assert all(p.requires_grad for p in merged.parameters())
    adapt(merged, strategy="lora")
    with pytest.raises(ModelError, match="residual"):
        merge(adapt(merged, strategy="residual"))
