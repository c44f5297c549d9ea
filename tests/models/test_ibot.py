"""iBOT as a host: lean equals dense, masks, crops of several sizes, wrong configs."""

import pytest
import torch
from mmengine.registry import MODELS
from torch.utils._python_dispatch import TorchDispatchMode

from mmattmask.geometry import view_samples
from mmattmask.scorers import Scorer

from .ibot_model import GivenMasks, build, given, ibot_config


def views(count=4, batch_size=3, size=48, small=24, seed=1):
    generator = torch.Generator().manual_seed(seed)
    sizes = [size] * 2 + [small] * (count - 2)
    shapes = [(batch_size, 3, side, side) for side in sizes]
    return [torch.randn(*shape, generator=generator) for shape in shapes]


def some_masks(images=6):
    """Masks of several sizes; the second image has none."""
    counts = torch.arange(images) * 4 % 17
    counts[1] = 0
    noise = torch.rand(images, 36, generator=torch.Generator().manual_seed(5))
    return (noise.argsort(1).argsort(1) < counts[:, None]).float()


def step(model, inputs, data_samples=None):
    """Losses, gradients and centres of a training step."""
    losses = model(inputs, data_samples, mode='loss')
    sum(losses.values()).backward()
    model.distillation.move_centers()
    values = {name: value.detach().clone() for name, value in losses.items()}
    values |= {
        name: value.grad.clone()
        for name, value in model.named_parameters()
        if value.grad is not None
    }
    return values | {name: value.clone() for name, value in model.named_buffers()}


def assert_equal_steps(first, second, **tolerance):
    assert first.keys() == second.keys()
    for name, value in first.items():
        torch.testing.assert_close(
            value, second[name], **tolerance, msg=lambda text, name=name: name + text
        )


@pytest.mark.parametrize('own', [None, 12])
@pytest.mark.parametrize('spare', [0, 5, 20])
def test_lean_equals_dense(own, spare):
    mask = some_masks()
    most = int(mask.sum(1).max())
    steps = []
    for dense in (True, False):
        generator = GivenMasks(lambda score: mask, most + spare)
        model = build(generator, head=dict(patch_out_channels=own), dense=dense)
        model.double()
        inputs = [view.double() for view in views()]
        torch.manual_seed(2)
        torch.nn.init.normal_(model.distillation.cls_center)
        torch.nn.init.normal_(model.distillation.patch_center)
        steps.append(step(model, inputs))
    assert_equal_steps(*steps)
    centers = [name for name in steps[0] if name.endswith('_center')]
    trained = [name for name in steps[0] if not name.endswith('_center')]
    assert len(centers) == 2
    assert all(steps[0][name].any() for name in trained if 'mask' not in name)


class NoHostSync(TorchDispatchMode):
    """Fail on operations whose result the host has to wait for."""

    WAITING = ('_local_scalar_dense', 'nonzero', 'masked_select', 'equal', 'unique')

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        assert name not in self.WAITING, func
        if name.startswith('index') and isinstance(args[1], list | tuple):
            assert not any(i is not None and i.dtype == torch.bool for i in args[1])
        return func(*args, **(kwargs or {}))


GENERATORS = [
    dict(type='mmattmask.AttMaskGenerator', mask_ratio=(0.1, 0.5), mask_prob=0.5),
    dict(type='mmattmask.AttMaskGenerator', mode='hint', mask_ratio=(0.1, 0.5)),
    dict(type='mmattmask.IBOTMaskGenerator'),
    dict(type='mmattmask.RandomMaskGenerator', mask_ratio=0.4),
]


@pytest.mark.parametrize('generator', GENERATORS)
@pytest.mark.parametrize('seed', [0, 1])
def test_lean_equals_dense_with_masks_that_are_drawn(generator, seed):
    steps = []
    for dense in (True, False):
        model = build(generator, dense=dense).double()
        model.guidance.rng = torch.Generator().manual_seed(seed)
        steps.append(step(model, [view.double() for view in views()]))
    assert_equal_steps(*steps)
    assert steps[0]['backbone.mask_token'].any()


@pytest.mark.parametrize('generator', GENERATORS)
def test_a_step_never_waits_for_the_device(generator):
    model = build(generator)
    with NoHostSync():
        losses = model(views(), None, mode='loss')
        sum(losses.values()).backward()


def test_the_guard_against_waiting_notices():
    mask = torch.ones(3)
    for wait in (lambda: mask[mask > 0], lambda: mask.sum().item()):
        with pytest.raises(AssertionError), NoHostSync():
            wait()


def test_a_warm_up_policy_may_mask_more():
    mask = some_masks()
    most = int(mask.sum(1).max())
    steps = []
    for dense in (True, False):
        warmup = GivenMasks(lambda score: mask, most)
        model = build(
            GivenMasks(None, 2),
            scorer=Recorder(False, known=False),
            warmup_mask_generator=warmup,
            dense=dense,
        )
        steps.append(step(model, views()))
    assert_equal_steps(*steps)


def test_the_score_is_the_teachers_attention_to_each_large_crop():
    generator = GivenMasks(lambda score: (score > score.mean()).float())
    model = build(generator)
    for value in model.teacher['backbone'].parameters():
        value.mul_(3)
    inputs = views()
    model(inputs, None, mode='loss')
    for index, view in enumerate(inputs[:2]):
        alone = model.guidance.score(view, None)
        torch.testing.assert_close(generator.score[3 * index : 3 * index + 3], alone)
    assert (generator.score.sum(1) < 1).all()  # the rest is attention to CLS
    shuffled = dict(
        type='mmattmask.ShuffledMaps', scorer=dict(type='mmattmask.TeacherAttention')
    )
    own = generator.score
    anothers = build(generator, scorer=shuffled)
    anothers.load_state_dict(model.state_dict())
    passes = []
    anothers.teacher['backbone'].register_forward_hook(lambda *_: passes.append(1))
    anothers(inputs, None, mode='loss')
    assert len(passes) == 1  # the one that makes the targets
    for score, expected in zip(generator.score.split(3), own.split(3), strict=True):
        torch.testing.assert_close(score, expected.roll(1, dims=0))
    generator.score = own
    other = build(generator, seed=0).guidance.score(
        inputs[0], None
    )  # the student's weights
    assert not torch.allclose(other, generator.score[:3], rtol=1e-3)


class Recorder(Scorer):
    """A scorer that keeps what it is asked."""

    def __init__(self, reads_geometry, known=True):
        super().__init__()
        self.reads_geometry, self.known, self.asked = reads_geometry, known, []

    def check(self, backbone):
        self.checked = backbone

    def forward(self, inputs, data_samples, grid, patch_size):
        self.asked.append((inputs, data_samples, grid, patch_size))
        return (
            inputs.new_full((len(inputs), 36), len(self.asked)) if self.known else None
        )


def sample(index):
    from mmpretrain.structures import DataSample

    boxes = [(float(index), float(view), 9.0, 9.0) for view in range(4)]
    meta = dict(crop_box=boxes, flip=[False, True] * 2, flip_direction=[None] * 4)
    meta |= dict(sample_idx=index, ori_shape=(40, 40))
    return DataSample(metainfo=meta)


@pytest.mark.parametrize('reads_geometry', [False, True])
def test_another_scorer_sees_each_large_crop_and_its_geometry(reads_geometry):
    generator, scorer = given(some_masks()), Recorder(reads_geometry)
    model = build(generator, scorer=scorer)
    assert scorer.checked is model.backbone
    inputs, samples = views(), [sample(index) for index in range(3)]
    model(inputs, samples, mode='loss')
    assert len(scorer.asked) == 2
    for index, (images, given_samples, grid, patch_size) in enumerate(scorer.asked):
        assert torch.equal(images, inputs[index])
        assert (grid, patch_size) == ((6, 6), 8)
        expected = view_samples(samples, index) if reads_geometry else samples
        assert given_samples == expected
    assert generator.score[:3].unique() == 1
    assert generator.score[3:].unique() == 2


def test_without_a_score_the_warm_up_policy_decides():
    warmup, later = given(some_masks()), GivenMasks(None)
    scorer = Recorder(False, known=False)
    model = build(later, scorer=scorer, warmup_mask_generator=warmup)
    model(views(), None, mode='loss')
    assert not warmup.score.any()
    model = build(warmup, scorer=scorer)  # by default the policy without a score
    model(views(), None, mode='loss')
    assert not warmup.score.any()


def test_masking_can_wait():
    model = build(given(some_masks()))
    model.guidance.masking = False
    values = step(model, views())
    assert values['loss_patch'] == 0
    assert values['distillation.patch_center'].any()
    assert not values['backbone.mask_token'].any()
    plain = step(build(given(torch.zeros(6, 36))), views())
    plain.pop('backbone.mask_token'), values.pop('backbone.mask_token')
    assert_equal_steps(values, plain)


def test_dino_is_ibot_without_masks():
    inputs = [view.double() for view in views()]
    values = step(build(patch_weight=0).double(), inputs)
    assert 'loss_patch' not in values
    assert 'backbone.mask_token' not in values
    assert values['distillation.cls_center'].any()
    assert not values['distillation.patch_center'].any()
    ibot = step(build(given(torch.zeros(6, 36))).double(), inputs)
    for name, value in values.items():
        if name != 'distillation.patch_center':
            torch.testing.assert_close(value, ibot[name], msg=name)
    model = build(patch_weight=0)
    with_grad = [
        name for name, value in model.named_parameters() if value.requires_grad
    ]
    assert set(with_grad) <= values.keys()  # nothing for DDP to miss


@pytest.mark.parametrize('own', [None, 12])
@pytest.mark.parametrize('masking', [True, False])
def test_every_trained_parameter_has_a_gradient(own, masking):
    model = build(given(some_masks()), head=dict(patch_out_channels=own))
    model.guidance.masking = masking
    values = step(model, views())
    trained = {name for name, value in model.named_parameters() if value.requires_grad}
    assert trained <= values.keys()
    assert not any(name.startswith('teacher.') for name in trained)


def test_small_crops_of_several_sizes():
    inputs = views(count=5)
    inputs[3] = torch.randn(3, 3, 16, 32)
    model = build(given(some_masks()))
    sizes = []
    model.backbone.register_forward_pre_hook(
        lambda module, args: sizes.append((len(args[0]), *args[0].shape[-2:]))
    )
    model(inputs, None, mode='loss')
    assert sizes == [(6, 48, 48), (3, 24, 24), (3, 16, 32), (3, 24, 24)]


def test_one_large_crop_and_grids_that_are_not_square():
    mask = some_masks(3)[:, :12]
    model = build(given(mask), num_global=1)
    inputs = [torch.randn(3, 3, 24, 32), torch.randn(3, 3, 16, 16)]
    values = step(model, inputs)
    assert all(torch.isfinite(value).all() for value in values.values())
    assert model.guidance.mask_generator.grid == (3, 4)


def test_centres_stay_outside_of_training():
    model = build(given(some_masks())).eval()
    model(views(), None, mode='loss')
    model.distillation.move_centers()
    assert not model.distillation.cls_center.any()
    assert not model.distillation.patch_center.any()


def test_the_teacher_runs_without_drop_path():
    model = build(given(some_masks()), backbone=dict(drop_path_rate=0.5))
    inputs = views()
    first, second = model.teach(inputs[0])[0], model.teach(inputs[0])[0]
    assert torch.equal(first, second)
    (one,), (other,) = model.backbone(inputs[0]), model.backbone(inputs[0])
    assert not torch.equal(one, other)


def test_mixed_precision_keeps_losses_and_centres_in_float32():
    model = build(given(some_masks()))
    full = step(model, views())
    model = build(given(some_masks()))
    with torch.autocast('cpu', torch.bfloat16):
        losses = model(views(), None, mode='loss')
    for name, loss in losses.items():
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss.detach(), full[name], rtol=0.02, atol=0)
    assert model.distillation.patch_center.dtype == torch.float32


def test_checkpoints():
    model = build(given(some_masks()))
    step(model, views())
    state = model.state_dict()
    assert 'teacher.backbone.mask_token' not in state
    other = build(given(some_masks()), seed=4)
    other.load_state_dict(state, strict=True)
    assert torch.equal(other.distillation.cls_center, model.distillation.cls_center)
    student = {k: v for k, v in state.items() if not k.startswith('teacher.')}
    other = build(given(some_masks()), seed=4)
    other.load_state_dict(student, strict=True)  # the teacher follows
    for name, value in other.teacher.state_dict().items():
        assert torch.equal(value, state[name]), name


def test_features_are_the_students_tokens():
    model = build(given(some_masks()))
    (tokens,) = model(views()[0], mode='tensor')
    assert tokens.shape == (3, 37, 24)
    assert torch.equal(tokens, model.backbone(views()[0])[-1])


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(mask_generator=None), r'patch_weight \(1\.0\) needs a mask_generator'),
        (dict(backbone__with_mask_token=False), r'with_mask_token=False'),
        (dict(backbone__out_type='featmap'), r"must be 'raw', got 'featmap'"),
        (dict(head__in_channels=25), r'width 25, those of the backbone have 24'),
        (dict(num_global=0), r'num_global must be at least 1, got 0'),
        (dict(patch_weight=0, head__patch_out_channels=9), r'patch_out_channels \(9\)'),
        (dict(student_temp=0), r'student_temp \(0\) must be positive'),
        (dict(center_momentum=1.5), r'got \(1\.5, 0\.9\)'),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes, message):
    config = {**ibot_config(), 'mask_generator': given(some_masks())}
    for key, value in changes.items():
        part, _, name = key.partition('__')
        (config[part] if name else config)[name or part] = value
    with pytest.raises(ValueError, match=message):
        MODELS.build(config)


@pytest.mark.parametrize(
    ('inputs', 'message'),
    [
        (torch.zeros(3, 3, 48, 48), 'at least 2 crops, 2 of them large, got 1'),
        ([torch.zeros(3, 3, 48, 48)], 'at least 2 crops, 2 of them large, got 1'),
        (views(small=20), r'patch size \(8\) does not divide the image size \(20 x 20'),
        (views()[1:], r'must have one size, got \[\(48, 48\), \(24, 24\)\]'),
    ],
)
def test_wrong_crops_are_refused(inputs, message):
    with pytest.raises(ValueError, match=message):
        build(given(some_masks()))(inputs, None, mode='loss')
