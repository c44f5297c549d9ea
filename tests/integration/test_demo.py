"""The demo, driven as a user does: tools/demo.py on folders and photographs."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmattmask.demo.folder import split_folder, write_annotations
from mmattmask.demo.photographs import tile_boxes, write_tiles
from mmattmask.demo.run import set_epochs
from tests.reporting.browser import NAMES, look
from tests.reporting.test_page import Reader, decoded

ROOT = Path(__file__).parents[2]


def write_folder(root, classes, count, size=(70, 90)):
    """Write images that differ in colour and texture between classes."""
    rng = np.random.default_rng(0)
    for label, name in enumerate(classes):
        folder = Path(root) / name
        folder.mkdir(parents=True, exist_ok=True)
        for index in range(count):
            side = 2 ** (label + 1)
            coarse = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
            image = Image.fromarray(coarse).resize(size, Image.Resampling.NEAREST)
            image.save(folder / f'photo {index:02d}.png')
    return Path(root)


def demo(*args, code=0):
    """Run tools/demo.py and return what it printed."""
    process = subprocess.run(
        [sys.executable, str(ROOT / 'tools' / 'demo.py'), *map(str, args)],
        cwd=ROOT,
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert process.returncode == code, (process.stdout + process.stderr)[-3000:]
    return process.stdout if code == 0 else process.stderr


def rows_of(path):
    with path.open(newline='') as file:
        return list(csv.DictReader(file))


def check_report(text, work_dir, refreshes, has_labels=True):
    """Check everything that the last lines promise."""
    sheet = Path(re.search(r'Pictures over time: (.+)', text)[1])
    assert sheet == work_dir / 'mask_strips.png'
    epochs = [int(path.stem) for path in sorted((work_dir / 'mask_strips').glob('*'))]
    assert set(refreshes) < set(epochs)
    with Image.open(sheet) as image:
        assert image.height > 100 * len(epochs)
    pattern = re.search(r'All strips: +(.+)', text)[1]
    strips = list(Path(pattern).parent.glob('mask_strip_*.png'))
    drawn = {int(path.stem.rsplit('_', 1)[1]) for path in strips}
    assert drawn <= set(epochs)  # fewer after a resume: each start has its own folder
    assert max(epochs) in drawn
    first, last = re.search(r'Loss: +(\S+) at first, (\S+) at last', text).groups()
    assert 0 < float(last) < 10
    assert first != last
    ratio = re.search(r'AMT : random masking = (\S+) \(medians of (\d+) steps', text)
    assert float(ratio[1]) > 0
    if not has_labels:
        assert 'the images have no labels' in text
        assert not (work_dir / 'knn.csv').exists()
        return
    rows = rows_of(work_dir / 'knn.csv')
    assert int(rows[0]['epoch']) == 0
    assert set(refreshes) < {int(row['epoch']) for row in rows}
    for value in (rows[0]['mean_top1_k10'], rows[-1]['mean_top1_k10']):
        assert f'{float(value):.1f} %' in text


def check_page(text, work_dir, epochs, has_labels=True):
    """Check that the page has what the last lines sum up, and needs no other file."""
    path = Path(re.search(r'Report: +(.+)', text)[1])
    assert path == work_dir / 'report.html'
    reader = Reader(path.read_text(encoding='utf-8'))
    assert reader.inside('h2') == [
        *('Training', 'Masks over time', 'Step time', 'Config', 'What was run')
    ]
    images = [decoded(image) for image in reader.all('img')]
    kinds = [kind for kind, _ in images]
    assert kinds.count('image/svg+xml') == 1 + has_labels
    assert (work_dir / 'mask_strips.png').read_bytes() in dict(images[::-1]).values()
    strips = set(work_dir.glob(f'*/vis_data/vis_image/mask_strip_*_{epochs}.png'))
    contents = {content for _, content in images}
    assert len([s for s in strips if s.read_bytes() in contents]) >= 1
    cells = reader.inside('th') + reader.inside('td')
    ratio = re.search(r'AMT : random masking = (\S+) ', text)[1]
    assert ratio in cells
    assert any(cell.startswith(f'{epochs} epochs of ') for cell in cells)
    if has_labels:
        for row in rows_of(work_dir / 'knn.csv'):
            assert row['epoch'] in cells
            assert f'{float(row["cls_top1_k10"]):.1f}' in reader.inside('td') + (
                reader.inside('strong')
            )
    differences = ''.join(reader.inside('pre'))
    assert "+ model.type = 'mmattmask.GuidedMAE'" in differences
    assert f"{{'max_epochs': {epochs}" in differences or (
        f'+ train_cfg.max_epochs = {epochs}' in differences
    )
    return path


def test_folder_with_classes_then_again_then_resumed(tmp_path):
    data = write_folder(tmp_path / 'my photos', ['bricks', 'cats', 'sky'], 6)
    work_dir = tmp_path / 'run'
    arguments = ('--data', data, '--work-dir', work_dir)
    text = demo(*arguments, '--epochs', 3)
    check_report(text, work_dir, refreshes=[1, 2])
    check_page(text, work_dir, 3)
    assert '3 classes, 15 images for training, 3 for testing' in log_of(work_dir)
    check_report(demo(*arguments, '--epochs', 3), work_dir, refreshes=[1, 2])
    text = demo(*arguments, '--epochs', 4, '--resume')
    check_report(text, work_dir, refreshes=[1, 2, 3])
    check_page(text, work_dir, 4)
    assert 'resumed epoch: 3' in log_of(work_dir)


def log_of(work_dir):
    return ''.join(path.read_text() for path in sorted(work_dir.glob('*/*.log')))


def test_folder_without_classes(tmp_path):
    data = write_folder(tmp_path / 'images', ['.'], 5)
    work_dir = tmp_path / 'run'
    text = demo('--data', data, '--work-dir', work_dir, '--epochs', 3)
    check_report(text, work_dir, refreshes=[1, 2], has_labels=False)
    path = check_page(text, work_dir, 3, has_labels=False)
    assert 'The images have no labels' in path.read_text(encoding='utf-8')
    if any(map(shutil.which, NAMES)):
        seen = look(path.read_text(encoding='utf-8'), tmp_path, width=400)
        assert len(seen['images']) >= 3
        assert all(image['width'] > 0 for image in seen['images'])
        assert seen['pageWidth'] == 400
    assert 'there is no k-NN accuracy' in log_of(work_dir)


@pytest.mark.parametrize('name', ['photographs', 'cifar10'])
@pytest.mark.parametrize('epochs', [3, 4, 5, 7, 48, 100, 480])
def test_any_length_has_two_refreshes_and_a_whole_schedule(name, epochs):
    cfg = Config.fromfile(ROOT / 'configs' / 'demo' / f'amt_vit-tiny_{name}.py')
    set_epochs(cfg, epochs)
    refresh = cfg.custom_hooks[0]
    assert refresh.type == 'mmattmask.AttentionRefreshHook'
    assert 1 <= refresh.begin < refresh.begin + refresh.interval < epochs
    warm_up, cosine = cfg.param_scheduler
    assert 1 <= warm_up.end == cosine.begin < cosine.end == epochs
    assert cosine.T_max == epochs - warm_up.end
    assert cfg.train_cfg.max_epochs == epochs
    assert cfg.custom_hooks[1].interval >= 1


@pytest.mark.slow
def test_photographs(tmp_path):
    if find_spec('skimage') is None:
        pytest.skip('scikit-image is not installed')
    text = demo('--work-dir', tmp_path, '--epochs', 3)
    check_report(text, tmp_path, refreshes=[1, 2])
    settings = json.loads((tmp_path / 'photographs' / 'tiles.json').read_text())
    assert 'astronaut.png' in settings['photographs']


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--data', 'no/such/folder'], 'there is no folder no/such/folder'),
        (['--data', '.ci', '--epochs', '2'], '--epochs 2 is too short'),
    ],
)
def test_clear_errors(tmp_path, arguments, message):
    error = demo(*arguments, '--work-dir', tmp_path, code=1)
    assert error.strip().splitlines()[-1].startswith('demo: ')
    assert message in error


def test_cifar10_without_a_network(tmp_path, monkeypatch):
    from mmpretrain import datasets

    from mmattmask.demo.data import prepare_data

    def fail(*args, **kwargs):
        raise OSError('no route to host')

    monkeypatch.setattr(datasets, 'CIFAR10', fail)
    with pytest.raises(RuntimeError, match='CIFAR-10 could not be downloaded'):
        prepare_data('cifar10', tmp_path)


def test_folder_of_one_image(tmp_path):
    write_folder(tmp_path, ['one'], 1)
    with pytest.raises(ValueError, match='holds 1 images'):
        split_folder(tmp_path)


def test_split_is_the_same_every_time_and_leaves_no_image_out(tmp_path):
    write_folder(tmp_path, ['a', 'b', 'c/deep'], 7)
    (tmp_path / 'a' / 'notes.txt').write_text('no image')
    split = split_folder(tmp_path)
    assert split == split_folder(tmp_path)
    assert split.classes == ('a', 'b', 'c')
    paths = [path for path, _ in (*split.train, *split.test)]
    assert sorted(paths) == sorted(
        path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob('*.png')
    )
    for samples, count in ((split.train, 6), (split.test, 1)):
        assert [label for _, label in samples] == [0] * count + [1] * count + [
            2
        ] * count


def test_images_beside_class_folders_mean_no_labels(tmp_path):
    write_folder(tmp_path, ['.', 'a', 'b'], 2)
    split = split_folder(tmp_path)
    assert (split.classes, split.test) == ((), ())
    assert len(split.train) == 6


def test_names_with_line_breaks_are_refused(tmp_path):
    with pytest.raises(ValueError, match='line break'):
        write_annotations(tmp_path / 'list.txt', [('a\nb.png', 0)], True)


@pytest.mark.parametrize('size', [(512, 512), (512, 770), (840, 512), (130, 1000)])
def test_training_and_test_tiles_share_no_pixel(size):
    count = {}
    for split in ('train', 'test'):
        covered = np.zeros(size[::-1], dtype=bool)
        for left, top, right, bottom in tile_boxes(size, split, 64, 16):
            assert right - left == bottom - top == 64
            assert 0 <= left < right <= size[0]
            assert 0 <= top < bottom <= size[1]
            covered[top:bottom, left:right] = True
        count[split] = covered
    assert count['train'].any()
    assert count['test'].any()
    assert not (count['train'] & count['test']).any()


def test_tiles_are_reused_and_replaced_when_settings_change(tmp_path):
    if find_spec('skimage') is None:
        pytest.skip('scikit-image is not installed')
    folder = tmp_path / 'photographs'
    assert write_tiles(folder, 64, 96, 96)
    tiles = sorted(folder.glob('*/*/*.png'))
    times = [path.stat().st_mtime_ns for path in tiles]
    assert not write_tiles(folder, 64, 96, 96)
    assert [path.stat().st_mtime_ns for path in tiles] == times
    assert {path.parent.name for path in tiles if 'test' in path.parts} == {
        path.parent.name for path in tiles if 'train' in path.parts
    }
    assert write_tiles(folder, 64, 96, 32)
    assert len(sorted(folder.glob('*/*/*.png'))) > len(tiles)
    assert [path.name for path in tmp_path.iterdir()] == ['photographs']
