"""SimMIM ViT-B/16, random masks 60/0, 200 epochs: the baseline of Table 1.

Command:
    CONFIG=configs/simmim/simmim-random_vit-base-p16_8xb256-amp-coslr-200e_in1k.py
    torchrun --nproc-per-node 8 tools/train.py $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 2048.
Hours:    10, estimated from FLOPs (README.md), if the loader keeps up.
Metric:   ImageNet-1k fine-tuned top-1 81.5 (the paper's; not run by us).
"""

_base_ = './simmim-amt_vit-base-p16_8xb256-amp-coslr-200e_in1k.py'

model = dict(
    scorer=None,
    mask_generator=dict(
        _delete_=True,
        type='mmattmask.RandomMaskGenerator',
        mask_ratio=0.6,
        rounding='up',
    ),
)
custom_hooks = []
