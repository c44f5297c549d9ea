"""LUT on a small MAE on the CPU: does everything run, on my images too?

Command:
    CONFIG=configs/lut/lut_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py
    OPTIONS=train_dataloader.dataset.data_root=FOLDER
    mmattmask train $CONFIG --cfg-options $OPTIONS
Hardware: CPU, 2 cores.
Metric:   none; two epochs in float32. A few dozen images are enough.
"""

_base_ = ['../_base_/mae_vit-tiny-p8_folder_debug.py', '../_base_/lut_color.py']

model = dict(
    type='mmattmask.LUT',
    mask_generator=dict(type='mmattmask.RandomMaskGenerator', mask_ratio=0.75),
    hid_channels=1024,
)
crop = [
    dict(type='ResizeEdge', scale=64, backend='pillow', interpolation='bicubic'),
    dict(type='mmattmask.RandomCrop', crop_size=64, padding=4, padding_mode='reflect'),
    dict(type='RandomFlip', prob=0.5),
]
multi_view = dict(
    type='mmattmask.MultiView',
    num_views=[1, 1],
    transforms=[crop, [*crop, *_base_.color]],
)
pack = dict(type='mmattmask.PackInputs')
train_pipeline = [dict(type='LoadImageFromFile'), multi_view, pack]
# batch norm cannot do with one image
train_dataloader = dict(drop_last=True, dataset=dict(pipeline=train_pipeline))
custom_hooks = [dict(type='mmattmask.EMATeacherHook')]
