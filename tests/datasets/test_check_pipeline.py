"""Pipelines that lose track of the view are refused by the transform's name."""

import pytest
from mmcv.transforms import BaseTransform, Compose
from mmengine.registry import TRANSFORMS
from mmpretrain.datasets import transforms as stock

from mmattmask.datasets.recording import check_pipeline

PACK = dict(type='mmattmask.PackInputs')
LOAD = dict(type='mmpretrain.LoadImageFromFile')
CROP = dict(type='mmattmask.RandomResizedCrop', scale=24)
FLIP = dict(type='mmpretrain.RandomFlip', prob=0.5)


def check(*transforms) -> None:
    check_pipeline(Compose(list(transforms)).transforms)


def in_mmpretrain(config: dict) -> dict:
    return {**config, 'type': f'mmpretrain.{config["type"]}'}


@pytest.mark.parametrize(
    'transforms',
    [
        [LOAD, CROP, FLIP, PACK],
        [LOAD, dict(type='mmpretrain.Resize', scale=24), PACK],
        [LOAD, FLIP, dict(type='mmattmask.RandomCrop', crop_size=24, padding=4), PACK],
        [LOAD, dict(type='mmpretrain.ResizeEdge', scale=30),
         dict(type='mmattmask.CenterCrop', crop_size=24), PACK],
        [LOAD, dict(type='mmattmask.RandomResizedCropAndInterpolationWithTwoPic',
                    size=24), PACK],
        [LOAD, CROP, dict(type='RandomApply', transforms=[FLIP]), PACK],
        [LOAD, dict(type='RandomChoice', transforms=[[CROP], [CROP, FLIP]]), PACK],
        [LOAD, CROP, dict(type='mmpretrain.ColorJitter', brightness=0.4), PACK],
        [LOAD, CROP, dict(type='mmpretrain.RandomErasing'), PACK],
        [LOAD, CROP, dict(type='mmpretrain.NumpyToPIL'),
         dict(type='mmpretrain.torchvision/ColorJitter', brightness=0.4),
         dict(type='mmpretrain.PILToNumpy'), PACK],
    ],
)  # fmt: skip
def test_pipelines_that_keep_track_are_accepted(transforms):
    check(*transforms)


@pytest.mark.parametrize(
    'config',
    [
        dict(type='RandomResizedCrop', scale=24),
        dict(type='RandomCrop', crop_size=24),
        dict(type='CenterCrop', crop_size=24),
        dict(type='RandomResizedCropAndInterpolationWithTwoPic', size=24),
    ],
)
@pytest.mark.parametrize(
    'wrap',
    [
        lambda t: t,
        lambda t: dict(type='RandomApply', transforms=[t]),
        lambda t: dict(type='RandomChoice', transforms=[[CROP], [FLIP, t]]),
        lambda t: dict(
            type='RandomApply',
            transforms=[dict(type='RandomChoice', transforms=[[CROP], [t]])],
        ),
        lambda t: dict(type='KeyMapper', mapping={'img': 'img'}, transforms=[t]),
    ],
)
def test_a_stock_crop_is_named_with_its_replacement(config, wrap):
    name = config['type']
    message = rf"contains {name},.*use type='mmattmask\.{name}', which takes the same"
    with pytest.raises(ValueError, match=message):
        check(LOAD, wrap(in_mmpretrain(config)), FLIP, PACK)


@pytest.mark.parametrize(
    'config',
    [
        dict(type='MAERandomResizedCrop', size=24),
        dict(type='EfficientNetRandomCrop', scale=24),
        dict(type='Rotate', angle=30.0),
        dict(type='Shear', magnitude=0.3),
        dict(type='Translate', magnitude=0.3),
        dict(type='RandAugment', policies='timm_increasing', num_policies=2,
             total_level=10, magnitude_level=9),
        dict(type='AutoAugment', policies='imagenet'),
        dict(type='torchvision/RandomResizedCrop', size=24),
        dict(type='torchvision/RandomHorizontalFlip'),
        dict(type='torchvision/RandomAffine', degrees=10),
        dict(type='torchvision/RandomPerspective'),
        dict(type='torchvision/Pad', padding=4),
        dict(type='torchvision/ElasticTransform'),
        dict(type='torchvision/FiveCrop', size=24),
        dict(type='torchvision/TenCrop', size=24),
        dict(type='torchvision/TrivialAugmentWide'),
        dict(type='torchvision/AugMix'),
    ],
)  # fmt: skip
def test_other_transforms_that_move_pixels_are_named(config):
    name = config['type'].removeprefix('torchvision/')
    with pytest.raises(ValueError, match=rf'contains {name}, after which a view'):
        check(LOAD, in_mmpretrain(config), CROP, PACK)


def test_a_torchvision_crop_inside_a_torchvision_wrapper_is_found():
    build = TRANSFORMS.build
    crop = build(dict(type='mmpretrain.torchvision/RandomResizedCrop', size=24))
    wrapper = dict(type='mmpretrain.torchvision/RandomApply', transforms=[crop.t])
    with pytest.raises(ValueError, match='RandomResizedCrop'):
        check(LOAD, wrapper, PACK)


VERTICAL = {**FLIP, 'direction': 'vertical'}


@pytest.mark.parametrize(
    'flips',
    [
        [FLIP, VERTICAL],
        [dict(type='RandomApply', transforms=[VERTICAL]), FLIP],
        [dict(type='RandomApply', transforms=[VERTICAL, FLIP])],
        [dict(type='RandomChoice', transforms=[[CROP], [VERTICAL]]), FLIP],
    ],
)
def test_two_flips_are_refused_for_the_second_hides_the_first(flips):
    with pytest.raises(ValueError, match='RandomFlip'):
        check(LOAD, CROP, *flips, PACK)


@pytest.mark.parametrize('name', ['SquareCrop', 'RandomRotation90', 'ZeroPadding'])
def test_a_move_of_the_users_own_is_named(name):
    own = type(name, (BaseTransform,), dict(transform=lambda self, results: results))
    TRANSFORMS.register_module(module=own, force=True)
    with pytest.raises(ValueError, match=f'contains {name}.*records_geometry = True'):
        check(LOAD, dict(type=name), PACK)
    own.records_geometry = True
    check(LOAD, dict(type=name), PACK)


@pytest.mark.parametrize(
    ('last', 'message'),
    [
        (
            dict(type='mmpretrain.PackInputs'),
            r"PackInputs, which drops crop_box: use type='mmattmask\.PackInputs'",
        ),
        (
            dict(type='mmpretrain.PackInputs', meta_keys=('crop_box',)),
            r'PackInputs, which drops sample_idx, ori_shape, flip, flip_direction',
        ),
        (
            {**PACK, 'meta_keys': ('sample_idx', 'crop_box', 'ori_shape')},
            r'PackInputs, which drops flip, flip_direction',
        ),
        (FLIP, r'ends with RandomFlip, which drops sample_idx'),
    ],
)
def test_a_packing_that_drops_the_geometry_is_refused(last, message):
    with pytest.raises(ValueError, match=message):
        check(LOAD, CROP, last)


def test_an_empty_pipeline_is_refused():
    with pytest.raises(ValueError, match='drops sample_idx'):
        check_pipeline([])


def test_a_users_subclass_of_a_stock_crop_is_refused():
    class LuckyCrop(stock.RandomResizedCrop):
        """Moves pixels like its parent and records as little."""

    with pytest.raises(ValueError, match='LuckyCrop'):
        check_pipeline([LuckyCrop(scale=24), TRANSFORMS.build(PACK)])


def test_a_users_own_recording_crop_is_accepted_under_a_stock_name():
    class RandomCrop:
        records_geometry = True

    check_pipeline([RandomCrop(), TRANSFORMS.build(PACK)])
    RandomCrop.records_geometry = False
    with pytest.raises(ValueError, match='RandomCrop'):
        check_pipeline([RandomCrop(), TRANSFORMS.build(PACK)])
