import math

import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from astrolab.errors import ConfigError
from astrolab.models.redshift_cnn import RedshiftCNN
from astrolab.models.registry import make_model

# Positions of torchvision's children in the published `features`.
CHILDREN = ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool"]
PUBLISHED_TARGETS = [
    "features.0",
    *[f"features.{k}.{b}.conv{c}" for k in (4, 5, 6, 7) for b in (0, 1) for c in (1, 2)],
    *[f"features.{k}.0.downsample.0" for k in (5, 6, 7)],
    "classifier.0",
    "classifier.3",
    "classifier.6",
]


@pytest.fixture(scope="module")
def reference():
    return make_model("redshift_cnn", n_bands=5, seed=0)


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_parameters_are_those_of_the_paper(reference):
    assert count(reference.features) == 11_182_784
    assert count(reference.classifier) == 394_241
    assert count(reference) == 11_577_025


def test_adapter_targets_are_the_published_modules(reference):
    assert len(PUBLISHED_TARGETS) == 23
    assert sorted(reference.adapter_targets) == sorted(PUBLISHED_TARGETS)


def test_the_body_computes_what_torchvision_computes(reference):
    body = resnet18(weights=None)
    body.conv1 = nn.Conv2d(5, 64, kernel_size=7, stride=2, padding=3, bias=False)
    weights = {
        f"{CHILDREN[int(name.split('.')[1])]}.{name.split('.', 2)[2]}": tensor
        for name, tensor in reference.state_dict().items()
        if name.startswith("features.")
    }
    body.fc = nn.Identity()
    body.load_state_dict(weights, strict=True)
    images = torch.randn(2, 5, 64, 64)
    body.eval(), reference.eval()
    with torch.no_grad():
        torch.testing.assert_close(reference.represent(images), body(images))


def test_initial_weights_are_distributed_as_in_the_reference(reference):
    for name, module in reference.named_modules():
        if name == "features.0":
            bound = 1 / math.sqrt(5 * 7 * 7)
            assert module.weight.abs().max() <= bound
            assert module.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)
        elif isinstance(module, nn.Conv2d):
            expected = math.sqrt(2 / (module.out_channels * module.kernel_size[0] ** 2))
            assert module.weight.std().item() == pytest.approx(expected, rel=0.05), name
        elif isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all()
            assert (module.bias == 0).all()


@pytest.mark.parametrize(("n_bands", "size"), [(1, 16), (3, 33), (7, 64)])
def test_any_number_of_bands_and_any_size(n_bands, size):
    network = RedshiftCNN(n_bands, hidden=(4,), width=4).eval()
    assert network(torch.zeros(2, n_bands, size, size)).shape == (2,)


def test_a_narrow_network_has_the_structure_of_the_wide_one(reference):
    narrow = RedshiftCNN(5, width=8)
    assert narrow.state_dict().keys() == reference.state_dict().keys()
    assert narrow.adapter_targets == reference.adapter_targets


def test_impossible_options_are_refused():
    with pytest.raises(ConfigError, match="width"):
        RedshiftCNN(5, width=0)
