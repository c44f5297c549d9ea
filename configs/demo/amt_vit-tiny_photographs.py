"""AMT on a laptop: a small ViT learns from tiles of scikit-image's photographs.

Command:  make demo (that is: python examples/demo.py)
Hardware: CPU, 1 core.

The images come from examples/demo.py, which cuts the tiles first.
"""

_base_ = 'mmpretrain::mae/mae_vit-base-p16_8xb512-amp-coslr-400e_in1k.py'

model = dict(
    type='mmattmask.GuidedMAE',
    backbone=dict(
        arch=dict(
            _delete_=True,
            embed_dims=128,
            num_layers=4,
            num_heads=4,
            feedforward_channels=512,
        ),
        img_size=64,
        patch_size=8,
    ),
    neck=dict(
        patch_size=8,
        embed_dim=128,
        decoder_embed_dim=64,
        decoder_depth=3,
        decoder_num_heads=4,
    ),
    # Colour tells these photographs apart, and norm_pix would take it out of the task.
    head=dict(patch_size=8, norm_pix=False),
    scorer=dict(type='mmattmask.CachedAttention'),
    mask_generator=dict(
        type='mmattmask.AMTMaskGenerator', mask_ratio=0.45, throw_ratio=0.40
    ),
)

load, crop, flip, pack = _base_.train_pipeline
crop = {**crop, 'scale': 64, 'crop_ratio_range': (0.4, 1.0)}
train_pipeline = [load, crop, flip, pack]
train_dataloader = dict(
    batch_size=64,
    num_workers=1,
    dataset=dict(
        _delete_=True,
        type='CustomDataset',
        data_root='work_dirs/demo/images',
        with_label=False,
        pipeline=train_pipeline,
    ),
)

optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1.5e-3, betas=(0.9, 0.95), weight_decay=0.05),
)
auto_scale_lr = dict(base_batch_size=64)
train_cfg = dict(max_epochs=30)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, end=3, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR', T_max=27, begin=3, end=30, convert_to_iter_based=True
    ),
]

default_hooks = dict(
    logger=dict(interval=8), checkpoint=dict(interval=1, max_keep_ckpts=2)
)
custom_hooks = [
    # CLS attention of so short a run needs half of it to form.
    dict(type='mmattmask.AttentionRefreshHook', begin=15, interval=None),
    dict(type='mmattmask.ClockHook'),
    dict(type='mmattmask.MaskStripHook', num_images=8, interval=5),
]
resume = False
