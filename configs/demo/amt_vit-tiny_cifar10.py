"""AMT on a laptop: the demo on 32 px images, MMPretrain's own CIFAR-10.

Command:  make demo DATA=cifar10 (that is: python tools/demo.py --data cifar10)
Hardware: CPU, 2 cores, and a network for the download.
"""

_base_ = './amt_vit-tiny_photographs.py'

model = dict(
    backbone=dict(img_size=32, patch_size=4),
    neck=dict(patch_size=4),
    head=dict(patch_size=4),
)
data_preprocessor = dict(
    mean=[125.307, 122.961, 113.8575],
    std=[51.5865, 50.847, 51.255],
    to_rgb=False,  # the arrays of CIFAR-10 are RGB
)

data_root = 'work_dirs/demo/cifar10'
images = dict(type='CIFAR10', data_root=data_root)
load, crop, flip, pack = _base_.train_pipeline
train_pipeline = [{**crop, 'scale': 32}, flip, pack]
dataset = dict(_delete_=True, **images, split='train', pipeline=train_pipeline)
train_dataloader = dict(dataset=dataset)
custom_hooks = [
    dict(type='mmattmask.AttentionRefreshHook', begin=24, interval=8),
    dict(
        type='mmattmask.KNNHook',
        memory=dict(**images, split='train', indices=5000),
        query=dict(**images, split='test', indices=1000),
        interval=12,
    ),
    dict(type='mmattmask.MaskStripHook', num_images=8),
]
