"""Ridge in closed form: exact where it can be, blind to the test images."""

import numpy as np
import pytest
import torch

from mmattmask.evaluation.ridge import PENALTIES, _hits, held_out, ridge_accuracy


def clusters(num, seed, width=8, distance=8.0, classes=3):
    rng = torch.Generator().manual_seed(seed)
    labels = torch.arange(num) % classes
    centres = distance * torch.eye(classes, width)
    return centres[labels] + torch.randn(num, width, generator=rng), labels


def test_separable_features_are_separated_at_any_scale():
    train, test = clusters(300, 0), clusters(90, 1)
    assert ridge_accuracy(*train, *test) == 100.0
    scaled = (1e4 * train[0] + 7, train[1], 1e4 * test[0] + 7, test[1])
    assert ridge_accuracy(*scaled) == 100.0


def test_labels_that_mean_nothing_give_chance():
    rng = torch.Generator().manual_seed(0)
    features, query = (torch.randn(600, 8, generator=rng) for _ in range(2))
    labels = torch.arange(600) % 3
    assert 25 < ridge_accuracy(features, labels, query, labels) < 42


def test_is_the_solution_of_the_normal_equations():
    (features, labels), (query, target) = clusters(60, 0, distance=1.5), clusters(40, 1)
    x, q = features.numpy().astype(float), query.numpy().astype(float)
    mean, std = x.mean(0), x.std(0, ddof=1)
    x, q = (x - mean) / std, (q - mean) / std
    y = np.eye(3)[labels.numpy()]
    for penalty in PENALTIES:
        weight = np.linalg.solve(x.T @ x + 60 * penalty * np.eye(8), x.T @ (y - 1 / 3))
        hits = ((q @ weight).argmax(1) == target.numpy()).sum()
        (found,) = _hits((features, labels), (query, target), (penalty,))
        assert int(found) == hits


def test_more_features_than_images_and_constant_features_do_no_harm():
    (features, labels), (query, target) = clusters(30, 0, 100), clusters(60, 1, 100)
    features[:, 5] = query[:, 5] = 3.0
    assert ridge_accuracy(features, labels, query, target) > 60  # chance is 33


def test_the_test_images_choose_nothing():
    train, (query, target) = (
        clusters(200, 0, distance=0.8),
        clusters(99, 1, distance=0.8),
    )
    right = ridge_accuracy(*train, query, target)
    others = [ridge_accuracy(*train, query, (target + k) % 3) for k in (1, 2)]
    assert right + sum(others) == pytest.approx(100)


def test_too_few_images_are_refused():
    features, labels = clusters(3, 0)
    with pytest.raises(ValueError, match='got 3 and 0'):
        ridge_accuracy(features, labels, features[:0], labels[:0])


def test_classes_that_come_round_are_all_held_out():
    """In the order 0 to 9, 0 to 9, … every tenth image is of class 0."""
    turns, mixed = torch.arange(10).repeat(40), torch.arange(400) % 7
    for labels in (turns, mixed):
        chosen = held_out(labels)
        assert int(chosen.sum()) == 40
        assert len(labels[chosen].unique()) == len(labels.unique())
    assert torch.equal(held_out(mixed), torch.arange(400) % 10 == 0)
