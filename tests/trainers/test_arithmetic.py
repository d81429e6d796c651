"""bfloat16 on a CPU: the same to the bit, or refused."""

import pytest
import torch
from astrolab.models.digests import digest

from astrolab.errors import ConfigError
from astrolab.trainers import arithmetic
from astrolab.trainers.hardware import has_bfloat16_units
from astrolab.trainers.loop import fit

needs_units = pytest.mark.skipif(
    not has_bfloat16_units(torch.device("cpu")),
    reason="this CPU has no units for bfloat16",
)


def in_bfloat16(case, **changes):
    config = case.config.with_changes(precision="bfloat16", epochs=2, **changes)
    return fit(case.cnn, **case.arguments(case.cnn, config=config))


@needs_units
def test_maps_of_one_pixel_are_refused_by_layer_and_shape(case):
    for _ in range(3):
        with pytest.raises(
            ConfigError, match=r"features\.7\.0\.conv1(?s:.*)\(16, 16, 1, 1\)(?s:.*)precision='float32'"
        ):
            in_bfloat16(case)


@needs_units
def test_what_passes_trains_to_the_same_bits_near_float32(larger_case):
    one, two = in_bfloat16(larger_case), in_bfloat16(larger_case)
    exact = fit(larger_case.cnn, **larger_case.arguments(larger_case.cnn))
    assert {"precision": "bfloat16", "channels_last": True}.items() <= one.circumstances.items()
    assert one.history["train_loss"][0] == pytest.approx(exact.history["train_loss"][0], rel=0.05)
    assert all(p.is_contiguous() and p.dtype == torch.float32 for p in one.adapted.network.parameters())
    assert one.history["validation_loss"].tolist() == two.history["validation_loss"].tolist()
    assert digest(one.adapted.network) == digest(two.adapted.network)


class Faulty:
    """A product that is wrong in one way, on every CPU."""

    def __init__(self, way):
        self.way, self.n_calls = way, 0

    def __call__(self, product):
        self.n_calls += 1
        return {"again": product + self.n_calls, "not finite": product / 0, "from those of float32": product * 1.1}[
            self.way
        ]


@pytest.mark.parametrize("way", ["again", "not finite", "from those of float32"])
def test_each_fault_is_found_on_any_cpu(monkeypatch, way):
    network, faulty = torch.nn.Linear(4, 3), Faulty(way)
    in_memory = arithmetic._in_memory_full_of
    monkeypatch.setattr(arithmetic, "_in_memory_full_of", lambda byte, *, call: faulty(in_memory(byte, call=call)))
    with pytest.raises(ConfigError, match=rf"at weight gave .*{way}"), arithmetic._ComparedWithFloat32(network):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            network(torch.ones(2, 4))
    assert faulty.n_calls == 2


@needs_units
def test_the_probe_sees_every_batch_size(larger_case, monkeypatch):
    sizes, keep = set(), arithmetic._in_memory_full_of

    def watched(byte, *, call):
        sizes.update(value.shape[0] for value in call.args if isinstance(value, torch.Tensor))
        return keep(byte, call=call)

    monkeypatch.setattr(arithmetic, "_in_memory_full_of", watched)
    in_bfloat16(larger_case)
    assert {16, 13, 4} <= sizes  # 45 to train on and 20 to validate with, in batches of 16
