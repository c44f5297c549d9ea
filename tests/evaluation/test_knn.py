"""Weighted k-NN, against all and against a few of each class."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmattmask.evaluation import knn, knn_accuracy, nearest_neighbours, vote
from mmattmask.evaluation.knn import draw_shots, few_shot_accuracy


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def test_equals_the_official_code(full_golden):
    case = full_golden('knn')
    temperature, ks = case.config['T'], case.config['ks']
    similarity, rows = nearest_neighbours(
        case['in/test_features'], case['in/train_features'], max(ks)
    )
    assert torch.equal(rows, case['ref/topk_index'])
    case.assert_close(similarity, 'ref/topk_similarity')
    labels, target = case['in/train_labels'][rows], case['in/test_labels']
    results = knn_accuracy(similarity, labels, target, ks, temperature)
    for k in ks:
        shares = vote(
            similarity[:, :k], labels[:, :k], case.config['classes'], temperature
        )
        assert torch.equal(shares.argmax(1), case[f'out/k{k}/prediction'])
        votes = (similarity[:, :k] / temperature).exp().sum(1, keepdim=True)
        case.assert_close(shares * votes, f'out/k{k}/scores')
        assert results[k].top1 == pytest.approx(float(case[f'out/k{k}/top1']))
        low, high = case[f'out/k{k}/top5_bounds'].tolist()
        assert low - 1e-4 <= results[k].top5 <= high + 1e-4


@pytest.mark.parametrize(('queries', 'bank'), [(1, 1), (3, 7), (64, 50), (7, 1000)])
def test_chunks_do_not_change_the_neighbours(monkeypatch, queries, bank):
    query = torch.randn(11, 6)
    features = torch.randn(53, 6)
    similarity = F.normalize(query, dim=1) @ F.normalize(features, dim=1).T
    expected, rows = similarity.sort(dim=1, descending=True)
    monkeypatch.setattr(knn, 'CHUNK_QUERIES', queries)
    monkeypatch.setattr(knn, 'CHUNK_BANK', bank)
    found, found_rows = nearest_neighbours(query, features, 9)
    assert torch.equal(found_rows, rows[:, :9])
    torch.testing.assert_close(found, expected[:, :9])
    target = torch.randint(4, (11,))
    labels = torch.randint(4, (53,))[rows]
    one_by_one = [
        knn_accuracy(s[None], row[None], t[None], (9,))[9].top1
        for s, row, t in zip(expected, labels, target, strict=True)
    ]
    together = knn_accuracy(expected, labels, target, (9,))[9].top1
    assert together == pytest.approx(np.mean(one_by_one))


def test_scale_and_float_type_of_features_do_not_count():
    query, bank = torch.randn(5, 8), torch.randn(20, 8)
    _, rows = nearest_neighbours(query, bank, 3)
    scaled = bank.double() * torch.arange(1, 21)[:, None]
    assert torch.equal(nearest_neighbours(7 * query, scaled, 3)[1], rows)


def test_k_beyond_the_bank_lets_all_of_it_vote():
    query, bank = torch.eye(3), torch.eye(3)[:2]
    similarity, rows = nearest_neighbours(query, bank, 20)
    assert similarity.shape == rows.shape == (3, 2)
    labels = torch.tensor([0, 1])[rows]
    results = knn_accuracy(similarity, labels, torch.tensor([0, 1, 0]), (2, 20))
    assert set(results) == {2, 20}
    assert results[20] == results[2]


def test_near_neighbours_outvote_many_far_ones():
    similarity = torch.tensor([[0.9, 0.5, 0.5, 0.5]])
    labels = torch.tensor([[1, 0, 0, 0]])
    shares = vote(similarity, labels, 3)
    expected = torch.tensor([3 * np.exp(0.5 / 0.07), np.exp(0.9 / 0.07), 0.0])
    torch.testing.assert_close(shares[0], (expected / expected.sum()).float())
    assert shares.argmax() == 1
    assert vote(similarity, labels, 3, temperature=10).argmax() == 0


def test_a_low_temperature_does_not_overflow():
    shares = vote(torch.tensor([[1.0, 0.9]]), torch.tensor([[0, 1]]), 2, 1e-4)
    torch.testing.assert_close(shares, torch.tensor([[1.0, 0.0]]))


def test_top5_counts_no_class_without_a_vote():
    similarity = torch.tensor([[0.9, 0.8]])
    labels = torch.tensor([[0, 1]])
    second = knn_accuracy(similarity, labels, torch.tensor([1]), (2,))[2]
    assert (second.top1, second.top5) == (0.0, 100.0)
    absent = knn_accuracy(similarity, labels, torch.tensor([2]), (2,))[2]
    assert absent.top5 == 0.0


@pytest.mark.parametrize(
    ('call', 'message'),
    [
        (lambda x: nearest_neighbours(x, x, 0), r'k \(0\)'),
        (lambda x: nearest_neighbours(x, x[:0], 1), r'0 rows'),
        (lambda x: nearest_neighbours(x, x[:, :1], 1), r'\(2, 3\) and \(2, 1\)'),
        (lambda x: vote(x, x.long(), 2, 0.0), 'positive, got 0.0'),
        (lambda x: knn_accuracy(x, x.long(), x[:0, 0].long()), '0 queries'),
        (lambda x: knn_accuracy(x, x.long(), x[:, 0].long(), (0,)), r'\(0,\)'),
        (lambda x: knn_accuracy(x, x.long() - 2, x[:, 0].long()), 'got -1'),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call(torch.ones(2, 3))


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
