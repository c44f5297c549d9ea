"""CLS attention without the attention matrix, and heads to one score."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmattmask.masking import cls_attention, min_max, reduce_heads
from mmattmask.masking.attention import low_precision
from tests.fake_cuda import fake_cuda


@given(
    batch=st.integers(1, 3),
    heads=st.integers(1, 4),
    patches=st.integers(1, 20),
    dims=st.integers(1, 16),
    prefix=st.integers(1, 4),
    seed=st.integers(0, 2**31),
)
def test_equals_the_first_row_of_the_attention_matrix(
    batch, heads, patches, dims, prefix, seed
):
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, heads, prefix + patches, dims)
    query, key = torch.randn(
        2, *shape, generator=generator, dtype=torch.float64
    ).unbind()
    matrix = (query @ key.transpose(-2, -1) / dims**0.5).softmax(-1)
    expected = matrix[:, :, 0, prefix:]
    for cls_query in (query, query[:, :, :1]):
        attention = cls_attention(cls_query, key, prefix)
        assert attention.dtype == torch.float64
        torch.testing.assert_close(attention, expected)
    torch.testing.assert_close(
        cls_attention(query, key, prefix, scale=0.3),
        (query @ key.transpose(-2, -1) * 0.3).softmax(-1)[:, :, 0, prefix:],
    )
    # the prefix columns take part in the softmax and are dropped after it
    assert (attention.sum(-1) < 1).all()


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_narrow_inputs_are_computed_in_float32(dtype):
    query, key = (10 * torch.randn(2, 2, 3, 17, 8)).to(dtype).unbind()
    attention = cls_attention(query, key)
    assert attention.dtype == torch.float32
    exact = cls_attention(query.double(), key.double())
    torch.testing.assert_close(attention.double(), exact, rtol=1e-4, atol=1e-6)


def test_attention_survives_logits_beyond_float16():
    query = torch.full((1, 1, 3, 4), 300.0, dtype=torch.float16)
    key = query.clone()
    key[:, :, 2] = 0
    attention = cls_attention(query, key)  # logits of 180000 and 0
    torch.testing.assert_close(attention, torch.tensor([[[0.5, 0.0]]]))


@pytest.mark.parametrize(
    ('query', 'key', 'prefix', 'message'),
    [
        ((2, 3, 5, 4), (2, 2, 5, 4), 1, r'\(2, 3, 5, 4\) and \(2, 2, 5, 4\)'),
        ((3, 5, 4), (2, 3, 5, 4), 1, r'\(B, H, N, D\)'),
        ((2, 3, 5, 4), (2, 3, 5, 4), 5, r'\(5\).*number of tokens \(5\)'),
        ((2, 3, 5, 4), (2, 3, 5, 4), 0, r'\(0\) must be at least 1 \(the CLS token\)'),
    ],
)
def test_shapes_that_do_not_fit_are_refused(query, key, prefix, message):
    with pytest.raises(ValueError, match=message):
        cls_attention(torch.zeros(query), torch.zeros(key), prefix)


@pytest.mark.parametrize('dtype', [torch.float16, torch.float32, torch.float64])
@given(seed=st.integers(0, 2**31), length=st.integers(2, 30))
def test_min_max_fills_the_unit_interval(dtype, seed, length):
    generator = torch.Generator().manual_seed(seed)
    x = (torch.randn(3, length, generator=generator) * 5).to(dtype)
    x[2] = x[2, 0]  # a constant row
    y = min_max(x)
    assert y.dtype == dtype
    for row, scaled in zip(x[:2].double(), y[:2].double(), strict=True):
        if row.max() == row.min():
            continue
        assert (scaled.min(), scaled.max()) == (0, 1)
        expected = (row - row.min()) / (row.max() - row.min())
        eps = torch.finfo(dtype).eps
        torch.testing.assert_close(scaled, expected, rtol=0, atol=4 * eps)
    assert (y[2] == 0).all()


def test_min_max_of_zeros_and_nearly_equal_values_is_finite():
    x = torch.zeros(2, 4)
    x[1, 0] = torch.finfo(torch.float32).smallest_normal
    assert min_max(x).isfinite().all()
    assert min_max(x)[1].tolist() == [1, 0, 0, 0]


def test_the_three_ways_to_reduce_heads():
    attention = torch.tensor([[[0.1, 0.2, 0.3], [0.3, 0.1, 0.1]]])
    expected = {
        'mean': [0.2, 0.15, 0.2],
        'mean_minmax': [1.0, 0.0, 1.0],
        'minmax_mean': [0.5, 0.25, 0.5],
    }
    for mode, row in expected.items():
        torch.testing.assert_close(reduce_heads(attention, mode), torch.tensor([row]))
    torch.testing.assert_close(
        reduce_heads(attention), reduce_heads(attention, 'mean_minmax')
    )


def test_images_of_a_batch_are_reduced_one_by_one():
    attention = torch.rand(4, 3, 10) * torch.tensor([1, 5, 25, 125.0])[:, None, None]
    for mode in ('mean', 'mean_minmax', 'minmax_mean'):
        together = reduce_heads(attention, mode)
        alone = torch.cat([reduce_heads(row[None], mode) for row in attention])
        torch.testing.assert_close(together, alone, rtol=0, atol=0)


def test_constant_head_counts_as_zero_not_nan():
    attention = torch.full((1, 2, 4), 0.25)
    attention[0, 1] = torch.tensor([0.1, 0.2, 0.3, 0.4])
    score = reduce_heads(attention, 'minmax_mean')
    torch.testing.assert_close(score, torch.tensor([[0, 1 / 6, 1 / 3, 0.5]]))
    assert (reduce_heads(torch.full((1, 2, 4), 0.25), 'mean_minmax') == 0).all()


def test_narrow_attention_is_averaged_in_float32():
    attention = torch.rand(2, 12, 30).to(torch.bfloat16)
    score = reduce_heads(attention, 'mean')
    assert score.dtype == torch.float32
    torch.testing.assert_close(score, attention.float().mean(1))


def test_unknown_mode_and_wrong_shape_are_refused():
    with pytest.raises(ValueError, match=r"'mean_minmax'.*got 'max'"):
        reduce_heads(torch.rand(1, 2, 3), 'max')
    with pytest.raises(ValueError, match=r'\(B, H, L\), got \(2, 3\)'):
        reduce_heads(torch.rand(2, 3))


@pytest.mark.parametrize(
    ('capability', 'autocast', 'expected'),
    [((8, 0), False, True), ((7, 5), False, False), ((9, 0), True, False)],
)
def test_scores_are_in_bfloat16_on_new_gpus(
    monkeypatch, capability, autocast, expected
):
    with fake_cuda():
        x = torch.zeros(1, device='cuda')
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'is_bf16_supported', lambda: True)
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda device: capability)
    monkeypatch.setattr(torch, 'is_autocast_enabled', lambda kind: autocast)
    context = low_precision(x)
    assert isinstance(context, torch.autocast) == expected
    if expected:
        assert (context.device, context.fast_dtype) == ('cuda', torch.bfloat16)
    assert not isinstance(low_precision(torch.zeros(1)), torch.autocast)
