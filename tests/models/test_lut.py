"""LUT: disjoint views, refused generators, and a teacher that only EMA changes."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS
from mmengine.runner import load_checkpoint

from mmattmask.masking import PatchBudget, partition_patches
from mmattmask.models.lut import next_partition
from tests import tiny_hosts

AMT = dict(type='mmattmask.AMTMaskGenerator')


@pytest.fixture
def lut(guided_mae):
    """Builder of initialised tiny models."""

    def build(**changes):
        return guided_mae(**{'type': 'mmattmask.LUT', 'hid_channels': 64, **changes})

    return build


def build_on(host):
    policy = dict(type='mmattmask.RandomMaskGenerator')
    return MODELS.build(
        dict(host, type='mmattmask.LUT', hid_channels=8, mask_generator=policy)
    )


@pytest.fixture
def views():
    return [torch.randn(4, 3, 48, 48) for _ in range(2)]


def clone(module):
    return {key: value.clone() for key, value in module.state_dict().items()}


def assert_equal(first, second):
    assert first.keys() == second.keys()
    for key, value in first.items():
        assert torch.equal(value, second[key]), key


@st.composite
def budgets(draw):
    visible = draw(st.integers(1, 12))
    masked = draw(st.integers(visible, 30))
    return PatchBudget(visible, masked, draw(st.integers(0, 8)))


@given(budgets(), st.integers(0, 2**31))
def test_views_show_different_patches_and_throw_the_same(budget, seed):
    noise = torch.rand(3, budget.num_patches, generator=torch.manual_seed(seed))
    first = partition_patches(noise.argsort(dim=1), budget)
    second = next_partition(first)
    assert second.budget == budget
    places = torch.arange(budget.num_patches)
    order = torch.cat([second.ids_keep, second.ids_mask, second.ids_throw], dim=1)
    assert torch.equal(order.sort(dim=1).values, places.expand_as(order))
    shown = torch.cat([first.ids_keep, second.ids_keep], dim=1).sort(dim=1).values
    assert (shown.diff(dim=1) > 0).all()
    assert torch.equal(first.ids_throw, second.ids_throw)
    assert (second.mask.gather(1, first.ids_keep) == 1).all()


@pytest.mark.parametrize(
    'policy', ['RandomMaskGenerator', 'AttMaskGenerator', 'UniformMaskGenerator']
)
def test_the_second_view_shows_any_place(lut, views, policy):
    """Masks that are made as such come in raster order: not from the top then."""
    model, seen = lut(mask_generator=dict(type=f'mmattmask.{policy}')).train(), []
    encode = model.backbone.forward

    def watch(images, mask=None):
        seen.append(mask)
        return encode(images, mask)

    model.backbone.forward = watch
    torch.manual_seed(0)
    for _ in range(12):
        model(views, None, mode='loss')
    shown = torch.cat([each.ids_keep for each in seen[1::2]])
    assert not (seen[0].mask.gather(1, seen[1].ids_keep) == 0).any()
    height, width = model.backbone.patch_resolution
    rows = (shown // width).float()
    assert rows.mean().item() == pytest.approx((height - 1) / 2, abs=0.4)
    assert rows.max() == height - 1


@pytest.mark.parametrize('generator', [None, AMT])
def test_losses_have_names_and_every_weight_of_the_student_learns(
    lut, views, generator
):
    model = lut(**(dict(mask_generator=generator) if generator else {})).train()
    losses = model(views, None, mode='loss')
    assert set(losses) == {'loss', 'loss_context'}
    total, log = model.parse_losses(losses)
    assert log['loss'] == losses['loss']
    torch.testing.assert_close(total, losses['loss'] + losses['loss_context'])
    total.backward()
    for name, value in model.named_parameters():
        is_fixed = name.startswith('teacher.') or name.endswith('pos_embed')
        assert value.requires_grad != is_fixed, name
        assert (value.grad is None) == is_fixed, name
        if not is_fixed:
            assert value.grad.abs().sum() > 0, name


def test_reconstruction_does_not_depend_on_the_second_view(lut, views):
    model = lut().train()
    results = []
    for second in (views[1], views[0].flip(3)):
        torch.manual_seed(1)
        results.append(model([views[0], second], None, mode='loss'))
    assert torch.equal(results[0]['loss'], results[1]['loss'])
    assert not torch.equal(results[0]['loss_context'], results[1]['loss_context'])


@pytest.mark.parametrize(
    ('generator', 'message'),
    [
        (
            dict(type='mmattmask.RandomMaskGenerator', mask_ratio=0.45),
            'RandomMaskGenerator leaves 19 visible, masks 17 and throws 0 of 36',
        ),
        (
            dict(type='mmattmask.AMTMaskGenerator', mask_ratio=0.3, throw_ratio=0.2),
            'AMTMaskGenerator leaves 18 visible, masks 10 and throws 8 of 36',
        ),
    ],
)
def test_too_few_masked_patches_are_refused(lut, generator, message):
    with pytest.raises(ValueError, match=message):
        lut(mask_generator=generator)


def test_too_few_masked_patches_before_the_first_refresh_are_refused(lut):
    with pytest.raises(ValueError, match='RandomMaskGenerator leaves 21 visible'):
        lut(
            mask_generator=AMT,
            scorer=dict(type='mmattmask.CachedAttention'),
            backbone__mask_ratio=0.4,
        )


def test_as_many_masked_as_visible_patches_are_enough(lut, views):
    generator = dict(type='mmattmask.RandomMaskGenerator', mask_ratio=0.5)
    model = lut(mask_generator=generator).train()
    assert model.guidance.guide(views, None)[1].budget == PatchBudget(18, 18)
    assert model(views, None, mode='loss')['loss_context'] > 0


def test_a_teacher_without_patch_tokens_is_refused(lut):
    with pytest.raises(ValueError, match="must be 'raw', got 'cls_token'"):
        lut(backbone__out_type='cls_token')
    with pytest.raises(ValueError, match=r'.raw., got None of GuidedMAEHiViT'):
        build_on(tiny_hosts.hivit())


def test_an_encoder_without_cls_is_pooled_whole():
    model = build_on(tiny_hosts.convmae())
    tokens = torch.arange(6.0).view(1, 3, 2)
    assert torch.equal(model._pooled(tokens), tokens.mean(dim=1))


def test_wrong_views_are_refused(lut, views):
    model = lut()
    with pytest.raises(ValueError, match=r'got \(4, 3, 48, 48\).*mmattmask\.MultiView'):
        model(views[0], None, mode='loss')
    with pytest.raises(ValueError, match='two views'):
        model([*views, views[0]], None, mode='loss')
    with pytest.raises(ValueError, match='two views of one size'):
        model([views[0], views[1][:, :, :40]], None, mode='loss')


def test_teacher_starts_as_the_student_and_stays_through_a_step(lut, views):
    model = lut().train()
    before = clone(model.teacher)
    for name, part in model.teacher.items():
        assert_equal(part.state_dict(), getattr(model, name).state_dict())
    optimizer = dict(type='AdamW', lr=1e-2, weight_decay=0.5)
    wrapper = build_optim_wrapper(model, dict(optimizer=optimizer))
    student = clone(model.projector)
    wrapper.update_params(model.parse_losses(model(views, None, mode='loss'))[0])
    assert not torch.equal(student['fc0.weight'], model.projector.fc0.weight)
    assert student['bn0.num_batches_tracked'] + 2 == (
        model.projector.bn0.num_batches_tracked
    )
    assert_equal(before, model.teacher.state_dict())


def test_update_averages_weights_and_running_statistics(lut, views):
    model = lut().train()
    with torch.no_grad():
        for value in model.parameters():
            value.add_(1.0)
    model(views, None, mode='loss')  # moves the running statistics
    old = copy.deepcopy(model.teacher)
    model.teacher.move(0.25)
    for name, part in model.teacher.items():
        student = getattr(model, name).state_dict()
        for key, value in part.state_dict().items():
            expected = 0.75 * old[name].state_dict()[key] + 0.25 * student[key]
            if not value.is_floating_point():
                expected = expected.floor().to(value.dtype)
            torch.testing.assert_close(value, expected)
    model.teacher.move(0.0)
    kept = clone(model.teacher)
    model.teacher.move(0.0)
    assert_equal(kept, model.teacher.state_dict())


def test_teacher_stays_in_evaluation_mode(lut):
    model = lut()
    for mode in (True, False, True):
        model.train(mode)
        assert model.projector.training == model.backbone.training == mode
        assert not any(module.training for module in model.teacher.modules())


def test_teacher_of_a_plain_mae_checkpoint_is_its_student(lut, guided_mae, tmp_path):
    mae = guided_mae(seed=5)
    torch.save(dict(state_dict=mae.state_dict()), tmp_path / 'mae.pth')
    by_load_from = lut()
    load_checkpoint(by_load_from, str(tmp_path / 'mae.pth'), map_location='cpu')
    by_init_cfg = lut(
        init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'mae.pth'))
    )
    for model in (by_load_from, by_init_cfg):
        for part in (model.backbone, model.teacher['backbone']):
            assert_equal(mae.backbone.state_dict(), part.state_dict())
    assert not torch.equal(lut().backbone.cls_token, mae.backbone.cls_token)


def test_half_precision_losses_are_close_to_full_ones(lut, views):
    model = lut().train()
    results = []
    for enabled in (False, True):
        torch.manual_seed(1)
        with torch.autocast('cpu', torch.bfloat16, enabled=enabled):
            losses = model(views, None, mode='loss')
        assert losses['loss_context'].dtype == torch.float32
        results.append(losses)
    torch.testing.assert_close(
        results[0]['loss_context'],
        results[1]['loss_context'],
        rtol=0.02,
        atol=0.01,
    )
