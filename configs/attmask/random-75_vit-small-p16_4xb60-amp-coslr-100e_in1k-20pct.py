"""iBOT with MAE's random masks on 20 % of ImageNet-1k, 100 epochs.

75 % of the patches, in half of the large crops as for the other policies: the source
tells only the ratio.

Command:
    CONFIG=configs/attmask/random-75_vit-small-p16_4xb60-amp-coslr-100e_in1k-20pct.py
    torchrun --nproc-per-node 4 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 4 GPUs, batch 240.
Hours:    not measured.
Metric:   k-NN 47.3, linear 55.5, see README.md (the authors'; not run by us).
"""

_base_ = './attmask-high_vit-small-p16_4xb60-amp-coslr-100e_in1k-20pct.py'

model = dict(
    mask_generator=dict(
        _delete_=True,
        type='mmattmask.IBOTMaskGenerator',
        mask_ratios=[(0.0, 0.0), (0.75, 0.75)],
        shape='random',
    )
)
