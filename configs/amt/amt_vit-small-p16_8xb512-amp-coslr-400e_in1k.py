"""AMT 45/40 on MAE ViT-S/16, 400 epochs.

MMPretrain's arch 'small' is 768 wide; 'deit-small' is the usual ViT-S (384, 12 blocks,
6 heads).

Command:
    CONFIG=configs/amt/amt_vit-small-p16_8xb512-amp-coslr-400e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 4096.
Hours:    5, estimated from FLOPs (README.md), if the loader keeps up.
Metric:   no published number; not run by us.
"""

_base_ = './amt_vit-base-p16_8xb512-amp-coslr-400e_in1k.py'

model = dict(backbone=dict(arch='deit-small'), neck=dict(embed_dim=384))
