"""LUT on MAE ViT-Ti/4 on CIFAR-10, 32 px, 400 epochs.

Command:
    CONFIG=configs/lut/lut_vit-tiny-p4_1xb512-amp-coslr-400e_cifar10.py
    python tools/train.py $CONFIG
Hardware: 1 GPU of any size. MMPretrain downloads the data.
Hours:    not measured.
Metric:   no published number; not run by us.
"""

_base_ = './lut_vit-base-p16_8xb128-accum4-amp-coslr-1600e_in1k.py'

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
    hid_channels=1024,
)
crop = [
    dict(type='mmattmask.RandomCrop', crop_size=32, padding=4, padding_mode='reflect'),
    dict(type='RandomFlip', prob=0.5),
]
train_pipeline = [
    dict(
        type='mmattmask.MultiView',
        num_views=[1, 1],
        transforms=[crop, [*crop, *_base_.color]],
    ),
    dict(type='mmattmask.PackInputs'),
]
train_dataloader = dict(
    batch_size=512,
    dataset=dict(type='CIFAR10', data_root='data/cifar10', pipeline=train_pipeline),
)
optim_wrapper = dict(optimizer=dict(lr=1.5e-4 * 512 / 256), accumulative_counts=1)
auto_scale_lr = dict(base_batch_size=512)
train_cfg = dict(max_epochs=400)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, end=40, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        T_max=360,
        begin=40,
        end=400,
        convert_to_iter_based=True,
    ),
]
default_hooks = dict(checkpoint=dict(interval=20))
