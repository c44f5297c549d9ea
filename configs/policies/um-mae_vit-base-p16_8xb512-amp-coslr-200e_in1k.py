"""UM-MAE on MAE ViT-B/16, 200 epochs: uniform and secondary masks.

The decoder and the warm-up are MAE's (8 blocks, 40 epochs; released: 2 and 10).

Command:
    CONFIG=configs/policies/um-mae_vit-base-p16_8xb512-amp-coslr-200e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 4096.
Hours:    6, estimated from FLOPs (../amt/README.md), if the loader keeps up.
Metric:   fine-tuned top-1 82.9, MAE 82.9 (UM-MAE's README; not run by us).
"""

_base_ = '../amt/random_vit-base-p16_8xb512-amp-coslr-200e_in1k.py'

model = dict(
    backbone=dict(secondary_ratio=0.25),
    mask_generator=dict(
        _delete_=True, type='mmattmask.UniformMaskGenerator', balanced=True
    ),
)
