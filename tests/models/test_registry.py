import json

import pytest
import torch

from astrolab.errors import ConfigError, UnknownNameError
from astrolab.models.digests import digest
from astrolab.models.network import ModelSpec
from astrolab.models.registry import list_models, make_model, rebuild


def test_the_seed_decides_the_weights_and_nothing_else_does():
    torch.manual_seed(1)
    first = make_model("redshift_cnn", n_bands=5, seed=0, width=4)
    state = torch.get_rng_state()
    torch.manual_seed(2)
    assert digest(make_model("redshift_cnn", n_bands=5, seed=0, width=4)) == digest(first)
    assert digest(make_model("redshift_cnn", n_bands=5, seed=1, width=4)) != digest(first)
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", list_models())
def test_a_spec_survives_json_and_rebuilds_the_network(name):
    small = {"width": 4} if name == "redshift_cnn" else {"batchnorm": True}
    network = make_model(name, n_bands=4, seed=7, hidden=(6, 3), **small)
    spec = ModelSpec(**json.loads(json.dumps(network.spec.to_dict())))
    assert spec == network.spec
    assert digest(rebuild(spec, seed=7)) == digest(network)


def test_an_unknown_network_is_named_with_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'redshift_cnn'"):
        make_model("redshift_cn", n_bands=5, seed=0)


def test_an_unknown_option_is_named_with_the_valid_ones():
    with pytest.raises(ConfigError, match="hidden, dropout, width"):
        make_model("redshift_cnn", n_bands=5, seed=0, depth=3)
