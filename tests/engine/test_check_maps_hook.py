"""CheckMapsHook: a run without all its maps stops before it begins."""

from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import DATASETS
from PIL import Image
from torch import nn

from mmattmask.engine import CheckMapsHook
from mmattmask.mask_generators import RandomMaskGenerator
from mmattmask.models.guidance import Guidance
from mmattmask.scorers import CachedAttention, UserMaps

from .toy_run import NUM_IMAGES, toy_config, train

LOAD = dict(type='mmpretrain.LoadImageFromFile')
CROP = dict(type='mmattmask.RandomResizedCrop', scale=16)
FLIP = dict(type='mmpretrain.RandomFlip', prob=0.5)
PACK = dict(type='mmattmask.PackInputs')
HOOKS = [dict(type='mmattmask.CheckMapsHook'), dict(type='mmattmask.EpochSeedHook')]


def names():
    return [f'class_{index % 2}/{index:03d}' for index in range(NUM_IMAGES)]


@pytest.fixture
def maps(tmp_path):
    """A folder of maps of different sizes; small numbers are attended."""
    for index, name in enumerate(names()):
        file = tmp_path / 'maps' / f'{name}.npy'
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, np.full((3 + index % 4, 4), index))
    return tmp_path / 'maps'


def dataset_of(data_root, *pipeline):
    config = dict(
        type='mmpretrain.CustomDataset',
        data_root=str(data_root),
        pipeline=list(pipeline or (LOAD, CROP, FLIP, PACK)),
    )
    return DATASETS.build(config)


def guided(scorer):
    """A model or a data preprocessor."""
    module = nn.Module()
    if scorer is not None:
        module.guidance = Guidance(RandomMaskGenerator(), scorer, None, 4, 4)
    return module


def check(dataset, scorer=None, model=None):
    runner = SimpleNamespace(
        model=model or guided(scorer),
        train_dataloader=SimpleNamespace(dataset=dataset),
        train_loop=None,
        logger=SimpleNamespace(info=lambda line: None),
    )
    CheckMapsHook().before_train(runner)


def mask(maps, scorer='mmattmask.UserMaps'):
    return dict(
        type='mmattmask.GenerateMask',
        mask_generator=dict(type='mmattmask.RandomMaskGenerator'),
        input_size=16,
        mask_patch_size=4,
        model_patch_size=4,
        scorer=maps and dict(type=scorer, path=str(maps)),
    )


@pytest.mark.parametrize('shuffled', [False, True])
def test_a_run_with_all_maps_trains_without_a_refresh(
    tmp_path, data_root, maps, shuffled
):
    scorer = dict(type='mmattmask.UserMaps', path=str(maps))
    if shuffled:
        scorer = dict(type='mmattmask.ShuffledMaps', scorer=scorer)
    cfg = toy_config(
        tmp_path / 'run',
        data_root,
        model__scorer=dict(_delete_=True, **scorer),
        custom_hooks=HOOKS,
        train_cfg__max_epochs=1,
        train_dataloader__num_workers=1,
    )
    runner = train(cfg)
    assert runner.iter == 3
    assert not any('scorer' in name for name in runner.model.state_dict())


def test_a_run_without_some_stops_before_the_first_step(tmp_path, data_root, maps):
    for name in names()[:2]:
        (maps / f'{name}.npy').unlink()
    cfg = toy_config(
        tmp_path / 'run',
        data_root,
        model__scorer=dict(_delete_=True, type='mmattmask.UserMaps', path=str(maps)),
        custom_hooks=HOOKS,
    )
    with pytest.raises(ValueError, match=r'maps are missing for 2 of 22 images'):
        train(cfg)
    assert not list((tmp_path / 'run').glob('*.pth'))


def test_the_first_twenty_are_named(data_root, maps):
    ordered = sorted(names())
    for name in ordered[:21]:
        (maps / f'{name}.npy').unlink()
    message = rf'for 21 of 22 images in .*maps: .*{ordered[0]}\.png, .*{ordered[19]}'
    with pytest.raises(ValueError, match=rf'{message}\.png, …$') as error:
        check(dataset_of(data_root), scorer=UserMaps(maps))
    assert ordered[20] not in str(error.value)
    np.save(maps / f'{ordered[20]}.npy', np.ones((2, 2)))
    with pytest.raises(ValueError, match=rf'for 20 of 22 .*{ordered[19]}\.png$'):
        check(dataset_of(data_root), scorer=UserMaps(maps))


def test_all_maps_are_read_before_the_first_step(data_root, maps):
    ordered = sorted(names())
    np.save(maps / f'{ordered[3]}.npy', np.full((2, 2), np.nan))
    (maps / f'{ordered[7]}.npy').write_bytes(b'')
    message = (
        rf'2 of 22 maps cannot be used: .*{ordered[3]}\.npy holds .*undefined.*; '
        rf'.*{ordered[7]}\.npy cannot be read'
    )
    with pytest.raises(ValueError, match=message):
        check(dataset_of(data_root), scorer=UserMaps(maps))


@pytest.mark.parametrize(
    'color_type', ['color', 'unchanged', 'color_ignore_orientation']
)
def test_maps_turned_as_the_loader_does_not_turn(tmp_path, color_type):
    """OpenCV and Pillow turn no image that is loaded unchanged."""
    photo = Image.new('RGB', (80, 40))
    exif = photo.getexif()
    exif[0x0112] = 6
    (tmp_path / 'images' / 'x').mkdir(parents=True)
    photo.save(tmp_path / 'images' / 'x' / 'a.jpg', exif=exif)
    (tmp_path / 'maps').mkdir()
    np.save(tmp_path / 'maps' / 'a.npy', np.ones((80, 40)))  # as it is shown
    load = dict(LOAD, color_type=color_type)
    dataset = dataset_of(tmp_path / 'images', load, CROP, FLIP, PACK)
    shown = dataset[0]['data_samples'].ori_shape == (80, 40)
    assert shown == (color_type == 'color')
    if shown:
        check(dataset, UserMaps(tmp_path / 'maps'))
        return
    with pytest.raises(ValueError, match=r'80 x 40, its image 40 x 80'):
        check(dataset, UserMaps(tmp_path / 'maps'))


@pytest.mark.parametrize('part', ['data_preprocessor', 'wrapped'])
def test_the_scorer_is_found_beyond_the_model(data_root, maps, part):
    (maps / f'{names()[3]}.npy').unlink()
    model, inner = nn.Module(), guided(UserMaps(maps))
    if part == 'wrapped':
        model = MMDistributedDataParallel.__new__(MMDistributedDataParallel)
        nn.Module.__init__(model)
    setattr(model, 'module' if part == 'wrapped' else part, inner)
    with pytest.raises(ValueError, match='1 of 22'):
        check(dataset_of(data_root), model=model)


def test_parts_of_a_dataset_are_counted_together(tmp_path, data_root):
    part = dict(type='mmpretrain.CustomDataset', data_root=str(data_root))
    part['pipeline'] = [LOAD, CROP, PACK]
    both = DATASETS.build(dict(type='mmattmask.ConcatDataset', datasets=[part, part]))
    np.save(tmp_path / 'maps.npy', np.ones((44, 2, 2)))
    check(both, scorer=UserMaps(tmp_path / 'maps.npy'))
    np.save(tmp_path / 'maps.npy', np.ones((30, 2, 2)))
    with pytest.raises(ValueError, match=r'missing for 14 of 44 images'):
        check(both, scorer=UserMaps(tmp_path / 'maps.npy'))
    with pytest.raises(ValueError, match=r'holds 30 maps .* there are 22 images'):
        check(dataset_of(data_root), scorer=UserMaps(tmp_path / 'maps.npy'))


def test_a_pipeline_that_loses_the_view_is_refused(data_root, maps):
    stock = dict(type='mmpretrain.EfficientNetRandomCrop', scale=16)
    with pytest.raises(ValueError, match='EfficientNetRandomCrop, after which a view'):
        check(dataset_of(data_root, LOAD, stock, PACK), scorer=UserMaps(maps))


def test_a_stock_pipeline_is_made_to_record_views(data_root, maps):
    stock = dict(type='mmpretrain.RandomResizedCrop', scale=16)
    pack = dict(type='mmpretrain.PackInputs')
    dataset = dataset_of(data_root, LOAD, stock, pack)
    check(dataset, scorer=UserMaps(maps))
    sample = dataset[0]['data_samples']
    assert len(sample.crop_box) == 4
    assert sample.sample_idx == 0


def test_maps_of_a_mask_transform_are_checked_too(data_root, maps):
    pack = dict(type='mmpretrain.PackInputs')  # the mask is made before packing
    check(dataset_of(data_root, LOAD, CROP, FLIP, mask(maps), pack))
    stock = dict(type='mmpretrain.RandomResizedCrop', scale=16)
    with pytest.raises(ValueError, match='RandomResizedCrop, after which a view'):
        check(dataset_of(data_root, LOAD, stock, mask(maps), pack))
    for moved in (FLIP, CROP):
        pipeline = [LOAD, CROP, mask(maps), moved, pack]
        name = moved['type'].split('.')[1]
        with pytest.raises(ValueError, match=f'{name} is behind GenerateMask'):
            check(dataset_of(data_root, *pipeline))
    (maps / f'{names()[3]}.npy').unlink()
    with pytest.raises(ValueError, match='missing for 1 of 22'):
        check(dataset_of(data_root, LOAD, CROP, mask(maps), pack))


def test_without_user_maps_the_hook_says_that_it_has_nothing_to_check(data_root):
    cached = dict(scorer=CachedAttention())
    for parts, found in (({}, 'no scorer'), (cached, 'CachedAttention')):
        with pytest.raises(ValueError, match=rf'CheckMapsHook needs .*got {found}'):
            check(dataset_of(data_root, LOAD, CROP, mask(None), PACK), **parts)


def test_another_images_map_may_have_other_sides(tmp_path):
    maps, images = tmp_path / 'maps', tmp_path / 'images' / 'class'
    maps.mkdir()
    images.mkdir(parents=True)
    draw = np.random.default_rng(0)
    for index in range(8):
        sides = (75, 100) if index % 2 else (100, 75)
        pixels = draw.integers(0, 256, (*sides, 3), np.uint8)
        Image.fromarray(pixels).save(images / f'{index}.png')
        np.save(maps / f'{index}.npy', draw.random(sides, np.float32))
    scorer = dict(
        _delete_=True,
        type='mmattmask.ShuffledMaps',
        scorer=dict(type='mmattmask.UserMaps', path=str(maps)),
    )
    changes = dict(model__scorer=scorer, custom_hooks=[], train_cfg__max_epochs=1)
    train(toy_config(tmp_path / 'run', tmp_path / 'images', **changes))


@pytest.mark.parametrize(
    ('place', 'message'),
    [(2, 'RandomFlip is behind GenerateMask'), (3, 'maps are missing for 1 of')],
)
def test_masks_of_the_pipeline_are_checked_unasked(
    tmp_path, data_root, maps, place, message
):
    (maps / f'{names()[3]}.npy').unlink()
    cfg = toy_config(tmp_path / 'run', data_root, custom_hooks=[])
    cfg.model.scorer = None
    cfg.train_dataloader.dataset.pipeline.insert(place, mask(maps))
    with pytest.raises(ValueError, match=message):
        train(cfg)
