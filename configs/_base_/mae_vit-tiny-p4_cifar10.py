"""MAE with a ViT of 4 blocks, width 96, for 8 epochs on 10 000 images of CIFAR-10.

Small enough for three seeds of eight policies in a few CPU hours.
"""

_base_ = 'mmpretrain::mae/mae_vit-base-p16_8xb512-amp-coslr-400e_in1k.py'

data_preprocessor = dict(
    mean=[125.307, 122.961, 113.8575],
    std=[51.5865, 50.847, 51.255],
    to_rgb=False,  # the arrays are RGB
)
model = dict(
    type='mmattmask.GuidedMAE',
    backbone=dict(
        arch=dict(
            _delete_=True,
            embed_dims=96,
            num_layers=4,
            num_heads=3,
            feedforward_channels=384,
        ),
        img_size=32,
        patch_size=4,
    ),
    neck=dict(
        patch_size=4,
        embed_dim=96,
        decoder_embed_dim=48,
        decoder_depth=2,
        decoder_num_heads=3,
    ),
    head=dict(patch_size=4),
)
images = dict(
    type='mmattmask.PackedImages', data_root='{{$MMATTMASK_DATA:data}}/cifar10_full'
)
train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        _delete_=True,
        **images,
        ann_file='train.npz',
        indices=10_000,
        pipeline=[
            dict(
                type='RandomResizedCrop',
                scale=32,
                crop_ratio_range=(0.2, 1.0),
                backend='pillow',
                interpolation='bicubic',
            ),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackInputs'),
        ],
    ),
)
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(
        type='AdamW', lr=1.5e-3, betas=(0.9, 0.95), weight_decay=0.05, fused=True
    ),
)
auto_scale_lr = dict(base_batch_size=64)
train_cfg = dict(max_epochs=8)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, end=1, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=1, T_max=7, end=8, convert_to_iter_based=True),
]
default_hooks = dict(
    logger=dict(interval=50), checkpoint=dict(interval=1, max_keep_ckpts=1)
)
custom_hooks = [
    dict(type='mmattmask.EpochSeedHook'),
    # a quick look for the curves; mmattmask compare measures on all test images
    dict(
        type='mmattmask.KNNHook',
        memory=dict(**images, ann_file='train.npz', indices=1500),
        query=dict(**images, ann_file='test.npz', indices=750),
        interval=2,
    ),
    dict(type='mmattmask.MaskStripHook', num_images=4, sheet_images=4, interval=4),
]
resume = False
