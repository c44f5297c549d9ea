"""Secondary masking: the official UM-MAE on a ViT, and what it does to tokens."""

import re

import pytest
import torch
from mmengine.registry import MODELS

from mmattmask.masking import gather_tokens, partition_patches
from mmattmask.masking.partition import PatchBudget

from ..golden import each
from .training_step import sizes_of

NAME = 'policies/um_mae_vit'
NAMES = (
    (r'^patch_embed\.proj\b', 'backbone.patch_embed.projection'),
    (r'^vis_mask_token', 'backbone.visible_mask_token'),
    (r'^blocks', 'backbone.layers'),
    (r'^(cls_token|pos_embed)$', r'backbone.\1'),
    (r'^norm\b', 'backbone.ln1'),
    (r'^decoder_norm\b', 'neck.ln1'),
    (r'^(decoder|mask_token)', r'neck.\1'),
    (r'(\d)\.norm(\d)', r'\1.ln\2'),
    (r'\bmlp\.fc1', 'ffn.layers.0.0'),
    (r'\bmlp\.fc2', 'ffn.layers.1'),
)


def our_name(name):
    for pattern, new in NAMES:
        name = re.sub(pattern, new, name)
    return name


def build(case, config, dtype):
    sizes = case.config
    model = MODELS.build(
        config(
            **sizes_of(case),
            norm_pix=sizes['norm_pix_loss'],
            backbone__secondary_ratio=sizes['vis_mask_ratio'],
            mask_generator=dict(type='mmattmask.UniformMaskGenerator'),
        )
    )
    names = {name: our_name(name) for name in case.under('weights/')}
    model.load_state_dict(case.state_dict(names=names), strict=True)
    return model.to(dtype)


@each(NAME, lambda case: ('out', 'f64'), 'kind')
def test_latent_prediction_loss_and_gradients(
    golden, guided_mae_config, monkeypatch, kind
):
    case = golden(NAME)
    dtype = torch.float64 if kind == 'f64' else torch.float32
    model = build(case, guided_mae_config, dtype)
    images = (case['in/images'].to(dtype) / 255 - 0.5) / 0.25
    masked = case['in/mask']
    num_masked = int(masked[0].sum())
    partition = partition_patches(
        masked.int().argsort(dim=1, stable=True),
        PatchBudget(masked.shape[1] - num_masked, num_masked),
    )
    monkeypatch.setattr(model.guidance, 'guide', lambda *args: (None, partition))
    noise = case['draw/secondary_noise']
    monkeypatch.setattr(torch, 'rand', lambda shape, **options: noise)
    seen = {}
    for part in (model.backbone, model.neck):
        part.register_forward_hook(
            lambda module, args, output: seen.update({module: output[0]})
        )
    loss = model(images, None, mode='loss')['loss']
    loss.backward()
    case.assert_close(seen[model.backbone], f'{kind}/latent')
    case.assert_close(loss, f'{kind}/loss')
    if kind == 'out':  # in the release's order: visible, then masked
        pred = gather_tokens(seen[model.neck], partition.ids_seen)
        case.assert_close(pred, 'out/pred')
    gradients = {name: value.grad for name, value in model.named_parameters()}
    ordered = [gradients[our_name(name)] for name in case.meta['param_names']]
    norms = torch.stack([gradient.double().norm() for gradient in ordered])
    case.assert_close(norms, f'{kind}/grad_norms')


def test_hidden_tokens_know_their_place_and_nothing_else(guided_mae):
    model = guided_mae(backbone__secondary_ratio=0.5)
    partition = model.guidance.decide(None, torch.zeros(2, 3, 48, 48))
    tokens = []
    for seed in (0, 1):
        images = torch.randn(
            2, 3, 48, 48, generator=torch.Generator().manual_seed(seed)
        )
        model.backbone.rng = torch.Generator().manual_seed(5)
        tokens.append(model.backbone.embed_visible(images, partition)[:, 1:])
    hidden = (tokens[0] == tokens[1]).all(dim=2)
    visible = partition.ids_keep.shape[1]
    assert (hidden.sum(dim=1) == visible - visible // 2).all()
    token = model.backbone.visible_mask_token
    places = model.backbone.pos_embed[0, 1:][partition.ids_keep]
    assert torch.equal(tokens[0][hidden], (token + places)[hidden])


def test_every_visible_token_is_hidden_equally_often(guided_mae):
    model = guided_mae(backbone__secondary_ratio=0.25)
    visible = torch.zeros(4000, 8, 48)
    ids = torch.arange(8).expand(4000, -1)
    hidden = model.backbone._hide_some(visible, ids).any(dim=2).double()
    assert (hidden.sum(dim=1) == 2).all()
    assert (hidden.mean(0) - 0.25).abs().max() < 5 * (0.1875 / 4000) ** 0.5


def test_whole_images_are_encoded_as_they_are(guided_mae):
    plain, secondary = guided_mae(), guided_mae(backbone__secondary_ratio=0.25)
    secondary.load_state_dict(plain.state_dict(), strict=False)
    images = torch.randn(2, 3, 48, 48)
    (first,), (second,) = (m.eval().backbone(images, None) for m in (plain, secondary))
    assert torch.equal(first, second)


@pytest.mark.parametrize('ratio', [-0.1, 1.0])
def test_impossible_shares_are_refused(guided_mae, ratio):
    with pytest.raises(ValueError, match=f'secondary_ratio.*got {ratio}'):
        guided_mae(backbone__secondary_ratio=ratio)
