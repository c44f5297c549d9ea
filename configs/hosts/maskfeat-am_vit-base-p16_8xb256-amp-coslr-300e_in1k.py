"""AM 40/0 on MaskFeat ViT-B/16, 300 epochs: HOG as targets.

As many patches are masked as in stock MaskFeat, 78 of 196. Until the first refresh its
own blocks are.

Command:
    CONFIG=configs/hosts/maskfeat-am_vit-base-p16_8xb256-amp-coslr-300e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 2048.
Hours:    not measured.
Metric:   none published.
"""

_base_ = 'mmpretrain::maskfeat/maskfeat_vit-base-p16_8xb256-amp-coslr-300e_in1k.py'

data_preprocessor = dict(
    type='mmattmask.GuidedDataPreprocessor',
    scorer=dict(type='mmattmask.CachedAttention'),
    mask_generator=dict(
        type='mmattmask.AMTMaskGenerator', mask_ratio=0.4, throw_ratio=0.0
    ),
    mask_patch_size=16,
)
custom_hooks = [dict(type='mmattmask.AttentionRefreshHook', begin=40, interval=40)]
