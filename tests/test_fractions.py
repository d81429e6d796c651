import math

import pytest

from astrolab.arms import ARMS, choose_arms
from astrolab.errors import ConfigError
from astrolab.fractions import fraction_grid, stretch_epochs
from astrolab.trainers.config import TrainConfig


def test_every_curve_starts_at_the_base_model_but_one_that_knows_no_other_survey():
    grid = fraction_grid(choose_arms(["lora", "scratch", "combo"]), fractions=[1, 0, 0.5, 0.1])
    assert [(arm.name, fraction) for arm, fraction in grid] == [
        ("lora", 0.0),
        ("combo", 0.0),
        *((name, fraction) for fraction in (0.1, 0.5, 1.0) for name in ("lora", "scratch", "combo")),
    ]
    starts = [arm for arm, fraction in grid if fraction == 0]
    assert {(arm.adapt["strategy"], arm.sample, arm.learning_rate) for arm in starts} == {("zero_shot", "nothing", 0)}
    assert [arm for arm, fraction in grid if fraction == 1] == list(choose_arms(["lora", "scratch", "combo"]))


@pytest.mark.parametrize("fractions", [[], [0, 0.5, 1], [0.1, 0.5, 0.5], [0.1, 0.5, 1.5], [-0.1, 0.2, 0.5, 1]])
def test_fractions_that_are_none_are_refused(fractions):
    with pytest.raises(ConfigError, match="fine-tuning set"):
        fraction_grid(choose_arms(["lora"]), fractions=fractions)


def test_an_arm_that_never_trains_is_refused():
    with pytest.raises(ConfigError, match="zero_shot, which trains on nothing"):
        fraction_grid([ARMS["zero_shot"]], fractions=[0, 0.1, 0.5, 1])


@pytest.mark.parametrize(("n_train", "batch_size"), [(100, 64), (64, 64), (10, 64), (999, 10), (1000, 64)])
def test_stretched_fits_take_at_least_as_many_steps_and_less_than_an_epoch_more(n_train, batch_size):
    config = TrainConfig(epochs=8, batch_size=batch_size, patience=3, plateau_patience=2)
    stretched = stretch_epochs(config, n_train=n_train, n_full=1000)
    an_epoch = math.ceil(n_train / batch_size)
    full = 8 * math.ceil(1000 / batch_size)
    assert full <= stretched.epochs * an_epoch < full + an_epoch
    factor = math.ceil(1000 / batch_size) / an_epoch
    assert (stretched.patience, stretched.plateau_patience) == (math.ceil(3 * factor), math.ceil(2 * factor))
    assert stretched.ema_span == math.ceil(10 * factor)
    assert stretch_epochs(config.with_changes(patience=None), n_train=n_train, n_full=1000).patience is None


def test_a_fraction_larger_than_the_whole_is_refused():
    with pytest.raises(ConfigError, match="n_full"):
        stretch_epochs(TrainConfig(), n_train=11, n_full=10)
