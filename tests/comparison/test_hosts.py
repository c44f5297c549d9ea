"""Hosts beside each other: SimMIM, and iBOT with the features of its teacher."""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.command_line import mmattmask
from tests.comparison.toy import ROOT

SIMMIM = ROOT / 'configs/simmim/simmim-amt_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py'
IBOT = ROOT / 'configs/ibot/ibot_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py'
MASKFEAT = (
    ROOT / 'configs/hosts/maskfeat-am_vit-tiny-p8_1xb8-coslr-2e_folder-112px_debug.py'
)
TEMPLATE = """
data = {data!r}
options = {{'train_dataloader.dataset.data_root': data}}
runs = dict(
    simmim=dict(config={simmim!r}, title='AMT', host='SimMIM', options=options),
    ibot=dict(config={ibot!r}, title='blocks', host='iBOT', options=options),
    stock=dict(config={stock!r}, title='AM', host='MaskFeat', options=options),
)
baseline = 'simmim'
epochs = 2
seeds = (0,)
budgets = ('images',)
images = dict(type='CustomDataset', data_root=data)
copies = dict(images, data_root=data + '_copies')
evaluation = dict(train=images, test=copies, k=3, linear_epochs=0, features=['mean'])
content = dict(images=16)
"""


@pytest.mark.slow
def test_hosts_are_compared_at_equal_images(tmp_path):
    rng = np.random.default_rng(0)
    for label in (0, 1):
        folder = tmp_path / 'images' / str(label)
        folder.mkdir(parents=True)
        for index in range(8):
            low = 128 * label
            pixels = rng.integers(low, low + 128, (80, 70, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f'{index}.png')
    shutil.copytree(tmp_path / 'images', tmp_path / 'images_copies')
    path = tmp_path / 'hosts.py'
    configs = dict(simmim=str(SIMMIM), ibot=str(IBOT), stock=str(MASKFEAT))
    places = dict(configs, data=str(tmp_path / 'images'))
    path.write_text(TEMPLATE.format(**places))
    work_dir = tmp_path / 'work'
    text = mmattmask('compare', path, '--work-dir', work_dir, '--devices', 'cpu')
    rows = json.loads((work_dir / 'runs.json').read_text())
    assert [row['host'] for row in rows] == ['SimMIM', 'iBOT', 'MaskFeat']
    assert [row['epochs'] for row in rows] == [2, 2, 2]
    # a scorer in the data preprocessor of a stock host, too
    assert ['position_share' in row for row in rows] == [True, False, True]
    assert rows[1]['tokens_per_image'] is None  # masks do not change them
    assert all(row['knn_mean'] > 80 for row in rows)  # each image's copy is there
    assert re.search(r'\| blocks +\| iBOT +\| +1 \| +2 \| +- \|', text)
    assert 'One seed: there is no interval' in text
