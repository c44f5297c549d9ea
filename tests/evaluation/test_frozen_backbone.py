"""Backbones by name or config, and the weights of other projects' files."""

import argparse
import re

import numpy as np
import pytest
import torch
from mmcv.transforms import Normalize
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DefaultScope
from mmpretrain.datasets import CIFAR10, CIFAR100
from mmpretrain.registry import DATASETS, MODELS

from mmattmask.dataset_configs import base_datasets
from mmattmask.datasets import STL10, PackedImages
from mmattmask.datasets.whole_images import WholeImages
from mmattmask.engine.image_pass import normalized
from mmattmask.evaluation.eval_data import labelled_images, steps_of, whole_view
from mmattmask.evaluation.features import FrozenFeatures, Normalisation
from mmattmask.evaluation.frozen_backbone import (
    load_backbone,
    named_backbone,
    normalisation_of,
    read_network,
)

from ..config_building import SHIPPED, load
from ..export.tiny_vits import prefixed, timm_names

RGB_ARRAYS = (CIFAR10, PackedImages, STL10)
CONFIG = dict(
    type='mmpretrain.VisionTransformer',
    arch=dict(embed_dims=8, num_layers=2, num_heads=2, feedforward_channels=16),
    img_size=16,
    patch_size=8,
    out_type='raw',
)


def official(seed, **extra):
    """Random weights of CONFIG under the names of the official code."""
    torch.manual_seed(seed)
    state = MODELS.build(CONFIG).state_dict()
    return timm_names({n: torch.randn_like(v) for n, v in state.items()}) | extra


@pytest.fixture
def full(tmp_path):
    """What main_ibot.py and main_attmask.py save."""
    path = tmp_path / 'checkpoint.pth'
    head = {'head.mlp.0.bias': torch.zeros(3)}
    student = official(1, masked_embed=torch.zeros(1, 8))
    content = dict(
        student=prefixed('module.', prefixed('backbone.', student) | head),
        teacher=prefixed('backbone.', official(2)) | head,
        epoch=100,
        args=argparse.Namespace(arch='vit_small'),
    )
    torch.save(content, path)
    return path


def check(path, key, seed, line=None):
    backbone, matched = load_backbone(CONFIG, path, key)
    state, total = official(seed), len(backbone.state_dict())
    assert matched.startswith(line or f'matched {total}/{total} weights of {path}')
    assert torch.equal(backbone.cls_token, state['cls_token'])
    assert torch.equal(backbone.layers[1].ln2.bias, state['blocks.1.norm2.bias'])
    assert torch.equal(backbone.ln1.weight, state['norm.weight'])


def test_full_checkpoint(full):
    check(full, None, seed=2)
    check(full, 'teacher', seed=2)
    check(full, 'student', seed=1)


def test_backbone_only_checkpoint(tmp_path):
    path = tmp_path / 'backbone.pth'
    torch.save(dict(state_dict=official(3)), path)
    check(path, None, seed=3)
    check(path, 'state_dict', seed=3)
    # the official evaluation goes on with random weights
    message = "nothing called 'teacher'; it has state_dict, blocks, cls_token, norm"
    with pytest.raises(ValueError, match=message):
        load_backbone(CONFIG, path, 'teacher')


@pytest.mark.parametrize('has_head', [False, True])
def test_network_within_a_flat_checkpoint(tmp_path, has_head):
    """With a teacher's head it is self-distillation, evaluated by its teacher."""
    state = prefixed('teacher.backbone.', official(4))
    state |= prefixed('backbone.', official(5))
    state |= {'teacher.head.mlp.0.bias': torch.zeros(3)} if has_head else {}
    path = tmp_path / 'epoch_1.pth'
    torch.save(dict(state_dict=state), path)
    line = f'matched 30/30 weights of {path} (teacher)'
    check(path, None, *((4, line) if has_head else (5,)))
    check(path, 'teacher', seed=4)
    check(path, 'backbone', seed=5)


def test_weights_of_pretraining_only_may_be_missing(tmp_path):
    torch.save(dict(state_dict=official(7)), tmp_path / 'vit.pth')
    beit = dict(CONFIG, type='mmpretrain.MaskFeatViT')
    _, matched = load_backbone(beit, tmp_path / 'vit.pth')
    found, total = map(int, matched.split()[1].split('/'))
    assert total - found == 1


def test_positions_of_the_same_number_stay_on_their_grid(tmp_path):
    torch.manual_seed(0)
    oblong = dict(CONFIG, img_size=(32, 72))  # 4 x 9 patches, as many as 6 x 6
    positions = torch.randn(1, 37, 8)
    torch.save(
        dict(teacher=official(8) | dict(pos_embed=positions)), tmp_path / 'x.pth'
    )
    backbone, _ = load_backbone(oblong, tmp_path / 'x.pth')
    assert torch.equal(backbone.pos_embed, positions)


def test_what_cannot_be_built_or_filled(tmp_path, full):
    deep = dict(CONFIG, arch=dict(CONFIG['arch'], num_layers=3))
    with pytest.raises(ValueError, match=r'matched 30/42 weights; missing layers\.2'):
        load_backbone(deep, full)
    torch.save(dict(state_dict={'conv1.weight': torch.zeros(2)}), tmp_path / 'cnn.pth')
    with pytest.raises(ValueError, match=r'matched 0/\d+ .*names are conv1'):
        load_backbone(CONFIG, tmp_path / 'cnn.pth')
    with pytest.raises(ValueError, match="no backbone 'NoViT'"):
        load_backbone(dict(type='NoViT'), full)


def test_names():
    with torch.device('meta'):
        small = MODELS.build(named_backbone('vit-small-p16'))
        tiny = MODELS.build(named_backbone('vit-tiny-p8', (32, 64)))
    assert (small.embed_dims, len(small.layers)) == (384, 12)
    assert small.pos_embed.shape == (1, 197, 384)
    assert tiny.pos_embed.shape == (1, 33, 192)
    for name in ('vit-small', 'vit-giant-p14', 'resnet50', 'vit-small-p16x'):
        with pytest.raises(ValueError, match=f'{name!r} is neither a config'):
            named_backbone(name)


@pytest.mark.parametrize(
    ('dataset', 'to_rgb', 'rgb'),
    [
        (dict(type='CIFAR10'), False, True),
        (dict(type='mmpretrain.CIFAR100'), True, False),
        (dict(type='ImageNet'), True, True),
        (dict(type='CustomDataset'), False, False),
        (dict(type='mmattmask.STL10'), False, True),
        (dict(type='RepeatDataset', dataset=dict(type='CIFAR10')), False, True),
        (
            dict(
                type='mmattmask.ConcatDataset',
                datasets=[dict(type='CIFAR10'), dict(type='CIFAR100')],
            ),
            False,
            True,
        ),
        (None, True, True),
    ],
)
def test_the_models_channels_are_those_of_its_training(dataset, to_rgb, rgb):
    cfg = dict(data_preprocessor=dict(mean=[1, 2, 3], std=[4, 5, 6], to_rgb=to_rgb))
    if dataset:
        cfg['train_dataloader'] = dict(dataset=dataset)
    assert normalisation_of(cfg) == Normalisation((1, 2, 3), (4, 5, 6), rgb)


def test_normalisation_of_the_model_or_none_stated():
    how = dict(mean=[1, 2, 3], std=[4, 5, 6], to_rgb=True)
    cfg = dict(model=dict(data_preprocessor=how), data_preprocessor=dict(mean=[0] * 3))
    assert normalisation_of(cfg) == Normalisation((1, 2, 3), (4, 5, 6), True)
    assert normalisation_of(dict(model={})) == Normalisation()
    bare = dict(data_preprocessor=dict(type='SelfSupDataPreprocessor'))
    assert normalisation_of(bare) == Normalisation((0,) * 3, (1,) * 3, False)


@pytest.mark.parametrize('kind', ['mmcv.Normalize', Normalize])
def test_a_pipeline_that_normalises_is_refused(kind):
    step = dict(type=kind, mean=[1, 2, 3], std=[4, 5, 6])
    joined = [dict(type='A'), dict(type='B', pipeline=[dict(type='Flip'), step])]
    loader = dict(dataset=dict(type='ConcatDataset', datasets=joined))
    with pytest.raises(ValueError, match=r"'Normalize'.*data_preprocessor"):
        normalisation_of(dict(train_dataloader=loader))


def red_images(kind):
    """A kind of datasets with one red image, blue last in RGB_ARRAYS and else first."""
    red = np.tile(np.uint8([200, 30, 10]), (16, 16, 1))

    class Red(kind):
        def __init__(self, pipeline):
            BaseDataset.__init__(self, pipeline=pipeline)

        def load_data_list(self):
            return [dict(gt_label=0)]

        def get_data_info(self, idx):
            info = BaseDataset.get_data_info(self, idx)
            image = red if issubclass(kind, RGB_ARRAYS) else red[..., ::-1]
            return dict(info, img=image.copy(), img_shape=(16, 16), ori_shape=(16, 16))

    return Red


class Seen(torch.nn.Module):
    """A backbone that keeps what it is given."""

    def forward(self, pixels):
        self.pixels = pixels
        return (pixels,)


def check_red(kind, pipeline, preprocessor):
    """The backbone is given what the pipeline and preprocessor of training make."""
    dataset = dict(type=red_images(kind), pipeline=pipeline)
    how = {name: preprocessor[name] for name in ('mean', 'std', 'to_rgb')}
    cfg = dict(data_preprocessor=how, train_dataloader=dict(dataset=dataset))
    seen = Seen()
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        trained, *_ = WholeImages([DATASETS.build(dataset)], (16, 16))[0]
        stock = MODELS.build(dict(type='SelfSupDataPreprocessor', **how))
        steps = steps_of(cfg)
        images = labelled_images(dataset, whole_view((16, 16)), (16, 16), steps)
        model = FrozenFeatures(seen, ['mean'], normalisation_of(cfg))
        model(images.images[0][0][None], images.rgb)
    torch.testing.assert_close(seen.pixels, normalized(stock, trained[None]))
    return normalisation_of(cfg)


@pytest.mark.parametrize(
    'name', [n for n in SHIPPED if re.search('cifar1|stl|32px', n)]
)
def test_what_is_evaluated_has_the_colours_of_a_configs_training(name):
    cfg = load(name)
    dataset = base_datasets(cfg.train_dataloader.dataset)[0]
    kind = DATASETS.get(dataset.type)
    preprocessor = cfg.model.get('data_preprocessor') or cfg.data_preprocessor
    if issubclass(kind, RGB_ARRAYS):
        found = check_red(kind, dataset.pipeline, preprocessor)
        assert normalisation_of(cfg) == found


@pytest.mark.parametrize('to_rgb', [False, True])
@pytest.mark.parametrize('kind', [BaseDataset, CIFAR100, STL10])
def test_what_is_evaluated_has_the_colours_of_training(kind, to_rgb):
    how = dict(mean=[120.0, 100.0, 80.0], std=[60.0, 50.0, 40.0], to_rgb=to_rgb)
    exchange = dict(type='PILToNumpy', to_bgr=True)
    both = [dict(type='NumpyToPIL', to_rgb=True), exchange]
    views = dict(type='MultiView', num_views=[1, 1], transforms=[[exchange], both])
    for pipeline in ([], [exchange], both, [views]):
        check_red(kind, [*pipeline, dict(type='PackInputs')], how)


def test_a_name_takes_what_the_checkpoint_says(tmp_path):
    """Its pixels and size; other heads are refused."""
    recorded = dict(
        model=dict(backbone=dict(arch='deit-tiny', img_size=64, patch_size=8)),
        data_preprocessor=dict(mean=[1.0] * 3, std=[2.0] * 3, to_rgb=False),
        train_dataloader=dict(dataset=dict(type='CustomDataset')),
    )

    def saved(arch):
        recorded['model']['backbone']['arch'] = arch
        meta = dict(cfg=Config(recorded).pretty_text)
        file = tmp_path / 'x.pth'
        torch.save(dict(state_dict=weights, meta=meta), file)
        return file

    backbone = named_backbone('vit-tiny-p8', (64, 64))
    weights = MODELS.build(backbone).state_dict()
    file = saved('deit-tiny')
    cfg = read_network('vit-tiny-p8', None, None, file)
    assert tuple(cfg.model.backbone.img_size) == (64, 64)
    assert normalisation_of(cfg) == Normalisation((1.0,) * 3, (2.0,) * 3, rgb=False)
    assert tuple(
        read_network('vit-tiny-p8', None, (32, 48), file).model.backbone.img_size
    ) == (32, 48)
    load_backbone(backbone, file)
    file = saved(dict(num_heads=12))
    with pytest.raises(ValueError, match=r'trained with 12 heads, .* has \{3\}'):
        load_backbone(backbone, file)
    torch.save(weights, file)
    cfg = read_network('vit-tiny-p8', None, None, file)
    assert tuple(cfg.model.backbone.img_size) == (224, 224)
    assert normalisation_of(cfg) == Normalisation()
