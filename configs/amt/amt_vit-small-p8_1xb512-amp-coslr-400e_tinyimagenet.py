"""AMT 45/40 on MAE ViT-S/8 on Tiny-ImageNet, 64 px, 400 epochs.

Takes the original archive as unpacked: data/tiny-imagenet-200/train/<class>/images.

Command:
    CONFIG=configs/amt/amt_vit-small-p8_1xb512-amp-coslr-400e_tinyimagenet.py
    mmattmask train $CONFIG
Hardware: 1 A100; halve batch_size and add --auto-scale-lr for smaller cards.
Hours:    1, estimated from FLOPs (README.md), if the loader keeps up.
Metric:   no published number (the paper only transfers to it); not run by us.
"""

_base_ = './amt_vit-small-p8_1xb512-amp-coslr-400e_stl10.py'

model = dict(backbone=dict(img_size=64))
load, crop, flip, pack = _base_.train_pipeline
train_pipeline = [load, {**crop, 'scale': 64}, flip, pack]
images = dict(data_root='data/tiny-imagenet-200', data_prefix='train', with_label=True)
train_dataloader = dict(dataset=dict(**images, pipeline=train_pipeline))
