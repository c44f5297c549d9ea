"""CachedAttention: from sample ids and geometry to the views' score."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.registry import MODEL_WRAPPERS
from torch import nn

from mmattmask.masking import view_score
from mmattmask.scorers import CachedAttention
from tests.host_matrix import policy
from tests.tiny_hosts import HOSTS

from .banks import write_bank

ROWS, GRID = 5, (6, 4)


def sample(sample_idx=0, **changes):
    meta = dict(
        sample_idx=sample_idx,
        crop_box=(10.0, 20.0, 60.0, 50.0),
        ori_shape=(120, 100),
        flip=False,
        flip_direction=None,
    )
    meta = {k: v for k, v in {**meta, **changes}.items() if v != 'absent'}
    return SimpleNamespace(**meta)


@pytest.fixture
def maps():
    return np.random.default_rng(0).random((ROWS, *GRID), dtype=np.float32)


@pytest.fixture
def bank(tmp_path, maps):
    return write_bank(tmp_path / 'bank', maps)


def score_of(scorer, samples, grid=(3, 5), patch_size=8):
    return scorer(torch.zeros(len(samples), 3, 1, 1), samples, grid, patch_size)


def test_no_bank_means_no_score():
    assert score_of(CachedAttention(), [sample()]) is None
    assert score_of(CachedAttention(), [object()]) is None


@pytest.mark.parametrize('crop_mode', ['aligned', 'official'])
def test_score_is_the_view_of_each_samples_map(bank, maps, crop_mode):
    scorer = CachedAttention(crop_mode=crop_mode)
    scorer.bank = bank
    flips = {
        None: (False, False),
        'vertical': (True, False),
        'horizontal': (False, True),
        'diagonal': (True, True),
    }
    samples = [
        sample(i, crop_box=(i, 2 * i, 100 - i, 30 + i), flip=bool(d), flip_direction=d)
        for i, d in zip((3, 0, 3, 4), flips, strict=True)
    ]
    score = score_of(scorer, samples)
    assert score.shape == (4, 15)
    assert score.dtype == torch.float32
    for k, view in enumerate(samples):
        expected = view_score(
            torch.from_numpy(maps[view.sample_idx][None]),
            torch.tensor([view.crop_box]),
            torch.tensor([view.ori_shape]),
            torch.tensor([flips[view.flip_direction]]),
            (3, 5),
            crop_mode,
            samples=8,
        )
        torch.testing.assert_close(score[k], expected[0], rtol=0, atol=1e-3)


def test_a_direction_counts_only_when_the_view_was_flipped(bank):
    scorer = CachedAttention()
    scorer.bank = bank
    plain = score_of(scorer, [sample()])
    named = score_of(scorer, [sample(flip=False, flip_direction='horizontal')])
    without = score_of(scorer, [sample(flip='absent', flip_direction='absent')])
    flipped = score_of(scorer, [sample(flip=True, flip_direction='horizontal')])
    assert torch.equal(plain, named)
    assert torch.equal(plain, without)
    assert not torch.equal(plain, flipped)


def test_the_image_shape_may_have_channels(bank):
    scorer = CachedAttention()
    scorer.bank = bank
    plain = score_of(scorer, [sample()])
    assert torch.equal(score_of(scorer, [sample(ori_shape=(120, 100, 3))]), plain)


@pytest.mark.parametrize('missing', ['sample_idx', 'crop_box', 'ori_shape'])
def test_a_view_without_its_geometry_is_refused_with_the_remedy(bank, missing):
    scorer = CachedAttention()
    scorer.bank = bank
    message = (
        rf"{missing}.*AttentionRefreshHook.*end it with type='mmattmask\.PackInputs'"
    )
    with pytest.raises(ValueError, match=message):
        score_of(scorer, [sample(), sample(**{missing: 'absent'})])


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(storage='float32'), r"storage must be one of .*got 'float32'"),
        (dict(reduce_heads='max'), r"reduce_heads must be one of .*got 'max'"),
        (dict(debias='place'), r"debias must be one of \(None, 'position'\)"),
        (dict(crop_mode='corner'), r"crop_mode must be one of .*got 'corner'"),
        (dict(storage='uint8', reduce_heads='mean'), r"uint8.*reduce_heads='mean'"),
    ],
)
def test_unknown_or_contradictory_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        CachedAttention(**options)


def test_debias_takes_the_mean_of_the_bank_off_before_the_crop(bank, maps):
    scorer = CachedAttention(debias='position')
    scorer.bank = bank
    samples = [sample(index) for index in range(ROWS)]
    stored = torch.from_numpy(bank.maps(np.arange(ROWS)))
    logs = torch.log(stored / stored.mean(dim=(1, 2), keepdim=True) + 1e-3)
    expected = view_score(
        torch.exp(logs - logs.mean(dim=0)),
        torch.tensor([[10.0, 20.0, 60.0, 50.0]]).expand(ROWS, -1),
        torch.tensor([[120, 100]]).expand(ROWS, -1),
        torch.zeros(ROWS, 2, dtype=torch.bool),
        (3, 5),
        samples=8,
    )
    torch.testing.assert_close(score_of(scorer, samples), expected)
    # one view of one image needs no others: the mean is the bank's
    torch.testing.assert_close(score_of(scorer, samples[2:3]), expected[2:3])


@pytest.fixture
def wrapper():
    """A wrapper that, as those that shard, must see a pass end."""

    @MODEL_WRAPPERS.register_module()
    class Sharding(nn.Module):
        ended = 0

        def __init__(self, module):
            super().__init__()
            self.module = module

        def forward(self, *args, **kwargs):
            output = self.module(*args, **kwargs)
            self.ended += 1
            return output

    yield Sharding
    MODEL_WRAPPERS.module_dict.pop('Sharding')


@torch.no_grad()
def test_a_pass_goes_on_only_where_a_wrapper_shards(wrapper):
    model = HOSTS['MAE'].build(policy('AMT'), dict(type='mmattmask.CachedAttention'))
    model.eval()
    images = torch.randn(2, 3, *model.backbone.img_size)
    scorer, ended = model.guidance.scorer, []
    model.backbone.ln1.register_forward_hook(lambda *args: ended.append(args))
    stopped = scorer.measure(model, images)
    assert ended == []
    sharding = wrapper(model)
    torch.testing.assert_close(scorer.measure(sharding, images), stopped)
    assert sharding.ended == len(ended) == 1
