"""Images as the stock preprocessors make them; samples stay as the loader gave them."""

import copy

import pytest
import torch
from mmengine.registry import MODELS
from mmpretrain.models import SelfSupDataPreprocessor

from mmattmask.models import AsyncDataPreprocessor, GuidedDataPreprocessor
from tests.tiny_hosts import HOSTS, ONE_NORM, TWO_NORM

POLICY = dict(type='mmattmask.RandomMaskGenerator', mask_ratio=0.5)


@pytest.mark.parametrize('to_rgb', [True, False])
@pytest.mark.parametrize(
    ('stock', 'own', 'host'),
    [
        (ONE_NORM, dict(type='mmattmask.AsyncDataPreprocessor'), 'MAE'),
        (ONE_NORM, dict(type='mmattmask.AsyncDataPreprocessor'), 'iBOT'),
        (
            TWO_NORM,
            dict(
                type='mmattmask.GuidedTwoNormDataPreprocessor',
                mask_generator=POLICY,
                mask_patch_size=8,
            ),
            'BEiT',
        ),
    ],
)
def test_images_are_those_of_the_stock_preprocessor(stock, own, host, to_rgb):
    stock = {**stock, 'mean': [100.0, 120.0, 140.0], 'to_rgb': to_rgb}
    batch = HOSTS[host].batch()
    expected = MODELS.build(stock)(copy.deepcopy(batch), True)['inputs']
    inputs = MODELS.build(stock | own)(batch, True)['inputs']
    for image, other in zip(inputs, expected, strict=True):
        assert torch.equal(image, other)


def test_guided_hosts_take_the_one_that_waits_for_nothing():
    for name in ('MAE', 'MILAN', 'SimMIM (ViT)', 'iBOT'):
        model = HOSTS[name].build(POLICY)
        assert type(model.data_preprocessor) is AsyncDataPreprocessor
    own = AsyncDataPreprocessor(mean=[1.0], std=[2.0])
    config = HOSTS['MAE'].guided(HOSTS['MAE'].stock(), POLICY, None)
    model = MODELS.build({**config, 'data_preprocessor': own})
    assert model.data_preprocessor is own


def test_samples_are_handed_on():
    batch = HOSTS['MAE'].batch()
    data = AsyncDataPreprocessor()(batch, True)
    assert all(
        a is b for a, b in zip(data['data_samples'], batch['data_samples'], strict=True)
    )
    assert (
        AsyncDataPreprocessor()({**batch, 'data_samples': None})['inputs'] is not None
    )


@pytest.mark.parametrize('training', [True, False])
def test_masks_of_the_loaders_samples_stay(training):
    batch = HOSTS['MaskFeat'].batch()
    masks = [sample.mask.clone() for sample in batch['data_samples']]
    preprocessor = GuidedDataPreprocessor(
        POLICY, mask_patch_size=8, mean=[1.0], std=[1.0]
    )
    samples = preprocessor(batch, training)['data_samples']
    for given, mask, sample in zip(batch['data_samples'], masks, samples, strict=True):
        assert torch.equal(given.mask, mask)
        assert torch.equal(sample.mask, mask) == (not training)


def test_a_ratio_of_less_than_a_patch_is_refused():
    """When the grid is known: the loss would be that of no patch."""
    policy = dict(type='mmattmask.AttMaskGenerator', mask_ratio=(0.1, 0.5))
    preprocessor = GuidedDataPreprocessor(policy, mask_patch_size=32)
    preprocessor.check_counts((4, 3))
    with pytest.raises(ValueError, match=r'masked patches \(0\.1 of 9 at least\)'):
        preprocessor.check_counts((3, 3))


def test_the_stock_preprocessor_still_takes_all_to_the_device():
    # else ours has nothing to do any more
    sample = HOSTS['MaskFeat'].batch()['data_samples'][0]
    moved = SelfSupDataPreprocessor().to('meta').cast_data([sample])[0]
    assert moved is not sample
    assert moved.mask.is_meta
