"""GPA on ConvMAE-S, 200 epochs: Table 10 of the GPA paper.

A frozen MAE ViT-B/16 says, on every view, how much attention each patch receives; its
grid is that of ConvMAE's last stage. Put the teacher's weights in checkpoints/.

Command:
    CONFIG=configs/convmae/gpa_convmae-small-p16_8xb512-amp-coslr-200e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 4096.
Hours:    7, estimated from FLOPs (README.md), if the loader keeps up.
Metric:   ImageNet-1k fine-tuned top-1 82.4 (the paper's; not run by us).
"""

_base_ = '../gpa/gpa_vit-base-p16_8xb512-amp-coslr-200e_in1k.py'

model = dict(
    backbone=dict(_delete_=True, type='mmattmask.ConvMAEViT', arch='small'),
    neck=dict(embed_dim=384),
)
