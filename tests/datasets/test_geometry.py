"""Crops of crops, resizes and flips in any order: where is the view?"""

import mmcv
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmattmask.geometry import flip_axes, record_crop


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


@pytest.mark.parametrize(
    ('size', 'box', 'ori_shape', 'expected'),
    [
        ((30, 40), (3, 4, 10, 12), None, (3, 4, 10, 12)),  # the size is the source's
        ((50, 100), (10, 20, 25, 50), (100, 200), (20, 40, 50, 100)),  # at half size
        ((50, 50), (0, 0, 50, 50), (100, 200, 3), (0, 0, 100, 200)),  # with channels
    ],
)
def test_boxes_are_in_pixels_of_the_source(size, box, ori_shape, expected):
    results = {} if ori_shape is None else {'ori_shape': ori_shape}
    record_crop(results, box, size)
    assert results['ori_shape'] == (ori_shape or size)
    assert results['crop_box'] == expected


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
