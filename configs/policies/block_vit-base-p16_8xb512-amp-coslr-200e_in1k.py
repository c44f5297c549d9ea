"""Blocks (BEiT) on MAE ViT-B/16, 200 epochs.

Of a ratio of 0.75, with rectangles of 16 patches or more.

Command:
    CONFIG=configs/policies/block_vit-base-p16_8xb512-amp-coslr-200e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 4096.
Hours:    6, estimated from FLOPs (../amt/README.md), if the loader keeps up.
Metric:   none yet.
"""

_base_ = '../amt/random_vit-base-p16_8xb512-amp-coslr-200e_in1k.py'

model = dict(
    mask_generator=dict(
        _delete_=True, type='mmattmask.BlockMaskGenerator', mask_ratio=0.75
    )
)
