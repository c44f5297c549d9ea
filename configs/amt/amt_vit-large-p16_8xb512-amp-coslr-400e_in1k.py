"""AMT 45/40 on MAE ViT-L/16, 400 epochs.

Command:
    CONFIG=configs/amt/amt_vit-large-p16_8xb512-amp-coslr-400e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 4096.
Hours:    16, estimated from FLOPs (README.md), if the loader keeps up.
Metric:   no published number; not run by us.
"""

_base_ = './amt_vit-base-p16_8xb512-amp-coslr-400e_in1k.py'

model = dict(backbone=dict(arch='l'), neck=dict(embed_dim=1024))
