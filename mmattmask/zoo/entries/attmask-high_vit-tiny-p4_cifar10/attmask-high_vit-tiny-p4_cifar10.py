"""attmask-high_vit-tiny-p4_cifar10: the whole config of a run of configs/study/attmask-high_vit-tiny-p4_1xb64-coslr-8e_cifar10.py."""

auto_scale_lr = dict(base_batch_size=64)
custom_hooks = [
    dict(type='mmattmask.EpochSeedHook'),
    dict(
        interval=2,
        memory=dict(
            ann_file='train.npz',
            data_root='cifar10_full',
            indices=1500,
            type='mmattmask.PackedImages'),
        query=dict(
            ann_file='test.npz',
            data_root='cifar10_full',
            indices=750,
            type='mmattmask.PackedImages'),
        type='mmattmask.KNNHook'),
    dict(
        interval=4,
        num_images=4,
        sheet_images=4,
        type='mmattmask.MaskStripHook'),
    dict(begin=2, interval=3, type='mmattmask.AttentionRefreshHook'),
    dict(interval=100, type='mmattmask.GuidanceScalarsHook'),
    dict(type='mmattmask.ClockHook'),
]
data_preprocessor = dict(
    _scope_='mmpretrain',
    mean=[
        125.307,
        122.961,
        113.8575,
    ],
    std=[
        51.5865,
        50.847,
        51.255,
    ],
    to_rgb=False,
    type='SelfSupDataPreprocessor')
default_scope = 'mmpretrain'
model = dict(
    _scope_='mmpretrain',
    backbone=dict(
        arch=dict(
            embed_dims=96, feedforward_channels=384, num_heads=3,
            num_layers=4),
        img_size=32,
        mask_ratio=0.75,
        patch_size=4,
        type='mmattmask.GuidedMAEViT'),
    head=dict(
        loss=dict(criterion='L2', type='PixelReconstructionLoss'),
        norm_pix=True,
        patch_size=4,
        type='MAEPretrainHead'),
    init_cfg=[
        dict(distribution='uniform', layer='Linear', type='Xavier'),
        dict(bias=0.0, layer='LayerNorm', type='Constant', val=1.0),
    ],
    mask_generator=dict(
        mask_ratio=0.75, mode='high', type='mmattmask.AttMaskGenerator'),
    neck=dict(
        decoder_depth=2,
        decoder_embed_dim=48,
        decoder_num_heads=3,
        embed_dim=96,
        in_chans=3,
        mlp_ratio=4.0,
        patch_size=4,
        type='mmattmask.GuidedMAEDecoder'),
    scorer=dict(type='mmattmask.CachedAttention'),
    type='mmattmask.GuidedMAE')
optim_wrapper = dict(
    optimizer=dict(
        betas=(
            0.9,
            0.95,
        ),
        fused=True,
        lr=0.0015,
        type='AdamW',
        weight_decay=0.05),
    type='OptimWrapper')
param_scheduler = [
    dict(
        convert_to_iter_based=True,
        end=1,
        start_factor=0.0001,
        type='LinearLR'),
    dict(
        T_max=7,
        begin=1,
        convert_to_iter_based=True,
        end=8,
        type='CosineAnnealingLR'),
]
randomness = dict(diff_rank_seed=True, seed=0)
train_cfg = dict(
    _scope_='mmpretrain', max_epochs=8, type='EpochBasedTrainLoop')
train_dataloader = dict(
    batch_size=64,
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        ann_file='train.npz',
        data_root='cifar10_full',
        indices=10000,
        pipeline=[
            dict(
                backend='pillow',
                crop_ratio_range=(
                    0.2,
                    1.0,
                ),
                interpolation='bicubic',
                scale=32,
                type='mmattmask.RandomResizedCrop'),
            dict(prob=0.5, type='RandomFlip'),
            dict(type='mmattmask.PackInputs'),
        ],
        type='mmattmask.PackedImages'),
    num_workers=0,
    persistent_workers=False,
    sampler=dict(_scope_='mmpretrain', shuffle=True, type='DefaultSampler'))
