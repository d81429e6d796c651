import json

import numpy as np
import pytest

from astrolab.errors import ConfigError
from astrolab.trainers.config import TrainConfig


def test_the_defaults_are_the_published_recipe():
    config = TrainConfig()
    published = {"epochs": 500, "batch_size": 512, "learning_rate": 1e-3, "weight_decay": 1e-4, "clip_norm": 1.0}
    published |= {"patience": 20, "optimiser": "adam"}
    assert published.items() <= dict(config).items()
    assert (config.schedule.name, config.schedule.factor, config.schedule.patience) == ("plateau", 0.1, 5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"epochs": 2.5},
        {"batch_size": True},
        {"learning_rate": "1e-4"},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"weight_decay": -1.0},
        {"schedule": {"factor": 1.0}},
        {"schedule": {"name": "linear"}},
        {"sampler": {"name": "staged", "column": "confidence"}},
        {"sampler": {"name": "balanced"}},
        {"objective": {"ratio": 1}},
        {"stage_rates": {"head": 0}},
        {"n_steps": 0},
        {"optimiser": "lion"},
        {"patience": 0},
        {"ema": "swapped"},
        {"channels_last": 1},
        {"label_clamp": (4, 0)},
        {"label_clamp": "04"},
        {"seed": -1},
    ],
)
def test_a_wrong_value_is_refused_at_once_by_name(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        TrainConfig(**wrong)


def test_text_from_yaml_is_explained():
    with pytest.raises(ConfigError, match=r"1\.0e-4"):
        TrainConfig(learning_rate="1e-4")


def test_zero_decay_no_clamp_and_no_early_stop_are_choices():
    config = TrainConfig(weight_decay=0, label_clamp=None, patience=None)
    assert (config.label_clamp, config.patience) == (None, None)
    with pytest.raises(ConfigError, match="training has to end"):
        TrainConfig(epochs=None)


def test_changes_are_checked_again():
    assert TrainConfig().with_changes(seed=1) == TrainConfig(seed=1)
    with pytest.raises(ConfigError):
        TrainConfig().with_changes(epochs=-1)


def test_it_goes_through_json_whatever_the_numbers_were():
    config = TrainConfig(epochs=np.int64(3), learning_rate=np.float32(0.5), weight_decay=0, stage_rates={"head": 1})
    assert TrainConfig(**json.loads(json.dumps(config.to_dict()))) == config


def test_a_setting_that_does_not_exist_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'patience'"):
        TrainConfig().with_changes(patiense=3)
    with pytest.raises(ConfigError, match="did you mean 'patience'"):
        TrainConfig(schedule={"patiense": 3})
