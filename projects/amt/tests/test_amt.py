import pytest
import torch
from mmpretrain.structures import DataSample
from mmpretrain.utils import register_all_modules
from projects.amt.mask_generators import AMTMaskGenerator
from projects.amt.models import GuidedMAE

register_all_modules(init_default_scope=True)


def tiny_mae(mask_generator):
    return GuidedMAE(
        backbone=dict(
            type='amt.GuidedMAEViT', arch='deit-tiny', img_size=32, patch_size=8
        ),
        neck=dict(
            type='amt.GuidedMAEDecoder',
            decoder_embed_dim=48,
            decoder_depth=1,
            decoder_num_heads=3,
        ),
        head=dict(
            type='MAEPretrainHead',
            norm_pix=True,
            loss=dict(type='PixelReconstructionLoss', criterion='L2'),
        ),
        mask_generator=mask_generator,
    )


def test_counts_and_order():
    score = torch.linspace(0, 1, 196).expand(2, -1)
    generator = AMTMaskGenerator(0.45, 0.40, ranking='top')
    partition = generator(score)
    assert partition.ids_keep.shape == (2, 30)
    assert partition.ids_mask.shape == (2, 88)
    assert partition.ids_throw.shape == (2, 78)
    masked = score.gather(1, partition.ids_mask).min()
    assert masked > score.gather(1, partition.ids_throw).max()
    assert partition.mask.sum(dim=1).tolist() == [88, 88]


@pytest.mark.parametrize('throw_ratio', [0.0, 0.4])
def test_loss_does_not_depend_on_thrown_patches(throw_ratio):
    mask_generator = dict(
        type='amt.AMTMaskGenerator', mask_ratio=0.5, throw_ratio=throw_ratio
    )
    model = tiny_mae(mask_generator).eval()
    model.init_weights()
    inputs = torch.rand(1, 3, 32, 32)
    score, partition = model.guidance.guide(inputs, [DataSample()])
    model.guidance.guide = lambda *args: (score, partition)
    loss = model(inputs, [DataSample()], mode='loss')['loss']
    thrown = partition.thrown.view(4, 4).float()
    noise = thrown.repeat_interleave(8, 0).repeat_interleave(8, 1)
    again = model(inputs + noise, [DataSample()], mode='loss')['loss']
    assert torch.equal(loss, again)
    assert bool(noise.any()) == (throw_ratio > 0)
    everywhere = model(inputs + 1 - noise, [DataSample()], mode='loss')['loss']
    assert not torch.equal(loss, everywhere)
