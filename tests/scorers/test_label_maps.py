"""LabelMaps: each patch has the label of most of its area, and no average of labels."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmattmask.masking import view_labels, view_score
from mmattmask.scorers import LabelMaps, ShuffledMaps

from .test_user_maps import KINDS, score_of, view, write


def as_labels(scorer):
    return LabelMaps(scorer.files.path)


def labels_of(label_map, box=None, flip=(False, False), grid=(4, 4), samples=8):
    label_map = torch.as_tensor(label_map)[None]
    size = torch.tensor([label_map.shape[1:]])
    box = torch.tensor([box or (0, 0, *label_map.shape[1:])])
    flips = torch.tensor([flip])
    return view_labels(label_map, box, size, flips, grid, samples)[0].view(grid)


@pytest.mark.parametrize(
    'flip', [(False, False), (True, False), (False, True), (True, True)]
)
def test_flips_flip_the_view(flip):
    labels = torch.randint(9, (4, 6))
    axes = [axis for axis, flipped in enumerate(flip) if flipped]
    assert torch.equal(labels_of(labels, flip=flip, grid=(4, 6)), labels.flip(axes))


def test_a_crop_is_the_part_of_the_map():
    labels = torch.randint(9, (8, 12))
    found = labels_of(labels, box=(2.0, 3.0, 4.0, 6.0), grid=(4, 6))
    assert torch.equal(found, labels[2:6, 3:9])


def test_a_patch_has_the_label_of_most_of_its_area():
    labels = torch.zeros(16, 16, dtype=torch.int64)
    labels[:4, :4] = 5
    labels[0, :3] = 2  # 3 of 16 cells of the first patch
    assert labels_of(labels)[0, 0] == 5
    labels[:3, :3] = 7
    assert labels_of(labels)[0, 0] == 7


@given(st.integers(0, 99), st.integers(1, 9), st.integers(1, 9))
def test_the_label_is_where_its_share_is_largest(seed, height, width):
    """As many one-hot maps, averaged over each patch, say the same."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(4, (height, width), generator=generator)
    box = (0.3, 0.1, height * 0.6, width * 0.7)
    found = labels_of(labels, box=box, grid=(3, 4), samples=16)
    fine = labels.repeat_interleave(48, 0).repeat_interleave(48, 1)  # no blur
    shares = torch.stack(
        [
            view_score(
                (fine == part).float()[None],
                torch.tensor([box]),
                torch.tensor([(height, width)]),
                torch.tensor([(False, False)]),
                (3, 4),
            )[0]
            for part in range(4)
        ]
    )
    of_found = shares.gather(0, found.view(1, -1))[0]
    assert (of_found >= shares.amax(0) - 0.12).all()


@pytest.mark.parametrize('dtype', [np.uint8, np.int32, np.int64, np.uint16, bool])
@pytest.mark.parametrize('kind', KINDS)
def test_every_kind_and_type_gives_the_view_of_each_samples_map(tmp_path, kind, dtype):
    rng = np.random.default_rng(0)
    maps = {name: rng.integers(0, 2, (6, 4)).astype(dtype) for name in 'abc'}
    scorer = as_labels(write(tmp_path, kind, maps))
    views = [view('c', 2, 'vertical'), view('a', 0), view('b', 1, 'horizontal')]
    score = score_of(scorer, views)
    assert (score.shape, score.dtype) == ((3, 15), torch.int64)
    for row, sample in zip(score, views, strict=True):
        expected = view_labels(
            torch.from_numpy(maps['abc'[sample.sample_idx]].astype(np.int64))[None],
            torch.tensor([sample.crop_box]),
            torch.tensor([sample.ori_shape]),
            torch.tensor(
                [[sample.flip_direction == d for d in ('vertical', 'horizontal')]]
            ),
            (3, 5),
        )[0]
        assert torch.equal(row, expected)


def test_large_labels_are_kept_exactly(tmp_path):
    labels = np.array([[2**40, 2**40 + 1], [7, 2**24 + 1]])
    scorer = as_labels(write(tmp_path, 'folder', dict(a=labels)))
    score = score_of(scorer, [view(box=(0, 0, 120, 100))], grid=(2, 2))
    assert score.view(2, 2).tolist() == labels.tolist()


def test_labels_may_be_shuffled_between_images(tmp_path):
    maps = {name: np.array([[i, 9]]) for i, name in enumerate('abc')}
    scorer = ShuffledMaps(as_labels(write(tmp_path, 'folder', maps)))
    assert scorer.gives_labels
    own = score_of(scorer.scorer, [view(n, box=(0, 0, 120, 50)) for n in 'abc'])
    other = score_of(scorer, [view(n, box=(0, 0, 120, 50)) for n in 'abc'])
    assert (own != other).all()


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        (np.zeros((3, 3), int), 'a.npy has labels from 0 to 0.*two or more'),
        (np.full((3, 3), 4), 'from 4 to 4'),
        (np.array([[1, -1]]), 'from -1 to 1: they are at least 0'),
        (np.array([[0.5, 1.0]]), 'holds float64 numbers: labels are integers'),
    ],
)
def test_what_are_no_labels(tmp_path, values, message):
    scorer = as_labels(write(tmp_path, 'folder', dict(a=values)))
    with pytest.raises(ValueError, match=message):
        score_of(scorer, [view()])


def test_averages_are_refused():
    with pytest.raises(ValueError, match=r'integers, got \(1, 2, 2\) torch\.float32'):
        labels_of(torch.rand(2, 2))


def test_nothing_reads_a_value_of_the_device():
    labels = torch.zeros(2, 5, 7, dtype=torch.int64, device='meta')
    places = torch.zeros(2, 4, device='meta')
    found = view_labels(labels, places, places[:, :2], places[:, :2].bool(), (3, 4))
    assert (found.shape, found.device.type) == ((2, 12), 'meta')
