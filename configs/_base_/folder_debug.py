"""Two epochs on a folder of images at 64 px, on the CPU: data and run, no model."""

_base_ = [
    'mmpretrain::_base_/datasets/imagenet_bs512_mae.py',
    'mmpretrain::_base_/default_runtime.py',
]

load, crop, flip, pack = _base_.train_pipeline
crop = {**crop, 'scale': 64}
train_pipeline = [load, crop, flip, pack]
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        _delete_=True,
        type='CustomDataset',
        data_root='data/folder',
        data_prefix='',
        with_label=False,
        pipeline=train_pipeline,
    ),
)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1.5e-4 * 8 / 256, betas=(0.9, 0.95)),
)
auto_scale_lr = dict(base_batch_size=8)
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=2)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, end=1, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', T_max=1, begin=1, end=2, convert_to_iter_based=True),
]
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(max_keep_ckpts=3))
randomness = dict(seed=0, diff_rank_seed=True)
