"""Few-shot k-NN: the draws, and what they come to."""

import pytest
import torch

from mmattmask.evaluation.few_shot import draw_shots, few_shot_accuracy
from mmattmask.evaluation.knn import knn_accuracy, nearest_neighbours


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


LABELS = torch.tensor([2, 0, 0, 7, 2, 7, 0, 7, 2, 2, 0, 7, 7])  # 4, 4 and 5 images


@pytest.mark.parametrize('shots', [1, 2, 3, 4])
def test_every_class_gives_as_many_images(shots):
    ids = draw_shots(LABELS, shots, rng())
    assert torch.equal(ids, ids.unique())
    assert LABELS[ids].bincount(minlength=8).tolist() == [
        shots if label in (0, 2, 7) else 0 for label in range(8)
    ]


def test_draws_are_those_of_their_seed():
    first, second = draw_shots(LABELS, 2, rng(3)), draw_shots(LABELS, 2, rng(3))
    assert torch.equal(first, second)
    others = {tuple(draw_shots(LABELS, 2, rng(seed)).tolist()) for seed in range(20)}
    assert len(others) > 10


def test_more_shots_are_drawn_in_addition():
    for seed in range(5):
        few = set(draw_shots(LABELS, 1, rng(seed)).tolist())
        more = set(draw_shots(LABELS, 3, rng(seed)).tolist())
        assert few < more


def test_images_of_a_class_are_equally_likely():
    count = torch.zeros(len(LABELS))
    for seed in range(2000):
        count[draw_shots(LABELS, 2, rng(seed))] += 1
    expected = 2000 * 2 / LABELS.bincount()[LABELS]
    deviation = (expected * (1 - expected / 2000)).sqrt()
    assert ((count - expected).abs() < 4 * deviation).all()


@pytest.mark.parametrize('shots', [0, 5, 6])
def test_more_than_there_are(shots):
    with pytest.raises(
        ValueError, match=f'draw {shots} images per class: class 0 has 4'
    ):
        draw_shots(LABELS, shots, rng())


@pytest.fixture
def features():
    """Noisy features of LABELS, and of 40 queries."""
    centres = torch.randn(8, 6)
    target = LABELS[torch.randint(len(LABELS), (40,))]
    noise = [0.8 * torch.randn(len(labels), 6) for labels in (target, LABELS)]
    return centres[target] + noise[0], target, centres[LABELS] + noise[1]


def test_equals_knn_against_the_images_drawn(features):
    query, target, bank = features
    ks = (1, 3)
    found = few_shot_accuracy(query, target, bank, LABELS, (1, 2), 3, ks, 0.1, seed=5)
    assert set(found) == {1, 2}
    for shots, by_k in found.items():
        for draw in range(3):
            ids = draw_shots(LABELS, shots, rng(5 + draw))
            similarity, rows = nearest_neighbours(query, bank[ids], 3)
            expected = knn_accuracy(similarity, LABELS[ids][rows], target, ks, 0.1)
            for k in ks:
                assert by_k[k][draw] == expected[k]


def test_no_more_vote_than_are_drawn(features):
    query, target, bank = features
    found = few_shot_accuracy(query, target, bank, LABELS, (1, 4), 2, (2, 10, 100), 1)
    assert {shots: list(by_k) for shots, by_k in found.items()} == {
        1: [2, 3],
        4: [2, 10, 12],
    }


def test_no_draw(features):
    query, target, bank = features
    with pytest.raises(ValueError, match='got 0'):
        few_shot_accuracy(query, target, bank, LABELS, (1,), 0, (1,), 1)
