"""AttMask-Hint on iBOT ViT-S/16, 100 epochs.

As High, but up to half of the 10 % most attended patches stay visible.

Command:
    CONFIG=configs/attmask/attmask-hint_vit-small-p16_4xb60-amp-coslr-100e_in1k.py
    torchrun --nproc-per-node 4 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 4 GPUs, batch 240.
Hours:    not measured.
Metric:   ImageNet-1k k-NN 72.8, linear 76.1 (the authors'; not run by us).
"""

_base_ = './attmask-high_vit-small-p16_4xb60-amp-coslr-100e_in1k.py'

model = dict(mask_generator=dict(mode='hint', show_max=0.1))
