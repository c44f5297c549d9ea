"""Frozen features: what each kind is, the order of a dataset, and the cache."""

import dataclasses
import os

import pytest
import torch
from mmpretrain.models import VisionTransformer
from mmpretrain.registry import MODELS

from mmattmask.evaluation import extraction
from mmattmask.evaluation.eval_data import labelled_images, whole_view
from mmattmask.evaluation.extraction import extract_features, in_order
from mmattmask.evaluation.features import (
    FrozenFeatures,
    Normalisation,
    knn_kind,
    linear_kind,
)

from ..engine.toy_run import NUM_IMAGES, write_images

PLAIN = Normalisation(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
SIZE = (16, 16)


def arch(blocks=5, heads=2):
    return dict(
        embed_dims=24, num_layers=blocks, num_heads=heads, feedforward_channels=32
    )


def vit(blocks=5, heads=2, **options):
    torch.manual_seed(0)
    options = dict(img_size=16, patch_size=4, out_type='raw') | options
    model = VisionTransformer(arch=arch(blocks, heads), **options)
    for parameter in model.parameters():  # norms and tokens that are not trivial
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model


def features(model, kinds, pixels, **options):
    model = FrozenFeatures(model, kinds, PLAIN, **options)
    return model(pixels, rgb=True)


@pytest.fixture
def pixels():
    return torch.rand(3, 3, 16, 16)


def test_kinds_are_made_of_normed_tokens(pixels):
    model = vit()
    found = features(model, ('cls', 'mean', 'cls_mean', 'last4'), pixels)
    tokens = torch.cat(
        [model.cls_token.expand(3, -1, -1), model.patch_embed(pixels)[0]], dim=1
    )
    tokens = tokens + model.pos_embed
    blocks = []
    for layer in model.layers:
        tokens = layer(tokens)
        blocks.append(model.ln1(tokens))
    cls, mean = blocks[-1][:, 0], blocks[-1][:, 1:].mean(dim=1)
    torch.testing.assert_close(found['cls'], cls)
    torch.testing.assert_close(found['mean'], mean)
    torch.testing.assert_close(found['cls_mean'], torch.cat([cls, mean], dim=1))
    last4 = torch.cat([block[:, 0] for block in blocks[1:]], dim=1)
    torch.testing.assert_close(found['last4'], last4)


@pytest.mark.parametrize('out_type', ['cls_token', 'featmap', 'avg_featmap'])
def test_what_a_backbone_returns_does_not_matter(pixels, out_type):
    other = vit(out_type=out_type)
    other.load_state_dict(vit().state_dict(), strict=False)
    expected = features(vit(), ('cls', 'mean'), pixels)
    found = features(other, ('cls', 'mean'), pixels)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    'kind', ['MAEViT', 'MFFViT', 'MaskFeatViT', 'MILANViT', 'mmattmask.IBOTViT']
)
def test_pretraining_backbones_see_all_patches(pixels, kind):
    options = dict(out_indices=[1, 4]) if kind == 'MFFViT' else {}
    model = MODELS.build(
        dict(type=kind, arch=arch(), img_size=16, patch_size=4, **options)
    )
    plain = vit()
    model.load_state_dict(plain.state_dict(), strict=False)
    expected = features(plain, ('last4', 'mean'), pixels)
    torch.testing.assert_close(features(model, ('last4', 'mean'), pixels), expected)


@pytest.mark.parametrize(
    'config',
    [
        dict(
            type='SimMIMSwinTransformer',
            arch=dict(embed_dims=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1]),
            pad_small_map=True,
        ),
        dict(
            type='mmattmask.ConvMAEViT',
            arch=dict(embed_dims=[8, 8, 16], depths=[1, 1, 2], num_heads=2),
        ),
    ],
    ids=lambda config: config['type'],
)
def test_without_cls_token_there_is_the_mean(config):
    model = MODELS.build(dict(config, img_size=32))
    pixels = torch.rand(2, 3, 32, 32)
    assert (knn_kind(model), linear_kind(model)) == ('mean', 'mean')
    found = features(model, ('mean',), pixels)['mean']
    last = model(pixels, mask=None)[-1]
    by_hand = last.mean(dim=(2, 3) if last.ndim == 4 else 1)
    torch.testing.assert_close(found, by_hand)
    with pytest.raises(ValueError, match=r"only 'mean' features, got \('cls', 'mean'"):
        FrozenFeatures(model, ('cls', 'mean'), PLAIN)


def test_kinds_that_do_not_exist():
    with pytest.raises(ValueError, match=r'needs 4 blocks, and this .* has 3'):
        FrozenFeatures(vit(blocks=3), ('last4',), PLAIN)
    with pytest.raises(ValueError, match=r"got \('mena',\)"):
        FrozenFeatures(vit(), ('mena',), PLAIN)
    with pytest.raises(ValueError, match=r'got \(\)'):
        FrozenFeatures(vit(), (), PLAIN)


def test_default_kinds():
    assert (knn_kind(vit()), linear_kind(vit())) == ('cls', 'last4')
    assert linear_kind(vit(blocks=3)) == 'cls_mean'
    with torch.device('meta'):
        base = VisionTransformer(arch='base')
    assert linear_kind(base) == 'cls_mean'


def test_pixels_are_normalised_in_the_models_order(pixels):
    how = Normalisation(mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 6.0), rgb=True)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (how.mean, how.std))
    by_hand = features(vit(), ('cls',), (pixels - mean) / std)['cls']
    model = FrozenFeatures(vit(), ('cls',), how)
    torch.testing.assert_close(model(pixels, rgb=True)['cls'], by_hand)
    torch.testing.assert_close(model(pixels.flip(1), rgb=False)['cls'], by_hand)
    assert not torch.allclose(model(pixels, rgb=False)['cls'], by_hand)


def test_the_backbone_is_frozen(pixels):
    model = FrozenFeatures(vit(drop_path_rate=0.9), ('cls',), PLAIN).train()
    assert not any(part.training for part in model.modules())
    assert not any(parameter.requires_grad for parameter in model.parameters())
    first, second = (model(pixels, True)['cls'] for _ in range(2))
    assert torch.equal(first, second)


def test_amp_gives_float32_features(pixels):
    found = features(vit(), ('cls', 'last4'), pixels, amp=True)
    exact = features(vit(), ('cls', 'last4'), pixels)
    for kind, value in found.items():
        assert value.dtype == torch.float32
        assert not torch.equal(value, exact[kind])
        torch.testing.assert_close(value, exact[kind], atol=0.1, rtol=0.1)


# A whole dataset


def images(data_root, resize=None, **options):
    config = dict(type='mmpretrain.CustomDataset', data_root=str(data_root))
    return labelled_images(config, whole_view(SIZE, resize), SIZE, **options)


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
    return images(write_images(tmp_path_factory.mktemp('images')))


def extract(model, data, **options):
    return extract_features(model, data, 'toy', num_workers=0, **options)


def frozen(kinds=('cls',), normalisation=PLAIN, amp=False, **options):
    return FrozenFeatures(vit(**options), kinds, normalisation, amp)


@pytest.mark.parametrize('batch_size', [1, 7, 64])
def test_features_are_in_the_order_of_the_dataset(dataset, batch_size):
    data, model = dataset, frozen(('mean', 'cls'))
    found, labels = extract(model, data, batch_size=batch_size)
    assert list(found) == ['mean', 'cls']
    assert labels.tolist() == [0] * 11 + [1] * 11
    pixels = torch.stack([data.images[index][0] for index in range(NUM_IMAGES)])
    torch.testing.assert_close(found, model(pixels, rgb=False))


def test_shares_of_the_ranks_are_dealt_back(monkeypatch):
    """Five rows on two ranks, gathered two at a time; the sixth is a repetition."""
    rows = torch.arange(10.0).view(5, 2)
    shares = [rows[[0, 2, 4]], rows[[1, 3, 0]]]
    monkeypatch.setattr(extraction, 'CHUNK_ROWS', 2)
    monkeypatch.setattr(extraction, 'get_world_size', lambda: 2)

    def all_gather(chunk):
        start = 0 if torch.equal(chunk, shares[0][:2]) else 2
        return [share[start : start + 2] for share in shares]

    monkeypatch.setattr(extraction, 'all_gather', all_gather)
    assert torch.equal(in_order(shares[0], 5), rows)


def broken(*args):
    raise AssertionError('the backbone ran')


def test_cached_features_are_read_again(tmp_path, dataset, monkeypatch):
    first, _ = extract(frozen(), dataset, cache=tmp_path)
    (file,) = tmp_path.iterdir()
    assert file.name.startswith('toy-cls-')
    monkeypatch.setattr(FrozenFeatures, 'forward', broken)
    second, labels = extract(frozen(), dataset, cache=tmp_path)
    assert torch.equal(first['cls'], second['cls'])
    assert len(labels) == NUM_IMAGES
    with pytest.raises(AssertionError, match='the backbone ran'):
        extract(frozen(), dataset)


@pytest.mark.parametrize(
    'change',
    [
        dict(blocks=4),
        dict(heads=4),  # no weight shows it
        dict(interpolate_mode='bilinear'),  # nor what is printed
        dict(kinds=('mean',)),
        dict(amp=True),
        dict(normalisation=Normalisation()),
    ],
    ids=str,
)
def test_another_model_never_meets_old_features(tmp_path, dataset, change):
    extract(frozen(), dataset, cache=tmp_path)
    new, _ = extract(frozen(**change), dataset, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    fresh, _ = extract(frozen(**change), dataset)
    torch.testing.assert_close(new, fresh)


def test_other_weights_or_images_never_meet_old_features(tmp_path):
    root, cache = write_images(tmp_path / 'images'), tmp_path / 'cache'

    def count(model, data):
        extract(model, data, cache=cache)
        return len(list(cache.iterdir()))

    assert count(frozen(), images(root)) == 1
    changed = vit()
    changed.pos_embed.data[0, 0, 0] += 1e-6
    assert count(FrozenFeatures(changed, ('cls',), PLAIN), images(root)) == 2
    assert count(frozen(), images(root, subset=3)) == 3
    paths = sorted((tmp_path / 'images').rglob('*.png'))
    paths[0].write_bytes(paths[1].read_bytes())  # another image under the same name
    assert count(frozen(), images(root)) == 4
    os.rename(paths[0], paths[0].with_name('zzz.png'))
    assert count(frozen(), images(root)) == 5
    assert count(frozen(), images(root)) == 5
    assert count(frozen(), images(root, resize=20)) == 6
    exchanged = dataclasses.replace(images(root), rgb=True)
    assert count(frozen(), exchanged) == 7


def test_half_a_file_is_never_found(tmp_path, dataset, monkeypatch):
    def killed(tensors, path):
        path.write_bytes(b'half')
        raise KeyboardInterrupt

    monkeypatch.setattr(extraction, 'save_file', killed)
    with pytest.raises(KeyboardInterrupt):
        extract(frozen(), dataset, cache=tmp_path)
    monkeypatch.undo()
    found, _ = extract(frozen(), dataset, cache=tmp_path)
    assert found['cls'].shape == (NUM_IMAGES, 24)


def test_all_unreadable_images_are_named_at_once(tmp_path):
    root = write_images(tmp_path)
    paths = sorted(tmp_path.rglob('*.png'))[3::10]
    for path in paths:
        path.write_bytes(b'not a picture')
    first, second = (path.name for path in paths)
    with pytest.raises(ValueError, match=f'2 images cannot .*{first}.*{second}'):
        extract(frozen(), images(root), batch_size=2)


def test_features_that_are_not_finite_are_refused(dataset):
    model = frozen()
    model.backbone.ln1.bias.data[0] = float('nan')
    with pytest.raises(ValueError, match='cls features of toy are not finite'):
        extract(model, dataset)
