import pytest
import torch

from astrolab.models.adapt import adapt, merge
from astrolab.models.adapters import adapter_config, adapter_weights
from astrolab.models.strategies import ADAPTERS, Strategy


@pytest.mark.parametrize("name", ["redshift_cnn", "redshift_mlp"])
@pytest.mark.parametrize("adapter", ADAPTERS)
def test_every_adapter_starts_as_if_absent_and_merges(adapter, name, small_network, inputs, moved):
    network, x = small_network(name), inputs(name)
    adapted = adapt(network, strategy="lora", adapter=adapter, seed=1)
    torch.testing.assert_close(adapted.network(x), network(x), rtol=0, atol=1e-6)
    moved(adapted, name=name)
    unmerged = adapted.network(x)
    assert (unmerged - network(x)).abs().max() > 1e-2, "the steps should have moved the predictions"
    merged = merge(adapted)
    assert merged.state_dict().keys() == network.state_dict().keys()
    torch.testing.assert_close(merged(x), unmerged, rtol=0, atol=1e-5)
    assert torch.equal(adapted.network(x), unmerged), "merging must leave the adapted network alone"


@pytest.mark.parametrize("adapter", ["lora", "lokr"])
def test_without_its_adapter_the_network_is_the_base_again(adapter, small_network, inputs, moved):
    network, x = small_network("redshift_cnn"), inputs("redshift_cnn")
    adapted = moved(adapt(network, strategy="lora", adapter=adapter), name="redshift_cnn")
    with adapted.network.disable_adapter():
        assert torch.equal(adapted.network(x), network(x)), "BatchNorm statistics are part of what was added"


def test_the_merged_weight_is_the_low_rank_product(small_network, moved):
    """A linear layer by hand: W + (alpha / r) B A."""
    network = small_network("redshift_mlp")
    adapted = moved(adapt(network, strategy="lora", rank=2, alpha=8), name="redshift_mlp")
    weights = adapter_weights(adapted.network)
    a, b = (weights[f"base_model.model.classifier.0.lora_{part}.weight"] for part in "AB")
    assert a.shape == (2, 21)
    expected = network.classifier[0].weight + 4 * b @ a
    torch.testing.assert_close(merge(adapted).classifier[0].weight, expected)


def test_the_seed_decides_the_adapters_and_torch_keeps_its_random_state(small_network):
    network = small_network("redshift_mlp")
    before = torch.get_rng_state()
    first, same, other = (adapter_weights(adapt(network, strategy="lora", seed=s).network) for s in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_settings_reach_peft():
    strategy = Strategy("lora", adapter="rslora", rank=8, alpha=32, dropout=0.2)
    config = adapter_config(strategy, targets=("classifier.0",))
    assert (config.r, config.lora_alpha, config.lora_dropout, config.bias) == (8, 32, 0.2, "none")
    assert config.use_rslora and not config.use_dora
    lokr = adapter_config(Strategy("lora", adapter="lokr", rank=8), targets=("classifier.0",))
    assert (lokr.r, lokr.module_dropout, lokr.rank_dropout) == (8, 0, 0)


def test_a_kronecker_factor_sets_the_size_of_both_factors(small_network):
    """A linear layer of 8 by 21 weights is (4 by 3) times (2 by 7): 4 divides 8, and of 21 it must be 3."""
    network = small_network("redshift_mlp")
    adapted = adapt(network, strategy="lora", adapter="lokr", rank=64, kronecker_factor=4, targets=["classifier.0"])
    shapes = {
        name.split(".")[-1]: tuple(w.shape) for name, w in adapter_weights(adapted.network).items() if "lokr" in name
    }
    assert shapes == {"lokr_w1": (4, 3), "lokr_w2": (2, 7)}
