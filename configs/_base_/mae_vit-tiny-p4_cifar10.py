"""MAE with a ViT of 4 blocks, width 96, for 8 epochs on 10 000 images of CIFAR-10.

Small enough for three seeds of eight policies in a few CPU hours.
"""

_base_ = ['./mae_vit-tiny-p4_1xb512-amp-coslr-400e_cifar10.py', './study_cifar10.py']

model = dict(
    type='mmattmask.GuidedMAE',
    backbone=dict(arch=dict(_delete_=True, **_base_.study.arch)),
    neck=dict(embed_dim=96, decoder_embed_dim=48, decoder_depth=2),
)
train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(_delete_=True, **_base_.study.train, pipeline=_base_.train_pipeline),
)
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(
        type='AdamW', lr=1.5e-3, betas=(0.9, 0.95), weight_decay=0.05, fused=True
    ),
)
auto_scale_lr = dict(base_batch_size=64)
train_cfg = dict(max_epochs=8)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, end=1, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=1, T_max=7, end=8, convert_to_iter_based=True),
]
default_hooks = dict(
    logger=dict(interval=50), checkpoint=dict(interval=1, max_keep_ckpts=1)
)
custom_hooks = [
    dict(type='mmattmask.EpochSeedHook'),
    _base_.study.knn,
    dict(type='mmattmask.MaskStripHook', num_images=4, sheet_images=4, interval=4),
]
resume = False
