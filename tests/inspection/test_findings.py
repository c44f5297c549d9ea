"""Every finding on a config that has the fault, and on one that has not."""

import re

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS, OPTIM_WRAPPERS

from mmattmask.inspection import findings as module
from mmattmask.inspection.built_config import build_config
from mmattmask.inspection.findings import FINDINGS, findings
from mmattmask.inspection.loading import measured_rate
from mmattmask.inspection.summary import loader_rows
from tests.config_building import find, write_images
from tests.inspection.tiny_plan import VIT, tiny_config, tiny_plan
from tests.models.ibot_model import ibot_config

LOAD, PACK = dict(type='LoadImageFromFile'), dict(type='mmattmask.PackInputs')
NO_HOOKS = dict(custom_hooks=[])
ITERATIONS = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=9)
NO_SCORER = {'model.scorer': None}
AMP = {'optim_wrapper.type': 'AmpOptimWrapper'}
TEACHER = {
    'model.scorer': dict(
        _delete_=True,
        type='mmattmask.FrozenTeacher',
        backbone=dict(type='VisionTransformer', arch='deit-tiny', img_size=32),
        checkpoint='nowhere.pth',
        block=1,
        head=0,
    ),
    **NO_HOOKS,
}


def pipeline(*transforms):
    return {'train_dataloader.dataset.pipeline': [LOAD, *transforms]}


def ibot(*hooks):
    hooks = [dict(type=f'mmattmask.{name}') for name in hooks]
    model = dict(ibot_config(), _delete_=True)
    model['mask_generator'] = dict(type='mmattmask.AttMaskGenerator')
    return dict(model=model, custom_hooks=hooks)


# finding: a broken config, what it says, what mends it, a sound one
CASES = {
    'cannot_be_built': (
        {'model.mask_generator.throw_ratio': 0.7},
        r'sum to more than 1|0\.7',
        'sentence',
        {},
    ),
    'lost_geometry': (
        pipeline(dict(type='EfficientNetRandomCrop', scale=32), PACK),
        'EfficientNetRandomCrop',
        '^replace it with one of the crops',
        pipeline(dict(type='RandomResizedCrop', scale=32), dict(type='PackInputs')),
    ),
    'constant_temperature': (
        ibot('EMATeacherHook'),
        r'temperature 0\.07',
        'TeacherTemperatureHook',
        ibot('TeacherTemperatureHook', 'EMATeacherHook'),
    ),
    'unscaled_lr': (
        {'auto_scale_lr.base_batch_size': 10},
        'lr 0.001 is for 10 images .* 2 GPUs with 4 make 8',
        r'--auto-scale-lr, or .*lr=0\.0008',
        {'auto_scale_lr.base_batch_size': 12},
    ),
    'unfitting_weights': (
        TEACHER,
        r'nowhere\.pth here: the run stops',
        'the checkpoint of the scorer=FILE',
        {},
    ),
    'other_randomness_after_resume': (
        dict(resume=True),
        'resumed run',
        'EpochSeedHook',
        dict(resume=True, custom_hooks=[dict(type='mmattmask.EpochSeedHook')]),
    ),
}


# what the run refuses itself, with and without its images
REFUSED = {
    'no refresh': (NO_HOOKS, r'CachedAttention .*does nothing without', 'RefreshHook'),
    'late': (
        {'train_cfg.max_epochs': 2},
        'begins after 2 epochs, the run has 2',
        'set begin to less than 2',
    ),
    'nothing to refresh': (NO_SCORER, 'GuidedMAE with no scorer', 'CachedAttention'),
    'still teacher': (
        ibot('TeacherTemperatureHook'),
        r'EMATeacher \(teacher\) does nothing without',
        "'mmattmask.EMATeacherHook'",
    ),
    'epochs of a loop without': (
        dict(train_cfg=ITERATIONS),
        'AttentionRefreshHook counts epochs',
        'by_epoch=False',
    ),
}


@pytest.mark.parametrize('name', REFUSED)
def test_what_the_run_refuses_is_found_without_images(name):
    broken, sentence, fix = REFUSED[name]
    found = module.refused_at_start(tiny_plan(**broken))
    assert re.search(sentence, found.sentence)
    assert re.search(fix, found.fix)
    assert module.refused_at_start(tiny_plan()) is None


def with_images(folder, **changes):
    dataset = dict(data_root=str(folder), with_label=False)
    changes |= {f'train_dataloader.dataset.{k}': v for k, v in dataset.items()}
    return tiny_plan(**changes)


def test_what_the_run_refuses_of_its_images(tmp_path):
    write_images(tmp_path, 3)
    assert not findings(with_images(tmp_path))
    too_few = with_images(tmp_path, **{'train_dataloader.drop_last': True})
    found = module.refused_at_start(too_few)
    assert '3 training images make no batch of 4' in found.sentence
    for path in tmp_path.glob('**/*.png'):
        path.write_bytes(b'')
    found = module.refused_at_start(with_images(tmp_path))
    assert 'none of the first 3 images of CustomDataset can be read' in found.sentence


@pytest.mark.parametrize(
    ('workers', 'rate', 'cores', 'fix'),
    [
        (2, 600.0, 8, None),
        (2, 400.0, 8, 3),
        (0, 400.0, 8, 3),
        (2, 100.0, 2, None),  # there are no more
        (4, 400.0, 2, 2),
    ],
)
def test_workers_for_the_cores_of_a_machine_with_a_gpu(
    tmp_path, monkeypatch, workers, rate, cores, fix
):
    monkeypatch.setattr(module, 'num_cores', lambda: cores)
    built = with_images(tmp_path, **{'train_dataloader.num_workers': workers})
    built.loader_rate = rate  # instead of a measured one
    assert module.other_number_of_workers(built) is None  # this one has none
    built.device = 'cuda'
    found = module.other_number_of_workers(built)
    assert (found and found.fix) == (fix and f'train_dataloader.num_workers={fix}')


def test_rate_of_the_loader(tmp_path):
    write_images(tmp_path, 3)
    built = with_images(tmp_path)
    assert built.loader_rate > 0
    rows = dict(loader_rows(built))
    assert rows['loading'].startswith(f'{built.loader_rate:.0f} images per second')
    assert rows['workers'].startswith('2 for each GPU: ')
    built.cfg.train_dataloader.num_workers = 0
    assert dict(loader_rows(built))['workers'].startswith('none: ')
    assert tiny_plan().loader_rate is None
    assert loader_rows(tiny_plan()) == []
    assert measured_rate([1, 2]) is None
    assert measured_rate(Broken()) is None


class Broken(list):
    def __len__(self):
        return 5


def test_images_that_cannot_be_listed(tmp_path):
    found, *_ = findings(with_images(tmp_path))  # an empty folder
    assert 'the training images cannot be built' in found.sentence
    assert str(tmp_path) in found.sentence


def test_maps_of_the_images(tmp_path):
    write_images(tmp_path / 'images', 3)
    maps = tmp_path / 'maps.npy'
    np.save(maps, np.ones((3, 4, 6)))
    scorer = dict(_delete_=True, type='mmattmask.UserMaps', path=str(maps))
    plan = {'model.scorer': scorer, **NO_HOOKS}
    assert not findings(with_images(tmp_path / 'images', **plan))
    np.save(maps, np.full((3, 4, 6), -1.0))
    found = module.refused_at_start(with_images(tmp_path / 'images', **plan))
    assert '3 of 3 maps cannot be used' in found.sentence + found.fix


def test_maps_without_their_images(tmp_path):
    (tmp_path / 'maps').mkdir()
    np.save(tmp_path / 'maps' / 'x.npy', np.ones((4, 6)))
    scorer = dict(type='mmattmask.UserMaps', path=str(tmp_path / 'maps'))
    plan = {'model.scorer': dict(scorer, _delete_=True), **NO_HOOKS}
    assert not findings(tiny_plan(**plan))


def test_a_step_with_the_images_themselves(tmp_path):
    write_images(tmp_path, 3)
    crop = pipeline(dict(type='RandomResizedCrop', scale=32), PACK)
    found = module.failing_step(with_images(tmp_path, **crop))
    assert 'images of 32 x 32 px have a grid' in found.sentence


def test_images_that_a_transform_does_not_take(tmp_path):
    write_images(tmp_path, 3)
    crop = dict(type='RandomResizedCrop', scale=(32, 48), backend='pillow')
    steps = [dict(LOAD, to_float32=True), crop, PACK]
    plan = {'train_dataloader.dataset.pipeline': steps}
    found = module.failing_step(with_images(tmp_path, **plan))
    assert 'Pillow backend only support uint8' in found.sentence


def test_values_that_nothing_can_be_made_of():
    found = module.cannot_be_built(tiny_plan(**{'model.backbone.patch_size': 0}))
    assert 'model.backbone.patch_size must be at least 1' in found.sentence


@pytest.mark.parametrize('name', CASES)
def test_finding_names_fault_and_fix(name):
    broken, sentence, fix, sound = CASES[name]
    check = getattr(module, name)
    found = check(tiny_plan(**broken))
    assert re.search(sentence, found.sentence)
    assert re.search(fix, found.fix)
    assert check(tiny_plan(**sound)) is None


def test_amp_is_found_only_without_an_accelerator():
    built = tiny_plan(**AMP)
    built.device = 'cpu'
    found = module.amp_without_accelerator(built)
    assert 'AmpOptimWrapper' in found.sentence
    assert found.level == 'note'
    built.device = 'cuda'
    assert module.amp_without_accelerator(built) is None


@pytest.mark.parametrize(
    ('name', 'gpus', 'is_scaled'),
    [
        ('tiny.py', None, True),
        ('tiny_2xb4-6e.py', None, True),
        ('tiny_8xb4-6e.py', None, False),
        ('tiny_8xb4-6e.py', 2, True),
        ('tiny.py', 4, False),
    ],
)
def test_gpus_come_from_the_caller_or_the_name(name, gpus, is_scaled):
    built = tiny_plan(name, gpus)
    assert (module.unscaled_lr(built) is None) == is_scaled
    built.cfg.auto_scale_lr.enable = True
    assert module.unscaled_lr(built) is None


def concat(kind, *crops):
    part = tiny_config().train_dataloader.dataset.to_dict()
    load, _, flip, pack = part['pipeline']
    parts = [dict(part, pipeline=[load, crop, flip, pack]) for crop in crops]
    dataset = dict(_delete_=True, type=kind, datasets=parts)
    return {'train_dataloader.dataset': dataset}


def test_all_parts_of_joined_datasets_are_looked_at():
    crop = dict(type='mmattmask.RandomResizedCrop', scale=(32, 48))
    lossy = dict(type='EfficientNetRandomCrop', scale=32)
    built = tiny_plan(**concat('mmattmask.ConcatDataset', crop, crop))
    assert not findings(built)
    assert len(built.pipelines) == 2
    built = tiny_plan(**concat('mmattmask.ConcatDataset', crop, lossy))
    assert 'EfficientNetRandomCrop' in module.lost_geometry(built).sentence
    built = tiny_plan(**concat('ConcatDataset', crop, crop))
    found = module.samples_without_names(built)
    assert found.level == 'problem'
    assert "'mmattmask.ConcatDataset'" in found.fix


def test_images_that_are_not_here(tmp_path):
    root = 'train_dataloader.dataset.data_root'
    found = module.missing_data(tiny_plan(**{root: str(tmp_path / 'gone')}))
    assert f'{tmp_path / "gone"} with training images is not here' in found.sentence
    assert found.level == 'problem'
    assert module.missing_data(tiny_plan(**{root: str(tmp_path)})) is None
    prefix = {root: str(tmp_path), 'train_dataloader.dataset.data_prefix': 'train'}
    found = module.missing_data(tiny_plan(**prefix))
    assert str(tmp_path / 'train') in found.sentence
    remote = {root: 's3://bucket/images'}
    assert module.missing_data(tiny_plan(**remote)) is None
    (tmp_path / 'train').mkdir()
    assert module.missing_data(tiny_plan(**prefix)) is None
    cifar = dict(type='CIFAR10', data_root=str(tmp_path / 'gone'), _delete_=True)
    downloaded = {'train_dataloader.dataset': dict(cifar, pipeline=[])}
    assert module.missing_data(tiny_plan(**downloaded)) is None
    kept = {'train_dataloader.dataset': dict(cifar, pipeline=[], download=False)}
    assert module.missing_data(tiny_plan(**kept)) is not None


FIVE = {
    'model.backbone.patch_cfg': dict(in_channels=5),
    'data_preprocessor.mean': [0],
    'data_preprocessor.std': [1],
}
STEPS = {
    'crop': (
        pipeline(dict(type='RandomResizedCrop', scale=32), dict(type='PackInputs')),
        'images of 32 x 32 px have a grid',
    ),
    'sides exchanged': (
        pipeline(dict(type='RandomResizedCrop', scale=(48, 32)), PACK),
        'images of 48 x 32 px',
    ),
    'head': (FIVE, '5 channels.*cannot be made'),
    'mean': (
        {**FIVE, 'data_preprocessor.mean': [0] * 3, 'data_preprocessor.std': [1] * 3},
        '5 channels.*cannot be made',
    ),
}


@pytest.mark.parametrize('name', STEPS)
def test_a_step_that_cannot_be_made(name):
    changes, message = STEPS[name]
    found = module.failing_step(tiny_plan(**changes))
    assert re.search(message, found.sentence)
    assert found.level == 'problem'
    assert module.failing_step(tiny_plan()) is None


def test_limits_of_the_meta_device_are_no_problem():
    built = build_config(find('mae-gpa_hivit-tiny'), 'host.py')
    assert not built.errors
    assert module.failing_step(built) is None


def test_five_channels_that_fit():
    fits = {
        **FIVE,
        'model.neck.in_chans': 5,
        'model.head.in_channels': 5,
    }
    built = tiny_plan(**fits)
    assert not built.errors
    assert module.failing_step(built) is None


def test_the_advice_about_amp_leaves_none_of_its_options_behind():
    built = tiny_plan(**{**AMP, 'optim_wrapper.loss_scale': 'dynamic'})
    built.device = 'cpu'
    found = module.amp_without_accelerator(built)
    (advice,) = re.findall(r'optim_wrapper=(dict\(.*\.\.\.\))', found.fix)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    options = eval(advice, {'dict': dict})
    assert options.pop('_delete_')
    OPTIM_WRAPPERS.build(dict(options, optimizer=optimizer))
    assert 'without loss_scale' in found.fix


def with_file(path, way):
    if way == 'load_from':
        return dict(load_from=str(path))
    if way == 'init_cfg':
        init_cfg = dict(type='Pretrained', _scope_='mmattmask', checkpoint=str(path))
        return {'model.backbone.init_cfg': dict(init_cfg, grid=(4, 6))}
    scorer = dict(
        type='mmattmask.FrozenTeacher',
        backbone=dict(
            type='VisionTransformer', arch=VIT, img_size=(32, 48), patch_size=8
        ),
        checkpoint=str(path),
        block=1,
        head=0,
        _delete_=True,
    )
    return {'model.scorer': scorer, **NO_HOOKS}


@pytest.mark.parametrize('way', ['load_from', 'init_cfg', 'teacher'])
def test_weights_that_do_not_fit(tmp_path, way):
    model = MODELS.build(tiny_config().model)
    weights = model.state_dict() if way == 'load_from' else model.backbone.state_dict()
    path = tmp_path / 'x.pth'
    torch.save(weights, path)
    assert module.unfitting_weights(tiny_plan(**with_file(path, way))) is None
    torch.save({f'net.{name}': value for name, value in weights.items()}, path)
    found = module.unfitting_weights(tiny_plan(**with_file(path, way)))
    assert re.search(r'matched 0/\d+ weights', found.sentence)
    assert 'another file for' in found.fix
    path.write_text('<html>')
    found = module.unfitting_weights(tiny_plan(**with_file(path, way)))
    assert 'is a web page' in found.sentence
    path.unlink()
    found = module.unfitting_weights(tiny_plan(**with_file(path, way)))
    assert 'x.pth here: the run stops' in found.sentence


def host_plan(part, **changes):
    cfg = find(part).copy()
    cfg.merge_from_dict(changes)
    return build_config(cfg, 'host.py')


def test_hosts_of_every_patch_cannot_throw():
    part = 'maskfeat-am_vit-tiny'
    assert not host_plan(part).errors
    options = {'data_preprocessor.mask_generator.throw_ratio': 0.2}
    found = module.cannot_be_built(host_plan(part, **options))
    assert 'GuidedDataPreprocessor has to do with every patch' in found.sentence
    assert 'set throw_ratio=0' in found.sentence


@pytest.mark.parametrize('num_masked', [75, None], ids=['told', 'of the neck'])
def test_cae_needs_its_number_of_masked_patches(num_masked):
    part, start = 'cae-gpa_beit-base', 'data_preprocessor'
    changes = {f'{start}.num_masked': num_masked}
    assert not host_plan(part, **changes).errors
    changes[f'{start}.mask_generator.mask_ratio'] = 0.5
    found = module.cannot_be_built(host_plan(part, **changes))
    assert 'must have 75 masked tokens' in found.sentence
    assert 'masks 98 of 196: set mask_ratio=75/196' in found.sentence


def test_every_finding_is_tested():
    elsewhere = {
        'amp_without_accelerator',
        'failing_step',
        'missing_data',
        'other_number_of_workers',
        'refused_at_start',
        'samples_without_names',
    }
    assert {check.__name__ for check in FINDINGS} == elsewhere | set(CASES)


def test_problems_come_before_notes():
    found = findings(tiny_plan(resume=True, custom_hooks=[]))
    assert [finding.level for finding in found] == ['problem', 'note']
    assert not findings(tiny_plan())


def test_reading_leaves_the_config_as_it_is():
    cfg = tiny_config()
    before = cfg.to_dict()
    build_config(cfg, 'tiny.py')
    assert cfg.to_dict() == before
