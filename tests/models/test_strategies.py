import json

import pytest

from astrolab.errors import ConfigError, UnknownNameError
from astrolab.models.strategies import STRATEGIES, Strategy


def test_every_strategy_of_the_design_exists():
    assert set(STRATEGIES) == {"zero_shot", "scratch", "head", "layers", "lora", "residual", "full"}


@pytest.mark.parametrize("name", STRATEGIES)
def test_settings_survive_json(name):
    settings = Strategy(name, layers=["input"], targets=["body", "classifier.6"], seed=4)
    assert Strategy(**json.loads(json.dumps(settings.to_dict()))) == settings


def test_batchnorm_follows_the_strategy_unless_told_otherwise():
    frozen = {name for name in STRATEGIES if Strategy(name).batchnorm == "freeze"}
    assert frozen == {"zero_shot", "head", "residual"}
    assert Strategy("head", batchnorm="update").batchnorm == "update"
    assert Strategy("lora", batchnorm="freeze").batchnorm == "freeze"


@pytest.mark.parametrize("name", ["zero_shot", "residual"])
def test_a_network_left_as_it_is_cannot_update_its_batchnorm(name):
    with pytest.raises(ConfigError, match="leaves the network as it is"):
        Strategy(name, batchnorm="update")


@pytest.mark.parametrize(
    "setting",
    [
        {"rank": 0},
        {"rank": 2.0},
        {"alpha": 0},
        {"dropout": 1.0},
        {"kronecker_factor": 0},
        {"correction_width": 0},
        {"batchnorm": "train"},
        {"layers": ()},
        {"layers": "input"},
        {"targets": []},
    ],
)
def test_impossible_settings_are_refused(setting):
    with pytest.raises(ConfigError, match=next(iter(setting))):
        Strategy("lora", **setting)


def test_unknown_names_are_refused():
    with pytest.raises(UnknownNameError, match="Did you mean 'lora'"):
        Strategy("lorra")
    with pytest.raises(UnknownNameError, match="dora, loha, lokr, lora, rslora"):
        Strategy("lora", adapter="qlora")
