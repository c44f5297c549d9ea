import torch
from mmpretrain.structures import DataSample
from mmpretrain.utils import register_all_modules
from projects.attmask.mask_generators import AttMaskGenerator
from projects.attmask.models import IBOT

register_all_modules(init_default_scope=True)

SCORE = torch.tensor([[0.1, 0.9, 0.4, 0.8, 0.3, 0.2]])


def test_high_and_low():
    high = AttMaskGenerator('high', 0.5).mask(SCORE)
    assert high.tolist() == [[0, 1, 1, 1, 0, 0]]
    low = AttMaskGenerator('low', 0.5).mask(SCORE)
    assert low.tolist() == [[1, 0, 0, 0, 1, 1]]


def test_hint_shows_one_of_the_most_attended():
    hint = AttMaskGenerator('hint', 0.5, show_max=0.34, show_ratio=0.5)
    mask = hint.mask(SCORE)[0]
    assert mask[[1, 3]].sum() == 1
    assert mask[[0, 4, 5]].sum() == 0


def test_ibot_learns_and_its_teacher_follows():
    model = IBOT(
        backbone=dict(
            type='attmask.IBOTViT', arch='deit-tiny', img_size=32, patch_size=8
        ),
        head=dict(
            type='attmask.IBOTHead',
            out_channels=64,
            hid_channels=48,
            bottleneck_channels=32,
        ),
        mask_generator=dict(
            type='attmask.AttMaskGenerator', mode='high', mask_ratio=0.5
        ),
    )
    model.init_weights()
    views = [torch.rand(2, 3, 32, 32) for _ in range(2)]
    views += [torch.rand(2, 3, 16, 16)]
    losses = model(views, [DataSample(), DataSample()], mode='loss')
    loss = losses['loss_cls'] + losses['loss_patch']
    loss.backward()
    weight = model.backbone.patch_embed.projection.weight
    assert weight.grad.abs().sum() > 0
    with torch.no_grad():
        weight += 1
    before = model.teacher['backbone'].patch_embed.projection.weight.clone()
    model.teacher.move(0.25)
    after = model.teacher['backbone'].patch_embed.projection.weight
    torch.testing.assert_close(after, 0.75 * before + 0.25 * weight)
