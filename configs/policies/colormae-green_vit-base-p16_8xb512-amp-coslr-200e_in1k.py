"""ColorMAE on MAE ViT-B/16, 200 epochs: masks from green noise.

The noise is drawn anew for each image. The sigmas are ours: the paper's are not public.

Command:
    CONFIG=configs/policies/colormae-green_vit-base-p16_8xb512-amp-coslr-200e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 4096.
Hours:    6, estimated from FLOPs (../amt/README.md), if the loader keeps up.
Metric:   fine-tuned top-1 83.0 after 300 epochs (ColorMAE's README; not run by us).
"""

_base_ = '../amt/random_vit-base-p16_8xb512-amp-coslr-200e_in1k.py'

model = dict(
    mask_generator=dict(
        _delete_=True,
        type='mmattmask.ColorNoiseMaskGenerator',
        mask_ratio=0.75,
        color='green',
    )
)
