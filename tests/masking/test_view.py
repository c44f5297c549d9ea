"""The score of a view: a crop, resize and flip of the map like that of the image."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mmattmask.masking import view_score

from ..golden import each

GRIDS = [(14, 14), (2, 5), (14, 9), (7, 3), (1, 1)]


def score_of(maps, boxes, sizes, flips=None, grid=(4, 4), **options) -> Tensor:
    """Call view_score on plain lists; without flips."""
    flips = [(False, False)] * len(maps) if flips is None else flips
    return view_score(
        maps,
        torch.tensor(boxes, dtype=torch.float64),
        torch.tensor(sizes),
        torch.tensor(flips),
        grid,
        **options,
    )


def sampled_slowly(attention_map, box, size, flip, grid, samples) -> Tensor:
    """The same by torch's own bilinear sampler, point by point, one view."""
    axes = []
    for axis in (0, 1):
        count = grid[axis] * samples
        points = (torch.arange(count, dtype=torch.float64) + 0.5) / count
        points = (box[axis] + points * box[axis + 2]) / size[axis]  # share of the image
        axes.append(points.flip(0) if flip[axis] else points)
    y, x = torch.meshgrid(*axes, indexing='ij')
    where = torch.stack([x, y], dim=-1)[None] * 2 - 1
    values = F.grid_sample(
        attention_map[None, None],
        where,
        mode='bilinear',
        padding_mode='border',
        align_corners=False,
    )
    return F.avg_pool2d(values, samples).flatten()


@st.composite
def views(draw):
    """A map grid, an image size, a box that may reach beyond it, flips, a view grid."""
    side = st.integers(1, 15)
    size = (draw(st.integers(8, 600)), draw(st.integers(8, 600)))
    box = [draw(st.integers(-size[axis] // 3, size[axis] - 1)) for axis in (0, 1)]
    box += [draw(st.integers(1, 4 * size[axis] // 3)) for axis in (0, 1)]
    flip = (draw(st.booleans()), draw(st.booleans()))
    grids = [(draw(side), draw(side)) for _ in range(2)]
    return grids[0], size, box, flip, grids[1], draw(st.integers(1, 17))


@given(views(), st.integers(0, 2**31))
def test_equals_bilinear_sampling_of_the_map(view, seed):
    map_grid, size, box, flip, grid, samples = view
    generator = torch.Generator().manual_seed(seed)
    maps = torch.rand(1, *map_grid, generator=generator, dtype=torch.float64)
    score = score_of(maps, [box], [size], [flip], grid, samples=samples)
    assert score.dtype == torch.float64
    expected = sampled_slowly(maps[0], box, size, flip, grid, samples)
    torch.testing.assert_close(score[0], expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize('grid', GRIDS)
@pytest.mark.parametrize('map_grid', GRIDS)
def test_constant_maps_stay_constant_and_ranges_are_kept(map_grid, grid):
    maps = torch.rand(3, *map_grid)
    maps[0] = 0.37
    boxes, sizes = [[3, -20, 50, 90], [0, 0, 97, 641], [10, 40, 1, 1]], [(97, 641)] * 3
    for mode in ('aligned', 'official'):
        score = score_of(maps, boxes, sizes, grid=grid, crop_mode=mode)
        assert score.shape == (3, grid[0] * grid[1])
        torch.testing.assert_close(score[0], torch.full_like(score[0], 0.37))
        assert (score.amin(1) >= maps.amin((1, 2)) - 1e-6).all()
        assert (score.amax(1) <= maps.amax((1, 2)) + 1e-6).all()


@pytest.mark.parametrize('mode', ['aligned', 'official'])
def test_a_batch_equals_its_views_one_by_one(mode):
    maps = torch.rand(5, 14, 9)
    sizes = [(97, 641), (300, 200), (32, 32), (224, 224), (50, 60)]
    boxes = [[1, 2, 90, 600], [50, 0, 250, 200], [4, 4, 8, 9], [0, 0, 224, 224]]
    boxes.append([-10, -10, 70, 80])
    flips = [(False, True), (True, False), (True, True), (False, False), (False, True)]
    together = score_of(maps, boxes, sizes, flips, (7, 3), crop_mode=mode)
    for k in range(5):
        alone = score_of(
            maps[k : k + 1], [boxes[k]], [sizes[k]], [flips[k]], (7, 3), crop_mode=mode
        )
        torch.testing.assert_close(together[k : k + 1], alone)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize('mode', ['aligned', 'official'])
def test_any_float_type(dtype, mode):
    maps = torch.rand(2, 14, 9).to(dtype)
    boxes, sizes = [[3, 5, 70, 80], [0, 0, 99, 120]], [(99, 120)] * 2
    score = score_of(maps, boxes, sizes, grid=(7, 3), crop_mode=mode)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    assert score.dtype == wide
    exact = score_of(maps.double(), boxes, sizes, grid=(7, 3), crop_mode=mode)
    torch.testing.assert_close(score.double(), exact, rtol=0, atol=1e-5)


@each('amt_weights', lambda case: case.config['layouts'], 'layout')
def test_crops_equal_the_golden_values(golden, layout):
    case = golden('amt_weights')
    size, patch_size = case.config['layouts'][layout]
    grid = (size // patch_size,) * 2
    maps = case['in/maps'][case['in/map_index']]
    flip = torch.stack([torch.zeros_like(case['in/flip']), case['in/flip']], dim=1)
    scores = {
        mode: patch_size**2
        * view_score(
            maps, case['in/boxes'], case['in/image_hw'], flip, grid, mode, patch_size
        )
        for mode in ('aligned', 'official')
    }
    case.assert_close(scores['official'], f'out/{layout}/official_buggy_sum')
    # A direct sampler differs from "resize, then crop" as roi_align does.
    aligned, golden_sum = scores['aligned'], case[f'ref/{layout}/aligned_sum']
    error = (aligned - golden_sum).abs().amax(1) / golden_sum.amax(1)
    assert error.max() <= 2e-2
    for row, expected in zip(aligned, golden_sum, strict=True):
        assert torch.corrcoef(torch.stack([row, expected]))[0, 1] >= 0.999


def test_the_released_crop_ignores_the_box():
    maps = torch.rand(1, 14, 14)
    scores = [
        score_of(maps, [box], [(100, 100)], crop_mode='official')
        for box in ([0, 0, 50, 50], [30, 20, 60, 70])
    ]
    assert torch.equal(scores[0], scores[1])
    corner = score_of(maps[:, :2, :2], [[0, 0, 1, 1]], [(1, 1)])
    torch.testing.assert_close(scores[0], corner)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(maps=torch.zeros(2, 3, 14, 14)), r'\(B, h, w\), got \(2, 3, 14, 14\)'),
        (dict(boxes=torch.zeros(2, 3)), r'crop_box must be \(2, 4\), got \(2, 3\)'),
        (dict(sizes=torch.ones(1, 2)), r'image_size must be \(2, 2\), got \(1, 2\)'),
        (dict(flip=torch.zeros(2)), r'flip must be \(2, 2\), got \(2,\)'),
        (dict(mode='center'), r"crop_mode must be one of .*, got 'center'"),
    ],
)
def test_wrong_input_is_refused(change, message):
    arguments = dict(
        maps=torch.zeros(2, 14, 14),
        boxes=torch.zeros(2, 4),
        sizes=torch.ones(2, 2),
        flip=torch.zeros(2, 2, dtype=torch.bool),
        grid=(4, 4),
        mode='aligned',
    )
    with pytest.raises(ValueError, match=message):
        view_score(*{**arguments, **change}.values())


@pytest.mark.parametrize('value', [0.0, 1 / 196, 0.3, 1e30])
def test_a_constant_map_stays_exactly_constant(value):
    """Or policies that rank would take rounding for attention."""
    maps = torch.full((32, 14, 10), value)
    corner = torch.rand(32, 2) * 100
    box = torch.cat([corner, 50 + torch.rand(32, 2) * 150], dim=1)
    size = torch.tensor([300.0, 400.0]).expand(32, -1)
    flip = torch.rand(32, 2) > 0.5
    score = view_score(maps, box, size, flip, (8, 6))
    assert (score == score[:, :1]).all()
