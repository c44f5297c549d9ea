"""AdaMAE on MAE ViT-B/16, 200 epochs: a learned sampler shows hard patches.

On video in the paper, with 0.95 of the tokens masked; there is no number on images.

Command:
    CONFIG=configs/policies/adamae_vit-base-p16_8xb512-amp-coslr-200e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 4096.
Hours:    7, estimated from FLOPs (../amt/README.md), if the loader keeps up.
Metric:   none yet.
"""

_base_ = '../amt/random_vit-base-p16_8xb512-amp-coslr-200e_in1k.py'

model = dict(
    scorer=dict(type='mmattmask.LearnedSampler'),
    mask_generator=dict(
        _delete_=True,
        type='mmattmask.AMTMaskGenerator',
        mask_ratio=0.75,
        throw_ratio=0.0,
        rounding='up',
        first='visible',
    ),
)
