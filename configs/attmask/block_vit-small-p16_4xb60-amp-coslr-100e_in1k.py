"""iBOT ViT-S/16 with the batch of AttMask, 100 epochs: what to compare with.

Command:
    CONFIG=configs/attmask/block_vit-small-p16_4xb60-amp-coslr-100e_in1k.py
    torchrun --nproc-per-node 4 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 4 GPUs, batch 240.
Hours:    not measured.
Metric:   ImageNet-1k k-NN 71.5, linear 74.4 (batch not stated; not run by us).
"""

_base_ = './attmask-high_vit-small-p16_4xb60-amp-coslr-100e_in1k.py'

model = dict(
    mask_generator=dict(
        _delete_=True,
        type='mmattmask.IBOTMaskGenerator',
        mask_ratios=[(0.0, 0.0), (0.1, 0.5)],
    )
)
