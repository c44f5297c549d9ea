"""The study's MAE on 32-px scenes with one object (benchmarks/objects_on_scenes.py)."""

_base_ = './mae_vit-tiny-p4_cifar10.py'

train_dataloader = dict(
    dataset=dict(
        data_root='{{$MMATTMASK_OBJECTS:data/objects_on_scenes}}',
        pipeline=[
            dict(
                type='RandomResizedCrop',
                scale=32,
                crop_ratio_range=(0.67, 1.0),  # the object is a quarter of the image
                backend='pillow',
                interpolation='bicubic',
            ),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackInputs'),
        ],
    ),
)
train_cfg = dict(max_epochs=6)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, end=1, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=1, T_max=5, end=6, convert_to_iter_based=True),
]
custom_hooks = [dict(type='mmattmask.EpochSeedHook')]
