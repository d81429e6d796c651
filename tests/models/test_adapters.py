import pytest
import torch
from peft import get_peft_model_state_dict

from astrolab.errors import PlanError
from astrolab.models.adapt import ADAPTERS, Strategy, adapt, merge, set_train_mode
from astrolab.models.adapters import ResidualNetwork, adapter_config, to_channels_last


@pytest.mark.parametrize("name", ["cnn", "mlp"])
@pytest.mark.parametrize("adapter", ADAPTERS)
def test_every_adapter_starts_as_if_absent_and_merges(adapter, name, small_network, inputs, moved):
    network, x = small_network(name), inputs()
    adapted = adapt(network, strategy="lora", adapter=adapter, seed=1)
    torch.testing.assert_close(adapted.network(x), network(x), rtol=0, atol=1e-6)
    moved(adapted)
    unmerged = adapted.network(x)
    assert (unmerged - network(x)).abs().max() > 1e-2, "the steps should have moved the predictions"
    merged = merge(adapted)
    assert merged.state_dict().keys() == network.state_dict().keys()
    torch.testing.assert_close(merged(x), unmerged, rtol=0, atol=1e-5)
    assert torch.equal(adapted.network(x), unmerged), "merging must leave the adapted network alone"


@pytest.mark.parametrize("adapter", ["lora", "lokr"])
def test_without_its_adapter_the_network_is_the_base_again(adapter, small_network, inputs, moved):
    network, x = small_network("cnn"), inputs()
    adapted = moved(adapt(network, strategy="lora", adapter=adapter))
    with adapted.network.disable_adapter():
        assert torch.equal(adapted.network(x), network(x)), "BatchNorm statistics are part of what was added"


def test_the_merged_weight_is_the_low_rank_product(small_network, moved):
    """A linear layer by hand: W + (alpha / r) B A."""
    network = small_network("mlp")
    adapted = moved(adapt(network, strategy="lora", rank=2, alpha=8))
    weights = get_peft_model_state_dict(adapted.network)
    a, b = (weights[f"base_model.model.classifier.0.lora_{part}.weight"] for part in "AB")
    assert a.shape == (2, 21)
    expected = network.classifier[0].weight + 4 * b @ a
    torch.testing.assert_close(merge(adapted).classifier[0].weight, expected)


def test_the_seed_decides_the_adapters_and_torch_keeps_its_random_state(small_network):
    network = small_network("mlp")
    before = torch.get_rng_state()
    first, same, other = (get_peft_model_state_dict(adapt(network, strategy="lora", seed=s).network) for s in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_settings_reach_peft():
    strategy = Strategy(name="lora", adapter="rslora", rank=8, alpha=32, dropout=0.2)
    config = adapter_config(strategy, targets=("classifier.0",))
    assert (config.r, config.lora_alpha, config.lora_dropout, config.bias) == (8, 32, 0.2, "none")
    assert config.use_rslora and not config.use_dora
    lokr = adapter_config(Strategy(name="lora", adapter="lokr", rank=8), targets=("classifier.0",))
    assert (lokr.r, lokr.module_dropout, lokr.rank_dropout) == (8, 0, 0)


def test_a_kronecker_factor_sets_the_size_of_both_factors(small_network):
    """A linear layer of 8 by 21 weights is (4 by 3) times (2 by 7): 4 divides 8, and of 21 it must be 3."""
    network = small_network("mlp")
    adapted = adapt(network, strategy="lora", adapter="lokr", rank=64, kronecker_factor=4, targets=["classifier.0"])
    shapes = {
        name.split(".")[-1]: tuple(w.shape)
        for name, w in get_peft_model_state_dict(adapted.network).items()
        if "lokr" in name
    }
    assert shapes == {"lokr_w1": (4, 3), "lokr_w2": (2, 7)}


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_every_adapter_trains_in_channels_last_order(adapter, small_network, inputs):
    adapted = adapt(small_network("cnn"), strategy="lora", adapter=adapter, dropout=0)
    images = inputs()["image"]
    expected = adapted.network({"image": images})
    to_channels_last(adapted.network)
    images = images.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(adapted.network({"image": images}), expected)
    set_train_mode(adapted)
    optimizer = torch.optim.Adam([p for p in adapted.network.parameters() if p.requires_grad], fused=True)
    for _ in range(2):
        optimizer.zero_grad()
        adapted.network({"image": images}).square().mean().backward()
        optimizer.step()
    adapted.network.eval()
    torch.testing.assert_close(merge(adapted)({"image": images}), adapted.network({"image": images}))


def test_names_that_peft_would_take_for_others_are_refused(small_network):
    """peft keeps every module whose name ends with that of a BatchNorm."""
    network = small_network("cnn")
    network.old_features = torch.nn.Sequential(torch.nn.Identity(), torch.nn.SiLU())
    with pytest.raises(PlanError, match="Rename"):
        adapt(network, strategy="lora")


@pytest.mark.parametrize("name", ["cnn", "mlp"])
def test_a_correction_starts_exactly_at_the_frozen_network(name, small_network, inputs):
    base, x = small_network(name), inputs()
    expected = base(x)
    residual = ResidualNetwork(base, width=6, seed=0)
    assert torch.equal(residual.eval()(x), expected)
    assert torch.equal(residual.train()(x), expected), "dropout or BatchNorm of the frozen network was active"


def test_the_correction_is_added_and_reads_the_last_hidden_features(small_network, inputs):
    base, x = small_network("mlp"), inputs()
    residual = ResidualNetwork(base, width=6, seed=0)
    torch.nn.init.ones_(residual.correction[2].weight)
    hidden = residual.correction[0]
    features = torch.nn.functional.silu(base.embed(x) @ hidden.weight.T + hidden.bias)
    torch.testing.assert_close(residual(x) - base(x), features.sum(dim=1, keepdim=True))


def test_training_mode_reaches_only_the_correction(small_network):
    residual = ResidualNetwork(small_network("cnn"), width=6, seed=0).train()
    assert residual.correction.training
    assert not any(module.training for module in residual.base.modules())
