"""A run whose attention is place says so, and masks what is there when repaired."""

import re

import numpy as np
import pytest
import torch
from PIL import Image

from mmattmask.evaluation.score_content import area_under_curve
from mmattmask.geometry import view_geometry
from mmattmask.masking import view_score
from mmattmask.scorers import CachedAttention
from tests.engine.toy_run import toy_config, train

NUMBER, SIDE, OBJECT, PATCH = 96, 32, 12, 4
STRENGTH = 10  # of place, in means of the content


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Images with a bright object anywhere, and where it is, by the image's name."""
    folder, draw = tmp_path_factory.mktemp('images'), np.random.default_rng(0)
    objects = {}
    for number in range(NUMBER):
        pixels = draw.integers(0, 110, (SIDE, SIDE, 3), dtype=np.uint8)
        mask = np.zeros((SIDE, SIDE), np.float32)
        top, left = draw.integers(0, SIDE - OBJECT, 2)
        mask[top : top + OBJECT, left : left + OBJECT] = 1
        pixels[mask > 0] += 70
        path = folder / f'{number % 2}' / f'{number:03d}.png'
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(path)
        objects[path.stem] = mask
    return folder, objects


def attention(share_of_content):
    """Attention to the border, and so much to what is bright."""

    def measure(self, model, images):
        patches = images.mean(dim=1).unfold(1, PATCH, PATCH).unfold(2, PATCH, PATCH)
        content = patches.mean(dim=(3, 4)).flatten(1)
        content = (content - content.amin(dim=1, keepdim=True)) ** 2
        side = SIDE // PATCH
        away = ((torch.arange(side) + 0.5) / side - 0.5).square()
        border = (away[:, None] + away).flatten()
        content, border = (x / x.mean(dim=-1, keepdim=True) for x in (content, border))
        return share_of_content * content + STRENGTH * border

    return measure


def run(folder, work_dir, monkeypatch, share_of_content, debias=None, **hook):
    """Train two epochs; return the runner and its log."""
    monkeypatch.setattr(CachedAttention, 'measure', attention(share_of_content))
    cfg = toy_config(work_dir, folder, train_cfg__max_epochs=2)
    cfg.model.backbone.img_size = SIDE
    cfg.model.scorer = dict(type='mmattmask.CachedAttention', debias=debias)
    cfg.model.mask_generator = dict(
        type='mmattmask.SoftToHardMaskGenerator',
        mask_ratio=0.25,
        soft=(0, 0),
        hard=(1, 1),
    )
    cfg.train_dataloader.batch_size = NUMBER
    cfg.train_dataloader.dataset.pipeline[1].scale = SIDE
    cfg.custom_hooks = [
        dict(type='mmattmask.AttentionRefreshHook', begin=0, interval=None, **hook),
        dict(type='mmattmask.GuidanceScalarsHook', interval=1),
        dict(type='mmattmask.EpochSeedHook'),
    ]
    return train(cfg), next(work_dir.glob('*/*.log'))


def score_and_masks(runner, objects):
    """Return AUC of a batch's scores, and the share of the objects that is masked."""
    model = runner.model
    batch = model.data_preprocessor(next(iter(runner.train_dataloader)), True)
    samples = batch['data_samples']
    box, size, flip = view_geometry(samples)
    maps = np.stack([objects[sample.img_path[-7:-4]] for sample in samples])
    grid = (SIDE // PATCH,) * 2
    foreground = view_score(torch.from_numpy(maps), box, size, flip, grid) >= 0.5
    score, partition = model.guidance.guide(**batch)
    masked = partition.mask[foreground].mean().item()
    return area_under_curve(score.numpy(), foreground.numpy()), masked


WARNING = r'WARNING - attention refresh: the score is place, not content: (\d+)%'


def test_content_below_place_is_said_and_found(tmp_path, data, monkeypatch):
    folder, objects = data
    runner, log = run(folder, tmp_path / 'as it is', monkeypatch, 1)
    assert int(re.search(WARNING, log.read_text())[1]) > 80
    area, masked = score_and_masks(runner, objects)
    assert area < 0.65
    assert masked < 0.35  # of the objects, where 0.25 of the patches are
    runner, log = run(folder, tmp_path / 'repaired', monkeypatch, 1, 'position')
    assert re.search(WARNING, log.read_text())  # of the maps as they are
    area, masked = score_and_masks(runner, objects)
    assert area > 0.95  # 0.80 is asked for
    assert masked > 0.75


def test_place_alone_is_said_and_stays_nothing(tmp_path, data, monkeypatch):
    folder, objects = data
    runner, log = run(folder, tmp_path / 'repaired', monkeypatch, 0, 'position')
    assert re.search(WARNING, log.read_text())[1] == '100'
    area, _ = score_and_masks(runner, objects)
    assert area < 0.55  # nothing is found where nothing is
    runner, log = run(
        folder, tmp_path / 'waits', monkeypatch, 0, 'position', only_content=True
    )
    assert runner.model.guidance.scorer.bank is None
    assert 'not used yet, the score is place, not content: 100%' in log.read_text()


def test_content_is_not_called_place(tmp_path, data, monkeypatch):
    folder, objects = data
    runner, log = run(folder, tmp_path, monkeypatch, 1000)
    assert not re.search(WARNING, log.read_text())
    area, masked = score_and_masks(runner, objects)
    assert area > 0.95
    assert masked > 0.75
