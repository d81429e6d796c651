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


@pytest.mark.parametrize("has_units", [True, False])
def test_bfloat16_is_taken_for_images_where_there_are_units_for_it(case, monkeypatch, has_units):
    monkeypatch.setattr(hardware, "has_bfloat16_units", lambda device: has_units)
    chosen = choose(case)
    assert (chosen.precision == "bfloat16") == chosen.channels_last == has_units
    magnitudes = choose(case, row_shape=(3,), scaling=case.magnitude_scaling)
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
