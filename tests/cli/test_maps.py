"""mmattmask maps: a file for UserMaps, however often it is stopped."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS
from PIL import Image
from safetensors.torch import load_file

from mmattmask.engine.image_pass import normalized
from mmattmask.inspection.score import guided_model
from mmattmask.models.guidance import attention_maps
from mmattmask.scorers import FrozenTeacher, map_writer
from mmattmask.scorers.map_files import open_maps
from tests.command_line import mmattmask
from tests.engine.toy_run import NUM_IMAGES, toy_config, train, write_images

timm = pytest.importorskip('timm')
NAME = 'vit_tiny_patch16_224.augreg_in21k'

ARCH = dict(embed_dims=24, num_layers=2, num_heads=2, feedforward_channels=48)


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp('images'))


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    torch.manual_seed(0)
    vit = timm.create_model(NAME, num_classes=0)
    path = tmp_path_factory.mktemp('weights') / 'vit.pth'
    torch.save(vit.state_dict(), path)
    return path


@pytest.fixture
def make(tmp_path, data_root, weights, monkeypatch):
    """Run the command on the images, in pieces of two batches of three."""
    monkeypatch.setattr(map_writer, 'BATCHES', 2)
    monkeypatch.chdir(tmp_path)

    def run(out='maps.safetensors', **options):
        options = dict(block=1, head=2, size=64, batch_size=3) | options
        flags = [
            word
            for name, value in (options | dict(out=out, num_workers=0)).items()
            for word in (f'--{name.replace("_", "-")}', value)
        ]
        images = ('--images', data_root, '--checkpoint', weights)
        return mmattmask('maps', NAME, *images, *flags)

    return run


def test_a_run_is_guided_by_what_comes_out(tmp_path, data_root, make):
    said = make()
    assert f'maps of {NUM_IMAGES} images' in said
    assert "dict(type='mmattmask.UserMaps', path='maps.safetensors')" in said
    maps = load_file(tmp_path / 'maps.safetensors')
    assert sorted(maps)[:2] == ['class_0/000', 'class_0/002']
    assert {tuple(values.shape) for values in maps.values()} == {(4, 4)}
    assert not torch.equal(maps['class_0/000'], maps['class_0/002'])

    cfg = toy_config(tmp_path / 'run', data_root, train_cfg__max_epochs=1)
    cfg.train_dataloader.batch_size = NUM_IMAGES // 2
    cfg.model.scorer = dict(type='mmattmask.UserMaps', path='maps.safetensors')
    cfg.custom_hooks = [
        dict(type='mmattmask.CheckMapsHook'),
        dict(type='mmattmask.EpochSeedHook'),
    ]
    assert train(cfg).iter == 2


def test_the_maps_are_those_of_the_teacher(tmp_path, data_root, make, weights):
    make()
    maps = load_file(tmp_path / 'maps.safetensors')
    scorer = MODELS.build(
        dict(type='mmattmask.FrozenTeacher', block=1, head=2, attention='cls')
        | dict(backbone=dict(type='mmattmask.TimmViT', model_name=NAME))
        | dict(checkpoint=str(weights), mean=(127.5,) * 3, std=(127.5,) * 3)
    )
    scorer.init_weights()
    image = Image.open(f'{data_root}/class_1/003.png').resize(
        (64, 64), Image.Resampling.BILINEAR
    )
    pixels = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None]
    scores = scorer.teacher.read((pixels - 127.5) / 127.5, 'cls', [1])[0][0, 2]
    expected = (scores - scores.min()) / (scores.max() - scores.min())
    found = maps['class_1/003'].flatten().float()
    torch.testing.assert_close(found, expected, atol=5e-3, rtol=0)


@pytest.mark.parametrize('seen', [1, 3, 6])
def test_a_killed_run_goes_on_and_ends_with_the_same_file(
    tmp_path, make, monkeypatch, seen
):
    make('whole.safetensors')
    measure, calls = FrozenTeacher.measure, []

    def counted(self, model, images):
        calls.append(len(images))
        if len(calls) > seen and len(calls) < 99:
            raise KeyboardInterrupt
        return measure(self, model, images)

    monkeypatch.setattr(FrozenTeacher, 'measure', counted)
    with pytest.raises(KeyboardInterrupt):
        make()
    assert not (tmp_path / 'maps.safetensors').exists()
    calls[:] = [0] * 99
    make()
    assert len(calls) - 99 == 8 - seen // 2 * 2  # of 8 batches
    files = [tmp_path / f'{name}.safetensors' for name in ('whole', 'maps')]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in files)

    calls[:] = [0] * 99
    make()  # all is there
    assert len(calls) == 99


def test_pieces_of_something_else_are_refused(make, monkeypatch):
    make()
    with pytest.raises(SystemExit, match='made of another block: remove it'):
        make(block=2)
    measure, calls = FrozenTeacher.measure, []

    def stopped(self, model, images):
        calls.append(1)
        if len(calls) > 4:
            raise KeyboardInterrupt
        return measure(self, model, images)

    monkeypatch.setattr(FrozenTeacher, 'measure', stopped)
    with pytest.raises(KeyboardInterrupt):
        make('other.safetensors')
    with pytest.raises(SystemExit, match='made of another size: remove it'):
        make('other.safetensors', size=32)


@pytest.mark.parametrize('suffix', ['npy', 'safetensors'])
def test_of_a_config_with_a_checkpoint(tmp_path, data_root, suffix):
    cfg = toy_config(tmp_path, data_root)
    torch.manual_seed(1)
    model = guided_model(cfg, None)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'x.pth')
    cfg.dump(tmp_path / 'x.py')
    out = tmp_path / f'maps.{suffix}'
    command = ('maps', tmp_path / 'x.py', '--out', out, '--num-workers', 0)
    with pytest.raises(SystemExit, match='CachedAttention looks with the weights'):
        mmattmask(*command)
    mmattmask(*command, '--checkpoint', tmp_path / 'x.pth')
    image = Image.open(f'{data_root}/class_1/003.png')
    squashed = np.asarray(image.resize((16, 16), Image.Resampling.BILINEAR))
    pixels = torch.from_numpy(squashed[..., ::-1].copy()).permute(2, 0, 1)[None]
    with torch.no_grad():
        expected = attention_maps(model, normalized(model.data_preprocessor, pixels))[0]
    files = open_maps(out)
    # by class: the second of class 1 comes after all of class 0
    key = files.find('x/class_1/003.png', NUM_IMAGES // 2 + 1)
    found = torch.from_numpy(files.read([key])[0]).float()
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)
    if suffix == 'npy':
        paths = sorted(map(str, Path(data_root).rglob('*.png')))
        assert not files.missing([f'elsewhere{path}' for path in paths])
        with pytest.raises(ValueError, match=r'maps\.npy was made of .* another order'):
            files.missing(paths[::-1])
        with pytest.raises(SystemExit, match='order of the sample ids'):
            mmattmask(
                *command, '--images', data_root, '--checkpoint', tmp_path / 'x.pth'
            )


@pytest.mark.parametrize('suffix', ['npy', 'safetensors'])
def test_a_file_of_something_else_is_refused(tmp_path, suffix):
    vit = dict(type='VisionTransformer', arch=ARCH, img_size=16, patch_size=8)
    weights = tmp_path / 'teacher.pth'

    def write_teacher(seed):
        torch.manual_seed(seed)
        state = MODELS.build(dict(vit, _scope_='mmpretrain')).state_dict()
        torch.save(dict(state_dict=state), weights)

    write_teacher(0)
    cfg = toy_config(tmp_path, write_images(tmp_path / 'images'), custom_hooks=[])
    teacher = dict(backbone=vit, checkpoint=str(weights), block=1, head=0)
    cfg.model.scorer = dict(type='mmattmask.FrozenTeacher', **teacher)
    cfg.dump(tmp_path / 'x.py')
    out = tmp_path / 'out' / f'maps.{suffix}'
    command = ('maps', tmp_path / 'x.py', '--out', out, '--num-workers', 0)
    mmattmask(*command)
    content = out.read_bytes()
    mmattmask(*command)  # all is there
    pixels = ('--cfg-options', 'data_preprocessor.std=[60,60,10]')
    with pytest.raises(SystemExit, match='made of another data_preprocessor: remove'):
        mmattmask(*command, *pixels)
    write_teacher(1)
    with pytest.raises(SystemExit, match='made of another weights: remove'):
        mmattmask(*command)
    assert out.read_bytes() == content
    out.unlink()
    mmattmask(*command)
    assert out.read_bytes() != content
    first, second = sorted((tmp_path / 'images').rglob('*.png'))[:2]
    first.write_bytes(second.read_bytes())
    with pytest.raises(SystemExit, match='made of another images: remove'):
        mmattmask(*command)
    if suffix == 'npy':
        assert open_maps(out.parent).names == {'maps'}  # not what stands beside it
        (out.parent / 'maps.npy.json').unlink()
        with pytest.raises(SystemExit, match='does not say what it was made of: rem'):
            mmattmask(*command)


def test_of_masks(tmp_path):
    folder = tmp_path / 'masks'
    (folder / 'a').mkdir(parents=True)
    grey = np.zeros((8, 16), np.uint8)
    grey[:, 8:] = 51
    Image.fromarray(grey).save(folder / 'a' / 'grey.png')
    Image.fromarray(grey.astype(np.uint16) * 257).save(folder / 'deep.png')
    indices = Image.fromarray(np.where(grey > 0, 15, 0).astype(np.uint8), 'P')
    indices.putpalette(list(range(256)) * 3)
    indices.save(folder / 'palette.png')
    out = tmp_path / 'maps.safetensors'
    mmattmask('maps', '--from-masks', folder, '--grid', 2, 4, '--out', out)
    maps = load_file(out)
    half = torch.tensor([[0.0, 0, 1, 1], [0, 0, 1, 1]])
    assert sorted(maps) == ['a/grey', 'deep', 'palette']
    for name, scale in dict(palette=1, deep=0.2).items():
        torch.testing.assert_close(maps[name].float(), half * scale, atol=1e-3, rtol=0)
    torch.testing.assert_close(maps['a/grey'].float(), half * 0.2, atol=1e-3, rtol=0)


def test_refused(tmp_path, data_root):
    for words, message in [
        ((), 'give a config or the name of a ViT, or --from-masks'),
        ((NAME,), 'needs --images'),
        (('--from-masks', tmp_path), 'there is no image in'),
    ]:
        with pytest.raises(SystemExit, match=message):
            mmattmask('maps', *words, '--out', tmp_path / 'x.safetensors')
    with pytest.raises(SystemExit, match='must end with'):
        mmattmask('maps', '--from-masks', data_root, '--out', tmp_path / 'x.pt')
