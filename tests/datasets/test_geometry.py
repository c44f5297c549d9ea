"""Crops of crops, resizes and flips in any order: where is the view?"""

import mmcv
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmattmask.geometry import flip_axes, record_crop
from mmattmask.masking import view_score


def crop(results, box) -> None:
    """Crop the current image and record it."""
    height, width = results['img'].shape[:2]
    top, left, h, w = box
    results['img'] = results['img'][top : top + h, left : left + w]
    record_crop(results, box, (height, width))


def resize(results, size) -> None:
    results['img'] = mmcv.imresize(results['img'], size[::-1])


def flip(results, direction) -> None:
    results['img'] = mmcv.imflip(results['img'], direction)
    results.update(flip=True, flip_direction=direction)


@st.composite
def boxes(draw, size):
    lengths = [draw(st.integers(max(1, side // 3), side)) for side in size]
    starts = [
        draw(st.integers(0, side - n)) for side, n in zip(size, lengths, strict=True)
    ]
    return (*starts, *lengths)


@given(data=st.data())
def test_any_sequence_of_crops_resizes_and_one_flip(
    coordinate_image, expected_coordinates, data
):
    size = data.draw(st.tuples(st.integers(30, 120), st.integers(30, 120)))
    results = {'img': coordinate_image(*size), 'ori_shape': size}
    flip_at = data.draw(st.integers(0, 4))
    limits = [0.01, 0.01]
    for step in range(4):
        if step == flip_at:
            directions = st.sampled_from(['horizontal', 'vertical', 'diagonal'])
            flip(results, data.draw(directions))
        current = results['img'].shape[:2]
        if step in (0, 2):
            crop(results, data.draw(boxes(current)))
        else:
            # an enlarged border is flat for up to half a pixel of the image enlarged
            for axis, side in enumerate(results.get('crop_box', (0, 0, *size))[2:]):
                limits[axis] += 0.5 * side / current[axis]
            sides = st.integers(20, 150)
            resize(results, data.draw(st.tuples(sides, sides)))
    rows, columns = expected_coordinates(results)
    row_error = np.abs(results['img'][:, :, 0] - rows[:, None])
    column_error = np.abs(results['img'][:, :, 1] - columns[None])
    for error, limit in zip((row_error, column_error), limits, strict=True):
        assert np.median(error) < 0.01
        assert error.max() < limit


@given(data=st.data())
def test_a_crop_of_a_crop_is_the_combined_crop(data):
    size = (97, 141)
    first = data.draw(boxes(size))
    second = data.draw(boxes(first[2:]))
    results = {'ori_shape': size}
    record_crop(results, first, size)
    record_crop(results, second, first[2:])
    combined = (first[0] + second[0], first[1] + second[1], *second[2:])
    np.testing.assert_allclose(results['crop_box'], combined)


@given(data=st.data())
def test_a_crop_of_a_flipped_image_lies_mirrored(data):
    size = (97, 141)
    box = data.draw(boxes(size))
    results = {'ori_shape': size, 'flip': True, 'flip_direction': 'horizontal'}
    record_crop(results, box, size)
    mirrored = (box[0], 141 - box[1] - box[3], *box[2:])
    np.testing.assert_allclose(results['crop_box'], mirrored)


@given(data=st.data())
def test_scores_of_composed_crops_equal_scores_cropped_twice(data):
    """A crop of a crop sees what a map of the first crop would show it."""
    rows, columns = torch.meshgrid(
        torch.arange(14.0), torch.arange(14.0), indexing='ij'
    )
    ramp = (rows + 3 * columns)[None].double()
    size = (140, 140)
    first = data.draw(boxes((100, 100)))
    first = (first[0] + 20, first[1] + 20, *first[2:])  # away from the flat border
    second = data.draw(boxes(first[2:]))
    results = {'ori_shape': size}
    record_crop(results, first, size)
    record_crop(results, second, first[2:])

    def score(attention_map, box, image_size, grid):
        return view_score(
            attention_map,
            torch.tensor([box], dtype=torch.float64),
            torch.tensor([image_size]),
            torch.zeros(1, 2, dtype=torch.bool),
            grid,
        )

    once = score(ramp, results['crop_box'], size, (2, 2))
    middle = score(ramp, first, size, first[2:]).unflatten(1, first[2:])
    twice = score(middle, second, first[2:], (2, 2))
    # the middle map is flat for half of its cells, which are pixels here
    torch.testing.assert_close(once, twice, rtol=0, atol=0.1)


def test_the_size_before_the_first_crop_is_the_source_size():
    results = {}
    record_crop(results, (3, 4, 10, 12), (30, 40))
    assert results['ori_shape'] == (30, 40)
    assert results['crop_box'] == (3, 4, 10, 12)


def test_boxes_are_in_source_pixels_after_a_resize():
    results = {'ori_shape': (100, 200)}
    record_crop(results, (10, 20, 25, 50), (50, 100))  # of the image at half size
    assert results['crop_box'] == (20, 40, 50, 100)


def test_an_image_shape_with_channels_is_taken_too():
    results = {'ori_shape': (100, 200, 3)}
    record_crop(results, (0, 0, 50, 50), (50, 50))
    assert results['crop_box'] == (0, 0, 100, 200)


@pytest.mark.parametrize(
    ('flip', 'direction', 'axes'),
    [
        (False, None, (False, False)),
        (False, 'horizontal', (False, False)),
        (True, 'horizontal', (False, True)),
        (True, 'vertical', (True, False)),
        (True, 'diagonal', (True, True)),
    ],
)
def test_flip_axes(flip, direction, axes):
    assert flip_axes(flip, direction) == axes
