"""The linear probe of a comparison: exact where it can be, blind to the test images."""

import pytest
import torch

from mmattmask.comparison.evaluate import Evaluation, linear_accuracy


def clusters(num, seed, width=8, spread=0.3):
    """Features around two centres that lie far apart."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.arange(num) % 2
    centres = torch.stack([torch.zeros(width), torch.full((width,), 40.0)])
    noise = spread * torch.randn(num, width, generator=rng)
    return centres[labels] + noise, labels


def test_separable_features_are_separated(tmp_path):
    state = tmp_path / 'state.pth'
    assert linear_accuracy(clusters(200, 0), clusters(100, 1), 5, state, 'cpu') == 100


def test_labels_that_mean_nothing_give_chance(tmp_path):
    rng = torch.Generator().manual_seed(0)
    train = torch.randn(400, 8, generator=rng), torch.arange(400) % 2
    test = torch.randn(400, 8, generator=rng), torch.arange(400) % 2
    found = linear_accuracy(train, test, 3, tmp_path / 'state.pth', 'cpu')
    assert 40 < found < 60


def test_test_images_choose_nothing(tmp_path):
    """Another test set, even of wrong labels, leaves the classifiers as they are."""
    train, (query, target) = clusters(200, 0), clusters(100, 1)
    args = 3, tmp_path / 'a.pth', 'cpu'
    right = linear_accuracy(train, (query, target), *args)
    wrong = linear_accuracy(train, (query, 1 - target), 3, tmp_path / 'b.pth', 'cpu')
    assert right + wrong == 100.0
    states = [torch.load(tmp_path / f'{n}.pth', weights_only=True) for n in 'ab']
    assert torch.equal(states[0]['sweep']['weight'], states[1]['sweep']['weight'])


def test_scale_of_features_does_not_matter(tmp_path):
    (features, labels), (query, target) = clusters(200, 0, spread=30), clusters(100, 1)
    found = set()
    for scale in (1.0, 1024.0):
        pairs = (features * scale, labels), (query * scale, target)
        found.add(linear_accuracy(*pairs, 3, tmp_path / f'{scale}.pth', 'cpu'))
    assert len(found) == 1


def test_options_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r'k \(-1\)'):
        Evaluation({}, {}, k=-1)
