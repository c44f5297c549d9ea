"""HPM's host: what it learns, what its teacher is, what it refuses."""

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.registry import MODELS

from mmattmask.masking import min_max
from mmattmask.models.guidance import attention_maps
from tests import tiny_hosts

from .training_step import step

THROWING = dict(type='mmattmask.AMTMaskGenerator', mask_ratio=0.45, throw_ratio=0.40)
HPM_MASKS = dict(
    type='mmattmask.SoftToHardMaskGenerator',
    soft=(0, 0),
    hard=(0, 0.5),
    include_current=True,
)


@pytest.fixture
def build(guided_mae_config):
    """Builder of initialised models."""

    def make(**changes):
        torch.manual_seed(0)
        options = changes.pop('options', {})
        scorer = dict(type='mmattmask.PredictedLoss', **options)
        config = guided_mae_config(
            **{'mask_generator': HPM_MASKS, 'scorer': scorer, **changes}
        )
        model = MODELS.build(config)
        model.init_weights()
        return model

    return make


@pytest.mark.parametrize('relative', [True, False])
@pytest.mark.parametrize('generator', [HPM_MASKS, THROWING])
def test_every_parameter_of_the_student_and_none_of_the_teacher_learns(
    build, generator, relative
):
    model = build(options=dict(relative=relative), mask_generator=generator)
    losses = step(model)
    assert list(losses) == ['loss', 'loss_prediction']
    for name, value in model.named_parameters():
        if '.teacher.' in name:
            assert not value.requires_grad, name
            assert value.grad is None, name
        elif value.requires_grad:
            # a shift of all predictions does not change their order
            assert value.grad.any() or (relative and name.endswith('pred.bias')), name


def test_pixels_do_not_notice(build, guided_mae):
    model = build()
    alone = guided_mae(mask_generator=dict(type='mmattmask.RandomMaskGenerator'))
    state = model.state_dict()
    alone.load_state_dict({name: state[name] for name in alone.state_dict()})
    torch.manual_seed(5)
    images = torch.randn(3, 3, 48, 48)
    partition = model.guidance.guide(images, None)[1]
    score = torch.rand(3, 36)
    for host in (model, alone):
        host.guidance.guide = lambda inputs, data_samples: (score, partition)
    losses = [m(images, None, mode='loss')['loss'] for m in (model, alone)]
    assert torch.equal(*losses)


def test_prediction_learns_from_the_reconstruction_but_not_the_other_way(build):
    model = build()
    model(torch.randn(3, 3, 48, 48), None, mode='loss')['loss_prediction'].backward()
    assert model.backbone.cls_token.grad.any()  # as in HPM
    assert model.neck.decoder_pred.weight.grad is None
    assert all(value.grad is None for value in model.neck.decoder_blocks.parameters())


def test_thrown_and_visible_patches_are_outside_of_the_loss(build):
    model = build(mask_generator=THROWING)
    partition = model.guidance.guide(torch.randn(3, 3, 48, 48), None)[1]
    tokens, error = torch.randn(3, 1 + 22, 32), torch.rand(3, 36)
    outside = 1 - partition.mask
    for scorer in (
        model.guidance.scorer,
        build(options=dict(relative=False)).guidance.scorer,
    ):

        def loss(tokens, error, scorer=scorer):
            losses = scorer.loss(None, partition, error, 0.0, tokens)
            return losses['loss_prediction']

        base = loss(tokens, error)
        assert loss(tokens, error + outside) == base
        assert loss(tokens, error + torch.rand(3, 36)) != base


def test_score_is_the_teachers_prediction_in_order_and_the_masks_follow_it(
    build, monkeypatch
):
    model = build()
    images = torch.randn(3, 3, 48, 48)
    with torch.no_grad():
        for value in model.guidance.scorer.decoder.parameters():
            value.add_(torch.randn_like(value))
    before = model.guidance.scorer.predict(images)
    model.guidance.scorer.teacher.move(1.0)
    pred = model.guidance.scorer.predict(images)
    assert not torch.allclose(before, pred)
    hub = MessageHub('hpm')
    hub.update_info_dict(dict(epoch=9, max_epochs=10))
    monkeypatch.setattr(MessageHub, 'get_current_instance', lambda: hub)
    score, partition = model.guidance.guide(images, None)
    assert torch.equal(score, min_max(pred))
    top = pred.topk(27 // 2, dim=1).indices
    assert (partition.mask.gather(1, top) == 1).all()
    assert partition.mask.sum() == 3 * 27
    attention = attention_maps(model, images)
    assert torch.equal(attention, score.unflatten(1, (6, 6)))


def test_teacher_starts_equal_and_is_in_checkpoints(build):
    model = build()
    state = model.state_dict()
    students = dict(backbone=model.backbone, neck=model.neck)
    students['decoder'] = model.guidance.scorer.decoder
    for name, student in students.items():
        for key, value in student.state_dict().items():
            copied = state[f'guidance.scorer.teacher.{name}.{key}']
            assert torch.equal(copied, value), key
    with torch.no_grad():
        for value in model.parameters():
            value.add_(0.1 * torch.randn_like(value))
    images = torch.randn(3, 3, 48, 48)
    restored = build()
    assert not torch.allclose(
        restored.guidance.scorer.predict(images), model.guidance.scorer.predict(images)
    )
    restored.load_state_dict(model.state_dict(), strict=True)
    assert torch.equal(
        restored.guidance.scorer.predict(images), model.guidance.scorer.predict(images)
    )
    teacher = restored.guidance.scorer.teacher
    assert not torch.equal(restored.neck.mask_token, teacher.neck.mask_token)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@pytest.mark.parametrize('relative', [True, False])
def test_mixed_precision_is_finite_for_large_predictions(build, relative, dtype):
    model = build(options=dict(relative=relative))
    with torch.no_grad():
        model.guidance.scorer.decoder.pred.weight.mul_(100.0)
        model.guidance.scorer.decoder.pred.bias.add_(1000.0)
    with torch.autocast('cpu', dtype=dtype):
        losses = step(model)
    assert losses['loss_prediction'].dtype == torch.float32
    assert all(loss.isfinite() for loss in losses.values())
    grads = [value.grad for value in model.parameters() if value.grad is not None]
    assert all(grad.isfinite().all() for grad in grads)


def test_grids_that_are_not_square(build):
    model = build(img_size=(48, 32), head__type='mmattmask.GuidedMAEHead')
    assert step(model, size=(48, 32))['loss_prediction'] > 0
    assert attention_maps(model, torch.randn(2, 3, 48, 32)).shape == (2, 6, 4)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (
            dict(options=dict(loss_weight=-2)),
            'loss_weight must be at least 0, got -2',
        ),
        (dict(options=dict(depth=3)), r'depth must be in 1\.\.2.* got 3'),
        (
            dict(cell_size=16),
            r'PredictedLoss learns from the error of each patch.*cells of 16 px',
        ),
    ],
)
def test_bad_options(build, changes, message):
    with pytest.raises(ValueError, match=message):
        build(**changes)


@pytest.mark.parametrize(
    ('host', 'kind', 'message'),
    [
        (tiny_hosts.mff, 'GuidedMFF', r"GuidedMFFViT has 'raw' with 2"),
        (tiny_hosts.hivit, 'GuidedMAE', r'GuidedMAEHiViT has None with 1'),
    ],
)
def test_encoders_without_tokens_of_one_block_are_refused(host, kind, message):
    scorer = dict(type='mmattmask.PredictedLoss')
    guided = dict(type=f'mmattmask.{kind}', mask_generator=HPM_MASKS, scorer=scorer)
    with pytest.raises(ValueError, match=message):
        MODELS.build({**host(), **guided})


def test_hosts_that_report_no_error_are_refused():
    scorer = dict(type='mmattmask.PredictedLoss')
    with pytest.raises(ValueError, match=r'GuidedDataPreprocessor cannot teach'):
        MODELS.build(
            dict(
                type='mmattmask.GuidedDataPreprocessor',
                mask_generator=HPM_MASKS,
                scorer=scorer,
            )
        )


def test_images_of_another_size(build):
    with pytest.raises(ValueError, match=r'grid of \(6, 6\).*56 x 48 px have \(7, 6\)'):
        attention_maps(build(), torch.randn(1, 3, 56, 48))
