"""Random masking 75 on MAE ViT-B/16, 400 epochs: the baseline (Table 1).

Stock MAE, run by the same classes as AMT: from the same random state it draws the
same masks and has the same loss as the config it inherits.

Command:
    CONFIG=configs/amt/random_vit-base-p16_8xb512-amp-coslr-400e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 4096.
Hours:    11, estimated from FLOPs (README.md), if the loader keeps up.
Metric:   ImageNet-1k top-1, linear 56.6, fine-tuned 82.6 (the paper's; not run by us).
"""

_base_ = 'mmpretrain::mae/mae_vit-base-p16_8xb512-amp-coslr-400e_in1k.py'

model = dict(
    type='mmattmask.GuidedMAE',
    mask_generator=dict(type='mmattmask.RandomMaskGenerator', mask_ratio=0.75),
)
