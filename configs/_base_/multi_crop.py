"""iBOT's views of ImageNet-1k: two of 224 px and ten of 96 px, 64 images per GPU.

To change numbers take the parts anew, such as AttMask's six small views:

    multi_crop = {**_base_.multi_crop, 'num_views': [1, 1, 6]}
    train_pipeline = [_base_.load, multi_crop, _base_.pack]
    train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

or, in place of `multi_crop`, `wide_multi_crop` with the scales of iBOT's ViT-B.

Source: bytedance/ibot main_ibot.py, README's ViT-S/16.
"""

_base_ = 'mmpretrain::_base_/datasets/imagenet_bs512_mae.py'

global_crop = dict(
    type='mmattmask.RandomResizedCrop',
    scale=224,
    crop_ratio_range=(0.25, 1.0),
    # OpenCV's bicubic takes half the time, but aliases: Pillow's is the released one
    backend='pillow',
    interpolation='bicubic',
)
local_crop = {**global_crop, 'scale': 96, 'crop_ratio_range': (0.05, 0.25)}
# torchvision's, for MMCV 2.2.0's own cannot turn hues back under NumPy 2
jitter = dict(
    type='torchvision/ColorJitter',
    brightness=0.4,
    contrast=0.4,
    saturation=0.2,
    hue=0.1,
)
flip_and_color = [
    dict(type='RandomFlip', prob=0.5),
    dict(type='NumpyToPIL', to_rgb=True),
    dict(type='RandomApply', transforms=[jitter], prob=0.8),
    dict(type='torchvision/RandomGrayscale', p=0.2),
    dict(type='PILToNumpy', to_bgr=True),
]
# 'inf': a radius for each image, uniform in the range
blur = dict(type='GaussianBlur', magnitude_range=(0.1, 2.0), magnitude_std='inf')
solarize = dict(type='Solarize', thr=128, prob=0.2)
look_1 = [*flip_and_color, {**blur, 'prob': 1.0}]
look_2 = [*flip_and_color, {**blur, 'prob': 0.1}, solarize]
look_3 = [*flip_and_color, {**blur, 'prob': 0.5}]

load = dict(type='LoadImageFromFile')
multi_crop = dict(
    type='mmattmask.MultiCrop',
    num_views=[1, 1, 10],
    transforms=[
        [global_crop, *look_1],
        [global_crop, *look_2],
        [local_crop, *look_3],
    ],
)
# iBOT's scales for ViT-B
large = {**global_crop, 'crop_ratio_range': (0.32, 1.0)}
small = {**local_crop, 'crop_ratio_range': (0.05, 0.32)}
wide_multi_crop = {
    **multi_crop,
    'transforms': [[large, *look_1], [large, *look_2], [small, *look_3]],
}
pack = dict(type='mmattmask.PackInputs')
train_pipeline = [load, multi_crop, pack]
train_dataloader = dict(
    batch_size=64,
    num_workers=10,
    drop_last=True,
    dataset=dict(pipeline=train_pipeline),
)
