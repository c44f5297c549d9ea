"""AMT 45/40 on MAE ViT-S/8 on Tiny-ImageNet, 64 px, 400 epochs.

Takes the original archive as unpacked: data/tiny-imagenet-200/train/<class>/images.

Command:
    CONFIG=configs/amt/amt_vit-small-p8_1xb512-amp-coslr-400e_tinyimagenet.py
    python tools/train.py $CONFIG
Hardware: 1 A100; halve batch_size and add --auto-scale-lr for smaller cards.
Hours:    1, estimated from FLOPs (README.md), if the loader keeps up.
Metric:   no published number (the paper only transfers to it); not run by us.
"""

_base_ = './amt_vit-small-p8_1xb512-amp-coslr-400e_stl10.py'

model = dict(backbone=dict(img_size=64))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='mmattmask.RandomResizedCrop',
        scale=64,
        crop_ratio_range=(0.2, 1.0),
        backend='pillow',
        interpolation='bicubic',
    ),
    dict(type='RandomFlip', prob=0.5),
    dict(type='mmattmask.PackInputs'),
]
train_dataloader = dict(
    dataset=dict(
        data_root='data/tiny-imagenet-200',
        data_prefix='train',
        with_label=True,
        pipeline=train_pipeline,
    )
)
