"""AttMask-Hint on BEiT-B/16, 300 epochs: DALL-E's tokens as targets.

The 83 most attended patches are masked but for 8 hints: 75 of 196, as in stock BEiT;
until the first refresh its own blocks are. DALL-E's weights come by the stock URL.

Command:
    CONFIG=configs/hosts/beit-attmask_beit-base-p16_8xb256-amp-coslr-300e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 2048.
Hours:    not measured.
Metric:   none published.
"""

_base_ = 'mmpretrain::beit/beit_beit-base-p16_8xb256-amp-coslr-300e_in1k.py'

data_preprocessor = dict(
    type='mmattmask.GuidedTwoNormDataPreprocessor',
    scorer=dict(type='mmattmask.CachedAttention'),
    mask_generator=dict(
        type='mmattmask.AttMaskGenerator', mode='hint', mask_ratio=83 / 196
    ),
    mask_patch_size=16,
)
custom_hooks = [dict(type='mmattmask.AttentionRefreshHook', begin=40, interval=40)]
