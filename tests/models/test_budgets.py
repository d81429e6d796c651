"""Counts are checked against the formulas of the adapters, worked out here for small layers."""

import pytest
import torch

from astrolab.errors import ConfigError, UnknownNameError
from astrolab.models.adapt import adapt
from astrolab.models.budgets import RankMatch, count_trainable, match_rank


def lora_size(network, targets, *, rank):
    """A: rank x (inputs of the layer), B: (outputs) x rank, no biases (Hu et al. 2021)."""
    weights = [network.get_submodule(name).weight for name in targets]
    return sum(rank * (w[0].numel() + w.shape[0]) for w in weights)


@pytest.mark.parametrize("name", ["redshift_cnn", "redshift_mlp"])
def test_the_rank_is_the_nearest_by_the_formula(name, small_network):
    network = small_network(name)
    for rank in (1, 2, 5):
        size = lora_size(network, network.adapter_targets, rank=rank)
        nearby = round(size * (1 + 0.3 / rank))
        match = match_rank(network, adapter="lora", n_trainable=nearby, tolerance=0.5)
        assert (match.rank, match.n_trainable) == (rank, size)
        assert match.off_frac == pytest.approx(size / nearby - 1)


@pytest.mark.parametrize("strategy", ["zero_shot", "scratch", "head", "layers", "lora", "residual", "full"])
def test_what_would_train_is_what_trains(strategy, small_network):
    network = small_network("redshift_cnn")
    adapted = adapt(network, strategy=strategy).network
    expected = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    assert count_trainable(network, strategy=strategy) == expected
    assert all(p.device.type == "cpu" for p in network.parameters())


@pytest.mark.parametrize("adapter", ["lora", "rslora", "dora", "loha", "lokr"])
def test_the_count_is_that_of_the_adapted_network(adapter, small_network):
    network = small_network("redshift_cnn")
    before = {key: value.clone() for key, value in network.state_dict().items()}
    setting = {"adapter": adapter, "targets": ["block3"], "kronecker_factor": 2}
    match = match_rank(network, n_trainable=4000, tolerance=0.3, **setting)
    counts = [
        adapt(network, strategy="lora", rank=rank, **setting).plan.n_trainable
        for rank in range(max(match.rank - 1, 1), match.rank + 2)
    ]
    assert match.n_trainable in counts
    assert abs(match.n_trainable - 4000) == min(abs(count - 4000) for count in counts)
    assert all(torch.equal(network.state_dict()[key], before[key]) for key in before)


def test_dora_has_a_magnitude_for_every_output_besides(small_network):
    """Liu et al. 2024 (arXiv:2402.09353), equation 5."""
    network = small_network("redshift_mlp")
    outputs = sum(network.get_submodule(name).weight.shape[0] for name in network.adapter_targets)
    size = lora_size(network, network.adapter_targets, rank=3) + outputs
    assert match_rank(network, adapter="dora", n_trainable=size) == RankMatch(3, size, size)


def test_an_adapter_that_cannot_hold_so_much_is_refused_with_what_it_can(small_network):
    network = small_network("redshift_cnn")
    with pytest.raises(ConfigError, match=r"kronecker_factor") as error:
        match_rank(network, adapter="lokr", n_trainable=30_000)
    assert "at best" in str(error.value)
    smallest = lora_size(network, network.adapter_targets, rank=1)
    with pytest.raises(ConfigError, match=rf"{smallest:,} at rank 1"):
        match_rank(network, adapter="lora", n_trainable=smallest // 2)


def test_a_rank_above_that_of_every_layer_is_refused(small_network):
    """Block 1 has four convolutions of 8 channels: more than rank 8 adds nothing."""
    network = small_network("redshift_cnn")
    block = [name for name in network.adapter_targets if name.startswith("features.4")]
    full = lora_size(network, block, rank=8)
    assert match_rank(network, adapter="lora", targets=["block1"], n_trainable=full).rank == 8
    with pytest.raises(ConfigError, match="rank 9"):
        match_rank(network, adapter="lora", targets=["block1"], n_trainable=lora_size(network, block, rank=9))


def test_nonsense_is_refused(small_network):
    network = small_network("redshift_mlp")
    with pytest.raises(ConfigError, match="n_trainable=0"):
        match_rank(network, adapter="lora", n_trainable=0)
    with pytest.raises(UnknownNameError, match="qlora"):
        match_rank(network, adapter="qlora", n_trainable=100)
    assert repr(RankMatch(2, 95, 100)) == "rank 2: 95 parameters train (-5.0% of 100)"
