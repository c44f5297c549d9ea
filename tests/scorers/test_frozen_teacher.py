"""FrozenTeacher: golden maps, hidden from training, online and cached."""

import copy

import pytest
import torch
from mmengine.registry import MODELS
from mmpretrain.models import VisionTransformer

from mmattmask.export.fit_vit import fit_pos_embed
from mmattmask.masking import min_max, received_attention, view_score
from mmattmask.run_guard import check_colours
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


def timm_names_of_dinov2(state):
    pairs = (
        ('attn.gamma1.weight', 'ls1.gamma'),
        ('ffn.gamma2.weight', 'ls2.gamma'),
        ('ffn.layers.0.0.', 'mlp.fc1.'),
        ('ffn.layers.1.', 'mlp.fc2.'),
        ('patch_embed.projection', 'patch_embed.proj'),
        ('.ln1.', '.norm1.'),
        ('.ln2.', '.norm2.'),
    )
    renamed = {}
    for name, value in state.items():
        for ours, theirs in pairs:
            name = name.replace(ours, theirs)
        name = name.replace('ln1.', 'norm.') if name.startswith('ln1.') else name
        renamed[name.replace('layers.', 'blocks.')] = value.float()
    return renamed


@pytest.mark.parametrize('names', ['mmpretrain', 'timm'])
@pytest.mark.parametrize('scale', [1e-5, 0])
def test_a_real_teacher_with_layer_scales_attends_as_in_timm(
    weights_folder, tmp_path, names, scale
):
    timm = pytest.importorskip('timm')
    load_file = pytest.importorskip('safetensors.torch').load_file
    path = weights_folder / 'vit-small-p14_saliency.safetensors'
    if not path.is_file():
        pytest.skip(f'{weights_folder} does not have {path.name}')
    state = timm_names_of_dinov2(load_file(path))
    vit = timm.create_model('vit_small_patch14_dinov2', img_size=224)
    resized = fit_pos_embed(state['pos_embed'], (1, 257, 384), (16, 16))
    vit.load_state_dict({**state, 'pos_embed': resized})
    for block in vit.blocks:
        block.attn.fused_attn = False
    caught = []
    vit.blocks[11].attn.attn_drop.register_forward_pre_hook(
        lambda module, args: caught.append(args[0])
    )
    images = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        vit.eval()(images)
    expected = min_max(caught[0][:, 2, 0, 1:])

    if names == 'timm':
        path = tmp_path / 'timm.pth'
        torch.save(state, path)
    backbone = dict(
        type='mmpretrain.VisionTransformer',
        arch='dinov2-small',
        img_size=224,
        patch_size=14,
        layer_scale_init_value=scale,
    )
    options = dict(block=11, head=2, attention='cls')
    scorer = MODELS.build(
        dict(type='mmattmask.FrozenTeacher', backbone=backbone, **options)
        | dict(checkpoint=str(path))
    )
    torch.testing.assert_close(
        scorer.measure(None, images), expected, atol=1e-5, rtol=0
    )


@pytest.mark.parametrize('extra', ['layers.0.attn.q_norm.weight', 'reg_token'])
def test_weights_that_a_teacher_has_no_place_for_are_refused(
    checkpoint, tmp_path, extra
):
    state = torch.load(checkpoint) | {extra: torch.ones(8)}
    torch.save(state, tmp_path / 'x.pth')
    scorer = MODELS.build(teacher_config(str(tmp_path / 'x.pth')))
    with pytest.raises(ValueError, match=f'no place for 1 of its weights: {extra}'):
        scorer.init_weights()


def test_a_teacher_inside_another_network(checkpoint, tmp_path):
    state = torch.load(checkpoint)
    torch.save({f'net.{name}': value for name, value in state.items()}, tmp_path / 'x')
    scorer = MODELS.build(teacher_config(str(tmp_path / 'x')))
    with pytest.raises(ValueError, match=r"matched 0/42 .*net\.cls_token.*prefix='net"):
        scorer.init_weights()
    scorer = MODELS.build(teacher_config(str(tmp_path / 'x'), prefix='net.'))
    scorer.init_weights()
    assert_equal_weights(scorer.teacher.state_dict(), state)
    torch.save({'net': state}, tmp_path / 'x')
    scorer = MODELS.build(teacher_config(str(tmp_path / 'x')))
    with pytest.raises(ValueError, match=r"no weights at its top; it has 'net' \(42\)"):
        scorer.init_weights()
    MODELS.build(teacher_config(str(tmp_path / 'x'), prefix='net')).init_weights()


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


def test_attention_with_more_than_projections_is_refused():
    """Of ViTs whose queries and keys are turned or normalised after ``attn.qkv``."""
    backbone = dict(type='ViTEVA02', arch=ARCH, img_size=16, patch_size=4)
    with pytest.raises(ValueError, match=r'block 1 of ViTEVA02 .*\(rope\).*TimmViT'):
        MODELS.build(teacher_config(backbone=backbone))
    backbone = dict(type='XCiT', embed_dims=16, depth=2, num_heads=2, patch_size=16)
    with pytest.raises(ValueError, match='block 1 does not exist in 0 blocks'):
        MODELS.build(teacher_config(backbone=backbone))


def test_another_teacher_makes_other_maps():
    """A resumed run compares ``made_by`` of its bank and its scorer."""
    config = teacher_config()
    weights_of = dict(type='Pretrained', checkpoint='other.pth')
    made_by = {
        MODELS.build({**config, **changes}).made_by
        for changes in (
            {},
            dict(backbone=dict(config['backbone'], init_cfg=weights_of)),
            dict(mean=[127.5] * 3, std=[127.5] * 3),
            dict(mean=[0] * 3, std=[255] * 3),
        )
    }
    assert len(made_by) == 4
    again = dict(reversed(config['backbone'].items()))
    assert MODELS.build(dict(config, backbone=again)).made_by in made_by


def test_images_in_other_colours_than_the_teachers_are_refused(tmp_path, data_root):
    """``to_rgb=True`` is inherited, and arrays such as CIFAR's are RGB already."""
    cfg = toy_config(tmp_path, data_root)
    cfg.model.scorer = teacher_config('x.pth', mean=[127.5] * 3, std=[127.5] * 3)
    cfg.data_preprocessor.to_rgb = True
    model = MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor))
    check_colours(model, cfg)
    cfg.train_dataloader.dataset = dict(type='CIFAR10', pipeline=[])
    with pytest.raises(ValueError, match=r'are rgb, .* are rgb where they are bgr'):
        check_colours(model, cfg)
    cfg.data_preprocessor.to_rgb = False
    cfg.model.scorer.channel_order = 'rgb'
    model = MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor))
    check_colours(model, cfg)


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
