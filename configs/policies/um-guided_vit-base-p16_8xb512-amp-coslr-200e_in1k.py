"""Uniform masks by attention on MAE ViT-B/16, 200 epochs: ours.

The least attended patch of every 2 x 2 cell is visible.

Command:
    CONFIG=configs/policies/um-guided_vit-base-p16_8xb512-amp-coslr-200e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 4096.
Hours:    6, estimated from FLOPs (../amt/README.md), if the loader keeps up.
Metric:   none yet.
"""

_base_ = '../amt/amt_vit-base-p16_8xb512-amp-coslr-200e_in1k.py'

model = dict(
    mask_generator=dict(
        _delete_=True, type='mmattmask.UniformMaskGenerator', show='least'
    )
)
