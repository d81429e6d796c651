"""What is chosen for a machine; and bfloat16 on a CPU: the same to the bit, or refused."""

import json

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from astrolab.errors import ConfigError
from astrolab.models.network import digest
from astrolab.trainers import hardware
from astrolab.trainers.config import TrainConfig
from astrolab.trainers.loop import fit


def choose(*, config=None, has_images=True, n_bytes=10_000):
    accelerator = Accelerator(mixed_precision="no")
    config = config or TrainConfig(device="cpu")
    return hardware.choose_hardware(config, accelerator=accelerator, has_images=has_images, n_bytes=n_bytes)


def test_a_cpu_takes_float32_whatever_units_it_has(monkeypatch):
    monkeypatch.setattr(hardware, "has_bfloat16_units", lambda device: True)
    chosen = choose()
    assert (chosen.precision, chosen.channels_last) == ("float32", False)
    asked = choose(config=TrainConfig(device="cpu", precision="bfloat16"))
    assert (asked.precision, asked.channels_last) == ("bfloat16", True)


@pytest.mark.parametrize("has_units", [True, False])
def test_a_gpu_takes_bfloat16_for_images_where_there_are_units_for_it(monkeypatch, has_units):
    monkeypatch.setattr(hardware, "has_bfloat16_units", lambda device: has_units)
    monkeypatch.setattr(hardware, "_found_device", torch.device)
    monkeypatch.setattr(hardware, "_room_bytes", lambda device, *, accelerator: 10**12)
    on_gpu = TrainConfig(device="cuda")
    chosen = choose(config=on_gpu)
    assert (chosen.precision == "bfloat16") == chosen.channels_last == has_units
    magnitudes = choose(config=on_gpu, has_images=False)
    assert (magnitudes.precision, magnitudes.channels_last) == ("float32", False)


def test_what_does_not_fit_is_streamed_or_refused():
    too_many = 10**16
    assert choose().storage == "device"
    assert choose(n_bytes=too_many).storage == "stream"
    with pytest.raises(ConfigError, match="stream"):
        choose(n_bytes=too_many, config=TrainConfig(device="cpu", storage="device"))


def test_memory_that_torch_keeps_of_earlier_fits_counts_as_room(monkeypatch):
    in_bytes = {"mem_get_info": (10, 48), "memory_reserved": 30, "memory_allocated": 2}
    for name, value in in_bytes.items():
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)
    assert hardware._room_bytes(torch.device("cuda"), accelerator=None) == hardware.MEMORY_SHARE * 38


def test_a_device_that_is_not_there_is_refused():
    missing = f"cuda:{torch.cuda.device_count()}"
    for name in (missing, "gpu", "cpu:x"):
        with pytest.raises(ConfigError, match="auto"):
            choose(config=TrainConfig(device=name))


def test_a_gpu_that_cannot_be_used_is_refused_in_the_words_of_torch(monkeypatch):
    def refuse():
        raise RuntimeError("Found no NVIDIA driver on your system.")

    monkeypatch.setattr(torch.cuda, "init", refuse)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ConfigError, match=r"'cuda': Found no NVIDIA driver(?s:.*)available: cpu \(1\)(?s:.*)auto"):
        choose(config=TrainConfig(device="cuda"))


def test_circumstances_say_what_was_used_and_differ_in_what_changes_numbers():
    chosen = choose()
    here = hardware.describe_circumstances(chosen, compiled=False)
    assert json.loads(json.dumps(here)) == here
    assert here["n_threads"] == torch.get_num_threads() and here["versions"]["numpy"] == np.__version__
    assert here["device_name"] and "auto" not in here.values()
    there = {**here, "n_threads": 64, "storage": "stream", "versions": {**here["versions"], "torch": "1.0"}}
    expected = [f"n_threads 64 → {here['n_threads']}", f"torch 1.0 → {torch.__version__}"]
    assert hardware.differing_circumstances(there, here=here) == expected
    assert hardware.differing_circumstances({}, here=here) == []


needs_units = pytest.mark.skipif(
    not hardware.has_bfloat16_units(torch.device("cpu")),
    reason="this CPU has no units for bfloat16",
)


def in_bfloat16(case, **changes):
    config = case.config.with_changes(precision="bfloat16", epochs=2, **changes)
    return fit(case.cnn, **case.arguments(config=config))


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
    exact = fit(larger_case.cnn, **larger_case.arguments())
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
    in_memory = hardware._in_memory_full_of
    monkeypatch.setattr(hardware, "_in_memory_full_of", lambda byte, *, call: faulty(in_memory(byte, call=call)))
    with pytest.raises(ConfigError, match=rf"at weight gave .*{way}"), hardware.ComparedWithFloat32(network):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            network(torch.ones(2, 4))
    assert faulty.n_calls == 2


@needs_units
def test_the_probe_sees_every_batch_size(larger_case, monkeypatch):
    sizes, keep = set(), hardware._in_memory_full_of

    def watched(byte, *, call):
        sizes.update(value.shape[0] for value in call.args if isinstance(value, torch.Tensor))
        return keep(byte, call=call)

    monkeypatch.setattr(hardware, "_in_memory_full_of", watched)
    in_bfloat16(larger_case)
    assert {16, 13, 4} <= sizes  # 45 to train on and 20 to validate with, in batches of 16
