"""AM 40/0 on a small BEiT v2 on the CPU: does everything run, on my images too?

The tokenizer is small and random: this shows that the parts work together, nothing
more.

Command:
    CONFIG=configs/hosts/beitv2-am_beit-tiny-p8_1xb8-coslr-2e_folder_debug.py
    OPTIONS=train_dataloader.dataset.data_root=FOLDER
    mmattmask train $CONFIG --cfg-options $OPTIONS
Hardware: CPU, 2 cores.
Hours:    none; less than a minute for 100 images, start included (measured).
Metric:   none; nothing is learned in two epochs.
"""

_base_ = '../_base_/beit-tiny-p8_folder_debug.py'

data_preprocessor = dict(
    type='mmattmask.GuidedTwoNormDataPreprocessor',
    second_mean=[127.5] * 3,
    second_std=[127.5] * 3,
    scorer=dict(type='mmattmask.CachedAttention'),
    mask_generator=dict(
        type='mmattmask.AMTMaskGenerator', mask_ratio=0.4, throw_ratio=0.0
    ),
    mask_patch_size=8,
)
arch = _base_.model.backbone.arch
small = dict(embed_dims=48, num_layers=1, num_heads=3, feedforward_channels=96)
model = dict(
    backbone=dict(out_indices=[1, 3], final_norm=False),
    neck=dict(
        type='BEiTV2Neck',
        num_layers=1,
        early_layers=2,
        backbone_arch=dict(**arch, depth=4),  # stock asks for it under two names
        layer_scale_init_value=0.1,
    ),
    head=dict(type='BEiTV2Head'),
    target_generator=dict(
        _delete_=True,
        type='VQKD',
        encoder_config=dict(arch=small, img_size=64, patch_size=8, out_type='featmap'),
        num_embed=64,
    ),
)
custom_hooks = [dict(type='mmattmask.AttentionRefreshHook', begin=1, interval=1)]
