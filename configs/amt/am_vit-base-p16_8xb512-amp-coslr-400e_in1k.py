"""Attention-driven masking (AM) 75/0 on MAE ViT-B/16, 400 epochs (Table 1).

Command:
    CONFIG=configs/amt/am_vit-base-p16_8xb512-amp-coslr-400e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 4096.
Hours:    11, estimated from FLOPs (README.md), if the loader keeps up.
Metric:   ImageNet-1k top-1, linear 61.5, fine-tuned 82.5 (the paper's; not run by us).
"""

_base_ = './amt_vit-base-p16_8xb512-amp-coslr-400e_in1k.py'

model = dict(mask_generator=dict(mask_ratio=0.75, throw_ratio=0.0))
