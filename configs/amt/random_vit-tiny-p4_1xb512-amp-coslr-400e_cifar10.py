"""Random masking 75 on MAE ViT-Ti/4 on CIFAR-10: the baseline of the AMT recipe.

The same lines make the baseline of every other recipe.

Command:
    CONFIG=configs/amt/random_vit-tiny-p4_1xb512-amp-coslr-400e_cifar10.py
    mmattmask train $CONFIG
Hardware: 1 GPU of any size. MMPretrain downloads the data.
Hours:    under 1 on an A100, estimated from FLOPs (README.md), if the loader keeps up.
Metric:   no published number; not run by us.
"""

_base_ = '../_base_/mae_vit-tiny-p4_1xb512-amp-coslr-400e_cifar10.py'

model = dict(
    type='mmattmask.GuidedMAE',
    mask_generator=dict(type='mmattmask.RandomMaskGenerator', mask_ratio=0.75),
)
