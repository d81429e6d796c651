import json

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from astrolab.errors import ConfigError
from astrolab.trainers import hardware
from astrolab.trainers.config import TrainConfig


def choose(case, *, config=None, row_shape=(3, 8, 8), n_rows=100, scaling=None):
    return hardware.choose_hardware(
        config or TrainConfig(device="cpu"),
        accelerator=Accelerator(mixed_precision="no"),
        row_shape=row_shape,
        n_rows=n_rows,
        scaling=scaling or case.image_scaling,
    )


def test_a_cpu_takes_float32_whatever_units_it_has(case, monkeypatch):
    monkeypatch.setattr(hardware, "has_bfloat16_units", lambda device: True)
    chosen = choose(case)
    assert (chosen.precision, chosen.channels_last) == ("float32", False)
    asked = choose(case, config=TrainConfig(device="cpu", precision="bfloat16"))
    assert (asked.precision, asked.channels_last) == ("bfloat16", True)


@pytest.mark.parametrize("has_units", [True, False])
def test_a_gpu_takes_bfloat16_for_images_where_there_are_units_for_it(case, monkeypatch, has_units):
    monkeypatch.setattr(hardware, "has_bfloat16_units", lambda device: has_units)
    monkeypatch.setattr(hardware, "_found_device", torch.device)
    monkeypatch.setattr(hardware, "_room_bytes", lambda device, *, accelerator: 10**12)
    on_gpu = TrainConfig(device="cuda")
    chosen = choose(case, config=on_gpu)
    assert (chosen.precision == "bfloat16") == chosen.channels_last == has_units
    magnitudes = choose(case, config=on_gpu, row_shape=(3,), scaling=case.magnitude_scaling)
    assert (magnitudes.precision, magnitudes.channels_last) == ("float32", False)


def test_scaled_images_are_held_compactly_and_nothing_else_is(case):
    assert choose(case).storage_dtype == "float16"
    assert choose(case, row_shape=(3,), scaling=case.magnitude_scaling).storage_dtype == "float32"
    raw = type(case.image_scaling)(method="none", input_name="image", bands=("g",), centre=(0,), width=(1,))
    assert choose(case, scaling=raw).storage_dtype == "float32"


def test_what_does_not_fit_is_streamed_or_refused(case):
    too_many = 10**12
    assert choose(case).storage == "device"
    assert choose(case, n_rows=too_many).storage == "stream"
    with pytest.raises(ConfigError, match="stream"):
        choose(case, n_rows=too_many, config=TrainConfig(device="cpu", storage="device"))


def test_memory_that_torch_keeps_of_earlier_fits_counts_as_room(monkeypatch):
    in_bytes = {"mem_get_info": (10, 48), "memory_reserved": 30, "memory_allocated": 2}
    for name, value in in_bytes.items():
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)
    assert hardware._room_bytes(torch.device("cuda"), accelerator=None) == hardware.MEMORY_SHARE * 38


def test_a_device_that_is_not_there_is_refused(case):
    missing = f"cuda:{torch.cuda.device_count()}"
    for name in (missing, "gpu", "cpu:x"):
        with pytest.raises(ConfigError, match="auto"):
            choose(case, config=TrainConfig(device=name))


def test_a_gpu_that_cannot_be_used_is_refused_in_the_words_of_torch(case, monkeypatch):
    def refuse():
        raise RuntimeError("Found no NVIDIA driver on your system.")

    monkeypatch.setattr(torch.cuda, "init", refuse)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ConfigError, match=r"'cuda': Found no NVIDIA driver(?s:.*)available: cpu \(1\)(?s:.*)auto"):
        choose(case, config=TrainConfig(device="cuda"))


def test_circumstances_say_what_was_used_and_differ_in_what_changes_numbers(case):
    chosen = choose(case)
    here = hardware.describe_circumstances(chosen, compiled=False)
    assert json.loads(json.dumps(here)) == here
    assert here["n_threads"] == torch.get_num_threads() and here["versions"]["numpy"] == np.__version__
    assert here["device_name"] and "auto" not in here.values()
    there = {**here, "n_threads": 64, "storage": "stream", "versions": {**here["versions"], "torch": "1.0"}}
    expected = [f"n_threads 64 → {here['n_threads']}", f"torch 1.0 → {torch.__version__}"]
    assert hardware.differing_circumstances(there, here=here) == expected
    assert hardware.differing_circumstances({}, here=here) == []
