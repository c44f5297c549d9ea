"""Weights of tokenizers and teachers from elsewhere reach the algorithms they serve."""

import numpy as np
import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS, DefaultScope
from mmpretrain.models.utils.clip_generator_helper import CLIP

from tests.config_building import find, load_batch, write_images

DALLE = dict(type='DALL-E', n_hid=8, n_blk_per_group=1, vocab_size=64)


def build(cfg, **changes):
    """Build the model of a debug config, with other parts, as a runner does."""
    torch.manual_seed(1)
    model = {**cfg.model, **changes, 'data_preprocessor': cfg.data_preprocessor}
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(model)
        model.init_weights()
    return model


def train(model, batch, steps=2):
    """Take training steps; return their losses."""
    optimizer = torch.optim.AdamW(
        [value for value in model.parameters() if value.requires_grad], lr=1e-3
    )
    wrapper = OptimWrapper(optimizer)
    return [model.train_step(batch, wrapper)['loss'].item() for _ in range(steps)]


def equal_states(module, state):
    own = module.state_dict()
    assert own.keys() == state.keys()
    return all(torch.equal(own[key], state[key]) for key in state)


@pytest.mark.parametrize('host', ['beit-attmask', 'cae-gpa'])
def test_dalle_is_read_from_a_file_and_stays_as_it_is(host, tmp_path):
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        tokenizer = MODELS.build(DALLE)
    state = tokenizer.state_dict()
    torch.save(state, tmp_path / 'dalle_encoder.pth')

    cfg = find(f'{host}_beit-tiny')
    checkpoint = str(tmp_path / 'dalle_encoder.pth')
    pretrained = dict(type='Pretrained', checkpoint=checkpoint)
    model = build(cfg, target_generator={**DALLE, 'init_cfg': pretrained})
    assert equal_states(model.target_generator, state)
    # another seed drew other weights where none are read
    assert not equal_states(build(cfg).target_generator, state)

    batch = load_batch(cfg, write_images(tmp_path / 'images', 2))
    losses = train(model, batch)
    assert np.isfinite(losses).all()
    assert losses[0] != losses[1]
    assert equal_states(model.target_generator, state)


def test_vqkd_is_read_from_a_file(tmp_path):
    cfg = find('beitv2-am_beit-tiny')
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        tokenizer = MODELS.build(cfg.model.target_generator)
    tokenizer.quantize.embedding.initted.fill_(1)  # as in the released file
    state = {key: value.clone() for key, value in tokenizer.state_dict().items()}
    torch.save(state, tmp_path / 'vqkd.pth')
    pretrained = dict(type='Pretrained', checkpoint=str(tmp_path / 'vqkd.pth'))
    target = {**cfg.model.target_generator, 'init_cfg': pretrained}
    model = build(cfg, target_generator=target)
    assert equal_states(model.target_generator, state)
    batch = load_batch(cfg, write_images(tmp_path / 'images', 2))
    assert np.isfinite(train(model, batch)).all()
    encoder = model.target_generator.encoder.state_dict()
    assert all(
        torch.equal(value, state[f'encoder.{k}']) for k, value in encoder.items()
    )


@pytest.mark.parametrize('host', ['eva-am', 'milan-am'])
def test_clip_is_read_from_a_file_and_stays_as_it_is(host, tmp_path):
    torch.manual_seed(0)
    # widths below 64 have no heads in it
    clip = CLIP(24, 64, 1, 64, 8, 4, 10, 64, 1, 1)
    state = clip.state_dict()
    torch.save(state, tmp_path / 'clip.pth.tar')

    cfg = find(f'{host}_vit-tiny')
    neck = {**cfg.model.neck, 'predict_feature_dim': 24}
    target = dict(type='CLIPGenerator', tokenizer_path=str(tmp_path / 'clip.pth.tar'))
    # the model's init_cfg is for its own parts
    model = build(cfg, neck=neck, target_generator=target, init_cfg=None)
    visual = {k: v for k, v in state.items() if k.startswith('visual.')}
    own = model.target_generator.tokenizer.state_dict()
    assert all(torch.equal(own[key], visual[key]) for key in visual)

    batch = load_batch(cfg, write_images(tmp_path / 'images', 2))
    losses = train(model, batch)
    assert np.isfinite(losses).all()
    assert losses[0] != losses[1]
    own = model.target_generator.tokenizer.state_dict()
    assert all(torch.equal(own[key], visual[key]) for key in visual)
