"""LinearEMATeacherHook in real runs of HPM: ramp, accumulation, resuming, two ranks."""

import pytest
import torch

from mmattmask.engine import LinearEMATeacherHook
from mmattmask.scorers import EMATeacher

from .toy_run import assert_equal_weights, toy_config, train, weights, write_images

HOOKS = [
    dict(type='mmattmask.LinearEMATeacherHook', momentum=0.5, ramp_epochs=2),
    dict(type='mmattmask.EpochSeedHook'),
]
MASKS = dict(
    type='mmattmask.SoftToHardMaskGenerator',
    soft=(0, 0),
    hard=(0, 0.5),
    include_current=True,
)
ITERATIONS = 3  # of an epoch: 22 images in batches of 8, the last one short


@pytest.fixture
def momenta(monkeypatch):
    """What the hook asks the teacher for."""
    asked = []
    move = EMATeacher.move

    def spy(self, momentum):
        asked.append(momentum)
        move(self, momentum)

    monkeypatch.setattr(EMATeacher, 'move', spy)
    return asked


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp('images'))


def config(work_dir, data_root, **changes):
    return toy_config(
        work_dir,
        data_root,
        **{
            'model__scorer': dict(type='mmattmask.PredictedLoss'),
            'model__mask_generator': MASKS,
            'train_cfg__max_epochs': 4,
            'custom_hooks': HOOKS,
            **changes,
        },
    )


def test_ramp_per_epoch_then_constant(tmp_path, data_root, momenta):
    train(config(tmp_path, data_root))
    start, *momenta = momenta
    assert start == 1.0  # initialised as the student
    expected = [0.5, (0.5 + 0.0001) / 2, 0.0001, 0.0001]
    assert momenta == pytest.approx([m for m in expected for _ in range(ITERATIONS)])


def test_accumulated_gradients_move_the_teacher_once(tmp_path, data_root, momenta):
    train(config(tmp_path, data_root, optim_wrapper__accumulative_counts=2))
    assert len(momenta) - 1 == 4 * ITERATIONS / 2


def test_resumed_run_equals_an_uninterrupted_one(tmp_path, data_root):
    whole = train(config(tmp_path / 'whole', data_root))
    resumed = train(
        config(
            tmp_path / 'resumed',
            data_root,
            load_from=str(tmp_path / 'whole' / 'epoch_2.pth'),
            resume=True,
        )
    )
    assert_equal_weights(weights(whole), weights(resumed))
    state = weights(whole)
    teacher = state['guidance.scorer.teacher.decoder.pred.weight']
    assert not torch.equal(teacher, state['guidance.scorer.decoder.pred.weight'])


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(momentum=0.999, end_momentum=1.5), r'end_momentum \(1.5\)'),
        (dict(ramp_epochs=0), 'ramp_epochs must be at least 1, got 0'),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        LinearEMATeacherHook(**options)


def test_model_without_a_teacher(tmp_path, data_root):
    with pytest.raises(
        ValueError, match=r'needs a model with an EMA teacher.*GuidedMAE'
    ):
        train(config(tmp_path, data_root, model__scorer=None))
