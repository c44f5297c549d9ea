"""Hooks of EMA teachers: schedules, gradient accumulation, resumed runs, bad input."""

import math
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import nn

from mmattmask.engine import EMATeacherHook, LinearEMATeacherHook
from mmattmask.engine.ema_teacher_hook import cosine_momentum
from mmattmask.mask_generators import SoftToHardMaskGenerator
from mmattmask.scorers import EMATeacher

from .toy_run import assert_equal_weights, toy_config, train, weights

HOOKS = [dict(type='mmattmask.EMATeacherHook'), dict(type='mmattmask.EpochSeedHook')]
MOVED = (5.0, 5.0, 10.0, 10.0)  # another crop_box, in px
ITERATIONS = 3  # of an epoch: 22 images in batches of 8, the last one short


class SpyTeacher(EMATeacher):
    """Remembers what the hook asked for, and the student's weights at that time."""

    def init_weights(self):
        super().init_weights()
        self.momenta, self.cls_tokens = [], []

    def move(self, momentum):
        super().move(momentum)
        if hasattr(self, 'momenta'):
            self.momenta.append(momentum)
            student = self.students['backbone']
            self.cls_tokens.append(student.cls_token.detach().clone())


@pytest.fixture(autouse=True)
def spies(monkeypatch):
    monkeypatch.setattr('mmattmask.models.lut.EMATeacher', SpyTeacher)


def config(work_dir, data_root, **changes):
    view = [
        dict(type='ResizeEdge', scale=16),
        dict(type='mmattmask.RandomCrop', crop_size=16, padding=2),
        dict(type='RandomFlip', prob=0.5),
    ]
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='mmattmask.MultiView', num_views=[2], transforms=[view]),
        dict(type='mmattmask.PackInputs'),
    ]
    return toy_config(
        work_dir,
        data_root,
        **{
            'model__type': 'mmattmask.LUT',
            'model__hid_channels': 32,
            'model__scorer': None,
            'train_dataloader__dataset__pipeline': pipeline,
            'train_cfg__max_epochs': 2,
            'custom_hooks': HOOKS,
            **changes,
        },
    )


def test_momentum_falls_along_half_a_cosine():
    steps = [cosine_momentum(step, 10, 0.004, 0.0) for step in range(11)]
    assert steps[0] == 0.004
    assert steps[5] == pytest.approx(0.002)
    assert steps[10] == 0.0
    assert all(now > later for now, later in pairwise(steps))
    assert cosine_momentum(3, 10, 0.1, 0.1) == pytest.approx(0.1)


def test_every_step_of_a_run_moves_the_teacher(tmp_path, data_root):
    runner = train(config(tmp_path, data_root))
    model = runner.model
    total = 2 * ITERATIONS
    expected = [
        0.004 * (1 + math.cos(math.pi * step / total)) / 2 for step in range(total)
    ]
    assert model.teacher.momenta == pytest.approx(expected)
    # after the optimizer: the teacher is the average of the weights that came out
    first = torch.load(tmp_path / 'epoch_1.pth', weights_only=False)['state_dict']
    value = first['teacher.backbone.cls_token']
    for step in range(ITERATIONS, total):
        value = value.lerp(model.teacher.cls_tokens[step], model.teacher.momenta[step])
    torch.testing.assert_close(model.teacher['backbone'].cls_token, value)
    assert torch.equal(model.teacher.cls_tokens[-1], model.backbone.cls_token)
    assert not torch.equal(
        model.teacher['backbone'].cls_token, model.teacher.cls_tokens[-1]
    )


def test_accumulated_iterations_count_as_one_step(tmp_path, data_root):
    cfg = config(tmp_path, data_root, optim_wrapper__accumulative_counts=4)
    cfg.custom_hooks[0].update(momentum=0.5, end_momentum=0.1)
    model = train(cfg).model
    # iterations 0-3, and the 2 that are left at the end of training
    expected = [cosine_momentum(step, 2, 0.5, 0.1) for step in range(2)]
    assert model.teacher.momenta == pytest.approx(expected)
    assert not torch.equal(*model.teacher.cls_tokens)


@pytest.mark.parametrize('accumulated', [1, 2])
def test_resumed_run_equals_an_uninterrupted_one(tmp_path, data_root, accumulated):
    changes = dict(train_cfg__max_epochs=4)
    changes['optim_wrapper__accumulative_counts'] = accumulated
    whole = train(config(tmp_path / 'whole', data_root, **changes))
    resumed = train(
        config(
            tmp_path / 'resumed',
            data_root,
            load_from=str(tmp_path / 'whole' / 'epoch_2.pth'),
            resume=True,
            **changes,
        )
    )
    count = 4 * ITERATIONS // accumulated
    assert len(whole.model.teacher.momenta) == count
    assert resumed.model.teacher.momenta == whole.model.teacher.momenta[count // 2 :]
    assert_equal_weights(weights(whole), weights(resumed))
    assert any(name.startswith('teacher.projector.bn0') for name in weights(whole))


def test_attention_of_the_first_view_guides_its_mask(tmp_path, data_root):
    refresh = dict(type='mmattmask.AttentionRefreshHook', begin=1, interval=1)
    scorer = dict(type='mmattmask.CachedAttention')
    cfg = config(
        tmp_path, data_root, model__scorer=scorer, custom_hooks=[*HOOKS, refresh]
    )
    runner = train(cfg)
    model = runner.model
    assert len(model.teacher.momenta) == 2 * ITERATIONS
    bank = model.guidance.scorer.bank
    assert bank.header.source == 'epoch 1'
    data = model.data_preprocessor(next(iter(runner.train_dataloader)), training=True)
    score, partition = model.guidance.guide(**data)
    alone, _ = model.guidance.guide(data['inputs'][0], data['data_samples'])
    assert score.shape == (8, 16)
    assert torch.equal(score, alone)
    assert partition.budget == model.guidance.mask_generator.budget(16)
    for key, other in (('flip', lambda flip: not flip), ('crop_box', lambda _: MOVED)):
        for sample in data['data_samples']:
            sample.set_metainfo({key: other(getattr(sample, key))})
        changed, _ = model.guidance.guide(**data)
        assert not torch.equal(changed, score)
        score = changed


def test_a_model_without_teacher_is_refused(tmp_path, data_root):
    cfg = config(tmp_path, data_root, model__type='mmattmask.GuidedMAE')
    del cfg.model.hid_channels
    with pytest.raises(ValueError, match=r'with an EMA teacher.*got GuidedMAE'):
        train(cfg)


@pytest.mark.parametrize('momenta', [(0.996, 1.1), (-0.1, 0.0)])
def test_momentum_outside_its_range_is_refused(momenta):
    with pytest.raises(ValueError, match=f'momentum .{momenta[0]}'):
        EMATeacherHook(*momenta)


def test_a_teacher_follows_weights_that_were_loaded_cast_or_replaced():
    host = nn.Module()
    host.student = nn.Linear(2, 2)
    host.teacher = EMATeacher(host, 'teacher', student='student')
    host.teacher.move(0.5)
    host.load_state_dict({k: v + 1 for k, v in host.state_dict().items()})
    host.double()
    host.teacher.move(1.0)
    assert torch.equal(host.teacher['student'].weight, host.student.weight)
    assert host.teacher['student'].weight.dtype == torch.float64
    host.student.weight.data = torch.ones(2, 2).double()
    host.train()  # a new epoch
    host.teacher.move(1.0)
    assert torch.equal(host.teacher['student'].weight, host.student.weight)


def hpm_config(work_dir, data_root, **changes):
    """HPM, whose teacher's momentum changes linearly in the first two epochs."""
    hook = dict(type='mmattmask.LinearEMATeacherHook', momentum=0.5, ramp_epochs=2)
    masks = dict(type='mmattmask.SoftToHardMaskGenerator', soft=(0, 0), hard=(0, 0.5))
    return toy_config(
        work_dir,
        data_root,
        **{
            'model__scorer': dict(type='mmattmask.PredictedLoss'),
            'model__mask_generator': {**masks, 'include_current': True},
            'train_cfg__max_epochs': 4,
            'custom_hooks': [hook, dict(type='mmattmask.EpochSeedHook')],
            **changes,
        },
    )


@pytest.fixture(scope='module')
def hpm(tmp_path_factory, data_root):
    """A run of HPM, and what its teacher was asked for."""
    asked, move = [], EMATeacher.move
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            EMATeacher, 'move', lambda self, m: asked.append(m) or move(self, m)
        )
        return train(hpm_config(tmp_path_factory.mktemp('hpm'), data_root)), asked


def test_ramp_per_epoch_then_constant(hpm):
    start, *momenta = hpm[1]
    assert start == 1.0  # initialised as the student
    expected = [0.5, (0.5 + 0.0001) / 2, 0.0001, 0.0001]
    assert momenta == pytest.approx([m for m in expected for _ in range(ITERATIONS)])


def test_accumulated_gradients_move_the_teacher_of_hpm_once(
    tmp_path, data_root, monkeypatch
):
    asked = []
    monkeypatch.setattr(
        EMATeacher, 'move', lambda self, momentum: asked.append(momentum)
    )
    train(hpm_config(tmp_path, data_root, optim_wrapper__accumulative_counts=2))
    assert len(asked) - 1 == 4 * ITERATIONS / 2


def test_resumed_run_of_hpm_equals_an_uninterrupted_one(tmp_path, data_root, hpm):
    checkpoint = str(Path(hpm[0].work_dir) / 'epoch_2.pth')
    cfg = hpm_config(tmp_path, data_root, load_from=checkpoint, resume=True)
    state = weights(hpm[0])
    assert_equal_weights(state, weights(train(cfg)))
    teacher = state['guidance.scorer.teacher.decoder.pred.weight']
    assert not torch.equal(teacher, state['guidance.scorer.decoder.pred.weight'])


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(momentum=0.999, end_momentum=1.5), r'end_momentum \(1.5\)'),
        (dict(ramp_epochs=0), 'ramp_epochs must be at least 1, got 0'),
    ],
)
def test_bad_options_of_the_ramp(options, message):
    with pytest.raises(ValueError, match=message):
        LinearEMATeacherHook(**options)


def test_an_iteration_based_run_of_hpm_goes_through_its_schedules(
    tmp_path, data_root, monkeypatch
):
    seen, asked, move = [], [], EMATeacher.move
    iterations = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=12)
    by_iter = dict(type='CheckpointHook', by_epoch=False)
    shuffle = SoftToHardMaskGenerator.shuffle

    def spy(self, score, budget, rng, progress, grid):
        seen.append(progress)
        return shuffle(self, score, budget, rng, progress, grid)

    monkeypatch.setattr(SoftToHardMaskGenerator, 'shuffle', spy)
    monkeypatch.setattr(
        EMATeacher, 'move', lambda self, m: asked.append(m) or move(self, m)
    )
    cfg = hpm_config(
        tmp_path, data_root, train_cfg=iterations, default_hooks__checkpoint=by_iter
    )
    cfg.train_dataloader.sampler.type = 'InfiniteSampler'
    cfg.custom_hooks = [h for h in cfg.custom_hooks if 'EpochSeed' not in h.type]
    train(cfg)
    assert seen[-12:] == pytest.approx([(i + 1) / 12 for i in range(12)])
    assert len(set(asked[1:])) == 3
