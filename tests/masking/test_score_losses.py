"""Losses of predicting a score: constants, ties, gradients, hand-made values."""

import math

import pytest
import torch

from mmattmask.masking import relative_order_loss, z_score, z_score_loss


def test_z_score_needs_two_patches_and_bears_a_constant():
    assert torch.equal(z_score(torch.full((2, 5), 0.3)), torch.zeros(2, 5))
    with pytest.raises(ValueError, match=r'at least 2 patches per image, got 1'):
        z_score(torch.rand(2, 1))


def test_z_score_loss_sends_no_gradient_into_its_target():
    pred = torch.randn(2, 5, requires_grad=True)
    target = torch.randn(2, 5, requires_grad=True)
    z_score_loss(pred, target).backward()
    assert target.grad is None
    assert pred.grad.any()


def test_order_of_equal_targets_is_not_asked_for():
    pred = torch.randn(2, 4, requires_grad=True)
    loss = relative_order_loss(pred, torch.ones(2, 4))
    loss.backward()
    assert loss == 0
    assert not pred.grad.any()
    target = torch.tensor([[1.0, 1.0, 2.0]])
    expected = [math.log1p(math.exp(p - 0.5)) for p in (0.2, -0.3)]
    value = relative_order_loss(torch.tensor([[0.2, -0.3, 0.5]]), target)
    torch.testing.assert_close(value, torch.tensor(sum(expected) / 2))
