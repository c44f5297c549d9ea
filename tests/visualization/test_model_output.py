"""A model's output: attention, score, partition and pixels are the model's own."""

import numpy as np
import pytest
import torch

from mmattmask.evaluation.features import Normalisation
from mmattmask.evaluation.head_selection import read_maps
from mmattmask.masking import PatchBudget, min_max, partition_patches
from mmattmask.scorers.self_attention import read_cls_attention
from mmattmask.visualization import Membership
from mmattmask.visualization.loading import LoadedModel
from mmattmask.visualization.model_output import run_model
from mmattmask.visualization.pixels import LEAKS, normalise, predict_pixels, to_rgb

from ..tiny_hosts import HOSTS

NORMALISATION = Normalisation((100.0, 110.0, 120.0), (50.0, 60.0, 70.0), rgb=False)
AMT = dict(type='mmattmask.AMTMaskGenerator', mask_ratio=0.5, throw_ratio=0.25)
HIGH = dict(type='mmattmask.AttMaskGenerator', mode='high', mask_ratio=0.5)
CACHED = dict(type='mmattmask.CachedAttention')


def images_of(size, count=2):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, *size, 3), dtype=np.uint8)


def stacked(output, name):
    """One field of all records."""
    return np.stack([getattr(record, name) for record in output.records])


def model_of(name, policy, scorer=None):
    host = HOSTS[name].build(policy, scorer).eval()
    vit = host.teacher['backbone'] if name == 'iBOT' else host.backbone
    return LoadedModel(vit, NORMALISATION, host), images_of((HOSTS[name].size,) * 2)


def test_bgr_is_normalised_and_drawn():
    images = images_of((4, 6))
    normalisation = Normalisation((1.0, 2.0, 3.0), (4.0, 5.0, 6.0), rgb=False)
    inputs = normalise(images, normalisation)
    red = inputs[:, 2] * 6 + 3
    torch.testing.assert_close(red, torch.from_numpy(images[..., 0]).float())
    assert np.array_equal(to_rgb(inputs, normalisation), images)


@pytest.mark.parametrize('channels', [1, 2, 3, 5])
def test_any_number_of_channels_is_drawn(channels):
    pixels = torch.randint(0, 256, (2, channels, 4, 6)).float()
    normalisation = Normalisation(tuple(range(100, 100 + channels)), (50.0,) * channels)
    inputs = normalise(pixels.permute(0, 2, 3, 1).numpy(), normalisation)
    shown = to_rgb(inputs, normalisation)
    expected = pixels[:, :3] if channels > 2 else pixels.mean(dim=1, keepdim=True)
    expected = expected.expand(-1, 3, -1, -1).permute(0, 2, 3, 1)
    assert np.array_equal(shown, expected.round().byte().numpy())


@pytest.mark.parametrize(('low', 'high'), [(0, 1), (-1000, 3000), (0, 65535)])
def test_other_ranges_than_bytes_are_stretched_alike(low, high):
    plain = Normalisation((0.0,), (1.0,))
    pixels = torch.linspace(low, high, 16).view(1, 1, 4, 4)
    shown = to_rgb(pixels, plain)
    assert (shown.min(), shown.max()) == (0, 255)
    assert np.all(np.diff(shown[..., 0].reshape(-1).astype(int)) == 17)
    # predictions are shown on the scale of the images
    shown = to_rgb(pixels / 2 + low / 2, plain, pixels)
    assert (shown.min(), shown.max()) == (0, 128)
    assert to_rgb(torch.full((1, 1, 2, 2), 7.0), plain).max() == 7
    assert to_rgb(torch.zeros(1, 1, 2, 2), plain).max() == 0


def test_attention_of_all_blocks_is_what_each_block_has():
    model, images = model_of('MAE', AMT, CACHED)
    state = torch.random.get_rng_state()
    output = run_model(model, images)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert output.blocks == [0, 1]
    shape = (2, 2, 2, 4, 4)
    assert {name: maps.shape for name, maps in output.attention.items()} == dict(
        cls=shape, received=shape
    )
    inputs = normalise(images, NORMALISATION)
    for block in (0, 1):
        with torch.no_grad():
            expected = read_cls_attention(model.vit, inputs, block)
        found = output.attention['cls'][:, block].reshape(expected.shape)
        assert np.allclose(found, expected, atol=1e-6)
    # read_maps runs the model as it is: without a mask only a stock ViT
    plain = HOSTS['iBOT'].build(HIGH).backbone
    plain.eval()
    loaded = LoadedModel(plain, NORMALISATION)
    for attention in ('received', 'received_probs', 'received_paper'):
        output = run_model(loaded, images, attention=attention)
        expected = read_maps(plain, inputs, attention)
        found = torch.from_numpy(output.attention['received']).flatten(3)
        torch.testing.assert_close(found, expected)


def test_score_is_that_of_the_scorer_or_of_the_block_asked_for():
    model, images = model_of('MAE', AMT, CACHED)
    output = run_model(model, images)
    inputs = normalise(images, NORMALISATION)
    with torch.no_grad():
        own = model.host.guidance.scorer.measure(model.host, inputs)
    assert np.allclose(stacked(output, 'score').reshape(2, -1), own, atol=1e-6)
    assert output.records[0].score_note == 'CachedAttention, measured now'
    cls = run_model(model, images, source='cls', block=0)
    assert np.allclose(stacked(cls, 'score'), cls.attention['cls'][:, 0].mean(axis=1))
    received = run_model(model, images, source='received')
    total = torch.from_numpy(received.attention['received'][:, 1].sum(axis=1))
    score = stacked(received, 'score').reshape(2, -1)
    assert np.allclose(score, min_max(total.flatten(1)), atol=1e-6)
    assert received.records[0].score_note == 'received attention, block 1'
    # a plain model has neither policy nor pixels
    output = run_model(LoadedModel(model.vit, NORMALISATION), images)
    last = output.attention['cls'][:, -1].mean(axis=1)
    assert np.allclose(stacked(output, 'score'), last)
    assert output.records[0].sets is output.records[0].prediction is None


def test_ibot_has_the_attention_of_its_teacher():
    model, images = model_of('iBOT', HIGH)
    output = run_model(model, images)
    expected = output.attention['cls'][:, -1].mean(axis=1)
    assert np.allclose(stacked(output, 'score'), expected, atol=1e-6)
    for score, sets in zip(
        stacked(output, 'score'), stacked(output, 'sets'), strict=True
    ):
        top = set(np.argsort(-score.reshape(-1))[:8])
        assert set(np.nonzero(sets.reshape(-1))[0]) == top
    assert output.records[0].prediction is None
    assert output.records[0].prediction_note == 'IBOT predicts no pixels'


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
    model, images = model_of(name, policy, CACHED if attention else None)
    output = run_model(model, images)
    grid, size = HOSTS[name].grid, images.shape[1:3]
    assert stacked(output, 'score').shape == stacked(output, 'sets').shape == (2, *grid)
    masked = (stacked(output, 'sets') == Membership.MASKED).sum(axis=(1, 2))
    assert masked.tolist() == [grid[0] * grid[1] // 2] * 2
    assert ('cls' in output.attention) == attention
    assert bool(output.remarks) == (not attention or name == 'BEiT')
    if name in ('MaskFeat', 'BEiT'):
        assert output.records[0].prediction is None
    else:
        assert stacked(output, 'prediction').shape == (2, *size, 3)
        leaks = name in ('MAE', 'MFF', 'MAE-HiViT', 'ConvMAE')
        assert (output.records[0].prediction_note == LEAKS) == leaks


def test_simmim_cells_are_expanded_to_tokens(monkeypatch):
    model, images = model_of('SimMIM (ViT)', AMT)
    seen = []
    forward = model.host.backbone.forward

    def spy(x, mask):
        seen.append(mask)
        return forward(x, mask)

    monkeypatch.setattr(model.host.backbone, 'forward', spy)
    output = run_model(model, images)
    partition = seen[-1]
    mask = partition.mask.view(2, 8, 8)
    cells = stacked(output, 'sets').repeat(2, axis=1).repeat(2, axis=2)
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
        image, note = predict_pixels(host, inputs, partition)
        latent, mask, ids = host.backbone(inputs, partition)
        pred = host.neck(latent, ids, partition)
        loss = host.head.loss(pred, inputs, mask)
    assert (note == LEAKS) == norm_pix
    patches, target = host.head.patchify(image), host.head.patchify(inputs)
    error = (patches - target) ** 2
    if norm_pix:
        error = error / (target.var(dim=-1, keepdim=True) + 1e-6)
    torch.testing.assert_close((error.mean(-1) * mask).sum() / mask.sum(), loss)


def test_what_cannot_be_read():
    model, images = model_of('MAE-HiViT', AMT)
    output = run_model(model, images)
    assert output.remarks == ['no attention: GuidedMAEHiViT has no list of blocks']
    assert (stacked(output, 'score') == 0).all()
    with pytest.raises(ValueError, match="score cannot be 'cls': no such attention"):
        run_model(model, images, source='cls')
    model, images = model_of('MAE', AMT)
    with pytest.raises(ValueError, match=r'block 7 has no attention .* only \[0, 1\]'):
        run_model(model, images, source='cls', block=7)
