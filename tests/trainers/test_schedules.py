import pytest
import torch

from astrolab.trainers.config import TrainConfig
from astrolab.trainers.schedules import plateau_schedule


def rates(losses, learning_rate=1e-3):
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=learning_rate)
    schedule = plateau_schedule(optimizer, config=TrainConfig())
    found = []
    for loss in losses:
        schedule.step(loss)
        found.append(optimizer.param_groups[0]["lr"])
    return found


def test_the_rate_falls_tenfold_after_more_than_five_epochs_without_a_fall():
    found = rates([1.0] * 13)
    assert found == pytest.approx([1e-3] * 6 + [1e-4] * 6 + [1e-5])


def test_a_fall_smaller_than_one_in_ten_thousand_is_none():
    assert rates([1 - 0.5e-5 * k for k in range(8)])[-1] == pytest.approx(1e-4)
    assert rates([1 - 2e-4 * k for k in range(8)])[-1] == pytest.approx(1e-3)


def test_it_ends_at_the_published_final_rate():
    assert rates([1.0] * 60)[-1] == pytest.approx(1e-8)
    assert rates([1.0] * 60, learning_rate=1e-8)[-1] == pytest.approx(1e-8)
