"""A comparison small enough for a test: two runs on a few dozen tiles."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[2]
STUDY = ROOT / 'configs' / 'study'
BASE = STUDY / 'random_vit-tiny-p4_1xb64-coslr-8e_cifar10.py'
GUIDED = STUDY / 'amt_vit-tiny-p4_1xb64-coslr-8e_cifar10.py'

TEMPLATE = """
options = {{
    'model.backbone.arch': dict(
        embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32
    ),
    'model.neck.embed_dim': 16,
    'model.neck.decoder_embed_dim': 16,
    'model.neck.decoder_num_heads': 2,
    'model.neck.decoder_depth': 1,
    'train_dataloader.batch_size': 16,
    'train_dataloader.dataset.data_root': {data!r},
    'train_dataloader.dataset.indices': None,
    'param_scheduler': [],  # a warm-up needs more epochs than time may leave
    'custom_hooks': [dict(type='mmattmask.EpochSeedHook'){hooks}],
}}
runs = dict(
    random=dict(config={base!r}, title='random', options=options),
    amt=dict(
        config={guided!r},
        title='AMT',
        options={{
            **options,
            'custom_hooks': [
                *options['custom_hooks'],
                dict(type='mmattmask.AttentionRefreshHook', begin=2, interval=3),
            ],
        }},
    ),
)
baseline = 'random'
epochs = 3
seeds = (0, 1)
budgets = ('tokens', 'time')
images = dict(type='mmattmask.PackedImages', data_root={data!r})
evaluation = dict(
    train=dict(images, ann_file='train.npz'),
    test=dict(images, ann_file='test.npz'),
    k=3,
    linear_epochs=2,
)
"""


def write_packed(path, num_images, seed, classes=('dark', 'bright')):
    """Write images whose class is their brightness."""
    rng = np.random.default_rng(seed)
    parts, labels = [], []
    for index in range(num_images):
        label = index % len(classes)
        low = 128 * label
        pixels = rng.integers(low, low + 128, (32, 32, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, 'JPEG', quality=95)
        parts.append(file.getvalue())
        labels.append(label)
    np.savez(
        path,
        jpeg=np.frombuffer(b''.join(parts), np.uint8),
        offsets=np.cumsum([0, *map(len, parts)]),
        labels=np.array(labels, np.uint8),
        classes=np.array(classes),
    )


def write_comparison(folder, hooks=''):
    """Write images and the comparison's file; return the latter."""
    data = folder / 'data'
    data.mkdir()
    write_packed(data / 'train.npz', 48, seed=0)
    write_packed(data / 'test.npz', 24, seed=1)
    path = folder / 'toy.py'
    path.write_text(
        TEMPLATE.format(data=str(data), base=str(BASE), guided=str(GUIDED), hooks=hooks)
    )
    return path
