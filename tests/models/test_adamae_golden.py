"""One training step of the official AdaMAE on video, with our sampler and its loss.

Encoder and decoder are those of the case, written with functions: on images the host is
MAE. Sampler, policy and loss are ours.
"""

import re

import pytest
import torch
from torch.nn import functional as F

from mmattmask.mask_generators import AMTMaskGenerator
from mmattmask.scorers import LearnedSampler

from ..golden import each

NAME = 'policies/adamae_step'
NAMES = (
    (r'^encoder\.pos_embed_probs', 'pos_embed'),
    (r'^encoder\.get_token_probs\.0\.norm', 'block.ln'),
    (r'^encoder\.get_token_probs\.0', 'block'),
    (r'^encoder\.get_token_probs\.1', 'logit'),
    (r'\bmlp\.fc1', 'ffn.layers.0.0'),
    (r'\bmlp\.fc2', 'ffn.layers.1'),
)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def our_name(name):
    for pattern, new in NAMES:
        name = re.sub(pattern, new, name)
    return name


def norm(x, weights, name, eps=1e-6):
    scale, shift = weights[f'{name}.weight'], weights[f'{name}.bias']
    return F.layer_norm(x, scale.shape, scale, shift, eps)


def linear(x, weights, name):
    return F.linear(x, weights[f'{name}.weight'], weights.get(f'{name}.bias'))


def block(x, weights, name, heads):
    """A pre-norm block with biases of queries and values only."""
    query, value = (weights[f'{name}.attn.{part}_bias'] for part in 'qv')
    bias = torch.cat([query, torch.zeros_like(query), value])
    inside = norm(x, weights, f'{name}.norm1')
    qkv = F.linear(inside, weights[f'{name}.attn.qkv.weight'], bias)
    qkv = qkv.unflatten(2, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    attended = F.scaled_dot_product_attention(*qkv).transpose(1, 2).flatten(2)
    x = x + linear(attended, weights, f'{name}.attn.proj')
    inside = linear(norm(x, weights, f'{name}.norm2'), weights, f'{name}.mlp.fc1')
    return x + linear(F.gelu(inside), weights, f'{name}.mlp.fc2')


def positions(number, dims, dtype):
    """Sines and cosines of the place of a token."""
    index = torch.arange(dims, dtype=torch.float64)
    rate = 10000 ** (2 * (index // 2) / dims)
    angle = torch.arange(number, dtype=torch.float64)[:, None] / rate
    angle[:, 0::2], angle[:, 1::2] = angle[:, 0::2].sin(), angle[:, 1::2].cos()
    # the release keeps them in float32
    return angle.float().to(dtype)


def targets(video, sizes):
    """Pixels of each tubelet, normalised per channel, (B, L, K)."""
    mean, std = (video.new_tensor(v).view(1, 3, 1, 1, 1) for v in (MEAN, STD))
    side = sizes['patch_size']
    cells = (video * std + mean).unflatten(4, (-1, side)).unflatten(3, (-1, side))
    cells = cells.unflatten(2, (-1, sizes['tubelet']))
    cells = cells.permute(0, 2, 4, 6, 3, 5, 7, 1).flatten(4, 6).flatten(1, 3)
    spread = cells.var(dim=2, keepdim=True).sqrt() + 1e-6
    return ((cells - cells.mean(dim=2, keepdim=True)) / spread).flatten(2)


def predict(tokens, partition, weights, sizes):
    """Encode visible tokens, decode all, (B, M, K) of the masked ones."""
    dtype, number = tokens.dtype, tokens.shape[1]
    visible = partition.ids_keep.sort(dim=1).values
    masked = partition.ids_mask.sort(dim=1).values
    x = tokens + positions(number, tokens.shape[2], dtype)
    x = x.gather(1, visible.unsqueeze(2).expand(-1, -1, x.shape[2]))
    for index in range(sizes['encoder_depth']):
        x = block(x, weights, f'encoder.blocks.{index}', sizes['encoder_num_heads'])
    x = linear(norm(x, weights, 'encoder.norm'), weights, 'encoder_to_decoder')
    places = positions(number, x.shape[2], dtype)
    x = torch.cat([x + places[visible], weights['mask_token'] + places[masked]], dim=1)
    for index in range(sizes['decoder_depth']):
        x = block(x, weights, f'decoder.blocks.{index}', sizes['decoder_num_heads'])
    x = norm(x[:, visible.shape[1] :], weights, 'decoder.norm')
    return linear(x, weights, 'decoder.head'), masked


@each(NAME, lambda case: ('out', 'f64'), 'kind')
def test_training_step(golden, kind, monkeypatch):
    case = golden(NAME)
    sizes, dtype = case.config, torch.float64 if kind == 'f64' else torch.float32
    weights = {
        name: case[key].to(dtype).requires_grad_()
        for name, key in case.under('weights/').items()
    }
    video = (case['in/video'].to(dtype) / 255 - 0.5) / 0.25

    def embed(video):
        kernel = weights['encoder.patch_embed.proj.weight']
        bias = weights['encoder.patch_embed.proj.bias']
        out = F.conv3d(video, kernel, bias, stride=kernel.shape[2:])
        return out.flatten(2).transpose(1, 2), None

    sampler = LearnedSampler(sizes['loss_weight'], drop_rate=0.0)
    sampler.build(embed, sizes['encoder_embed_dim'], sizes['tokens'])
    own = {our_name(name): value for name, value in weights.items()}
    own = {name: own[name] for name, _ in sampler.named_parameters()}
    score = torch.func.functional_call(sampler, own, (video, None, (1, 1), 1))
    case.assert_close(score, f'{kind}/p')

    drawn = case['draw/visible_ids']
    rest = torch.ones_like(score).scatter(1, drawn, 0).argsort(1, descending=True)
    ranking = torch.cat([drawn, rest[:, : score.shape[1] - drawn.shape[1]]], dim=1)
    monkeypatch.setattr(
        'mmattmask.mask_generators.amt.rank_sampled', lambda *args: ranking
    )
    policy = AMTMaskGenerator(sizes['mask_ratio'], 0.0, first='visible', rounding='up')
    partition = policy(score.detach())
    assert torch.equal(partition.mask.bool(), case['out/mask'])

    tokens, _ = embed(video)
    pred, masked = predict(tokens, partition, weights, sizes)
    case.assert_close(pred[:, :4], f'{kind}/pred_first4')
    wanted = targets(video, sizes)
    wanted = wanted.gather(1, masked.unsqueeze(2).expand(-1, -1, wanted.shape[2]))
    errors = (pred - wanted).square().mean(dim=2)
    error = torch.zeros_like(score).scatter(1, masked, errors.detach())
    losses = sampler.loss(score, partition, error, 0.0, tokens)
    case.assert_close(errors.mean(), f'{kind}/loss_reconstruction')
    case.assert_close(losses['loss_sampling'], f'{kind}/loss_sampling')
    total = errors.mean() + losses['loss_sampling']
    case.assert_close(total, f'{kind}/loss_total')
    total.backward()
    gradients = [weights[name].grad for name in case.meta['param_names']]
    norms = torch.stack([gradient.double().norm() for gradient in gradients])
    case.assert_close(norms, f'{kind}/grad_norms')


ADAMAE = dict(type='mmattmask.AMTMaskGenerator', throw_ratio=0.0, first='visible')


@pytest.fixture
def model(guided_mae):
    return guided_mae(
        scorer=dict(type='mmattmask.LearnedSampler'),
        mask_generator=dict(mask_ratio=0.75, rounding='up', **ADAMAE),
    )


def test_scores_are_probabilities_and_a_step_trains_them(model):
    images = torch.randn(3, 3, 48, 48)
    score = model.guidance.score(images, None)
    torch.testing.assert_close(score.sum(dim=1), torch.ones(3))
    losses = model(images, None, mode='loss')
    assert set(losses) == {'loss', 'loss_sampling'}
    losses['loss_sampling'].backward()
    names = {n for n, p in model.named_parameters() if p.grad is not None}
    scorer = {n for n, _ in model.named_parameters() if 'scorer' in n}
    embed = {f'backbone.patch_embed.projection.{part}' for part in ('weight', 'bias')}
    assert names == scorer | embed
    assert not any('scorer.patch_embed' in name for name in model.state_dict())


def test_hard_patches_become_visible(model):
    """The upper row has nothing to reconstruct; the rest has noise."""
    model.guidance.scorer.loss_weight = 1.0
    images = torch.randn(8, 3, 48, 48)
    images[:, :, :8] = 0
    optimizer = torch.optim.Adam(model.guidance.scorer.parameters(), lr=0.02)
    for _ in range(40):
        optimizer.zero_grad()
        model(images, None, mode='loss')['loss_sampling'].backward()
        optimizer.step()
    score = model.eval().guidance.score(images, None)
    assert score[:, 6:].mean() > 1.5 * score[:, :6].mean()
    mask = model.guidance.decide(score, images).mask
    assert mask[:, :6].mean() > mask[:, 6:].mean()


def test_initial_weights_and_dropout(model):
    scorer = model.guidance.scorer
    assert (scorer.pos_embed == 0).all()
    assert (scorer.logit.bias == 0).all()
    bound = (6 / (48 + 1)) ** 0.5
    assert 0.5 * bound < scorer.logit.weight.abs().max() <= bound
    dropped = [m.p for m in scorer.modules() if isinstance(m, torch.nn.Dropout)]
    assert sorted(set(dropped)) == [0.0, 0.1]
    inside = scorer.block.ffn.layers[0]
    assert all(m.p == 0 for m in inside if isinstance(m, torch.nn.Dropout))


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(loss_weight=-1), r'loss_weight \(-1\)'),
        (dict(drop_rate=1.0), r'drop_rate \(1\.0\)'),
        (dict(num_heads=7), r'num_heads \(7\) must divide the width of the ViT \(48\)'),
    ],
)
def test_bad_options(guided_mae, changes, message):
    with pytest.raises(ValueError, match=message):
        guided_mae(scorer=dict(type='mmattmask.LearnedSampler', **changes))


def test_hosts_without_a_plain_vit_are_refused():
    sampler = LearnedSampler()
    host = torch.nn.Module()
    host.backbone = torch.nn.Identity()
    with pytest.raises(ValueError, match=r'plain ViT.*Identity is none'):
        sampler.bind(host)
