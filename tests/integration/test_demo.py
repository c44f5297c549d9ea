"""The demo, examples/demo.py, on a few images: to the report, again, and resumed."""

import json
import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from tests.reporting.test_page import Reader, decoded

ROOT = Path(__file__).parents[2]


@pytest.fixture
def demo(monkeypatch):
    """The script as a module, with epochs of 128 images; call it with arguments."""
    for name in ('OMP_NUM_THREADS', 'OMP_WAIT_POLICY'):
        monkeypatch.setenv(name, 'PASSIVE' if 'WAIT' in name else '1')
    spec = spec_from_file_location('demo', ROOT / 'examples' / 'demo.py')
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, 'IMAGES', 128)

    def run(*args):
        monkeypatch.setattr(sys, 'argv', ['demo.py', *map(str, args)])
        module.main()

    module.run = run
    return module


@pytest.fixture
def images(tmp_path):
    rng = np.random.default_rng(0)
    for index in range(10):
        path = tmp_path / 'my photos' / f'{index % 2}' / f'{index}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (70, 90, 3), np.uint8)).save(path)
    return tmp_path / 'my photos'


def test_trains_reports_and_is_taken_up_again(demo, images, tmp_path, capsys):
    work_dir = tmp_path / 'run'
    args = ('--data', images, '--work-dir', work_dir, '--epochs', 3)
    demo.run(*args)
    assert f'report:   {work_dir / "report.html"}' in capsys.readouterr().out
    page = (work_dir / 'report.html').read_text()
    reader = Reader(page)
    sheet, chart = map(decoded, reader.all('img'))
    assert sheet == ('image/png', (work_dir / 'mask_strips.png').read_bytes())
    assert chart[0] == 'image/svg+xml'
    assert 'random 75 %' in reader.inside('th')
    assert len(json.loads((work_dir / 'clock.json').read_text())) == 3
    assert 'masks 45% of the patches and throws 40% away' in page
    drawn = {int(path.stem) for path in (work_dir / 'mask_strips').iterdir()}
    assert {0, 2, 3} <= drawn  # before training, after the refresh, at the end

    demo.run(*args)
    assert 'nothing to train' in capsys.readouterr().out
    (work_dir / 'epoch_3.pth').unlink()
    (work_dir / 'last_checkpoint').write_text(str(work_dir / 'epoch_2.pth'))
    demo.run(*args)
    assert 'trained for' in capsys.readouterr().out
    logs = ''.join(path.read_text() for path in work_dir.glob('*/*.log'))
    assert 'resumed epoch: 2' in logs
    assert list(demo.logged_loss(work_dir).index) == [1, 2, 3]


def test_few_images_are_repeated_and_many_left_out(demo, images):
    assert demo.read_config(images, None).train_dataloader.dataset.times == 13
    demo.IMAGES = 4
    dataset = demo.read_config(images, None).train_dataloader.dataset
    assert dataset.indices == [0, 2, 5, 7]
    demo.IMAGES = 12
    assert demo.read_config(images, None).train_dataloader.dataset.get('times') is None


def test_mistakes_are_one_sentence(demo, images, tmp_path):
    work_dir = ('--work-dir', tmp_path / 'run')
    with pytest.raises(FileNotFoundError, match='there is no folder no'):
        demo.run('--data', 'no', *work_dir)
    with pytest.raises(ValueError, match='--epochs must be at least 3, got 2'):
        demo.run('--data', images, '--epochs', 2, *work_dir)
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run' / 'demo.json').write_text(json.dumps(dict(data='other')))
    with pytest.raises(ValueError, match=r'holds a run of .*other.*: delete it'):
        demo.run('--data', images, *work_dir)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match=r'there is no image in .*empty'):
        demo.run('--data', tmp_path / 'empty', *work_dir)


def test_tiles_are_cut_once(demo, tmp_path):
    if find_spec('skimage') is None:
        pytest.skip('scikit-image is not installed')
    demo.cut_tiles(tmp_path / 'images')
    tiles = sorted((tmp_path / 'images').iterdir())
    assert len(tiles) > 2048
    assert {Image.open(path).size for path in tiles[::100]} == {(64, 64)}
    assert any(path.name.startswith('astronaut') for path in tiles)
    times = [path.stat().st_mtime_ns for path in tiles]
    demo.cut_tiles(tmp_path / 'images')
    assert [path.stat().st_mtime_ns for path in tiles] == times
    assert [path.name for path in tmp_path.iterdir()] == ['images']


def test_one_refresh_in_the_middle_at_any_length(demo):
    for epochs in (3, 4, 10, 100):
        cfg = Config.fromfile(demo.CONFIG)
        demo.stretch(cfg, epochs)
        refresh = cfg.custom_hooks[0]
        assert refresh.type == 'mmattmask.AttentionRefreshHook'
        assert refresh.begin == pytest.approx(epochs / 2, abs=0.6)
        assert refresh.interval is None
        warm_up, cosine = cfg.param_scheduler
        assert 1 <= warm_up.end == cosine.begin < cosine.end == epochs
