"""The score as a weight of the loss on MAE ViT-B/16, 200 epochs.

Masks are random; the error of a masked patch counts by its score, as in
Attention-guided MAE, whose object maps are others.

Command:
    CONFIG=configs/policies/attg-mae_vit-base-p16_8xb512-amp-coslr-200e_in1k.py
    torchrun --nproc-per-node 8 tools/train.py $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 4096.
Hours:    9, estimated from FLOPs (../amt/README.md), if the loader keeps up.
Metric:   none yet.
"""

_base_ = [
    '../amt/random_vit-base-p16_8xb512-amp-coslr-200e_in1k.py',
    '../_base_/gpa_teacher.py',
]

model = dict(scorer=_base_.teacher, score_weight=1.0)
