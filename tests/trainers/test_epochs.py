import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from astrolab.trainers.epochs import Workbench, train_epoch, validate
from astrolab.trainers.feeding import make_feed, shuffled_batches
from astrolab.trainers.hardware import Hardware
from astrolab.trainers.losses import lorentzian_loss
from astrolab.trainers.state import TrainingState

HARDWARE = Hardware("cpu", "float32", channels_last=False, storage="device", storage_dtype="float32", n_processes=1)


def bench_of(case, **changes):
    config = case.config.with_changes(**changes)
    return Workbench(config=config, hardware=HARDWARE, accelerator=Accelerator(mixed_precision="no"))


def magnitude_feed(case, survey):
    truth = survey.labels["z"].to_numpy(np.float32)
    return make_feed(survey, input_name="magnitudes", truth=truth, scaling=case.magnitude_scaling, hardware=HARDWARE)


def plain_steps(network, case, *, config):
    """The published steps in their plainest form: L2 in the gradient, clip, Adam by its formulas."""
    inputs = case.magnitude_scaling.apply(torch.from_numpy(case.train.inputs["magnitudes"].copy()))
    truth = torch.tensor(case.train.labels["z"].to_numpy(np.float32))
    moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in network.parameters()]
    losses = []
    batches = shuffled_batches(len(truth), batch_size=config.batch_size, seed=config.seed, epoch=1)
    for step, batch in enumerate(batches, start=1):
        loss = lorentzian_loss(network(inputs[batch]), truth=truth[batch]).mean()
        gradients = torch.autograd.grad(loss, list(network.parameters()))
        norm = torch.sqrt(sum(g.square().sum() for g in gradients))
        losses.append(loss.item())
        with torch.no_grad():
            for p, g, (m, v) in zip(network.parameters(), gradients, moments, strict=True):
                g = g * min(1.0, config.clip_norm / (norm + 1e-6)) + config.weight_decay * p
                m.mul_(0.9).add_(0.1 * g)
                v.mul_(0.999).add_(0.001 * g.square())
                p -= config.learning_rate * (m / (1 - 0.9**step)) / ((v / (1 - 0.999**step)).sqrt() + 1e-8)
    return np.mean(losses)


@pytest.mark.parametrize("clip_norm", [1.0, 0.01])
def test_an_epoch_takes_the_published_steps(case, clip_norm):
    bench = bench_of(case, clip_norm=clip_norm, weight_decay=0.1)
    from astrolab.models.adapt import adapt

    adapted = adapt(case.mlp, strategy="full")
    expected = copy.deepcopy(adapted.network)
    state = TrainingState(adapted, config=bench.config)
    loss = train_epoch(
        adapted, model=adapted.network, state=state, feed=magnitude_feed(case, case.train), bench=bench, epoch=1
    )
    assert loss == pytest.approx(plain_steps(expected, case, config=bench.config), rel=1e-5)
    for mine, theirs in zip(adapted.network.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)
    assert state.n_seen == 45


def test_the_validation_loss_is_the_mean_of_the_batch_means(case):
    pred = case.mlp.eval()(case.magnitude_scaling.apply(torch.tensor(case.validation.inputs["magnitudes"])))
    losses = lorentzian_loss(pred, truth=torch.tensor(case.validation.labels["z"].to_numpy(np.float32)))
    expected = (losses[:16].mean() + losses[16:].mean()) / 2
    found = validate(copy.deepcopy(case.mlp), feed=magnitude_feed(case, case.validation), bench=bench_of(case))
    assert found == pytest.approx(expected.item(), rel=1e-5)


def test_shares_cover_each_batch_once(case):
    bench = bench_of(case)
    both = replace(bench, hardware=replace(HARDWARE, n_processes=2))
    batches = [np.arange(5), np.arange(5, 7)]
    assert [share.tolist() for share in both.shares(batches)] == [[0, 2, 4], [5]]
    assert [share.tolist() for share in bench.shares(batches)] == [[0, 1, 2, 3, 4], [5, 6]]
