"""Scalars of guidance against numbers made by hand."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmattmask.evaluation.guidance_scalars import (
    attention_entropy,
    attention_masked,
    foreground_masked,
    foreground_of_views,
    is_annotated,
    mask_agreement,
)


def test_entropy():
    even, one, two = [[2.0] * 4], [[0.0, 9.0, 0.0, 0.0]], [[1.0, 1.0, 0.0, 0.0]]
    for score, expected in ((even, 1.0), (one, 0.0), (two, 0.5), ([[0.0] * 4], 1.0)):
        assert float(attention_entropy(torch.tensor(score))) == pytest.approx(expected)
    mixed = torch.tensor([[3.0, 1.0, 0.0, 0.0], *even])
    expected = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25)) / math.log(4)
    assert float(attention_entropy(mixed)) == pytest.approx((expected + 1) / 2)
    assert float(attention_entropy(1000 * mixed)) == pytest.approx((expected + 1) / 2)


def test_attention_masked():
    score = torch.tensor([[3.0, 1.0, 0.0, -5.0], [0.0] * 4])
    mask = torch.tensor([[1.0, 0.0, 1.0, 1.0], [1.0, 0.0, 0.0, 0.0]])
    assert float(attention_masked(score, mask)) == pytest.approx((0.75 + 0.25) / 2)


def test_agreement_of_two_draws():
    a = torch.tensor([[1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0]])
    b = torch.tensor([[1.0, 0.0, 1.0, 0.0], [1.0, 1.0, 0.0, 0.0]])
    assert float(mask_agreement(a, a)) == 2.0  # 1 / mask ratio
    assert float(mask_agreement(a, 1 - a)) == 0.0
    assert float(mask_agreement(a, b)) == 1.5  # 3 in common, 2 expected
    uneven = torch.tensor([[1.0, 1.0, 1.0, 0.0], [0.0] * 4])
    assert float(mask_agreement(a, uneven)) == pytest.approx(2 / (2 * 3 / 4))
    assert math.isnan(mask_agreement(torch.zeros(1, 4), torch.zeros(1, 4)))
    rng = torch.Generator().manual_seed(0)
    random = [(torch.rand(400, 50, generator=rng) < 0.3).float() for _ in range(2)]
    assert float(mask_agreement(*random)) == pytest.approx(1.0, abs=0.03)


def test_foreground_masked():
    mask = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    foreground = torch.tensor([[1, 1, 0], [0, 1, 0], [0, 0, 0]]).bool()
    assert float(foreground_masked(mask, foreground)) == pytest.approx((0.5 + 1) / 2)
    assert math.isnan(foreground_masked(mask, torch.zeros(3, 3).bool()))


def sample(box=(0.0, 0.0, 8.0, 16.0), flip=False, **annotation):
    return SimpleNamespace(
        ori_shape=(8, 16),
        crop_box=box,
        flip=flip,
        flip_direction='horizontal' if flip else None,
        **annotation,
    )


def test_foreground_is_cropped_and_flipped_like_the_view():
    mask = np.zeros((8, 16), np.uint8)
    mask[:4, :4] = 255  # top left
    right_half = (0.0, 8.0, 8.0, 8.0)
    left_half = (0.0, 0.0, 8.0, 8.0)
    samples = [
        sample(foreground=mask),
        sample(foreground=mask, flip=True),
        sample(right_half, foreground=mask),
        sample(left_half, gt_bboxes=[[0, 0, 4, 4]]),
        sample(left_half, gt_bboxes=np.array([[-3.0, 4.0, 4.0, 8.0], [4, 0, 8, 4]])),
        sample(),
    ]
    found = foreground_of_views(samples, samples, (2, 4)).int().view(-1, 2, 4).tolist()
    assert found[0] == [[1, 0, 0, 0], [0, 0, 0, 0]]
    assert found[1] == [[0, 0, 0, 1], [0, 0, 0, 0]]
    assert found[2] == found[5] == [[0] * 4] * 2
    assert found[3] == [[1, 1, 0, 0], [0, 0, 0, 0]]
    assert found[4] == [[0, 0, 1, 1], [1, 1, 0, 0]]
    assert [is_annotated(each) for each in samples] == [True] * 5 + [False]
