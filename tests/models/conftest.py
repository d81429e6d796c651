"""Small networks of the real structure, and a few real optimiser steps."""

import copy
from functools import cache

import pytest
import torch

from astrolab.models.adapt import adapt, set_train_mode
from astrolab.models.network import seeded
from astrolab.models.registry import make_model

SMALL = {
    "redshift_cnn": {"hidden": (16, 8), "width": 8},
    "redshift_mlp": {"hidden": (16, 16, 16, 8), "batchnorm": True, "dropout": 0.2},
}


@cache
def trained(name):
    network = make_model(name, n_bands=5, seed=3, **SMALL[name])
    return take_steps(adapt(network, strategy="full"), name=name).network


@pytest.fixture(scope="session")
def small_network():
    """Make a small network by name; BatchNorm statistics and all weights away from their initial values."""
    return lambda name: copy.deepcopy(trained(name))


@pytest.fixture(scope="session")
def inputs():
    """Make inputs of a network by name: five bands, the band axis with its own means."""

    def make(name, *, n=12, seed=0):
        shape = (n, 5, 16, 16) if name == "redshift_cnn" else (n, 5)
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(shape, generator=generator) + torch.arange(5.0).reshape(1, 5, *[1] * (len(shape) - 2))

    return make


@pytest.fixture(scope="session")
def moved():
    """Train an adapted network for three steps on shifted inputs; gives it back in evaluation mode."""
    return take_steps


def take_steps(adapted, *, name):
    set_train_mode(adapted)
    parameters = [p for p in adapted.network.parameters() if p.requires_grad]
    if parameters:
        optimizer = torch.optim.Adam(parameters, lr=1e-2, weight_decay=1e-4)
        adapted.plan.assert_holds(adapted.network, optimizer=optimizer)
        with seeded(1):
            for _ in range(3):
                values = 2 + torch.randn((8, 5, 16, 16) if name == "redshift_cnn" else (8, 5))
                optimizer.zero_grad()
                (adapted.network(values) - 1).square().mean().backward()
                optimizer.step()
    adapted.network.eval()
    return adapted
