import numpy as np
import pandas as pd
import pytest

from astrolab.trainers.config import TrainConfig
from astrolab.trainers.stopping import Stopping


def smoothed(losses, ema):
    stopping, found = Stopping.from_config(TrainConfig(ema=ema)), []
    for loss in losses:
        stopping = stopping.after(loss)
        found.append(stopping.ema)
    return np.array(found)


@pytest.mark.parametrize(("ema", "kept"), [("corrected", 9 / 11), ("published", 2 / 11)])
def test_a_step_decays_with_the_weight_of_the_past(ema, kept):
    np.testing.assert_allclose(smoothed([1.0] + [0.0] * 12, ema), kept ** np.arange(13), rtol=1e-12)


def test_the_corrected_average_is_that_of_pandas():
    losses = np.random.default_rng(0).uniform(size=40)
    np.testing.assert_allclose(smoothed(losses, "corrected"), pd.Series(losses).ewm(span=10, adjust=False).mean())


def test_the_span_is_that_of_pandas_too():
    losses, stopping = [1.0, 0.2, 0.6], Stopping.from_config(TrainConfig(ema_span=3))
    for loss in losses:
        stopping = stopping.after(loss)
    assert stopping.ema == pytest.approx(pd.Series(losses).ewm(span=3, adjust=False).mean().iloc[-1])


def test_patience_counts_epochs_since_the_best_smoothed_loss():
    stopping = Stopping(newest_weight=0.5, patience=3)
    over = []
    for loss in [1.0, 0.5, 0.9, 0.9, 0.9]:
        stopping = stopping.after(loss)
        over.append(stopping.is_over)
    assert over == [False, False, False, False, True]
    assert (stopping.best_ema_epoch, stopping.best_raw_epoch, stopping.epoch) == (2, 2, 5)


def test_best_raw_and_best_smoothed_are_kept_apart():
    stopping = Stopping(newest_weight=2 / 11, patience=None)
    for loss in [1.0, 0.1, 0.4, 0.4]:
        stopping = stopping.after(loss)
    assert [stopping.best_epoch(select) for select in ("best_ema", "best_raw", "last")] == [4, 2, 4]
    assert not stopping.is_over
    assert Stopping(**stopping.to_dict()) == stopping
