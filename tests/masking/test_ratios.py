"""Ratios that are drawn: in their range, with the stated law."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmattmask.masking import as_range, draw_ratios

CPU = torch.device('cpu')


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=4),
    st.integers(0, 2**31),
)
def test_drawn_ratios_lie_in_one_of_the_ranges(ends, seed):
    ranges = [as_range(sorted(each), 'ratio') for each in ends]
    generator = torch.Generator().manual_seed(seed)
    ratios = draw_ratios(ranges, (50, 1), CPU, generator)
    assert ratios.shape == (50, 1)
    inside = [(low <= ratios) & (ratios <= high) for low, high in ranges]
    assert torch.stack(inside).any(0).all()


def test_ranges_are_equally_likely_and_uniform_inside():
    draws = 20000
    ratios = draw_ratios([(0.0, 0.0), (0.1, 0.5), (0.6, 0.7)], (draws,), CPU)
    for member in (ratios == 0, (ratios >= 0.1) & (ratios <= 0.5), ratios >= 0.6):
        assert abs(member.double().mean() - 1 / 3) < 5 * (2 / 9 / draws) ** 0.5
    middle = ratios[(ratios >= 0.1) & (ratios <= 0.5)]
    counts = middle.histc(8, 0.1, 0.5)
    expected = len(middle) / 8
    assert ((counts - expected).abs() < 5 * expected**0.5).all()


def test_a_number_is_drawn_exactly():
    ranges = [as_range(0.29, 'ratio')]
    ratios = draw_ratios(ranges, (100,), CPU)
    # float32 would round 100 * 0.29 up to 29
    assert set((100 * ratios).long().tolist()) == {int(100 * 0.29)} == {28}


@pytest.mark.parametrize(
    ('ratio', 'message'),
    [
        (1.5, r'share must be a ratio .* got 1\.5'),
        (-0.1, r'got -0\.1'),
        ((0.5, 0.1), r'got \(0\.5, 0\.1\)'),
        ((0.1, 0.2, 0.3), r'got \(0\.1, 0\.2, 0\.3\)'),
        ([0.5, 1.2], r'got \[0\.5, 1\.2\]'),
    ],
)
def test_what_is_no_range_is_refused(ratio, message):
    with pytest.raises(ValueError, match=message):
        as_range(ratio, 'share')
