"""First drawn stay visible on MAE ViT-B/16, 200 epochs: MILAN's policy.

By the model's own attention; MILAN draws by CLIP's.

Command:
    CONFIG=configs/policies/keep_vit-base-p16_8xb512-amp-coslr-200e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 4096.
Hours:    6, estimated from FLOPs (../amt/README.md), if the loader keeps up.
Metric:   none yet.
"""

_base_ = '../amt/amt_vit-base-p16_8xb512-amp-coslr-200e_in1k.py'

model = dict(
    mask_generator=dict(
        mask_ratio=0.75, throw_ratio=0.0, rounding='up', first='visible'
    )
)
