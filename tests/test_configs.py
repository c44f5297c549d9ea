"""Every shipped config: documented, listed, consistent with itself, and it trains."""

import ast
import dataclasses
import io
import math
import re
import statistics
import tokenize
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from mmengine.registry import HOOKS

from mmattmask.datasets.recording import check_pipeline
from mmattmask.engine import EMATeacherHook
from mmattmask.models import IBOT
from mmattmask.models.guidance import guidance_of
from mmattmask.scorers import CachedMaps
from mmattmask.scorers.ema_teacher import teachers_of
from mmattmask.scorers.self_attention import image_size_of
from tests.config_building import (
    CONFIGS,
    ROOT,
    SHIPPED,
    build_model,
    build_pipeline,
    label_maps,
    load,
    load_batch,
    load_stock,
    stock_name,
    write_images,
)
from tests.train_tool import train

# configs/demo is one self-contained example and configs/study an experiment's runs:
# neither is in the model index
LISTED = [name for name in SHIPPED if Path(name).parts[1] not in ('demo', 'study')]
FOLDERS = sorted({str(Path(*Path(name).parts[:2])) for name in LISTED})
PRETRAINING = [name for name in LISTED if name in CONFIGS]
DEBUG_CONFIGS = [name for name in PRETRAINING if name.endswith('_debug.py')]

# The learning rate for so many images, by the first pattern that fits; all other
# configs keep that of the stock config they come from.
LEARNING_RATES = {
    r'configs/policies/mst': (5e-4, 256),
    r'configs/(amt|convmae|gpa|hpm|lut|policies)/': (1.5e-4, 256),
    r'configs/ibot/[^/]*_vit-base-': (7.5e-4, 256),
    r'configs/(attmask|ibot)/': (5e-4, 256),
    r'configs/simmim/[^/]*_vit-': (1e-4, 512),
}
# These take views of several sizes, of which the first has the backbone's: the picture
# of a tokenizer, small crops.
SEVERAL_SIZES = ('BEiT', 'CAE', 'IBOT')
# tokens that are not code
SILENT = {
    *(tokenize.COMMENT, tokenize.NEWLINE, tokenize.NL),
    *(tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER),
}


def images_per_step(name):
    """Return GPUs x batch size of a config's name."""
    gpus, batch_size = re.search(r'_(\d+)xb(\d+)-', name).groups()
    return int(gpus) * int(batch_size)


def base_learning_rate(name):
    """Return the learning rate that belongs to a number of images."""
    for pattern, values in LEARNING_RATES.items():
        if re.match(pattern, name):
            return values
    stock = load_stock(name).optim_wrapper.optimizer.lr
    return stock, images_per_step(stock_name(name))


@pytest.mark.parametrize('name', SHIPPED)
def test_says_what_it_is_and_how_to_run_it(name):
    source = (ROOT / name).read_text()
    docstring = ast.get_docstring(ast.parse(source))
    assert docstring is not None
    # the command, with this file; long names are put together
    command = re.sub(r'\n +CONFIG\+=', '', docstring)
    assert name in command or 'make ' in command
    assert len(source.splitlines()) < 60 or name not in LISTED


def lines_of_code(source):
    """Return the numbers of the lines that are code: no docstring, no comments."""
    docstring, *_ = ast.parse(source).body
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    lines = set()
    for token in tokens:
        if token.type not in SILENT and token.start[0] > docstring.end_lineno:
            lines.update(range(token.start[0], token.end[0] + 1))
    return lines


def test_configs_are_short_and_edit_no_list_by_index():
    lengths = []
    for path in sorted((ROOT / 'configs').rglob('*.py')):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Subscript):
                place = ast.unparse(node.slice)
                assert not re.fullmatch(r'[-\d:]+', place), f'{path}: [{place}]'
        if str(path.relative_to(ROOT)) in CONFIGS:
            lengths.append(len(lines_of_code(path.read_text())))
    assert statistics.median(lengths) <= 15


@pytest.mark.parametrize('name', PRETRAINING)
def test_name_agrees_with_batch_size_and_learning_rate(name):
    cfg = load(name)
    counts = re.search(r'-accum(\d+)-', name)
    accumulated = int(counts.group(1)) if counts else 1
    per_step = images_per_step(name)
    assert cfg.auto_scale_lr.base_batch_size == per_step
    assert f'xb{cfg.train_dataloader.batch_size}-' in name
    assert cfg.optim_wrapper.get('accumulative_counts', 1) == accumulated
    assert ('-amp-' in name) == cfg.optim_wrapper.type.endswith('AmpOptimWrapper')
    rate, images = base_learning_rate(name)
    expected = rate * per_step * accumulated / images
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(expected)


@pytest.mark.parametrize('name', PRETRAINING)
def test_name_agrees_with_schedule(name):
    cfg = load(name)
    epochs = int(re.search(r'-(\d+)e_', name).group(1))
    assert cfg.train_cfg.max_epochs == epochs
    # what has no end ends with the training
    ends = [scheduler.get('end', epochs) for scheduler in cfg.param_scheduler]
    assert max(ends) == epochs
    *warmups, main = (s for s in cfg.param_scheduler if s.type.endswith('LR'))
    assert len(warmups) == 1 or name in DEBUG_CONFIGS
    assert all(scheduler.convert_to_iter_based for scheduler in cfg.param_scheduler)
    for warmup in warmups:
        assert warmup.type == 'LinearLR'
        assert warmup.get('begin', 0) == 0 < warmup.end == main.begin
    assert main.get('end', epochs) == epochs
    if '-steplr-' in name:
        assert main.type == 'MultiStepLR'
        # milestones are counted from `begin`
        assert all(0 < m < epochs - main.begin for m in main.milestones)
    else:
        assert '-coslr-' in name
        assert main.type == 'CosineAnnealingLR'
        # without T_max it is this length, too
        length = epochs - main.get('begin', 0)
        assert main.get('T_max', length) == length


class Bank(list):
    """Stands in for a bank in memory."""

    def look_up(self, ids, device, keep):
        maps = np.stack([self[int(index)] for index in ids])
        return torch.from_numpy(maps).to(device).float()


def give_scores(model, monkeypatch):
    """Give the scorer something to say; its weights are on meta."""
    guidance = guidance_of(model)
    if guidance is None:
        return
    size = image_size_of(model.backbone)
    if isinstance(guidance.scorer, CachedMaps) and guidance.scorer.cached:
        maps = np.zeros((2, *guidance.scorer.map_grid(model.backbone, size)))
        guidance.scorer.bank = Bank(maps.astype(np.float16))
    elif guidance.scorer is not None:
        length = math.prod(guidance.policy_grid(size))

        def forward(inputs, *args):
            score = torch.rand(len(inputs), length)
            return (5 * score).long() if guidance.scorer.gives_labels else score

        monkeypatch.setattr(guidance.scorer, 'forward', forward)


def check_written_masks(guidance, samples, budget):
    """The data preprocessor wrote the policy's masks into the samples."""
    scale = guidance.factor
    for sample in samples:
        assert sample.mask.sum() == budget.num_masked * scale**2
        cells = sample.mask.unflatten(1, (-1, scale)).unflatten(0, (-1, scale))
        assert (cells == cells[:, :1, :, :1]).all()


def decide(model, view, samples, monkeypatch):
    """Let the algorithm's policy decide on the CPU; on meta it finds the outcome."""
    guidance = model.guidance
    if guidance is None:  # DINO
        return
    grid = guidance.policy_grid(view.shape[-2:])
    if isinstance(model, IBOT):  # its teacher, on meta, knows the score of each crop
        crops = view.repeat(model.num_global, 1, 1, 1)
        score = torch.rand(len(crops), math.prod(grid))
        mask = guidance.decide_mask(score, crops)
        assert mask.shape == score.shape
        monkeypatch.setattr(guidance, 'score', lambda *args: score.to('meta'))
        monkeypatch.setattr(guidance, 'decide_mask', lambda *args: mask.to('meta'))
        return
    score = guidance.score(view, samples)
    assert (score is None) == (guidance.scorer is None)
    partition = guidance.decide(score, view)
    assert partition.budget == guidance.mask_generator.budget(math.prod(grid))
    on_meta = {key: ids.to('meta') for key, ids in vars(partition).items()}
    partition = dataclasses.replace(partition, **on_meta)
    score = None if score is None else score.to('meta')
    monkeypatch.setattr(guidance, 'score', lambda *args: score)
    monkeypatch.setattr(guidance, 'decide', lambda *args: partition)


def masks_to_meta(model, samples):
    """Move masks to meta where nothing is picked by them, which takes their values."""
    if type(model).__name__ == 'CAE':
        return
    if type(model).__name__ == 'BEiT':  # the head picks by them, the backbone does not
        model.backbone.register_forward_pre_hook(
            lambda module, args: (args[0], args[1].to('meta'))
        )
        return
    for sample in samples:
        sample.set_mask(sample.mask.to('meta'))


@pytest.mark.parametrize('name', CONFIGS)
def test_images_go_through_pipeline_masks_and_loss(name, tmp_path, monkeypatch):
    cfg = load(name)
    model = build_model(cfg)
    hooks = [HOOKS.build(hook) for hook in cfg.get('custom_hooks', [])]
    moved = [hook for hook in hooks if isinstance(hook, EMATeacherHook)]
    assert len(moved) == len(teachers_of(model))
    batch = load_batch(cfg, write_images(tmp_path, 2))
    guidance = guidance_of(model)
    give_scores(model, monkeypatch)
    data = model.data_preprocessor(batch, training=True)
    inputs, samples = data['inputs'], data['data_samples']

    size = image_size_of(model.backbone)
    views = [inputs] if isinstance(inputs, torch.Tensor) else inputs
    alike = views[:1] if type(model).__name__ in SEVERAL_SIZES else views
    assert all(view.shape == (2, 3, *size) for view in alike)
    if guidance_of(model.data_preprocessor) is None:
        decide(model, views[0], samples, monkeypatch)
    else:
        budget = guidance.mask_generator.budget(math.prod(guidance.policy_grid(size)))
        check_written_masks(guidance, samples, budget)
        masks_to_meta(model, samples)
    # there is no autocast on meta
    monkeypatch.setattr(torch, 'autocast', lambda *args, **kwargs: nullcontext())
    monkeypatch.setattr(torch.amp, 'autocast', lambda *args, **kwargs: nullcontext())
    views = [view.to('meta') for view in views]
    inputs = views[0] if isinstance(inputs, torch.Tensor) else views
    losses = model(inputs, samples, mode='loss')
    assert any('loss' in key for key in losses)
    assert all(value.shape == () for value in losses.values())


@pytest.mark.parametrize('name', CONFIGS)
def test_refresh_needs_a_scorer_geometry_and_comes_in_time(name):
    cfg = load(name)
    hooks = [HOOKS.build(hook) for hook in cfg.get('custom_hooks', [])]
    refreshes = [h for h in hooks if type(h).__name__ == 'AttentionRefreshHook']
    preprocessor = cfg.get('data_preprocessor', {})
    scorer = cfg.model.get('scorer') or preprocessor.get('scorer') or {}
    scorer = scorer.get('scorer', scorer)  # whose maps are shuffled
    is_own = scorer.get('type') == 'mmattmask.CachedAttention'
    is_cached = is_own or scorer.get('cached', False)
    assert len(refreshes) == is_cached
    for hook in refreshes:
        check_pipeline(build_pipeline(cfg).transforms)
        first = 1 if is_own else 0  # a teacher knows something from the start
        assert first <= hook.schedule.begin < cfg.train_cfg.max_epochs


@pytest.mark.parametrize('name', CONFIGS)
def test_only_tokenizers_make_ddp_look_for_unused_parameters(name):
    """It walks through the graph in each step; test_amp_configs: who needs it."""
    cfg = load(name)
    needed = cfg.model.type.rpartition('.')[2] in ('BEiT', 'CAE')
    assert cfg.get('find_unused_parameters', False) == needed


def test_no_two_configs_have_one_name():
    """MIM finds them by their names."""
    names = [Path(name).name for name in SHIPPED]
    assert len(set(names)) == len(names)


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
            listed.append(model['Config'])
            if model['Config'] in PRETRAINING:
                check_metadata(model['Metadata'], load(model['Config']))
    assert sorted(listed) == LISTED


def check_metadata(metadata, cfg):
    """A metafile's numbers are those of the config."""
    steps = cfg.optim_wrapper.get('accumulative_counts', 1)
    assert metadata['Epochs'] == cfg.train_cfg.max_epochs
    assert metadata['Batch Size'] == cfg.auto_scale_lr.base_batch_size * steps


@pytest.mark.parametrize('folder', FOLDERS)
def test_readme_links_lead_to_every_config(folder):
    links = set()
    for readme in (ROOT / folder).rglob('README.md'):
        targets = re.findall(
            r'(?:^\[[\w-]+\]: |\]\()([\w./-]+\.py)', readme.read_text(), re.MULTILINE
        )
        paths = ((readme.parent / target).resolve() for target in targets)
        links |= {str(path.relative_to(ROOT)) for path in paths}
    links = {name for name in links if name.startswith(f'{folder}/')}
    assert links == {name for name in LISTED if name.startswith(f'{folder}/')}


@pytest.mark.parametrize('folder', FOLDERS)
def test_every_folder_has_a_debug_config(folder):
    names = [name for name in LISTED if name.startswith(f'{folder}/')]
    assert any(name.endswith('_debug.py') for name in names)


@pytest.mark.parametrize('name', DEBUG_CONFIGS)
def test_debug_config_trains_two_steps(name, tmp_path):
    write_images(tmp_path / 'images' / 'nested', 8)
    work_dir = tmp_path / 'work_dir'
    root = f'train_dataloader.dataset.data_root={tmp_path / "images"}'
    labels = label_maps(name, tmp_path / 'images', tmp_path / 'labels')
    small = 'default_hooks.checkpoint.save_optimizer=False'
    last = 'default_hooks.checkpoint.interval=2'
    rows = train(name, work_dir, root, *labels, small, last, timeout=300)
    losses = [row['loss'] for row in rows]
    assert len(losses) == 2
    assert np.isfinite(losses).all()
    assert losses[0] != losses[1]
    assert (work_dir / 'epoch_2.pth').is_file()
    banks = [bank.name for bank in (work_dir / 'attention_bank').glob('*.bank')]
    hooks = load(name).get('custom_hooks', [])
    begins = [hook.begin for hook in hooks if 'begin' in hook]
    assert banks == [f'epoch_{begin}.bank' for begin in begins]
