"""GPA with its attention decoder, 200 epochs: the teacher guides and is predicted.

A second decoder learns the score of the masked patches (the paper's Eq. 7), from the
first epoch on.

Command:
    CONFIG=configs/gpa/gpa-feature_vit-base-p16_8xb512-amp-coslr-200e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 4096.
Hours:    11, estimated from FLOPs (README.md), if the loader keeps up.
Metric:   ImageNet-1k fine-tuned top-1 83.22 (the paper's; not run by us).
"""

_base_ = './gpa_vit-base-p16_8xb512-amp-coslr-200e_in1k.py'

model = dict(type='mmattmask.ScorePredictingMAE', attention_head=dict(variant='paper'))
