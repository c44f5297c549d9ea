"""iBOT's masks of blocks on 20 % of ImageNet-1k, 100 epochs.

Command:
    CONFIG=configs/attmask/block_vit-small-p16_4xb60-amp-coslr-100e_in1k-20pct.py
    torchrun --nproc-per-node 4 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 4 GPUs, batch 240.
Hours:    not measured.
Metric:   k-NN 46.7, linear 56.4, see README.md (the authors'; not run by us).
"""

_base_ = './attmask-high_vit-small-p16_4xb60-amp-coslr-100e_in1k-20pct.py'

model = dict(
    mask_generator=dict(
        _delete_=True,
        type='mmattmask.IBOTMaskGenerator',
        mask_ratios=[(0.0, 0.0), (0.1, 0.5)],
        shape='block',
    )
)
