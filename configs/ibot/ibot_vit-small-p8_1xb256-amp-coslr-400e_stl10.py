"""iBOT ViT-S/8 on STL-10's unlabeled images, 96 px, 400 epochs.

For the folder see configs/amt/README.md.

Command:
    CONFIG=configs/ibot/ibot_vit-small-p8_1xb256-amp-coslr-400e_stl10.py
    mmattmask train $CONFIG
Hardware: 1 A100; halve batch_size and add --auto-scale-lr for smaller cards.
Hours:    not measured.
Metric:   no published number; not run by us.
"""

_base_ = ['../_base_/multi_crop_stl10.py', '../_base_/ibot.py']

model = dict(backbone=dict(img_size=96, patch_size=8))
train_dataloader = dict(batch_size=256)
train_cfg = dict(max_epochs=400)
optim_wrapper = dict(optimizer=dict(lr=5e-4 * 256 / 256))
auto_scale_lr = dict(base_batch_size=256)
default_hooks = dict(checkpoint=dict(interval=20))
