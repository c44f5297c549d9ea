"""train() and eval() return the module, as torch's do: calls can be chained."""

import pytest
from mmengine.registry import MODELS

from mmattmask.downstream import ViTDet
from mmattmask.registry import MODELS as OURS

ARCH = dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32)
SIZES = dict(arch=ARCH, img_size=32, patch_size=8)
BACKBONES = {
    'GuidedMAEViT': SIZES,
    'GuidedMFFViT': dict(SIZES, out_indices=[0, 1]),
    'GuidedMILANViT': SIZES,
    'SimMIMViT': SIZES,
    'IBOTViT': SIZES,
    'NormedViT': SIZES,
    'GuidedMAEHiViT': dict(arch='tiny', img_size=64, patch_size=16),
    'ConvViT': {},
    'ConvMAEViT': {},
}


def test_all_backbones_are_here():
    base = MODELS.get('mmpretrain.VisionTransformer').__mro__[1]
    ours = {name for name, kind in OURS.module_dict.items() if issubclass(kind, base)}
    assert ours <= {*BACKBONES, 'ViTDet'}


@pytest.mark.parametrize('name', BACKBONES)
def test_backbones_return_themselves(name):
    vit = MODELS.build(dict(type=f'mmattmask.{name}', **BACKBONES[name]))
    assert vit.eval() is vit
    assert not vit.training
    assert vit.train() is vit
    assert vit.training


def test_stock_backbones_and_those_of_detection_do_too():
    vit = MODELS.build(dict(type='mmpretrain.VisionTransformer', **SIZES))
    assert vit.eval().train(False) is vit
    arch = dict(ARCH, global_attn_indexes=[0, 1])
    vit = ViTDet(arch, img_size=32, pretrain_img_size=32, patch_size=8)
    assert vit.eval() is vit
