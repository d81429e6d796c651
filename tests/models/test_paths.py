"""The line between two networks, against peft's own scaling of its adapters and against weights worked out by hand."""

import copy

import pytest
import torch

from astrolab.errors import ModelError, UnknownNameError
from astrolab.models.adapt import adapt, merge
from astrolab.models.network import digest
from astrolab.models.paths import interpolate
from astrolab.models.plan import batchnorm_layers


@pytest.fixture(scope="module")
def lora(small_network, moved):
    base = small_network("cnn")
    return base, moved(adapt(base, strategy="lora", rank=2, alpha=8, seed=1))


def scaled_by_peft(adapted, *, scale):
    """A copy of an adapted network whose adapters peft itself has scaled."""
    from peft.tuners.lora import LoraLayer

    network = copy.deepcopy(adapted.network)
    for module in network.modules():
        if isinstance(module, LoraLayer):
            module.scale_layer(scale)
    return network


@pytest.mark.parametrize("scale", [0.3, 0.75, 1.5])
def test_for_lora_the_scale_is_that_of_peft(scale, lora, inputs):
    base, adapted = lora
    x = inputs()
    expected = scaled_by_peft(adapted, scale=scale)(x)
    assert (expected - adapted.network(x)).abs().max() > 1e-3, "the scale should matter"
    found = interpolate(base, adapted=adapted, scale=scale, batchnorm="adapted")(x)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("strategy", ["lora", "layers", "full", "scratch", "zero_shot"])
def test_the_ends_are_the_two_networks_to_the_last_bit(strategy, small_network, moved):
    base = small_network("cnn")
    adapted = moved(adapt(base, strategy=strategy))
    before = digest(adapted.network)
    assert digest(interpolate(base, adapted=adapted, scale=0)) == digest(base)
    assert digest(interpolate(base, adapted=adapted, scale=1)) == digest(merge(adapted))
    assert digest(adapted.network) == before


def test_between_the_ends_weights_go_straight_and_variances_in_their_logarithm(lora):
    base, adapted = lora
    end = merge(adapted)
    found = interpolate(base, adapted=adapted, scale=0.25)
    torch.testing.assert_close(found.features[0].weight, 0.75 * base.features[0].weight + 0.25 * end.features[0].weight)
    start, middle, last = (batchnorm_layers(network)[0] for network in (base, found, end))
    torch.testing.assert_close(middle.running_mean, 0.75 * start.running_mean + 0.25 * last.running_mean)
    expected = (start.running_var + start.eps) ** 0.75 * (last.running_var + start.eps) ** 0.25 - start.eps
    torch.testing.assert_close(middle.running_var, expected)


def test_far_beyond_the_ends_variances_stay_positive_and_predictions_finite(lora, inputs):
    base, end = copy.deepcopy(lora[0]), merge(lora[1])
    batchnorm_layers(base)[1].running_var[0] = 0  # a channel that never answered
    for scale in (-3.0, 0.5, 4.0):
        network = interpolate(base, adapted=end, scale=scale)
        assert all((layer.running_var + layer.eps > 0).all() for layer in batchnorm_layers(network))
        assert network(inputs()).isfinite().all()


@pytest.mark.parametrize(("batchnorm", "end"), [("base", 0), ("adapted", 1)])
def test_statistics_may_stay_at_one_end(batchnorm, end, lora):
    base, adapted = lora
    found = interpolate(base, adapted=adapted, scale=0.5, batchnorm=batchnorm)
    expected = (base, merge(adapted))[end]
    for layer, fixed in zip(batchnorm_layers(found), batchnorm_layers(expected), strict=True):
        assert torch.equal(layer.running_var, fixed.running_var) and torch.equal(layer.running_mean, fixed.running_mean)


def test_what_lies_on_no_line_is_refused(small_network, lora):
    base, adapted = lora
    with pytest.raises(ModelError, match="one structure"):
        interpolate(small_network("mlp"), adapted=adapted, scale=0.5)
    with pytest.raises(ModelError, match="residual"):
        interpolate(base, adapted=adapt(base, strategy="residual"), scale=0.5)
    with pytest.raises(UnknownNameError, match="'mean'"):
        interpolate(base, adapted=adapted, scale=0.5, batchnorm="mean")
