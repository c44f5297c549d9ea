"""Every shipped config: documented, listed, consistent with itself, and it trains."""

import ast
import dataclasses
import json
import math
import os
import re
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from mmengine.registry import HOOKS, DefaultScope
from mmengine.runner import Runner
from PIL import Image

from mmattmask.datasets.geometry import check_pipeline
from tests.config_building import (
    CONFIGS,
    ROOT,
    build_model,
    build_pipeline,
    load,
    write_images,
)

# configs/demo is one self-contained example, not part of the model zoo
ZOO = [name for name in CONFIGS if Path(name).parts[1] != 'demo']
FOLDERS = sorted({str(Path(name).parent) for name in ZOO})
DEBUG_CONFIGS = [name for name in ZOO if name.endswith('_debug.py')]


@pytest.mark.parametrize('name', CONFIGS)
def test_says_what_it_is_and_how_to_run_it(name):
    source = (ROOT / name).read_text()
    docstring = ast.get_docstring(ast.parse(source))
    assert docstring is not None
    assert name in docstring or 'make ' in docstring  # the command, with this file
    assert len(source.splitlines()) < 60 or name not in ZOO


@pytest.mark.parametrize('name', ZOO)
def test_name_agrees_with_batch_size_epochs_and_learning_rate(name):
    cfg = load(name)
    gpus, batch_size = re.search(r'_(\d+)xb(\d+)-', name).groups()
    counts = re.search(r'-accum(\d+)-', name)
    accumulated = int(counts.group(1)) if counts else 1
    assert cfg.train_dataloader.batch_size == int(batch_size)
    assert cfg.optim_wrapper.get('accumulative_counts', 1) == accumulated
    assert cfg.auto_scale_lr.base_batch_size == int(gpus) * int(batch_size)
    images = int(gpus) * int(batch_size) * accumulated
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(1.5e-4 * images / 256)
    assert ('-amp-' in name) == (cfg.optim_wrapper.type == 'AmpOptimWrapper')

    epochs = int(re.search(r'-(\d+)e_', name).group(1))
    warmup, cosine = cfg.param_scheduler
    assert cfg.train_cfg.max_epochs == cosine.end == epochs
    assert warmup.end == cosine.begin == epochs - cosine.T_max


@pytest.mark.parametrize('name', CONFIGS)
def test_images_go_through_pipeline_masks_and_loss(name, tmp_path, monkeypatch):
    cfg = load(name)
    model = build_model(cfg)
    pipeline = build_pipeline(cfg)
    samples = []
    for index, path in enumerate(write_images(tmp_path, 2)):
        results = {'sample_idx': index, 'img_path': str(path)}
        if not type(pipeline.transforms[0]).__name__.startswith('Load'):
            results['img'] = np.array(Image.open(path))
        samples.append(pipeline(results))
    # the config's own collate_fn: a leaked scope makes build_dataloader fail
    loader = {**cfg.train_dataloader, 'dataset': samples, 'batch_size': 2}
    loader.update(num_workers=0, persistent_workers=False, pin_memory=False)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        (batch,) = Runner.build_dataloader(loader)
    data = model.data_preprocessor(batch, training=True)

    height, width = model.backbone.img_size
    views = data['inputs'] if isinstance(data['inputs'], list) else [data['inputs']]
    assert all(view.shape == (2, 3, height, width) for view in views)
    grid = model.attention_grid((height, width))
    if model.scorer is not None and not getattr(model.scorer, 'cached', False):
        scores = torch.zeros(2, math.prod(grid))  # the teacher is on meta
        monkeypatch.setattr(model.scorer, 'forward', lambda *args: scores)
    elif model.scorer is not None:
        maps = np.zeros((2, *grid), np.float16)
        model.scorer.bank = SimpleNamespace(maps=lambda ids: maps[ids])
    score, partition = model.guide(**data)
    assert partition.budget == model.mask_generator.budget(math.prod(grid))
    on_meta = {key: ids.to('meta') for key, ids in vars(partition).items()}
    partition = dataclasses.replace(partition, **on_meta)
    score = None if score is None else score.to('meta')
    monkeypatch.setattr(model, 'guide', lambda *args: (score, partition))
    # there is no autocast on meta
    monkeypatch.setattr(torch, 'autocast', lambda *args, **kwargs: nullcontext())
    inputs = [view.to('meta') for view in views]
    if not isinstance(data['inputs'], list):
        (inputs,) = inputs
    losses = model(inputs, data['data_samples'], mode='loss')
    assert losses['loss'].shape == ()


@pytest.mark.parametrize('name', CONFIGS)
def test_refresh_needs_a_scorer_geometry_and_comes_in_time(name):
    cfg = load(name)
    hooks = [HOOKS.build(hook) for hook in cfg.get('custom_hooks', [])]
    refreshes = [h for h in hooks if type(h).__name__ == 'AttentionRefreshHook']
    scorer = cfg.model.get('scorer') or {}
    is_own = scorer.get('type') == 'mmattmask.CachedAttention'
    is_cached = is_own or scorer.get('cached', False)
    assert len(refreshes) == is_cached
    for hook in refreshes:
        check_pipeline(build_pipeline(cfg).transforms)
        first = 1 if is_own else 0  # a teacher knows something from the start
        assert first <= hook.schedule.begin < cfg.train_cfg.max_epochs


def test_every_config_is_in_a_metafile():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    listed = []
    for metafile in index['Import']:
        content = yaml.safe_load((ROOT / metafile).read_text())
        (collection,) = content['Collections']
        assert (ROOT / collection['README']).is_file()
        for model in content['Models']:
            assert model['In Collection'] == collection['Name']
            assert model['Name'] == Path(model['Config']).stem
            cfg = load(model['Config'])
            steps = cfg.optim_wrapper.get('accumulative_counts', 1)
            assert model['Metadata']['Epochs'] == cfg.train_cfg.max_epochs
            images = cfg.auto_scale_lr.base_batch_size * steps
            assert model['Metadata']['Batch Size'] == images
            listed.append(model['Config'])
    assert sorted(listed) == ZOO


@pytest.mark.parametrize('folder', FOLDERS)
def test_readme_links_lead_to_every_config(folder):
    text = (ROOT / folder / 'README.md').read_text()
    links = set(re.findall(r'(?:^\[[\w-]+\]: |\]\()([\w.-]+\.py)', text, re.MULTILINE))
    assert links == {
        Path(name).name for name in ZOO if str(Path(name).parent) == folder
    }


@pytest.mark.parametrize('name', DEBUG_CONFIGS)
def test_debug_config_trains_two_steps(name, tmp_path):
    write_images(tmp_path / 'images' / 'nested', 8)
    work_dir = tmp_path / 'work_dir'
    command = [sys.executable, str(ROOT / 'tools' / 'train.py'), str(ROOT / name)]
    command += ['--work-dir', str(work_dir), '--cfg-options']
    command += [f'train_dataloader.dataset.data_root={tmp_path / "images"}']
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get('PYTHONPATH')]))
    run = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, 'PYTHONPATH': path, 'CUDA_VISIBLE_DEVICES': ''},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    (scalars,) = work_dir.glob('*/vis_data/scalars.json')
    losses = [json.loads(line)['loss'] for line in scalars.read_text().splitlines()]
    assert len(losses) == 2
    assert np.isfinite(losses).all()
    assert losses[0] != losses[1]
    assert (work_dir / 'epoch_2.pth').is_file()
    banks = [bank.name for bank in (work_dir / 'attention_bank').glob('*.bank')]
    begins = [hook.begin for hook in load(name).custom_hooks if 'begin' in hook]
    assert banks == [f'epoch_{begin}.bank' for begin in begins]
