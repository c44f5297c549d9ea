"""DINO ViT-S/16, 100 epochs: iBOT without masks and their loss.

DINO itself has other scales of its crops and 65536 prototypes.

Command:
    CONFIG=configs/ibot/dino_vit-small-p16_16xb64-amp-coslr-100e_in1k.py
    torchrun --nnodes 2 --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 16 GPUs, batch 1024.
Hours:    not measured.
Metric:   ImageNet-1k k-NN 70.9, linear 74.6 (of DINO's own recipe; not run by us).
"""

_base_ = './ibot_vit-small-p16_16xb64-amp-coslr-100e_in1k.py'

model = dict(mask_generator=None, patch_weight=0.0)
