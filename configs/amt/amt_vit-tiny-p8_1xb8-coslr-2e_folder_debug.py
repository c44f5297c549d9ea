"""AMT 45/40 on a small MAE on the CPU: does everything run, on my images too?

Two epochs with a refresh between them, in float32, 64 px. A few dozen images are
enough.

Command:
    CONFIG=configs/amt/amt_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py
    OPTIONS=train_dataloader.dataset.data_root=FOLDER
    python tools/train.py $CONFIG --cfg-options $OPTIONS
Hardware: CPU, 2 cores.
Hours:    none; about a minute for 100 images, start included (measured).
Metric:   none; nothing is learned in two epochs.
"""

_base_ = './amt_vit-small-p8_1xb512-amp-coslr-400e_tinyimagenet.py'

model = dict(
    backbone=dict(arch='deit-tiny'),
    neck=dict(
        embed_dim=192, decoder_embed_dim=96, decoder_depth=2, decoder_num_heads=3
    ),
)
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(data_root='data/folder', data_prefix='', with_label=False),
)
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1.5e-4 * 8 / 256, betas=(0.9, 0.95)),
)
auto_scale_lr = dict(base_batch_size=8)
train_cfg = dict(max_epochs=2)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, end=1, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', T_max=1, begin=1, end=2, convert_to_iter_based=True),
]
default_hooks = dict(logger=dict(interval=1))
custom_hooks = [dict(type='mmattmask.AttentionRefreshHook', begin=1, interval=1)]
resume = False
