"""AMT 45/40 on MAE ViT-Ti/4 on CIFAR-10, 32 px, 400 epochs.

Command:
    CONFIG=configs/amt/amt_vit-tiny-p4_1xb512-amp-coslr-400e_cifar10.py
    python tools/train.py $CONFIG
Hardware: 1 GPU of any size. MMPretrain downloads the data.
Hours:    under 1 on an A100, estimated from FLOPs (README.md), if the loader keeps up.
Metric:   no published number (the paper only transfers to CIFAR-10); not run by us.
"""

_base_ = './amt_vit-base-p16_8xb512-amp-coslr-400e_in1k.py'

data_preprocessor = dict(
    mean=[125.307, 122.961, 113.8575], std=[51.5865, 50.847, 51.255], to_rgb=False
)
model = dict(
    backbone=dict(arch='deit-tiny', img_size=32, patch_size=4),
    neck=dict(
        patch_size=4,
        embed_dim=192,
        decoder_embed_dim=192,
        decoder_depth=4,
        decoder_num_heads=3,
    ),
    head=dict(patch_size=4),
)
train_pipeline = [
    dict(
        type='mmattmask.RandomResizedCrop',
        scale=32,
        crop_ratio_range=(0.2, 1.0),
        backend='pillow',
        interpolation='bicubic',
    ),
    dict(type='RandomFlip', prob=0.5),
    dict(type='mmattmask.PackInputs'),
]
train_dataloader = dict(
    dataset=dict(type='CIFAR10', data_root='data/cifar10', pipeline=train_pipeline)
)
optim_wrapper = dict(optimizer=dict(lr=1.5e-4 * 512 / 256))
auto_scale_lr = dict(base_batch_size=512)
default_hooks = dict(checkpoint=dict(interval=20))
