"""AttMask-Hint on iBOT ViT-S/16 on 20 % of ImageNet-1k, 100 epochs.

Command:
    CONFIG=configs/attmask/attmask-hint_vit-small-p16_4xb60-amp-coslr-100e_in1k-20pct.py
    torchrun --nproc-per-node 4 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 4 GPUs, batch 240.
Hours:    not measured.
Metric:   k-NN 49.5, linear 57.5, see README.md (the authors'; not run by us).
"""

_base_ = './attmask-high_vit-small-p16_4xb60-amp-coslr-100e_in1k-20pct.py'

model = dict(mask_generator=dict(mode='hint', show_max=0.1))
