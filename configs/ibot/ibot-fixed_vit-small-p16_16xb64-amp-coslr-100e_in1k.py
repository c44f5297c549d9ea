"""iBOT ViT-S/16, 100 epochs, with the fixed ratio of the ablations.

Half of the crops have no mask, blocks cover 30 % of the others.

Command:
    CONFIG=configs/ibot/ibot-fixed_vit-small-p16_16xb64-amp-coslr-100e_in1k.py
    torchrun --nnodes 2 --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 16 GPUs, batch 1024.
Hours:    not measured.
Metric:   ImageNet-1k k-NN 71.5, linear 74.4 (README.md; not run by us).
"""

_base_ = './ibot_vit-small-p16_16xb64-amp-coslr-100e_in1k.py'

model = dict(mask_generator=dict(mask_ratios=[(0.0, 0.0), (0.3, 0.3)]))
