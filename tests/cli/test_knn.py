"""mmattmask knn as a user runs it, in this process."""

import json
from pathlib import Path

import pytest
import torch
from mmpretrain.registry import MODELS
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

from mmattmask.cli import embed
from mmattmask.evaluation import knn_accuracy, nearest_neighbours
from mmattmask.evaluation.features import FrozenFeatures
from tests.command_line import mmattmask, table_of

from ..engine.toy_run import write_images

DATA = ['--train', 'train', '--val', 'val', '--num-workers', '0']


def run(*arguments, config='mae.py', checkpoint='mae.pth', data=DATA):
    return mmattmask('knn', config, checkpoint, *data, *arguments)


def results(folder='work_dirs/mae'):
    return json.loads((Path(folder) / 'knn.json').read_text())['results']


def by_hand(model, folder, kind):
    """Features of whole images, resized by Pillow, and labels."""
    paths = sorted(Path(folder).rglob('*.png'))
    pixels = []
    for path in paths:
        image = Image.open(path).convert('RGB')  # 30 x 24 px
        image = image.resize((20, 16), Image.Resampling.BICUBIC).crop((2, 0, 18, 16))
        flat = torch.tensor(list(image.getdata()), dtype=torch.float32)
        pixels.append(flat.view(16, 16, 3).permute(2, 0, 1))
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((120, 121, 122), (60, 61, 62)))
    inputs = (torch.stack(pixels) - mean) / std
    with torch.no_grad():
        tokens = model.backbone(inputs, mask=None)[-1]
    feature = tokens[:, 0] if kind == 'cls' else tokens[:, 1:].mean(dim=1)
    return feature, torch.tensor([int(path.parent.name[-1]) for path in paths])


def test_features_of_a_folder_in_a_file(files):
    """`mmattmask embed`: the same features, without labels, with names."""
    options = ['--images=train', '--features', 'mean', 'cls', '--num-workers=0']
    text = mmattmask('embed', 'mae.py', 'mae.pth', *options, '--out=x/y.safetensors')
    assert 'mean (14, 24), cls (14, 24) of train' in text
    with safe_open('x/y.safetensors', 'pt') as file:
        names = json.loads(file.metadata()['names'])
    found = load_file('x/y.safetensors')
    paths = sorted(Path('train').rglob('*.png'))
    assert names == [str(path.relative_to('train')) for path in paths]
    for kind in ('mean', 'cls'):
        expected, _ = by_hand(files, 'train', kind)
        torch.testing.assert_close(found[kind], expected, rtol=1e-4, atol=1e-4)
    kinds = ('png', 'webp', 'tiff', 'ppm')
    Path('kinds').mkdir()
    for kind in kinds:
        Image.open(paths[0]).save(f'kinds/one.{kind}')
    mmattmask('embed', 'mae.py', 'mae.pth', '--images=kinds', '--out=z.safetensors')
    with safe_open('z.safetensors', 'pt') as file:
        assert len(json.loads(file.metadata()['names'])) == len(kinds)
    with pytest.raises(SystemExit, match=r'must end in \.safetensors'):
        mmattmask('embed', 'mae.py', 'mae.pth', *options, '--out=x.npz')


def test_names_that_no_file_holds_are_refused_at_once(files, monkeypatch):
    monkeypatch.setattr(embed, 'MAX_HEADER_BYTES', 400)
    monkeypatch.setattr(FrozenFeatures, 'forward', None)
    command = ('embed', 'mae.py', 'mae.pth', '--images=train', '--out=x.safetensors')
    with pytest.raises(SystemExit, match=r'names of 14 images .* bytes of 400: embed'):
        mmattmask(*command)


def test_accuracy_is_that_of_the_features(files):
    text = run('--features', 'mean', 'cls', '--k', 1, 5, '--temperature', 0.1)
    found = {(row['features'], row['k']): row for row in results()}
    assert len(found) == 4
    for kind in ('mean', 'cls'):
        bank, labels = by_hand(files, 'train', kind)
        query, target = by_hand(files, 'val', kind)
        similarity, rows = nearest_neighbours(query, bank, 5)
        expected = knn_accuracy(similarity, labels[rows], target, (1, 5), 0.1)
        for k, result in expected.items():
            assert found[kind, k]['top1'] == pytest.approx(result.top1)
            assert found[kind, k]['top5'] == pytest.approx(result.top5)
    assert len({row['top1'] for row in found.values()}) > 1
    assert '20 images against 14, temperature 0.1' in text
    assert 'matched 54/54 weights of mae.pth' in text
    row = found['cls', 5]
    cells = ['cls', 'all', '5', f'{row["top1"]:.2f}', f'{row["top5"]:.2f}']
    assert cells in table_of(text)
    assert Path('work_dirs/mae/knn.md').read_text() in text


def test_few_shot_rows(files):
    text = run('--k', 1, 3, '--shots', 1, 4, '--draws', 3, '--out', 'report')
    rows = [row for row in results('report') if row['shots']]
    found = [(row['shots'], row['k']) for row in rows]
    assert found == [(1, 1), (1, 2), (4, 1), (4, 3)]
    for row in rows:
        tops = torch.tensor([draw['top1'] for draw in row['draws']])
        assert len(tops) == 3
        assert row['top1'] == pytest.approx(float(tops.mean()))
        assert row['top1_std'] == pytest.approx(float(tops.std()), abs=1e-4)
    mean, std = rows[2]['top1'], rows[2]['top1_std']
    cells = ['cls', '4 per class, 3 draws', '1', f'{mean:.2f} ± {std:.2f}']
    assert cells in [row[:4] for row in table_of(text)]
    again = run('--k', 1, 3, '--shots', 1, 4, '--draws', 3, '--out', 'report')
    assert again == text
    run('--k', 1, '--shots', 1, '--draws', 1)
    assert results()[1]['top1_std'] is None


def test_features_are_kept_and_not_mixed_up(files, monkeypatch):
    first = run()
    kept = sorted(Path('work_dirs/mae/features').iterdir())
    assert [path.name.split('-')[0] for path in kept] == ['train', 'val']
    with monkeypatch.context() as patch:
        patch.setattr(FrozenFeatures, 'forward', None)
        assert run() == first
    state = torch.load('mae.pth')
    state['state_dict']['backbone.ln1.bias'] += 1
    torch.save(state, 'mae.pth')
    run()
    assert len(list(Path('work_dirs/mae/features').iterdir())) == 4


def test_images_of_the_config(files):
    arguments = [
        '--cfg-options',
        'train_dataloader.dataset.with_label=True',
        'val_dataloader.dataset.type=CustomDataset',
        'val_dataloader.dataset.data_root=val',
    ]
    run()
    expected = results()
    run(*arguments, '--work-dir', 'other', data=['--num-workers', '0'])
    assert results('other') == expected


def test_a_backbone_by_name(files):
    config = dict(type='VisionTransformer', arch='deit-tiny', patch_size=8, img_size=16)
    model = MODELS.build(config)
    torch.save(dict(teacher=model.state_dict()), 'dino.pth')
    options = ('--size', 16, '--key', 'teacher', '--k', 3)
    text = run(*options, config='vit-tiny-p8', checkpoint='dino.pth')
    assert 'matched 150/150 weights of dino.pth (teacher)' in text
    content = json.loads(Path('work_dirs/vit-tiny-p8/knn.json').read_text())
    assert content['settings']['size'] == [16, 16]
    assert [row['k'] for row in content['results']] == [3]


def test_subset_uses_the_first_of_every_class(files):
    assert '20 images against 6,' in run('--subset', 3)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(checkpoint='nowhere.pth'), 'no checkpoint nowhere.pth'),
        (dict(config='vit-tiny-p8'), 'does not fit'),
        (dict(config='empty.py'), 'empty.py has no model.backbone'),
        (dict(data=[]), 'there are no labelled images'),
        (dict(data=['--train', 'train']), 'give --train with --val'),
        (dict(data=[*DATA, '--cifar10', 'x']), 'or one of --imagenet'),
        (
            dict(data=['--train', 'train', '--val', 'birds']),
            'not the same: class_1, class_2',
        ),
        (dict(extra=['--key', 'teacher']), "nothing called 'teacher'; it has state"),
        (dict(extra=['--size', '16', '16', '16']), 'a size is one or two numbers'),
        (dict(extra=['--resize', '10']), 'crop 16 px out of a resized side of 10'),
    ],
    ids=str,
)
def test_mistakes_end_in_one_clear_line(files, arguments, message):
    Path('empty.py').write_text('')
    write_images('birds', count=3)
    Path('birds/class_1').rename('birds/class_2')
    options = {name: value for name, value in arguments.items() if name != 'extra'}
    with pytest.raises(SystemExit, match=f'error: .*{message}'):
        run(*arguments.get('extra', []), **options)
