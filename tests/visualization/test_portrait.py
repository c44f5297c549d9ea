"""Portraits: attention, score, partition and pixels are the model's own."""

import numpy as np
import pytest
import torch

from mmattmask.evaluation.features import Normalisation
from mmattmask.evaluation.head_selection import read_maps
from mmattmask.masking import PatchBudget, min_max, partition_patches
from mmattmask.scorers.self_attention import read_cls_attention
from mmattmask.visualization import Membership
from mmattmask.visualization.portrait import Sitter, denormalise, normalise, portray
from mmattmask.visualization.prediction import LEAKS, predict_pixels

from ..tiny_hosts import HOSTS

HOW = Normalisation((100.0, 110.0, 120.0), (50.0, 60.0, 70.0), rgb=False)
AMT = dict(type='mmattmask.AMTMaskGenerator', mask_ratio=0.5, throw_ratio=0.25)
HIGH = dict(type='mmattmask.AttMaskGenerator', mode='high', mask_ratio=0.5)
CACHED = dict(type='mmattmask.CachedAttention')


def images_of(size, count=2):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, *size, 3), dtype=np.uint8)


def sitter_of(name, policy, scorer=None):
    host = HOSTS[name].build(policy, scorer).eval()
    vit = host.teacher['backbone'] if name == 'iBOT' else host.backbone
    return Sitter(vit, HOW, host), images_of((HOSTS[name].size,) * 2)


@pytest.mark.parametrize('rgb', [True, False])
def test_normalising_and_back(rgb):
    images = images_of((4, 6))
    how = Normalisation((1.0, 2.0, 3.0), (4.0, 5.0, 6.0), rgb)
    inputs = normalise(images, how)
    red = inputs[:, 0 if rgb else 2] * (4 if rgb else 6) + (1 if rgb else 3)
    torch.testing.assert_close(red, torch.from_numpy(images[..., 0]).float())
    assert np.array_equal(denormalise(inputs, how), images)


def test_attention_of_all_blocks_is_what_each_block_has():
    sitter, images = sitter_of('MAE', AMT, CACHED)
    state = torch.random.get_rng_state()
    portrait = portray(sitter, images)
    assert torch.equal(torch.random.get_rng_state(), state)
    inputs = normalise(images, HOW)
    assert portrait.blocks == [0, 1]
    assert portrait.cls.shape == portrait.received.shape == (2, 2, 2, 4, 4)
    for block in (0, 1):
        with torch.no_grad():
            expected = read_cls_attention(sitter.vit, inputs, block)
        found = torch.from_numpy(portrait.cls[:, block]).flatten(2)
        torch.testing.assert_close(found, expected)
    # read_maps runs the model as it is: without a mask only a stock ViT
    plain = HOSTS['iBOT'].build(HIGH).backbone
    plain.eval()
    for attention in ('received', 'received_probs', 'received_paper'):
        portrait = portray(Sitter(plain, HOW), images, attention=attention)
        expected = read_maps(plain, inputs, attention)
        found = torch.from_numpy(portrait.received).flatten(3)
        torch.testing.assert_close(found, expected)


def test_score_is_that_of_the_scorer_or_of_the_block_asked_for():
    sitter, images = sitter_of('MAE', AMT, CACHED)
    portrait = portray(sitter, images)
    with torch.no_grad():
        own = sitter.host.guidance.scorer.measure(sitter.host, normalise(images, HOW))
    assert np.allclose(portrait.score.reshape(2, -1), own.numpy(), atol=1e-6)
    assert portrait.score_note == 'CachedAttention, measured now'
    cls = portray(sitter, images, source='cls', block=0)
    assert np.allclose(cls.score, cls.cls[:, 0].mean(axis=1))
    received = portray(sitter, images, source='received')
    total = torch.from_numpy(received.received[:, 1].sum(axis=1)).flatten(1)
    assert np.allclose(received.score.reshape(2, -1), min_max(total), atol=1e-6)
    assert received.score_note == 'received attention, block 1'


def test_ibot_has_the_attention_of_its_teacher():
    sitter, images = sitter_of('iBOT', HIGH)
    portrait = portray(sitter, images)
    expected = portrait.cls[:, -1].mean(axis=1)
    assert np.allclose(portrait.score, expected, atol=1e-6)
    for score, sets in zip(portrait.score, portrait.sets, strict=True):
        top = set(np.argsort(-score.reshape(-1))[:8])
        assert set(np.nonzero(sets.reshape(-1))[0]) == top
    assert portrait.prediction is None
    assert portrait.prediction_note == 'IBOT predicts no pixels'


@pytest.mark.parametrize(
    ('name', 'policy', 'attention'),
    [
        ('MAE', AMT, True),
        ('MFF', AMT, True),
        ('MAE-HiViT', AMT, False),
        ('ConvMAE', AMT, False),
        ('SimMIM (ViT)', AMT, True),
        ('SimMIM (Swin)', HIGH, False),
        ('MaskFeat', HIGH, True),
        ('BEiT', HIGH, True),
    ],
)
def test_hosts_of_both_seams(name, policy, attention):
    sitter, images = sitter_of(name, policy, CACHED if attention else None)
    portrait = portray(sitter, images)
    grid, size = HOSTS[name].grid, images.shape[1:3]
    assert portrait.score.shape == portrait.sets.shape == (2, *grid)
    masked = (portrait.sets == Membership.MASKED).sum(axis=(1, 2))
    assert masked.tolist() == [grid[0] * grid[1] // 2] * 2
    assert (portrait.cls is not None) == attention
    assert bool(portrait.remarks) == (not attention or name == 'BEiT')
    if name in ('MaskFeat', 'BEiT'):
        assert portrait.prediction is None
    else:
        assert portrait.prediction.shape == (2, *size, 3)
        leaks = name in ('MAE', 'MFF', 'MAE-HiViT', 'ConvMAE')
        assert (portrait.prediction_note == LEAKS) == leaks


def test_simmim_cells_are_expanded_to_tokens(monkeypatch):
    sitter, images = sitter_of('SimMIM (ViT)', AMT)
    seen = []
    forward = sitter.host.backbone.forward

    def spy(x, mask):
        seen.append(mask)
        return forward(x, mask)

    monkeypatch.setattr(sitter.host.backbone, 'forward', spy)
    portrait = portray(sitter, images)
    partition = seen[-1]
    mask = partition.mask.view(2, 8, 8)
    cells = portrait.sets.repeat(2, axis=1).repeat(2, axis=2)
    assert np.array_equal(mask.numpy() == 1, cells == Membership.MASKED)
    thrown = partition.thrown.view(2, 8, 8).numpy()
    assert np.array_equal(thrown, cells == Membership.THROWN)


@pytest.mark.parametrize('norm_pix', [True, False])
def test_pixels_are_what_the_loss_compares(norm_pix):
    host = HOSTS['MAE'].build(AMT).eval()
    host.head.norm_pix = norm_pix
    inputs = 2 * torch.randn(2, 3, 32, 32) + 5
    budget = PatchBudget(4, 8, 4)
    partition = partition_patches(torch.rand(2, 16).argsort(dim=1), budget)
    with torch.no_grad():
        image, note = predict_pixels(host, inputs, partition.mask, partition)
        latent, mask, ids = host.backbone(inputs, partition)
        pred = host.neck(latent, ids, partition)
        loss = host.head.loss(pred, inputs, mask)
    assert (note == LEAKS) == norm_pix
    patches, target = host.head.patchify(image), host.head.patchify(inputs)
    error = (patches - target) ** 2
    if norm_pix:
        error = error / (target.var(dim=-1, keepdim=True) + 1e-6)
    torch.testing.assert_close((error.mean(-1) * mask).sum() / mask.sum(), loss)


def test_a_plain_model_has_neither_policy_nor_pixels():
    sitter, images = sitter_of('MAE', AMT, CACHED)
    portrait = portray(Sitter(sitter.vit, HOW), images)
    assert portrait.sets is None
    assert portrait.prediction is None
    assert np.allclose(portrait.score, portrait.cls[:, -1].mean(axis=1))


def test_what_cannot_be_read():
    sitter, images = sitter_of('MAE-HiViT', AMT)
    portrait = portray(sitter, images)
    assert portrait.remarks == ('no attention: GuidedMAEHiViT has no list of blocks',)
    assert (portrait.score == 0).all()
    with pytest.raises(ValueError, match="score cannot be 'cls': no such attention"):
        portray(sitter, images, source='cls')
    sitter, images = sitter_of('MAE', AMT)
    with pytest.raises(ValueError, match=r'block 7 has no attention .* only \[0, 1\]'):
        portray(sitter, images, source='cls', block=7)
