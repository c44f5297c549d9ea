"""iBOT, blocks masked, with the study's ViT on its part of CIFAR-10.

Two views of 32 px and two of 16 px. Other policies are options in compare_ibot.py.

Command:  CONFIG=configs/study/ibot_vit-tiny-p4_1xb32-coslr-8e_cifar10.py
          mmattmask train $CONFIG
Hardware: CPU, 1 core; the images are $MMATTMASK_DATA/cifar10_full/train.npz.
"""

_base_ = [
    '../_base_/multi_crop_cifar10.py',
    '../_base_/ibot.py',
    '../_base_/study_cifar10.py',
]

model = dict(
    backbone=dict(
        arch=dict(_delete_=True, **_base_.study.arch),
        img_size=32,
        patch_size=4,
        drop_path_rate=0.0,
    ),
    head=dict(out_channels=256, hid_channels=192, bottleneck_channels=32),
)
multi_crop = {**_base_.multi_crop, 'num_views': [1, 1, 2]}
train_pipeline = [multi_crop, _base_.pack]
train_dataloader = dict(
    batch_size=32,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(_delete_=True, **_base_.study.train, pipeline=train_pipeline),
)
optim_wrapper = dict(
    _delete_=True,
    type='mmattmask.PerTensorClipOptimWrapper',
    constructor='mmattmask.DecayGroupsOptimWrapperConstructor',
    clip_grad=dict(max_norm=3.0),
    optimizer=dict(type='AdamW', lr=5e-4, weight_decay=0.04, fused=True),
)
auto_scale_lr = dict(base_batch_size=32)
train_cfg = dict(max_epochs=8)
warmup, cosine, weight_decay = _base_.param_scheduler
param_scheduler = [{**warmup, 'end': 1}, {**cosine, 'begin': 1}, weight_decay]
hooks = {
    **_base_.hooks,
    'teacher': {**_base_.hooks.teacher, 'momentum': 0.01},
    'temperature': {**_base_.hooks.temperature, 'warmup_epochs': 2, 'temp': 0.04},
}
custom_hooks = [
    *hooks.values(),
    dict(type='mmattmask.EpochSeedHook'),
    {**_base_.study.knn, 'target': 'teacher'},
]
default_hooks = dict(
    logger=dict(interval=50), checkpoint=dict(interval=1, max_keep_ckpts=1)
)
resume = False
