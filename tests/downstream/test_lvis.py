"""Long-tailed detection: federated loss, repeat factors, evaluation."""

import itertools
import json
import math
from collections import Counter

import numpy as np
import pytest
import torch
from mmengine.registry import DATA_SAMPLERS, MODELS
from torch.nn import functional as F
from torch.testing import assert_close

from mmattmask.downstream import FedLoss, RepeatFactorSampler
from mmattmask.downstream.fed_loss import federated_classes
from mmattmask.downstream.lvis_image_counts import LVIS_V1_IMAGE_COUNTS
from mmattmask.downstream.repeat_factor_sampler import repeat_factors


def test_counts_are_those_of_lvis_v1():
    counts = np.array(LVIS_V1_IMAGE_COUNTS)
    rare, frequent = (counts <= 10).sum(), (counts > 100).sum()
    # https://www.lvisdataset.org: 337 rare, 461 common, 405 frequent categories
    assert (rare, len(counts) - rare - frequent, frequent) == (337, 461, 405)
    assert counts.min() == 1


def test_counts_of_the_annotations(data_folder):
    path = data_folder / 'lvis_mini' / 'annotations' / 'lvis_v1_train.json'
    categories = json.loads(path.read_text())['categories']
    categories = sorted(categories, key=lambda category: category['id'])
    counts = tuple(c['official_train_image_count'] for c in categories)
    assert counts == LVIS_V1_IMAGE_COUNTS


@pytest.mark.parametrize('background', [False, True])
def test_chosen_are_those_present_and_some_more(background):
    labels = torch.tensor([3, 3, 7] + [20] * background)
    for _ in range(20):
        chosen = federated_classes(labels, 5, torch.ones(20))
        assert chosen.shape == (20,)
        assert chosen[[3, 7]].all()
        # background counts as one of the five
        assert chosen.sum() == 5 - background


def test_more_present_than_asked_for():
    labels = torch.arange(8)
    assert federated_classes(
        labels, 5, torch.ones(20)
    ).nonzero().flatten().tolist() == [*range(8)]
    assert federated_classes(labels, 50, torch.ones(20)).all()


def test_others_are_drawn_in_proportion_to_their_weight():
    weight = torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0])
    labels = torch.tensor([0])
    rng = torch.Generator().manual_seed(0)
    draws = torch.stack(
        [federated_classes(labels, 2, weight, rng) for _ in range(4000)]
    ).float()
    expected = torch.tensor([1.0, 0.1, 0.2, 0.3, 0.4])
    assert_close(draws.mean(0), expected, atol=0.03, rtol=0)


def reference_loss(logits, labels, chosen):
    """Sum over chosen classes, mean over proposals, one logit at a time."""
    total = 0.0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        for k, logit in enumerate(row):
            probability = 1 / (1 + math.exp(-logit))
            if chosen[k]:
                total -= math.log(probability if k == label else 1 - probability)
    return total / len(labels)


def test_loss_is_cross_entropy_over_the_chosen():
    loss = FedLoss(num_classes=6, num_sampled=4, image_counts=(1, 4, 9, 16, 25, 36))
    assert_close(loss.weight, torch.arange(1.0, 7.0))
    logits, labels = torch.randn(5, 6), torch.tensor([1, 6, 6, 4, 1])
    rng = torch.Generator().manual_seed(3)
    chosen = federated_classes(labels, 4, loss.weight, rng)
    assert chosen.sum() == 3
    rng.manual_seed(3)
    value = loss(logits, labels, generator=rng)
    assert_close(value.item(), reference_loss(logits, labels, chosen))


def test_loss_of_all_classes_is_plain_cross_entropy():
    loss = FedLoss(num_classes=6, num_sampled=7, image_counts=(1,) * 6, loss_weight=2)
    logits, labels = torch.randn(5, 6), torch.tensor([1, 6, 6, 4, 1])
    target = F.one_hot(labels, 7)[:, :6].float()
    expected = F.binary_cross_entropy_with_logits(logits, target, reduction='sum')
    assert_close(loss(logits, labels), 2 * expected / 5)
    weight = torch.tensor([1.0, 0, 0, 0, 0])
    one = F.binary_cross_entropy_with_logits(logits[0], target[0], reduction='sum')
    assert_close(loss(logits, labels, weight, avg_factor=4.0), 2 * one / 4)


def test_loss_starts_at_49_bits():
    labels = torch.tensor([1203, 5, 1203])
    value = FedLoss()(torch.zeros(3, 1203), labels)
    assert_close(value.item(), 49 * math.log(2), rtol=1e-6, atol=0)


def test_loss_of_no_proposals_has_a_gradient():
    logits = torch.zeros(0, 1203, requires_grad=True)
    FedLoss()(logits, torch.zeros(0, dtype=torch.long)).backward()
    assert logits.grad.shape == (0, 1203)


def test_what_a_box_head_asks_for():
    loss = MODELS.build(
        dict(type='mmattmask.FedLoss', num_classes=3, image_counts=[1, 2, 3])
    )
    assert loss.get_cls_channels(3) == 3
    with pytest.raises(ValueError, match='the head has 80 classes, the loss 3'):
        loss.get_cls_channels(80)
    scores = loss.get_activation(torch.tensor([[0.0, 2.0, -2.0]]))
    assert_close(scores[0, :3], torch.tensor([0.0, 2.0, -2.0]).sigmoid())
    assert scores.shape == (1, 4)
    logits = torch.tensor([[9.0, 0, 0], [0, 9.0, 0], [0, 9.0, 0]])
    accuracy = loss.get_accuracy(logits, torch.tensor([0, 2, 3]))
    assert accuracy['acc_classes'] == 50.0
    assert loss.get_accuracy(logits, torch.tensor([3, 3, 3]))['acc_classes'] == 0.0
    with pytest.raises(ValueError, match='num_classes is 4, image_counts has 3'):
        FedLoss(num_classes=4, image_counts=(1, 2, 3))
    assert loss.state_dict() == {}


# Five images of categories: 0 in all, 1 in two, 2 in one; the last image is empty.
IMAGES = [[0], [0, 1], [0, 1, 1], [0, 2], []]


class Dataset:
    """What the sampler asks of a detection dataset."""

    def __len__(self):
        return len(IMAGES)

    def get_cat_ids(self, index):
        return IMAGES[index]


def test_factors_follow_the_paper():
    factors = repeat_factors(IMAGES, threshold=0.9)
    rare, common = math.sqrt(0.9 / 0.2), math.sqrt(0.9 / 0.4)
    first = math.sqrt(0.9 / 0.8)
    expected = [first, common, common, rare, 1.0]
    assert_close(factors, torch.tensor(expected, dtype=torch.float64))
    assert (repeat_factors(IMAGES, threshold=0.2) == 1).all()


def test_images_come_as_often_as_their_factors_say():
    sampler = DATA_SAMPLERS.build(
        dict(type='mmattmask.RepeatFactorSampler', threshold=0.9),
        default_args=dict(dataset=Dataset(), seed=0),
    )
    rng = torch.Generator().manual_seed(0)
    epochs = [sampler.epoch(rng).tolist() for _ in range(3000)]
    times = torch.tensor([[Counter(e)[i] for i in range(5)] for e in epochs])
    assert_close(times.double().mean(0), sampler.factors, atol=0.03, rtol=0)
    # stochastic rounding: never further away than one
    assert times.min(0).values.tolist() == sampler.factors.floor().int().tolist()
    assert times.max(0).values.tolist() == sampler.factors.ceil().int().tolist()
    assert len({tuple(e) for e in epochs}) > 100  # shuffled


def test_processes_share_one_order(monkeypatch):
    def first(rank, world_size):
        monkeypatch.setattr(
            'mmattmask.downstream.repeat_factor_sampler.get_dist_info',
            lambda: (rank, world_size),
        )
        sampler = RepeatFactorSampler(Dataset(), threshold=0.9, seed=5)
        return [*itertools.islice(sampler, 12)]

    whole = first(0, 1)
    assert first(0, 2)[:6] == whole[::2]
    assert first(1, 2)[:6] == whole[1::2]
    assert first(0, 1) == whole
