"""AM 75/0 on a small EVA in MAE style on the CPU: does everything run?

A small random ViT stands in for CLIP, whose two outputs (features, attention) are those
of its blocks here: this shows that the parts work together, nothing more.

Command:
    CONFIG=configs/hosts/eva-am_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py
    OPTIONS=train_dataloader.dataset.data_root=FOLDER
    mmattmask train $CONFIG --cfg-options $OPTIONS
Hardware: CPU, 2 cores.
Hours:    none; less than a minute for 100 images, start included (measured).
Metric:   none; nothing is learned in two epochs.
"""

_base_ = '../_base_/mae_vit-tiny-p8_folder_debug.py'

model = dict(
    type='mmattmask.GuidedEVA',
    neck=dict(predict_feature_dim=48),
    head=dict(
        _delete_=True,
        type='MIMHead',
        loss=dict(type='CosineSimilarityLoss', shift_factor=2.0, scale_factor=2.0),
    ),
    target_generator=dict(
        type='VisionTransformer',
        arch=dict(embed_dims=48, num_layers=2, num_heads=3, feedforward_channels=192),
        img_size=64,
        patch_size=8,
        out_indices=[0, 1],
        out_type='raw',
        frozen_stages=2,
    ),
    scorer=dict(type='mmattmask.CachedAttention'),
    mask_generator=dict(
        type='mmattmask.AMTMaskGenerator', mask_ratio=0.75, throw_ratio=0.0
    ),
)
custom_hooks = [dict(type='mmattmask.AttentionRefreshHook', begin=1, interval=1)]
