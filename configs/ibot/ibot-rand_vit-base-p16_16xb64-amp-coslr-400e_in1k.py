"""iBOT ViT-B/16 with random masks, 400 epochs.

No mask for half of the crops, 65 % to 75 % random patches for the others.

Command:
    CONFIG=configs/ibot/ibot-rand_vit-base-p16_16xb64-amp-coslr-400e_in1k.py
    torchrun --nnodes 2 --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 16 GPUs, batch 1024.
Hours:    not measured.
Metric:   ImageNet-1k k-NN 77.3, linear 79.8 (the authors'; not run by us).
"""

_base_ = './ibot_vit-base-p16_16xb64-amp-coslr-400e_in1k.py'

model = dict(
    mask_generator=dict(mask_ratios=[(0.0, 0.0), (0.65, 0.75)], shape='random')
)
