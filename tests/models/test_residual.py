import pytest
import torch

from astrolab.models.residual import ResidualNetwork

NAMES = ["redshift_cnn", "redshift_mlp"]


@pytest.mark.parametrize("name", NAMES)
def test_it_starts_exactly_at_the_frozen_network(name, small_network, inputs):
    base, x = small_network(name), inputs(name)
    expected = base(x)
    residual = ResidualNetwork(base, width=6, seed=0)
    assert torch.equal(residual.eval()(x), expected)
    assert torch.equal(residual.train()(x), expected), "dropout or BatchNorm of the frozen network was active"


def test_the_correction_is_added_and_reads_the_last_hidden_features(small_network, inputs):
    base, x = small_network("redshift_mlp"), inputs("redshift_mlp")
    residual = ResidualNetwork(base, width=6, seed=0)
    torch.nn.init.ones_(residual.correction[2].weight)
    hidden = residual.correction[0]
    features = torch.nn.functional.silu(base.embed(x) @ hidden.weight.T + hidden.bias)
    torch.testing.assert_close(residual(x) - base(x), features.sum(dim=1))


def test_training_mode_reaches_only_the_correction(small_network):
    residual = ResidualNetwork(small_network("redshift_cnn"), width=6, seed=0).train()
    assert residual.correction.training
    assert not any(module.training for module in residual.base.modules())


def test_it_presents_itself_like_the_frozen_network(small_network):
    base = small_network("redshift_cnn")
    residual = ResidualNetwork(base, width=6, seed=0)
    for attribute in ("spec", "input_name", "layer_sets", "adapter_targets", "n_bands"):
        assert getattr(residual, attribute) == getattr(base, attribute)
