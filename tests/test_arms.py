import pytest

from astrolab.arms import ARMS, choose_arms
from astrolab.errors import ConfigError, UnknownNameError


def test_the_published_transfer_learning_freezes_nothing_and_steps_by_1e_8():
    arm = ARMS["tl_published"]
    assert arm.adapt["strategy"] == "full"
    assert arm.learning_rate == 1e-8


def test_learning_rates_are_replaced_for_the_named_arm_only():
    tl, lora = choose_arms(["tl", "lora"], learning_rates={"tl": 0.5})
    assert tl.learning_rate == 0.5
    assert lora.learning_rate == ARMS["lora"].learning_rate


def test_wrong_names_and_repeats_are_refused():
    with pytest.raises(UnknownNameError, match="Did you mean 'lora'"):
        choose_arms(["lorra"])
    with pytest.raises(UnknownNameError, match="arm"):
        choose_arms(["lora"], learning_rates={"lorra": 1.0})
    with pytest.raises(ConfigError, match="once"):
        choose_arms(["lora", "lora"])


@pytest.mark.parametrize("rate", ["1e-4", 0, -1.0, True, float("inf")])
def test_what_is_no_learning_rate_is_refused_before_anything_trains(rate):
    with pytest.raises(ConfigError, match="numbers above 0"):
        choose_arms(["lora"], learning_rates={"lora": rate})
