"""The score as a weight of the loss on MAE ViT-B/16, 200 epochs.

Masks are random; the error of a masked patch counts in proportion to its score. The
paper has other maps and weights exp(map / t), with t on a schedule.

Command:
    CONFIG=configs/policies/attg-mae_vit-base-p16_8xb512-amp-coslr-200e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 4096.
Hours:    6, estimated from FLOPs (../amt/README.md), if the loader keeps up.
Metric:   none yet.
"""

_base_ = [
    '../amt/random_vit-base-p16_8xb512-amp-coslr-200e_in1k.py',
    '../_base_/gpa_teacher.py',
]

model = dict(scorer={**_base_.teacher, 'cached': True}, score_weight=1.0)
custom_hooks = [dict(type='mmattmask.AttentionRefreshHook', begin=0, interval=None)]
