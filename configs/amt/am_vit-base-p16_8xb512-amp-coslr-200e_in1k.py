"""Attention-driven masking (AM) 75/0, 200 epochs: row 2 of Table 4.

Command:
    CONFIG=configs/amt/am_vit-base-p16_8xb512-amp-coslr-200e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 4096.
Hours:    6, estimated from FLOPs (README.md), if the loader keeps up.
Metric:   Tiny-ImageNet linear top-1 50.1 (the paper's; not run by us).
"""

_base_ = './amt_vit-base-p16_8xb512-amp-coslr-200e_in1k.py'

model = dict(mask_generator=dict(mask_ratio=0.75, throw_ratio=0.0))
