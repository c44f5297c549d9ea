"""The images of the positive control: each object lies where its true map says."""

import sys

import numpy as np
import pytest
from PIL import Image

from mmattmask.datasets import PackedImages
from tests.comparison.toy import write_packed
from tests.config_building import ROOT
from tests.train_tool import run_script

SCRIPT = str(ROOT / 'benchmarks' / 'objects_on_scenes.py')
RED = (200, 0, 0)  # of all scenes; objects are grey


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """Objects and scenes, six and one of each split."""
    monkeypatch.setattr(sys, 'argv', sys.argv)
    for split, folder in (('train', 'train'), ('test', 'val')):
        write_packed(tmp_path / f'{split}.npz', 6, seed=0)
        (tmp_path / folder).mkdir()
        Image.new('RGB', (90, 70), RED).save(tmp_path / folder / 'scene.png')
    return tmp_path


def test_objects_lie_where_their_maps_say(sources):
    out = sources / 'out'
    options = ['--objects', sources, '--scenes', sources, '--out', out, '--images', 6]
    run_script([SCRIPT, *map(str, options)])
    made = PackedImages('train.npz', data_root=str(out))
    maps = {path.stem: np.load(path) for path in out.glob('maps_*.npy')}
    for index in range(6):
        info = made.get_data_info(index)
        assert info['gt_label'] == index % 2
        scene = (info['img'] == RED).all(axis=-1)
        assert (~scene).sum() == 16 * 16
        true = np.kron(maps['maps_true'][index], np.ones((2, 2)))
        assert np.array_equal(true > 0, ~scene)
        assert np.array_equal(maps['maps_anti'][index], 255 - maps['maps_true'][index])
    assert len(PackedImages('test.npz', data_root=str(out))) == 6
    assert {'maps_auc90', 'maps_auc75', 'maps_auc60', 'maps_shuffled'} <= set(maps)


def test_a_folder_without_photographs_is_named(sources):
    (sources / 'train' / 'scene.png').unlink()
    options = ['--objects', sources, '--scenes', sources, '--out', sources / 'out']
    with pytest.raises(FileNotFoundError, match=r'no photograph in .*train'):
        run_script([SCRIPT, *map(str, options)])
