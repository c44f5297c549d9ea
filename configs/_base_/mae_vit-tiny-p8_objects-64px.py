"""The study's MAE on 64-px scenes with one object (benchmarks/objects_on_scenes.py)."""

_base_ = './mae_vit-tiny-p4_cifar10.py'

model = dict(
    backbone=dict(img_size=64, patch_size=8),
    neck=dict(patch_size=8),
    head=dict(patch_size=8),
)
train_dataloader = dict(
    dataset=dict(
        data_root='{{$MMATTMASK_OBJECTS:data/objects_on_scenes}}',
        pipeline=[
            dict(
                type='RandomResizedCrop',
                scale=64,
                crop_ratio_range=(0.5, 1.0),  # the object is a quarter of the image
                backend='pillow',
                interpolation='bicubic',
            ),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackInputs'),
        ],
    ),
)
train_cfg = dict(max_epochs=10)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, end=1, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR', begin=1, T_max=9, end=10, convert_to_iter_based=True
    ),
]
custom_hooks = [dict(type='mmattmask.EpochSeedHook')]
