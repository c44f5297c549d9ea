"""AMT 45/40 on MAE ViT-Ti/4 on CIFAR-10, 32 px, 400 epochs.

Command:
    CONFIG=configs/amt/amt_vit-tiny-p4_1xb512-amp-coslr-400e_cifar10.py
    mmattmask train $CONFIG
Hardware: 1 GPU of any size. MMPretrain downloads the data.
Hours:    under 1 on an A100, estimated from FLOPs (README.md), if the loader keeps up.
Metric:   no published number (the paper only transfers to CIFAR-10); not run by us.
"""

_base_ = '../_base_/mae_vit-tiny-p4_1xb512-amp-coslr-400e_cifar10.py'

model = dict(
    type='mmattmask.GuidedMAE',
    scorer=dict(type='mmattmask.CachedAttention'),
    mask_generator=dict(
        type='mmattmask.AMTMaskGenerator', mask_ratio=0.45, throw_ratio=0.40
    ),
)
custom_hooks = [dict(type='mmattmask.AttentionRefreshHook', begin=40, interval=40)]
