"""Rates by stage, and how they change: the published plateau, warm-up cosine, triangles."""

import numpy as np
import pytest
import torch

from astrolab.errors import ConfigError, UnknownNameError
from astrolab.models.adapt import adapt
from astrolab.trainers.config import Schedule, TrainConfig
from astrolab.trainers.optimising import Rates, make_optimiser, scheduled_share


def rates(losses, learning_rate=1e-3):
    optimiser = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=learning_rate)
    schedule = Rates(optimiser, schedule=Schedule(), n_steps=1)
    found = []
    for step, loss in enumerate(losses):
        schedule.before_step(step)
        schedule.after_epoch(loss)
        found.append(optimiser.param_groups[0]["lr"])
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


def test_adam_keeps_as_much_of_its_running_means_as_asked():
    trained = {"weight": torch.nn.Parameter(torch.zeros(1))}
    for name, asked in (("adam", {}), ("adamw", {"betas": [0.9, 0.95], "weight_decay": 0.1})):
        made = make_optimiser(trained, config=TrainConfig(optimiser=name, **asked), stages={})
        assert made.defaults["betas"] == tuple(asked.get("betas", (0.9, 0.999)))
    assert made.defaults["weight_decay"] == 0.1 and isinstance(made, torch.optim.AdamW)
    with pytest.raises(ConfigError, match="betas"):
        TrainConfig(betas=(0.9, 1.0))


def test_a_cosine_warms_up_and_falls_to_its_floor_like_that_of_torch():
    schedule = Schedule(name="cosine", warmup_frac=0.2, floor_frac=0.1)
    found = [scheduled_share(schedule, step=step, n_steps=50) for step in range(51)]
    np.testing.assert_allclose(found[:10], np.arange(1, 11) / 10)
    assert max(scheduled_share(schedule, step=step, n_steps=12) for step in range(12)) == 1.0, "never above the rate"
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    torchs = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=40, eta_min=0.1)
    for share in found[10:]:
        assert share == pytest.approx(optimiser.param_groups[0]["lr"], abs=1e-12)
        optimiser.step()
        torchs.step()


def test_triangles_run_between_the_floor_and_the_rate():
    schedule = Schedule(name="cyclic", cycles=2, floor_frac=0.2)
    found = [scheduled_share(schedule, step=step, n_steps=8) for step in range(8)]
    np.testing.assert_allclose(found, [0.2, 0.6, 1.0, 0.6] * 2)


@pytest.mark.parametrize("strategy", ["full", "lora", "residual"])
def test_a_stage_has_its_own_rate_whatever_adapts_it(case, strategy):
    adapted = adapt(case.cnn, strategy=strategy)
    trained = {name: p for name, p in adapted.network.named_parameters() if p.requires_grad}
    config = TrainConfig(stage_rates={"head": 0.5, "block4": 0.25})
    optimiser = make_optimiser(trained, config=config, stages=adapted.network.stages)
    rate_of = {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}
    assert rate_of.keys() == {id(p) for p in trained.values()}
    for name, parameter in trained.items():
        expected = 0.5 if "classifier" in name else 0.25 if "features.7." in name else 1e-3
        assert rate_of[id(parameter)] == expected, name
    with pytest.raises(UnknownNameError, match="stage"):
        make_optimiser(trained, config=TrainConfig(stage_rates={"neck": 1.0}), stages=adapted.network.stages)
