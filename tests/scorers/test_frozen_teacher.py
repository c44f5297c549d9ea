"""FrozenTeacher: golden maps, hidden from training, online and cached."""

import copy

import pytest
import torch
from mmengine.registry import MODELS
from mmpretrain.models import VisionTransformer

from mmattmask.masking import min_max, received_attention, view_score
from tests.engine.toy_run import (
    assert_equal_weights,
    toy_config,
    train,
    weights,
    write_images,
)

ARCH = dict(embed_dims=16, num_layers=3, num_heads=2, feedforward_channels=32)


def teacher_config(checkpoint=None, arch=ARCH, img_size=16, patch_size=4, **changes):
    backbone = dict(
        type='mmpretrain.VisionTransformer',
        arch=arch,
        img_size=img_size,
        patch_size=patch_size,
    )
    options = dict(block=1, head=1, checkpoint=checkpoint, backbone=backbone)
    return dict(dict(type='mmattmask.FrozenTeacher', **options), **changes)


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    torch.manual_seed(5)
    vit = VisionTransformer(arch=ARCH, img_size=16, patch_size=4)
    for parameter in vit.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    path = tmp_path_factory.mktemp('teacher') / 'teacher.pth'
    torch.save(vit.state_dict(), path)
    return str(path)


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp('images'))


def test_golden_maps(full_golden, tmp_path):
    case = full_golden('gpa_map')
    path = tmp_path / 'teacher.pth'
    official = {name: case[key] for name, key in case.under('weights/').items()}
    torch.save({'model': official}, path)
    sizes = case.config
    arch = dict(
        embed_dims=sizes['t_dim'],
        num_layers=sizes['t_depth'],
        num_heads=sizes['t_heads'],
        feedforward_channels=4 * sizes['t_dim'],
    )
    side, patch_size = sizes['img_size'], sizes['patch_size']
    for block, head in sizes['pairs']:
        scorer = MODELS.build(
            teacher_config(str(path), arch, side, patch_size, block=block, head=head)
        )
        images = case['in/imgs'].double()
        score = scorer.double()(images, [], case.grid(), patch_size)
        case.assert_close(score, f'f64/b{block}h{head}/map')


@pytest.mark.parametrize('attention', ['received', 'received_paper', 'received_probs'])
@pytest.mark.parametrize('head', [0, None])
def test_readings(checkpoint, attention, head):
    scorer = MODELS.build(teacher_config(checkpoint, attention=attention, head=head))
    images = torch.randn(2, 3, 16, 16)
    score = scorer.measure(None, images)
    caught = []
    qkv = scorer.teacher.layers[1].attn.qkv
    handle = qkv.register_forward_hook(lambda m, args, out: caught.append(out))
    scorer.teacher(images)
    handle.remove()
    query, key, _ = caught[0].reshape(2, 17, 3, 2, 8).permute(2, 0, 3, 1, 4)
    options = {
        'received': {},
        'received_paper': dict(include_prefix=False, include_self=False),
        'received_probs': dict(stage='probs'),
    }[attention]
    expected = received_attention(query, key, **options)
    expected = expected.sum(dim=1) if head is None else expected[:, head]
    torch.testing.assert_close(score, min_max(expected))


def test_stops_at_its_block(checkpoint):
    scorer = MODELS.build(teacher_config(checkpoint, block=1))
    scorer.init_weights()

    def fail(*args):
        raise AssertionError('ran too far')

    scorer.teacher.layers[1].attn.proj.register_forward_pre_hook(fail)
    scorer.teacher.layers[2].register_forward_pre_hook(fail)
    scorer.measure(None, torch.randn(1, 3, 16, 16))


def test_hidden_from_training(checkpoint):
    scorer = MODELS.build(teacher_config(checkpoint))
    assert not list(scorer.parameters())
    assert not scorer.state_dict()
    scorer.train()
    assert not scorer.teacher.training
    assert not any(p.requires_grad for p in scorer.teacher.parameters())
    scorer.double()
    assert next(scorer.teacher.parameters()).dtype == torch.float64
    assert copy.deepcopy(scorer).teacher is not scorer.teacher


@pytest.mark.parametrize('cached', [False, True])
def test_guides_a_run_and_stays_as_it_was(tmp_path, checkpoint, data_root, cached):
    refresh = dict(type='mmattmask.AttentionRefreshHook', begin=0, interval=None)
    changes = dict(
        model__scorer=teacher_config(checkpoint, cached=cached),
        model__mask_generator=dict(
            type='mmattmask.SoftToHardMaskGenerator', soft=(0, 0), hard=(1, 1)
        ),
        custom_hooks=[dict(type='mmattmask.EpochSeedHook')] + [refresh] * cached,
        train_cfg__max_epochs=3,
    )
    cfg = toy_config(tmp_path / 'whole', data_root)
    cfg.model.pop('scorer')
    cfg.model.pop('mask_generator')
    cfg.merge_from_dict({k.replace('__', '.'): v for k, v in changes.items()})
    runner = train(copy.deepcopy(cfg))
    scorer = runner.model.guidance.scorer
    assert_equal_weights(scorer.teacher.state_dict(), torch.load(checkpoint))
    saved = weights(tmp_path / 'whole' / 'epoch_3.pth')
    assert not [name for name in saved if 'teacher' in name or 'scorer' in name]
    assert (scorer.bank is not None) == cached

    # the most received patches are the masked ones
    loader = runner.train_dataloader
    batch = runner.model.data_preprocessor(next(iter(loader)), True)
    score, partition = runner.model.guidance.guide(**batch)
    lowest_masked = score.masked_fill(partition.mask == 0, 2).amin(dim=1)
    highest_kept = score.masked_fill(partition.mask == 1, -1).amax(dim=1)
    assert (lowest_masked >= highest_kept).all()

    # and the schedule goes on where it was
    cfg.work_dir = str(tmp_path / 'parts')
    stopping = copy.deepcopy(cfg)
    stopping.custom_hooks.append(dict(type='StopHook', epoch=2))
    with pytest.raises(SystemExit):
        train(stopping)
    cfg.resume = True
    assert_equal_weights(runner.model.state_dict(), weights(train(cfg)))


def test_online_and_cached_agree_on_whole_images(tmp_path, checkpoint, data_root):
    cfg = toy_config(tmp_path, data_root, train_cfg__max_epochs=1)
    cfg.train_dataloader.dataset.pipeline[1] = dict(
        type='Resize', scale=(16, 16), backend='pillow', interpolation='bilinear'
    )
    cfg.model.scorer = teacher_config(checkpoint, cached=True)
    cfg.custom_hooks = [
        dict(type='mmattmask.AttentionRefreshHook', begin=0, interval=None)
    ]
    runner = train(cfg)
    model = runner.model
    batch = model.data_preprocessor(next(iter(runner.train_dataloader)), True)
    flips = torch.tensor([sample.flip for sample in batch['data_samples']])
    cached = model.guidance.score(**batch)[~flips]
    model.guidance.scorer.cached = False
    online = model.guidance.score(**batch)[~flips].unflatten(1, (4, 4))
    count = len(online)
    whole = torch.tensor([[0, 0, 16, 16]]).expand(count, -1)
    unflipped = torch.zeros(count, 2, dtype=torch.bool)
    expected = view_score(online, whole, whole[:, 2:], unflipped, (4, 4), samples=4)
    assert count
    torch.testing.assert_close(cached, expected, atol=2e-3, rtol=0)


def test_timm_teacher(tmp_path):
    timm = pytest.importorskip('timm')
    options = dict(img_size=32, patch_size=8, depth=3, embed_dim=24, num_heads=2)
    vit = timm.create_model('vit_tiny_patch16_224', **options)
    path = tmp_path / 'vit.pth'
    torch.save(vit.state_dict(), path)
    backbone = dict(
        type='mmpretrain.TIMMBackbone',
        model_name='vit_tiny_patch16_224',
        checkpoint_path=str(path),
        **options,
    )
    scorer = MODELS.build(teacher_config(backbone=backbone, block=2, head=1))
    images = torch.randn(2, 3, 32, 32)
    caught = []
    vit.blocks[2].attn.qkv.register_forward_hook(lambda m, a, out: caught.append(out))
    vit.eval()(images)
    query, key, _ = caught[0].reshape(2, 17, 3, 2, 12).permute(2, 0, 3, 1, 4)
    expected = min_max(received_attention(query, key)[:, 1])
    torch.testing.assert_close(scorer.measure(None, images), expected)

    backbone.pop('checkpoint_path')
    with pytest.raises(ValueError, match='has no weights'):
        MODELS.build(teacher_config(backbone=backbone)).init_weights()
    with pytest.raises(ValueError, match='checkpoint_path'):
        MODELS.build(teacher_config(str(path), backbone=backbone))


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(block=3), 'block 3 does not exist in 3 blocks'),
        (dict(head=2), 'head 2 does not exist in 2 heads'),
        (dict(attention='given'), 'attention must be one of'),
    ],
)
def test_bad_options(changes, message):
    with pytest.raises(ValueError, match=message):
        MODELS.build(teacher_config(**changes))


def test_bad_checkpoints_stop_before_training(tmp_path, checkpoint, data_root):
    cases = {
        'there is no checkpoint': str(tmp_path / 'none.pth'),
        'FrozenTeacher has no weights': None,
    }
    for message, path in cases.items():
        cfg = toy_config(tmp_path / 'run', data_root)
        cfg.model.scorer = teacher_config(path)
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            train(cfg)
    assert not list((tmp_path / 'run').glob('*.pth'))
    wrong = MODELS.build(teacher_config(checkpoint, dict(ARCH, num_layers=4)))
    with pytest.raises(ValueError, match='does not fit VisionTransformer'):
        wrong.init_weights()


def test_teachers_patches_must_divide_the_students_images(
    tmp_path, checkpoint, data_root
):
    cfg = toy_config(tmp_path, data_root)
    cfg.model.scorer = teacher_config(checkpoint, img_size=15, patch_size=5)
    with pytest.raises(ValueError, match=r"teacher's patch size \(5\).*\(16 x 16\)"):
        train(cfg)


def test_a_teacher_with_other_patches_is_brought_to_the_students_grid(checkpoint):
    teacher = MODELS.build(teacher_config(checkpoint))
    images = torch.rand(2, 3, 16, 24)
    fine = teacher(images, None, (4, 6), 4)
    coarse = teacher(images, None, (2, 3), 8)
    # one patch of the student covers two by two of the teacher's
    blocks = fine.view(2, 2, 2, 3, 2).mean((2, 4)).flatten(1)
    assert coarse.shape == (2, 6)
    assert (coarse - blocks).abs().amax() < 0.3
    assert torch.corrcoef(torch.stack([coarse.flatten(), blocks.flatten()]))[0, 1] > 0.7


def test_refresh_needs_a_scorer_that_keeps_maps(tmp_path, checkpoint, data_root):
    cfg = toy_config(tmp_path, data_root)
    cfg.model.scorer = teacher_config(checkpoint, cached=False)
    with pytest.raises(ValueError, match=r'scorer keeps maps.*with FrozenTeacher'):
        train(cfg)
