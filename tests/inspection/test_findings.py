"""Every finding on a config that has the fault, and on one that has not."""

import re

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS, OPTIM_WRAPPERS

from mmattmask.inspection import findings as module
from mmattmask.inspection.built_config import build_config, measured_rate
from mmattmask.inspection.findings import FINDINGS, findings
from mmattmask.inspection.summary import loader_rows
from tests.config_building import find, write_images
from tests.inspection.tiny_plan import VIT, tiny_config, tiny_plan
from tests.models.ibot_model import ibot_config

LOAD, PACK = dict(type='LoadImageFromFile'), dict(type='mmattmask.PackInputs')
NO_HOOKS = dict(custom_hooks=[])
ITERATIONS = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=9)
ROOT = 'train_dataloader.dataset.data_root'
RANDOM = dict(_delete_=True, type='mmattmask.RandomMaskGenerator')
IBOT_HOOKS = ('TeacherTemperatureHook', 'EMATeacherHook', 'FreezeLastLayerHook')
FIVE = {
    'model.backbone.patch_cfg': dict(in_channels=5),
    'data_preprocessor.mean': [0],
    'data_preprocessor.std': [1],
}


def pipeline(*transforms):
    return {'train_dataloader.dataset.pipeline': [LOAD, *transforms]}


def ibot(*hooks):
    hooks = [dict(type=f'mmattmask.{name}') for name in hooks]
    model = dict(ibot_config(), _delete_=True)
    model['mask_generator'] = dict(type='mmattmask.AttMaskGenerator')
    return dict(model=model, custom_hooks=hooks)


def scorer(kind, **options):
    options = dict(options, _delete_=True, type=f'mmattmask.{kind}')
    return {'model.scorer': options, **NO_HOOKS}


def teacher(path):
    vit = dict(type='VisionTransformer', arch=VIT, img_size=(32, 48), patch_size=8)
    return scorer('FrozenTeacher', backbone=vit, checkpoint=path, block=1, head=0)


def cosine(**options):
    warmup = dict(type='LinearLR', end=1)
    return dict(param_scheduler=[warmup, dict(type='CosineAnnealingLR', **options)])


def crop(**options):
    return dict(type='RandomResizedCrop', **options)


def with_images(folder, **changes):
    changes |= {ROOT: str(folder), 'train_dataloader.dataset.with_label': False}
    return tiny_plan(**changes)


# finding: broken configs, each with what is said and what mends it
FAULTS = {
    'cannot_be_built': [
        ({'model.mask_generator.throw_ratio': 0.7}, r'sum to more than 1|0\.7'),
        ({'model.backbone.patch_size': 0}, 'backbone.patch_size must be at least 1'),
        (
            {'optim_wrapper.optimizer.type': 'AdamWW'},
            'the optimizer AdamWW cannot be built',
        ),
        ({'optim_wrapper.type': 'Wrap'}, 'the optimizer AdamW cannot be built.*Wrap'),
        (
            dict(default_hooks=dict(checkpoint=dict(type='Keep'), logger=None)),
            'default hook checkpoint: there is no hook Keep',
        ),
    ],
    'lost_geometry': [
        (
            pipeline(dict(type='EfficientNetRandomCrop', scale=32), PACK),
            'EfficientNetRandomCrop.* fix: replace it with one of the crops',
        )
    ],
    'lacking_safeguard': [
        (ibot('EMATeacherHook'), r'temperature 0\.07.* fix: .*TeacherTemperatureHook')
    ],
    'unscaled_lr': [
        (
            {'auto_scale_lr.base_batch_size': 10},
            'lr 0.001 is for 10 images .* 4 in a batch, 2 processes and 1 accumulated '
            r'make 8, with lr 0\.001 fix: add --auto-scale-lr .*lr=0\.0008',
        ),
        (
            {'auto_scale_lr.enable': True, 'optim_wrapper.accumulative_counts': 2},
            r'2 accumulated make 8, with lr 0\.0005 fix: .*lr=0\.001 without auto',
        ),
    ],
    'schedule_of_another_length': [
        (cosine(end=4), 'decays over 4 epochs and the run has 6 fix: .*T_max'),
        (cosine(begin=2, T_max=9), 'decays over 11 epochs and the run has 6'),
    ],
    'unfitting_weights': [
        (
            teacher('nowhere.pth'),
            r'nowhere\.pth here: the run stops.* fix: .* of the scorer=FILE',
        )
    ],
    'refused_at_start': [  # without images
        (NO_HOOKS, 'CachedAttention .*does nothing without.* fix: .*RefreshHook'),
        (
            {'train_cfg.max_epochs': 2},
            'begins after 2 epochs, the run has 2.* fix: .*set begin to less than 2',
        ),
        ({'model.scorer': None}, 'GuidedMAE with no scorer.* fix: .*CachedAttention'),
        (
            dict(custom_hooks=[dict(type='mmattmask.AttentionRefreshHook')] * 2),
            '2 hooks of this run are AttentionRefreshHooks',
        ),
        (
            ibot('TeacherTemperatureHook'),
            r"EMATeacher \(teacher\) does nothing without.* fix: .*k.EMATeacherHook'",
        ),
        (
            dict(train_cfg={**ITERATIONS}),
            'AttentionRefreshHook counts epochs.* fix: .*by_epoch=False',
        ),
        (
            dict(
                train_cfg={**ITERATIONS},
                custom_hooks=[dict(type='mmattmask.EpochSeedHook')],
                model=dict(scorer=None, mask_generator={**RANDOM}),
            ),
            'EpochSeedHook seeds epochs.* fix: .*remove it',
        ),
    ],
    'failing_step': [
        (
            pipeline(crop(scale=32), dict(type='PackInputs')),
            'images of 32 x 32 px have a grid.* fix: the size of the crop',
        ),
        (pipeline(crop(scale=(48, 32)), PACK), 'images of 48 x 32 px'),
        (FIVE, '5 channels.*cannot be made.* fix: .*in_channels of backbone'),
        (
            FIVE | {f'data_preprocessor.{key}': [1] * 3 for key in ('mean', 'std')},
            '5 channels.*cannot be made.* fix: .*mean and std of data_preprocessor',
        ),
        (
            dict(activation_checkpointing=['backbone.patch_embed']),
            'backbone.patch_embed in .* no gradient.* fix: name the blocks behind',
        ),
        (
            dict(activation_checkpointing='backbone.layers'),
            'backbone.layers in .* is a ModuleList.* fix: name modules with a forward',
        ),
        (dict(activation_checkpointing=['backbone.norm']), 'norm in .* is not there'),
    ],
}
# what is sound beside the tiny config as it is
SOUND = [
    ('lost_geometry', pipeline(crop(scale=32), dict(type='PackInputs'))),
    ('lacking_safeguard', ibot(*IBOT_HOOKS)),
    ('unscaled_lr', {'auto_scale_lr.base_batch_size': 12}),
    (
        'unscaled_lr',
        {'train_dataloader.batch_size': 2, 'optim_wrapper.accumulative_counts': 2},
    ),
    ('schedule_of_another_length', cosine(begin=1)),
    ('schedule_of_another_length', cosine(begin=1, T_max=5)),
    ('failing_step', dict(activation_checkpointing=['backbone.layers.0'])),
    ('failing_step', FIVE | {'model.neck.in_chans': 5, 'model.head.in_channels': 5}),
]


@pytest.mark.parametrize(
    ('name', 'broken', 'pattern'),
    [(name, *fault) for name, faults in FAULTS.items() for fault in faults],
)
def test_finding_names_fault_and_fix(name, broken, pattern):
    found = getattr(module, name)(tiny_plan(**broken))
    assert re.search(pattern, f'{found.sentence} fix: {found.fix}')


@pytest.mark.parametrize(('name', 'changes'), SOUND)
def test_nothing_is_found_where_nothing_is_wrong(name, changes):
    built = tiny_plan(**changes)
    assert not built.errors
    assert getattr(module, name)(built) is None


def test_problems_come_before_notes():
    assert not findings(tiny_plan())
    plan = {'auto_scale_lr.base_batch_size': None, 'load_from': 'nowhere.pth'}
    found = findings(tiny_plan(**plan))
    assert [finding.level for finding in found] == ['problem', 'note']


def test_every_finding_is_tested():
    elsewhere = {
        'amp_without_accelerator',
        'missing_data',
        'other_number_of_workers',
        'samples_without_names',
    }
    assert {check.__name__ for check in FINDINGS} == elsewhere | set(FAULTS)


def test_what_is_refused_of_the_images(tmp_path):
    found, *_ = findings(with_images(tmp_path))  # an empty folder
    assert 'the training images cannot be built' in found.sentence
    assert str(tmp_path) in found.sentence
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
    ('steps', 'sentence'),
    [
        ((LOAD, crop(scale=32), PACK), 'images of 32 x 32 px have a grid'),
        (
            (dict(LOAD, to_float32=True), crop(scale=32, backend='pillow'), PACK),
            'Pillow backend only support uint8',
        ),
    ],
)
def test_a_step_is_tried_with_the_images_themselves(tmp_path, steps, sentence):
    write_images(tmp_path, 3)
    plan = {'train_dataloader.dataset.pipeline': [*steps]}
    assert sentence in module.failing_step(with_images(tmp_path, **plan)).sentence


def test_limits_of_the_meta_device_are_no_problem():
    built = build_config(find('mae-gpa_hivit-tiny'), 'host.py')
    assert not built.errors
    assert module.failing_step(built) is None


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


class Broken(list):
    def __len__(self):
        return 5


def test_rate_of_the_loader(tmp_path):
    write_images(tmp_path, 3)
    built = with_images(tmp_path)
    assert built.loader_rate > 0
    rows = dict(loader_rows(built))
    assert rows['loading'].startswith(f'{built.loader_rate:.0f} images per second')
    assert rows['workers'].startswith('2 for each GPU: ')
    built.cfg.train_dataloader.num_workers = 0
    assert dict(loader_rows(built))['workers'].startswith('none: ')
    assert loader_rows(tiny_plan()) == []
    assert measured_rate([1, 2]) is measured_rate(Broken()) is None


def test_maps_of_the_images(tmp_path):
    write_images(tmp_path / 'images', 3)
    maps = tmp_path / 'maps.npy'
    np.save(maps, np.ones((3, 4, 6)))
    plan = scorer('UserMaps', path=str(maps))
    assert not findings(with_images(tmp_path / 'images', **plan))
    stock = dict(type='RandomResizedCrop', scale=(32, 48))  # exchanged, as in a run
    views = pipeline(stock, dict(type='PackInputs'))
    assert not findings(with_images(tmp_path / 'images', **plan, **views))
    np.save(maps, np.full((3, 4, 6), -1.0))
    found = module.refused_at_start(with_images(tmp_path / 'images', **plan))
    assert '3 of 3 maps cannot be used' in found.sentence + found.fix


def test_maps_without_their_images(tmp_path):
    np.save(tmp_path / 'x.npy', np.ones((4, 6)))
    assert not findings(tiny_plan(**scorer('UserMaps', path=str(tmp_path))))


def test_amp_is_found_only_without_an_accelerator():
    plan = {'optim_wrapper.type': 'AmpOptimWrapper'}
    built = tiny_plan(**plan, **{'optim_wrapper.loss_scale': 'dynamic'})
    built.device = 'cuda'
    assert module.amp_without_accelerator(built) is None
    built.device = 'cpu'
    found = module.amp_without_accelerator(built)
    assert 'AmpOptimWrapper' in found.sentence
    assert found.level == 'note'
    # the advice leaves none of AMP's options behind
    (advice,) = re.findall(r'optim_wrapper=(dict\(.*\.\.\.\))', found.fix)
    options = eval(advice, {'dict': dict})
    assert options.pop('_delete_')
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    OPTIM_WRAPPERS.build(dict(options, optimizer=optimizer))
    assert 'without loss_scale' in found.fix


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
    sound = dict(type='mmattmask.RandomResizedCrop', scale=(32, 48))
    lossy = dict(type='EfficientNetRandomCrop', scale=32)
    built = tiny_plan(**concat('mmattmask.ConcatDataset', sound, sound))
    assert not findings(built)
    assert len(built.pipelines) == 2
    built = tiny_plan(**concat('mmattmask.ConcatDataset', sound, lossy))
    assert 'EfficientNetRandomCrop' in module.lost_geometry(built).sentence
    built = tiny_plan(**concat('ConcatDataset', sound, sound))
    found = module.samples_without_names(built)
    assert found.level == 'problem'
    assert "'mmattmask.ConcatDataset'" in found.fix


def test_images_that_are_not_here(tmp_path):
    def missing(**changes):
        found = module.missing_data(tiny_plan(**changes))
        return found and found.sentence.partition(' with training images is not')[0]

    gone, prefix = tmp_path / 'gone', 'train_dataloader.dataset.data_prefix'
    assert missing(**{ROOT: str(gone)}) == str(gone)
    assert missing(**{ROOT: str(tmp_path)}) is None
    assert missing(**{ROOT: str(tmp_path), prefix: 'gone'}) == str(gone)
    assert missing(**{ROOT: 's3://bucket/images'}) is None
    cifar = dict(type='CIFAR10', data_root=str(gone), _delete_=True, pipeline=[])
    assert missing(**{'train_dataloader.dataset': cifar}) is None
    kept = dict(cifar, download=False)
    assert missing(**{'train_dataloader.dataset': kept}) is not None
    gone.mkdir()
    assert missing(**{ROOT: str(tmp_path), prefix: 'gone'}) is None


def with_file(path, way):
    if way == 'load_from':
        return dict(load_from=str(path))
    if way == 'init_cfg':
        init_cfg = dict(type='Pretrained', _scope_='mmattmask', checkpoint=str(path))
        return {'model.backbone.init_cfg': dict(init_cfg, grid=(4, 6))}
    return teacher(str(path))


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


@pytest.mark.parametrize(
    ('part', 'changes', 'wrong', 'sentence'),
    [
        (
            'maskfeat-am_vit-tiny',
            {},
            dict(throw_ratio=0.2),
            'GuidedDataPreprocessor has to do with every patch.*set throw_ratio=0',
        ),
        *(
            (
                'cae-gpa_beit-base',
                dict(num_masked=number),  # told, or of the neck
                dict(mask_ratio=0.5),
                '75 masked tokens.*masks 98 of 196: set mask_ratio=75/196',
            )
            for number in (75, None)
        ),
    ],
)
def test_hosts_of_every_patch(part, changes, wrong, sentence):
    cfg = find(part).copy()
    cfg.merge_from_dict(dict(data_preprocessor=changes))
    assert not build_config(cfg, 'host.py').errors
    cfg.merge_from_dict(dict(data_preprocessor=dict(mask_generator=wrong)))
    found = module.cannot_be_built(build_config(cfg, 'host.py'))
    assert re.search(sentence, found.sentence)
