"""AM 75 of 196 on BEiT v2-B/16, 300 epochs: VQ-KD's tokens as targets.

Until the first refresh masks are stock BEiT's blocks, of as many patches. VQ-KD's
weights come by the stock URL.

Command:
    CONFIG=configs/hosts/beitv2-am_beit-base-p16_8xb256-amp-coslr-300e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 2048.
Hours:    not measured.
Metric:   none published.
"""

_base_ = 'mmpretrain::beitv2/beitv2_beit-base-p16_8xb256-amp-coslr-300e_in1k.py'

data_preprocessor = dict(
    type='mmattmask.GuidedTwoNormDataPreprocessor',
    scorer=dict(type='mmattmask.CachedAttention'),
    mask_generator=dict(
        type='mmattmask.AMTMaskGenerator', mask_ratio=75 / 196, throw_ratio=0.0
    ),
    mask_patch_size=16,
)
custom_hooks = [dict(type='mmattmask.AttentionRefreshHook', begin=40, interval=40)]
