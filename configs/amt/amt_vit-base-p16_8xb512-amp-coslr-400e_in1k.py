"""AMT 45/40 on MAE ViT-B/16, 400 epochs: the paper's main model (Table 1).

Command:
    CONFIG=configs/amt/amt_vit-base-p16_8xb512-amp-coslr-400e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 4096.
Hours:    7, estimated from FLOPs (README.md), if the loader keeps up.
Metric:   ImageNet-1k top-1, linear 61.7, fine-tuned 82.8 (the paper's; not run by us).
"""

_base_ = 'mmpretrain::mae/mae_vit-base-p16_8xb512-amp-coslr-400e_in1k.py'

model = dict(
    type='mmattmask.GuidedMAE',
    scorer=dict(type='mmattmask.CachedAttention'),
    mask_generator=dict(
        type='mmattmask.AMTMaskGenerator', mask_ratio=0.45, throw_ratio=0.40
    ),
)
custom_hooks = [dict(type='mmattmask.AttentionRefreshHook', begin=40, interval=40)]
