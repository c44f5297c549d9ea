"""LUT on MAE ViT-Ti/4 on CIFAR-10, 32 px, 400 epochs.

Command:
    CONFIG=configs/lut/lut_vit-tiny-p4_1xb512-amp-coslr-400e_cifar10.py
    mmattmask train $CONFIG
Hardware: 1 GPU of any size. MMPretrain downloads the data.
Hours:    not measured.
Metric:   no published number; not run by us.
"""

_base_ = [
    '../_base_/mae_vit-tiny-p4_1xb512-amp-coslr-400e_cifar10.py',
    '../_base_/lut_color.py',
]

model = dict(
    type='mmattmask.LUT',
    mask_generator=dict(type='mmattmask.RandomMaskGenerator', mask_ratio=0.75),
    hid_channels=1024,
)
crop = [
    dict(type='mmattmask.RandomCrop', crop_size=32, padding=4, padding_mode='reflect'),
    dict(type='RandomFlip', prob=0.5),
]
multi_view = dict(
    type='mmattmask.MultiView',
    num_views=[1, 1],
    transforms=[crop, [*crop, *_base_.color]],
)
train_pipeline = [multi_view, dict(type='mmattmask.PackInputs')]
# batch norm cannot do with one image
train_dataloader = dict(drop_last=True, dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'bn': dict(decay_mult=0.0)}))
custom_hooks = [dict(type='mmattmask.EMATeacherHook')]
