"""iBOT's ViT-S/16: model, optimizer, schedules and hooks.

A config adds views, epochs and the batch size with its learning rate. Cosines end with
the run, whatever its length. To change one hook take the others as they are:

    hooks = {**_base_.hooks, 'teacher': {**_base_.hooks.teacher, 'momentum': 0.01}}
    custom_hooks = [*hooks.values()]

Source: bytedance/ibot main_ibot.py, README's ViT-S/16.
"""

_base_ = 'mmpretrain::_base_/default_runtime.py'

model = dict(
    type='mmattmask.IBOT',
    backbone=dict(
        type='mmattmask.IBOTViT',
        arch='deit-small',  # MMPretrain's 'small' is another model
        img_size=224,
        patch_size=16,
        drop_path_rate=0.1,
    ),
    head=dict(type='mmattmask.IBOTHead', out_channels=8192, norm_last_layer=False),
    # no mask for half of the crops, blocks of 10 % to 50 % for the others
    mask_generator=dict(
        type='mmattmask.IBOTMaskGenerator', mask_ratios=[(0.0, 0.0), (0.1, 0.5)]
    ),
)
optim_wrapper = dict(
    type='mmattmask.PerTensorClipAmpOptimWrapper',
    loss_scale='dynamic',
    constructor='mmattmask.DecayGroupsOptimWrapperConstructor',
    clip_grad=dict(max_norm=3.0),
    optimizer=dict(type='AdamW', betas=(0.9, 0.999), weight_decay=0.04),
)
param_scheduler = [
    # starts at 0, which LinearLR cannot divide by
    dict(type='LinearLR', start_factor=1e-20, end=10, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=10, eta_min=1e-6, convert_to_iter_based=True),
    dict(
        type='mmpretrain.CosineAnnealingWeightDecay',
        eta_min=0.4,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(type='EpochBasedTrainLoop')
hooks = dict(
    # the share of the student: 0.004 is the paper's momentum of 0.996
    teacher=dict(type='mmattmask.EMATeacherHook', momentum=0.004, end_momentum=0.0),
    temperature=dict(
        type='mmattmask.TeacherTemperatureHook',
        warmup_temp=0.04,
        temp=0.07,
        warmup_epochs=30,
    ),
    last_layer=dict(type='mmattmask.FreezeLastLayerHook', epochs=1),
    finite=dict(type='mmattmask.FiniteLossHook'),
)
custom_hooks = [*hooks.values()]
default_hooks = dict(checkpoint=dict(max_keep_ckpts=3))
# as MMPretrain's MAE: seeds differ between processes, started again a run goes on
randomness = dict(seed=0, diff_rank_seed=True)
resume = True
