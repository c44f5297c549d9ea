"""AMT 44/26 on a small SimMIM ViT on the CPU: does everything run, on my images too?

64 px, 16 cells of 16 px. Two epochs with a refresh between them.

Command:
    CONFIG=configs/simmim/simmim-amt_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py
    OPTIONS=train_dataloader.dataset.data_root=FOLDER
    mmattmask train $CONFIG --cfg-options $OPTIONS
Hardware: CPU, 2 cores.
Hours:    none; less than a minute for 100 images, start included (measured).
Metric:   none; nothing is learned in two epochs.
"""

_base_ = '../_base_/folder_debug.py'

model = dict(
    type='mmattmask.GuidedSimMIM',
    backbone=dict(
        type='mmattmask.SimMIMViT',
        arch=dict(embed_dims=96, num_layers=4, num_heads=3, feedforward_channels=384),
        img_size=64,
        patch_size=8,
        use_abs_pos_emb=True,
        use_shared_rel_pos_bias=False,
    ),
    neck=dict(type='SimMIMLinearDecoder'),
    head=dict(
        type='SimMIMHead',
        loss=dict(type='PixelReconstructionLoss', criterion='L1', channel=3),
    ),
    scorer=dict(type='mmattmask.CachedAttention'),
    mask_generator=dict(
        type='mmattmask.AMTMaskGenerator',
        mask_ratio=0.44,
        throw_ratio=0.26,
        rounding='up',
    ),
    cell_size=16,
)
optim_wrapper = dict(optimizer=dict(lr=1e-4 * 8 / 512))
custom_hooks = [dict(type='mmattmask.AttentionRefreshHook', begin=1, interval=1)]
