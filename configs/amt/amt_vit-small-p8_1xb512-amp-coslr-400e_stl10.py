"""AMT 45/40 on MAE ViT-S/8 on STL-10's unlabeled images, 96 px, 400 epochs.

MMPretrain has no STL-10 dataset: README.md shows how to write the images to the folder
data/stl10/unlabeled.

Command:
    CONFIG=configs/amt/amt_vit-small-p8_1xb512-amp-coslr-400e_stl10.py
    mmattmask train $CONFIG
Hardware: 1 A100; halve batch_size and add --auto-scale-lr for smaller cards.
Hours:    2, estimated from FLOPs (README.md), if the loader keeps up.
Metric:   no published number (the paper only transfers to STL-10); not run by us.
"""

_base_ = './amt_vit-small-p16_1xb256-amp-coslr-400e_folder.py'

model = dict(
    backbone=dict(img_size=96, patch_size=8),
    neck=dict(patch_size=8),
    head=dict(patch_size=8),
)
load, crop, flip, pack = _base_.train_pipeline
train_pipeline = [load, {**crop, 'scale': 96}, flip, pack]
images = dict(data_root='data/stl10', data_prefix='unlabeled')
train_dataloader = dict(batch_size=512, dataset=dict(**images, pipeline=train_pipeline))
optim_wrapper = dict(optimizer=dict(lr=1.5e-4 * 512 / 256))
auto_scale_lr = dict(base_batch_size=512)
