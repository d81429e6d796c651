import pytest
import torch

from astrolab.errors import ConfigError
from astrolab.models.redshift_mlp import RedshiftMLP


def test_parameters_follow_from_the_widths():
    widths = [(5, 256), (256, 256), (256, 256), (256 + 5, 256), (256, 1)]
    assert sum(p.numel() for p in RedshiftMLP(5).parameters()) == sum(a * b + b for a, b in widths)


def test_it_computes_four_layers_with_a_skip():
    network = RedshiftMLP(3, hidden=(4, 6, 8)).eval()
    weights = {name: p.detach() for name, p in network.named_parameters()}

    def linear(x, name):
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def silu(x):
        return x / (1 + torch.exp(-x))

    x = torch.randn(5, 3)
    h = silu(linear(silu(linear(x, "features.0.0")), "features.1.0"))
    h = silu(linear(torch.cat([h, x], dim=1), "classifier.0"))
    torch.testing.assert_close(network(x), linear(h, "classifier.3")[:, 0])


def test_layer_sets_are_like_those_of_the_cnn():
    network = RedshiftMLP(5, hidden=(8, 8, 8, 8), batchnorm=True)
    assert network.layer_sets == {
        "input": ("features.0.0",),
        "body": ("features.0.1", "features.1", "features.2"),
        "block1": ("features.1",),
        "block2": ("features.2",),
        "regressor": ("classifier",),
        "all": ("features", "classifier"),
    }


@pytest.mark.parametrize("hidden", [(), (8,), (8, 0)])
def test_impossible_widths_are_refused(hidden):
    with pytest.raises(ConfigError, match="hidden"):
        RedshiftMLP(5, hidden=hidden)
