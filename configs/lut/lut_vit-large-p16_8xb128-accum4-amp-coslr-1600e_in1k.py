"""LUT on MAE ViT-L/16, 1600 epochs.

Command:
    CONFIG=configs/lut/lut_vit-large-p16_8xb128-accum4-amp-coslr-1600e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 4096 by accumulation, as released.
Hours:    not measured.
Metric:   ImageNet-1k top-1, fine-tuned 86.0 (the authors'; not run by us).
"""

_base_ = './lut_vit-base-p16_8xb128-accum4-amp-coslr-1600e_in1k.py'

model = dict(backbone=dict(arch='l'), neck=dict(embed_dim=1024))
