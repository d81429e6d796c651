import copy
import hashlib

import pytest
import torch
from torch import nn

from astrolab.models.digests import digest, tensor_digest


def test_a_tensor_digest_is_the_hash_of_its_bytes():
    tensor = torch.tensor([[1.0, -2.0]])
    expected = hashlib.sha256(b"torch.float32 (1, 2)\n" + tensor.numpy().tobytes()).hexdigest()
    assert tensor_digest(tensor) == expected


def test_memory_layout_does_not_count():
    images = torch.randn(2, 3, 4, 4)
    assert tensor_digest(images.to(memory_format=torch.channels_last)) == tensor_digest(images)


@pytest.mark.parametrize("other", [torch.zeros(4, 1), torch.zeros(4, dtype=torch.float64), torch.tensor(0.0)])
def test_shape_and_type_count(other):
    assert tensor_digest(other) != tensor_digest(torch.zeros(4))


def test_half_precision_has_a_digest():
    assert tensor_digest(torch.ones(2, dtype=torch.bfloat16)) != tensor_digest(torch.ones(2, dtype=torch.float16))


def test_one_changed_buffer_changes_the_digest_of_a_network():
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    other = copy.deepcopy(network)
    assert digest(other) == digest(network)
    other[1].running_mean[0] = 1e-7
    assert digest(other) != digest(network)
