"""Teachers of timm and Hugging Face: their maps are their libraries' own attention."""

import json
import re

import pytest
import torch
from mmengine.registry import MODELS
from mmpretrain.models import SelfSupDataPreprocessor
from torch.nn import functional as F

from mmattmask.inspection.built_config import on_meta
from mmattmask.masking import min_max
from mmattmask.models import GuidedDataPreprocessor
from tests.engine.toy_run import toy_config, train, write_images

timm = pytest.importorskip('timm')

IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
SMALL = dict(depth=3, embed_dim=24, num_heads=2, img_size=32)
# name, changes of its architecture, patch size, has CLS
TIMM = {
    'dinov2': ('vit_small_patch14_dinov2.lvd142m', dict(img_size=28), 14),
    'registers': ('vit_small_patch14_reg4_dinov2.lvd142m', dict(img_size=28), 14),
    'dinov3': ('vit_small_patch16_dinov3.lvd1689m', {}, 16),
    'eva02': ('eva02_tiny_patch14_224.mim_in22k', dict(img_size=28), 14),
    'clip': ('vit_base_patch16_clip_224.openai', {}, 16),
    'siglip': ('vit_base_patch16_siglip_224.webli', {}, 16),
    'distilled': ('deit_tiny_distilled_patch16_224.fb_in1k', {}, 16),
    'norms': ('vit_tiny_patch16_224.augreg_in21k', dict(qk_norm=True), 16),
}
HUGGING_FACE = ('ViT', 'Dinov2', 'Dinov2WithRegisters', 'DINOv3ViT', 'CLIP', 'Siglip')


def preprocessor(mean=IMAGENET[0], std=IMAGENET[1], to_rgb=True):
    return SelfSupDataPreprocessor(mean=mean, std=std, to_rgb=to_rgb)


def teacher(backbone, checkpoint=None, views=None, **changes):
    options = dict(block=1, head=None, attention='received_probs') | changes
    scorer = MODELS.build(
        dict(type='mmattmask.FrozenTeacher', backbone=backbone, checkpoint=checkpoint)
        | options
    )
    scorer.views_from(views or preprocessor())
    return scorer


def timm_config(kind):
    name, changes, patch_size = TIMM[kind]
    options = SMALL | changes
    return dict(type='mmattmask.TimmViT', model_name=name, **options), patch_size


def random_timm(kind, path):
    """Return a timm ViT whose weights are in a file, with its attention unfused."""
    config, _ = timm_config(kind)
    del config['type']
    vit = timm.create_model(num_classes=0, dynamic_img_size=True, **config)
    for parameter in vit.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    torch.save(vit.state_dict(), path)
    for module in vit.modules():
        if hasattr(module, 'fused_attn'):
            module.fused_attn = False
    return vit.eval()


def timm_attention(vit, pixels, block=1):
    """Return what timm computes of pixels in 0 to 255, RGB, (B, heads, N, N)."""
    pixel = (255 * torch.tensor(vit.pretrained_cfg[k]) for k in ('mean', 'std'))
    mean, std = (value.view(3, 1, 1) for value in pixel)
    caught = []
    handle = vit.blocks[block].attn.attn_drop.register_forward_pre_hook(
        lambda module, args: caught.append(args[0])
    )
    with torch.no_grad():
        vit((pixels - mean) / std)
    handle.remove()
    return caught[0]


def views_of(pixels, views):
    """Return the student's normalised views of RGB pixels."""
    return views(dict(inputs=pixels.flip(1), data_samples=None))['inputs']


def readings(attention, num_patches):
    """Return received and CLS attention of all heads, in [0, 1]."""
    prefix = attention.shape[-1] - num_patches
    received = attention.sum(dim=2)[..., prefix:].sum(dim=1)
    of_cls = attention[:, :, 0, prefix:].sum(dim=1)
    return dict(received_probs=min_max(received), cls=min_max(of_cls))


@pytest.mark.parametrize('grid', [(2, 2), (3, 5)])
@pytest.mark.parametrize('kind', TIMM)
def test_timms_own_attention(tmp_path, kind, grid):
    vit = random_timm(kind, tmp_path / 'vit.pth')
    config, side = timm_config(kind)
    pixels = torch.randint(0, 256, (2, 3, grid[0] * side, grid[1] * side)).float()
    expected = readings(timm_attention(vit, pixels), grid[0] * grid[1])
    views = preprocessor()
    for attention in ['received_probs'] + ['cls'] * (kind != 'siglip'):
        scorer = teacher(config, str(tmp_path / 'vit.pth'), attention=attention)
        score = scorer.measure(None, views_of(pixels, views))
        torch.testing.assert_close(score, expected[attention], atol=1e-5, rtol=0)


def hugging_face_folder(kind, folder, **changes):
    """Save a random ViT of Hugging Face; return it with its attention unfused."""
    transformers = pytest.importorskip('transformers')
    prefix = f'{kind}Vision' if kind in ('CLIP', 'Siglip') else kind
    sizes = dict(hidden_size=32, num_hidden_layers=3, num_attention_heads=2)
    sizes |= dict(intermediate_size=48, image_size=32, patch_size=8) | changes
    if kind in ('Dinov2', 'Dinov2WithRegisters'):
        sizes['mlp_ratio'] = sizes.pop('intermediate_size') / sizes['hidden_size']
    config = getattr(transformers, f'{prefix}Config')(**sizes)
    vit = getattr(transformers, f'{prefix}Model')._from_config(
        config, attn_implementation='eager'
    )
    for parameter in vit.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    vit.save_pretrained(folder)
    processor = dict(image_processor_type='ViTImageProcessor', do_normalize=True)
    processor |= dict(do_rescale=True, rescale_factor=1 / 255)
    processor |= dict(image_mean=[0.5, 0.4, 0.3], image_std=[0.2, 0.3, 0.4])
    (folder / 'preprocessor_config.json').write_text(json.dumps(processor))
    return vit.eval()


def hugging_face_attention(vit, pixels, block=1):
    mean, std = (
        torch.tensor(x).view(3, 1, 1) for x in ([0.5, 0.4, 0.3], [0.2, 0.3, 0.4])
    )
    options = {}
    if not vit.config.model_type.startswith('dino'):  # others are to be told
        options['interpolate_pos_encoding'] = True
    with torch.no_grad():
        output = vit((pixels / 255 - mean) / std, output_attentions=True, **options)
    return output.attentions[block]


@pytest.mark.parametrize('grid', [(4, 4), (3, 5)])
@pytest.mark.parametrize('kind', HUGGING_FACE)
def test_hugging_faces_own_attention(tmp_path, kind, grid):
    vit = hugging_face_folder(kind, tmp_path)
    pixels = torch.randint(0, 256, (2, 3, 8 * grid[0], 8 * grid[1])).float()
    expected = readings(hugging_face_attention(vit, pixels), grid[0] * grid[1])
    backbone = dict(type='mmattmask.HuggingFaceViT', folder=str(tmp_path))
    for attention in ['received_probs'] + ['cls'] * (kind != 'Siglip'):
        scorer = teacher(backbone, attention=attention)
        score = scorer.measure(None, views_of(pixels, preprocessor()))
        torch.testing.assert_close(score, expected[attention], atol=1e-5, rtol=0)


def test_of_two_towers_the_one_for_images_is_read(tmp_path):
    transformers = pytest.importorskip('transformers')
    tower = hugging_face_folder('CLIP', tmp_path)
    config = transformers.CLIPConfig(
        vision_config=tower.config.to_dict(),
        text_config=dict(hidden_size=16, num_hidden_layers=3, num_attention_heads=2),
    )
    both = transformers.CLIPModel(config)
    both.vision_model.load_state_dict(
        {k.removeprefix('vision_model.'): v for k, v in tower.state_dict().items()}
    )
    both.save_pretrained(tmp_path)
    pixels = torch.randint(0, 256, (2, 3, 32, 32)).float()
    expected = readings(hugging_face_attention(tower, pixels), 16)['cls']
    backbone = dict(type='mmattmask.HuggingFaceViT', folder=str(tmp_path))
    scorer = teacher(backbone, attention='cls')
    score = scorer.measure(None, views_of(pixels, preprocessor()))
    torch.testing.assert_close(score, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize('kind', ['clip', 'siglip'])
@pytest.mark.parametrize('loaded', ['bgr', 'rgb'])
@pytest.mark.parametrize('student', [IMAGENET, ((0, 0, 0), (1, 1, 1)), ((9,), (70,))])
def test_it_sees_its_own_pixels_whatever_the_student_sees(
    tmp_path, kind, loaded, student
):
    vit = random_timm(kind, tmp_path / 'vit.pth')
    config, _ = timm_config(kind)
    pixels = torch.randint(0, 256, (2, 3, 32, 32)).float()
    expected = readings(timm_attention(vit, pixels), 4)['received_probs']
    for order in ('rgb', 'bgr'):
        views = preprocessor(*student, to_rgb=loaded != order)
        stored = pixels if loaded == 'rgb' else pixels.flip(1)
        inputs = views(dict(inputs=stored, data_samples=None))['inputs']
        scorer = teacher(config, str(tmp_path / 'vit.pth'), views, channel_order=order)
        score = scorer.measure(None, inputs)
        torch.testing.assert_close(score, expected, atol=1e-4, rtol=0)
        assert scorer.loaded_are == loaded
        wrong = 'bgr' if order == 'rgb' else 'rgb'
        scorer = teacher(config, str(tmp_path / 'vit.pth'), views, channel_order=wrong)
        assert (scorer.measure(None, inputs) - expected).abs().max() > 1e-3


def test_it_looks_at_the_size_it_is_told_to(tmp_path):
    vit = random_timm('dinov2', tmp_path / 'vit.pth')
    config, _ = timm_config('dinov2')
    scorer = teacher(config, str(tmp_path / 'vit.pth'), input_size=(28, 42))
    pixels = torch.randint(0, 256, (2, 3, 32, 32)).float()
    resized = F.interpolate(pixels, (28, 42), mode='bilinear', antialias=True)
    expected = readings(timm_attention(vit, resized), 6)['received_probs']
    inputs = views_of(pixels, preprocessor())
    score = scorer.measure(None, inputs)
    torch.testing.assert_close(score, expected, atol=1e-5, rtol=0)
    assert scorer.map_grid(None, (32, 32)) == (2, 3)
    assert scorer(inputs, None, (4, 4), 8).shape == (2, 16)
    without = teacher(config, str(tmp_path / 'vit.pth'))
    with pytest.raises(ValueError, match=r'patch size \(14\) does not divide.*32 x 32'):
        without.measure(None, inputs)


def test_stops_at_its_block(tmp_path):
    random_timm('dinov3', tmp_path / 'vit.pth')
    scorer = teacher(timm_config('dinov3')[0], str(tmp_path / 'vit.pth'), head=1)
    scorer.init_weights()
    vit = scorer.teacher.vit

    def fail(*args):
        raise AssertionError('ran too far')

    for module in (vit.blocks[1].attn.proj, vit.blocks[2]):
        module.register_forward_pre_hook(fail)
    inputs = torch.randn(1, 3, 32, 32)
    assert torch.equal(scorer.measure(None, inputs), scorer.measure(None, inputs))


@pytest.mark.parametrize('kind', ['timm', 'hugging face'])
def test_weights_that_do_not_fit_are_refused(tmp_path, kind):
    path = tmp_path / 'vit.pth'
    if kind == 'timm':
        random_timm('registers', path)
        config, _ = timm_config('registers')
        block, token = 'blocks.1.attn.qkv.weight', 'reg_token'
    else:
        state = hugging_face_folder('Dinov2WithRegisters', tmp_path).state_dict()
        (tmp_path / 'model.safetensors').unlink()
        path = tmp_path / 'pytorch_model.bin'
        torch.save(state, path)
        config = dict(type='mmattmask.HuggingFaceViT', folder=str(tmp_path))
        block = next(name for name in state if re.search(r'\.1\..*(key|k_proj)', name))
        token = 'embeddings.register_tokens'
    checkpoint = str(path) if kind == 'timm' else None
    good = torch.load(path)
    teacher(config, checkpoint).init_weights()
    for change, message in [
        ({block: None}, 'missing'),
        ({block: torch.full_like(good[block], torch.nan)}, 'NaN'),
        ({block: torch.ones(3, 3)}, 'does not fit'),
        ({f'{token}_more': torch.ones(3)}, 'no place for 1 of its weights'),
    ]:
        state = {k: v for k, v in (good | change).items() if v is not None}
        torch.save(state, path)
        with pytest.raises(ValueError, match=message):
            teacher(config, checkpoint).init_weights()
    torch.save(dict(good, code=SMALL.get), path)
    with pytest.raises(ValueError, match='more than weights'):
        teacher(config, checkpoint).init_weights()


@pytest.mark.parametrize('kind', ['dinov3', 'eva02', 'Dinov2', 'DINOv3ViT'])
def test_check_runs_it_on_shapes_alone(tmp_path, kind):
    if kind in TIMM:
        backbone, side = timm_config(kind)
    else:
        hugging_face_folder(kind, tmp_path)
        side, backbone = 8, dict(type='mmattmask.HuggingFaceViT', folder=str(tmp_path))
    with on_meta():
        scorer = teacher(backbone, attention='cls')
    images = torch.empty(2, 3, 2 * side, 3 * side, device='meta')
    score = scorer.measure(None, images)
    assert (score.shape, score.is_meta) == ((2, 6), True)


def test_grouped_queries_are_refused(tmp_path):
    config, _ = timm_config('clip')
    scorer = teacher(config)
    attention = scorer.teacher.vit.blocks[1].attn

    def grouped(x, attn_mask=None):
        query, key, value = attention.qkv(x).unflatten(-1, (3, 2, -1)).unbind(2)
        query, key, value = (t.transpose(1, 2) for t in (query, key, value))
        return F.scaled_dot_product_attention(
            query, key[:, :1], value[:, :1], enable_gqa=True
        )

    attention.forward = grouped
    with pytest.raises(ValueError, match='2 heads of queries and 1 of keys'):
        scorer.teacher.read(torch.randn(1, 3, 32, 32), 'received', [1])


def test_a_normalisation_that_cannot_be_known_is_refused(tmp_path):
    names = dict(type='mmattmask.TimmViT', **SMALL)
    several = dict(names, model_name='vit_base_patch16_224')
    with pytest.raises(ValueError, match='give mean and std, or the name with the tag'):
        teacher(several)
    assert teacher(dict(several, model_name='vit_base_patch16_224.mae'))
    own = teacher(several, mean=IMAGENET[0], std=IMAGENET[1])
    assert own.pixels == IMAGENET
    with pytest.raises(ValueError, match='in 0 to 255'):
        teacher(several, mean=(0.5,) * 3, std=(0.5,) * 3)
    with pytest.raises(ValueError, match='given together'):
        teacher(several, mean=IMAGENET[0])
    clip = timm_config('clip')[0]
    with pytest.raises(ValueError, match='those of the views are not known'):
        teacher(clip, views=preprocessor(to_rgb=False))
    with pytest.raises(ValueError, match='needs mean and std'):
        teacher(clip, views=SelfSupDataPreprocessor(to_rgb=True))
    random_timm('clip', tmp_path / 'vit.pth')
    unbound = MODELS.build(
        dict(type='mmattmask.FrozenTeacher', backbone=clip, block=1, head=0)
        | dict(checkpoint=str(tmp_path / 'vit.pth'))
    )
    with pytest.raises(ValueError, match=r'views_from\(data_preprocessor\)'):
        unbound.measure(None, torch.randn(1, 3, 32, 32))
    hugging_face_folder('ViT', tmp_path)
    (tmp_path / 'preprocessor_config.json').unlink()
    with pytest.raises(ValueError, match=r'preprocessor_config\.json'):
        teacher(dict(type='mmattmask.HuggingFaceViT', folder=str(tmp_path)))


@pytest.mark.parametrize(
    ('kind', 'name', 'message'),
    [
        ('mmattmask.TimmViT', 'nothing', 'timm has no ViT'),
        ('mmattmask.TimmViT', 'resnet18', 'timm has no ViT'),
        ('mmattmask.TimmViT', 'swin_tiny_patch4_window7_224', 'one attention in each'),
        ('mmattmask.TimmViT', 'vit_small_patch16_18x2_224', 'one attention in each'),
        ('mmpretrain.TIMMBackbone', 'vit_tiny_patch16_224', 'TimmViT.*tiny_patch16'),
    ],
)
def test_what_is_no_vit_is_refused(kind, name, message):
    with pytest.raises(ValueError, match=message):
        teacher(dict(type=kind, model_name=name))


def test_a_folder_without_a_vit(tmp_path):
    pytest.importorskip('transformers')
    with pytest.raises(FileNotFoundError, match=r'config\.json'):
        teacher(dict(type='mmattmask.HuggingFaceViT', folder=str(tmp_path)))
    hugging_face_folder('ViT', tmp_path)
    with pytest.raises(ValueError, match=r'reads the weights of .*, its folder, not x'):
        teacher(dict(type='mmattmask.HuggingFaceViT', folder=str(tmp_path)), 'x')
    config = timm_config('siglip')[0]
    with pytest.raises(ValueError, match='no CLS token'):
        teacher(config, attention='cls')
    with pytest.raises(ValueError, match='block 3 does not exist in 3 blocks'):
        teacher(config, block=3)
    with pytest.raises(ValueError, match='head 2 does not exist in 2 heads'):
        teacher(config, head=2)


@pytest.mark.parametrize('cached', [False, True])
def test_guides_a_run(tmp_path, cached):
    random_timm('clip', tmp_path / 'vit.pth')
    scorer = dict(
        type='mmattmask.FrozenTeacher',
        backbone=timm_config('clip')[0],
        checkpoint=str(tmp_path / 'vit.pth'),
        block=-2,
        head=1,
        cached=cached,
    )
    data_root = write_images(tmp_path / 'images')
    cfg = toy_config(tmp_path / 'run', data_root, train_cfg__max_epochs=1)
    cfg.merge_from_dict({'model.backbone.img_size': 32, 'model.scorer': scorer})
    cfg.train_dataloader.dataset.pipeline[1].scale = 32
    refresh = dict(type='mmattmask.AttentionRefreshHook', begin=0, interval=None)
    cfg.custom_hooks = [dict(type='mmattmask.EpochSeedHook')] + [refresh] * cached
    with pytest.raises(ValueError, match="channel_order='rgb' or 'bgr'"):
        train(cfg)
    cfg.model.scorer.channel_order = 'bgr'  # as images are loaded
    model = train(cfg).model
    scorer = model.guidance.scorer
    assert (scorer.block, scorer.views_are) == (1, 'bgr')
    assert (scorer.bank is not None) == cached
    saved = torch.load(tmp_path / 'run' / 'epoch_1.pth', weights_only=False)
    assert not [name for name in saved['state_dict'] if 'scorer' in name]


def test_a_data_preprocessor_that_masks_tells_its_pixels():
    guided = GuidedDataPreprocessor(
        mask_generator=dict(type='mmattmask.RandomMaskGenerator'),
        scorer=dict(
            type='mmattmask.FrozenTeacher',
            backbone=timm_config('siglip')[0],
            checkpoint='FILE',
            block=0,
            head=0,
        ),
        mean=[10.0] * 3,
        std=[20.0] * 3,
        to_rgb=True,
    )
    pixels = guided.guidance.scorer.own_pixels(torch.full((1, 3, 8, 8), 2.0))
    torch.testing.assert_close(pixels, torch.full((1, 3, 8, 8), 50 / 127.5 - 1))
