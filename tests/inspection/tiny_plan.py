"""A small sound config, and what differs from it."""

from mmengine.config import Config

from mmattmask.inspection.built_config import build_config

VIT = dict(embed_dims=24, num_layers=2, num_heads=2, feedforward_channels=48)
CROP = dict(type='mmattmask.RandomResizedCrop', scale=(32, 48))
SIMMIM = dict(
    type='mmattmask.GuidedSimMIM',
    backbone=dict(type='mmattmask.SimMIMViT', arch=VIT, img_size=56, patch_size=8),
    neck=dict(type='SimMIMLinearDecoder'),
    head=dict(
        type='SimMIMHead', loss=dict(type='PixelReconstructionLoss', criterion='L1')
    ),
    scorer=None,
    mask_generator=dict(mask_ratio=0.44, throw_ratio=0.26),
    cell_size=8,
)


def tiny_config(**changes) -> Config:
    """Return AMT on a MAE of 32 x 48 px, six epochs; ``changes`` are merged in."""
    mae = dict(
        type='mmattmask.GuidedMAE',
        backbone=dict(
            type='mmattmask.GuidedMAEViT', arch=VIT, img_size=(32, 48), patch_size=8
        ),
        neck=dict(
            type='mmattmask.GuidedMAEDecoder',
            decoder_embed_dim=16,
            decoder_depth=1,
            decoder_num_heads=2,
        ),
        head=dict(
            type='mmattmask.GuidedMAEHead',
            loss=dict(type='PixelReconstructionLoss', criterion='L2'),
        ),
        scorer=dict(type='mmattmask.CachedAttention'),
        mask_generator=dict(type='mmattmask.AMTMaskGenerator'),
    )
    pipeline = [
        dict(type='LoadImageFromFile'),
        CROP,
        dict(type='RandomFlip', prob=0.5),
        dict(type='mmattmask.PackInputs'),
    ]
    cfg = Config(
        dict(
            default_scope='mmpretrain',
            model=mae,
            data_preprocessor=dict(type='SelfSupDataPreprocessor'),
            train_dataloader=dict(
                batch_size=4,
                num_workers=2,
                collate_fn=dict(type='default_collate'),
                dataset=dict(type='CustomDataset', pipeline=pipeline),
            ),
            optim_wrapper=dict(
                type='OptimWrapper',
                optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
            ),
            auto_scale_lr=dict(base_batch_size=8),
            train_cfg=dict(by_epoch=True, max_epochs=6),
            custom_hooks=[
                dict(type='mmattmask.AttentionRefreshHook', begin=2, interval=2)
            ],
        )
    )
    cfg.merge_from_dict(changes)
    return cfg


def tiny_plan(name='tiny.py', gpus=None, **changes):
    """Build :func:`tiny_config`."""
    return build_config(tiny_config(**changes), name, gpus)
