"""Parse and build shipped configs without memory, data, weights or a runner."""

import ast
from functools import cache, partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import DATASETS, MODELS, DefaultScope
from mmengine.runner import Runner
from mmpretrain.models.utils.clip_generator_helper import CLIP
from PIL import Image

from mmattmask.datasets.recording import check_pipeline, exchange_stock

ROOT = Path(__file__).parents[1]
SHIPPED = sorted(
    str(path.relative_to(ROOT))
    for path in (ROOT / 'configs').rglob('*.py')
    # a comparison lists configs and trains nothing itself
    if '_base_' not in path.parts and not path.name.startswith('compare_')
)
# what pre-trains; tests/downstream builds and runs what is in configs/transfer
# and tests/comparison the fine-tuning of a comparison
CONFIGS = [
    name
    for name in SHIPPED
    if Path(name).parts[1] != 'transfer' and not Path(name).name.startswith('finetune_')
]


@cache
def load(name):
    """Parse a config; do not change what comes back."""
    return Config.fromfile(str(ROOT / name))


def find(part):
    """Parse the one pre-training config whose name contains `part`."""
    (name,) = [name for name in CONFIGS if part in name]
    return load(name)


def stock_name(name):
    """Return the stock config a config comes from, 'folder/name.py'.

    Debug configs share a small MAE's run settings: they come from the stock config of
    the full config beside them, which has the same first word.
    """
    path = Path(name)
    if name.endswith('_debug.py'):
        word = path.name.split('_')[0]
        (full,) = [
            other
            for other in CONFIGS
            if other.startswith(f'{path.parent}/{word}_') and '_debug' not in other
        ]
        return stock_name(full)
    base, *_ = bases_of(name)  # others are parts, such as a teacher
    if base.startswith('mmpretrain::'):
        return base.removeprefix('mmpretrain::')
    base = (ROOT / path.parent / base).resolve()
    return stock_name(str(base.relative_to(ROOT)))


def bases_of(name):
    """Return what a config names as its bases."""
    for node in ast.parse((ROOT / name).read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == '_base_':
            bases = ast.literal_eval(node.value)
            return [bases] if isinstance(bases, str) else bases
    return []


@cache
def load_stock(name):
    """Parse the stock config a config comes from; do not change what comes back."""
    return get_config(f'mmpretrain::{stock_name(name)}')


def plain(value):
    """Return a config without the scopes that inheriting leaves in it."""
    if isinstance(value, Config):
        value = value.to_dict()
    if isinstance(value, dict):
        return {key: plain(v) for key, v in value.items() if key != '_scope_'}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def clip_weights(*args, **kwargs):
    """Stand in for the file of CLIP ViT-B/16: its names and shapes, no numbers."""
    return CLIP(512, 224, 12, 768, 16, 77, 49408, 512, 8, 12).state_dict()


def build_model(cfg):
    """Build without memory: parameters are on torch's meta device."""
    with (
        DefaultScope.overwrite_default_scope(cfg.default_scope),
        patch('mmpretrain.models.selfsup.milan._load_checkpoint', clip_weights),
        patch('mmattmask.scorers.user_maps.open_maps', Path),  # nobody reads them
        # layers read their rate of stochastic depth from one
        patch('torch.linspace', partial(torch.linspace, device='cpu')),
    ):
        preprocessor = dict(cfg.data_preprocessor)
        with torch.device('meta'):
            if preprocessor.get('scorer') is not None:
                preprocessor['scorer'] = MODELS.build(preprocessor['scorer'])
        preprocessor = MODELS.build(preprocessor)
        with torch.device('meta'):
            model = MODELS.build({**cfg.model, 'data_preprocessor': preprocessor})
    for module in model.modules():
        if hasattr(module, 'initted'):  # BEiT v2's codebook asks for its value
            module.initted = torch.ones(1)
    return model


def build_pipeline(cfg):
    """Build the training pipeline without its dataset's files, as hooks leave it."""
    dataset = cfg.train_dataloader.dataset
    while 'dataset' in dataset:  # a wrapper, which would read them
        dataset = dataset['dataset']
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        pipeline = DATASETS.build({**dataset, 'lazy_init': True}).pipeline
    hooks = [hook['type'] for hook in cfg.get('custom_hooks', [])]
    scorer = (cfg.model.get('scorer') or {}).get('type', '')
    if 'mmattmask.AttentionRefreshHook' in hooks or scorer.endswith('Maps'):
        exchange_stock(pipeline.transforms)
        check_pipeline(pipeline.transforms)
    return pipeline


def load_batch(cfg, paths):
    """Bring images through the config's own pipeline and collate_fn."""
    pipeline = build_pipeline(cfg)
    samples = []
    for index, path in enumerate(paths):
        results = {'sample_idx': index, 'img_path': str(path)}
        if not type(pipeline.transforms[0]).__name__.startswith('Load'):
            results['img'] = np.array(Image.open(path))
        samples.append(pipeline(results))
    # a leaked scope in collate_fn makes build_dataloader fail
    loader = {**cfg.train_dataloader, 'dataset': samples, 'batch_size': len(paths)}
    loader.update(num_workers=0, persistent_workers=False, pin_memory=False)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        (batch,) = Runner.build_dataloader(loader)
    return batch


def label_maps(name, images, folder):
    """Write labels of parts for images, if a config needs them; return options."""
    if load(name).model.get('scorer', {}).get('type') != 'mmattmask.LabelMaps':
        return []
    rng = np.random.default_rng(0)
    for path in Path(images).rglob('*.*'):
        file = folder / path.relative_to(images).with_suffix('.npy')
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, rng.integers(0, 5, (7, 7)))
    return [f'model.scorer.path={folder}']


def write_images(folder, number):
    """Write PNG images of different heights; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for index in range(number):
        pixels = rng.integers(0, 256, (50 + index, 70, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f'{index:02}.png')
    return sorted(folder.iterdir())
