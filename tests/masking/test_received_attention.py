"""Received attention: every reading against an explicit matrix and the golden maps."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmattmask.masking import min_max, received_attention

from ..golden import each

OTHERS_ONLY = dict(include_prefix=False, include_self=False)


@given(
    tokens=st.integers(3, 9),
    prefix=st.integers(0, 2),
    direction=st.sampled_from(['received', 'given']),
    stage=st.sampled_from(['logits', 'probs']),
    include_prefix=st.booleans(),
    include_self=st.booleans(),
)
def test_equals_sums_over_the_attention_matrix(
    tokens, prefix, direction, stage, include_prefix, include_self
):
    query, key = torch.randn(2, 2, 3, tokens, 4, dtype=torch.float64)
    matrix = query @ key.transpose(-2, -1) / 2
    if stage == 'probs':
        matrix = matrix.softmax(dim=-1)
    expected = torch.zeros(2, 3, tokens - prefix, dtype=torch.float64)
    for patch in range(prefix, tokens):
        for other in range(0 if include_prefix else prefix, tokens):
            if other != patch or include_self:
                pair = (other, patch) if direction == 'received' else (patch, other)
                expected[..., patch - prefix] += matrix[(..., *pair)]
    actual = received_attention(
        query,
        key,
        prefix,
        direction=direction,
        stage=stage,
        include_prefix=include_prefix,
        include_self=include_self,
    )
    torch.testing.assert_close(actual, expected)


def blocks_of(case):
    blocks = sorted({block for block, _ in case.config['pairs']})
    return [f'b{block}' for block in blocks if f'out/b{block}/q' in case]


@each('gpa_map', blocks_of, 'block')
def test_golden_maps(golden, block):
    case = golden('gpa_map')
    query, key = case[f'out/{block}/q'], case[f'out/{block}/k']
    received = received_attention(query, key)
    case.assert_close(received, f'out/{block}/received_sum')
    for number, head in case.config['pairs']:
        name = f'out/{block}h{head}/map'
        if f'b{number}' == block and name in case:
            case.assert_close(min_max(received[:, head]), name)
    readings = {
        'received_logits': {},
        'given_logits': dict(direction='given'),
        'received_probs': dict(stage='probs'),
        'given_probs': dict(direction='given', stage='probs'),
    }
    for name, options in readings.items():
        actual = received_attention(
            query.double(), key.double(), **OTHERS_ONLY, **options
        )
        torch.testing.assert_close(
            actual, case[f'ref/{block}/{name}'], rtol=1e-6, atol=1e-6
        )
    total = min_max(received_attention(query.double(), key.double()).sum(dim=1))
    torch.testing.assert_close(
        total, case[f'ref/{block}/all_heads_minmax'], rtol=1e-6, atol=1e-6
    )


def test_key_bias_moves_all_patches_alike():
    query, key = torch.randn(2, 1, 2, 6, 4, dtype=torch.float64)
    shift = received_attention(query, key + 1.5) - received_attention(query, key)
    torch.testing.assert_close(shift, shift[..., :1].expand_as(shift))


def test_narrow_floats_are_summed_in_float32():
    query = torch.full((1, 1, 5, 4), 100.0, dtype=torch.float16)
    received = received_attention(query, query)  # 5 * 4 * 100 * 100 / 2 > 65504
    assert received.dtype == torch.float32
    assert torch.equal(received, torch.full((1, 1, 4), 1e5))


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(num_prefix_tokens=5), r'num_prefix_tokens \(5\)'),
        (dict(direction='both'), "'both'"),
        (dict(stage='softmax'), "'softmax'"),
        (dict(key=torch.zeros(1, 1, 4, 4)), r'\(1, 1, 4, 4\)'),
    ],
)
def test_bad_input(changes, message):
    arguments = dict(query=torch.zeros(1, 1, 5, 4), key=torch.zeros(1, 1, 5, 4))
    with pytest.raises(ValueError, match=message):
        received_attention(**{**arguments, **changes})
