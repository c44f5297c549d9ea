"""SimMIM ViT-B/16 as its authors pre-train it: random masks 60/0, 800 epochs.

With one relative position bias for all blocks and no absolute positions.

Command:
    CONFIG=configs/simmim/simmim-random_vit-base-p16_8xb256-amp-steplr-800e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 2048.
Hours:    40, estimated from FLOPs (README.md), if the loader keeps up.
Metric:   ImageNet-1k fine-tuned top-1 83.8 (the authors'; not run by us).
"""

_base_ = '../_base_/simmim_vit-base-p16.py'

train_cfg = dict(max_epochs=800)
# the milestone is counted from `begin`: at epoch 700
steps = dict(type='MultiStepLR', milestones=[690], begin=10, end=800)
param_scheduler = [
    dict(type='LinearLR', start_factor=5e-3, end=10, convert_to_iter_based=True),
    dict(**steps, convert_to_iter_based=True),
]
