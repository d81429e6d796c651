import pytest
import torch
from torch import nn

from astrolab.errors import ConfigError, SchemaError
from astrolab.models.network import make_regressor, require_options, seeded
from astrolab.models.redshift_mlp import RedshiftMLP

NAMES = ["redshift_cnn", "redshift_mlp"]


@pytest.mark.parametrize("name", NAMES)
def test_the_output_layer_reads_the_embedding(name, small_network, inputs):
    network, x = small_network(name), inputs(name)
    output = network.classifier[-1]
    expected = network.embed(x) @ output.weight.T + output.bias
    assert network(x).shape == (12,)
    torch.testing.assert_close(network(x), expected[:, 0])


@pytest.mark.parametrize("name", NAMES)
def test_input_body_and_regressor_are_everything_once(name, small_network):
    network = small_network(name)

    def under(*sets):
        roots = [root for key in sets for root in network.layer_sets[key]]
        return [n for n, _ in network.named_parameters() for root in roots if n.startswith(f"{root}.")]

    assert sorted(under("input", "body", "regressor")) == sorted(n for n, _ in network.named_parameters())
    assert sorted(under("all")) == sorted(n for n, _ in network.named_parameters())


@pytest.mark.parametrize("name", NAMES)
def test_adapters_can_sit_on_every_layer_with_a_matrix(name, small_network):
    network = small_network(name)
    matrices = {n.removesuffix(".weight") for n, p in network.named_parameters() if p.ndim >= 2}
    assert set(network.adapter_targets) == matrices


def test_wrong_inputs_are_refused_in_words():
    network = RedshiftMLP(5, hidden=(4, 4))
    for shape in [(3, 4), (3, 5, 8, 8)]:
        with pytest.raises(SchemaError, match="with 5 bands"):
            network(torch.zeros(shape))


def test_the_regressor_puts_its_linear_layers_where_the_published_weights_have_them():
    layers = make_regressor(512, hidden=(512, 256), dropout=0.5)
    assert [k for k, layer in enumerate(layers) if isinstance(layer, nn.Linear)] == [0, 3, 6]
    assert [type(layer) for layer in layers[1:3]] == [nn.SiLU, nn.Dropout]


@pytest.mark.parametrize("option", [{"width": (0,)}, {"hidden": ()}, {"hidden": (4, 2.5)}, {"n_bands": (True,)}])
def test_impossible_widths_are_refused(option):
    with pytest.raises(ConfigError, match=next(iter(option))):
        require_options("redshift_cnn", widths=option, dropout=0.5)


def test_impossible_dropout_is_refused():
    with pytest.raises(ConfigError, match="dropout"):
        require_options("redshift_cnn", widths={}, dropout=1.0)


def test_a_seed_leaves_the_random_state_of_torch_alone():
    before = torch.get_rng_state()
    with seeded(5):
        first = torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)
    with seeded(5):
        assert torch.equal(torch.rand(3), first)
