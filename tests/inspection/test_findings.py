"""Every finding on a config that has the fault, and on one that has not."""

import re

import pytest

from mmattmask.inspection import findings as module
from mmattmask.inspection.findings import FINDINGS, findings
from mmattmask.inspection.plan import read_plan
from tests.config_building import ROOT, find
from tests.inspection.tiny_plan import SIMMIM, tiny_config, tiny_plan
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


def simmim(rounding):
    model = dict(SIMMIM, _delete_=True)
    generator = dict(type='mmattmask.AMTMaskGenerator', mask_ratio=0.44)
    model['mask_generator'] = dict(generator, throw_ratio=0.26, rounding=rounding)
    return dict(model=model, **NO_HOOKS)


class ToldTheEpoch:
    def set_epoch(self, epoch):
        pass


# finding: a broken config, what it says, what mends it, a sound one
CASES = {
    'cannot_be_built': (
        {'model.mask_generator.throw_ratio': 0.7},
        r'sum to more than 1|0\.7',
        'sentence',
        {},
    ),
    'misplaced_throw_ratio': (
        {'model.neck.throw_ratio': 0.4},
        r'model\.neck\.throw_ratio',
        r'throw_ratio=0\.4\)',
        {'model.mask_generator.throw_ratio': 0.4},
    ),
    'lost_geometry': (
        pipeline(dict(type='EfficientNetRandomCrop', scale=32), PACK),
        'EfficientNetRandomCrop',
        '^replace it with one of the crops',
        pipeline(dict(type='RandomResizedCrop', scale=32), dict(type='PackInputs')),
    ),
    'cached_without_refresh': (NO_HOOKS, 'random to the end', 'RefreshHook', {}),
    'refresh_too_late': (
        {'train_cfg.max_epochs': 2},
        'before epoch 2, the run has 2',
        'begin=1',
        {'train_cfg.max_epochs': 3},
    ),
    'epochs_without_epochs': (
        {'train_cfg': ITERATIONS},
        'AttentionRefreshHook counts epochs',
        'by_epoch=False',
        {},
    ),
    'refresh_without_cached': (NO_SCORER, 'no scorer', 'CachedAttention', {}),
    'still_teacher': (
        ibot('TeacherTemperatureHook'),
        'teacher of IBOT never moves',
        "'mmattmask.EMATeacherHook'",
        ibot('TeacherTemperatureHook', 'EMATeacherHook'),
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
    'simmim_rounds_up': (
        simmim('down'),
        'of 49 cells 21 are masked',
        "rounding='up'",
        simmim('up'),
    ),
    'missing_teacher': (
        TEACHER,
        r'nowhere\.pth',
        'checkpoint=',
        {**TEACHER, 'model.scorer.checkpoint': str(ROOT / 'README.md')},
    ),
    'other_randomness_after_resume': (
        dict(resume=True),
        'resumed run',
        'EpochSeedHook',
        dict(resume=True, custom_hooks=[dict(type='mmattmask.EpochSeedHook')]),
    ),
}


@pytest.mark.parametrize('name', CASES)
def test_finding_names_fault_and_fix(name):
    broken, sentence, fix, sound = CASES[name]
    check = getattr(module, name)
    found = check(tiny_plan(**broken))
    assert re.search(sentence, found.sentence)
    assert re.search(fix, found.fix)
    assert check(tiny_plan(**sound)) is None


def test_amp_is_found_only_without_an_accelerator():
    plan = tiny_plan(**AMP)
    plan.device = 'cpu'
    found = module.amp_without_accelerator(plan)
    assert 'AmpOptimWrapper' in found.sentence
    assert found.level == 'note'
    plan.device = 'cuda'
    assert module.amp_without_accelerator(plan) is None


def test_state_in_persistent_workers_is_found():
    plan = tiny_plan()
    assert module.state_in_workers(plan) is None
    plan.transforms.append(ToldTheEpoch())
    assert 'set_epoch() of ToldTheEpoch' in module.state_in_workers(plan).sentence
    plan.cfg.train_dataloader.persistent_workers = False
    assert module.state_in_workers(plan) is None


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
    plan = tiny_plan(name, gpus)
    assert (module.unscaled_lr(plan) is None) == is_scaled
    plan.cfg.auto_scale_lr.enable = True
    assert module.unscaled_lr(plan) is None


def host_plan(part, **changes):
    cfg = find(part).copy()
    cfg.merge_from_dict(changes)
    return read_plan(cfg, 'host.py')


def test_hosts_of_every_patch_cannot_throw():
    part = 'maskfeat-am_vit-tiny'
    assert module.throws_what_it_needs(host_plan(part)) is None
    options = {'data_preprocessor.mask_generator.throw_ratio': 0.2}
    found = module.throws_what_it_needs(host_plan(part, **options))
    assert 'GuidedDataPreprocessor has to do with every patch' in found.sentence
    assert found.fix.startswith('set throw_ratio=0')


def test_cae_needs_its_number_of_masked_patches():
    part = 'cae-gpa_beit-base'
    assert module.wrong_mask_count(host_plan(part)) is None
    options = {'data_preprocessor.mask_generator.mask_ratio': 0.5}
    found = module.wrong_mask_count(host_plan(part, **options))
    assert 'needs 75 masked patches in every image, the policy masks 98' in (
        found.sentence
    )
    assert found.fix.endswith('75/196')


def test_every_finding_is_tested():
    elsewhere = {
        'amp_without_accelerator',
        'state_in_workers',
        'throws_what_it_needs',
        'wrong_mask_count',
    }
    assert {check.__name__ for check in FINDINGS} == elsewhere | set(CASES)


def test_problems_come_before_notes():
    found = findings(tiny_plan(resume=True, custom_hooks=[]))
    assert [finding.level for finding in found] == ['problem', 'note']
    assert not findings(tiny_plan())


def test_reading_leaves_the_config_as_it_is():
    cfg = tiny_config()
    before = cfg.to_dict()
    read_plan(cfg, 'tiny.py')
    assert cfg.to_dict() == before
