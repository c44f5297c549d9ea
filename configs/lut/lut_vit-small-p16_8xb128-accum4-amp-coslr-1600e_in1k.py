"""LUT on MAE ViT-S/16, 1600 epochs.

MMPretrain's arch 'small' is 768 wide; 'deit-small' is the usual ViT-S (384, 12 blocks,
6 heads).

Command:
    CONFIG=configs/lut/lut_vit-small-p16_8xb128-accum4-amp-coslr-1600e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 8 A100, batch 4096 by accumulation, as released.
Hours:    not measured.
Metric:   ImageNet-1k top-1, fine-tuned 82.0 (the authors'; not run by us).
"""

_base_ = './lut_vit-base-p16_8xb128-accum4-amp-coslr-1600e_in1k.py'

model = dict(backbone=dict(arch='deit-small'), neck=dict(embed_dim=384))
