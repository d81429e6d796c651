import numpy as np
import pytest
import torch

from astrolab.errors import UnknownNameError
from astrolab.trainers.losses import find_loss, lorentzian_loss


def test_the_lorentzian_is_one_half_at_its_width_and_bounded():
    truth = torch.tensor([0.0, 1.0, 1.0, 0.5])
    pred = truth + torch.tensor([0.15, -0.30, 0.0, 1e6]) * torch.tensor([1.0, 1.0, 1.0, 1.0])
    np.testing.assert_allclose(lorentzian_loss(pred, truth=truth), [0.5, 0.5, 0.0, 1.0], atol=1e-6)


def test_its_gradient_is_that_of_the_closed_form():
    truth, pred = torch.tensor([0.7]), torch.tensor([0.9], requires_grad=True)
    lorentzian_loss(pred, truth=truth).sum().backward()
    x, width = 0.2 / 1.7 / 0.15, 0.15 * 1.7
    assert pred.grad.item() == pytest.approx(2 * x / (1 + x**2) ** 2 / width, rel=1e-5)


def test_squared_loss_is_that_of_torch():
    pred, truth = torch.randn(2, 9, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.mse_loss(pred, truth, reduction="none")
    torch.testing.assert_close(find_loss("mse")(pred, truth=truth), expected)


def test_an_unknown_loss_names_the_nearest():
    with pytest.raises(UnknownNameError, match="lorentzian"):
        find_loss("lorenzian")
