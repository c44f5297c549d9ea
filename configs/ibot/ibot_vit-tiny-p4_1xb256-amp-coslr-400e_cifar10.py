"""iBOT ViT-Ti/4 on CIFAR-10, 32 px, 400 epochs.

Command:
    CONFIG=configs/ibot/ibot_vit-tiny-p4_1xb256-amp-coslr-400e_cifar10.py
    mmattmask train $CONFIG
Hardware: 1 GPU of any size. MMPretrain downloads the data.
Hours:    not measured.
Metric:   no published number; not run by us at this length (README.md).
"""

_base_ = ['../_base_/multi_crop_cifar10.py', '../_base_/ibot.py']

model = dict(backbone=dict(arch='deit-tiny', img_size=32, patch_size=4))
train_cfg = dict(max_epochs=400)
optim_wrapper = dict(optimizer=dict(lr=5e-4 * 256 / 256))
auto_scale_lr = dict(base_batch_size=256)
images = dict(type='CIFAR10', data_root='data/cifar10')
knn = dict(
    type='mmattmask.KNNHook',
    memory=dict(**images, split='train'),
    query=dict(**images, split='test'),
    interval=20,
    target='teacher',
)
custom_hooks = [*_base_.custom_hooks, knn]
default_hooks = dict(checkpoint=dict(interval=20))
