"""LUT on a small MAE on the CPU: does everything run, on my images too?

Command:
    CONFIG=configs/lut/lut_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py
    OPTIONS=train_dataloader.dataset.data_root=FOLDER
    python tools/train.py $CONFIG --cfg-options $OPTIONS
Hardware: CPU, 2 cores.
Metric:   none; two epochs in float32. A few dozen images are enough.
"""

_base_ = './lut_vit-tiny-p4_1xb512-amp-coslr-400e_cifar10.py'

data_preprocessor = dict(
    mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True
)
model = dict(
    backbone=dict(img_size=64, patch_size=8),
    neck=dict(patch_size=8, decoder_embed_dim=96, decoder_depth=2),
    head=dict(patch_size=8),
)
crop = [
    dict(type='ResizeEdge', scale=64, backend='pillow', interpolation='bicubic'),
    dict(type='mmattmask.RandomCrop', crop_size=64, padding=4, padding_mode='reflect'),
    dict(type='RandomFlip', prob=0.5),
]
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='mmattmask.MultiView',
        num_views=[1, 1],
        transforms=[crop, [*crop, *_base_.color]],
    ),
    dict(type='mmattmask.PackInputs'),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        _delete_=True,
        type='CustomDataset',
        data_root='data/folder',
        with_label=False,
        pipeline=train_pipeline,
    ),
)
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1.5e-4 * 8 / 256, betas=(0.9, 0.95)),
)
auto_scale_lr = dict(base_batch_size=8)
train_cfg = dict(max_epochs=2)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, end=1, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', T_max=1, begin=1, end=2, convert_to_iter_based=True),
]
default_hooks = dict(checkpoint=dict(interval=1), logger=dict(interval=1))
resume = False
