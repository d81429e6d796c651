import copy
from dataclasses import replace

import pytest
import torch

from astrolab.errors import CheckpointError
from astrolab.trainers.state import TrainingState


def trained_state(case, losses, select="best_ema"):
    """A state after steps with the gradient 1 everywhere, one an epoch."""
    start = case.adapted("layers")
    adapted = replace(start, network=copy.deepcopy(start.network))
    state = TrainingState(adapted, config=case.config.with_changes(select=select))
    for loss in losses:
        for parameter in state.trained.values():
            parameter.grad = torch.ones_like(parameter)
        state.optimizer.step()
        state.end_epoch(train_loss=0.0, validation_loss=loss, time_s=0.0, epochs=4)
    return adapted, state


def test_only_what_trains_or_is_a_buffer_is_written_down(case):
    adapted, state = trained_state(case, [1.0])
    names = {name.removeprefix("weights.") for name in state.to_tensors() if name.startswith("weights.")}
    assert names == adapted.plan.trainable | {name for name, _ in adapted.network.named_buffers()}


def test_it_comes_back_as_it_was_and_goes_on_alike(case):
    _, state = trained_state(case, [1.0, 0.5])
    _, other = trained_state(case, [])
    other.restore(state.to_header(), tensors={name: tensor.clone() for name, tensor in state.to_tensors().items()})
    for each in (state, other):
        for parameter in each.trained.values():
            parameter.grad = torch.full_like(parameter, 0.3)
        each.optimizer.step()
        each.end_epoch(train_loss=0.0, validation_loss=0.7, time_s=0.0, epochs=4)
    one, two = state.to_tensors(), other.to_tensors()
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
    assert state.to_header() == other.to_header()


@pytest.mark.parametrize(("select", "epoch"), [("best_ema", 3), ("best_raw", 2), ("last", 3)])
def test_the_selected_weights_come_back(case, select, epoch):
    _, state = trained_state(case, [1.0, 0.1, 0.4], select=select)
    _, as_then = trained_state(case, [1.0, 0.1, 0.4][:epoch])
    assert state.load_best() == epoch
    assert all(torch.equal(tensor, as_then.weights[name]) for name, tensor in state.weights.items())


def test_it_says_why_it_stopped(case):
    assert trained_state(case, [1.0])[1].stopped is None
    assert trained_state(case, [1.0] * 4)[1].stopped == "all epochs done"


def test_a_tensor_too_few_is_refused(case):
    _, state = trained_state(case, [1.0])
    tensors = state.to_tensors()
    tensors.pop("weights.classifier.0.weight")
    with pytest.raises(CheckpointError, match=r"classifier\.0\.weight"):
        state.restore(state.to_header(), tensors=tensors)
