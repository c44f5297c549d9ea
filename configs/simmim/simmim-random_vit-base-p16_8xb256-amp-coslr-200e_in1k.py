"""SimMIM ViT-B/16, random masks 60/0, 200 epochs: the baseline of Table 1.

Command:
    CONFIG=configs/simmim/simmim-random_vit-base-p16_8xb256-amp-coslr-200e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 2048.
Hours:    10, estimated from FLOPs (README.md), if the loader keeps up.
Metric:   ImageNet-1k fine-tuned top-1 81.5 (the paper's; not run by us).
"""

_base_ = '../_base_/simmim_vit-base-p16.py'

model = dict(backbone=dict(use_abs_pos_emb=True, use_shared_rel_pos_bias=False))
train_cfg = dict(max_epochs=200)
warmup, cosine = _base_.param_scheduler
cosine = {**cosine, 'T_max': 190, 'eta_min': 5e-6 * 2048 / 512, 'end': 200}
param_scheduler = [warmup, cosine]
