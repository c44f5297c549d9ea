"""Masks from labels: golden, quotas of parts, whole parts, labels of any kind."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmattmask.masking import shuffle_by_parts

from ..golden import each

NAME = 'policies/semmae_masking'


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def mask_of(order, num_masked):
    return torch.zeros(order.shape).scatter_(1, order[:, -num_masked:], 1.0).bool()


def noise_of_parts(labels, noise):
    """Bring noise by label to noise by the place of a label among an image's own."""
    spread = torch.ones(labels.shape)
    for row, image in enumerate(labels):
        present = image.unique()
        spread[row, : len(present)] = noise[row, present]
    return spread


@each(NAME, lambda case: range(len(case.config['settings'])), 'setting')
def test_golden_masks(golden, setting):
    case = golden(NAME)
    labels, options = case['in/labels'], case.config['settings'][setting]
    order = shuffle_by_parts(
        labels,
        options['mask_ratio'],
        options['mask_lambda'],
        patch_noise=case[f'draw/patch_noise{setting}'],
        part_noise=noise_of_parts(labels, case[f'draw/part_noise{setting}']),
    )
    mask = case[f'out/mask{setting}']
    assert torch.equal(mask_of(order, int(mask[0].sum())), mask)


@given(
    st.tuples(st.integers(1, 4), st.integers(4, 60)),
    st.integers(1, 9),
    st.floats(0, 1),
    st.floats(0, 1),
    st.sampled_from([torch.uint8, torch.int32, torch.int64, torch.float32]),
)
def test_every_order_is_a_permutation(shape, parts, share, mix, dtype):
    labels = torch.randint(parts, shape).to(dtype)
    order = shuffle_by_parts(labels, share, mix)
    assert order.dtype == torch.int64
    assert torch.equal(order.sort(1).values, torch.arange(shape[1]).expand(shape))


def test_within_parts_every_part_loses_its_share():
    labels = torch.tensor([0] * 40 + [3] * 20 + [9] * 20).expand(50, -1)
    mask = mask_of(shuffle_by_parts(labels, 0.75, 1.0, seeded()), 60)
    for part, masked in ((0, 30), (3, 15), (9, 15)):
        assert (mask[:, labels[0] == part].sum(1) == masked).all()


def test_whole_parts_are_masked_but_one():
    labels = torch.arange(80) // 10
    mask = mask_of(shuffle_by_parts(labels.expand(50, -1), 0.75, 0.0, seeded()), 60)
    counts = mask.view(50, 8, 10).sum(2)
    assert ((counts == 0) | (counts == 10)).all()
    assert (counts.sum(1) == 60).all()
    assert len(counts.unique(dim=0)) > 20  # which ones, is drawn


def test_whole_parts_are_masked_more_and_more():
    """How far parts differ in their masked share grows with the whole parts' weight."""
    labels = torch.randint(6, (200, 98), generator=seeded(1))
    spreads = []
    for mix in (1.0, 0.75, 0.5, 0.25, 0.0):
        mask = mask_of(shuffle_by_parts(labels, 0.5, mix, seeded()), 49).float()
        member = torch.nn.functional.one_hot(labels).float()
        shares = (mask.unsqueeze(1) @ member).squeeze(1) / member.sum(1)
        spreads.append(shares.std(dim=1).mean())
    assert (torch.stack(spreads).diff() > 0.02).all()


@pytest.mark.parametrize('mix', [0.0, 0.4, 1.0])
def test_labels_are_names(mix):
    """Other numbers in the same order for the parts change nothing."""
    labels = torch.randint(5, (3, 30))
    names = torch.tensor([2, 7, 40, 1000, 70000])
    first, second = (
        shuffle_by_parts(each, 0.6, mix, seeded()) for each in (labels, names[labels])
    )
    assert torch.equal(first, second)
