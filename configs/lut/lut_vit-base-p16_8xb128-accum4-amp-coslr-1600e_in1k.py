"""LUT on MAE ViT-B/16, 1600 epochs: the main model.

Two views of each image. The first is masked and reconstructed as in MAE; the visible
patches of each predict an EMA teacher's feature of the other.

Command:
    CONFIG=configs/lut/lut_vit-base-p16_8xb128-accum4-amp-coslr-1600e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 4096 by accumulation, as released.
Hours:    not measured; FLOPs are 2.7 times MAE's (README.md).
Metric:   ImageNet-1k top-1, fine-tuned 84.2 (the authors'; not run by us).
"""

_base_ = [
    'mmpretrain::mae/mae_vit-base-p16_8xb512-amp-coslr-1600e_in1k.py',
    '../_base_/lut_color.py',
]

model = dict(
    type='mmattmask.LUT',
    mask_generator=dict(type='mmattmask.RandomMaskGenerator', mask_ratio=0.75),
)
crop = [
    dict(type='ResizeEdge', scale=224, backend='pillow', interpolation='bicubic'),
    dict(type='mmattmask.RandomCrop', crop_size=224, padding=4, padding_mode='reflect'),
    dict(type='RandomFlip', prob=0.5),
]
multi_view = dict(
    type='mmattmask.MultiView',
    num_views=[1, 1],
    transforms=[crop, [*crop, *_base_.color]],
)
pack = dict(type='mmattmask.PackInputs')
train_pipeline = [dict(type='LoadImageFromFile'), multi_view, pack]
train_dataloader = dict(
    batch_size=128,
    drop_last=True,  # batch norm cannot do with one image
    dataset=dict(pipeline=train_pipeline),
)
optim_wrapper = dict(
    accumulative_counts=4, paramwise_cfg=dict(custom_keys={'bn': dict(decay_mult=0.0)})
)
# --auto-scale-lr counts images per step, before accumulation
auto_scale_lr = dict(base_batch_size=1024, accumulative_counts=4)
custom_hooks = [dict(type='mmattmask.EMATeacherHook')]
