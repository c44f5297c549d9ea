"""Attention-driven masking (AM) 60/0 on SimMIM ViT-B/16, 200 epochs (Table 1).

Command:
    CONFIG=configs/simmim/simmim-am_vit-base-p16_8xb256-amp-coslr-200e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 2048.
Hours:    10, estimated from FLOPs (README.md), if the loader keeps up.
Metric:   ImageNet-1k fine-tuned top-1 81.5 (the paper's; not run by us).
"""

_base_ = './simmim-amt_vit-base-p16_8xb256-amp-coslr-200e_in1k.py'

model = dict(mask_generator=dict(mask_ratio=0.6, throw_ratio=0.0))
