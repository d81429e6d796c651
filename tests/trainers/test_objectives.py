"""Losses in closed form, weights and the unknown, and what is hidden of an input."""

import numpy as np
import pytest
import torch

from astrolab.errors import ModelError, UnknownNameError
from astrolab.tasks import find_quantity, make_task
from astrolab.trainers.objectives import (
    LOSSES,
    Batch,
    MaskedReconstruction,
    Supervised,
    draw_seeds,
    lorentzian_loss,
    make_objective,
)

Z, FEH = find_quantity("z"), find_quantity("feh")


def test_the_lorentzian_is_one_half_at_its_width_and_bounded():
    truth = torch.tensor([0.0, 1.0, 1.0, 0.5])
    pred = truth + torch.tensor([0.15, -0.30, 0.0, 1e6])
    np.testing.assert_allclose(lorentzian_loss(pred, truth=truth, quantity=Z), [0.5, 0.5, 0.0, 1.0], atol=1e-6)
    plain = lorentzian_loss(truth + 0.15, truth=truth, quantity=FEH)
    np.testing.assert_allclose(plain, 0.5, atol=1e-6)


def test_its_gradient_is_that_of_the_closed_form():
    truth, pred = torch.tensor([0.7]), torch.tensor([0.9], requires_grad=True)
    lorentzian_loss(pred, truth=truth, quantity=Z).sum().backward()
    x, width = 0.2 / 1.7 / 0.15, 0.15 * 1.7
    assert pred.grad.item() == pytest.approx(2 * x / (1 + x**2) ** 2 / width, rel=1e-5)


def test_squared_loss_is_that_of_torch():
    pred, truth = torch.randn(2, 9, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.mse_loss(pred, truth, reduction="none")
    torch.testing.assert_close(LOSSES["mse"](pred, truth=truth, quantity=FEH), expected)


def test_every_label_is_compared_by_its_own_residual():
    task = make_task([Z, FEH])
    truth = torch.tensor([[1.0, 1.0]])
    batch = Batch({}, truth, torch.ones(1, 2), torch.arange(1), torch.arange(1))
    losses = Supervised(task, "lorentzian")(lambda inputs: truth + 0.3, batch)
    np.testing.assert_allclose(losses, [[0.5, 0.8]], atol=1e-6)


def test_what_a_network_cannot_meet_is_refused(case):
    with pytest.raises(ModelError, match="cannot reconstruct"):
        make_objective(case.masked, network=case.mlp)
    with pytest.raises(ModelError, match="without labels"):
        make_objective(case.config, network=case.autoencoder)
    with pytest.raises(UnknownNameError, match="lorentzian"):
        make_objective(case.config.with_changes(objective={"loss": "lorenzian"}), network=case.mlp)
    assert make_objective(case.config, network=case.mlp).loss == "lorentzian"


def hidden_of(seeds, *, shape=(3, 8, 8), ratio=0.25, patch=1):
    masks = {}

    def reconstruct(inputs, mask):
        masks.update(mask)
        return {"image": inputs["image"] + 2.0}

    hide = MaskedReconstruction(("image",), ratio=ratio, patch=patch)
    errors = hide.errors(reconstruct, inputs={"image": torch.zeros(len(seeds), *shape)}, seeds=torch.as_tensor(seeds))
    torch.testing.assert_close(errors, torch.full((len(seeds), 1), 4.0))
    return masks["image"]


@pytest.mark.parametrize(("ratio", "patch", "n"), [(0.25, 1, 2), (0.5, 2, 4), (0.5, 3, 6), (0.01, 1, 1), (0.99, 1, 8)])
def test_the_same_part_of_every_object_is_hidden_in_whole_patches(ratio, patch, n):
    mask = hidden_of(draw_seeds(200, stream=(0, 1)), ratio=ratio, patch=patch)
    columns = mask[:, 0, 0]
    assert torch.equal(mask, columns[:, None, None, :].expand(mask.shape))
    assert columns.sum(dim=1).max() == n
    for start in range(0, 8, patch):
        whole = columns[:, start : start + patch]
        assert torch.equal(whole.any(dim=1), whole.all(dim=1))


def test_what_is_hidden_of_an_object_depends_on_its_seed_alone():
    seeds = draw_seeds(400, stream=(0, 1))
    mask = hidden_of(seeds)
    assert torch.equal(hidden_of(seeds[[7, 3]]), mask[[7, 3]])
    assert not torch.equal(hidden_of(draw_seeds(400, stream=(0, 2))), mask)
    share = mask[:, 0, 0].double().mean(dim=0)
    np.testing.assert_allclose(share, 0.25, atol=0.08)  # every place as likely: 3.7 standard deviations
